"""Pure folds: what chunks add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.accumulators._beginning import Beginning as Beginning
    from rxllm.accumulators._chat_deltas import ChatDeltas as ChatDeltas
    from rxllm.accumulators.answer._conflation import Conflation as Conflation
    from rxllm.accumulators.answer._folded import Folded as Folded
    from rxllm.accumulators.answer._merged_usage import usage_after as usage_after
    from rxllm.accumulators.answer._parts_accumulator import PartsAccumulator
    from rxllm.accumulators.answer._stream_accumulator import StreamAccumulator
    from rxllm.accumulators.calls._call_state import CallState as CallState
    from rxllm.accumulators.calls._json_path_accumulator import JSONPathAccumulator
    from rxllm.accumulators.calls._retold_calls import RetoldCalls as RetoldCalls
    from rxllm.accumulators.calls._tool_call_accumulator import ToolCallAccumulator
    from rxllm.accumulators.calls._tool_call_accumulator import require_completed as require_completed
    from rxllm.accumulators.calls._tool_call_progress_accumulator import ToolCallProgressAccumulator
    from rxllm.accumulators.json._json_fold import JSONFold
    from rxllm.accumulators.json._json_snapshot import JSONSnapshot
    from rxllm.accumulators.json._structured import StructuredAccumulator
    from rxllm.accumulators.json._why_no_json import WhyNoJSON as WhyNoJSON
    from rxllm.accumulators.reasoning._tagged_text import Parted, TaggedText
    from rxllm.accumulators.reasoning._tags import TagPair as TagPair
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        *("answer._stream_accumulator", "calls._tool_call_accumulator", "calls._tool_call_progress_accumulator"),
        *("json._json_fold", "json._json_snapshot", "calls._json_path_accumulator", "reasoning._tagged_text"),
        *("json._structured", "answer._parts_accumulator"),
        **{
            "_beginning": "Beginning",
            "_chat_deltas": "ChatDeltas",
            "answer._conflation": "Conflation",
            "answer._folded": "Folded",
            "calls._call_state": "CallState",
            "calls._retold_calls": "RetoldCalls",
        },
        **{"calls._tool_call_accumulator": "require_completed", "reasoning._tags": "TagPair"},
        **{"json._why_no_json": "WhyNoJSON", "answer._merged_usage": "usage_after"},
    )

__all__ = [
    "JSONFold",
    "JSONPathAccumulator",
    "JSONSnapshot",
    "Parted",
    "PartsAccumulator",
    "StreamAccumulator",
    "StructuredAccumulator",
    "TaggedText",
    "ToolCallAccumulator",
    "ToolCallProgressAccumulator",
]
