"""Tools in whatever form a provider gives them: those that it runs, and those whose input is a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.models import MessagePart, StreamChunk, is_object

FAILED = "failed"
"""What ``Output.error`` is, where a provider says that its tool failed."""

# What comes of these is a part of its own.
_RESULT_APART = frozenset(
    {"tool_search_call", "shell_call", "local_shell_call", "apply_patch_call", "computer_call", "custom_tool_call"}
)


def custom_calls(chunk: StreamChunk) -> list[str]:
    """Of the calls that begin in a chunk those whose input is a text, by their identifiers."""
    return [
        call.id
        for choice in chunk.choices
        for call in choice.delta.tool_calls or ()
        if call.id and call.custom is not None
    ]


def tool_of(part: MessagePart) -> str:
    """The name of a tool: that of the part, else what the block is.

    >>> tool_of(MessagePart(block={"type": "web_search_call"}))
    'web_search'
    """
    return part.name or _type(part.block).removesuffix("_call")


def has_result(part: MessagePart) -> bool:
    """Whether a part with a tool has what came of it, too: so it is in Responses, but for some."""
    type_ = _type(part.block)
    return part.final and type_.endswith("_call") and type_ not in _RESULT_APART


def result_of(block: Mapping[str, Any] | None) -> tuple[Any, str | None]:
    """What came of a tool, and whether it failed."""
    if block is None:
        return None, None
    content = block.get("content", block)
    inner = _type(content) if is_object(content) else ""
    failed = block.get("is_error") or block.get("error") or block.get("status") == "failed" or inner.endswith("_error")
    return content, FAILED if failed else None


def _type(block: Mapping[str, Any] | None) -> str:
    found = None if block is None else block.get("type")
    return found if isinstance(found, str) else ""
