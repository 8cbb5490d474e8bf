"""What is used of aiohttp beyond its public interface is still as it was when this was written."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.helpers import TimerContext
from yarl import URL

from rxllm.sources._aiohttp_internals import (
    close_idle,
    close_pooled,
    has_answered,
    on_first_byte,
    proxy_of,
    request_headers_of,
    take_rest,
)
from rxllm.testing import ScriptedServer


@pytest.fixture
async def reader() -> aiohttp.StreamReader:
    loop = asyncio.get_running_loop()
    timer = TimerContext(loop)
    timer.timeout()
    reader = aiohttp.StreamReader(BaseProtocol(loop), 2**16, timer=timer, loop=loop)
    reader.feed_data(b"arrived ")
    reader.feed_data(b"before")
    reader.set_exception(aiohttp.ClientConnectionError("lost"))
    return reader


async def test_aiohttp_changed_how_a_failed_reader_gives_out_what_it_holds(reader: aiohttp.StreamReader) -> None:
    assert take_rest(reader) == b"arrived before"
    assert take_rest(reader) == b""


async def test_aiohttp_changed_so_that_its_public_interface_will_do(reader: aiohttp.StreamReader) -> None:
    with pytest.raises(aiohttp.ClientConnectionError, match="lost"):
        reader.read_nowait()
    no_error: Any = None
    reader.set_exception(no_error)
    with pytest.raises(TimeoutError):
        reader.read_nowait()


class Body(aiohttp.BytesPayload):
    """Looks at the connection that it is written to."""

    def __init__(self) -> None:
        super().__init__(b"{}")
        self.used: bool | None = None
        self.bytes_came = 0

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:
        self.used = has_answered(writer.protocol)
        on_first_byte(writer.protocol, self._note)
        await super().write_with_length(writer, content_length)

    def _note(self) -> None:
        self.bytes_came += 1


@pytest.fixture
async def url() -> AsyncIterator[URL]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            for piece in (b"HTTP/1.1 200 OK\r\n", b"Content-Length: 2\r\n", b"\r\no", b"k"):
                writer.write(piece)
                await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


async def test_aiohttp_changed_how_a_connection_shows_that_it_was_used(url: URL) -> None:
    used: list[bool | None] = []
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            body = Body()
            async with session.post(url, data=body) as response:
                assert await response.read() == b"ok"
            used.append(body.used)
            assert body.bytes_came == 1

    assert used == [False, True, True]


async def test_aiohttp_changed_how_connections_lie_in_the_pool(url: URL) -> None:
    used: list[bool | None] = []
    async with aiohttp.ClientSession() as session:
        for close in ("nothing", "other host", "idle", "connection", "nothing"):
            body = Body()
            async with session.post(url, data=body) as response:
                await response.read()
            used.append(body.used)
            if close == "other host":
                close_idle(session.connector, url.with_port(1))
            if close == "idle":
                close_idle(session.connector, url)
            if close == "connection":
                close_pooled(session.connector, response)
            close_pooled(None, response)
    close_idle(session.connector, url)

    assert used == [False, True, True, False, False]


async def test_aiohttp_changed_where_a_session_has_its_proxy_and_a_websocket_its_request() -> None:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        login = aiohttp.BasicAuth("me", "password")
        given = aiohttp.ClientSession(proxy="http://127.0.0.1:1", proxy_auth=login)
    async with given, aiohttp.ClientSession(headers={"X-Own": "1"}) as session, ScriptedServer("Hello") as server:
        assert proxy_of(given) == (URL("http://127.0.0.1:1"), tuple(login))
        assert proxy_of(session) == (None, None)
        async with session.ws_connect(server.ws_url) as socket:
            assert request_headers_of(socket)["X-Own"] == "1"
