"""Whether a chunk says nothing new but a piece of one text, as nearly all chunks of an answer.

Rules:

1. A chunk is like the one before if they are equal but for the piece, the time and the padding. To see that is one
   comparison in C, of a copy of the one before into which the other's piece was put.
2. Only a chunk is expected to be followed by its like of which all but the piece may come again without adding
   anything: no list that grows, no usage, no end. The details of the reasoning are part of its piece.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from rxllm.models import Delta, StreamChoice, StreamChunk
from rxllm.models._chunk import same_fields

__all__ = ["Likeness"]

_FIELDS = ("content", "reasoning_content", "reasoning")
_rest_of_delta = attrgetter(*({*Delta.__struct_fields__} - {"role", "channel", "reasoning_details", *_FIELDS}))
_rest_of_choice = attrgetter(
    *(
        {*StreamChoice.__struct_fields__}
        - {"index", "delta", "native_finish_reason", "content_filter_results", "content_filter_offsets"}
    )
)

# Past the frozen surface, of copies that nobody else has.
_put: dict[str, Callable[[Delta, Any], None]] = {name: vars(Delta)[name].__set__ for name in _FIELDS}
_put_details: Callable[[Delta, Any], None] = vars(Delta)["reasoning_details"].__set__
_put_created: Callable[[StreamChunk, Any], None] = vars(StreamChunk)["created"].__set__
_put_padding: Callable[[StreamChunk, str | None], None] = vars(StreamChunk)["obfuscation"].__set__
_put_padding_of_mistral: Callable[[StreamChunk, str | None], None] = vars(StreamChunk)["p"].__set__


class Likeness:
    """What the chunks have in common that follow one.

    Attributes:
        field: Of which field of the delta they have a piece.
        has_details: Whether details of the reasoning come with the pieces.
        padded: The last chunk that was like it, if they have padding.
    """

    __slots__ = ("_chunk", "_delta", "_put", "field", "has_details", "padded")

    def __init__(self, chunk: StreamChunk, field: str) -> None:
        (choice,) = chunk.choices
        self._delta = replace(choice.delta)
        self._chunk = replace(chunk, choices=(replace(choice, delta=self._delta),))
        self._put = _put[field]
        self.field = field
        self.has_details = choice.delta.reasoning_details is not None
        self.padded: StreamChunk | None = None

    @staticmethod
    def to(chunk: StreamChunk) -> Likeness | None:
        """The likeness to a chunk that was taken in full; ``None`` if others like it would say something, too."""
        if len(chunk.choices) != 1 or chunk.usage is not None or chunk.extra is not None:
            return None
        if chunk.slots is not None and not chunk.slots.is_plain:
            return None
        choice = chunk.choices[0]
        delta = choice.delta
        pieces = [name for name in _FIELDS if getattr(delta, name)]
        if len(pieces) != 1 or any(_rest_of_choice(choice)) or any(_rest_of_delta(delta)):
            return None
        # What else the details are, is read from the other fields: one of them has to be there.
        return Likeness(chunk, pieces[0]) if not (delta.reasoning_details and pieces[0] == "content") else None

    def piece_of(self, chunk: StreamChunk) -> str | None:
        """The piece in a chunk, if there is nothing else new in it."""
        choices = chunk.choices
        if len(choices) != 1:
            return None
        delta = choices[0].delta
        field = self.field
        # Named as such it is found in a fifth of the time.
        piece: str | None = delta.content if field == "content" else getattr(delta, field)
        like = self._chunk
        self._put(self._delta, piece)
        if self.has_details and delta.reasoning_details is not None:
            _put_details(self._delta, delta.reasoning_details)
        # What is absent is not put: then the last value counts, and this chunk is not like the one that had it.
        if chunk.created is not None:
            _put_created(like, chunk.created)
        if chunk.obfuscation is not None:
            _put_padding(like, chunk.obfuscation)
        if chunk.p is not None:
            _put_padding_of_mistral(like, chunk.p)
        if not (piece and same_fields(chunk, like)):
            return None
        if chunk.obfuscation is not None or chunk.p is not None:
            self.padded = chunk
        return piece
