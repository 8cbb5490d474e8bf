"""A part of an answer that is told of while it grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators.calls._growing_call import GrowingCall
from rxllm.exceptions import ToolCallError
from rxllm.models import DeltaBlock, DeltaPart, MessagePart, PartKind


@dataclass(slots=True, eq=False)
class ToldPart:
    """A part under way.

    Attributes:
        index: Its place.
        kind: What it is.
        call: The call in it.
        is_open: Whether it was told that it begins, and not that it has ended.
    """

    index: int
    kind: str = PartKind.OTHER
    id: str | None = None
    name: str | None = None
    call: GrowingCall | None = None
    is_open: bool = False
    _texts: list[str] = field(default_factory=list[str])
    _block: dict[str, Any] | None = None
    _is_final: bool = False

    def describe(self, part: DeltaPart) -> None:
        """Take what a delta says of it."""
        if part.kind != PartKind.OTHER:
            self.kind = part.kind
        self.id = part.id or self.id
        self.name = part.name or self.name

    def take(self, kind: str, text: str) -> None:
        """Take a text, unless its call has it. Reasoning within a text was put there by an operator, and is none."""
        if self.call is None and (kind != PartKind.REASONING or self.kind != PartKind.TEXT):
            self._texts.append(text)

    def finish(self, block: DeltaBlock) -> bool:
        """Take its block; returns whether the part is finished."""
        self._block, self._is_final = dict(block.block), block.final
        return block.final

    def forget(self) -> None:
        """Let go of what was told: the part has ended."""
        self.is_open = self._is_final = False
        self._texts, self._block = [], None

    def built(self, log: RepairLog, *, is_final: bool | None = None) -> MessagePart:
        """The part as a model.

        Args:
            log: Where repairs are noted.
            is_final: Whether it is finished; by default, what its block says.
        """
        final = self._is_final if is_final is None else is_final
        said = {"id": self.id, "name": self.name, "text": "".join(self._texts)}
        if self.call is not None:
            called = self._called(self.call, log) if final else None
            final = called is not None
            said = called or self._cut(self.call)
        fields = {"index": self.index, "kind": self.kind, "block": self._block, "final": final}
        return MessagePart.model_validate({**fields, **said})

    def _called(self, call: GrowingCall, log: RepairLog) -> dict[str, str | None] | None:
        try:
            made = call.state.tool_call(log)
        except ToolCallError:
            return None
        return {"id": made.id, "name": made.function.name, "text": made.function.arguments}

    def _cut(self, call: GrowingCall) -> dict[str, str | None]:
        cut = call.state.incomplete()
        return {"id": cut.id or self.id, "name": cut.name or self.name, "text": cut.arguments}
