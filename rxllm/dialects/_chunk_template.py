"""Chunks that differ in a piece of one text, made of copies of the first: in two thirds of the time of new ones.

A rule: a template belongs to the decoder that made it, and its chunks are nobody else's until they are given away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from msgspec.structs import force_setattr

from rxllm.models import Delta, FunctionCallDelta, StreamChoice, StreamChunk, ToolCallDelta, make

# The one of all structs.
_copy: Callable[[Any], Any] = cast("Any", StreamChunk).__copy__


class ChunkTemplate:
    """What makes chunks of their pieces.

    Args:
        chunk: The first of them: one choice, whose delta has a piece of one text, or of the arguments of a call.
        field: Of which field they are pieces: of one of the delta, or ``"arguments"`` of its call.
    """

    __slots__ = ("_call", "_choice", "_chunk", "_delta", "_field")

    def __init__(self, chunk: StreamChunk, field: str) -> None:
        self._chunk = chunk
        (self._choice,) = chunk.choices
        self._delta = self._choice.delta
        self._call = self._delta.tool_calls[0].index if field == "arguments" and self._delta.tool_calls else None
        self._field = "tool_calls" if field == "arguments" else field

    def with_piece(self, piece: str, event: str) -> StreamChunk:
        """The chunk with another piece.

        Args:
            piece: The piece.
            event: The provider's event.
        """
        delta: Delta = _copy(self._delta)
        force_setattr(delta, self._field, piece if self._call is None else (_arguments(self._call, piece),))
        choice: StreamChoice = _copy(self._choice)
        force_setattr(choice, "delta", delta)
        chunk: StreamChunk = _copy(self._chunk)
        force_setattr(chunk, "choices", (choice,))
        force_setattr(chunk, "event_text", event)
        return chunk


def _arguments(call: int, piece: str) -> ToolCallDelta:
    made: ToolCallDelta = make(ToolCallDelta, index=call, function=make(FunctionCallDelta, arguments=piece))
    return made
