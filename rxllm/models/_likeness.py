"""Whether a chunk says nothing new but a piece of one text, as nearly all chunks of an answer.

Rules:

1. A chunk is like the one before if they are equal but for the piece, the time and the padding. To see that is one
   comparison in C, of a copy of the one before into which the other's piece was put.
2. Only a chunk is expected to be followed by its like of which all but the piece may come again without adding
   anything: no list that grows, no usage, no end. The details of the reasoning are part of its piece, and what nobody
   declared beside the choices may be another with each chunk: whoever takes the piece takes these, too.
3. A piece of the arguments of a call is one if the fragment says nothing else but its index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from rxllm.models._chunk import (
    Delta,
    FunctionCallDelta,
    StreamChoice,
    StreamChunk,
    ToolCallDelta,
    put_event,
    same_fields,
)
from rxllm.models._wire_struct import put_extra

_FIELDS = ("content", "reasoning_content", "reasoning")
_REASONING = _FIELDS[1:]
_NO_FUNCTION = FunctionCallDelta()
_ARGUMENTS = "arguments"
_REPEATED = {"role", "channel", "reasoning_details", "tool_calls", "part", *_FIELDS}
_REPEATED_IN_CHOICE = {"index", "delta", "native_finish_reason", "content_filter_results", "content_filter_offsets"}
_rest_of_delta = attrgetter(*({*Delta.__struct_fields__} - _REPEATED))
_rest_of_choice = attrgetter(*({*StreamChoice.__struct_fields__} - _REPEATED_IN_CHOICE))

# Past the frozen surface, of copies that nobody else has.
_put: dict[str, Callable[[Delta, Any], None]] = {name: vars(Delta)[name].__set__ for name in _FIELDS}
_put_arguments: Callable[[FunctionCallDelta, Any], None] = vars(FunctionCallDelta)[_ARGUMENTS].__set__
_put_details: Callable[[Delta, Any], None] = vars(Delta)["reasoning_details"].__set__
_put_created: Callable[[StreamChunk, Any], None] = vars(StreamChunk)["created"].__set__
_put_padding: Callable[[StreamChunk, str | None], None] = vars(StreamChunk)["obfuscation"].__set__
_put_padding_of_mistral: Callable[[StreamChunk, str | None], None] = vars(StreamChunk)["p"].__set__


class Likeness:
    """What the chunks have in common that follow one.

    Attributes:
        field: Of which field they have a piece: of one of the delta, or ``"arguments"`` of its only call.
        has_details: Whether details of the reasoning come with the pieces.
        has_extra: Whether undeclared fields do.
        padded: The last chunk that was like it, if they have padding.
    """

    __slots__ = (
        *("_chunk", "_delta", "_function", "_has_created", "_has_more", "_put"),
        *("field", "has_details", "has_extra", "padded"),
    )

    def __init__(self, chunk: StreamChunk, field: str) -> None:
        (choice,) = chunk.choices
        self._delta = delta = replace(choice.delta)
        self._function = _NO_FUNCTION
        if delta.tool_calls:
            (call,) = delta.tool_calls
            self._function = replace(call.function or _NO_FUNCTION)
            self._delta = delta = replace(delta, tool_calls=(replace(call, function=self._function),))
        self._chunk = replace(chunk, choices=(replace(choice, delta=delta),))
        self._put = _put.get(field)
        self.field = field
        self.has_details = delta.reasoning_details is not None
        self.has_extra = chunk.extra is not None
        self._has_more = self.has_extra or chunk.event_text is not None
        # Until a time has come that is one, the next may be it.
        self._has_created = bool(chunk.created)
        self.padded: StreamChunk | None = None

    @staticmethod
    def to(chunk: StreamChunk) -> Likeness | None:
        """The likeness to a chunk that was taken in full; ``None`` if others like it would say something, too."""
        if len(chunk.choices) != 1 or chunk.usage is not None:
            return None
        if chunk.slots is not None and not chunk.slots.is_plain:
            return None
        choice = chunk.choices[0]
        delta = choice.delta
        pieces = [name for name in _FIELDS if getattr(delta, name)]
        if delta.part is not None and delta.part.text:
            return None
        if delta.tool_calls:
            pieces += [_ARGUMENTS] if _is_piece_of_arguments(delta.tool_calls) else [_ARGUMENTS] * 2
        if len(pieces) != 1 or any(_rest_of_choice(choice)) or any(_rest_of_delta(delta)):
            return None
        # Which text the details belong to is told by the field of the reasoning, if it is there.
        return Likeness(chunk, pieces[0]) if not delta.reasoning_details or pieces[0] in _REASONING else None

    def piece_of(self, chunk: StreamChunk) -> str | None:
        """The piece in a chunk, if there is nothing else new in it."""
        choices = chunk.choices
        if len(choices) != 1:
            return None
        piece = self._taken_in(choices[0].delta)
        like = self._chunk
        # What is absent is not put: then the last value counts, and this chunk is not like the one that had it.
        if self._has_created and chunk.created is not None:
            _put_created(like, chunk.created)
        if chunk.obfuscation is not None:
            _put_padding(like, chunk.obfuscation)
        if chunk.p is not None:
            _put_padding_of_mistral(like, chunk.p)
        if self._has_more:
            # Of what event it was made says nothing of the answer.
            put_event(like, chunk.event_text)
            if self.has_extra:
                put_extra(like, chunk.extra)
        if not (piece and same_fields(chunk, like)):
            return None
        if chunk.obfuscation is not None or chunk.p is not None:
            self.padded = chunk
        return piece

    def _taken_in(self, delta: Delta) -> str | None:
        """The piece in a delta, if it has one, put into the copy."""
        if self._put is None:
            function = delta.tool_calls[0].function if delta.tool_calls else None
            arguments = None if function is None else function.arguments
            if not isinstance(arguments, str):
                return None
            _put_arguments(self._function, arguments)
            return arguments
        field = self.field
        # Named as such it is found in a fifth of the time.
        piece: str | None = delta.content if field == "content" else getattr(delta, field)
        self._put(self._delta, piece)
        if self.has_details and delta.reasoning_details is not None:
            _put_details(self._delta, delta.reasoning_details)
        return piece


def _is_piece_of_arguments(calls: Sequence[ToolCallDelta]) -> bool:
    """Whether this is a fragment that continues the call at its index, and says nothing else."""
    function = calls[0].function
    if len(calls) != 1 or function is None or not isinstance(function.arguments, str) or not function.arguments:
        return False
    only = ToolCallDelta(index=calls[0].index, function=FunctionCallDelta(arguments=function.arguments))
    return calls[0].index is not None and calls[0] == only
