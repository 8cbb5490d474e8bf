"""``timeout_per_chunk``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar, overload

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable

from rxllm.exceptions import ChunkTimeoutError
from rxllm.flow import (
    Clock,
    FanOut,
    FlowControl,
    Operation,
    check_kind,
    check_seconds,
    clock_of,
    current,
    nothing,
    operate,
)
from rxllm.models import StreamChunk, StreamInfo

T = TypeVar("T")


# Written out, and not as OperatorFunction[T, T]: through an alias mypy does not see that the operator is generic.
@overload
def timeout_per_chunk(
    seconds: float, *, first: float | None = None, other: None = None, scheduler: abc.SchedulerBase | None = None
) -> Callable[[Observable[T]], Observable[T]]: ...


@overload
def timeout_per_chunk(
    seconds: float, *, first: float | None = None, other: Observable[T], scheduler: abc.SchedulerBase | None = None
) -> Callable[[Observable[T]], Observable[T]]: ...


def timeout_per_chunk(
    seconds: float,
    *,
    first: float | None = None,
    other: Observable[T] | None = None,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Fail, or switch to another source, when the producer is silent for too long.

    ::

        source  --a-b----------c-|
                timeout_per_chunk(0.05)
        result  --a-b----#

        a="Hel" b="lo" c="late" #=ChunkTimeoutError("gap", 0.05, 2)

    Measures the silence of the producer, not the slowness of the consumer: the time does not run while the producer is
    paused, nor while it waits for a person (``approve`` of ``LLMClient.chat_with_tools``). There is one timer for a
    subscription; it is set again when it fires, not at each chunk. On error and on dispose it is cancelled. Put this
    operator after ``parse``: keep-alive comments are not chunks and do not end the silence. Chunks that say nothing of
    an answer (``StreamChunk.is_empty``) are passed on, and do not end it either. Any item of another class does.

    If the consumer takes nothing for nine frames, that is not silence::

        source  --a-b-c-|
                timeout_per_chunk(0.05)
        pauses  ---[--------]
        paused  ---[--------]
        result  --a---------(bc|)

        a="Hel" b="lo" c="!"

    Empty chunks are silence::

        source  --a-b-e-e-e-|
                timeout_per_chunk(0.05)
        result  --a-b-e-e#

        a="Hel" b="lo" e=text_chunk("") #=ChunkTimeoutError("gap", 0.05, 4, empty=2)

    With ``other``, the source is left, and the time for ``other`` begins::

        source  --a-b---------c-|
        other   ---d|
                timeout_per_chunk(0.05, other=other)
        result  --a-b-------d|

        a="Hel" b="lo" c="late" d="Sorry."

    Args:
        seconds: The longest silence between two chunks that are not empty, in seconds. Also the longest silence before
            the first one, unless ``first`` is given.
        first: The longest time from subscribing to the first chunk, in seconds. Models think before they answer.
        other: The observable to go on with instead of failing. The source is disposed first.
        scheduler: The scheduler for timers; by default that of the subscription, else the running loop.

    Returns:
        An operator that passes its items on.

    Raises:
        ChunkTimeoutError: As ``on_error``, if there is no ``other``. The error says which limit was exceeded, after how
            many chunks, and what came in that time: no bytes, or bytes and chunks that say nothing of an answer.
        ValueError: At once: a limit is not positive.
        TypeError: At once: a limit is not a number, or ``other`` is not an observable.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> rxllm.run(reactivex.never().pipe(ops.timeout_per_chunk(10, first=0.001)))
        Traceback (most recent call last):
        rxllm.exceptions.ChunkTimeoutError: waited 0.001 s for the first chunk

    See also:
        ``parse``, ``reactivex.operators.timeout`` (which makes a timer for each item)
    """
    first_seconds = seconds if first is None else first
    check_seconds("seconds", seconds)
    check_seconds("first", first_seconds)
    if other is not None:
        check_kind("other", other, Observable)

    return operate(_Watch, other, scheduler, first_seconds, seconds)


class _Watch(Operation[T, T]):
    """Passes everything on, and notes that it came."""

    hears_of_sources = True

    def __init__(
        self,
        out: FanOut[T],
        other: Observable[T] | None,
        scheduler: abc.SchedulerBase | None,
        first: float,
        gap: float,
    ) -> None:
        super().__init__(out)
        self._other = other
        self._instead = None if other is None else SingleAssignmentDisposable()
        clock = out.clock if scheduler is None else clock_of(scheduler)
        self.silence = _Silence(clock, first, gap, self.expire)

    def on_source(self, flow: FlowControl, /) -> None:
        self.silence.goes_on_with(flow)

    def on_next(self, value: T) -> None:
        # A chunk with text is told at once.
        if (
            isinstance(value, StreamChunk)
            and not ((choices := value.choices) and choices[0].delta.content)
            and value.is_empty
        ):
            self.silence.goes_on(1, value)
        else:
            self.silence.broken(1, value)
        self.out.offer((value,))

    def on_batch(self, items: Sequence[T]) -> int:
        note: Callable[[int, Any], None] = self.silence.broken
        item: Any = None
        for item in items:
            if not (isinstance(item, StreamChunk) and item.is_empty):
                break
        else:
            note = self.silence.goes_on
        note(len(items), item)
        taken = self.out.offer(items)
        # While the consumer was busy with all of them, the producer was not silent.
        note(taken - len(items), item)
        return taken

    def on_failure(self, error: Exception, /) -> Iterable[T]:
        del error
        return self.on_end()

    def on_end(self) -> Iterable[T]:
        self.silence.dispose()
        return ()

    def expire(self, error: ChunkTimeoutError) -> None:
        """Leave the source, which has been silent for too long."""
        self.leave()
        if self._other is None or self._instead is None:
            self.out.end(error)
        else:
            self._instead.disposable = self.out.switch_to(self._other)

    def on_dispose(self) -> None:
        self.silence.dispose()
        if self._instead is not None:
            self._instead.dispose()


class _Silence:
    """How long the producer has said nothing, and what happens when that is too long."""

    # Less than any timer resolves; keeps rounding from re-arming a timer for no time at all.
    _TOLERANCE = 1e-6

    def __init__(self, clock: Clock, first: float, gap: float, expire: Callable[[ChunkTimeoutError], None]) -> None:
        self._clock = clock
        self._now = clock.now
        self._first = first
        self._gap = gap
        self._expire = expire
        self._begun = False
        self._chunks = 0
        # How many of them came in this silence.
        self._empty = 0
        self._since = clock.now()
        # Who delivered last, or started, and for how long that one, and those before it, had been paused.
        self._flow: FlowControl | None = None
        self._paused_before = 0.0
        # What counts the bytes, and how many had come; or a source of which no item has come yet.
        self._stream: StreamInfo | None = None
        self._bytes = 0
        self._starting: FlowControl | None = None
        self._timer: abc.DisposableBase = clock.call_later(first, self._check)
        self._over = False

    def broken(self, count: int, item: Any) -> None:
        """So many items came at once, one of which says something.

        The timer stays as it is: it looks for itself when it fires. A negative number takes back those of a batch that
        were not taken.
        """
        self._since = self._now()
        self._flow = flow = current()
        stream: StreamInfo | None = None
        if flow is not None:
            self._paused_before = flow.paused_time if flow.paused else flow.paused_before
            stream = flow.stream
        if stream is None:
            stream = item.stream if isinstance(item, StreamChunk) else None
        self._stream = stream
        if stream is not None:
            self._bytes = stream.bytes
        self._starting = None
        self._empty = 0
        self._chunks += count
        if not self._begun:
            self._begun = True
            if self._gap < self._first:
                # The gap may be shorter than what is left of the time for the first chunk.
                self._timer.dispose()
                self._set(self._clock.call_later(self._gap, self._check))

    def goes_on(self, count: int, chunk: Any) -> None:
        """So many chunks came that say nothing, one of them this."""
        self._chunks += count
        self._empty += count
        if not self._begun:
            self._stream = chunk.stream
        flow = current()
        if flow is not None and flow is not self._flow:
            self._follow(flow)

    def goes_on_with(self, flow: FlowControl) -> None:
        """A source started, of which nothing has come."""
        self._follow(flow)
        self._starting = flow
        self._stream = None
        self._bytes = 0

    def _follow(self, flow: FlowControl) -> None:
        before = self._flow
        paused = 0.0 if before is None else before.paused_time - self._paused_before
        self._flow = flow
        self._paused_before = flow.paused_time - paused

    def dispose(self) -> None:
        """Cancel the timer."""
        self._over = True
        self._expire = nothing
        self._timer.dispose()

    def _set(self, timer: abc.DisposableBase) -> None:
        self._timer = timer
        if self._over:  # in another thread, meanwhile
            timer.dispose()

    def _check(self) -> None:
        flow = self._flow
        if flow is not None and flow.paused:
            self._set(Disposable(flow.when_resumed(self._check)))
            return
        limit = self._gap if self._begun else self._first
        if flow is not None and not flow.is_timed:
            # What is left stays as it is meanwhile, and may be next to nothing: not to be asked for again and again.
            self._set(self._clock.call_later(limit, self._check))
            return
        paused = 0.0 if flow is None else flow.paused_time - self._paused_before
        left = limit - (self._now() - self._since - paused)
        if left > self._TOLERANCE:
            self._set(self._clock.call_later(left, self._check))
        else:
            phase: Literal["first", "gap"] = "gap" if self._begun else "first"
            self._expire(ChunkTimeoutError(phase, limit, self._chunks, bytes=self._received(), empty=self._empty))

    def _received(self) -> int | None:
        """How many bytes came in this silence, if that is known."""
        if self._stream is not None:
            return self._stream.bytes - self._bytes
        stream = None if self._starting is None else self._starting.stream
        return None if stream is None else stream.bytes
