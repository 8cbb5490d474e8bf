"""``buffer_with_backpressure``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from reactivex import Observable

from rxllm.accumulators import Conflation
from rxllm.flow import Backlog, FanOut, Operation, check_bounds, operate
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

    While the consumer takes items, each is passed on at once. While a consumer below holds a pause, items wait. When
    ``size`` items wait, the producer is paused; when half of them are gone, it is resumed. The end and an error wait
    behind the items. On dispose, the items that wait are dropped and the producer is resumed.

    In this diagram the consumer takes four frames for an item. ``d`` is the third item to wait, so the producer is
    paused. It goes on when only one item waits::

        source   --abcde-|
                 buffer_with_backpressure(3)
        takes    4
        paused   -----[----]
        waiting  ---1232-------1---0
        result   --a---b---c---d---(e|)

    With the same consumer, text deltas are merged while they wait::

        source   --abcd--e-|
                 buffer_with_backpressure(3, overflow="conflate")
        takes    4
        result   --a---x---(e|)

        a=text_chunk("a") b=text_chunk("b") c=text_chunk("c") d=text_chunk("d") e=text_chunk("e")
        x=text_chunk("bcd")

    Args:
        size: How many items may wait, at least 1.
        overflow: What to do when one more comes. ``"pause"`` pauses the producer and loses nothing. ``"conflate"``
            merges text deltas that wait into one, and pauses for items that cannot be merged; it loses nothing, either.
            ``"drop_oldest"`` and ``"drop_newest"`` drop an item and never pause. ``"error"`` fails with a
            ``BufferOverflowError``.

    Returns:
        An operator that passes its items on.

    Raises:
        BufferOverflowError: As ``on_error``: the buffer is full, and the producer cannot be paused (``"pause"``,
            ``"conflate"``) or must not be (``"error"``). The items that wait come before the error.
        ValueError: At once: ``size`` is less than 1, or ``overflow`` is not one of these words.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> rxllm.run(reactivex.of("Hel", "lo").pipe(ops.buffer_with_backpressure(16)))
        'lo'

    See also:
        ``map_async``, ``tee_to``, ``rxllm.FlowControl``
    """
    check_bounds(size, overflow)  # a wrong argument is reported where it stands

    return operate(_Buffer, size, overflow)


class _Buffer(Operation[T, T]):
    def __init__(self, out: FanOut[T], size: int, overflow: Overflow) -> None:
        super().__init__(out)
        self._backlog: Backlog[T] = Backlog(size, overflow, holder="buffer_with_backpressure", merge=Conflation)
        self.works_with = size
        out.hold(self._backlog)

    def on_item(self, item: T, /) -> Iterable[T]:
        self._backlog.push(item)
        self.out.drain()
        return ()

    def on_next(self, value: T) -> None:
        if not self.out.offer((value,)):
            super().on_next(value)

    def on_batch(self, items: Sequence[T]) -> int:
        taken = self.out.offer(items)
        # The others wait here, as far as there is room.
        return taken + super().on_batch(items[taken:]) if taken < len(items) else taken

    def on_dispose(self) -> None:
        self._backlog.clear()
