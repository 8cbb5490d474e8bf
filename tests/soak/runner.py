"""Plays many streams over HTTP and WebSockets, a part of them with faults, and looks at what the process holds.

Rules:

1. The streams go in rounds, so many at once. Behind a round nothing is under way, and what is held is noted.
2. What came of a stream is judged by what the server does with it: a whole answer is whole, any other an error of ours.
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

import rxllm
from rxllm import operators as ops
from rxllm.flow import Stream
from rxllm.typing import Ending
from tests.soak.server import TEXT

__all__ = ["Held", "Report", "soak"]

FAULTS = ("reset", "cut", "garbage", "status", "slow", "left")
REQUEST = rxllm.ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
SILENCE_SECONDS = 30.0


class Held(NamedTuple):
    """What the process holds behind a round.

    Attributes:
        streams: How many streams have been played.
        megabytes: Its memory.
        files: Its open files, the connections that wait in the pool among them.
        tasks: Tasks besides the one that measures.
        timers: Timers of the loop that are still to fire.
    """

    streams: int
    megabytes: float
    files: int
    tasks: int
    timers: int


@dataclass
class Report:
    """What came of it: how many streams of which kind, what is held behind each round, what should not have been."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    held: list[Held] = field(default_factory=list[Held])
    offences: list[str] = field(default_factory=list[str])


class _Discard:
    async def open(self) -> _Discard:
        return self

    async def write(self, _: Sequence[object], /) -> None:
        await asyncio.sleep(0)

    async def close(self, _: Ending, /) -> None: ...


async def soak(origin: str, streams: int, at_once: int, *, rounds: int = 10, seed: int = 1) -> Report:
    """Play so many streams, a tenth of them with faults.

    Args:
        origin: That of ``tests.soak.server``.
        streams: How many.
        at_once: How many are under way.
        rounds: How often it is looked at what is held.
        seed: What happens to which.
    """
    report = Report()
    chance = random.Random(seed)  # noqa: S311
    report.held.append(_held(0))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for number in range(1, rounds + 1):
            kinds = iter([_kind(chance) for _ in range(streams // rounds)])
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(_play_all(origin, session, kinds, report))
            # What closes takes a moment: a closing frame is answered, or not.
            await asyncio.sleep(0.05)
            report.held.append(_held(number * (streams // rounds)))
    await asyncio.sleep(0.05)
    report.held.append(_held(streams))
    return report


def _kind(chance: random.Random) -> tuple[str, str]:
    """What happens to a stream, and over what it goes."""
    fate = chance.choice(FAULTS) if chance.random() < 0.1 else "good"
    return fate, chance.choice(("HTTP", "WebSocket"))


async def _play_all(
    origin: str, session: aiohttp.ClientSession, kinds: Iterator[tuple[str, str]], report: Report
) -> None:
    for fate, transport in kinds:
        play = _leave if fate == "left" else _answer
        outcome = await play(_chunks(origin, session, fate, transport))
        report.outcomes[f"{transport}, {fate}: {outcome}"] += 1
        if outcome not in _EXPECTED[fate]:
            report.offences.append(f"{transport}, {fate}: {outcome}")


_EXPECTED = {
    "good": {"whole"},
    "slow": {"whole"},
    "left": {"left"},
    "status": {"APIStatusError"},
    "cut": {"StreamInterruptedError", "TruncatedStreamError"},
    "reset": {"StreamInterruptedError"},
    "garbage": {"DecodeError"},
}


def _chunks(origin: str, session: aiohttp.ClientSession, fate: str, transport: str) -> Stream[rxllm.StreamChunk]:
    path = "endless" if fate == "left" else fate
    client = rxllm.LLMClient(retries=0, base_url=f"{origin}/{path}/v1", api_key="none", session=session)
    return client.chat_stream(REQUEST) if transport == "HTTP" else client.websocket_stream(REQUEST)


async def _answer(chunks: Stream[rxllm.StreamChunk]) -> str:
    try:
        completion: rxllm.ChatCompletion = await chunks.pipe(
            ops.timeout_per_chunk(SILENCE_SECONDS), ops.tee_to(_Discard()), ops.accumulate()
        )
    except rxllm.RxllmError as error:
        return type(error).__name__
    return "whole" if completion.complete and completion.content == "".join(TEXT) else repr(completion)


async def _leave(chunks: Stream[rxllm.StreamChunk]) -> str:
    """Leave a stream that has no end, while the consumer is behind."""
    async with rxllm.iterate(chunks, buffer_size=4) as arriving:
        async for _ in arriving:
            await asyncio.sleep(0.001)
            break
    return "left"


def _held(streams: int) -> Held:
    gc.collect()
    loop: Any = asyncio.get_running_loop()
    timers = sum(not timer.cancelled() for timer in loop._scheduled)
    files = len([*Path("/dev/fd").iterdir()])
    return Held(streams, _megabytes(), files, len(asyncio.all_tasks()) - 1, timers)


def _megabytes() -> float:
    """What is in memory now; where that cannot be known, the most that ever was."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text("ascii").split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
