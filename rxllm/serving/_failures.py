"""What tools said of their failures is not for clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rxllm.models import ChatCompleted, Message, RoundCompleted, ToolResult, ToolResultEvent

__all__ = ["without_failures"]

_TOOL_FAILED = "The tool failed."


def without_failures(item: Any) -> Any:
    """An item without what a tool raised, which may hold anything. That it failed is still said."""
    if isinstance(item, ToolResultEvent):
        return item.model_copy(update={"result": without_failures(item.result)})
    if isinstance(item, ToolResult) and item.error is not None:
        return ToolResult(call=item.call, content=_TOOL_FAILED, error=item.error)
    if isinstance(item, Message) and item.is_error:
        return item.model_copy(update={"content": _TOOL_FAILED})
    if isinstance(item, RoundCompleted | ChatCompleted):
        return item.model_copy(update={"messages": _all(item.messages)})
    return item


def _all(messages: Sequence[Message]) -> tuple[Message, ...]:
    return tuple([without_failures(message) for message in messages])
