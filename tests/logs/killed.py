"""Producers that are killed or stopped, and what their readers got: for tests and ``python -m tests.soak.logs``."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

import rxllm
from rxllm import Log, LogItem, LogPosition, RedisLog, SQLiteLog
from rxllm.exceptions import StreamInterruptedError, UnknownStreamError

LEASE = 0.5

PRODUCER = """
import asyncio, sys, rxllm
from contextlib import aclosing
from rxllm.exceptions import ClaimLostError, StreamInterruptedError

where, run, items, lease = sys.argv[1:]

url, _, prefix = where.partition("#")
redis = url.startswith("redis:")
log = rxllm.RedisLog(url, prefix=prefix, lease=float(lease)) if redis else rxllm.SQLiteLog(url, lease=float(lease))

async def written_behind(position):
    while True:
        try:
            async with rxllm.iterate(rxllm.from_log(log, "stream", after=position, with_positions=True)) as items:
                async for each in items:
                    position = each.position
                    yield each.item
        except StreamInterruptedError:
            pass  # this process had no turn for longer than its lease

async def numbers():
    # A few at a time, and the next when these are in the log.
    before = (await log.list())[0].position
    async with aclosing(written_behind(before)) as written:
        for number in range(int(items)):
            yield [run, number]
            if number > 300:
                await asyncio.sleep(0.01)  # whoever kills it is busy: the log is not to grow for ever
            while number % 5 == 4 and await anext(written) != [run, number]:
                pass

async def main():
    production = log.produce("stream", rxllm.from_async_iterable(numbers), take_over=True)
    await production.claimed()
    print("claimed", flush=True)
    try:
        print((await production).kind, flush=True)
    except ClaimLostError:
        print("lost", flush=True)

asyncio.run(main())
"""


class Claims:
    """Tells readers whose writer is dead when to come back.

    Attributes:
        count: How many writers there have been.
    """

    def __init__(self) -> None:
        self.count = 0
        self._another = asyncio.Event()

    def add(self) -> None:
        """Another writer has claimed the stream, or the last one has ended it."""
        self.count += 1
        self._another.set()
        self._another = asyncio.Event()

    async def another(self, known: int) -> None:
        """Wait until there have been more writers."""
        while self.count <= known:
            await self._another.wait()


class Outcome(NamedTuple):
    """What is in a log whose producers were killed, and what each of its readers got.

    Attributes:
        whole: The items, read in one go.
        read: What each reader got.
        connections: How many times they came, all together.
    """

    whole: list[LogItem[list[object]]]
    read: list[list[LogItem[list[object]]]]
    connections: int

    @property
    def runs(self) -> dict[object, list[object]]:
        """Which items each producer wrote, by the name of its run."""
        runs: dict[object, list[object]] = {}
        for item in self.whole:
            run, number = item.item
            runs.setdefault(run, []).append(number)
        return runs


async def killed_again_and_again(where: str, readers: int, kills: int) -> Outcome:
    """Kill each producer but the last, while readers come and go."""
    log = open_log(where)
    claims = Claims()
    reading = [asyncio.create_task(read_in_pieces(log, seed, claims)) for seed in range(readers)]
    written: LogPosition | None = None
    for run in range(kills):
        async with producer(where, str(run)) as process:
            claims.add()
            await until_there_are(log, 20, written)
            process.kill()
            await process.wait()
        written = (await log.list())[0].position
    async with producer(where, "last", 50) as process:
        claims.add()
        assert await said(process) == "completed"
        claims.add()
    outcomes = await asyncio.gather(*reading)
    whole = [item async for item in rxllm.from_log(log, "stream", with_positions=True)]
    return Outcome(whole, [items for items, _ in outcomes], sum(times for _, times in outcomes))


async def stopped_and_woken(where: str, items: int) -> list[object]:
    """Stop a producer, and wake it when another has claimed the stream; the run of each item in the log."""
    log = open_log(where)
    async with producer(where, "stopped") as stopped:
        await until_there_are(log, 5)
        stopped.send_signal(signal.SIGSTOP)
        async with producer(where, "second", items) as second:
            stopped.send_signal(signal.SIGCONT)
            assert await said(stopped) == "lost"
            assert await said(second) == "completed"
    return [item[0] async for item in rxllm.from_log(log, "stream")]


def open_log(where: str) -> Log:
    url, _, prefix = where.partition("#")
    return RedisLog(url, prefix=prefix) if prefix else SQLiteLog(where)


@asynccontextmanager
async def producer(
    where: str, run: str, items: int = 10**9, lease: float = LEASE
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A process that has claimed the stream and writes to it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", PRODUCER, where, run, str(items), str(lease)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert await said(process) == "claimed"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def read_in_pieces(log: Log, seed: int, claims: Claims) -> tuple[list[LogItem[list[object]]], int]:
    """Read to the end, leaving and coming back at random, and whenever the writer is dead.

    Returns:
        The items, and how many times the reader came.
    """
    chance = random.Random(seed)  # noqa: S311
    items: list[LogItem[list[object]]] = []
    position: LogPosition | None = None
    for times in itertools.count(1):
        left = chance.randint(1, 200)
        known = claims.count
        stream = rxllm.from_log(log, "stream", after=position, with_positions=True)
        try:
            async with rxllm.iterate(stream) as reading:
                async for item in reading:
                    items.append(item)
                    position = item.position
                    left -= 1
                    if not left:
                        break
                else:
                    return items, times
        except StreamInterruptedError as error:
            assert error.position == position  # noqa: PT017
            await claims.another(known)
        except UnknownStreamError:
            assert position is None
            await claims.another(known)
    raise AssertionError


async def until_there_are(log: Log, items: int, after: LogPosition | None = None) -> None:
    """Wait until there are so many items behind a position."""
    last = (-1 if after is None else after.number) + items
    while after is None or after.number < last:
        try:
            async with rxllm.iterate(rxllm.from_log(log, "stream", after=after, with_positions=True)) as reading:
                async for item in reading:
                    after = item.position
                    if after.number >= last:
                        return
        except StreamInterruptedError:
            pass  # its process had no turn for longer than its lease
