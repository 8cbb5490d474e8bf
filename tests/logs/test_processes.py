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
from rxllm import LogItem, LogPosition, SQLiteLog
from rxllm.exceptions import StreamCancelledError, StreamInterruptedError, UnknownStreamError

PATIENCE = 60.0
LEASE = 0.5

PRODUCER = """
import asyncio, sys, rxllm
from rxllm.exceptions import ClaimLostError

path, run, items, lease = sys.argv[1:]

async def numbers():
    for number in range(int(items)):
        yield [run, number]
        await asyncio.sleep(0.0005)

async def main():
    log = rxllm.SQLiteLog(path, lease=float(lease))
    production = log.produce("stream", rxllm.from_async_iterable(numbers), take_over=True)
    await production.claimed()
    print("claimed", flush=True)
    try:
        print((await production).kind, flush=True)
    except ClaimLostError:
        print("lost", flush=True)

asyncio.run(main())
"""


@asynccontextmanager
async def producer(
    path: Path, run: str, items: int = 10**9, lease: float = LEASE
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A process that has claimed the stream and writes to it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", PRODUCER, str(path), run, str(items), str(lease)),
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


async def read_in_pieces(log: SQLiteLog, seed: int) -> list[LogItem[list[object]]]:
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


async def until_there_are(log: SQLiteLog, items: int) -> None:
    while not (infos := await log.list()) or infos[0].items < items:
        await asyncio.sleep(0.005)


async def test_each_reader_gets_each_item_once_though_the_producer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SQLiteLog(path)
    async with asyncio.timeout(PATIENCE):
        readers = [asyncio.create_task(read_in_pieces(log, seed)) for seed in range(8)]
        written = 0
        for run in range(3):
            async with producer(path, str(run)) as process:
                await until_there_are(log, written + 20)
                process.kill()
                await process.wait()
            written = (await log.list())[0].items
        async with producer(path, "last", 50) as process:
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


async def test_a_dead_producer_is_reported_and_another_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SQLiteLog(path)
    async with asyncio.timeout(PATIENCE):
        async with producer(path, "first") as process:
            await until_there_are(log, 1)
            process.kill()
        with pytest.raises(StreamInterruptedError, match="is dead") as caught:
            await rxllm.from_log(log, "stream")
        assert caught.value.position is not None
        async with producer(path, "second", 2):
            assert [item async for item in rxllm.from_log(log, "stream", after=caught.value.position)] == [
                ["second", 0],
                ["second", 1],
            ]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="there is no such signal")
async def test_a_producer_that_was_stopped_writes_nothing_after_another_has_claimed(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SQLiteLog(path)
    async with asyncio.timeout(PATIENCE), producer(path, "stopped") as stopped:
        await until_there_are(log, 5)
        stopped.send_signal(signal.SIGSTOP)
        async with producer(path, "second", 300) as second:
            stopped.send_signal(signal.SIGCONT)
            assert await said(stopped) == "lost"
            assert await said(second) == "completed"
    runs = [item[0] async for item in rxllm.from_log(log, "stream")]
    assert runs == ["stopped"] * runs.index("second") + ["second"] * 300


async def test_another_process_stops_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SQLiteLog(path)
    async with asyncio.timeout(PATIENCE), producer(path, "run", lease=30) as process:
        assert await log.cancel("stream", "enough", by="Anna")
        assert await said(process) == "cancelled"
        with pytest.raises(StreamCancelledError, match="'stream' was cancelled by 'Anna': 'enough'"):
            await rxllm.from_log(log, "stream")


async def test_where_nothing_rings_items_and_cancels_are_found_by_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.stores._bell.tempfile.gettempdir", lambda: str(tmp_path / ("x" * 100)))
    path = tmp_path / "log.db"
    log = SQLiteLog(path)
    async with asyncio.timeout(PATIENCE), producer(path, "run", lease=30) as process:
        async for item in rxllm.from_log(log, "stream"):
            if item[1] == 20:
                break
        assert await log.cancel("stream", "enough")
        assert await said(process) == "cancelled"
