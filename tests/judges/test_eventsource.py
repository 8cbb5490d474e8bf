"""A browser's ``EventSource`` follows the events of a log, and its connection is cut again and again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import web

import rxllm
from rxllm import serving
from rxllm.stores import Log
from tests.judges.conftest import Judge
from tests.logs.redis_server import RedisServer
from tests.serving.conftest import running

CUTS = int(os.environ.get("RXLLM_CUTS", "30"))
"""1,000 take some minutes."""

# A connection is cut within 1,500 bytes, a third of which are headers.
ITEMS = 40 + CUTS * 12


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    if request.param == "sqlite":
        yield rxllm.SQLiteLog(tmp_path / "log.db")
    else:
        server: RedisServer = request.getfixturevalue("redis")
        yield rxllm.RedisLog(server.url, prefix=uuid4().hex)


async def test_events_while_they_are_written(log: Log, judge: Judge) -> None:
    words = [f"{number} " for number in range(ITEMS)]
    is_read = asyncio.Event()

    async def write() -> AsyncIterator[str]:
        for number, word in enumerate(words):
            if number >= 20:
                await is_read.wait()
                await asyncio.sleep(0.005)
            yield word

    async def handle(_: web.Request) -> web.StreamResponse:
        is_read.set()
        return await serving.aiohttp_response(_, rxllm.from_log(log, "words"))

    app = web.Application()
    app.router.add_get("/", handle)
    production = asyncio.ensure_future(log.produce("words", rxllm.from_async_iterable(write)))
    async with running(app) as url:
        report = await judge(
            *("eventsource.mjs", url, "--strict", "--cuts", str(CUTS), "--seed", "7", "--first", "0"),
            *("--field", "text", "--expect", "".join(words), "--timeout", "110"),
        )
    await production

    assert report["ok"], report["stderr"]
    assert report["cuts"] == CUTS
    assert report["ended"] == "event end"
    print(f"{len(report['requests'])} requests for {report['items']} items")  # noqa: T201 - for whoever runs it
