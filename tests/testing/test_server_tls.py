"""The scripted server over TLS."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from rxllm.testing import ScriptedServer, TLSContexts, script


async def test_an_answer_over_tls_and_a_peer_that_leaves(tls: TLSContexts) -> None:
    connector = aiohttp.TCPConnector(ssl=tls.client)
    async with (
        ScriptedServer("Hello", [b"abc", script.stall()], ssl=tls.server) as server,
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


async def test_writes_stop_over_tls(tls: TLSContexts) -> None:
    connector = aiohttp.TCPConnector(ssl=tls.client)
    async with (
        ScriptedServer(script.flood(24_000_000), ssl=tls.server) as server,
        aiohttp.ClientSession(connector=connector) as session,
        session.post(server.url) as response,
    ):
        request = await server.wait_for_request()
        await request.writes_stopped()
        assert request.bytes_written < 16_000_000
        await response.read()
        await request.finished.wait()


@pytest.mark.parametrize("end", [script.cut(), script.reset()])
async def test_a_cut_over_tls(tls: TLSContexts, end: script.Step) -> None:
    read = asyncio.Event()
    connector = aiohttp.TCPConnector(ssl=tls.client)
    async with (
        ScriptedServer([b"abc", script.wait_for(read), end], ssl=tls.server) as server,
        aiohttp.ClientSession(connector=connector) as session,
        session.post(server.url) as response,
    ):
        assert await response.content.readany() == b"abc"
        read.set()
        with pytest.raises(aiohttp.ClientError):
            await response.read()
