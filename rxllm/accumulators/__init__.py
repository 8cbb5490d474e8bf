"""Pure folds: what chunks add up to."""

from __future__ import annotations

from rxllm.accumulators._json_fold import JSONFold, JSONSnapshot
from rxllm.accumulators._stream import StreamAccumulator
from rxllm.accumulators._tool_call_accumulator import ToolCallAccumulator

__all__ = ["JSONFold", "JSONSnapshot", "StreamAccumulator", "ToolCallAccumulator"]
