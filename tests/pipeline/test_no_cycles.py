"""What a stream leaves behind is freed at once: nothing of ours waits for the garbage collector.

A collection looks at all there is, at the 2,000 other streams of a server among it.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import types
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import reactivex
from opentelemetry.sdk.trace import TracerProvider
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import fallback
from rxllm import operators as ops
from rxllm.telemetry import OpenTelemetry
from rxllm.testing import ScriptedServer, script
from rxllm.typing import Ending

STREAMS = 3

OURS = Path(rxllm.__file__).parent


class Sink:
    """Takes so many turns for each write, and no step more if that is none."""

    def __init__(self, *, turns: int) -> None:
        self._turns = turns

    async def open(self) -> Sink:
        return self

    async def write(self, _: Sequence[Any], /) -> None:
        for _turn in range(self._turns):
            await asyncio.sleep(0)

    async def close(self, _: Ending, /) -> None:
        """Nothing is open."""


Pipeline = Observable[Any]
Consume = Callable[[Pipeline], Awaitable[None]]


async def to_the_end(pipeline: Pipeline) -> None:
    ended = asyncio.Event()
    pipeline.subscribe(lambda _: None, lambda _: ended.set(), ended.set)
    await ended.wait()


async def awaited(pipeline: Pipeline) -> None:
    await pipeline


async def left_from_within(pipeline: Pipeline) -> None:
    ended = asyncio.Event()
    pipeline.pipe(rx_ops.take(2)).subscribe(lambda _: None, lambda _: ended.set(), ended.set)
    await ended.wait()


async def left_from_outside(pipeline: Pipeline) -> None:
    came = asyncio.Event()
    subscription = pipeline.subscribe(lambda _: came.set())
    await came.wait()
    subscription.dispose()


def pipeline_to(url: str, session: aiohttp.ClientSession, *, seconds: float, until: str) -> Pipeline:
    """With every operator that is one of ours, as far as the one of the name."""
    operators: dict[str, Any] = {
        "parse": ops.parse(),
        "trace": ops.trace(),
        "timeout_per_chunk": ops.timeout_per_chunk(seconds, first=90),
        "split_reasoning": ops.split_reasoning(),
        "tee_to": ops.tee_to(Sink(turns=0)),
        "buffer_with_backpressure": ops.buffer_with_backpressure(100),
        "tee_to, slow": ops.tee_to(Sink(turns=1)),
        "accumulate_snapshots": ops.accumulate_snapshots(),
    }
    names = [*operators]
    source: Pipeline = rxllm.from_sse(url, json={}, session=session)
    return source.pipe(reactivex.compose(*(operators[name] for name in names[: names.index(until) + 1])))


WHOLE = [script.role(), script.text("a"), script.text("b"), script.text("c"), script.finish(), script.done()]
ENDLESS = [script.role(), script.text("a"), script.text("b"), script.text("c"), script.stall()]

STREAMS_THAT: dict[str, tuple[Any, float, Consume]] = {
    "complete": (WHOLE, 60, to_the_end),
    "complete for whoever awaits them": (WHOLE, 60, awaited),
    "are refused": (script.status(500, {"error": {"message": "no"}}), 60, to_the_end),
    "send an error": ([*WHOLE[:3], script.error("overloaded")], 60, to_the_end),
    "send an error with a chunk": (
        [*WHOLE[:3], script.chunk({"choices": [{"index": 0, "delta": {"content": "d"}}], "error": {"message": "no"}})],
        60,
        to_the_end,
    ),
    "send what is no JSON": ([*WHOLE[:3], script.raw(b"data: {]\n\n")], 60, to_the_end),
    "end too early": (WHOLE[:3], 60, to_the_end),
    "break off": ([*WHOLE[:3], script.cut()], 60, to_the_end),
    "fall silent": (ENDLESS, 0.01, to_the_end),
    "are left from within": (ENDLESS, 60, left_from_within),
    "are left from outside": (ENDLESS, 60, left_from_outside),
}


def is_ours(thing: object) -> bool:
    """Whether it is of a class of ours, or a function, coroutine or frame of our code; not of the test server."""
    code = (
        getattr(getattr(thing, "__func__", thing), "__code__", None)
        or getattr(thing, "cr_code", None)
        or getattr(thing, "f_code", None)
    )
    if isinstance(code, types.CodeType):
        path = Path(code.co_filename)
        return path.is_relative_to(OURS) and not path.is_relative_to(OURS / "testing")
    module = type(thing).__module__
    return module.split(".")[0] == "rxllm" and not module.startswith("rxllm.testing")


@contextmanager
def garbage() -> Generator[list[object]]:
    """What of ours the body leaves to the garbage collector, which is off meanwhile."""
    found: list[object] = []
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += filter(is_ours, gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        if was_enabled:
            gc.enable()


def test_garbage_is_found() -> None:
    with garbage() as left:
        sink: Any = ops.parse()
        cycle = [rxllm.from_sse("http://127.0.0.1/"), sink]
        cycle.append(cycle)
        del cycle, sink
    assert left


@pytest.mark.parametrize("until", ["timeout_per_chunk", "tee_to", "tee_to, slow", "accumulate_snapshots"])
@pytest.mark.parametrize(("answer", "seconds", "consume"), STREAMS_THAT.values(), ids=STREAMS_THAT)
async def test_nothing_of_ours_is_left_to_the_garbage_collector_by_streams_that(
    answer: Any, seconds: float, consume: Consume, until: str
) -> None:
    async with ScriptedServer(answer, repeat=True) as server, aiohttp.ClientSession() as session:

        async def streams(count: int) -> None:
            for _ in range(count):
                await consume(pipeline_to(server.url, session, seconds=seconds, until=until))
            for _ in range(20):
                await asyncio.sleep(0)

        await streams(1)
        with garbage() as left:
            await streams(STREAMS)

    assert Counter(type(thing).__name__ for thing in left) == {}


@pytest.mark.parametrize(("answer", "seconds", "consume"), STREAMS_THAT.values(), ids=STREAMS_THAT)
async def test_nor_by_a_client_that_tells_of_streams_that(answer: Any, seconds: float, consume: Consume) -> None:
    provider = TracerProvider()
    telemetry = OpenTelemetry(tracer_provider=provider)
    async with ScriptedServer(answer, repeat=True) as server, aiohttp.ClientSession() as session:
        options: Any = {"telemetry": telemetry, "session": session, "retries": 0}
        client = rxllm.LLMClient(base_url=server.base_url, api_key="key", **options)

        async def streams(count: int) -> None:
            for _ in range(count):
                chunks = client.chat_stream(model="m", messages=[])
                wait = ops.timeout_per_chunk(seconds, first=90)
                await consume(fallback(chunks, chunks, when=lambda _: False).pipe(ops.trace(telemetry), wait))
            for _ in range(20):
                await asyncio.sleep(0)

        await streams(1)
        with garbage() as left:
            await streams(STREAMS)
    provider.shutdown()

    assert Counter(type(thing).__name__ for thing in left) == {}


async def test_what_was_awaited_is_not_kept_by_the_context_in_which_a_connection_was_made() -> None:
    kept: list[contextvars.Context] = []

    async def answer() -> AsyncIterator[Sink]:
        kept.append(contextvars.copy_context())
        yield Sink(turns=0)

    there = weakref.ref(await rxllm.from_async_iterable(answer))

    assert kept
    assert there() is None
