"""Many streams at once: what a chunk costs, how late it comes at the pace of a model, what a stream occupies."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from tests.benchmarks.contenders import CLIENT, LOOP, REQUEST, UNREAD, operators
from tests.benchmarks.handwritten import read

__all__ = ["crowd", "unpaced"]


class _Lateness:
    """How late the chunks of one stream come, against a schedule that its first chunk names."""

    def __init__(self, period: float, seconds: list[float]) -> None:
        self._period = period
        self._seconds = seconds
        self._due: float | None = None

    def note(self, chunk: Any) -> None:
        content = chunk.choices[0].delta.content if chunk.choices else None
        if not content:
            return
        if self._due is None:
            self._due = float(content)
        else:
            self._due += self._period
        self._seconds.append(time.monotonic() - self._due)


class _Unnoted(_Lateness):
    """Reads a chunk, and notes nothing."""

    def __init__(self) -> None:
        super().__init__(0.0, [])

    def note(self, chunk: Any) -> None:
        _ = chunk.choices[0].delta.content if chunk.choices else None


async def _hand_written(session: aiohttp.ClientSession, url: str, lateness: _Lateness) -> None:
    await read(session, url, [], lateness.note)


async def _pipeline(session: aiohttp.ClientSession, url: str, lateness: _Lateness) -> None:
    chunks: Any = rxllm.from_sse(url, json={}, session=session).pipe(*operators())
    # What notes the lateness is one operator more than the other side pays for.
    await chunks.pipe(rx_ops.do_action(lateness.note), ops.accumulate())


async def _client(session: aiohttp.ClientSession, url: str, lateness: _Lateness) -> None:
    llm = rxllm.LLMClient(base_url=url.removesuffix("/chat/completions"), api_key="none", session=session)
    answer = rxllm.StreamAccumulator()
    async for chunk in rxllm.iterate(llm.chat_stream(REQUEST)):
        lateness.note(chunk)
        answer.add(chunk)
    answer.completion()


_CROWDS: dict[str, Callable[[aiohttp.ClientSession, str, _Lateness], Coroutine[Any, Any, None]]] = {
    LOOP: _hand_written,
    CLIENT: _client,
    UNREAD: _pipeline,
}


async def unpaced(who: str, origin: str, streams: int, count: int) -> dict[str, float]:
    """So many streams of ``count`` chunks at full speed, all at once.

    Returns:
        Microseconds of CPU per chunk, kilobytes per stream, and megabytes of the process at the most.
    """
    url = f"{origin}/openai/blocks/{count}/chat/completions"
    before = _peak_kilobytes()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        cpu = time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(streams):
                group.create_task(_CROWDS[who](session, url, _Unnoted()))
        cpu = time.process_time() - cpu
    peak = _peak_kilobytes()
    return {"cpu": cpu / (streams * count) * 1e6, "memory": (peak - before) / streams, "process": peak / 1024}


async def crowd(who: str, origin: str, streams: int, count: int, rate: float) -> dict[str, float]:
    """So many streams of ``count`` chunks at ``rate`` a second.

    Returns:
        Microseconds of CPU per chunk, lateness in milliseconds (p50, p99), kilobytes per stream, seconds in all, and
        how many chunks came.
    """
    url = f"{origin}/paced/{count}/{rate}/chat/completions"
    late: list[float] = []
    before = _peak_kilobytes()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        cpu, wall = time.process_time(), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(streams):
                group.create_task(_CROWDS[who](session, url, _Lateness(1 / rate, late)))
                # Arrivals are spread over a period, as those of strangers are.
                if number % max(1, streams // 50) == 0:
                    await asyncio.sleep(0.02)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    # The list of times is the measurement's own: 8 bytes and a float of 24 each.
    occupied = max(0.0, _peak_kilobytes() - before - len(late) * 32 / 1024)
    late.sort()
    return {
        "cpu": cpu / len(late) * 1e6,
        "p50": late[len(late) // 2] * 1000,
        "p99": late[len(late) * 99 // 100] * 1000,
        "memory": occupied / streams,
        "wall": wall,
        "chunks": len(late),
    }


def _peak_kilobytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform == "darwin" else peak
