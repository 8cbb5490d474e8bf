"""A client that stands still pauses the provider, and one that leaves closes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import reactivex
from aiohttp import web
from reactivex import Observable

from rxllm import ChatRequest, LLMClient, Message, serving
from rxllm.testing import ScriptedServer, TLSContexts, script
from tests.serving.conftest import Client, Host, Serve, Source, running, soon

Connect = Callable[..., Awaitable[Client]]


def leave_by_reset(client: Client) -> None:
    client.reset()


def leave_by_closing(client: Client) -> None:
    client.writer.close()


def leave_by_sending_no_more(client: Client) -> None:
    client.writer.write_eof()


WAYS = [leave_by_reset, leave_by_closing, leave_by_sending_no_more]


TOTAL_BYTES = 200_000_000
MOST_BUFFERED = 16_000_000


@pytest.fixture
async def flooding() -> AsyncIterator[tuple[ScriptedServer, Callable[[], Observable[Any]]]]:
    """A provider with 200 MB to say."""
    async with (
        ScriptedServer(script.flood(TOTAL_BYTES, size=65_536)) as provider,
        LLMClient(base_url=provider.url, api_key="k") as llm,
    ):
        yield provider, lambda: llm.chat_stream(ChatRequest(model="m", messages=[Message.user("Hello?")]))


Flooding = tuple[ScriptedServer, Callable[[], Observable[Any]]]


@pytest.mark.parametrize("leave", WAYS)
async def test_before_the_first_item(
    serve: Serve, connect: Connect, source: Source, leave: Callable[[Client], None]
) -> None:
    client = await connect(await serve(source))
    client.ask()
    await soon(source.begun)

    leave(client)

    await soon(source.left)


@pytest.mark.parametrize("leave", WAYS)
async def test_while_nothing_comes(
    serve: Serve, connect: Connect, source: Source, leave: Callable[[Client], None]
) -> None:
    client = await connect(await serve(source))
    client.ask("POST / HTTP/1.1", "Content-Type: application/json", body=b'{"a": 1}')
    source.put("Hel")
    await client.until(b"Hel")

    leave(client)

    await soon(source.left)


@pytest.mark.parametrize("leave", [leave_by_reset, leave_by_closing])
async def test_while_a_write_waits(
    serve: Serve, connect: Connect, flooding: Flooding, leave: Callable[[Client], None]
) -> None:
    await hear_of_one_that_stood_still(serve, connect, flooding, leave)


@pytest.mark.parametrize("host", ["aiohttp"], indirect=True)
async def test_while_a_write_waits_and_only_one_way_is_closed(
    serve: Serve, connect: Connect, flooding: Flooding
) -> None:
    """uvicorn tells of that when what waits is written, and not before."""
    await hear_of_one_that_stood_still(serve, connect, flooding, leave_by_sending_no_more)


async def hear_of_one_that_stood_still(
    serve: Serve, connect: Connect, flooding: Flooding, leave: Callable[[Client], None]
) -> None:
    provider, pipelines = flooding
    client = await connect(await serve(pipelines))
    client.ask()
    await client.until(b"HTTP/1.1 200 OK")
    client.stand_still()
    request = await provider.wait_for_request()
    await request.writes_stopped()

    leave(client)

    await soon(request.peer_left)


async def test_one_that_stands_still_pauses_the_provider(serve: Serve, connect: Connect, flooding: Flooding) -> None:
    provider, pipelines = flooding
    client = await connect(await serve(pipelines))
    client.ask()
    await client.until(b"HTTP/1.1 200 OK")
    client.stand_still()

    request = await provider.wait_for_request()
    await request.writes_stopped()
    written = request.bytes_written
    client.go_on()
    received = 0
    async with asyncio.timeout(60):
        while received < written:
            received += len(await client.reader.read(2**20))

    assert written < MOST_BUFFERED


async def test_the_connection_to_the_provider_is_closed(serve: Serve, connect: Connect) -> None:
    async with (
        ScriptedServer([script.text("x"), script.stall()]) as provider,
        LLMClient(base_url=provider.url, api_key="k") as llm,
    ):
        asked = ChatRequest(model="m", messages=[Message.user("Hello?")])
        client = await connect(await serve(lambda: llm.chat_stream(asked)))
        client.ask()
        await client.until(b'"text":"x"')

        client.reset()

        await soon((await provider.wait_for_request()).peer_left)


async def test_many_that_leave_at_once(serve: Serve, connect: Connect) -> None:
    async with (
        ScriptedServer([script.text("x"), script.stall()], repeat=True) as provider,
        LLMClient(base_url=provider.url, api_key="k") as llm,
    ):
        asked = ChatRequest(model="m", messages=[Message.user("Hello?")])
        url = await serve(lambda: llm.chat_stream(asked))
        clients = [await connect(url) for _ in range(40)]
        for client in clients:
            client.ask()
        for client in clients:
            await client.until(b'"text":"x"')

        for client in clients:
            client.reset()

        for request in provider.requests:
            await soon(request.peer_left)


async def test_an_answer_that_is_whole_leaves_the_connection_to_the_next_request(
    serve: Serve, connect: Connect
) -> None:
    client = await connect(await serve(lambda: reactivex.of("Hel", "lo")))

    for _ in range(3):
        client.ask()
        assert b"lo" in await client.until(b"0\r\n\r\n")


async def test_requests_that_come_before_their_turn(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(lambda: reactivex.of("Hel", "lo")))

    for _ in range(3):
        client.ask()

    for _ in range(3):
        assert b"lo" in await client.until(b"0\r\n\r\n")


@pytest.mark.parametrize("line", ["GET / HTTP/1.0", "GET / HTTP/1.1"])
async def test_one_that_wants_the_connection_closed(serve: Serve, connect: Connect, host: Host, line: str) -> None:
    client = await connect(await serve(lambda: reactivex.of("Hel", "lo")))

    client.ask(line, "Connection: close")
    head, _, body = (await client.rest()).partition(b"\r\n\r\n")

    assert b" 200 " in head
    is_chunked = b"chunked" in head.lower()
    # One of uvicorn's parsers takes no notice of the version.
    assert is_chunked == line.endswith("1.1") or host == "asgi"
    assert b'{"type":"end","ending":"completed"}' in body


async def test_over_tls(tls: TLSContexts, source: Source) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, source())

    app = web.Application()
    app.router.add_get("/", handle)
    source.put("Hel")
    async with (
        running(app, ssl_context=tls.server) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls.client)) as http,
    ):
        async with http.get(url.replace("http://127.0.0.1", "https://localhost")) as response:
            assert b"Hel" in await response.content.readline()
        await soon(source.left)
