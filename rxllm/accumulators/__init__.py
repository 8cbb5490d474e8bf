"""Pure folds: what chunks add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.accumulators._conflation import Conflation as Conflation
    from rxllm.accumulators._json_fold import JSONFold
    from rxllm.accumulators._json_path_accumulator import JSONPathAccumulator
    from rxllm.accumulators._json_snapshot import JSONSnapshot
    from rxllm.accumulators._stream import StreamAccumulator
    from rxllm.accumulators._structured import StructuredAccumulator
    from rxllm.accumulators._tagged_text import Parted, TaggedText
    from rxllm.accumulators._tool_call_accumulator import ToolCallAccumulator
    from rxllm.accumulators._tool_call_progress import ToolCallProgressAccumulator
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        *("_stream", "_tool_call_accumulator", "_tool_call_progress", "_json_fold", "_json_snapshot"),
        *("_json_path_accumulator", "_tagged_text", "_structured"),
        Conflation="_conflation",
    )

__all__ = [
    "JSONFold",
    "JSONPathAccumulator",
    "JSONSnapshot",
    "Parted",
    "StreamAccumulator",
    "StructuredAccumulator",
    "TaggedText",
    "ToolCallAccumulator",
    "ToolCallProgressAccumulator",
]
