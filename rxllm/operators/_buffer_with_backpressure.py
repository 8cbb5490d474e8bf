"""``buffer_with_backpressure``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from reactivex import Observable, abc

from rxllm.exceptions import BufferOverflowError
from rxllm.operators._backlog import Backlog, check_bounds
from rxllm.operators._emission import Outlet
from rxllm.operators._stage import Receiver, Timed, each, end
from rxllm.typing import Overflow

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

    A consumer that takes four frames for an item. ``d`` is the third to wait, so the producer is paused; it goes on
    when one is left::

        source   --abcde-|
                 buffer_with_backpressure(3)
        takes    4
        paused   -----[----]
        waiting  ---1232-------1---0
        result   --a---b---c---d---(e|)

    The same consumer, and deltas that are merged while they wait::

        source   --abcd--e-|
                 buffer_with_backpressure(3, overflow="conflate")
        takes    4
        result   --a---x---(e|)

        a=text_chunk("a") b=text_chunk("b") c=text_chunk("c") d=text_chunk("d") e=text_chunk("e")
        x=text_chunk("bcd")

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
    check_bounds(size, overflow)  # a wrong argument is reported where it stands

    return lambda source: Timed(source, _Buffer, size, overflow)


class _Buffer(Receiver[T]):
    """One subscription."""

    def __init__(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None, size: int, overflow: Overflow
    ) -> None:
        self._observer = observer
        self._backlog: Backlog[T] = Backlog(size, overflow, "buffer_with_backpressure")
        self._outlet = Outlet(observer, self._drain, scheduler)
        self._ended = False
        self._error: Exception | None = None

    def on_next(self, value: T) -> None:
        if self._ended:
            return
        self._outlet.adopt()
        if not self._backlog.items and self._outlet.open:
            self._outlet.emit(value)
            if self._backlog.items or self._ended:  # from within the emission
                self._drain()
            return
        try:
            self._backlog.push(value)
        except BufferOverflowError as error:
            self._end(error)

    def on_batch(self, items: Sequence[T]) -> int:
        taken = 0
        self._outlet.adopt()
        if not (self._ended or self._backlog.items) and self._outlet.open:
            taken = self._outlet.emit_batch(items)
            if self._backlog.items or self._ended:  # from within the emission
                self._drain()
        if self._ended:
            return taken
        # The others wait here, as far as there is room.
        return taken + each(self.on_next, items[taken:], lambda: self._ended)

    def on_error(self, error: Exception) -> None:
        self._end(error)

    def on_completed(self) -> None:
        self._end()

    def _end(self, error: Exception | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        self._error = error
        self._drain()

    def dispose(self) -> None:
        super().dispose()
        # In the middle of a batch, too: whoever has the rest of it is not to think that it arrived.
        self._ended = True
        self._outlet.dispose()
        self._backlog.clear()

    def _drain(self) -> None:
        while self._backlog.items and self._outlet.open:
            self._outlet.emit(self._backlog.take())
            self._backlog.relax()
        if self._ended and not self._backlog.items and not self._outlet.emitting:
            end(self._observer, self._error)
