"""Both hosts on a loopback port, and clients that see every byte."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from ssl import SSLContext
from typing import Any, Literal, TypeAlias, cast

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from reactivex import Observable

import rxllm
from rxllm import serving

Host: TypeAlias = Literal["aiohttp", "asgi"]
Pipelines: TypeAlias = Callable[[], Observable[Any]]
Serve: TypeAlias = Callable[..., Awaitable[str]]

SECONDS = 20
"""An upper bound for what a test waits for; none of them comes near it."""


@asynccontextmanager
async def with_aiohttp(pipelines: Pipelines, options: dict[str, Any]) -> AsyncGenerator[str]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, pipelines(), **options)

    app = web.Application(client_max_size=1024**3)
    app.router.add_route("*", "/", handle)
    async with running(app) as url:
        yield url


@asynccontextmanager
async def running(
    app: web.Application, *, shutdown_timeout: float = 0.1, ssl_context: SSLContext | None = None
) -> AsyncGenerator[str]:
    """An application of aiohttp on a port of its own."""
    # Of a body that nobody reads, aiohttp would wait for the rest.
    runner = web.AppRunner(app, shutdown_timeout=shutdown_timeout, lingering_time=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def with_asgi(pipelines: Pipelines, options: dict[str, Any]) -> AsyncGenerator[str]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await serving.StreamingResponse(pipelines(), **options)(scope, receive, send)

    async with running_asgi(app) as url:
        yield url


@asynccontextmanager
async def running_asgi(app: Any) -> AsyncGenerator[str]:
    """An ASGI application in uvicorn, on a port of its own."""
    config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving_task = asyncio.create_task(server.serve([listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            await serving_task


@pytest.fixture(params=["aiohttp", "asgi"])
def host(request: pytest.FixtureRequest) -> Host:
    """Each host in turn."""
    name: Host = request.param
    return name


@pytest.fixture
async def serve(host: Host) -> AsyncIterator[Serve]:
    """Serves what a function gives for each request: ``url = await serve(pipelines, protocol="events")``."""
    async with AsyncExitStack() as stack:

        async def start(pipelines: Pipelines, **options: Any) -> str:
            start_host = with_aiohttp if host == "aiohttp" else with_asgi
            return await stack.enter_async_context(start_host(pipelines, options))

        yield start


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Source:
    """A pipeline that emits what it is given, and says when it is begun and left."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.left = asyncio.Event()
        self.subscriptions = 0
        self._items: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, *items: Any) -> None:
        """Emit these; an exception is raised, ``None`` is the end."""
        for item in items:
            self._items.put_nowait(item)

    def __call__(self) -> Observable[Any]:
        async def items() -> AsyncIterator[Any]:
            self.subscriptions += 1
            self.begun.set()
            try:
                while (item := await self._items.get()) is not None:
                    if isinstance(item, BaseException):
                        raise item
                    yield item
            finally:
                self.left.set()

        return rxllm.from_async_iterable(items)


@pytest.fixture
def source() -> Source:
    return Source()


class Client:
    """A client that is nothing but a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._transport = cast("asyncio.Transport", writer.transport)

    @classmethod
    async def connect(cls, url: str) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", int(url.rstrip("/").rpartition(":")[2])))

    def ask(self, line: str = "GET / HTTP/1.1", *headers: str, body: bytes = b"") -> None:
        lines = [line, "Host: localhost", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def until(self, text: bytes) -> bytes:
        async with asyncio.timeout(SECONDS):
            return await self.reader.readuntil(text)

    async def rest(self) -> bytes:
        """What comes until the server closes the connection."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.read()

    def stand_still(self) -> None:
        """Read no more."""
        self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def reset(self) -> None:
        """Leave at once."""
        self._transport.abort()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    clients: list[Client] = []

    async def make(url: str) -> Client:
        clients.append(await Client.connect(url))
        return clients[-1]

    yield make
    for client in clients:
        client.reset()


async def soon(event: asyncio.Event) -> None:
    """Wait for what is about to happen."""
    async with asyncio.timeout(SECONDS):
        await event.wait()
