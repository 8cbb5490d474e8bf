"""How long an item of a log takes from one process to another, and how many get through in a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any

import rxllm
from tests.benchmarks import xread

__all__ = ["LOGS", "PLAIN", "REDIS", "follow", "produce"]

REDIS = "Redis"
PLAIN = "a plain XREAD loop"

LOGS: Mapping[str, Callable[[str], rxllm.Log]] = MappingProxyType({"SQLite": rxllm.SQLiteLog, REDIS: rxllm.RedisLog})
"""How a log is opened, by the name of its engine."""

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

    if engine == PLAIN:
        await xread.produce(where, stream, batches())
        return
    await LOGS[engine](where).produce(stream, rxllm.from_async_iterable(items))


async def follow(engine: str, where: str, stream: str, readers: int, skip: int) -> dict[str, Any]:
    """Follow a stream several times at once.

    Returns:
        How many milliseconds each item took, but for the first ones, while the readers came; when the first item was
        made, and when the last one came.
    """
    log = None if engine == PLAIN else LOGS[engine](where)
    took: list[float] = []
    began = time.monotonic()

    async def read() -> None:
        nonlocal began
        async for item in xread.read(where, stream) if log is None else rxllm.from_log(log, stream):
            if item["number"] >= skip:
                took.append((time.monotonic() - item["made"]) * 1000)
            else:
                began = min(began, item["made"])

    while True:
        try:
            await asyncio.gather(*[read() for _ in range(readers)])
        except rxllm.UnknownStreamError:
            await asyncio.sleep(0.001)
        else:
            return {"took": took, "began": began, "ended": time.monotonic()}
