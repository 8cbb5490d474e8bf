"""Consumers that leave at random moments, many at once: how long their sockets stay open, and what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import aiohttp

import rxllm
from rxllm.flow import Stream
from tests.benchmarks.contenders import REQUEST

__all__ = ["storm"]

LONGEST_SECONDS = 2.0
"""A stream is left so long after it was begun at most: some while they connect, most while they receive."""
PATIENCE_SECONDS = 5.0
DUE_SECONDS = 0.05


class _Socket(socket.socket):
    """Tells when it is closed, without anybody asking all the time."""

    closed: asyncio.Event

    def close(self) -> None:
        super().close()
        self.closed.set()


_sockets: ContextVar[list[_Socket]] = ContextVar("sockets")


async def storm(transport: str, origin: str, count: int, at_once: int) -> dict[str, Any]:
    """Begin and leave so many streams that have no end, over ``http`` or ``ws``; half of their consumers are behind.

    Returns:
        Milliseconds from leaving to the socket's being closed, for each stream, and how many of them the processor
        worked for this process; how many were open after 50 ms; how many tasks, sockets and timers are left.
    """
    chance = random.Random(1)  # noqa: S311
    made: list[_Socket] = []

    def make(address: Any) -> socket.socket:
        new = _Socket(*address[:3])
        new.closed = asyncio.Event()
        made.append(new)
        _sockets.get().append(new)
        return new

    moments = iter([(chance.uniform(0, LONGEST_SECONDS), chance.random() < 0.5) for _ in range(count)])
    figures: list[tuple[float, float]] = []
    connector = aiohttp.TCPConnector(limit=0, socket_factory=make)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = rxllm.LLMClient(base_url=f"{origin}/endless/v1", api_key="none", session=session)
        ask = client.chat_stream if transport == "http" else client.websocket_stream
        async with asyncio.TaskGroup() as group:
            for number in range(at_once):
                begins_in = LONGEST_SECONDS * number / at_once
                group.create_task(_come_and_go(ask(REQUEST), begins_in, moments, figures))
        await asyncio.sleep(DUE_SECONDS)
        left = {
            "tasks": len(asyncio.all_tasks()) - 1,
            "sockets": sum(not each.closed.is_set() for each in made),
            "timers": _timers(),
        }
    wall, cpu = [ms for ms, _ in figures], [ms for _, ms in figures]
    return {"wall": wall, "cpu": cpu, "open": sum(ms > DUE_SECONDS * 1000 for ms in wall), "left": left}


async def _come_and_go(
    chunks: Stream[Any], begins_in: float, moments: Iterator[tuple[float, bool]], figures: list[tuple[float, float]]
) -> None:
    await asyncio.sleep(begins_in)
    for seconds, is_behind in moments:
        pauses = rxllm.Pauses()
        own: list[_Socket] = []
        # The source has a copy of this context.
        _sockets.set(own)
        subscription = chunks.subscribe(partial(_take, pauses if is_behind else None))
        await asyncio.sleep(seconds)
        wall, cpu = time.perf_counter(), time.process_time()
        subscription.dispose()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                for each in own:
                    await each.closed.wait()
        figures.append(((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000))
        pauses.release()


def _take(pauses: rxllm.Pauses | None, _: rxllm.StreamChunk) -> None:
    if pauses is not None:
        pauses.hold()


def _timers() -> int:
    """The timers of the loop that are still to fire, but for that of aiohttp's pool."""
    loop: Any = asyncio.get_running_loop()
    return sum(not timer.cancelled() and "weakref" not in repr(timer) for timer in loop._scheduled)
