"""What networks and servers do to a client, by name, over SSE and over a WebSocket; and what the server sees of it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import struct
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from rxllm.exceptions import MissingExtraError
from rxllm.testing import ScriptedServer, TLSContexts, script, tls_contexts
from rxllm.testing.script import Answer

QUESTION = '{"messages":[]}'


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def first_read(response: aiohttp.ClientResponse) -> bytes:
    return await response.content.readany()


def contents(texts: list[str]) -> list[str]:
    chunks: list[dict[str, Any]] = [json.loads(text) for text in texts]
    return [choice["delta"]["content"] for chunk in chunks for choice in chunk["choices"]]


async def texts(websocket: aiohttp.ClientWebSocketResponse) -> list[str]:
    return [message.data async for message in websocket if message.type is aiohttp.WSMsgType.TEXT]


# Bursts and drips


async def test_a_burst_is_one_write_and_one_read(session: aiohttp.ClientSession) -> None:
    more = asyncio.Event()
    burst = script.burst("a", [b": raw\n\n", script.comment("c")], script.done())
    async with ScriptedServer([burst, script.wait_for(more)]) as server, session.post(server.url) as response:
        read = await first_read(response)
        more.set()
        assert read.endswith(b": raw\n\n: c\n\ndata: [DONE]\n\n")
        assert await response.read() == b""
        assert server.requests[0].chunks_written == 2


async def test_a_burst_over_a_websocket(session: aiohttp.ClientSession) -> None:
    burst = script.burst("a", "b", script.comment("ping"))
    async with ScriptedServer([burst]) as server, session.ws_connect(server.ws_url) as websocket:
        await websocket.send_str(QUESTION)
        assert contents(await texts(websocket)) == ["a", "b"]
        assert server.requests[0].chunks_written == 2


def test_what_sends_nothing_is_no_part_of_a_burst() -> None:
    with pytest.raises(TypeError, match=r"Delay\(seconds=1\) sends nothing"):
        script.burst("a", script.delay(1))


def test_the_chunks_of_a_burst_count_in_an_answer() -> None:
    answer = script.answer(script.burst("a", script.tool_call("f", {})))

    assert answer[-2] == script.usage(completion_tokens=3)
    assert answer[-3] == script.finish("tool_calls")


async def test_a_drip_comes_drop_by_drop(session: aiohttp.ClientSession) -> None:
    drip = Answer([b"abc"], fragment=1, delay_per_write=0.001)
    async with ScriptedServer(drip) as server, session.post(server.url) as response:
        assert [read async for read in response.content.iter_any()] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("frame_size", [1, 3, 1000])
async def test_a_message_may_come_in_frames(session: aiohttp.ClientSession, frame_size: int) -> None:
    framed = Answer(["\N{EURO SIGN}uro", script.Event("")], frame_size=frame_size, fragment=1)
    async with ScriptedServer(framed) as server, session.ws_connect(server.ws_url) as websocket:
        await websocket.send_str(QUESTION)
        message, empty = await texts(websocket)
        assert (contents([message]), empty) == (["\N{EURO SIGN}uro"], "")
        # Each frame has a head of two bytes at least (RFC 6455, section 5.2).
        assert server.requests[0].bytes_written >= len(message.encode()) * (1 + 2 // frame_size)


def test_a_frame_of_no_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="a frame has one byte or more, not 0"):
        Answer(frame_size=0)


# Silence


async def test_silence_with_keep_alives(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer([script.stall(keep_alive=0.001)]) as server, session.post(server.url) as response:
        assert await response.content.readuntil(b"\n\n") == b": OPENROUTER PROCESSING\n\n"
        assert await response.content.readuntil(b"\n\n") == b": OPENROUTER PROCESSING\n\n"
        assert server.requests[0].chunks_written == 0


async def test_silence_with_pings(session: aiohttp.ClientSession) -> None:
    stall = ScriptedServer([script.stall(keep_alive=0.001)])
    async with stall as server, session.ws_connect(server.ws_url, autoping=False) as websocket:
        await websocket.send_str(QUESTION)
        assert [(await websocket.receive()).type for _ in range(2)] == [aiohttp.WSMsgType.PING] * 2


async def test_keep_alives_without_end_have_no_length(session: aiohttp.ClientSession) -> None:
    async def ask() -> None:
        async with ScriptedServer(Answer([script.stall(keep_alive=1)], framing="length")) as server:
            with pytest.raises(aiohttp.ClientError):
                await session.post(server.url)

    with pytest.raises(ValueError, match="give the answer another framing"):
        await ask()


# Half-open connections


async def test_half_closed_the_server_waits_for_the_client_to_leave() -> None:
    async with ScriptedServer([b"abc", script.half_close()]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.origin.rpartition(":")[2]))
        writer.write(b"POST / HTTP/1.1\r\n\r\n")
        assert (await reader.read()).endswith(b"3\r\nabc\r\n")
        request = server.requests[0]
        assert not request.peer_left.is_set()
        assert server.open_connections == 1
        writer.close()
        await writer.wait_closed()
        await request.peer_left.wait()
        assert request.peer_left_by == "fin"
        assert not request.finished.is_set()


async def test_a_client_that_leaks_no_socket_leaves_a_half_closed_connection(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer([b"abc", script.half_close()]) as server:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with session.post(server.url) as response:
                await response.read()
        await server.requests[0].peer_left.wait()


async def test_a_half_closed_websocket(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer(["a", script.half_close()]) as server:
        async with session.ws_connect(server.ws_url) as websocket:
            await websocket.send_str(QUESTION)
            assert contents(await texts(websocket)) == ["a"]
            assert websocket.close_code == 1006
        await server.requests[0].peer_left.wait()


async def test_there_is_no_half_open_tls(session: aiohttp.ClientSession, tls: TLSContexts) -> None:
    async def ask() -> None:
        async with ScriptedServer([script.half_close()], ssl=tls.server) as server:
            with pytest.raises(aiohttp.ClientError):
                await (await session.post(server.url, ssl=tls.client)).read()

    with pytest.raises(ValueError, match="TLS has no half-open connection"):
        await ask()


# What the server sees


async def test_how_and_when_a_client_leaves(session: aiohttp.ClientSession) -> None:
    began = asyncio.get_running_loop().time()
    async with ScriptedServer([script.stall()], repeat=True) as server:
        async with session.post(server.url):
            pass
        async with session.ws_connect(server.ws_url) as websocket:
            await websocket.send_str(QUESTION)
            await server.wait_for_request(1)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.origin.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        opened: socket.socket = writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        for request in server.requests:
            await request.peer_left.wait()
            assert request.peer_left_at is not None
            assert began <= request.received_at <= request.peer_left_at
        assert [request.peer_left_by for request in server.requests] == ["fin", "close frame", "reset"]


async def test_scripts_can_be_added_while_it_runs(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer("one", line_end="\r\n") as server:
        server.add("two", "three")
        bodies = [await (await session.post(server.url)).text() for _ in range(3)]
    assert [word in body for word, body in zip(("one", "two", "three"), bodies, strict=True)] == [True] * 3
    assert all("\r\n\r\n" in body for body in bodies)


# In a thread


def ask_synchronously(server: ScriptedServer) -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.origin.removeprefix("http://"))
    connection.request("POST", "/v1/chat/completions", QUESTION, {"Content-Type": "application/json"})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def test_a_synchronous_client_has_a_server_in_a_thread() -> None:
    with ScriptedServer("Hello") as server:
        status, body = ask_synchronously(server)
        assert status == 200
        assert "Hello" in body
        assert server.requests[0].json == {"messages": []}
        assert "scripted server" in {thread.name for thread in threading.enumerate()}
    assert "scripted server" not in {thread.name for thread in threading.enumerate()}


def test_in_a_thread_it_reports_what_went_wrong() -> None:
    def ask_twice() -> None:
        with ScriptedServer("Hello") as server:
            assert [ask_synchronously(server)[0] for _ in range(2)] == [200, 500]

    with pytest.raises(AssertionError, match="no script is left"):
        ask_twice()


def test_in_a_thread_a_server_that_cannot_begin_leaves_none() -> None:
    with ScriptedServer() as first:
        second = ScriptedServer(port=int(first.origin.rpartition(":")[2]))
        with pytest.raises(OSError, match="address already in use"):
            second.__enter__()


# Certificates


def test_a_certificate_may_be_for_other_names() -> None:
    contexts = tls_contexts("llm.example")
    assert contexts.client.verify_mode is ssl.CERT_REQUIRED
    assert contexts.server is not tls_contexts("llm.example").server


def test_without_trustme_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(MissingExtraError, match=r"install rxllm\[testing\]") as caught:
        tls_contexts()
    assert caught.value.extra == "rxllm[testing]"
