"""A consumer that stands still stops the writes of the server, through every chain, and loses nothing.

The server writes 200 MB. What it gets rid of before its writes stop is what the kernel and aiohttp buffer.
"""

from __future__ import annotations

import asyncio
import gc
import pathlib
from collections.abc import Callable, Sequence

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.testing import ReceivedRequest, ScriptedServer, script
from rxllm.typing import Ending

TOTAL_BYTES = 200_000_000
CHUNK_BYTES = 65_536
CHUNKS = TOTAL_BYTES // CHUNK_BYTES
MOST_BUFFERED = 16_000_000
MOST_GROWTH = 16_000_000

STATM = pathlib.Path("/proc/self/statm")

Text = Observable[str]


async def identity(text: str) -> str:
    await asyncio.sleep(0)
    return text


CHAINS: dict[str, Callable[[Text], Text]] = {
    "nothing": lambda text: text,
    "map": rx_ops.map(lambda text: text),
    "filter": rx_ops.filter(bool),
    "scan": rx_ops.scan(lambda _, text: text, ""),
    "flat_map": rx_ops.flat_map(reactivex.just),
    "merge": lambda text: reactivex.merge(text, reactivex.empty()),
    "concat": lambda text: reactivex.concat(text, reactivex.empty()),
    "share": rx_ops.share(),
    "retry": rx_ops.retry(2),
    "timeout_per_chunk": ops.timeout_per_chunk(60),
    "buffer_with_backpressure": ops.buffer_with_backpressure(8),
    "map_async": ops.map_async(identity, max_concurrency=2),
    "all that tries": lambda text: rxllm.fallback(
        rxllm.hedge(
            text.pipe(ops.rate_limit(rxllm.Limits(max_concurrency=1)), ops.retry_with_backoff()), text, delay=60
        )
    ).pipe(ops.deadline(60)),
}


def resident_bytes() -> int:
    """The memory of this process, the server's part included."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * 4096 if STATM.exists() else 0


async def stand_still(server: ScriptedServer, before: int) -> ReceivedRequest:
    """Wait until the server's writes have stopped, and look at what waits where."""
    request = await server.wait_for_request()
    await request.writes_stopped()
    assert request.bytes_written < MOST_BUFFERED
    assert resident_bytes() - before < MOST_GROWTH
    return request


def numbers_of(texts: Sequence[str]) -> list[int]:
    return [int(text[:10]) for text in texts]


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
async def test_a_consumer_that_takes_one_chunk_and_waits(chain: Callable[[Text], Text]) -> None:
    async with ScriptedServer(script.flood(TOTAL_BYTES, size=CHUNK_BYTES)) as server:
        before = resident_bytes()
        text = rxllm.from_sse(server.url).pipe(ops.parse(), ops.content())
        async with rxllm.iterate(chain(text), buffer_size=4) as iteration:
            numbers = numbers_of([await anext(iteration)])
            await stand_still(server, before)
            async for item in iteration:
                numbers.append(int(item[:10]))

    assert numbers == list(range(CHUNKS))


class StandingSink:
    """A sink that stands still until it is let go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.numbers: list[int] = []

    async def open(self) -> StandingSink:
        return self

    async def write(self, items: Sequence[str], /) -> None:
        await self.go_on.wait()
        self.numbers += numbers_of(items)

    async def close(self, ending: Ending, /) -> None: ...


async def test_a_sink_that_stands_still() -> None:
    sink = StandingSink()
    async with ScriptedServer(script.flood(TOTAL_BYTES, size=CHUNK_BYTES)) as server:
        before = resident_bytes()
        text = rxllm.from_sse(server.url).pipe(ops.parse(), ops.content(), ops.tee_to(sink, buffer_size=16))
        received: list[int] = []
        ended = asyncio.Event()
        subscription = text.subscribe(lambda item: received.append(int(item[:10])), on_completed=ended.set)
        await stand_still(server, before)
        assert len(received) <= 17
        sink.go_on.set()
        await ended.wait()
        subscription.dispose()

    assert received == sink.numbers == list(range(CHUNKS))
