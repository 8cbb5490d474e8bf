"""Text deltas that wait become one.

Two chunks are merged only if nothing is lost that an accumulation would keep: both belong to the same choice and hold
text and nothing else. Of what servers repeat with each chunk (its time, its padding) the last counts, as in
``accumulate``. Other items are never merged: a string may be a frame that is to be parsed.
"""

from __future__ import annotations

from typing import Any, Generic, TypeGuard, TypeVar, cast

from rxllm.models import StreamChunk

__all__ = ["Conflation", "is_conflation"]

T = TypeVar("T")


class Conflation(Generic[T]):
    """Items that become one when they are taken: their text is joined once, whatever their number."""

    __slots__ = ("_first", "_repeated", "_texts")

    def __init__(self, first: T) -> None:
        self._first = first
        self._repeated: dict[str, Any] = {}
        self._texts: list[str] = []

    def add(self, item: T) -> bool:
        """Take an item in, if nothing is lost by that."""
        first = self._first
        if not isinstance(first, StreamChunk) or not isinstance(item, StreamChunk):
            return False
        text = _plain_text(item)
        begun = _plain_text(first)
        if text is None or begun is None or not _continues(first, item):
            return False
        if not self._texts:
            self._texts.append(begun)
        self._texts.append(text)
        self._repeated |= item.model_dump(exclude={"choices"}, exclude_none=True)
        return True

    def merged(self) -> T:
        """The one item."""
        first = cast(StreamChunk, self._first)
        choice = first.choices[0]
        delta = choice.delta.model_copy(update={"content": "".join(self._texts)})
        update = self._repeated | {"choices": [choice.model_copy(update={"delta": delta})]}
        return cast(T, first.model_copy(update=update))


def is_conflation(item: T | Conflation[T]) -> TypeGuard[Conflation[T]]:
    """Whether something that waits is several items that became one."""
    return isinstance(item, Conflation)


def _plain_text(chunk: StreamChunk) -> str | None:
    """The text of a chunk that holds nothing else; a role may stand beside it."""
    if len(chunk.choices) != 1 or chunk.usage is not None:
        return None
    choice = chunk.choices[0].model_dump(exclude_none=True, exclude={"index"})
    delta = choice.pop("delta")
    delta.pop("role", None)
    text = delta.pop("content", None)
    return None if choice or delta else text


def _continues(first: StreamChunk, chunk: StreamChunk) -> bool:
    before, choice = first.choices[0], chunk.choices[0]
    same_role = not choice.delta.role or choice.delta.role == before.delta.role
    return chunk.id == first.id and choice.index == before.index and same_role
