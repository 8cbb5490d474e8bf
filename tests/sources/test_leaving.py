"""A stream that is left lets go of its socket at once, whatever it is doing, also if the other side is deaf."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import aiohttp
import pytest

from rxllm.flow import Pauses, Stream
from rxllm.sources import from_sse, from_websocket
from rxllm.testing import TLSContexts

PATIENCE_SECONDS = 10.0
SCHEMES = ("http", "https", "ws", "wss")
LARGE = "x" * 20_000_000


class Wire:
    """The server's side of one connection, that speaks one of the four schemes.

    Attributes:
        over_websocket: Whether it is one of WebSockets.
        reached: Set by a moment when it has come; where something is said, the consumer does so.
    """

    def __init__(
        self, scheme: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reached: asyncio.Event
    ) -> None:
        self.reached = reached
        self.over_websocket = scheme.startswith("ws")
        self._reader = reader
        self._writer = writer

    async def read_head(self) -> bytes:
        return await self._reader.readuntil(b"\r\n\r\n")

    async def read_some(self) -> None:
        await self._reader.readexactly(1_000)

    async def accept(self) -> None:
        head = await self.read_head()
        if not self.over_websocket:
            self._writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            return
        key = next(line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
        upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self._writer.write(upgrade + b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n")

    def be_deaf(self) -> None:
        """Read nothing more: neither a closing frame nor the end of TLS is seen."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def refuse(self) -> None:
        """Answer with an error whose body does not end."""
        self._writer.write(b"HTTP/1.1 500 Oh\r\nContent-Length: 99\r\n\r\nwhat")

    def say(self, text: str) -> None:
        data = text.encode()
        self._writer.write(bytes([0x81, len(data)]) + data if self.over_websocket else b"data: %b\n\n" % data)

    def close(self) -> None:
        """Say that the answer is over, and keep the connection."""
        if self.over_websocket:
            self._writer.write(b"\x88\x02\x03\xe8")

    async def flood(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                self.say("x" * 100)
                await self._writer.drain()
                await asyncio.sleep(0)


Moment = Callable[[Wire], Coroutine[Any, Any, None]]


async def connected(wire: Wire) -> None:
    wire.be_deaf()
    wire.reached.set()


async def shaking_hands(wire: Wire) -> None:
    await wire.read_head()
    wire.be_deaf()
    wire.reached.set()


async def sending(wire: Wire) -> None:
    await (wire.accept if wire.over_websocket else wire.read_head)()
    await wire.read_some()
    wire.be_deaf()
    wire.reached.set()


async def waiting(wire: Wire) -> None:
    await wire.accept()
    wire.be_deaf()
    wire.reached.set()


async def receiving(wire: Wire) -> None:
    await wire.accept()
    wire.be_deaf()
    await wire.flood()


async def listening_too(wire: Wire) -> None:
    await wire.accept()
    await wire.flood()


async def closing(wire: Wire) -> None:
    await wire.accept()
    wire.be_deaf()
    wire.say("x")
    wire.close()


async def done(wire: Wire) -> None:
    await wire.accept()
    wire.be_deaf()
    wire.say("x")
    wire.say("[DONE]")


@contextlib.asynccontextmanager
async def serving(scheme: str, moment: Moment, reached: asyncio.Event, tls: TLSContexts) -> AsyncGenerator[str]:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(scheme, reader, writer, reached)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await moment(wire)
            await over.wait()
        writer.transport.abort()

    # One that is connected only keeps silent in the handshake of TLS.
    context = tls.server if scheme in {"https", "wss"} and moment is not connected else None
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        try:
            yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        finally:
            over.set()


class Sockets:
    """Those that a session has made."""

    def __init__(self) -> None:
        self.made: list[socket.socket] = []

    def make(self, address: Any) -> socket.socket:
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        self.made.append(made)
        return made

    async def closed(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(made.fileno() != -1 for made in self.made):
                await asyncio.sleep(0)


def source_of(url: str, body: str, session: aiohttp.ClientSession, tls: TLSContexts) -> Stream[Any]:
    if url.startswith("ws"):
        return from_websocket(url, send=(body,) if body else (), session=session, ssl=tls.client)
    return from_sse(url, json={"text": body}, session=session, ssl=tls.client)


async def leave(scheme: str, moment: Moment, tls: TLSContexts, *, body: str = "", paused: bool = False) -> None:
    """Subscribe, dispose at some moment, and wait until the socket is gone."""
    sockets, reached, pauses = Sockets(), asyncio.Event(), Pauses()

    def on_next(_: object) -> None:
        if paused:
            pauses.hold()
        reached.set()

    connector = aiohttp.TCPConnector(socket_factory=sockets.make)
    async with serving(scheme, moment, reached, tls) as url, aiohttp.ClientSession(connector=connector) as session:
        subscription = source_of(url, body, session, tls).subscribe(on_next)
        await reached.wait()
        subscription.dispose()
        await sockets.closed()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any("_drive" in repr(task.get_coro()) for task in asyncio.all_tasks()):
                await asyncio.sleep(0)
    pauses.release()
    assert len(sockets.made) == 1


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("moment", [connected, shaking_hands, waiting, receiving, listening_too, closing, done])
async def test_row_65_whatever_it_is_doing(moment: Moment, scheme: str, tls: TLSContexts) -> None:
    await leave(scheme, moment, tls)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("moment", [receiving, listening_too, closing, done])
async def test_row_65_while_its_consumer_is_behind(moment: Moment, scheme: str, tls: TLSContexts) -> None:
    await leave(scheme, moment, tls, paused=True)


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_while_its_request_is_unsent(scheme: str, tls: TLSContexts) -> None:
    await leave(scheme, sending, tls, body=LARGE)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_while_it_reads_the_body_of_an_error(scheme: str, tls: TLSContexts) -> None:
    async def refusing(wire: Wire) -> None:
        await wire.read_head()
        wire.be_deaf()
        wire.refuse()
        wire.reached.set()

    await leave(scheme, refusing, tls)
