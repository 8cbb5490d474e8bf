"""``deadline``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from reactivex import Observable, abc

from rxllm.exceptions import DeadlineExceededError
from rxllm.flow import FanOut, Operation, check_seconds, clock_of, operate

T = TypeVar("T")


def deadline(seconds: float, *, scheduler: abc.SchedulerBase | None = None) -> Callable[[Observable[T]], Observable[T]]:
    """Fail when the whole stream takes too long: all tries upstream, the waits between them, and the consumer's time.

    ::

        source  --a-b----c-|
                deadline(0.06)
        result  --a-b-#

        a="Hel" b="lo" c="late" #=DeadlineExceededError(0.06)

    The deadline is for everything upstream. Put it below ``retry_with_backoff``, ``fallback`` or ``hedge`` for all
    tries together, or above them for each try. In contrast to ``timeout_per_chunk``, the time during which a consumer
    pauses counts, too. When the deadline passes, the source is left and its connection closed.

    Args:
        seconds: How long the stream may take, from subscribing to its end.
        scheduler: The scheduler for timers; by default that of the subscription, else the running loop.

    Returns:
        An operator that passes its items on.

    Raises:
        DeadlineExceededError: As ``on_error``: the time has passed. ``partial`` has what had come, as in any error.
        ValueError: At once, as is ``TypeError``: ``seconds`` is not positive.
        TypeError: ``seconds`` is not a number.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> rxllm.run(reactivex.never().pipe(ops.deadline(0.001)))
        Traceback (most recent call last):
        rxllm.exceptions.DeadlineExceededError: the deadline of 0.001 s has passed

    See also:
        ``timeout_per_chunk``, ``retry_with_backoff``, ``stop_when``
    """
    check_seconds("seconds", seconds)
    return operate(_Deadline, seconds, scheduler)


class _Deadline(Operation[T, T]):
    def __init__(self, out: FanOut[T], seconds: float, scheduler: abc.SchedulerBase | None) -> None:
        super().__init__(out)
        self._seconds = seconds
        clock = out.clock if scheduler is None else clock_of(scheduler)
        self._timer = clock.call_later(seconds, self._pass)

    def on_next(self, value: T) -> None:
        self.out.offer((value,))

    def on_batch(self, items: Sequence[T]) -> int:
        return self.out.offer(items)

    def on_dispose(self) -> None:
        self._timer.dispose()

    def _pass(self) -> None:
        self.leave()
        self.out.end(DeadlineExceededError(self._seconds))
