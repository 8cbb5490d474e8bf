"""How much may be asked at a time, by all who share the limits.

Rules:

1. Requests and tokens are counted over a minute that slides: in no minute are there more than allowed.
2. First come, first served. One who waits for many tokens is not overtaken by those who want few.
3. One who leaves while waiting leaves no hole: the next in line is looked at.
4. What a server tells of its own limits counts as well, until the time that it names.
5. One who had to wait goes on in the context in which it began to, and in the thread of its loop: who lets it go may
   be of another request, or in another thread.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import accumulate

from reactivex import abc

from rxllm.dialects import RateLimits, Remaining
from rxllm.flow import Clock, check_callable, check_count, nothing, outside_of_emissions
from rxllm.models import ChatRequest

# A little longer than a minute: requests do not take equally long to arrive.
_WINDOW = 60.05
_CHARACTERS_PER_TOKEN = 4
# A server may ask for years. After this it is asked again.
_LONGEST_REST = 60.0


def estimated_tokens(request: ChatRequest) -> int:
    """About how many tokens a request costs: a quarter of its characters, and the most that the answer may have.

    >>> estimated_tokens(ChatRequest(model="m", messages=[], max_tokens=100)) > 100
    True
    """
    fields = request.to_wire()
    answer = fields.get("max_completion_tokens") or fields.get("max_tokens") or 0
    text = json.dumps(fields.get("messages", []), default=str) + json.dumps(fields.get("tools", []), default=str)
    return len(text) // _CHARACTERS_PER_TOKEN + int(answer)


class Limits:
    """Limits that any number of clients and tasks of one event loop share.

    Args:
        requests_per_minute: How many requests are sent in any minute.
        tokens_per_minute: How many tokens the requests of a minute and their answers may have. The tokens of a request
            are estimated first. When the server says how many it took, that number replaces the estimate.
        estimate: Estimates the tokens of a request. By default a quarter of its characters, plus the most tokens that
            its answer may have.
        max_concurrency: How many answers may be under way at a time.

    Raises:
        ValueError: A limit is less than 1.
        TypeError: A limit is not a whole number, or ``estimate`` is not a function.

    Example:
        >>> Limits(requests_per_minute=600, max_concurrency=8)
        Limits(requests_per_minute=600, max_concurrency=8)
    """

    def __init__(
        self,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        estimate: Callable[[ChatRequest], int] = estimated_tokens,
        max_concurrency: int | None = None,
    ) -> None:
        self._given = {
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
            "max_concurrency": max_concurrency,
        }
        for name, value in self._given.items():
            if value is not None:
                check_count(name, value)
        check_callable("estimate", estimate)
        self.estimate: Callable[[ChatRequest], int] = estimate
        self._requests = _Window(requests_per_minute)
        self._tokens = _Window(tokens_per_minute)
        self._most_running = math.inf if max_concurrency is None else max_concurrency
        self._running = 0
        self._resting_until = -math.inf
        self._waiting: deque[Ticket] = deque()
        self._timer: abc.DisposableBase | None = None

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self._given.items() if value is not None)
        return f"Limits({shown})"

    def enter(self, tokens: int, clock: Clock, go: Callable[[], None]) -> Ticket:
        """Stand in line.

        Args:
            tokens: What the request will cost, by estimate.
            clock: Whose time it is.
            go: Called once, when it may be sent: at once if nobody waits and the limits admit it.
        """
        ticket = Ticket(self, tokens, clock, go)
        self._waiting.append(ticket)
        self.look()
        ticket.stay()
        return ticket

    def learn(self, told: RateLimits, now: float) -> None:
        """Take note of what a server told of its limits."""
        self._requests.learn(told.requests, now)
        self._tokens.learn(told.tokens, now)

    def rest(self, seconds: float, now: float) -> None:
        """Send nothing for a while."""
        self._resting_until = max(self._resting_until, now + min(seconds, _LONGEST_REST))

    def look(self) -> None:
        """Let those go whom the limits admit."""
        self._set_timer(None)
        while self._waiting and self._running < self._most_running:
            ticket = self._waiting[0]
            now = ticket.clock.now()
            wait = max(self._resting_until - now, self._requests.wait(1, now), self._tokens.wait(ticket.tokens, now))
            if wait > 0:
                self._set_timer(ticket.clock.call_later(wait, self.look))
                return
            self._waiting.popleft()
            self._running += 1
            self._requests.take(1, now)
            # Which may end at once, and look as well.
            ticket.admit(self._tokens.take(ticket.tokens, now))

    def _set_timer(self, timer: abc.DisposableBase | None) -> None:
        before, self._timer = self._timer, timer
        if before is not None:
            before.dispose()

    def correct(self, entry: Taken | None, tokens: int) -> None:
        """Replace the estimate of what was taken."""
        self._tokens.correct(entry, tokens)

    def gone(self, ticket: Ticket, *, waited: bool) -> None:
        """Take note that a ticket is given back."""
        if waited:
            self._waiting.remove(ticket)
        else:
            self._running -= 1
        self.look()


class Ticket:
    """One request under limits.

    Attributes:
        tokens: What it costs, by estimate.
        clock: Whose time it is.
    """

    __slots__ = ("_entry", "_go", "_is_back", "_limits", "_loop", "_thread", "clock", "tokens")

    def __init__(self, limits: Limits, tokens: int, clock: Clock, go: Callable[[], None]) -> None:
        self._limits = limits
        self._go = go
        self._entry: Taken | None = None
        self._is_back = False
        self._thread = threading.get_ident()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:  # in virtual time
            self._loop = None
        self.tokens: int = tokens
        self.clock: Clock = clock

    def stay(self) -> None:
        """Keep the present context until it may go, unless it has gone."""
        if self._entry is None:
            self._go = partial(outside_of_emissions().run, self._go)

    def admit(self, entry: Taken) -> None:
        """Let it go."""
        self._entry = entry
        go, self._go = self._go, nothing
        go()

    def cost(self, tokens: int) -> None:
        """Take note of what it did cost."""
        self._limits.correct(self._entry, tokens)

    def give_back(self) -> None:
        """Leave, or have ended; from any thread, any number of times."""
        loop = self._loop
        if loop is None or loop.is_closed() or threading.get_ident() == self._thread:
            self._give_back()
        else:
            # The next in line begins in the thread of the loop.
            loop.call_soon_threadsafe(self._give_back)

    def _give_back(self) -> None:
        if not self._is_back:
            self._is_back = True
            self._go = nothing
            self._limits.gone(self, waited=self._entry is None)


class Taken:
    """What was taken, and when."""

    __slots__ = ("at", "count", "is_over")

    def __init__(self, at: float, count: int) -> None:
        self.at: float = at
        self.count: int = count
        self.is_over: bool = False


class _Window:
    """What was taken in the last minute.

    Args:
        most: How much that may be; any if ``None``.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._entries: deque[Taken] = deque()
        self._total = 0
        self._told: Remaining | None = None
        self._told_until = 0.0

    def learn(self, told: Remaining | None, now: float) -> None:
        """Take note of what the server says is left."""
        if told is not None:
            # The newest counts: many servers fill up all the time.
            self._told = told
            self._told_until = now + min(told.seconds, _LONGEST_REST)

    def wait(self, count: int, now: float) -> float:
        """How long to wait until so much more may be taken."""
        return max(self._own_wait(count, now), self._told_wait(count, now))

    def take(self, count: int, now: float) -> Taken:
        """Take so much."""
        entry = Taken(now, count)
        if self._most is not None:
            self._entries.append(entry)
            self._total += count
        if self._told is not None:
            self._told = self._told._replace(amount=self._told.amount - count)
        return entry

    def correct(self, entry: Taken | None, count: int) -> None:
        """Replace how much was taken; what was taken longer ago does not count any more."""
        if self._most is not None and entry is not None and not entry.is_over:
            self._total += count - entry.count
            entry.count = count

    def _own_wait(self, count: int, now: float) -> float:
        if self._most is None:
            return 0.0
        entries = self._entries
        while entries and now - entries[0].at >= _WINDOW:
            over = entries.popleft()
            over.is_over = True
            self._total -= over.count
        # What is more than a whole minute admits goes when nothing else does.
        excess = self._total + min(count, self._most) - self._most
        if excess <= 0:
            return 0.0
        freed = accumulate(entry.count for entry in entries)
        last = next(entry for entry, free in zip(entries, freed, strict=True) if free >= excess)
        return last.at + _WINDOW - now

    def _told_wait(self, count: int, now: float) -> float:
        told = self._told
        if told is None:
            return 0.0
        if now >= self._told_until:
            self._told = None
            return 0.0
        return self._told_until - now if told.amount < count else 0.0
