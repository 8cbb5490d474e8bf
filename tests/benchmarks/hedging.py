"""How long answers take to begin where some are late, and what a hedge costs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp

import rxllm
from tests.benchmarks.contenders import REQUEST

__all__ = ["answers"]

_AT_A_TIME = 20


async def answers(origin: str, count: int, delay: Any) -> dict[str, list[float]]:
    """Ask so often, twenty at a time.

    Returns:
        Milliseconds to the first chunk, the 99th of a hundred; requests per answer; and milliseconds from the first
        chunk until the server saw that the other request was left, for each that was.
    """
    began: list[float] = []
    won: dict[str, float] = {}
    gate = asyncio.Semaphore(_AT_A_TIME)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        def ask(name: str) -> rxllm.Stream[rxllm.StreamChunk]:
            client = rxllm.LLMClient(base_url=f"{origin}/late/{name}", api_key="none", session=session, retries=0)
            return client.chat_stream(REQUEST)

        async def first(number: int) -> None:
            names = [f"{delay}-{number}-{which}" for which in range(1 if delay is None else 2)]
            async with gate:
                start = time.monotonic()
                chunk = await rxllm.hedge(*map(ask, names), delay=delay or 0)
                now = time.monotonic()
            began.append((now - start) * 1000)
            if chunk.attempts:
                won.update(dict.fromkeys(names, now))

        await asyncio.gather(*[first(number) for number in range(count)])
        async with session.get(f"{origin}/report") as response:
            left = (await response.json(content_type=None))["left"]
    closed = [(left[name] - at) * 1000 for name, at in won.items() if name in left]
    return {
        "ms to the first chunk, p99": [sorted(began)[99 * (count - 1) // 100]],
        "requests per answer": [1 + len(won) / 2 / count],
        **({"ms until a loser's connection is closed": closed} if closed else {}),
    }
