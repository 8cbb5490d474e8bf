"""The data that pipelines carry, in the words of OpenAI's chat completions."""

from __future__ import annotations

from rxllm.models._base import FinishReason, Role
from rxllm.models._chunk import Delta, FunctionCallDelta, StreamChoice, StreamChunk, ToolCallDelta
from rxllm.models._completion import ChatCompletion, CompletionChoice
from rxllm.models._message import FunctionCall, IncompleteToolCall, Message, ToolCall
from rxllm.models._repair import Repair
from rxllm.models._request import ChatRequest
from rxllm.models._usage import Usage

__all__ = [
    "ChatCompletion",
    "ChatRequest",
    "CompletionChoice",
    "Delta",
    "FinishReason",
    "FunctionCall",
    "FunctionCallDelta",
    "IncompleteToolCall",
    "Message",
    "Repair",
    "Role",
    "StreamChoice",
    "StreamChunk",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
]
