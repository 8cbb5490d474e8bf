"""What a single item costs in each part of the library, in microseconds of CPU."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, cycle, islice
from typing import Any, NamedTuple

from pydantic import BaseModel
from reactivex import Observable
from reactivex import operators as rx_ops

from rxllm import FlowControl, StreamAccumulator, StreamChunk
from rxllm import operators as ops
from rxllm.flow import Emitter, task_source
from rxllm.typing import OperatorFunction
from rxllm.wire import SSEDecoder
from tests.benchmarks.contenders import Discard
from tests.benchmarks.handwritten import Chunk
from tests.benchmarks.payload import CONTENT, chunk, event, events, events_of_tool_call

__all__ = ["flow_control", "operators", "parts", "tool_calls"]

# More distinct items than a processor's nearest cache holds would measure the memory.
_DISTINCT = 64
_BLOCK = 64 * 1024


class Report(BaseModel):
    """What ``parse_structured`` reads."""

    title: str
    lines: list[str]


class Quiet(io.StringIO):
    """A text file that takes everything and keeps nothing."""

    def write(self, text: str, /) -> int:
        return len(text)


class QuietTerminal(Quiet):
    """A terminal that does."""

    def isatty(self) -> bool:
        return True


async def _identity(item: Any) -> Any:
    return item


def _same(item: Any) -> Any:
    return item


def _data(count: int) -> list[str]:
    return [chunk({"content": piece}).decode() for piece in islice(cycle(CONTENT), count)]


def _chunks(count: int) -> list[StreamChunk]:
    return [StreamChunk.from_wire(data) for data in _data(count)]


class Case(NamedTuple):
    """An operator, and what it is fed with: some items once, the others over and over."""

    operator: Callable[[], OperatorFunction[Any, Any]]
    repeated: Sequence[Any]
    first: Sequence[Any] = ()

    def items(self, count: int) -> Iterable[Any]:
        return islice(chain(self.first, cycle(self.repeated)), count)


def _tool_call() -> tuple[list[StreamChunk], list[str]]:
    """A tool call without end, three characters of its arguments a chunk."""
    first, *fragments = [each[6:-2].decode() for each in events_of_tool_call(600)[:-3]]
    # The text repeats itself every 12 characters; what begins it and ends it does not.
    begun, repeated = fragments[:8], fragments[8 : 8 + 12 * (_DISTINCT // 12)]
    return _read([first, *begun]), repeated


def _report() -> tuple[list[StreamChunk], list[str]]:
    """A report without end, six characters a chunk and eight chunks a line."""
    first, line = '{"title":"Words","lines":[', '"some words, here and there a few more of them",'
    pieces = [line[start : start + 6] for start in range(0, len(line), 6)] * (_DISTINCT // 8)
    return _read([chunk({"content": first}).decode()]), [chunk({"content": piece}).decode() for piece in pieces]


def _read(data: Iterable[str]) -> list[StreamChunk]:
    return [StreamChunk.from_wire(each) for each in data]


def _cases() -> dict[str, Case]:
    """Each operator. More distinct items than a cache holds would measure the memory."""
    texts = _chunks(_DISTINCT)
    begun, arguments = _tool_call()
    fragments = _read(arguments)
    title, report = _report()
    lines = _read(report)
    reasoning = [chunk({"reasoning_content": piece}).decode() for piece in CONTENT] * (_DISTINCT // len(CONTENT))
    return {
        "accumulate": Case(ops.accumulate, texts),
        "accumulate, fragments of a call": Case(ops.accumulate, fragments, begun),
        "accumulate, reasoning": Case(ops.accumulate, _read(reasoning)),
        "accumulate_snapshots": Case(ops.accumulate_snapshots, texts),
        "accumulate_tool_calls": Case(ops.accumulate_tool_calls, fragments, begun),
        "accumulate_tool_calls, text": Case(ops.accumulate_tool_calls, texts),
        "buffer_with_backpressure": Case(lambda: ops.buffer_with_backpressure(256), texts),
        "content": Case(ops.content, texts),
        "decode_sse": Case(ops.decode_sse, [event(data.encode()) for data in _data(_DISTINCT)]),
        "json_path": Case(lambda: ops.json_path("lines[*]", of="content"), lines, title),
        "json_path, fragments of a call": Case(lambda: ops.json_path("text"), fragments, begun),
        "map_async": Case(lambda: ops.map_async(_identity), texts),
        "map_async, 64 at a time": Case(lambda: ops.map_async(_identity, max_concurrency=64), texts),
        "parse": Case(ops.parse, _data(_DISTINCT)),
        "parse_structured": Case(lambda: ops.parse_structured(Report), lines, title),
        "split_reasoning": Case(ops.split_reasoning, texts),
        "split_reasoning, all reasoning": Case(lambda: ops.split_reasoning(begins_inside=True), texts),
        "tee_to": Case(lambda: ops.tee_to(Discard()), texts),
        "tee_to_display": Case(lambda: ops.tee_to_display(Quiet()), texts),
        "tee_to_display, rich": Case(lambda: ops.tee_to_display(QuietTerminal(), style="rich"), texts),
        "timeout_per_chunk": Case(lambda: ops.timeout_per_chunk(10), texts),
        "tool_call_progress": Case(ops.tool_call_progress, fragments, begun),
    }


async def operators(count: int, runs: int) -> dict[str, list[list[float]]]:
    """For each operator, run by run: what an item costs through it, and through an empty ``map`` of reactivex."""
    cases = _cases()
    figures: dict[str, list[list[float]]] = {name: [] for name in cases}
    for _ in range(runs + 1):
        for name, case in cases.items():
            pair = [await _through(each, case, count) for each in (case.operator(), rx_ops.map(_same))]
            figures[name].append(pair)
    return {name: pairs[1:] for name, pairs in figures.items()}


async def _through(operator: OperatorFunction[Any, Any], case: Case, count: int) -> float:
    async def produce(emitter: Emitter[Any]) -> None:
        await emitter.emit(case.items(count))

    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    source: Observable[Any] = operator(task_source(produce))
    began = time.process_time()
    # Some items are cut off: parse, for one, calls that an error.
    source.subscribe(_ignore, lambda _: done.set_result(None), lambda: done.set_result(None))
    await done
    return (time.process_time() - began) / count * 1e6


def _ignore(item: Any) -> None:
    del item


async def parts(count: int, runs: int) -> dict[str, list[float]]:
    """Decoder, validation and fold without Rx: per event, and the decoder per byte, in nanoseconds, too."""
    data = _data(count)
    body = b"".join(events(count))
    blocks = [body[start : start + _BLOCK] for start in range(0, len(body), _BLOCK)]
    single = events(count)
    long = event(b"x" * (8 * 1024 * 1024))
    chunks = _chunks(_DISTINCT) * (count // _DISTINCT)

    def decode(pieces: Iterable[bytes]) -> None:
        feed = SSEDecoder().feed
        for piece in pieces:
            feed(piece)

    def validate(validator: Callable[[str], object]) -> None:
        for each in data:
            validator(each)

    def fold() -> None:
        process = StreamAccumulator().add
        for each in chunks:
            process(each)

    return {
        "decoder, blocks: per event": _timed(lambda: decode(blocks), len(single), runs),
        "decoder, an event a read: per event": _timed(lambda: decode(single), len(single), runs),
        "decoder, blocks: per byte (ns)": _timed(lambda: decode(blocks), len(body) / 1000, runs),
        "decoder, one event of 8 MiB: per byte (ns)": _timed(lambda: decode((long,)), len(long) / 1000, runs),
        "validation, StreamChunk": _timed(lambda: validate(StreamChunk.model_validate_json), count, runs),
        "validation, hand-written model": _timed(lambda: validate(Chunk.model_validate_json), count, runs),
        "fold": _timed(fold, len(chunks), runs),
    }


async def flow_control(count: int, runs: int) -> dict[str, list[float]]:
    """What it costs to deliver an item under a flow control, above a plain call, and to look at one."""
    flow = FlowControl()
    numbers = range(count)

    def plainly() -> None:
        for number in numbers:
            _ignore(number)

    def delivered() -> None:
        for number in numbers:
            flow.deliver(_ignore, number)

    def looked_at() -> None:
        for number in numbers:
            if flow.paused:
                _ignore(number)

    def asked_for() -> None:
        for _ in numbers:
            FlowControl.current()

    return {
        "a plain call": _timed(plainly, count, runs),
        "deliver": _timed(delivered, count, runs),
        "paused": _timed(looked_at, count, runs),
        "current": _timed(asked_for, count, runs),
    }


async def tool_calls(sizes: Sequence[int], runs: int) -> dict[str, list[float]]:
    """The fold over one tool call with so many kilobytes of arguments: milliseconds for the whole."""
    figures: dict[str, list[float]] = {}
    for size in sizes:
        chunks = [StreamChunk.from_wire(each[6:-2]) for each in events_of_tool_call(size * 1000)[:-1]]

        def fold(chunks: Sequence[StreamChunk] = chunks) -> None:
            accumulator = StreamAccumulator()
            for each in chunks:
                accumulator.add(each)
            assert accumulator.message().tool_calls[0].function.name == "write"

        figures[f"{size} KB"] = _timed(fold, 1000, runs)
    return figures


def _timed(function: Callable[[], None], count: float, runs: int) -> list[float]:
    """Microseconds of CPU for each of ``count``, run by run, after one run to warm up."""
    figures: list[float] = []
    for _ in range(runs + 1):
        began = time.process_time()
        function()
        figures.append((time.process_time() - began) / count * 1e6)
    return figures[1:]
