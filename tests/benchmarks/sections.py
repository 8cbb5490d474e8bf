"""What is measured, section by section: each returns its figures by name, and says itself what their unit is.

Contenders take turns, run by run, and are compared run by run: a machine whose speed drifts slows both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tests.benchmarks.contenders import installed
from tests.benchmarks.figures import Figure, above, figure, ratio
from tests.benchmarks.imports import CASES, EVERYTHING, FIRST_ANSWER, FOUR, IMPORT, PIPELINE, USED, milliseconds
from tests.benchmarks.payload import digest, text
from tests.benchmarks.processes import Worker

__all__ = ["FULL", "QUICK", "SECTIONS", "Size", "Table"]

Table = dict[str, Figure]
"""Figures by name."""

_OURS, _THEIRS = "rxllm pipeline", "hand-written loop"
_PAIR = (_THEIRS, _OURS, "rxllm pipeline, each chunk read")


class Size(NamedTuple):
    """How much is measured."""

    runs: int
    chunks: int
    items: int
    requests: int
    crowds: tuple[int, ...]
    paced_chunks: int
    arguments: tuple[int, ...]


FULL = Size(
    runs=7, chunks=20_000, items=20_000, requests=100, crowds=(500, 2000), paced_chunks=250, arguments=(25, 100, 400)
)
QUICK = Size(runs=1, chunks=500, items=640, requests=5, crowds=(20,), paced_chunks=10, arguments=(1, 4))


def throughput(origin: str, size: Size) -> dict[str, Table]:
    """CPU per chunk of one stream at full speed."""
    tables: dict[str, Table] = {}
    names = installed()
    expected = digest(text(size.chunks))
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker()) for name in names}
        for how in "blocks", "events", "obfuscated", "unlike":
            # The last two are about what ours does with likeness; to the others they are as blocks.
            contenders = names if how in ("blocks", "events") else _PAIR
            url = f"{origin}/{how}/{size.chunks}/chat/completions"
            cpu: defaultdict[str, list[float]] = defaultdict(list)
            # The first round warms up: imports, caches of the processor, of the interpreter and of the server.
            for round_ in range(size.runs + 1):
                for name in contenders:
                    outcome = workers[name].run("contenders.run", name=name, url=url)
                    if outcome["digest"] != expected:
                        raise RuntimeError(f"{name} got another text")
                    if round_:
                        cpu[name].append(outcome["cpu"] / size.chunks * 1e6)
            tables[f"{how}: CPU per chunk (µs)"] = {name: figure(values) for name, values in cpu.items()}
            tables[f"{how}: times the hand-written loop"] = {
                name: ratio(values, cpu[_THEIRS]) for name, values in cpu.items()
            }
    return tables


def operators(origin: str, size: Size) -> dict[str, Table]:
    """CPU per item of each operator, above an empty ``map`` of reactivex."""
    del origin
    with Worker() as worker:
        figures = worker.run("items.operators", count=size.items, runs=size.runs)
    return {
        "operators: CPU per item above an empty map (µs)": {
            name: above([own for own, _ in pairs], [empty for _, empty in pairs]) for name, pairs in figures.items()
        }
    }


def parts(origin: str, size: Size) -> dict[str, Table]:
    """Decoder, validation, fold and flow control, without Rx."""
    del origin
    with Worker() as worker:
        pieces = worker.run("items.parts", count=size.items, runs=size.runs)
        flow = worker.run("items.flow_control", count=size.items, runs=size.runs)
        calls = worker.run("items.tool_calls", sizes=size.arguments, runs=size.runs)
    smaller, larger = list(calls.values())[-2:]
    return {
        "parts: CPU (µs unless it says ns)": _figures(pieces),
        "flow control: CPU per item (µs)": _figures(flow),
        "one tool call in 3-character fragments: CPU (ms)": _figures(calls),
        "one tool call: times one of a quarter of the size": {list(calls)[-1]: ratio(larger, smaller)},
    }


def latency(origin: str, size: Size) -> dict[str, Table]:
    """Time to the first chunk, from leaving to the server's seeing it, and how many connections are used."""
    url = f"{origin}/blocks/5/chat/completions"
    with Worker() as raw, Worker() as theirs, Worker() as ours:
        first: dict[str, list[float]] = defaultdict(list)
        for _ in range(max(2, size.runs)):
            first["raw socket"] += raw.run("latency.first_chunk_of_socket", url=url, count=size.requests)
            for name, worker in ((_THEIRS, theirs), (_OURS, ours)):
                first[name] += worker.run("latency.first_chunk", who=name, url=url, count=size.requests)
        leaving = {
            how: ours.run("latency.leaving", how=how, origin=origin, count=size.requests)
            for how in ("break", "dispose", "cancel")
        }
        connections = ours.run("latency.reuse", origin=origin, count=size.requests)
    return {
        "time to the first chunk (ms)": _figures(first),
        "time to the first chunk above the hand-written loop (ms)": {_OURS: above(first[_OURS], first[_THEIRS])},
        "from leaving to the server's seeing it (ms)": _figures(leaving),
        f"connections for {size.requests} requests in a row": {_OURS: figure([connections])},
    }


def crowds(origin: str, size: Size) -> dict[str, Table]:
    """Many streams at once, 50 chunks a second each."""
    tables: dict[str, Table] = {}
    for streams in size.crowds:
        figures: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for _ in range(min(3, size.runs)):
            for name in (_THEIRS, _OURS):
                # A process of its own each time: what is read is the most memory that it ever had.
                with Worker() as worker:
                    worker.run("crowds.crowd", who=name, origin=origin, streams=2, count=3, rate=50)
                    outcome = worker.run(
                        "crowds.crowd", who=name, origin=origin, streams=streams, count=size.paced_chunks, rate=50
                    )
                for what, value in outcome.items():
                    figures[what][name].append(value)
        for what, unit in (
            ("cpu", "CPU per chunk (µs)"),
            ("p50", "lateness, p50 (ms)"),
            ("p99", "lateness, p99 (ms)"),
            ("memory", "memory per stream (KB)"),
            ("wall", "seconds for all"),
        ):
            tables[f"{streams} streams: {unit}"] = _figures(figures[what])
        p99 = figures["p99"]
        tables[f"{streams} streams: p99 to that of the hand-written loop"] = {_OURS: ratio(p99[_OURS], p99[_THEIRS])}
    return tables


def imports(origin: str, size: Size) -> dict[str, Table]:
    """What importing the library costs, and what its first use brings after it."""
    del origin
    figures: defaultdict[str, list[float]] = defaultdict(list)
    with TemporaryDirectory() as bytecode:
        # The first round compiles.
        for round_ in range(size.runs + 1):
            for name, statements in CASES.items():
                took = milliseconds(statements, bytecode)
                if round_:
                    figures[name].append(took)
    return {
        "imports: CPU (ms)": _figures(figures),
        "imports: times the four dependencies": {IMPORT: ratio(figures[IMPORT], figures[FOUR])},
        "imports: times the four dependencies, in use": {
            name: ratio(figures[name], figures[USED]) for name in (IMPORT, PIPELINE, FIRST_ANSWER, EVERYTHING)
        },
    }


def _figures(values: dict[str, list[float]]) -> Table:
    return {name: figure(each) for name, each in values.items()}


SECTIONS: dict[str, Callable[[str, Size], dict[str, Any]]] = {
    "throughput": throughput,
    "operators": operators,
    "parts": parts,
    "latency": latency,
    "crowds": crowds,
    "imports": imports,
}
