"""Operators, to be used with ``pipe``: each is a function that returns one from observable to observable.

Each documents itself, with a marble diagram that the tests execute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

__all__ = [
    "accumulate",
    "accumulate_snapshots",
    "accumulate_tool_calls",
    "buffer_with_backpressure",
    "content",
    "deadline",
    "decode_aws_frames",
    "decode_ndjson",
    "decode_sse",
    "json_path",
    "map_async",
    "measure",
    "parse",
    "parse_structured",
    "parts",
    "rate_limit",
    "retry_with_backoff",
    "run_tools",
    "split_reasoning",
    "stop_when",
    "tee_to",
    "tee_to_display",
    "timeout_per_chunk",
    "tool_call_progress",
    "trace",
]

if TYPE_CHECKING:
    from rxllm.operators._accumulate import accumulate
    from rxllm.operators._accumulate_snapshots import accumulate_snapshots
    from rxllm.operators._accumulate_tool_calls import accumulate_tool_calls
    from rxllm.operators._buffer_with_backpressure import buffer_with_backpressure
    from rxllm.operators._content import content
    from rxllm.operators._deadline import deadline
    from rxllm.operators._decode_aws_frames import decode_aws_frames
    from rxllm.operators._decode_ndjson import decode_ndjson
    from rxllm.operators._decode_sse import decode_sse
    from rxllm.operators._json_path import json_path
    from rxllm.operators._map_async import map_async
    from rxllm.operators._map_error import map_error as map_error
    from rxllm.operators._measure import measure
    from rxllm.operators._parse import parse
    from rxllm.operators._parse import parse_answer as parse_answer
    from rxllm.operators._parse_structured import parse_structured
    from rxllm.operators._parts import parts
    from rxllm.operators._rate_limit import rate_limit
    from rxllm.operators._retry_with_backoff import AfterFirst as AfterFirst
    from rxllm.operators._retry_with_backoff import check_after_first as check_after_first
    from rxllm.operators._retry_with_backoff import retry_with_backoff
    from rxllm.operators._run_tools import run_tools
    from rxllm.operators._split_reasoning import split_reasoning
    from rxllm.operators._stop_when import stop_when
    from rxllm.operators._tee_to import tee_to
    from rxllm.operators._tee_to_display import tee_to_display
    from rxllm.operators._timeout_per_chunk import timeout_per_chunk
    from rxllm.operators._tool_call_progress import tool_call_progress
    from rxllm.operators._trace import trace
    from rxllm.operators._trace import traced as traced
    from rxllm.operators._tries import Course as Course
    from rxllm.operators._tries import Next as Next
    from rxllm.operators._tries import Tries as Tries
    from rxllm.operators._tries import fail as fail
    from rxllm.operators._tries import kept as kept
    from rxllm.operators._tries import with_attempts as with_attempts
else:
    _find, __dir__ = lazy_exports(
        __name__,
        _map_error="map_error",
        _parse="parse parse_answer",
        _retry_with_backoff="AfterFirst check_after_first retry_with_backoff",
        _trace="trace traced",
        _tries="Course Next Tries fail kept with_attempts",
    )

    def __getattr__(name: str) -> object:
        try:
            return _find(name)
        except AttributeError as error:
            from reactivex import operators as rx_ops  # noqa: PLC0415 - only for a name that is none of ours

            if getattr(getattr(rx_ops, name, None), "__module__", None) == rx_ops.__name__:
                advice = f"write 'from reactivex import operators as rx_ops' and rx_ops.{name}()"
                error.args = (f"rxllm.operators has no {name!r}, reactivex.operators has: {advice}",)
            raise
