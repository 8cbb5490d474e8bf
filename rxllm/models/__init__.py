"""The data that pipelines carry, in the words of OpenAI's chat completions.

What users write and validate are pydantic models; a chunk, which is only read, is a struct: see ``_wire_struct``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
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
    from rxllm.models._chunk import Slots as Slots
    from rxllm.models._chunk import marked as marked
    from rxllm.models._chunk import put_slots as put_slots
    from rxllm.models._chunk import rest_of as rest_of
    from rxllm.models._chunk import text_of as text_of
    from rxllm.models._chunk import without_slots as without_slots
    from rxllm.models._completion import Attempt, ChatCompletion, CompletionChoice
    from rxllm.models._ending import WHOLE as WHOLE
    from rxllm.models._ending import AnswerEnding
    from rxllm.models._ending import ending_after as ending_after
    from rxllm.models._ending import ending_of as ending_of
    from rxllm.models._ending import is_reason as is_reason
    from rxllm.models._ending import worst_of as worst_of
    from rxllm.models._json import MAX_DEPTH as MAX_DEPTH
    from rxllm.models._json import is_list as is_list
    from rxllm.models._json import is_object as is_object
    from rxllm.models._json import loads as loads
    from rxllm.models._json import loads_unscrubbed as loads_unscrubbed
    from rxllm.models._json import scrub as scrub
    from rxllm.models._json import without_lone_surrogates as without_lone_surrogates
    from rxllm.models._json_end import JSONEndFold as JSONEndFold
    from rxllm.models._json_end import is_open as is_open
    from rxllm.models._lenient import decoder_of as decoder_of
    from rxllm.models._lenient import read_json as read_json
    from rxllm.models._lenient import read_refused as read_refused
    from rxllm.models._lenient import set_aside as set_aside
    from rxllm.models._likeness import Likeness as Likeness
    from rxllm.models._message import FunctionCall, IncompleteToolCall, Message, ToolCall
    from rxllm.models._model import FinishReason, Role
    from rxllm.models._progress import JSONChange, JSONPathMatch, ToolCallProgress
    from rxllm.models._progress import JSONKeys as JSONKeys
    from rxllm.models._reasoning import JOINED as JOINED
    from rxllm.models._reasoning import find_reasoning as find_reasoning
    from rxllm.models._repair import MAX_REPAIRS as MAX_REPAIRS
    from rxllm.models._repair import Repair
    from rxllm.models._request import ChatRequest
    from rxllm.models._stream_info import StreamInfo
    from rxllm.models._tool_result import ToolResult
    from rxllm.models._usage import Usage
    from rxllm.models._wire_struct import WireStruct as WireStruct
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        *("_model", "_usage", "_repair", "_stream_info", "_chunk", "_message", "_completion", "_request"),
        *("_tool_result", "_chat_event", "_progress"),
        _ending="AnswerEnding WHOLE ending_after ending_of is_reason worst_of",
        _chunk="Slots marked put_slots rest_of text_of without_slots",
        _json="MAX_DEPTH is_list is_object loads loads_unscrubbed scrub without_lone_surrogates",
        _json_end="JSONEndFold is_open",
        _lenient="decoder_of read_json read_refused set_aside",
        _likeness="Likeness",
        _progress="JSONKeys",
        _reasoning="JOINED find_reasoning",
        _repair="MAX_REPAIRS",
        _wire_struct="WireStruct",
    )

__all__ = [
    "AnswerEnding",
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
