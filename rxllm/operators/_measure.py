"""``measure``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from reactivex import Observable

from rxllm.accumulators import Stopwatch, usage_after
from rxllm.flow import FanOut, Operation, check_callable, consumer, current, operate, tell
from rxllm.models import StreamChunk, Timing, Usage

T = TypeVar("T")


def measure(*, on_end: Callable[[Timing], object]) -> Callable[[Observable[T]], Observable[T]]:
    """Report how fast the items came, once, when the stream ends, fails, is stopped, or is left.

    ::

        source  --a-b---c-|
                measure(on_end=print)
        result  --a-b---c-|

        a=text_chunk("Hel") b=text_chunk("lo") c=finish_chunk("stop")

    The items pass unchanged. The time in which a consumer pauses the source is counted in ``paused``, and in
    ``elapsed``, but in no other time. If you use ``accumulate``, you do not need this operator: ``completion.timing``
    says the same.

    Args:
        on_end: Called with the ``rxllm.Timing``. If the items are chunks of a request, times count from that request,
            else from the subscription. Items of other classes are counted, and have no text, calls or tokens. If
            ``on_end`` raises, the stream fails with that exception instead of its own end or error; when the stream is
            left, the exception goes to the subscriber.

    Returns:
        An operator that passes its items on.

    Raises:
        TypeError: At once: ``on_end`` cannot be called.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> seen = []
        >>> rxllm.run(reactivex.of("Hel", "lo").pipe(ops.measure(on_end=seen.append)))
        'lo'
        >>> seen[0].chunks
        2

    See also:
        ``accumulate``, ``timeout_per_chunk``
    """
    check_callable("on_end", on_end)
    return operate(_Measure, on_end)


class _Measure(Operation[T, T]):
    def __init__(self, out: FanOut[T], on_end: Callable[[Timing], object]) -> None:
        super().__init__(out)
        readings = out.readings
        self._now = readings.now
        self._watch = Stopwatch(readings.began, unix=readings.unix)
        self._on_end: Callable[[Timing], object] | None = on_end
        self._usage: Usage | None = None
        self._is_offering = False
        self._consumer = consumer()

    def on_next(self, value: T) -> None:
        self.on_batch((value,))

    def on_batch(self, items: Sequence[T]) -> int:
        self.out.producer = flow = current()
        now, paused = self._now(), 0.0 if flow is None else flow.paused_before
        taken = 0
        self._is_offering = True
        try:
            taken = self.out.offer(items)
        finally:
            self._is_offering = False
            self._watch.add(items[:taken], now, paused, None if flow is None else flow.stream)
            self._note_usage(items[:taken])
            if self._disposed:
                self.on_dispose()
        return taken

    def on_failure(self, error: Exception, /) -> Iterable[T]:
        try:
            return self.on_end()
        except Exception as failure:
            failure.__context__ = error
            raise
        finally:
            del error  # whose traceback may keep this frame: a circle for the garbage collector

    def on_end(self) -> Iterable[T]:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            flow = self.out.producer
            self._watch.add((), self._now(), 0.0 if flow is None else flow.paused_time)
            on_end(self._watch.timing(self._usage))
        return ()

    def on_dispose(self) -> None:
        if self._is_offering:
            return  # how much of that is taken is not known yet
        try:
            self.on_end()
        except Exception as error:
            tell(self._consumer, error)
        self._consumer = None

    def _note_usage(self, items: Sequence[T]) -> None:
        for item in items:
            if isinstance(item, StreamChunk) and item.usage is not None:
                self._usage, _ = usage_after(self._usage, item)
