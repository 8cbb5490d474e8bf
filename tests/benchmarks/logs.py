"""How long an item of a log takes from one process to another, and how many get through in a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

import rxllm
from tests.benchmarks import durable, xread

__all__ = ["DURABLE", "PLAIN", "REDIS", "SQLITE", "follow", "produce"]

SQLITE = "SQLite"
REDIS = "Redis"
PLAIN = "a plain XREAD loop"
DURABLE = "Durable Streams reference server"

_LOGS: Mapping[str, Callable[[str], rxllm.Log]] = MappingProxyType({SQLITE: rxllm.SQLiteLog, REDIS: rxllm.RedisLog})
"""How a log is opened, by the name of its engine."""

_BY_HAND = MappingProxyType({PLAIN: xread, DURABLE: durable})
"""What is written by hand, without the library."""

_TOGETHER = 16

# About what a chunk of an answer has.
_PADDING = "x" * 200


async def produce(engine: str, where: str, stream: str, count: int, gap: float) -> None:
    """Write items that hold the time at which they were made."""

    async def batches() -> AsyncIterator[list[dict[str, Any]]]:
        together = 1 if gap else _TOGETHER
        for first in range(0, count, together):
            await asyncio.sleep(gap)
            numbers = range(first, min(first + together, count))
            yield [{"number": number, "made": time.monotonic(), "padding": _PADDING} for number in numbers]

    async def items() -> AsyncIterator[dict[str, Any]]:
        async for batch in batches():
            for item in batch:
                yield item

    if engine in _BY_HAND:
        await _BY_HAND[engine].produce(where, stream, batches())
        return
    await _LOGS[engine](where).produce(stream, rxllm.from_async_iterable(items))


async def follow(engine: str, where: str, stream: str, readers: int, skip: int) -> dict[str, Any]:
    """Follow a stream several times at once.

    Returns:
        How many milliseconds each item took, but for the first ones, while the readers came; when the first item was
        made, and when the last one came.
    """
    log = _LOGS[engine](where) if engine in _LOGS else None
    took: list[float] = []
    began = time.monotonic()

    async def read() -> None:
        nonlocal began
        async for item in rxllm.from_log(log, stream) if log else _BY_HAND[engine].read(where, stream):
            if item["number"] >= skip:
                took.append((time.monotonic() - item["made"]) * 1000)
            else:
                began = min(began, item["made"])

    # What has not begun cannot be followed; by hand it can, where that is Redis. One looks, and not all of them: those
    # who look are busy when the stream begins.
    if log:
        await _once_it_is_there(lambda: _look(log, stream))
    await asyncio.gather(*[_once_it_is_there(read) for _ in range(readers)])
    return {"took": took, "began": began, "ended": time.monotonic()}


async def _once_it_is_there(act: Callable[[], Awaitable[None]]) -> None:
    """Do something with a stream as soon as somebody has begun it."""
    while True:
        try:
            await act()
        except rxllm.UnknownStreamError:
            await asyncio.sleep(0.001)
        else:
            return


async def _look(log: rxllm.Log, stream: str) -> None:
    await (await log.engine.follow(stream, None)).close()
