"""Text deltas that wait become one.

Two items are merged only if nothing is lost that an accumulation would keep: both are strings, or both are chunks
of the same choice that hold text and nothing else. Of what servers repeat with each chunk (its time, its padding) the
last counts, as in ``accumulate``.
"""

from __future__ import annotations

from typing import Any, Generic, TypeGuard, TypeVar, cast

from rxllm.models import StreamChunk

__all__ = ["Conflation", "is_conflation"]

T = TypeVar("T")


class Conflation(Generic[T]):
    """Items that become one when they are taken: their text is joined once, whatever their number."""

    __slots__ = ("_first", "_key", "_repeated", "_texts")

    def __init__(self, first: T) -> None:
        self._first = first
        self._repeated: dict[str, Any] = {}
        self._key, text = _plain_text(first)
        self._texts = [text]

    def add(self, item: T) -> bool:
        """Take an item in, if nothing is lost by that."""
        key, text = _plain_text(item)
        if key is None or key != self._key:
            return False
        self._texts.append(text)
        if isinstance(item, StreamChunk):
            self._repeated |= item.model_dump(exclude={"choices"}, exclude_none=True)
        return True

    def merged(self) -> T:
        """The one item."""
        text = "".join(self._texts)
        first = self._first
        if not isinstance(first, StreamChunk):
            return cast(T, text)
        choice = first.choices[0]
        delta = choice.delta.model_copy(update={"content": text})
        return first.model_copy(update=self._repeated | {"choices": [choice.model_copy(update={"delta": delta})]})


def is_conflation(item: T | Conflation[T]) -> TypeGuard[Conflation[T]]:
    """Whether something that waits is several items that became one."""
    return isinstance(item, Conflation)


def _plain_text(item: object) -> tuple[object, str]:
    """The text of an item that is nothing but text, and what another must share with it; else ``None``."""
    if isinstance(item, str):
        return str, item
    if not isinstance(item, StreamChunk) or len(item.choices) != 1 or item.usage is not None:
        return None, ""
    choice = item.choices[0].model_dump(exclude_none=True)
    delta = choice.pop("delta")
    delta.pop("role", None)
    text = delta.pop("content", None)
    if text is None or delta or choice.keys() - {"index"}:
        return None, ""
    return (item.id, choice.get("index")), text
