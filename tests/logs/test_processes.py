"""Logs across processes: what is killed, stopped and taken over, and who reads what."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

import rxllm
from rxllm import SQLiteLog
from rxllm.exceptions import StreamCancelledError, StreamInterruptedError
from tests.logs.killed import killed_again_and_again, open_log, producer, said, stopped_and_woken, until_there_are
from tests.logs.redis_server import RedisServer

PATIENCE = 60.0


@pytest.fixture(params=["sqlite", "redis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the log is: a file, or the URL of a server and what its keys begin with."""
    if request.param == "sqlite":
        return str(tmp_path / "log.db")
    server: RedisServer = request.getfixturevalue("redis_server")
    return f"{server.url}#{request.getfixturevalue('prefix')}"


async def test_each_reader_gets_each_item_once_though_the_producer_is_killed(where: str) -> None:
    async with asyncio.timeout(PATIENCE):
        outcome = await killed_again_and_again(where, readers=8, kills=3)
    assert len(outcome.read) == 8
    assert all(items == outcome.whole for items in outcome.read)
    assert [item.position.number for item in outcome.whole] == [*range(len(outcome.whole))]
    assert list(outcome.runs) == ["0", "1", "2", "last"]
    assert all(numbers == [*range(len(numbers))] for numbers in outcome.runs.values())
    assert len(outcome.runs["last"]) == 50
    assert [item.item[1] for item in outcome.whole if item.restarts] == [0, 0, 0]
    assert len({item.position.epoch for item in outcome.whole}) == 4


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
    async with asyncio.timeout(PATIENCE):
        runs = await stopped_and_woken(where, items=300)
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


FORKED = """
import asyncio, multiprocessing, sys
import reactivex, rxllm

log = rxllm.SQLiteLog(sys.argv[1])

async def child():
    async with asyncio.timeout(20):
        await log.produce("of the child", reactivex.of("c"))
        async with rxllm.iterate(rxllm.from_log(log, "of the parent")) as items:
            print(await anext(items), flush=True)

async def main():
    stream = await log.sink("of the parent").open()
    await stream.write(["a"])
    async with rxllm.iterate(rxllm.from_log(log, "of the parent")) as items:
        assert await anext(items) == "a"
        process = multiprocessing.get_context("fork").Process(target=lambda: asyncio.run(child()))
        process.start()
        await asyncio.to_thread(process.join)
        await stream.write(["b"])
        print(await anext(items), await rxllm.from_log(log, "of the child"), flush=True)
    await stream.close(rxllm.Ending("completed"))

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this machine forks no processes")
async def test_a_process_that_was_forked_off_uses_the_log_too(tmp_path: Path) -> None:
    arguments = ("-W", "ignore::DeprecationWarning", "-c", FORKED, str(tmp_path / "log.db"))
    async with asyncio.timeout(PATIENCE):
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
    assert output.decode().split() == ["a", "b", "c"]
