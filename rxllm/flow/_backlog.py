"""A bounded queue in front of a slow consumer, and what it does when it is full.

Rules:

1. A lossless backlog (``"pause"``, ``"conflate"``) pauses the producer when it is full and resumes it when half of it
   is gone; at most what was under way when it became full is in excess.
2. If there is no producer to pause it raises ``BufferOverflowError`` instead of growing.
3. ``"drop_oldest"`` and ``"drop_newest"`` lose items and pause nobody; ``"error"`` raises when it is full.
4. With ``"conflate"`` items that wait become one where a ``Merger`` can make one of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast, get_args

from rxllm.exceptions import BufferOverflowError
from rxllm.flow._arguments import check_count
from rxllm.flow._control import Pauses
from rxllm.typing import Overflow

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_OVERFLOWS = get_args(Overflow)


def check_bounds(size: int, overflow: Overflow) -> None:
    """Check the arguments of a backlog, where they are given.

    Raises:
        TypeError: ``size`` is not a whole number.
        ValueError: ``size`` is less than 1 or ``overflow`` is not a known word.
    """
    check_count("the size of a buffer", size)
    if overflow not in _OVERFLOWS:
        raise ValueError(f"overflow must be one of {', '.join(_OVERFLOWS)}, not {overflow!r}")


class Queue(Protocol[T_co]):
    """What waits in an operator, for ``FanOut.hold``: a ``Backlog``, or one with an order of its own."""

    def __len__(self) -> int:
        """How many items are still to come: the end waits behind them."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the first may be emitted now."""
        ...

    def take(self) -> T_co:
        """The first item. What this raises fails the stream."""
        ...

    def relax(self) -> None:
        """Resume producers if there is room: an item was emitted."""
        ...


class Merger(ABC, Generic[T]):
    """Items that wait and become one when that is taken. It is made of the first of them."""

    __slots__ = ()

    @abstractmethod
    def add(self, item: T) -> bool:
        """Take an item in, if nothing is lost by that; returns whether it was."""

    @abstractmethod
    def close(self) -> T:
        """The one item."""


class Backlog(Generic[T]):
    """A queue of bounded size, which pauses producers.

    Args:
        size: How many items wait at most, those that are out being processed included.
        overflow: What happens when one more comes: see ``operators.buffer_with_backpressure``.
        holder: Who pauses the producers, as diagrams and errors tell it.
        resume_at: At how many items the producers are resumed; by default at half of ``size``.
        merge: With ``"conflate"``, makes the ``Merger`` of an item that waits.

    Raises:
        ValueError: ``size`` is less than 1 or ``overflow`` is not a known word.

    Attributes:
        size: How many items wait at most.
        out: How many of the items taken are still being processed, and count as waiting.
        dropped: How many items were lost.
        items: What waits, oldest first, only to be looked at; with ``merge`` some may be a ``Merger``.
        pauses: Whether it pauses a producer: then taking an item may resume it.
        unit: What is counted.
    """

    unit: ClassVar[str] = "items"

    __slots__ = (
        *("_lossless", "_merge", "_overflow", "_pauses", "_resume_at", "_until_empty"),
        *("dropped", "items", "out", "pauses", "size"),
    )

    def __init__(
        self,
        size: int,
        overflow: Overflow = "pause",
        *,
        holder: str = "a backlog",
        resume_at: int | None = None,
        merge: Callable[[T], Merger[T]] | None = None,
    ) -> None:
        check_bounds(size, overflow)
        self.size = size
        self._overflow = overflow
        self._lossless = overflow in {"pause", "conflate"}
        self._merge = merge if overflow == "conflate" else None
        # Looked at for each item, as are the pauses; by way of a method it takes three times as long.
        self.items: deque[T] = deque()
        self.pauses: bool = False
        self._pauses = Pauses(holder)
        self._resume_at = size // 2 if resume_at is None else resume_at
        self._until_empty = False
        self.out: int = 0
        self.dropped: int = 0

    def __len__(self) -> int:
        return len(self.items)

    @property
    def ready(self) -> bool:
        """Whether there is an item to take."""
        return bool(self.items)

    @property
    def waiting(self) -> int:
        """How many items count as waiting, those that are out being processed included."""
        return len(self.items) + self.out

    @property
    def holder(self) -> Pauses:
        """Who pauses the producers."""
        return self._pauses

    @property
    def room(self) -> int:
        """How many items there is room for that can be taken together: none unless nothing but room is asked for."""
        return self.size - len(self.items) - self.out if self._overflow == "pause" else 0

    def push(self, item: T) -> None:
        """Let an item wait.

        Raises:
            BufferOverflowError: There is no room, and nobody to pause, or ``overflow="error"``.
        """
        if self._merge is not None and self._merged(item, self._merge):
            return
        excess = len(self.items) + self.out + 1 - self.size
        if excess < 0:
            self.items.append(item)
            return
        if self._lossless:
            if not self._hold(excess) and excess > 0:
                raise BufferOverflowError(
                    f"{self.size} items wait in {self._pauses!r} and there is no producer to pause: the source is no "
                    "rxllm source, or an operator with a timer or thread of its own stands between. Bound it by a "
                    "buffer_with_backpressure, a lossy one if need be",
                    size=self.size,
                )
        elif excess > 0 and not self._make_room():
            return
        self.items.append(item)

    def extend(self, items: Sequence[T]) -> None:
        """Let items wait, no more than there is room for."""
        self.items.extend(items)
        if self.room <= 0:
            self._hold()

    def skip(self) -> None:
        """Count one more item as being processed, which need not wait."""
        self.out += 1
        if len(self.items) + self.out >= self.size:
            self._hold()

    def hold_until_empty(self) -> None:
        """Pause the producers until nothing waits, though there may be room."""
        self._until_empty = True
        self._hold()

    def _hold(self, excess: int = 0) -> bool:
        self.pauses = True
        return self._pauses.hold(excess)

    def _make_room(self) -> bool:
        """Drop the oldest item, if there is one to drop; otherwise it is the new one that is dropped."""
        if self._overflow == "error":
            raise BufferOverflowError(f"{self.size} items wait already", size=self.size)
        self.dropped += 1
        if self._overflow == "drop_newest" or not self.items:
            return False
        self.items.popleft()
        return True

    def _merged(self, item: T, merge: Callable[[T], Merger[T]]) -> bool:
        """Whether the item became one with the last that waits."""
        if not self.items:
            return False
        last: Any = self.items[-1]
        merger = cast("Merger[T]", last) if isinstance(last, Merger) else merge(last)
        if not merger.add(item):
            return False
        self.items[-1] = cast("T", merger)
        return True

    def take(self) -> T:
        """The oldest item that waits. Call ``relax`` when it was dealt with."""
        item = self.items.popleft()
        return cast("Merger[T]", item).close() if isinstance(item, Merger) else item

    def take_all(self) -> Sequence[T]:
        """All items that wait, oldest first; they count as waiting until ``out`` is set back."""
        # One by one and not by clear(): what another thread adds meanwhile stays.
        batch = [self.take() for _ in range(len(self.items))]
        self.out += len(batch)
        return batch

    def relax(self) -> None:
        """Resume the producers when few enough wait: after items were taken."""
        if self.pauses and len(self.items) + self.out <= (0 if self._until_empty else self._resume_at):
            self.release()

    def clear(self) -> None:
        """Forget what waits and resume the producers: at the end of a subscription."""
        self.items.clear()
        self.release()

    def release(self) -> None:
        """Resume the producers, keeping what waits: the subscription ended but its items are still wanted."""
        self.pauses = self._until_empty = False
        self._pauses.release()
