"""``ClientPool``: several clients as one.

Rules:

1. A request goes to the client that has the fewest answers under way; of equals, to the one that was asked longest ago.
2. One that was told to wait (``Retry-After``) is not asked before that time is over. One that fails several times in a
   row is left out for a while, and then gets one request as a probe.
3. A request that failed before anything of an answer came goes to another client, once to each.
4. If all are left out, a request waits for the first that is not, unless that takes too long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, ClassVar, Self

from reactivex import Observable, abc

from rxllm.client._chats import Chats, Timeout
from rxllm.client._llm_client import LLMClient
from rxllm.exceptions import AllAttemptsFailedError, APIStatusError
from rxllm.flow import (
    FanOut,
    Receiver,
    Stream,
    WaitingPlace,
    check_count,
    check_kind,
    check_seconds,
    clock_of,
    subscribe_to,
    waiting_place,
)
from rxllm.models import ChatRequest, StreamChunk
from rxllm.operators import Next, Tries, kept
from rxllm.resilience import Breaker, is_retryable

if TYPE_CHECKING:
    from rxllm.telemetry import OpenTelemetry

Ask = Callable[[LLMClient], Observable[StreamChunk]]

# What one key is refused another may get.
_OF_THE_KEY = frozenset({401, 402, 403, 429})
# How long to wait for the probe of another request, in seconds, before looking again.
_PROBE_SECONDS = 0.1


def _is_of_the_client(error: Exception) -> bool:
    """Whether another client may succeed."""
    return is_retryable(error) or (isinstance(error, APIStatusError) and error.status in _OF_THE_KEY)


@dataclass(frozen=True)
class ClientStatistics:
    """What a pool knows of one of its clients.

    Attributes:
        client: The client.
        running: How many of its answers are under way.
        requests: How many requests it was given.
        failures: How many of them failed before anything of an answer came.
        resting: For how many seconds it is left out from now on; 0 if it is not.
    """

    client: LLMClient
    running: int
    requests: int
    failures: int
    resting: float


class _Member:
    """One of the clients."""

    def __init__(self, client: LLMClient, threshold: int, rest: float) -> None:
        self.client = client
        self.breaker: Breaker = Breaker(threshold, rest)
        self.running: int = 0
        self.requests: int = 0
        self.failures: int = 0
        self.asked: int = 0
        self.error: Exception | None = None

    def begin(self, serial: int) -> None:
        """Take note that it is going to be asked, and which request of all that is."""
        self.asked = serial
        self.running += 1
        self.requests += 1

    def succeeded(self) -> None:
        """Take note that something of an answer came."""
        self.error = None
        self.breaker.succeeded()

    def failed(self, error: Exception, now: float) -> None:
        """Take note that nothing of an answer came."""
        self.failures += 1
        self.error = kept(error)
        self.breaker.failed(now, getattr(error, "retry_after", None))

    def end(self, *, was_probe: bool) -> None:
        """Take note that the answer is over, or was left."""
        self.running -= 1
        if was_probe:
            self.breaker.probed()

    def statistics(self, now: float) -> ClientStatistics:
        """What is known of it."""
        resting = max(0.0, self.breaker.resting_until - now)
        return ClientStatistics(self.client, self.running, self.requests, self.failures, resting)


class ClientPool(Chats):
    """Several clients as one: several keys, servers or regions that give the same answers.

    It has the methods of ``LLMClient``: ``chat``, ``chat_stream``, ``chat_with_tools`` and ``websocket_stream``.

    Args:
        clients: The clients. Their own ``retries`` are ignored: a request that failed goes to another client.
        threshold: After how many failures in a row a client gets no requests for a while.
        rest: How many seconds that lasts, unless its server says how long.
        patience: How many seconds a request waits at most if no client may be asked.
        telemetry: As in ``LLMClient``. By default that of the first client that has one, ``False`` for none.

    Raises:
        ValueError: There is no client, or a number is too small.
        TypeError: One of the clients is not an ``LLMClient``.
        MissingExtraError: ``telemetry=True``, and the package ``opentelemetry-api`` is not installed.

    Example:
        >>> keys = "key-1", "key-2"
        >>> ClientPool([LLMClient(base_url="http://127.0.0.1:8080/v1", api_key=key) for key in keys])
        ClientPool(2 clients)
    """

    def __init__(
        self,
        clients: Sequence[LLMClient],
        *,
        threshold: int = 3,
        rest: float = 30.0,
        patience: float = 30.0,
        telemetry: OpenTelemetry | bool | None = None,
    ) -> None:
        if not clients:
            raise ValueError("a pool has one client or more")
        for client in clients:
            check_kind("a client", client, LLMClient, "write ClientPool([LLMClient(…), …])")
        check_count("threshold", threshold)
        check_seconds("rest", rest)
        check_seconds("patience", patience, zero=True)
        self._members = [_Member(client, threshold, rest) for client in clients]
        self._patience = patience
        self._serial = count(1)
        self._stack: AsyncExitStack | None = None
        told = next((client.traces for client in clients if client.traces is not None), None)
        if telemetry is not None:
            told = clients[0].traces_of(telemetry)
        self._traces = None if told is None else told.of_pool()

    def __repr__(self) -> str:
        return f"ClientPool({len(self._members)} clients)"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for member in self._members:
                await stack.enter_async_context(member.client)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    def statistics(self) -> tuple[ClientStatistics, ...]:
        """What is known of the clients, in their order. To be called where an event loop runs."""
        now = clock_of(None).now()
        return tuple(member.statistics(now) for member in self._members)

    def _stream(
        self, request: ChatRequest, headers: Mapping[str, str] | None, timeout: Timeout | None
    ) -> Stream[StreamChunk]:
        return self._traced(request, self._ask(lambda client: client.once(request, headers, timeout)))

    def _websocket(self, request: ChatRequest) -> Stream[StreamChunk]:
        return self._traced(request, self._ask(lambda client: client.websocket_once(request)))

    def _ask(self, ask: Ask) -> Stream[StreamChunk]:
        def begin(observer: abc.ObserverBase[StreamChunk], scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
            out = FanOut(observer, scheduler)
            turns = _Turns(self, ask, out.clock.now() + self._patience, waiting_place("ClientPool"))
            return Tries(out, scheduler, turns).begin(turns.next_turn())

        return Stream(begin)

    def pick(self, but: Sequence[_Member], now: float) -> _Member | None:
        """Take the client that is to be asked; ``None`` if none of the others may be asked now."""
        free = [each for each in self._members if each not in but and each.breaker.lets_through(now)]
        if not free:
            return None
        member = min(free, key=lambda each: (each.running, each.asked))
        member.begin(next(self._serial))
        return member

    def wait(self, but: Sequence[_Member], now: float) -> float:
        """How long it takes until one of the others may be asked; of one that is probed that is not known."""
        waits = [each.breaker.resting_until - now for each in self._members if each not in but]
        return max(min(waits), _PROBE_SECONDS)

    def errors(self) -> tuple[Exception, ...]:
        """What the clients failed with last."""
        return tuple(member.error for member in self._members if member.error is not None)

    @property
    def size(self) -> int:
        """How many clients there are."""
        return len(self._members)


class _Turns:
    """The tries of one request: each client once at most.

    Args:
        pool: The clients.
        ask: Asks one of them.
        deadline: Until when to wait for one that may be asked.
        place: Where it waits for that.
    """

    called: ClassVar[str] = "ClientPool"

    def __init__(self, pool: ClientPool, ask: Ask, deadline: float, place: WaitingPlace) -> None:
        self.pool = pool
        self.ask = ask
        self.deadline = deadline
        self.place = place
        self.tried: list[_Member] = []
        # Whether none of them may be asked in time.
        self.is_over = False
        self._errors: tuple[Exception, ...] = ()

    def next_turn(self) -> Stream[StreamChunk]:
        """The answer of the client that is free when it is subscribed to."""

        def begin(observer: abc.ObserverBase[StreamChunk], scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
            return _Turn(FanOut(observer, scheduler), self, scheduler).begin()

        return Stream(begin)

    def after(self, error: Exception, *, has_begun: bool) -> Next[StreamChunk] | Exception:
        if has_begun or self.is_over or not _is_of_the_client(error):
            return error
        self._errors += (error,)
        if len(self.tried) < self.pool.size:
            return Next(self.next_turn())
        if len(self._errors) == 1:
            return error
        failure = AllAttemptsFailedError(self._errors)
        failure.__cause__ = error
        return failure


class _Turn(Receiver[StreamChunk]):
    """One request to one client: waits for one that is free, and notes how it does."""

    def __init__(self, out: FanOut[StreamChunk], turns: _Turns, scheduler: abc.SchedulerBase | None) -> None:
        self._out = out
        self._turns = turns
        self._scheduler = scheduler
        self._clock = out.clock
        self._member: _Member | None = None
        self._is_probe = False
        self._timer: abc.DisposableBase | None = None
        self._has_begun = False

    def begin(self) -> abc.DisposableBase:
        """Ask, or wait; returns what ends that."""
        turns, now = self._turns, self._clock.now()
        self._member = member = turns.pool.pick(turns.tried, now)
        if member is None:
            self._wait(now)
        else:
            turns.tried.append(member)
            self._is_probe = member.breaker.began()
            subscribe_to(turns.ask(member.client), self, self._scheduler)
        if self._left:  # in another thread, meanwhile
            self.dispose()
        return self

    def _wait(self, now: float) -> None:
        turns = self._turns
        wait = turns.pool.wait(turns.tried, now)
        if now + wait > turns.deadline:
            turns.is_over = True
            self._out.end(AllAttemptsFailedError(turns.pool.errors()))
        else:
            turns.place.hold("clients that rest")
            self._timer = self._clock.call_later(wait, self._look_again)

    def _look_again(self) -> None:
        self._wait_no_more()
        self.begin()

    def _wait_no_more(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.dispose()
            self._turns.place.let_go()

    def on_batch(self, items: Sequence[StreamChunk]) -> int:
        taken = self._out.offer(items)
        if not self._has_begun and self._member is not None and not all(item.is_empty for item in items[:taken]):
            self._has_begun = True
            self._member.succeeded()
        return taken

    def on_error(self, error: Exception) -> None:
        member = self._end()
        if member is not None and not self._has_begun and _is_of_the_client(error):
            member.failed(error, self._clock.now())
        self._out.end(error)

    def on_completed(self) -> None:
        member = self._end()
        if member is not None and not self._has_begun:
            member.succeeded()
        self._out.end()

    def dispose(self) -> None:
        super().dispose()
        self._end()
        self._wait_no_more()
        self._out.dispose()

    def _end(self) -> _Member | None:
        member, self._member = self._member, None
        if member is not None:
            member.end(was_probe=self._is_probe)
        return member
