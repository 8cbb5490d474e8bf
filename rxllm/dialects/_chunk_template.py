"""Chunks that differ in a piece of one text, made of copies of the first: in two thirds of the time of new ones.

A rule: a template belongs to the decoder that made it, and its chunks are nobody else's until they are given away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from rxllm.models import Delta, EventText, FunctionCallDelta, StreamChoice, StreamChunk, ToolCallDelta, make, put_event

# The one of all structs.
_copy: Callable[[Any], Any] = cast("Any", StreamChunk).__copy__
_put: dict[str, Callable[[Delta, Any], None]] = {
    name: vars(Delta)[name].__set__ for name in ("content", "reasoning_content", "refusal", "tool_calls")
}
_put_delta: Callable[[StreamChoice, Delta], None] = vars(StreamChoice)["delta"].__set__
_put_choices: Callable[[StreamChunk, Any], None] = vars(StreamChunk)["choices"].__set__


class ChunkTemplate:
    """What makes chunks of their pieces.

    Args:
        chunk: The first of them: one choice, whose delta has a piece of one text, or of the arguments of a call.
        field: Of which field they are pieces: of one of the delta, or ``"arguments"`` of its call.
    """

    __slots__ = ("_call", "_choice", "_chunk", "_delta", "_put")

    def __init__(self, chunk: StreamChunk, field: str) -> None:
        self._chunk = chunk
        (self._choice,) = chunk.choices
        self._delta = self._choice.delta
        self._call = self._delta.tool_calls[0].index if field == "arguments" and self._delta.tool_calls else None
        self._put = _put["tool_calls" if field == "arguments" else field]

    def with_piece(self, piece: str, event: str) -> StreamChunk:
        """The chunk with another piece.

        Args:
            piece: The piece.
            event: The provider's event.
        """
        delta: Delta = _copy(self._delta)
        self._put(delta, piece if self._call is None else (_arguments(self._call, piece),))
        choice: StreamChoice = _copy(self._choice)
        _put_delta(choice, delta)
        chunk: StreamChunk = _copy(self._chunk)
        _put_choices(chunk, (choice,))
        put_event(chunk, EventText(event))
        return chunk


def _arguments(call: int, piece: str) -> ToolCallDelta:
    made: ToolCallDelta = make(ToolCallDelta, index=call, function=make(FunctionCallDelta, arguments=piece))
    return made
