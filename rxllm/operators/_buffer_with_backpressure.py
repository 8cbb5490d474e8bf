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
