"""Logs across processes: what is killed, stopped and taken over, and who reads what."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import rxllm
from rxllm import Log, LogItem, LogPosition, RedisLog, SQLiteLog
from rxllm.exceptions import StreamCancelledError, StreamInterruptedError, UnknownStreamError
from tests.logs.redis_server import RedisServer

PATIENCE = 60.0
LEASE = 0.5

PRODUCER = """
import asyncio, sys, rxllm
from rxllm.exceptions import ClaimLostError

where, run, items, lease = sys.argv[1:]

async def numbers():
    for number in range(int(items)):
        yield [run, number]
        await asyncio.sleep(0.0005)

async def main():
    url, _, prefix = where.partition("#")
    redis = url.startswith("redis:")
    log = rxllm.RedisLog(url, prefix=prefix, lease=float(lease)) if redis else rxllm.SQLiteLog(url, lease=float(lease))
    production = log.produce("stream", rxllm.from_async_iterable(numbers), take_over=True)
    await production.claimed()
    print("claimed", flush=True)
    try:
        print((await production).kind, flush=True)
    except ClaimLostError:
        print("lost", flush=True)

asyncio.run(main())
"""


@pytest.fixture(params=["sqlite", "redis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the log is: a file, or the URL of a server and what its keys begin with."""
    if request.param == "sqlite":
        return str(tmp_path / "log.db")
    server: RedisServer = request.getfixturevalue("redis_server")
    return f"{server.url}#{request.getfixturevalue('prefix')}"


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
    assert process.stdout
    return (await process.stdout.readline()).decode().strip()


async def read_in_pieces(log: Log, seed: int) -> list[LogItem[list[object]]]:
    """Read to the end, leaving and coming back at random, and whenever the writer is dead."""
    chance = random.Random(seed)  # noqa: S311
    items: list[LogItem[list[object]]] = []
    position: LogPosition | None = None
    while True:
        left = chance.randint(1, 200)
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
                    return items
        except StreamInterruptedError as error:
            assert error.position == position  # noqa: PT017
        except UnknownStreamError:
            assert position is None
        await asyncio.sleep(0.005)


async def until_there_are(log: Log, items: int) -> None:
    while not (infos := await log.list()) or infos[0].items < items:
        await asyncio.sleep(0.005)


async def test_each_reader_gets_each_item_once_though_the_producer_is_killed(where: str) -> None:
    log = open_log(where)
    async with asyncio.timeout(PATIENCE):
        readers = [asyncio.create_task(read_in_pieces(log, seed)) for seed in range(8)]
        written = 0
        for run in range(3):
            async with producer(where, str(run)) as process:
                await until_there_are(log, written + 20)
                process.kill()
                await process.wait()
            written = (await log.list())[0].items
        async with producer(where, "last", 50) as process:
            assert await said(process) == "completed"
        read = await asyncio.gather(*readers)
    whole = [item async for item in rxllm.from_log(log, "stream", with_positions=True)]
    assert all(items == whole for items in read)
    assert [item.position.number for item in whole] == [*range(written + 50)]
    runs: dict[object, list[object]] = {}
    for item in whole:
        run, number = item.item
        runs.setdefault(run, []).append(number)
    assert list(runs) == ["0", "1", "2", "last"]
    assert all(numbers == [*range(len(numbers))] for numbers in runs.values())
    assert [item.item[1] for item in whole if item.restarts] == [0, 0, 0]
    assert len({item.position.epoch for item in whole}) == 4


async def test_a_dead_producer_is_reported_and_another_goes_on(where: str) -> None:
    log = open_log(where)
    async with asyncio.timeout(PATIENCE):
        async with producer(where, "first") as process:
            await until_there_are(log, 1)
            process.kill()
        with pytest.raises(StreamInterruptedError, match="is dead") as caught:
            await rxllm.from_log(log, "stream")
        assert caught.value.position is not None
        async with producer(where, "second", 2):
            assert [item async for item in rxllm.from_log(log, "stream", after=caught.value.position)] == [
                ["second", 0],
                ["second", 1],
            ]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="there is no such signal")
async def test_a_producer_that_was_stopped_writes_nothing_after_another_has_claimed(where: str) -> None:
    log = open_log(where)
    async with asyncio.timeout(PATIENCE), producer(where, "stopped") as stopped:
        await until_there_are(log, 5)
        stopped.send_signal(signal.SIGSTOP)
        async with producer(where, "second", 300) as second:
            stopped.send_signal(signal.SIGCONT)
            assert await said(stopped) == "lost"
            assert await said(second) == "completed"
    runs = [item[0] async for item in rxllm.from_log(log, "stream")]
    assert runs == ["stopped"] * runs.index("second") + ["second"] * 300


async def test_another_process_stops_a_stream(where: str) -> None:
    log = open_log(where)
    async with asyncio.timeout(PATIENCE), producer(where, "run", lease=30) as process:
        assert await log.cancel("stream", "enough", by="Anna")
        assert await said(process) == "cancelled"
        with pytest.raises(StreamCancelledError, match="'stream' was cancelled by 'Anna': 'enough'"):
            await rxllm.from_log(log, "stream")


async def test_where_nothing_rings_items_and_cancels_are_found_by_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.stores._bell.tempfile.gettempdir", lambda: str(tmp_path / ("x" * 100)))
    where = str(tmp_path / "log.db")
    log = SQLiteLog(where)
    async with asyncio.timeout(PATIENCE), producer(where, "run", lease=30) as process:
        async for item in rxllm.from_log(log, "stream"):
            if item[1] == 20:
                break
        assert await log.cancel("stream", "enough")
        assert await said(process) == "cancelled"
