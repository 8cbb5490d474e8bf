"""Streams of a log as an ASGI application."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import reactivex

from rxllm import SQLiteLog
from rxllm.serving import DurableStreams, close_all
from tests.serving.conftest import running_asgi

PATIENCE = 30.0


class Request:
    """A request to an application, as an ASGI server makes it."""

    def __init__(self, path: str, query: str = "", *, method: str = "GET", root: str = "", **headers: str) -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "root_path": root,
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }
        self.left = asyncio.Event()
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        self._has_body = False

    async def receive(self) -> dict[str, Any]:
        """The body, and then nothing until the client leaves."""
        if not self._has_body:
            self._has_body = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def ask(self, streams: DurableStreams) -> tuple[int, dict[str, str], bytes]:
        """The whole answer: status, headers and body."""
        async with asyncio.timeout(PATIENCE):
            await streams(self.scope, self.receive, self.sent.put)
        start, *parts = [self.sent.get_nowait() for _ in range(self.sent.qsize())]
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        assert not parts[-1].get("more_body")
        return start["status"], headers, b"".join(part["body"] for part in parts)


@pytest.fixture
def log(tmp_path: Path) -> SQLiteLog:
    return SQLiteLog(tmp_path / "log.db")


async def test_a_stream_is_read(log: SQLiteLog) -> None:
    streams = DurableStreams(log)
    await log.produce("a/ü", reactivex.of("a", "b"))
    mounted = Request("/streams/a/ü", "offset=-1", root="/streams")
    assert json.loads((await mounted.ask(streams))[2]) == ["a", "b"]
    status, headers, body = await Request("/a/ü").ask(streams)
    assert (status, json.loads(body), headers["stream-closed"]) == (200, ["a", "b"], "true")
    status, _, body = await Request("/a/ü", if_none_match=headers["etag"]).ask(streams)
    assert (status, body) == (304, b"")
    status, headers, body = await Request("/a/ü", "offset=-1&live=sse").ask(streams)
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    assert body.startswith(b'event: data\ndata:["a","b"]\n\nevent: control\ndata:{')
    assert (await Request("/a/ü", method="HEAD").ask(streams))[2] == b""
    assert (await Request("/a/ü", "offset=").ask(streams))[0] == 400
    assert (await Request("/none").ask(streams))[0] == 404
    assert (await Request("/").ask(streams))[0] == 404


async def test_a_client_that_leaves_is_waited_for_no_longer(log: SQLiteLog) -> None:
    production = log.produce("quiet", reactivex.never())
    await production.claimed()
    streams = DurableStreams(log, long_poll=1000.0, sse_seconds=1000.0)
    for live in ("long-poll", "sse"):
        request = Request("/quiet", f"offset=-1&live={live}")
        answering = asyncio.create_task(streams(request.scope, request.receive, request.sent.put))
        if live == "sse":
            assert (await request.sent.get())["status"] == 200
        request.left.set()
        async with asyncio.timeout(PATIENCE):
            await answering
    production.cancel()
    await production


async def test_readers_leave_when_the_server_stops(log: SQLiteLog) -> None:
    production = log.produce("quiet", reactivex.never())
    await production.claimed()
    streams = DurableStreams(log, long_poll=1000.0, sse_seconds=1000.0)
    async with (
        asyncio.timeout(PATIENCE),
        running_asgi(streams) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}quiet?offset=-1&live=sse") as events,
    ):
        assert await events.content.readline() == b"event: control\n"
        polling = asyncio.create_task(session.get(f"{url}quiet?offset=-1&live=long-poll"))
        while not polling.done():  # it may not have begun yet
            await session.head(f"{url}quiet")
            await close_all()
        assert (await polling).status == 204
        assert b"streamClosed" not in await events.read()
    production.cancel()
    await production


async def test_a_server_that_knows_that_the_client_has_left_may_say_so(log: SQLiteLog) -> None:
    async def broken(_: object) -> None:
        raise OSError("gone")

    request = Request("/none")
    await DurableStreams(log)(request.scope, request.receive, broken)


async def test_it_answers_nothing_but_http(log: SQLiteLog) -> None:
    request = Request("/")
    with pytest.raises(RuntimeError, match="websocket"):
        await DurableStreams(log)({"type": "websocket"}, request.receive, request.sent.put)
