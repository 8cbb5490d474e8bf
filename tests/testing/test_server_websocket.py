"""The scripted server as a WebSocket client sees it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from rxllm.testing import ReceivedRequest, ScriptedServer, script
from rxllm.testing._server_websocket import Opcode, encode_frame
from rxllm.testing.script import Answer

QUESTION = json.dumps({"messages": [{"content": "why?"}]})


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def texts(websocket: aiohttp.ClientWebSocketResponse) -> list[str]:
    """The text frames up to the end."""
    return [message.data async for message in websocket if message.type is aiohttp.WSMsgType.TEXT]


async def test_chunks_are_text_frames_and_the_close_is_clean(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer("It is late.") as server, session.ws_connect(server.ws_url) as websocket:
        await websocket.send_str(QUESTION)
        frames = await texts(websocket)
        assert websocket.close_code == 1000
        request = server.requests[0]
        assert request.json == json.loads(QUESTION)
        assert request.frames == [QUESTION]
        assert (request.finished.is_set(), request.peer_left.is_set()) == (True, False)
        assert request.chunks_written == len(frames)
        await server.wait_disconnected()
    assert frames[-1] == "[DONE]"
    assert [json.loads(frame)["choices"][0]["delta"].get("content") for frame in frames[1:4]] == ["It", " is", " late."]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 300_000])
async def test_frames_of_every_length_go_both_ways(session: aiohttp.ClientSession, size: int) -> None:
    text = "x" * size

    def echo(request: ReceivedRequest) -> list[script.StepLike]:
        return [script.Event(request.body.decode())]

    async with ScriptedServer(echo) as server, session.ws_connect(server.ws_url) as websocket:
        await websocket.send_str(text)
        assert await texts(websocket) == [text]


@pytest.mark.parametrize("fragment", [1, 3, None])
async def test_frames_may_come_in_pieces(session: aiohttp.ClientSession, fragment: script.Fragment) -> None:
    async with ScriptedServer(["é", "b"], fragment=fragment) as server, session.ws_connect(server.ws_url) as websocket:
        await websocket.send_str(QUESTION)
        frames = await texts(websocket)
    assert [json.loads(frame)["choices"][0]["delta"]["content"] for frame in frames] == ["é", "b"]


async def test_the_server_may_speak_first_and_counts_what_comes(session: aiohttp.ClientSession) -> None:
    all_came = asyncio.Event()
    greeting = Answer(["Hello", script.wait_for(all_came)], speaks_first=True)
    async with ScriptedServer(greeting) as server, session.ws_connect(server.ws_url, autoping=False) as websocket:
        assert json.loads(await websocket.receive_str())["choices"][0]["delta"] == {"content": "Hello"}
        await websocket.send_str("one")
        await websocket.send_bytes(b"two")
        await websocket.ping()
        # The pong comes after everything that was sent before the ping.
        message = await websocket.receive()
        assert message.type is aiohttp.WSMsgType.PONG
        all_came.set()
        assert await texts(websocket) == []
        assert server.requests[0].frames == ["one", b"two"]
        assert server.requests[0].body == b""


async def test_comments_are_pings_and_bytes_are_bytes_of_the_connection(session: aiohttp.ClientSession) -> None:
    steps: list[script.StepLike] = [script.comment("hi"), encode_frame(Opcode.TEXT, b"raw")]
    async with ScriptedServer(steps) as server, session.ws_connect(server.ws_url, autoping=False) as websocket:
        await websocket.send_str(QUESTION)
        ping = await websocket.receive()
        assert (ping.type, ping.data) == (aiohttp.WSMsgType.PING, b"hi")
        await websocket.pong(b"hi")
        assert await texts(websocket) == ["raw"]


async def test_a_close_has_the_code_it_is_given(session: aiohttp.ClientSession) -> None:
    steps: list[script.StepLike] = ["a", script.close(1011, "tired"), "b"]
    async with ScriptedServer(steps) as server, session.ws_connect(server.ws_url) as websocket:
        await websocket.send_str(QUESTION)
        await websocket.receive_str()
        message = await websocket.receive()
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 1011, "tired")


async def test_a_close_may_say_no_code(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer(["a", script.close(None)]) as server, session.ws_connect(server.ws_url) as websocket:
        await websocket.send_str(QUESTION)
        await websocket.receive_str()
        message = await websocket.receive()
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 0, "")
        await server.wait_disconnected()


@pytest.mark.parametrize("end", [script.cut(), script.reset()])
async def test_without_a_close_frame_the_end_is_abnormal(session: aiohttp.ClientSession, end: script.Step) -> None:
    async with ScriptedServer(["a", end]) as server, session.ws_connect(server.ws_url) as websocket:
        await websocket.send_str(QUESTION)
        await texts(websocket)
        # 1006: no close frame came (RFC 6455, section 7.4.1).
        assert websocket.close_code == 1006
        await server.wait_disconnected()
        assert server.requests[0].finished.is_set()


async def test_leaving_is_seen(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer(["a", script.stall()]) as server:
        async with session.ws_connect(server.ws_url) as websocket:
            await websocket.send_str(QUESTION)
            await websocket.receive_str()
        assert websocket.close_code == 1000
        await server.requests[0].peer_left.wait()
        await server.wait_disconnected()


async def test_leaving_before_asking_is_no_request(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer("never") as server:
        async with session.ws_connect(server.ws_url):
            pass
        await server.wait_disconnected()
        assert server.requests == []


async def test_a_status_answers_the_handshake(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer(script.status(401, "who?")) as server:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(server.ws_url)
        assert caught.value.status == 401
        assert server.requests[0].headers["upgrade"] == "websocket"


async def test_a_function_cannot_refuse_a_handshake(session: aiohttp.ClientSession) -> None:
    async def ask() -> None:
        refusing = ScriptedServer(lambda _: script.status(401))
        async with refusing as server, session.ws_connect(server.ws_url) as websocket:
            await websocket.send_str(QUESTION)
            await texts(websocket)

    with pytest.raises(ValueError, match="handshake is over"):
        await ask()


async def test_no_script_left_is_400(session: aiohttp.ClientSession) -> None:
    async def ask() -> None:
        async with ScriptedServer() as server:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
                await session.ws_connect(server.ws_url)

    with pytest.raises(AssertionError, match="no script is left"):
        await ask()


async def test_writes_stop_when_nobody_reads(session: aiohttp.ClientSession) -> None:
    flood = script.flood(24_000_000)
    async with ScriptedServer(flood) as server, session.ws_connect(server.ws_url) as websocket:
        await websocket.send_str(QUESTION)
        request = await server.wait_for_request()
        await request.writes_stopped()
        assert request.bytes_written < 16_000_000
        assert len(await texts(websocket)) == flood.chunks + 2


# What aiohttp's client never sends


async def open_raw(server: ScriptedServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    client = socket.socket()
    # A small window: the kernel does not take much for a client that does not read.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", int(server.origin.rpartition(":")[2])))
    reader, writer = await asyncio.open_connection(sock=client)
    writer.write(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    # The example of RFC 6455, section 1.3.
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    return reader, writer


async def close_raw(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


def masked(first: int, payload: bytes) -> bytes:
    key = bytes((1, 2, 3, 4))
    return bytes((first, 0x80 | len(payload))) + key + bytes(byte ^ key[n % 4] for n, byte in enumerate(payload))


async def test_a_message_in_frames_may_be_interrupted_by_a_ping() -> None:
    async with ScriptedServer([]) as server:
        reader, writer = await open_raw(server)
        writer.write(masked(0x01, b"wh") + masked(0x89, b"!") + masked(0x8A, b"") + masked(0x80, b"y?"))
        assert await reader.readexactly(7) == b"\x8a\x01!" + b"\x88\x02\x03\xe8"
        writer.write(masked(0x88, b""))
        assert await reader.read() == b""
        await close_raw(writer)
        assert server.requests[0].frames == ["why?"]


async def test_pongs_wait_for_a_client_that_does_not_read() -> None:
    pings = 40_000
    async with ScriptedServer([]) as server:
        reader, writer = await open_raw(server)
        writer.write(masked(0x89, bytes(125)) * pings)
        # Turns enough for the server to answer until the kernel takes no more: 5 MB do not fit into a small window.
        for _ in range(1000):
            await asyncio.sleep(0)
        pongs = await reader.readexactly(127 * pings)
        assert pongs == (b"\x8a\x7d" + bytes(125)) * pings
        await close_raw(writer)
        await server.wait_disconnected()


async def test_a_frame_without_a_mask_is_reported() -> None:
    async def talk() -> None:
        async with ScriptedServer([]) as server:
            reader, writer = await open_raw(server)
            writer.write(b"\x81\x01a")
            assert await reader.read() == b""
            await close_raw(writer)

    with pytest.raises(ValueError, match="mask"):
        await talk()
