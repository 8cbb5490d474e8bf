"""The scripted server over TLS."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import pytest

from rxllm.testing import ScriptedServer, script


@pytest.fixture
def contexts(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's context, and that of a client that trusts it."""
    return server_tls, client_tls


async def test_an_answer_over_tls_and_a_peer_that_leaves(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = contexts
    connector = aiohttp.TCPConnector(ssl=theirs)
    async with (
        ScriptedServer("Hello", [b"abc", script.stall()], ssl=ours) as server,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        assert server.url.startswith("https://")
        assert server.ws_url.startswith("wss://")
        async with session.post(server.url) as response:
            assert (await response.text()).endswith("data: [DONE]\n\n")
        async with session.post(server.url) as response:
            assert await response.content.readany() == b"abc"
        await server.requests[1].peer_left.wait()
        await server.wait_disconnected()


async def test_writes_stop_over_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = contexts
    connector = aiohttp.TCPConnector(ssl=theirs)
    async with (
        ScriptedServer(script.flood(24_000_000), ssl=ours) as server,
        aiohttp.ClientSession(connector=connector) as session,
        session.post(server.url) as response,
    ):
        request = await server.wait_for_request()
        await request.writes_stopped()
        assert request.bytes_written < 16_000_000
        await response.read()
        await request.finished.wait()


@pytest.mark.parametrize("end", [script.cut(), script.reset()])
async def test_a_cut_over_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext], end: script.Step) -> None:
    ours, theirs = contexts
    read = asyncio.Event()
    connector = aiohttp.TCPConnector(ssl=theirs)
    async with (
        ScriptedServer([b"abc", script.wait_for(read), end], ssl=ours) as server,
        aiohttp.ClientSession(connector=connector) as session,
        session.post(server.url) as response,
    ):
        assert await response.content.readany() == b"abc"
        read.set()
        with pytest.raises(aiohttp.ClientError):
            await response.read()
