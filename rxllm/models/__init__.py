"""The data that pipelines carry, in the words of OpenAI's chat completions.

What users write and validate are pydantic models; a chunk, which is only read, is a struct: see ``_wire_struct``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.models._base import FinishReason, Role
    from rxllm.models._chat_event import (
        ChatCompleted,
        ChatEvent,
        ReasoningDelta,
        Restarted,
        RoundCompleted,
        TextDelta,
        ToolCallEvent,
        ToolResultEvent,
    )
    from rxllm.models._chunk import Delta, FunctionCallDelta, StreamChoice, StreamChunk, ToolCallDelta
    from rxllm.models._completion import Attempt, ChatCompletion, CompletionChoice
    from rxllm.models._message import FunctionCall, IncompleteToolCall, Message, ToolCall
    from rxllm.models._progress import JSONChange, JSONPathMatch, ToolCallProgress
    from rxllm.models._repair import Repair
    from rxllm.models._request import ChatRequest
    from rxllm.models._stream_info import StreamInfo
    from rxllm.models._tool_result import ToolResult
    from rxllm.models._usage import Usage
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        *("_base", "_usage", "_repair", "_stream_info", "_chunk", "_message", "_completion", "_request"),
        *("_tool_result", "_chat_event", "_progress"),
    )

__all__ = [
    "Attempt",
    "ChatCompleted",
    "ChatCompletion",
    "ChatEvent",
    "ChatRequest",
    "CompletionChoice",
    "Delta",
    "FinishReason",
    "FunctionCall",
    "FunctionCallDelta",
    "IncompleteToolCall",
    "JSONChange",
    "JSONPathMatch",
    "Message",
    "ReasoningDelta",
    "Repair",
    "Restarted",
    "Role",
    "RoundCompleted",
    "StreamChoice",
    "StreamChunk",
    "StreamInfo",
    "TextDelta",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallEvent",
    "ToolCallProgress",
    "ToolResult",
    "ToolResultEvent",
    "Usage",
]
