"""Consumers that leave at random moments, many at once: how long their sockets stay open, and what is left behind."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import aiohttp

import rxllm
from rxllm.flow import Stream
from tests.benchmarks.contenders import REQUEST

__all__ = ["storm"]

LONGEST_SECONDS = 0.1
"""A stream is left so long after it was begun at most: some while they connect, some while they receive."""
PATIENCE_SECONDS = 5.0
DUE_SECONDS = 0.05

_sockets: ContextVar[list[socket.socket]] = ContextVar("sockets")


async def storm(transport: str, origin: str, count: int, at_once: int) -> dict[str, Any]:
    """Begin and leave so many streams that have no end, over ``http`` or ``ws``; half of their consumers are behind.

    Returns:
        Milliseconds from leaving to the socket's being closed, for each; how many were open after 50 ms; how many
        tasks, sockets and timers are left.
    """
    chance = random.Random(1)  # noqa: S311
    made: list[socket.socket] = []
    figures: list[float] = []

    def make(address: Any) -> socket.socket:
        new = socket.socket(*address[:3])
        made.append(new)
        _sockets.get().append(new)
        return new

    moments = iter([(chance.uniform(0, LONGEST_SECONDS), chance.random() < 0.5) for _ in range(count)])
    connector = aiohttp.TCPConnector(limit=0, socket_factory=make)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = rxllm.LLMClient(base_url=f"{origin}/endless/v1", api_key="none", session=session)
        ask = client.chat_stream if transport == "http" else client.websocket_stream
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(_come_and_go(ask(REQUEST), moments, figures))
        await asyncio.sleep(DUE_SECONDS)
        left = {
            "tasks": len(asyncio.all_tasks()) - 1,
            "sockets": sum(each.fileno() != -1 for each in made),
            "timers": _timers(),
        }
    return {"ms": figures, "open": sum(each > DUE_SECONDS * 1000 for each in figures), "left": left}


async def _come_and_go(chunks: Stream[Any], moments: Iterator[tuple[float, bool]], figures: list[float]) -> None:
    loop = asyncio.get_running_loop()
    for seconds, is_behind in moments:
        pauses = rxllm.Pauses()
        own: list[socket.socket] = []
        # The source has a copy of this context.
        _sockets.set(own)
        subscription = chunks.subscribe(lambda _, pauses=pauses, hold=is_behind: hold and pauses.hold())
        await asyncio.sleep(seconds)
        subscription.dispose()
        left_at = loop.time()
        while any(each.fileno() != -1 for each in own) and loop.time() < left_at + PATIENCE_SECONDS:
            await asyncio.sleep(0.001)
        figures.append((loop.time() - left_at) * 1000)
        pauses.release()


def _timers() -> int:
    """The timers of the loop that are still to fire, but for that of aiohttp's pool."""
    loop: Any = asyncio.get_running_loop()
    return sum(not timer.cancelled() and "weakref" not in repr(timer) for timer in loop._scheduled)
