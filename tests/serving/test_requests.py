"""What is made of a request: its body, and where a client says that it was."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import reactivex
from aiohttp import web

from rxllm import serving
from rxllm.serving import Asked, FrameWriter, PublicError, ServedEnd
from tests.serving.conftest import SECONDS, Client, Source, running, soon

Connect = Callable[..., Awaitable[Client]]


@dataclass(frozen=True)
class Echo:
    """A protocol that says what it was asked."""

    name: str = "echo"
    resumes: bool = False

    @property
    def headers(self) -> Mapping[str, str]:
        return {"X-Protocol": "echo"}

    def writer(self, asked: Asked, /) -> FrameWriter:
        return EchoWriter(asked)

    def refusal(self, error: PublicError, /) -> bytes:
        return error.code.encode()


class EchoWriter:
    over = False

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def begin(self) -> bytes:
        return repr(dict(self._asked.body)).encode()

    def write(self, items: Sequence[Any], /) -> bytes:
        return b"" * len(items)

    def end(self, end: ServedEnd, /) -> bytes:
        self.over = True
        return b"|" + end.kind.encode()


async def echo(request: web.Request) -> web.StreamResponse:
    return await serving.aiohttp_response(request, reactivex.of("x"), protocol=Echo())


async def read_before(request: web.Request) -> web.StreamResponse:
    assert await request.json() == {"a": 1}
    return await echo(request)


def app(handler: Any = echo, **options: Any) -> web.Application:
    made = web.Application(**options)
    made.router.add_route("*", "/", handler)
    return made


BODIES = [
    (b'{"a": 1}', "{'a': 1}|completed"),
    (b"", "{}|completed"),
    (b"[1]", "{}|completed"),
    (b"{", "{}|completed"),
    (b"\xff\xfe", "{}|completed"),
    (b"[" * 100_000, "{}|completed"),
]


@pytest.mark.parametrize(("body", "said"), BODIES)
async def test_the_object_in_the_body(http: aiohttp.ClientSession, body: bytes, said: str) -> None:
    async with running(app()) as url, http.post(url, data=body) as response:
        assert await response.text() == said
        assert response.headers["X-Protocol"] == "echo"


async def test_a_body_that_the_application_has_read(http: aiohttp.ClientSession) -> None:
    async with running(app(read_before)) as url, http.post(url, json={"a": 1}) as response:
        assert await response.text() == "{'a': 1}|completed"


async def test_a_body_that_is_not_what_its_header_says(connect: Connect, source: Source) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, source())

    async with running(app(handle)) as url:
        client = await connect(url)
        client.ask("POST / HTTP/1.1", "Content-Encoding: gzip", body=b"hello")
        answer = await client.rest()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"bad_body"' in answer
    assert source.subscriptions == 0


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_100_mb(connect: Connect, *, chunked: bool) -> None:
    async with running(app(client_max_size=2**40)) as url:
        client = await connect(url)
        length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 100000000"
        client.ask("POST / HTTP/1.1", length)
        piece = b"x" * 65_536
        client.writer.write((b"10000\r\n" + piece + b"\r\n" if chunked else piece) * 32)

        assert b" 413 " in await client.until(b"\r\n")
        assert (await client.until(b"too_large")).endswith(b"too_large")
        client.reset()


async def test_a_body_that_does_not_come(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.serving._aiohttp._BODY_SECONDS", 0.01)
    async with running(app()) as url:
        client = await connect(url)
        client.ask("POST / HTTP/1.1", "Content-Length: 10")
        client.writer.write(b"{")

        assert b" 408 " in await client.until(b"\r\n")
        client.reset()


async def test_a_client_that_leaves_while_its_body_comes(connect: Connect, source: Source) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()
    statuses: list[int] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.set()
        response = await serving.aiohttp_response(request, source())
        statuses.append(response.status)
        answered.set()
        return response

    async with running(app(handle)) as url:
        client = await connect(url)
        client.ask("POST / HTTP/1.1", "Content-Length: 10")
        await soon(asked)
        client.reset()
        await soon(answered)

    assert statuses == [499]
    assert source.subscriptions == 0


async def test_a_client_that_has_left_before_it_is_answered(connect: Connect, source: Source) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.set()
        while request.transport is not None:
            await asyncio.sleep(0)
        response = await serving.aiohttp_response(request, source())
        assert response.status == 499
        answered.set()
        return response

    async with running(app(handle)) as url:
        client = await connect(url)
        client.ask()
        await soon(asked)
        client.reset()
        await soon(answered)

    assert source.subscriptions == 0


async def test_the_body_of_an_asgi_request_is_given_by_the_application() -> None:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> Any:
        await asyncio.Event().wait()

    response = serving.StreamingResponse(reactivex.of("x"), protocol=Echo(), body={"a": 1})
    await response({"type": "http", "method": "POST", "headers": []}, receive, send)

    assert b"".join(event.get("body", b"") for event in sent) == b"{'a': 1}|completed"


async def test_middlewares_and_signals_of_the_application_see_the_answer(http: aiohttp.ClientSession) -> None:
    seen: list[int] = []

    @web.middleware
    async def middleware(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        seen.append(response.status)
        return response

    async def allow_origin(_: web.Request, response: web.StreamResponse) -> None:
        response.headers["Access-Control-Allow-Origin"] = "*"

    application = app(middlewares=[middleware])
    application.on_response_prepare.append(allow_origin)
    async with running(application) as url, http.get(url, headers={"Accept-Encoding": "gzip"}) as response:
        await response.read()
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Content-Encoding" not in response.headers

    assert seen == [200]


async def test_a_signal_of_the_application_that_fails(http: aiohttp.ClientSession, source: Source) -> None:
    async def fail(*_: object) -> None:
        raise LookupError("no")

    async def handle(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, source())

    application = app(handle)
    application.on_response_prepare.append(fail)
    source.put("x", "x")
    async with running(application) as url:
        with pytest.raises(aiohttp.ClientError):
            await http.post(url)

    await soon(source.left)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at options of sockets by their Linux numbers")
async def test_the_system_asks_whether_the_client_is_there(http: aiohttp.ClientSession, source: Source) -> None:
    options: dict[str, int] = {}

    async def handle(request: web.Request) -> web.StreamResponse:
        source.put("x")
        assert request.transport is not None
        connection = request.transport.get_extra_info("socket")
        response = await serving.aiohttp_response(request, source())
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT"):
            options[name] = connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        options["SO_KEEPALIVE"] = connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        return response

    async with running(app(handle)) as url, http.get(url) as response:
        source.put(None)
        await response.read()

    assert options == {
        "SO_KEEPALIVE": 1,
        "TCP_KEEPIDLE": 10,
        "TCP_KEEPINTVL": 5,
        "TCP_KEEPCNT": 3,
        # It would end the connection of a client that lives and does not read.
        "TCP_USER_TIMEOUT": 0,
    }


@pytest.mark.skipif(sys.platform != "linux", reason="goes by what the kernel says of a connection")
@pytest.mark.parametrize(
    ("unacknowledged", "silent", "is_left"), [(1, 20_000, True), (1, 19_999, False), (0, 99_999, False)]
)
async def test_one_that_acknowledges_nothing_is_left(
    connect: Connect,
    source: Source,
    monkeypatch: pytest.MonkeyPatch,
    unacknowledged: int,
    silent: int,
    *,
    is_left: bool,
) -> None:
    looked = asyncio.Event()

    class Kernel:
        def __init__(self, real: Any) -> None:
            self._real = real
            self.family = real.family
            self.setsockopt = real.setsockopt
            self.times = 0

        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            assert (level, option, size) == (socket.IPPROTO_TCP, socket.TCP_INFO, 60)
            self.times += 1
            if self.times > 1:
                looked.set()
            return struct.pack("24xI28xI", unacknowledged, silent)

    def with_kernel(transport: Any) -> None:
        real = transport.get_extra_info("socket")
        transport._extra["socket"] = Kernel(real)

    async def handle(request: web.Request) -> web.StreamResponse:
        with_kernel(request.transport)
        return await serving.aiohttp_response(request, source())

    monkeypatch.setattr("rxllm.serving._leaving._LOOK_SECONDS", 0.001)
    source.put("x")
    async with running(app(handle)) as url:
        client = await connect(url)
        client.ask()
        await client.until(b"x")
        await soon(source.left if is_left else looked)
        assert source.left.is_set() == is_left
        source.put(None)
        await soon(source.left)


async def test_one_that_has_left_while_the_application_takes_its_time_is_not_looked_at(
    connect: Connect, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, told, faults = asyncio.Event(), asyncio.Event(), list[dict[str, Any]]()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, source())

    async def take_time(*_: object) -> None:
        asked.set()
        await soon(source.left)
        # Timers come in their order: one of before that would have been heard of.
        asyncio.get_running_loop().call_later(0.002, told.set)
        await soon(told)

    monkeypatch.setattr("rxllm.serving._leaving._LOOK_SECONDS", 0.001)
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    application = app(handle)
    application.on_response_prepare.append(take_time)
    source.put("x")
    async with running(application) as url:
        client = await connect(url)
        client.ask()
        await soon(asked)
        client.reset()
        await soon(told)

    assert faults == []


async def test_where_the_kernel_says_nothing(
    http: aiohttp.ClientSession, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.serving._leaving._INFO", None)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, source())

    source.put("x", None)
    async with running(app(handle)) as url, http.get(url) as response:
        assert b"x" in await response.read()


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no such sockets")
async def test_over_a_socket_of_the_file_system(tmp_path: Path) -> None:
    runner = web.AppRunner(app())
    await runner.setup()
    path = str(tmp_path / "socket")
    await web.UnixSite(runner, path).start()
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as http,
            http.get("http://x/") as response,
        ):
            assert await response.text() == "{}|completed"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_what_is_no_request_of_http(kind: str) -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError

    with pytest.raises(RuntimeError, match=f"answers HTTP requests, not '{kind}'"):
        await serving.StreamingResponse(reactivex.empty())({"type": kind}, never, never)


@pytest.mark.parametrize("fails_at", [1, 2, 3])
async def test_an_asgi_server_that_raises_when_the_client_has_left(source: Source, fails_at: int) -> None:
    calls = 0
    done: list[str] = []

    async def send(_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise OSError("gone")
        source.put("y")

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def background() -> None:
        done.append("background")

    source.put("x")
    response = serving.StreamingResponse(source(), background=background)
    async with asyncio.timeout(SECONDS):
        await response({"type": "http", "method": "GET", "headers": []}, receive, send)
        await source.left.wait()

    assert calls == fails_at
    assert done == ["background"]
