"""What a fragment of a tool call costs.

Arguments of 25, 100 and 400 KB, in fragments of 3 characters, over 4 parallel calls that take turns. Chunks are made
before the clock starts: only the operator is measured, the best of several runs, in CPU time. A ratio of 4 between
two sizes is linear.

    python tests/benchmarks/bench_tool_calls.py
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import reactivex

import rxllm
from rxllm import operators as ops

SIZES = (25_000, 100_000, 400_000)
CALLS = 4
FRAGMENT = 3
RUNS = 5

Operator = Callable[[reactivex.Observable[Any]], reactivex.Observable[Any]]


def long_string(size: int) -> dict[str, Any]:
    """One string."""
    return {"path": "src/main.py", "text": "def f(x):\n    return x\n" * (size // 24)}


def many_edits(size: int) -> dict[str, Any]:
    """Many small values."""
    return {"edits": [{"line": line, "text": f"return x + {line}", "new": True} for line in range(size // 52)]}


def chunks(value: dict[str, Any]) -> list[rxllm.StreamChunk]:
    """The chunks of four calls with the same arguments, in turns."""
    text = json.dumps(value)
    pieces = [text[start : start + FRAGMENT] for start in range(0, len(text), FRAGMENT)]
    opening = [{"index": index, "id": f"call-{index}", "function": {"name": "edit"}} for index in range(CALLS)]
    deltas = opening + [
        {"index": index, "function": {"arguments": piece}} for piece in pieces for index in range(CALLS)
    ]
    return [rxllm.StreamChunk.from_wire({"choices": [{"delta": {"tool_calls": [delta]}}]}) for delta in deltas]


def seconds(stream: list[rxllm.StreamChunk], operator: Operator, read: Callable[[Any], None]) -> float:
    """CPU seconds for one stream through one operator."""
    subject: reactivex.Subject[rxllm.StreamChunk] = reactivex.Subject()
    failures: list[Exception] = []
    subject.pipe(operator).subscribe(read, failures.append)
    gc.collect()
    start = time.process_time()
    for chunk in stream:
        subject.on_next(chunk)
    spent = time.process_time() - start
    subject.on_completed()
    if failures:
        raise failures[0]
    return spent


def nothing(_: object) -> None:
    """A consumer that reads nothing."""


def changes(progress: rxllm.ToolCallProgress) -> None:
    """A consumer that reads what changed."""
    _ = progress.changes


def arguments(progress: rxllm.ToolCallProgress) -> None:
    """A consumer that reads all there is, each time."""
    _ = progress.arguments


OPERATORS: dict[str, tuple[Callable[[], Operator], Callable[[Any], None]]] = {
    "accumulate": (ops.accumulate, nothing),
    "accumulate_snapshots": (ops.accumulate_snapshots, nothing),
    "tool_call_progress": (ops.tool_call_progress, nothing),
    "tool_call_progress, changes read": (ops.tool_call_progress, changes),
    "tool_call_progress, arguments read": (ops.tool_call_progress, arguments),
    "json_path edits[*].text": (lambda: ops.json_path("edits[*].text"), nothing),
}


def main() -> None:
    """Print the tables."""
    for shape in (long_string, many_edits):
        streams = [chunks(shape(size // CALLS)) for size in SIZES]
        print(f"\n{shape.__doc__} µs a fragment at {', '.join(f'{size // 1000} KB' for size in SIZES)}:")
        floor: list[float] = []
        for name, (operator, read) in OPERATORS.items():
            spent = [min(seconds(stream, operator(), read) for _ in range(RUNS)) for stream in streams]
            each = [1e6 * total / len(stream) for total, stream in zip(spent, streams, strict=True)]
            floor = floor or each
            above = " ".join(f"{cost - base:+6.2f}" for cost, base in zip(each, floor, strict=True))
            ratios = " ".join(f"{after / before:5.2f}" for before, after in pairwise(spent))
            shown = " ".join(f"{cost:6.2f}" for cost in each)
            print(f"  {name:36} {shown}   above accumulate: {above}   ratios: {ratios}")


if __name__ == "__main__":
    main()
