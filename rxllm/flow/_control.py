"""Backpressure through operators that know nothing of it.

Rules:

1. A producer owns one ``FlowControl`` and makes it the current one while it delivers an item. Whoever
   cannot take more pauses ``FlowControl.current()``, and resumes it later.
2. A pause is held by a holder and is idempotent. The producer delivers nothing while anyone holds one.
3. A holder releases its pauses when its subscription ends, in whatever way.
4. Outside a flow-controlled emission there is nobody to pause: ``current()`` is ``None``.
5. ``resume`` may come from any task or thread; it takes effect in the thread of the producer's loop.
6. The time spent paused is counted, so that a time-out can tell a slow consumer from a silent producer. The same holds
   for time in which the producer waits for a person.

An Rx chain is a chain of synchronous calls, so a context variable set by the producer is visible in every
operator below it, ours or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextvars import Context, ContextVar, copy_context
from functools import partial
from typing import Any, Protocol, TypeVar

from rxllm.flow._tasks import wake

T = TypeVar("T")
R = TypeVar("R")
E = TypeVar("E", bound=Exception)

_current: ContextVar[FlowControl | None] = ContextVar("rxllm.flow", default=None)
# What ``FlowControl.current`` gives, in half the time: for what is asked for each item.
current: Callable[[], FlowControl | None] = _current.get


MOST_EXCESS = 10_000
"""How many items in excess a lossless operator takes before it fails: see ``Pauses.hold``."""


class Decoder(Protocol):
    """What makes an answer of the items of a producer."""

    @property
    def finished(self) -> bool:
        """Whether the answer is whole, though the producer goes on."""
        ...


class Secrets(Protocol):
    """What a producer has sent and nobody is to see."""

    def scrub(self, text: str) -> str:
        """The text without it."""
        ...

    def scrub_value(self, value: Any) -> Any:
        """A plain value without it, in whatever text within."""
        ...

    def scrub_error(self, error: E) -> E:
        """The same error without it, and so are its causes."""
        ...

    def scrub_items(self, items: Sequence[T]) -> Sequence[T]:
        """Events and frames as they came, without it; chunks and texts as they are."""
        ...


class FlowControl:
    """The handle by which consumers pause and resume a producer.

    Args:
        clock: The clock that measures paused time, in seconds; by default that of the running loop, or
            ``time.monotonic`` if no loop runs.

    Attributes:
        decoder: The decoder of the items, if there is one. Its ``finished`` tells a source that the answer is whole.
        failed: Whether the decoder has met an error, so that the source waits only for usage.
        heavy: Whether the items are so large that few of them should wait. A buffer that counts items, and has no size
            given by its user, then takes no more before it has dealt with those that it has.
        lingers: Whether the producer waits no more than a moment for that.
        paused: Whether anyone holds a pause. Read only.
        paused_before: How many seconds the pauses took that are over. Read only.
        secrets: What was sent and has to be blotted out of errors; ``None`` if there is nothing.
        stream: What is known of the request whose answer the producer delivers; ``None`` if there is none.
        strays: Text that came beside the items and belongs to none of them, at the end; ``None`` if there was none.
    """

    __slots__ = (
        *("_callbacks", "_clock", "_holders", "_loop", "_paused_at", "_serial", "_thread", "_untimed"),
        *("decoder", "failed", "heavy", "lingers", "paused", "paused_before", "secrets", "stream", "strays"),
    )

    def __init__(self, *, clock: Callable[[], float] | None = None) -> None:
        # Each pause has a serial number: a resume that was handed over from another thread must not end
        # a pause that the same holder took in the meantime. Beside it stands when the holder began, by
        # time.monotonic(): the time of a loop may stand still together with the loop.
        self._holders: dict[object, tuple[int, float]] = {}
        self._serial = 0
        # Looked at twice for each item: a property of the holders takes 30 ns longer.
        self.paused: bool = False
        self.stream: Any = None
        self.strays: str | None = None
        self.secrets: Secrets | None = None
        self.decoder: Decoder | None = None
        self.failed: bool = False
        self.heavy: bool = False
        self.lingers: bool = False
        self._paused_at = 0.0
        self.paused_before: float = 0.0
        self._untimed = 0
        # Only ever added to and removed from: threads that dispose take their callbacks back at the same time.
        self._callbacks: list[Callable[[], None]] = []
        self._thread = threading.get_ident()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        self._clock = clock

    @staticmethod
    def current() -> FlowControl | None:
        """The one whose producer is delivering an item right now, or ``None``."""
        return _current.get()

    @property
    def holders(self) -> tuple[object, ...]:
        """Who holds a pause, in the order in which they took it."""
        return tuple(self._holders)

    @property
    def held_since(self) -> tuple[tuple[object, float], ...]:
        """Who holds a pause, and since which ``time.monotonic()``; from any thread."""
        return tuple((holder, since) for holder, (_, since) in tuple(self._holders.items()))

    @property
    def paused_time(self) -> float:
        """Seconds spent paused or untimed since the beginning, the present pause included."""
        running = self._now() - self._paused_at if self._holders or self._untimed else 0.0
        return self.paused_before + running

    @property
    def is_timed(self) -> bool:
        """Whether silence counts now: nobody holds a pause, and the producer waits for no person."""
        return not (self._holders or self._untimed)

    @contextlib.contextmanager
    def untimed(self) -> Generator[None]:
        """Let the time within count for no time-out: the producer waits for a person, say.

        Unlike a pause it holds back nothing: what has been emitted goes on to the consumers.
        """
        if self.is_timed:
            self._paused_at = self._now()
        self._untimed += 1
        try:
            yield
        finally:
            self._untimed -= 1
            if self.is_timed:
                self.paused_before += self._now() - self._paused_at

    def _now(self) -> float:
        if self._clock is not None:
            return self._clock()
        return time.monotonic() if self._loop is None else self._loop.time()

    def pause(self, holder: object) -> None:
        """Stop the producer until ``holder`` resumes it; pausing twice is pausing once."""
        if not self._holders:
            if not self._untimed:
                self._paused_at = self._now()
            self.paused = True
        held = self._holders.get(holder)
        self._serial += 1
        self._holders[holder] = (self._serial, time.monotonic() if held is None else held[1])

    def resume(self, holder: object) -> None:
        """End the pause that ``holder`` holds, if it holds one; from any thread."""
        held = self._holders.get(holder)
        if held is None:
            return
        if self._loop is None or threading.get_ident() == self._thread:
            self._release(holder, held)
        else:
            self._loop.call_soon_threadsafe(self._release, holder, held)

    def _release(self, holder: object, held: tuple[int, float]) -> None:
        if self._holders.get(holder) != held:
            return
        del self._holders[holder]
        if not self._holders:
            self.paused = False
            if not self._untimed:
                self.paused_before += self._now() - self._paused_at
            callbacks, self._callbacks = self._callbacks, []
            # Resuming is no emission, wherever it was asked for: a task or timer that was set within one has a copy of
            # its context, and what goes on here would pause a producer that is not delivering.
            token = _current.set(None)
            try:
                _call_all(callbacks)
            finally:
                _current.reset(token)

    def when_resumed(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once, when the last pause ends; at once if there is none.

        Returns:
            A function that takes the request back.
        """
        if not self._holders:
            callback()
            return lambda: None
        self._callbacks.append(callback)

        def withdraw() -> None:
            with contextlib.suppress(ValueError):  # called back already
                self._callbacks.remove(callback)

        return withdraw

    async def wait_resumed(self) -> None:
        """Wait until nobody holds a pause."""
        while self._holders:
            resumed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            withdraw = self.when_resumed(partial(wake, resumed))
            try:
                await resumed
            finally:
                withdraw()

    def deliver(self, on_next: Callable[[T], R], item: T) -> R:
        """Call ``on_next(item)`` with this one current."""
        token = _current.set(self)
        try:
            return on_next(item)
        finally:
            _current.reset(token)

    def enter(self) -> None:
        """Make this the current one for the rest of the running task, which delivers for one producer only."""
        _current.set(self)

    @staticmethod
    def leave() -> None:
        """Have no current one from here on: completion is no emission, and what it starts cannot be paused."""
        _current.set(None)


def _call_all(callbacks: Sequence[Callable[[], None]]) -> None:
    if len(callbacks) == 1:
        # The source that waits, nearly always: without the stack 1 µs less.
        callbacks[0]()
        return
    # First come, first called; one that raises must not keep the others, or a producer waits for ever.
    with contextlib.ExitStack() as stack:
        for callback in reversed(callbacks):
            stack.callback(callback)


_NOBODY: frozenset[FlowControl] = frozenset()


class Pauses:
    """The pauses that one consumer holds, of any number of producers (behind ``merge`` there are several).

    Args:
        name: The name of the consumer, for diagrams and leak checks.
    """

    __slots__ = ("_flows", "_name")

    def __init__(self, name: str = "") -> None:
        # One that pauses nobody, as nearly all, keeps none of its own.
        self._flows: set[FlowControl] | frozenset[FlowControl] = _NOBODY
        self._name = name

    def __repr__(self) -> str:
        return self._name or super().__repr__()

    @property
    def name(self) -> str:
        """Who holds them."""
        return self._name

    def __bool__(self) -> bool:
        return bool(self._flows)

    def hold(self, excess: int = 0) -> bool:
        """Pause the producer that is delivering; ``False`` if there is none, or if it goes on all the same.

        Args:
            excess: How many items more than there is room for have come, although their producers are paused. A few
                may have been under way, as behind ``delay``. More than ``MOST_EXCESS`` come from a timer that somebody
                set within an emission: it counts as part of the emission, but cannot be paused.
        """
        flow = FlowControl.current()
        if flow is None or excess > MOST_EXCESS:
            return False
        if isinstance(self._flows, frozenset):
            self._flows = {flow}
        else:
            self._flows.add(flow)
        flow.pause(self)
        return True

    def release(self) -> None:
        """Resume all that this one paused."""
        flows, self._flows = self._flows, _NOBODY
        for flow in flows:
            flow.resume(self)


def without_secrets(items: Sequence[T]) -> Sequence[T]:
    """What a sink gets: events and frames as they came, but for the echo of a key; chunks and texts as they are."""
    flow = _current.get()
    return items if flow is None or flow.secrets is None else flow.secrets.scrub_items(items)


def outside_of_emissions() -> Context:
    """A copy of the present context in which nobody is current: for what is no part of the emission under way."""
    context = copy_context()
    if FlowControl.current() is not None:
        context.run(FlowControl.leave)
    return context
