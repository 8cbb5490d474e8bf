"""Pure folds: what chunks add up to."""

from __future__ import annotations

from rxllm.accumulators._stream import StreamAccumulator
from rxllm.accumulators._tool_call_accumulator import ToolCallAccumulator

__all__ = ["StreamAccumulator", "ToolCallAccumulator"]
