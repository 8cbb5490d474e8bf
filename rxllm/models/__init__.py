"""The data that pipelines carry, in the words of OpenAI's chat completions.

What users write and validate are pydantic models; a chunk, which is only read, is a struct: see ``_wire_struct``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.models._approval import *
    from rxllm.models._as_markdown import *
    from rxllm.models._attachment import *
    from rxllm.models._attempt import *
    from rxllm.models._chat_event import *
    from rxllm.models._chunk import *
    from rxllm.models._completion import *
    from rxllm.models._ending import *
    from rxllm.models._json import *
    from rxllm.models._json_end import *
    from rxllm.models._lenient import *
    from rxllm.models._likeness import *
    from rxllm.models._log_position import LogPosition
    from rxllm.models._message import *
    from rxllm.models._model import *
    from rxllm.models._part import *
    from rxllm.models._part_event import *
    from rxllm.models._progress import *
    from rxllm.models._reasoning import *
    from rxllm.models._repair import *
    from rxllm.models._request import *
    from rxllm.models._stream_info import *
    from rxllm.models._timing import *
    from rxllm.models._tool_result import *
    from rxllm.models._usage import *
    from rxllm.models._validation import *
    from rxllm.models._wire_struct import *
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        *("_model", "_usage", "_repair", "_stream_info", "_chunk", "_attachment", "_part", "_message", "_attempt"),
        *("_timing", "_completion", "_request", "_tool_result", "_approval", "_chat_event", "_part_event", "_progress"),
        _attempt="described",
        _ending="AnswerEnding WHOLE ending_after ending_of is_reason worst_of",
        _chunk="Slots marked put_event put_slots rest_of text_of without_slots",
        _chat_event="is_chat_event",
        _completion="put_timing",
        _model="OpenFinishReason",
        _json="MAX_DEPTH is_list is_object loads loads_unscrubbed scrub without_lone_surrogates",
        _json_end="JSONEndFold is_open",
        _lenient="decoder_of is_set_aside read_json read_refused set_aside",
        _likeness="Likeness",
        _log_position="LogPosition",
        _as_markdown="as_code as_markdown",
        _progress="JSONKeys",
        _reasoning="JOINED REASONING_FIELDS find_reasoning",
        _repair="MAX_REPAIRS",
        _validation="harmless_validation",
        _request="MessageLike request_of",
        _usage="total_of",
        _wire_struct="WireStruct make",
    )

__all__ = [
    "AnswerEnding",
    "ApprovalGiven",
    "ApprovalRequested",
    "Approved",
    "Attempt",
    "Audio",
    "ChatCompleted",
    "ChatCompletion",
    "ChatEvent",
    "ChatRequest",
    "CompletionChoice",
    "Delta",
    "DeltaBlock",
    "DeltaPart",
    "File",
    "FinishReason",
    "FunctionCall",
    "FunctionCallDelta",
    "Image",
    "IncompleteToolCall",
    "JSONChange",
    "JSONPathMatch",
    "LogPosition",
    "Message",
    "MessagePart",
    "Origin",
    "PartDelta",
    "PartEnd",
    "PartEvent",
    "PartKind",
    "PartStart",
    "ReasoningDelta",
    "Refused",
    "Repair",
    "Restarted",
    "Role",
    "RoundCompleted",
    "Stopped",
    "StreamChoice",
    "StreamChunk",
    "StreamInfo",
    "TextDelta",
    "Timing",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallEvent",
    "ToolCallProgress",
    "ToolInputDelta",
    "ToolResult",
    "ToolResultEvent",
    "Usage",
]
