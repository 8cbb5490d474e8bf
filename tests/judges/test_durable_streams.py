"""Electric's own client follows our streams, and its tests of servers pass as far as they read."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import rxllm
from rxllm import Log, RedisLog, SQLiteLog
from rxllm.testing import finish_chunk, text_chunk
from tests.judges.conftest import Judge
from tests.logs.redis_server import RedisServer
from tests.serving.durable_reading import serving
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


async def slowly(items: list[Any], *, fails: bool) -> AsyncIterator[Any]:
    """Items for as long as a client takes to come and to leave several times."""
    for item in items:
        await asyncio.sleep(0.02)
        yield item
    if fails:
        raise ValueError


@pytest.mark.parametrize("fails", [False, True])
async def test_the_client_follows_a_stream_that_is_written(fails: bool, log: Log, judge: Judge) -> None:
    expected = [json.loads(chunk.model_dump_json()) for chunk in CHUNKS]
    if fails:
        error = {"code": "internal_error", "message": "Something went wrong here."}
        expected.append({"type": "end", "ending": "failed", "error": error})
    production = log.produce("chat/é", rxllm.from_async_iterable(slowly(CHUNKS, fails=fails)))
    await production.claimed()
    async with serving(log, long_poll=1.0) as reading:
        url = f"{reading.url}/chat%2F%C3%A9"
        arguments = ("--cuts", "5", "--strict", "--expect", json.dumps(expected))
        report = await judge("durable-streams.mjs", url, *arguments)
    await production
    assert report["ok"], report["faults"]


async def test_the_client_follows_texts(log: Log, judge: Judge) -> None:
    texts = [f"{number} é\n " for number in range(200)]
    production = log.produce("text", rxllm.from_async_iterable(slowly(texts, fails=False)))
    await production.claimed()
    async with serving(log, content_type="text/plain", sse_seconds=2.0) as reading:
        arguments = ("--cuts", "5", "--strict", "--expect", "".join(texts))
        report = await judge("durable-streams.mjs", f"{reading.url}/text", *arguments)
    await production
    assert report["ok"], report["faults"]


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
