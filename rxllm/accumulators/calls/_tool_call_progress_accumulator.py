"""Tool calls as they grow, for who watches.

Nothing that is given away here can be executed.
"""

from __future__ import annotations

from rxllm.accumulators.calls._watched_call import WatchedCall
from rxllm.accumulators.calls._watched_calls import WatchedCallsFold
from rxllm.models import JSONChange, ToolCallProgress


class ToolCallProgressAccumulator(WatchedCallsFold[ToolCallProgress]):
    """Shows tool calls while they grow, with one item for each fragment. See ``WatchedCallsFold``."""

    __slots__ = ()
    _name = "tool_call_progress"

    def _report(self, watched: WatchedCall, piece: str, found: list[ToolCallProgress]) -> None:
        changes: tuple[JSONChange, ...] | None = None
        if not piece:
            changes = ()
        elif not watched.add_piece(piece):
            changes = tuple(watched.add(piece))
            watched.note()
        call, value = watched.call, watched.value
        text = value.text
        found.append(
            ToolCallProgress(
                call.noted or call.state,
                len(call.text.fragments),
                value,
                0 if text is None else len(text.fragments),
                changes,
            )
        )
