"""``buffer_with_backpressure``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxllm.exceptions import BufferOverflowError
from rxllm.operators._backlog import Backlog
from rxllm.operators._emission import Outlet
from rxllm.typing import Overflow

__all__ = ["buffer_with_backpressure"]

T = TypeVar("T")


# Written out, and not as OperatorFunction[T, T]: through an alias mypy does not see that the operator is generic.
def buffer_with_backpressure(size: int, *, overflow: Overflow = "pause") -> Callable[[Observable[T]], Observable[T]]:
    """Let items wait while the consumer is busy, and pause the producer before there are too many.

    ::

        source  --a-b-c---|
                buffer_with_backpressure(2)
        result  --a-b-c---|

        a="Hel" b="lo" c="!"

    An item is handed on at once while the consumer takes them. While a consumer below holds a pause, items wait; at
    ``size`` the producer is paused, at half of it resumed. The end waits behind the items, an error too. On dispose
    what waits is forgotten and the producer resumed.

    Args:
        size: How many items wait at most, at least 1.
        overflow: What happens to more: ``"pause"`` loses nothing; ``"conflate"`` merges text deltas that wait to one,
            so that nothing is lost and (almost) nothing waits, and pauses for what cannot be merged; ``"drop_oldest"``
            and ``"drop_newest"`` lose items and never pause; ``"error"`` fails.

    Returns:
        An operator that passes its items on.

    Raises:
        BufferOverflowError: As ``on_error``: the buffer is full, and nothing can be paused (``"pause"``,
            ``"conflate"``) or shall be (``"error"``). The items that wait come before it.
        ValueError: At once: ``size`` or ``overflow`` is not one of those.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> rxllm.run(reactivex.of("Hel", "lo").pipe(ops.buffer_with_backpressure(16)))
        'lo'

    See also:
        ``map_async``, ``tee_to``, ``rxllm.FlowControl``
    """
    Backlog[object](size, overflow)  # a wrong argument is reported where it stands

    def buffer_with_backpressure_(source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            buffer = _Buffer[T](observer, Backlog[T](size, overflow), scheduler)
            return CompositeDisposable(
                source.subscribe(buffer.on_next, buffer.end, buffer.end, scheduler=scheduler),
                Disposable(buffer.dispose),
            )

        return Observable(subscribe)

    return buffer_with_backpressure_


class _Buffer(Generic[T]):
    def __init__(self, observer: abc.ObserverBase[T], backlog: Backlog[T], scheduler: abc.SchedulerBase | None) -> None:
        self._observer = observer
        self._backlog = backlog
        self._outlet = Outlet(observer, self._drain, scheduler)
        self._ended = False
        self._error: Exception | None = None

    def on_next(self, item: T) -> None:
        if self._ended:
            return
        if not self._backlog.items and self._outlet.open:
            self._outlet.emit(item)
            if self._backlog.items or self._ended:  # from within the emission
                self._drain()
            return
        try:
            self._backlog.push(item)
        except BufferOverflowError as error:
            self.end(error)

    def end(self, error: Exception | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        self._error = error
        self._drain()

    def dispose(self) -> None:
        self._outlet.dispose()
        self._backlog.clear()

    def _drain(self) -> None:
        while self._backlog and self._outlet.open:
            self._outlet.emit(self._backlog.take())
            self._backlog.relax()
        if self._ended and not self._backlog and not self._outlet.emitting:
            if self._error is None:
                self._observer.on_completed()
            else:
                self._observer.on_error(self._error)
