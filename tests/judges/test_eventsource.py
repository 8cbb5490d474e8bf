"""A browser's ``EventSource`` follows the events of a log, and its connection is cut again and again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
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


class Watched(serving.Events):
    """The events; it is told when some are written."""

    def __init__(self, are_written: asyncio.Event) -> None:
        self._are_written = are_written

    def writer(self, asked: serving.Asked, /) -> serving.FrameWriter:
        return WatchedWriter(super().writer(asked), self._are_written)


class WatchedWriter:
    def __init__(self, writer: serving.FrameWriter, are_written: asyncio.Event) -> None:
        self.begin = writer.begin
        self.end = writer.end
        self._writer = writer
        self._are_written = are_written

    @property
    def over(self) -> bool:
        return self._writer.over

    def write(self, items: Sequence[Any], /) -> bytes:
        self._are_written.set()
        return self._writer.write(items)


async def test_events_while_they_are_written(log: Log, judge: Judge) -> None:
    words = [f"{number} " for number in range(ITEMS)]
    is_read = asyncio.Event()

    async def write() -> AsyncIterator[str]:
        """The first words at once; each of the others when one was read."""
        for number, word in enumerate(words):
            if number >= 20:
                await is_read.wait()
                is_read.clear()
            yield word

    async def handle(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, rxllm.from_log(log, "words"), protocol=Watched(is_read))

    app = web.Application()
    app.router.add_get("/", handle)
    production = asyncio.ensure_future(log.produce("words", rxllm.from_async_iterable(write)))
    async with running(app) as url:
        report = await judge(
            *("eventsource.mjs", url, "--strict", "--cuts", str(CUTS), "--seed", "7", "--first", "0"),
            *("--field", "text", "--expect", "".join(words), "--timeout", "110"),
        )
    assert report["ok"], report["stderr"]
    await production
    assert report["cuts"] == CUTS
    assert report["ended"] == "event end"
    print(f"{len(report['requests'])} requests for {report['items']} items")  # noqa: T201 - for whoever runs it
