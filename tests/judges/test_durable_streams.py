"""Electric's own client follows our streams, and its tests of servers pass as far as they read."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

import rxllm
from rxllm import Log, RedisLog, SQLiteLog
from rxllm.serving import DurableStreams
from rxllm.testing import finish_chunk, text_chunk
from tests.judges.conftest import Judge
from tests.logs.redis_server import RedisServer
from tests.serving.durable_reading import served
from tests.serving.durable_writing import written_and_read

CHUNKS = [*[text_chunk(f"{number} é\n ") for number in range(300)], finish_chunk()]
READ_TESTS = 130


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Log:
    if request.param == "sqlite":
        return SQLiteLog(tmp_path / "log.db")
    server: RedisServer = request.getfixturevalue("redis")
    return RedisLog(server.url, prefix=tmp_path.name)


class Pace:
    """Lets a producer go as its reader does: so a client comes and leaves while there is something to write."""

    def __init__(self) -> None:
        self._ways = {"long-poll", "sse"}
        self._are_there = asyncio.Event()
        self._asked = asyncio.Semaphore(0)
        self._has_come_again = asyncio.Event()

    def note(self, way: str | None) -> None:
        """Take note of a request, and of the way in which it waits for more."""
        self._ways.discard(way or "")
        if not self._ways:
            self._are_there.set()
        if way == "long-poll":
            self._asked.release()
        elif way == "sse":
            self._has_come_again.set()

    async def items(self, items: list[Any], *, fails: bool = False, rests: bool = False) -> AsyncIterator[Any]:
        """Items, as soon as somebody reads in both ways: one for each request that waits for it.

        If it ``rests``, nothing comes in the middle until the reader of events was sent away and has come again.
        """
        await self._are_there.wait()
        for number, item in enumerate(items):
            if rests and number == len(items) // 2:
                self._has_come_again.clear()
                await self._has_come_again.wait()
            await self._asked.acquire()
            yield item
        if fails:
            raise ValueError

    @asynccontextmanager
    async def serving(self, log: Log, **options: Any) -> AsyncGenerator[str]:
        """Serve a log, and take note of the requests."""

        @web.middleware
        async def noting(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.note(request.query.get("live"))
            return await handler(request)

        app = web.Application(middlewares=[noting])
        DurableStreams(log, **options).add_to(app, "/streams/")
        async with served(app) as url:
            yield f"{url}/streams"


@pytest.mark.parametrize("fails", [False, True])
async def test_the_client_follows_a_stream_that_is_written(fails: bool, log: Log, judge: Judge) -> None:
    expected = [json.loads(chunk.model_dump_json()) for chunk in CHUNKS]
    if fails:
        error = {"code": "internal_error", "message": "Something went wrong here."}
        expected.append({"type": "end", "ending": "failed", "error": error})
    pace = Pace()
    production = log.produce("chat/é", rxllm.from_async_iterable(pace.items(CHUNKS, fails=fails)))
    await production.claimed()
    async with pace.serving(log, long_poll=1.0) as url:
        arguments = ("--cuts", "5", "--strict", "--expect", json.dumps(expected))
        report = await judge("durable-streams.mjs", f"{url}/chat%2F%C3%A9", *arguments)
    assert report["ok"], report["faults"]
    await production


async def test_the_client_follows_texts(log: Log, judge: Judge) -> None:
    texts = [f"{number} é\n " for number in range(200)]
    pace = Pace()
    production = log.produce("text", rxllm.from_async_iterable(pace.items(texts, rests=True)))
    await production.claimed()
    async with pace.serving(log, content_type="text/plain", sse_seconds=2.0) as url:
        arguments = ("--cuts", "5", "--strict", "--expect", "".join(texts))
        report = await judge("durable-streams.mjs", f"{url}/text", *arguments)
    assert report["ok"], report["faults"]
    await production


async def test_the_tests_of_reading_pass(log: Log, judges: Path, tmp_path: Path) -> None:
    npx = shutil.which("npx")
    assert npx is not None, "there is no npx"
    report = tmp_path / "report.json"
    command = ("vitest", "run", "durable-streams.test.mjs", "--reporter=json", f"--outputFile={report}")
    async with written_and_read(log, long_poll=0.5) as url:
        environment = os.environ | {"DS_URL": url, "DS_PART": "read", "DS_LONG_POLL_MS": "500"}
        process = await asyncio.create_subprocess_exec(
            npx, *command, cwd=judges, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
    found = json.loads(report.read_text())
    failed = [
        test["fullName"]
        for file in found["testResults"]
        for test in file["assertionResults"]
        if test["status"] == "failed"
    ]
    assert failed == [], re.sub(r"\x1b\[[0-9;]*m", "", said.decode(errors="replace"))[-5000:]
    assert found["numPassedTests"] >= READ_TESTS
