"""What a chunk tells of a conversation."""

from __future__ import annotations

from collections.abc import Iterator

from rxllm.accumulators.calls._tool_inputs import ToolInputs
from rxllm.models import ChatEvent, ReasoningDelta, Restarted, StreamChunk, TextDelta, ToolInputDelta


class ChatDeltas:
    """The events of one round that chunks tell of, one chunk at a time.

    Args:
        number: Which round.
    """

    __slots__ = ("_inputs", "_round")

    def __init__(self, number: int) -> None:
        self._round = number
        self._inputs = ToolInputs()

    def add(self, chunk: StreamChunk) -> Iterator[ChatEvent]:
        """Tell of a chunk; iterate over the result at once.

        Raises:
            ToolCallError: A fragment of a call fits nowhere.
            LimitExceededError: There are too many calls.
        """
        number = self._round
        if chunk.restarts:
            yield Restarted(round=number, attempt=None if chunk.stream is None else chunk.stream.attempt)
        for choice in chunk.choices:
            if choice.index == 0:
                if reasoning := choice.delta.reasoning_text:
                    yield ReasoningDelta(round=number, text=reasoning)
                if choice.delta.content:
                    yield TextDelta(round=number, text=choice.delta.content)
        for found in self._inputs.add(chunk):
            yield ToolInputDelta(round=number, index=found.place, id=found.id, name=found.name, text=found.text)
