"""How long an item of a log takes from one process to another, and how many get through in a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any

import rxllm

__all__ = ["LOGS", "follow", "produce"]

LOGS: Mapping[str, Callable[[str], rxllm.Log]] = MappingProxyType({"SQLite": rxllm.SQLiteLog})
"""How a log is opened, by the name of its engine."""

# About what a chunk of an answer has.
_PADDING = "x" * 200


async def produce(engine: str, where: str, stream: str, count: int, gap: float) -> None:
    """Write items that hold the time at which they were made."""

    async def items() -> AsyncIterator[dict[str, Any]]:
        for number in range(count):
            if gap or number % 16 == 0:
                await asyncio.sleep(gap)
            yield {"number": number, "made": time.monotonic(), "padding": _PADDING}

    await LOGS[engine](where).produce(stream, rxllm.from_async_iterable(items))


async def follow(engine: str, where: str, stream: str, readers: int, skip: int) -> dict[str, Any]:
    """Follow a stream several times at once.

    Returns:
        How many milliseconds each item took, but for the first ones, while the readers came; when the first item was
        made, and when the last one came.
    """
    log = LOGS[engine](where)
    took: list[float] = []
    began = time.monotonic()

    async def read() -> None:
        nonlocal began
        async for item in rxllm.from_log(log, stream):
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
