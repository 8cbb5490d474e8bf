"""The calls of all choices of an answer."""

from __future__ import annotations

from rxllm.accumulators._beginning import Beginning
from rxllm.accumulators._repairs import OnRepair, RepairLog
from rxllm.accumulators.calls._call_state import answer_of
from rxllm.accumulators.calls._tool_calls import MAX_TOOL_CALLS, ToolCallFold
from rxllm.models import IncompleteToolCall, StreamChunk


class CallFolds:
    """The calls of all choices: what the folds that give away or show calls have in common.

    Args:
        max_tool_calls: How many calls a choice may have.
        strict: Whether to raise a ``RepairError`` instead of putting something right.
        on_repair: Called with each thing that was put right: see the table of kinds of ``rxllm.Repair``.
    """

    __slots__ = ("_beginning", "_folds", "_log", "_max_tool_calls")

    def __init__(
        self, *, max_tool_calls: int = MAX_TOOL_CALLS, strict: bool = False, on_repair: OnRepair | None = None
    ) -> None:
        self._max_tool_calls = max_tool_calls
        self._log = RepairLog(strict=strict, on_repair=on_repair)
        self._folds: dict[int, ToolCallFold] = {}
        self._beginning = Beginning()

    def incomplete(self) -> list[IncompleteToolCall]:
        """What there is of the calls that were not given away."""
        return [call.state.incomplete() for _, fold in sorted(self._folds.items()) for call in fold.left()]

    partial = incomplete

    def _begin(self, choice: int, chunk: StreamChunk) -> ToolCallFold:
        fold = self._folds[choice] = ToolCallFold(choice, self._log, self._max_tool_calls, answer_of(chunk))
        return fold
