"""Streaming answers of language models as observables, with backpressure through to the TCP window.

::

    import rxllm
    from rxllm import operators as ops

    async with rxllm.LLMClient() as client:
        completion = await client.chat_stream(request).pipe(
            ops.timeout_per_chunk(10, first=60),
            ops.tee_to_display(),
            ops.accumulate(),
        )
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm import operators, sinks
    from rxllm.accumulators import JSONFold, StreamAccumulator, ToolCallAccumulator
    from rxllm.bridges import Iteration, iterate, run
    from rxllm.client import LLMClient
    from rxllm.exceptions import (
        APIConnectionError,
        APIError,
        APIResponseError,
        APIStatusError,
        APIStreamError,
        BufferOverflowError,
        ChunkTimeoutError,
        DecodeError,
        LimitExceededError,
        MissingExtraError,
        MixedAnswersError,
        NoRunningLoopError,
        RecordingError,
        RepairError,
        RestartError,
        RxllmError,
        StreamInterruptedError,
        StructuredOutputError,
        ToolCallError,
        ToolExecutionError,
        TruncatedStreamError,
    )
    from rxllm.flow import FlowControl, Pauses
    from rxllm.models import (
        Attempt,
        ChatCompleted,
        ChatCompletion,
        ChatEvent,
        ChatRequest,
        CompletionChoice,
        Delta,
        FinishReason,
        FunctionCall,
        FunctionCallDelta,
        IncompleteToolCall,
        JSONChange,
        JSONPathMatch,
        Message,
        ReasoningDelta,
        Repair,
        Restarted,
        Role,
        RoundCompleted,
        StreamChoice,
        StreamChunk,
        StreamInfo,
        TextDelta,
        ToolCall,
        ToolCallDelta,
        ToolCallEvent,
        ToolCallProgress,
        ToolResult,
        ToolResultEvent,
        Usage,
    )
    from rxllm.sources import from_async_iterable, from_recording, from_sse, from_websocket, list_recordings
    from rxllm.stores import RecordingInfo
    from rxllm.tools import ToolRegistry
    from rxllm.typing import Ending, OperatorFunction, Sink, SinkStream
    from rxllm.wire import ServerSentEvent
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            ".accumulators": ("JSONFold", "StreamAccumulator", "ToolCallAccumulator"),
            ".bridges": ("Iteration", "iterate", "run"),
            ".client": ("LLMClient",),
            ".exceptions": (
                "APIConnectionError",
                "APIError",
                "APIResponseError",
                "APIStatusError",
                "APIStreamError",
                "BufferOverflowError",
                "ChunkTimeoutError",
                "DecodeError",
                "LimitExceededError",
                "MissingExtraError",
                "MixedAnswersError",
                "NoRunningLoopError",
                "RecordingError",
                "RepairError",
                "RestartError",
                "RxllmError",
                "StreamInterruptedError",
                "StructuredOutputError",
                "ToolCallError",
                "ToolExecutionError",
                "TruncatedStreamError",
            ),
            ".flow": ("FlowControl", "Pauses"),
            ".models": (
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
            ),
            ".sources": ("from_async_iterable", "from_recording", "from_sse", "from_websocket", "list_recordings"),
            ".stores": ("RecordingInfo",),
            ".tools": ("ToolRegistry",),
            ".typing": ("Ending", "OperatorFunction", "Sink", "SinkStream"),
            ".wire": ("ServerSentEvent",),
        },
        modules=(
            *("accumulators", "bridges", "client", "dialects", "exceptions", "flow", "models", "operators"),
            *("sinks", "sources", "stores", "tools", "typing", "wire"),
        ),
    )

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseError",
    "APIStatusError",
    "APIStreamError",
    "Attempt",
    "BufferOverflowError",
    "ChatCompleted",
    "ChatCompletion",
    "ChatEvent",
    "ChatRequest",
    "ChunkTimeoutError",
    "CompletionChoice",
    "DecodeError",
    "Delta",
    "Ending",
    "FinishReason",
    "FlowControl",
    "FunctionCall",
    "FunctionCallDelta",
    "IncompleteToolCall",
    "Iteration",
    "JSONChange",
    "JSONFold",
    "JSONPathMatch",
    "LLMClient",
    "LimitExceededError",
    "Message",
    "MissingExtraError",
    "MixedAnswersError",
    "NoRunningLoopError",
    "OperatorFunction",
    "Pauses",
    "ReasoningDelta",
    "RecordingError",
    "RecordingInfo",
    "Repair",
    "RepairError",
    "RestartError",
    "Restarted",
    "Role",
    "RoundCompleted",
    "RxllmError",
    "ServerSentEvent",
    "Sink",
    "SinkStream",
    "StreamAccumulator",
    "StreamChoice",
    "StreamChunk",
    "StreamInfo",
    "StreamInterruptedError",
    "StructuredOutputError",
    "TextDelta",
    "ToolCall",
    "ToolCallAccumulator",
    "ToolCallDelta",
    "ToolCallError",
    "ToolCallEvent",
    "ToolCallProgress",
    "ToolExecutionError",
    "ToolRegistry",
    "ToolResult",
    "ToolResultEvent",
    "TruncatedStreamError",
    "Usage",
    "from_async_iterable",
    "from_recording",
    "from_sse",
    "from_websocket",
    "iterate",
    "list_recordings",
    "operators",
    "run",
    "sinks",
]

# A library is silent until its user asks: logger.enable("rxllm").
logger.disable("rxllm")
