"""What a single item costs in each part of the library, in microseconds of CPU."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle, islice
from typing import Any

from reactivex import Observable
from reactivex import operators as rx_ops

from rxllm import FlowControl, StreamAccumulator, StreamChunk
from rxllm import operators as ops
from rxllm.sources._task import Emitter, task_source
from rxllm.typing import OperatorFunction
from rxllm.wire import SSEDecoder
from tests.benchmarks.contenders import Discard
from tests.benchmarks.handwritten import Chunk
from tests.benchmarks.payload import CONTENT, chunk, event, events, events_of_tool_call

__all__ = ["flow_control", "operators", "parts", "tool_calls"]

# More distinct items than a processor's nearest cache holds would measure the memory.
_DISTINCT = 64
_BLOCK = 64 * 1024


class Quiet(io.StringIO):
    """A text file that takes everything and keeps nothing."""

    def write(self, text: str, /) -> int:
        return len(text)


async def _identity(item: Any) -> Any:
    return item


def _same(item: Any) -> Any:
    return item


def _data(count: int) -> list[str]:
    return [chunk({"content": piece}).decode() for piece in islice(cycle(CONTENT), count)]


def _chunks(count: int) -> list[StreamChunk]:
    return [StreamChunk.from_wire(data) for data in _data(count)]


def _cases() -> dict[str, tuple[Callable[[], OperatorFunction[Any, Any]], Sequence[Any]]]:
    """Each operator, and what it is fed with over and over."""
    texts = _chunks(_DISTINCT)
    return {
        "accumulate": (ops.accumulate, texts),
        "accumulate_snapshots": (ops.accumulate_snapshots, texts),
        "accumulate_tool_calls": (ops.accumulate_tool_calls, texts),
        "buffer_with_backpressure": (lambda: ops.buffer_with_backpressure(256), texts),
        "content": (ops.content, texts),
        "decode_sse": (ops.decode_sse, [event(data.encode()) for data in _data(_DISTINCT)]),
        "map_async": (lambda: ops.map_async(_identity), texts),
        "parse": (ops.parse, _data(_DISTINCT)),
        "tee_to": (lambda: ops.tee_to(Discard()), texts),
        "tee_to_display": (lambda: ops.tee_to_display(Quiet()), texts),
        "timeout_per_chunk": (lambda: ops.timeout_per_chunk(10), texts),
    }


async def operators(count: int, runs: int) -> dict[str, list[list[float]]]:
    """For each operator, run by run: what an item costs through it, and through an empty ``map`` of reactivex."""
    cases = _cases()
    figures: dict[str, list[list[float]]] = {name: [] for name in cases}
    for _ in range(runs + 1):
        for name, (operator, items) in cases.items():
            pair = [await _through(each, items, count) for each in (operator(), rx_ops.map(_same))]
            figures[name].append(pair)
    return {name: pairs[1:] for name, pairs in figures.items()}


async def _through(operator: OperatorFunction[Any, Any], items: Sequence[Any], count: int) -> float:
    async def produce(emitter: Emitter[Any]) -> None:
        await emitter.emit(islice(cycle(items), count))

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
        process = StreamAccumulator().process_chunk
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
                accumulator.process_chunk(each)
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
