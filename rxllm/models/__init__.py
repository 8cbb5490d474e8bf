"""The data that pipelines carry, in the words of OpenAI's chat completions."""

from __future__ import annotations

from rxllm.models._base import FinishReason, Role
from rxllm.models._chat_event import (
    ChatCompleted,
    ChatEvent,
    ReasoningDelta,
    RoundCompleted,
    TextDelta,
    ToolCallEvent,
    ToolResultEvent,
)
from rxllm.models._chunk import Delta, FunctionCallDelta, StreamChoice, StreamChunk, ToolCallDelta
from rxllm.models._completion import ChatCompletion, CompletionChoice
from rxllm.models._message import FunctionCall, IncompleteToolCall, Message, ToolCall
from rxllm.models._progress import JSONChange, JSONPathMatch, ToolCallProgress
from rxllm.models._repair import Repair
from rxllm.models._request import ChatRequest
from rxllm.models._tool_result import ToolResult
from rxllm.models._usage import Usage

__all__ = [
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
    "Role",
    "RoundCompleted",
    "StreamChoice",
    "StreamChunk",
    "TextDelta",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallEvent",
    "ToolCallProgress",
    "ToolResult",
    "ToolResultEvent",
    "Usage",
]
