"""Text deltas that wait become one.

Two chunks are merged only if nothing is lost that an accumulation would keep: both belong to one part of the same
choice of one stream and hold text and nothing else, and the second neither begins an answer nor tells of repairs. Of
what servers repeat with each chunk (its time, its padding) the last counts, as in ``accumulate``. Other items are never
merged: a string may be a frame that is to be parsed.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from rxllm.flow import Merger
from rxllm.models import Delta, Likeness, StreamChoice, StreamChunk

T = TypeVar("T")

_REPEATED = (
    *("id", "object", "created", "model", "service_tier", "system_fingerprint"),
    *sorted(StreamChunk.loose),
)
_BESIDE_THE_DELTA = tuple({*StreamChoice.__struct_fields__} - {"index", "delta"})
_BESIDE_THE_TEXT = tuple({*Delta.__struct_fields__} - {"role", "content", "part"})


class Conflation(Merger[T]):
    """Items that become one when they are taken: their text is joined once, whatever their number."""

    __slots__ = ("_extra", "_first", "_last", "_like", "_repeated", "_texts")

    def __init__(self, first: T) -> None:
        self._first = first
        self._last: StreamChunk | None = None
        self._repeated: dict[str, Any] = {}
        self._extra: dict[str, Any] = {}
        self._texts: list[str] = []
        # What the last item taken in has in common with those that hold nothing but more text.
        self._like: Likeness | None = None

    def add(self, item: T) -> bool:
        """Take an item in, if nothing is lost by that."""
        first = self._first
        if not isinstance(first, StreamChunk) or not isinstance(item, StreamChunk):
            return False
        text = None if self._like is None else self._like.piece_of(item)
        if text is None:
            text = _plain_text(item)
            begun = self._texts[0] if self._texts else _plain_text(first)
            if text is None or begun is None or not _continues(first, item):
                return False
            if not self._texts:
                self._texts.append(begun)
            self._repeat(self._last or first)
            self._repeat(item)
            like = Likeness.to(item)
            # What is undeclared would have to be gathered, too.
            self._like = like if like is None or not like.has_extra else None
        self._last = item
        self._texts.append(text)
        return True

    def close(self) -> T:
        """The one item."""
        first, last = cast("StreamChunk", self._first), cast("StreamChunk", self._last)
        choice = first.choices[0]
        delta = choice.delta.model_copy(update={"content": "".join(self._texts)})
        choices = (choice.model_copy(update={"delta": delta}),)
        self._repeat(last)
        # It was made of no one event.
        update = {**self._repeated, "choices": choices, "extra": self._extra, "event_text": None}
        return cast("T", first.model_copy(update=update))

    def _repeat(self, chunk: StreamChunk) -> None:
        """Keep what of a chunk is neither its choices nor its usage."""
        for name in _REPEATED:
            if (value := getattr(chunk, name)) is not None:
                self._repeated[name] = value
        self._extra.update(chunk.model_extra)


def _plain_text(chunk: StreamChunk) -> str | None:
    """The text of a chunk that holds nothing else; a role may stand beside it."""
    if len(chunk.choices) != 1 or chunk.usage is not None:
        return None
    choice = chunk.choices[0]
    if _says_more(choice, _BESIDE_THE_DELTA) or _says_more(choice.delta, _BESIDE_THE_TEXT):
        return None
    return choice.delta.content


def _says_more(struct: StreamChoice | Delta, names: tuple[str, ...]) -> bool:
    return any(getattr(struct, name) is not None for name in names)


def _continues(first: StreamChunk, chunk: StreamChunk) -> bool:
    before, choice = first.choices[0], chunk.choices[0]
    same_part = choice.delta.part == before.delta.part and not (choice.delta.part and choice.delta.part.text)
    same_role = not choice.delta.role or choice.delta.role == before.delta.role
    says_nothing = chunk.slots is None or chunk.slots.is_plain
    same_stream = chunk.stream is first.stream and says_nothing
    return chunk.id == first.id and choice.index == before.index and same_part and same_role and same_stream
