"""What is measured, section by section: each returns its figures by name, and says itself what their unit is.

Contenders take turns, run by run, and are compared run by run: a machine whose speed drifts slows both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tests.benchmarks.contenders import CLIENT, LOOP, READ, UNREAD, installed
from tests.benchmarks.dialects import DIALECTS
from tests.benchmarks.figures import Figure, Missing, above, figure, ratio
from tests.benchmarks.followers import Amount, followed
from tests.benchmarks.imports import CASES, EVERYTHING, FIRST_ANSWER, FOUR, IMPORT, PIPELINE, USED, milliseconds
from tests.benchmarks.payload import digest, text
from tests.benchmarks.processes import Worker, serving
from tests.benchmarks.served import AIOHTTP, BY_HAND, EVENT_SOURCE, FASTAPI, protocols

__all__ = ["FULL", "QUICK", "SECTIONS", "Size", "Table"]

Table = dict[str, Figure]
"""Figures by name."""

_OURS = (CLIENT, READ, UNREAD)

_ANSWERS = {
    "text, in blocks": ("openai", "blocks"),
    "text, one event a write": ("openai", "events"),
    "tool arguments, in blocks": ("tools", "blocks"),
    "OpenRouter, with reasoning details, in blocks": ("openrouter", "blocks"),
    "Azure, with filter results, in blocks": ("azure", "blocks"),
    "a field that nobody declared, in blocks": ("undeclared", "blocks"),
}
"""What is sent, and how: see ``payload.KINDS`` and ``server``."""

_FOR_ALL = ("text, in blocks", "text, one event a write")
"""What all contenders get; the others only get what the library and the loop differ in."""


class Size(NamedTuple):
    """How much is measured."""

    runs: int
    chunks: int
    items: int
    requests: int
    unpaced: tuple[tuple[int, int], ...]
    crowds: tuple[int, ...]
    paced_chunks: int
    arguments: tuple[int, ...]
    hedged: int
    cancels: int
    log_items: int
    log_latencies: int
    log_rivals: bool
    served: tuple[int, int]


FULL = Size(
    runs=7,
    chunks=20_000,
    items=20_000,
    requests=100,
    unpaced=((500, 40), (500, 200)),
    crowds=(500, 2000),
    paced_chunks=250,
    arguments=(25, 100, 400),
    hedged=2000,
    cancels=5000,
    log_items=20_000,
    log_latencies=1000,
    log_rivals=True,
    served=(500, 100),
)
QUICK = Size(
    runs=1,
    chunks=500,
    items=640,
    requests=5,
    unpaced=((20, 10),),
    crowds=(20,),
    paced_chunks=10,
    arguments=(1, 4),
    hedged=20,
    cancels=100,
    log_items=300,
    log_latencies=60,
    log_rivals=False,
    served=(20, 10),
)


def throughput(origin: str, size: Size) -> dict[str, Table]:
    """CPU per chunk of one stream at full speed."""
    tables: dict[str, Table] = {}
    names = installed()
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker()) for name in names}
        for title, (kind, how) in _ANSWERS.items():
            contenders = names if title in _FOR_ALL else [*_OURS, LOOP]
            url = f"{origin}/{kind}/{how}/{size.chunks}/chat/completions"
            expected = digest(text(kind, size.chunks))
            cpu: defaultdict[str, list[float]] = defaultdict(list)
            # The first round warms up: imports, caches of the processor, of the interpreter and of the server.
            for round_ in range(size.runs + 1):
                for name in contenders:
                    outcome = workers[name].run("contenders.run", name=name, url=url)
                    if outcome["digest"] != expected:
                        raise RuntimeError(f"{name} got another text")
                    if round_:
                        cpu[name].append(outcome["cpu"] / size.chunks * 1e6)
            tables[f"{title}: CPU per chunk (µs)"] = {name: figure(values) for name, values in cpu.items()}
            tables[f"{title}: CPU, times the hand-written loop"] = {
                name: ratio(values, cpu[LOOP]) for name, values in cpu.items()
            }
    return tables


def dialects(origin: str, size: Size) -> dict[str, Table]:
    """CPU per chunk of text in each dialect, through the client."""
    expected = digest(text("openai", size.chunks))
    cpu: defaultdict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker()) for name in DIALECTS}
        for round_ in range(size.runs + 1):
            for name, worker in workers.items():
                url = f"{origin}/{name}/blocks/{size.chunks}"
                outcome = worker.run("dialects.run", dialect=name, url=url)
                if outcome["digest"] != expected:
                    raise RuntimeError(f"{name} gave another text")
                if round_:
                    cpu[name].append(outcome["cpu"] / size.chunks * 1e6)
    return {
        "text in each dialect: CPU per chunk of the client (µs)": _figures(cpu),
        "text in each dialect: CPU of the client, times openai-chat": {
            name: ratio(values, cpu[DIALECTS[0]]) for name, values in cpu.items()
        },
    }


_PACED_RATE = 2000


def telemetry(origin: str, size: Size) -> dict[str, Table]:
    """CPU per chunk of the client with and without OpenTelemetry, and how late a first chunk is by what is told."""
    tables: dict[str, Table] = {}
    ways = {"off": {"tells": False}, "on": {"tells": True}, "on, with content": {"tells": True, "captures": True}}
    long, short = size.chunks, max(size.chunks // 20, 10)
    answers = {
        f"answers of {long} chunks, in blocks": (f"openai/blocks/{long}", long, 1),
        f"answers of {long} chunks, one event a write": (f"openai/events/{long}", long, 1),
        f"answers of {short} chunks, one event a write": (f"openai/events/{short}", short, 5),
        f"answers of {short} chunks, one a read": (f"paced/{short}/{_PACED_RATE}", short, 2),
    }
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker()) for name in ways}
        for title, (path, chunks, count) in answers.items():
            cpu: defaultdict[str, list[float]] = defaultdict(list)
            for round_ in range(size.runs + 1):
                for name, options in ways.items():
                    outcome = workers[name].run("telemetry.run", url=f"{origin}/{path}", answers=count, **options)
                    if round_:
                        cpu[name].append(outcome["cpu"] / chunks / count * 1e6)
            tables[f"telemetry, {title}: CPU per chunk (µs)"] = _figures(cpu)
            tables[f"telemetry, {title}: times without"] = {
                name: ratio(cpu[name], cpu["off"]) for name in ways if name != "off"
            }
        late = workers["on"].run("telemetry.first_chunks", url=f"{origin}/paced/2/{_PACED_RATE}", count=size.requests)
    return {**tables, "telemetry: the first chunk, behind the server's write (ms)": _figures({"on": late})}


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
    url = f"{origin}/openai/blocks/5/chat/completions"
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker()) for name in (LOOP, CLIENT, UNREAD)}
        raw = stack.enter_context(Worker())
        first: dict[str, list[float]] = defaultdict(list)
        for _ in range(max(2, size.runs)):
            first["raw socket"] += raw.run("latency.first_chunk_of_socket", url=url, count=size.requests)
            for name, worker in workers.items():
                first[name] += worker.run("latency.first_chunk", who=name, url=url, count=size.requests)
        ours = workers[CLIENT]
        leaving = {
            how: ours.run("latency.leaving", how=how, origin=origin, count=size.requests)
            for how in ("break", "dispose", "cancel")
        }
        connections = ours.run("latency.reuse", origin=origin, count=size.requests)
    return {
        "time to the first chunk (ms)": _figures(first),
        "time to the first chunk above the hand-written loop (ms)": {
            name: above(first[name], first[LOOP]) for name in (CLIENT, UNREAD)
        },
        "from leaving to the server's seeing it (ms)": _figures(leaving),
        f"connections for {size.requests} requests in a row": {CLIENT: figure([connections])},
    }


_CROWD = (LOOP, CLIENT, UNREAD)


def crowds(origin: str, size: Size) -> dict[str, Table]:
    """Many streams at once, at full speed and at 50 chunks a second each."""
    tables: dict[str, Table] = {}
    for streams, count in size.unpaced:
        title = f"{streams} streams of {count} chunks at full speed"
        outcomes = _in_turn(size.runs, "crowds.unpaced", {"origin": origin, "streams": streams, "count": count})
        tables[f"{title}: memory per stream (KB)"] = _figures(outcomes["memory"])
        # A few streams may take no more than there was: it is the memory of all that is compared.
        for what, unit in (("cpu", "CPU per chunk (µs)"), ("process", "memory of the process (MB)")):
            tables[f"{title}: {unit}"] = _figures(outcomes[what])
            tables[f"{title}: {unit.partition(' (')[0]}, times the hand-written loop"] = _to_the_loop(outcomes[what])
    for streams in size.crowds:
        paced = {"origin": origin, "streams": streams, "count": size.paced_chunks, "rate": 50}
        outcomes = _in_turn(min(3, size.runs), "crowds.crowd", paced)
        for what, unit in (
            ("cpu", "CPU per chunk (µs)"),
            ("p50", "lateness, p50 (ms)"),
            ("p99", "lateness, p99 (ms)"),
            ("memory", "memory per stream (KB)"),
            ("wall", "seconds for all"),
        ):
            tables[f"{streams} paced streams: {unit}"] = _figures(outcomes[what])
        tables[f"{streams} paced streams: p99, times the hand-written loop"] = _to_the_loop(outcomes["p99"])
    return tables


def _in_turn(runs: int, function: str, arguments: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """The outcomes of all who take turns, by what was measured and by name."""
    outcomes: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    warming = {**arguments, "streams": 2, "count": 3}
    for _ in range(runs):
        for name in _CROWD:
            # A process of its own each time: what is read is the most memory that it ever had.
            with Worker() as worker:
                worker.run(function, who=name, **warming)
                for what, value in worker.run(function, who=name, **arguments).items():
                    outcomes[what][name].append(value)
    return {what: dict(values) for what, values in outcomes.items()}


def _to_the_loop(values: dict[str, list[float]]) -> Table:
    return {name: ratio(each, values[LOOP]) for name, each in values.items() if name != LOOP}


def hedging(origin: str, size: Size) -> dict[str, Table]:
    """One answer in twenty begins after two seconds, the others after 50 ms: what a hedge makes of that."""
    outcomes: defaultdict[str, dict[str, list[float]]] = defaultdict(dict)
    with Worker() as worker:
        for name, delay in (("one request each", None), ("hedge(delay=0.1)", 0.1), ('hedge(delay="p95")', "p95")):
            found = worker.run("hedging.answers", origin=origin, count=size.hedged, delay=delay)
            for what, values in found.items():
                outcomes[what][name] = values
    return {f"of {size.hedged} answers, {what}": _figures(values) for what, values in outcomes.items()}


_AT_ONCE = 200


def storms(origin: str, size: Size) -> dict[str, Table]:
    """Streams that are left at random moments, many at once, while their consumers are behind or not."""
    del origin
    names = {"http": "over HTTP", "ws": "over WebSockets"}
    with serving("tests.soak.server") as endless, Worker() as worker:
        outcomes = {
            name: worker.run("storms.storm", transport=transport, origin=endless, count=size.cancels, at_once=_AT_ONCE)
            for transport, name in names.items()
        }
    return {
        f"{size.cancels} cancels: until the socket is closed (ms)": _figures(
            {name: each["wall"] for name, each in outcomes.items()}
        ),
        f"{size.cancels} cancels: of these, CPU of the process (ms)": _figures(
            {name: each["cpu"] for name, each in outcomes.items()}
        ),
        f"{size.cancels} cancels: still open after 50 ms": {
            name: figure([each["open"]]) for name, each in outcomes.items()
        },
        f"{size.cancels} cancels: left behind": {
            f"{what} {name}": figure([number])
            for name, each in outcomes.items()
            for what, number in each["left"].items()
        },
    }


def logs(origin: str, size: Size) -> dict[str, dict[str, Figure | Missing]]:
    """From the append of an item to a follower in another process, and items a second at full speed."""
    del origin
    return followed(Amount(size.runs, size.log_items, size.log_latencies), rivals=size.log_rivals)


def served(origin: str, size: Size) -> dict[str, Table]:
    """CPU per chunk of a server that passes answers on to many clients at once."""
    clients, count = size.served
    contenders = [(who, name) for name in protocols() for who in (AIOHTTP, FASTAPI)]
    contenders += [(EVENT_SOURCE, ""), (BY_HAND, "")]
    cpu: defaultdict[str, list[float]] = defaultdict(list)
    with TemporaryDirectory() as folder, ExitStack() as stack:
        workers = {each: stack.enter_context(Worker()) for each in contenders}
        asking = stack.enter_context(Worker())
        for round_ in range(size.runs + 1):
            for number, (who, name) in enumerate(contenders):
                descriptor = f"{folder}/{round_}-{number}"
                crowd = {"clients": clients, "descriptor": descriptor}
                server = workers[who, name]
                server.begin("served.serve", who=who, protocol=name, upstream=origin, count=count, **crowd)
                asking.run("served.ask", **crowd)
                took = server.result()
                if round_:
                    cpu[f"{who}: {name}" if name else who].append(took)
    title = f"served to {clients} clients at once: CPU"
    return {
        f"{title} of the server per chunk (µs)": _figures(cpu),
        f"{title}, times FastAPI's EventSourceResponse": {
            name: ratio(values, cpu[EVENT_SOURCE]) for name, values in cpu.items()
        },
    }


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
    "dialects": dialects,
    "telemetry": telemetry,
    "operators": operators,
    "parts": parts,
    "latency": latency,
    "crowds": crowds,
    "hedging": hedging,
    "storms": storms,
    "logs": logs,
    "serving": served,
    "imports": imports,
}
