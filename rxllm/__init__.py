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
    # Of these packages users write what they export: the names are in __all__ below.
    from rxllm import dialects as dialects
    from rxllm import flow as flow
    from rxllm import operators, sinks
    from rxllm import serving as serving
    from rxllm import telemetry as telemetry
    from rxllm import testing as testing
    from rxllm import wire as wire
    from rxllm.accumulators import *
    from rxllm.bridges import *
    from rxllm.client import *
    from rxllm.exceptions import *
    from rxllm.flow import *
    from rxllm.logs import *
    from rxllm.models import *
    from rxllm.resilience import *
    from rxllm.sources import *
    from rxllm.stores import *
    from rxllm.tools import *
    from rxllm.typing import *
    from rxllm.wire import *
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        # In this order a name is looked for: those that import little come first.
        *("exceptions", "models", "accumulators", "wire", "flow", "typing", "bridges", "client", "sources", "stores"),
        *("resilience", "tools", "dialects", "operators", "sinks", "logs"),
        shown="dialects flow operators serving sinks telemetry testing wire",
    )

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseError",
    "APIStatusError",
    "APIStreamError",
    "AllAttemptsFailedError",
    "ApprovalError",
    "ApprovalGiven",
    "ApprovalRequested",
    "Approved",
    "Attempt",
    "Audio",
    "BufferOverflowError",
    "ChatCompleted",
    "ChatCompletion",
    "ChatEvent",
    "ChatRequest",
    "ChunkTimeoutError",
    "ClaimLostError",
    "ClientPool",
    "ClientStatistics",
    "CompletionChoice",
    "DeadlineExceededError",
    "DecodeError",
    "Delta",
    "DeltaBlock",
    "DeltaPart",
    "EmptyStreamError",
    "Ending",
    "File",
    "FinishReason",
    "FlowControl",
    "FunctionCall",
    "FunctionCallDelta",
    "Image",
    "IncompleteToolCall",
    "Iteration",
    "JSONChange",
    "JSONFold",
    "JSONPathMatch",
    "LLMClient",
    "LimitExceededError",
    "Limits",
    "Log",
    "LogInfo",
    "LogItem",
    "LogPosition",
    "LogUnavailableError",
    "Message",
    "MessagePart",
    "MissingExtraError",
    "MixedAnswersError",
    "NoRunningLoopError",
    "OperatorFunction",
    "Origin",
    "PartDelta",
    "PartEnd",
    "PartEvent",
    "PartKind",
    "PartStart",
    "Pauses",
    "PositionError",
    "Production",
    "ReasoningDelta",
    "RecordingError",
    "RecordingInfo",
    "RedisLog",
    "Refused",
    "Repair",
    "RepairError",
    "RestartError",
    "Restarted",
    "Retry",
    "Role",
    "RoundCompleted",
    "RxllmError",
    "SQLiteLog",
    "ServerSentEvent",
    "Sink",
    "SinkStream",
    "Stopped",
    "Stream",
    "StreamAccumulator",
    "StreamCancelledError",
    "StreamChoice",
    "StreamChunk",
    "StreamInfo",
    "StreamInterruptedError",
    "StreamTakenError",
    "StructuredOutputError",
    "SyncIteration",
    "TextDelta",
    "Timing",
    "ToolCall",
    "ToolCallAccumulator",
    "ToolCallDelta",
    "ToolCallError",
    "ToolCallEvent",
    "ToolCallProgress",
    "ToolExecutionError",
    "ToolInputDelta",
    "ToolRegistry",
    "ToolResult",
    "ToolResultEvent",
    "TruncatedStreamError",
    "UnknownStreamError",
    "UnsupportedRequestError",
    "Usage",
    "fallback",
    "from_async_iterable",
    "from_http",
    "from_log",
    "from_recording",
    "from_sse",
    "from_websocket",
    "hedge",
    "iterate",
    "iterate_sync",
    "list_recordings",
    "log_to_logging",
    "operators",
    "run",
    "sinks",
]

# A library is silent until its user asks: logger.enable("rxllm"), or log_to_logging().
logger.disable("rxllm")
