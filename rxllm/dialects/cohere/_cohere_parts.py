"""A part of an answer of Cohere's Chat API, as it grows: a content, a call, or what the model planned before its calls.

Rules:

1. A citation stays in the block of the text that it is of, word for word: Cohere gets it back.
2. A call without arguments has ``{}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rxllm.dialects.cohere._cohere_citations import annotations_of
from rxllm.models import Delta, DeltaBlock, DeltaPart, FunctionCallDelta, PartKind, ToolCallDelta, make

CITATIONS = "citations"
"""Where a block has its citations."""

PLAN = "tool_plan"
"""Where a block has what the model planned."""

KINDS: Mapping[str, PartKind] = {"text": PartKind.TEXT, "thinking": PartKind.REASONING, PLAN: PartKind.REASONING}
"""What a part is, by the field that its text is in."""


@dataclass(slots=True, eq=False)
class GrowingPart:
    """A part under way.

    Attributes:
        part: What its deltas say of it.
        key: The field of its block that grows.
        head: What else is in its block.
        call: Which of the calls it is; ``None`` if it is none.
        pieces: What has come of its text.
        citations: What it cites.
        ended: Whether it is whole.
        told: How many of its citations were in its block when that was told.
    """

    part: DeltaPart
    key: str
    head: dict[str, Any]
    call: int | None = None
    pieces: list[str] = field(default_factory=list[str])
    citations: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    ended: bool = False
    told: int = 0

    def grow(self, piece: str) -> Delta:
        """What a piece of its text gives."""
        self.pieces.append(piece)
        delta: Delta
        if self.key == "text":
            delta = make(Delta, part=self.part, content=piece)
        elif self.call is None:
            delta = make(Delta, part=self.part, reasoning_content=piece)
        else:
            function: FunctionCallDelta = make(FunctionCallDelta, arguments=piece)
            call: ToolCallDelta = make(ToolCallDelta, index=self.call, function=function)
            delta = make(Delta, part=self.part, tool_calls=(call,))
        return delta

    def cite(self, citation: Mapping[str, Any]) -> Delta:
        """What a citation gives."""
        self.citations.append(citation)
        return Delta(part=self.part, annotations=annotations_of(citation, self.part.index))

    def end(self) -> list[Delta]:
        """What its end gives."""
        self.ended = True
        # A call without arguments has none in the stream, either.
        empty = [] if self.call is None or any(map(str.strip, self.pieces)) else [self.grow("{}")]
        return [*empty, self.last_delta()]

    def last_delta(self) -> Delta:
        """Its block, with all that has come."""
        self.told = len(self.citations)
        text = "".join(self.pieces)
        if self.call is None:
            cited = {CITATIONS: [*self.citations]} if self.citations else {}
            block = {**self.head, self.key: text, **cited}
        else:
            block = {**self.head, "function": {**self.head["function"], "arguments": text}}
        return Delta(part=self.part, blocks=(DeltaBlock(index=self.part.index, block=block),))
