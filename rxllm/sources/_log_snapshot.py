"""Items of a log, and what there is of a stream as few of them as possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rxllm.accumulators import Folded
from rxllm.models import LogPosition, StreamChunk

__all__ = ["LogItem", "Snapshot"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LogItem(Generic[T]):
    """An item of a log, and where it is.

    Attributes:
        position: Where it is: what ``from_log(after=…)`` takes.
        item: The item.
        restarts: Whether what came before it in the stream does not count any more.
    """

    position: LogPosition
    item: T
    restarts: bool = False


class Snapshot:
    """What there is of a stream, as few items as possible."""

    def __init__(self) -> None:
        self._folds: list[_Fold] = []

    def add(self, item: LogItem[Any]) -> None:
        """Take an item in.

        Raises:
            TypeError: It is neither a chunk nor a text.
        """
        if item.restarts:
            self._folds.clear()
        if not self._folds or not self._folds[-1].goes_on_with(item.item):
            self._folds.append(_Fold(item))
        self._folds[-1].add(item)

    def close(self) -> list[LogItem[StreamChunk | str]]:
        """What they are."""
        return [fold.close() for fold in self._folds]


class _Fold:
    """Items that become one: it stands where the last of them does, and restarts if the first does."""

    def __init__(self, first: LogItem[Any]) -> None:
        item = first.item
        if not isinstance(item, StreamChunk | str):
            raise TypeError(f"a snapshot is made of chunks or of texts, not of {type(item).__name__}")
        self._content: Folded | list[str] = Folded() if isinstance(item, StreamChunk) else []
        self._restarts = first.restarts
        self._position = first.position

    def goes_on_with(self, item: object) -> bool:
        """Whether an item becomes one with those before."""
        if isinstance(self._content, list):
            return isinstance(item, str)
        return isinstance(item, StreamChunk) and (not item.begins or item.restarts)

    def add(self, item: LogItem[Any]) -> None:
        """Take an item in."""
        if isinstance(self._content, list):
            self._content.append(item.item)
        else:
            self._content.add(item.item)
        self._position = item.position

    def close(self) -> LogItem[StreamChunk | str]:
        """The one item."""
        item = "".join(self._content) if isinstance(self._content, list) else self._content.close()
        return LogItem(self._position, item, self._restarts)
