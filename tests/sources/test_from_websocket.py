"""``from_websocket`` against a real server on a loopback port."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator
from typing import cast

import aiohttp
import pytest
from reactivex import Observable
from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm.exceptions import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    DecodeError,
    LimitExceededError,
    StreamInterruptedError,
)
from rxllm.flow import FlowControl
from rxllm.sources import from_websocket
from rxllm.testing import ScriptedServer, script

KEY = "sk-a-secret-that-is-long"


def frame(opcode: int, payload: bytes) -> script.Raw:
    """An unmasked frame of a server (RFC 6455, section 5.2)."""
    assert len(payload) < 126
    return script.raw(bytes([0x80 | opcode, len(payload)]) + payload)


@contextlib.asynccontextmanager
async def raw_server(answer: bytes) -> AsyncGenerator[str]:
    """A server that answers a handshake with these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def collect(source: Observable[str]) -> list[str]:
    return await source.pipe(rx_ops.to_list())


async def test_frames_arrive_in_order_and_a_normal_close_completes() -> None:
    async with ScriptedServer([script.text("Hello"), script.done()]) as server:
        frames = await collect(from_websocket(server.ws_url, send=({"model": "m"}, "more"), headers={"X-Own": "1"}))

    assert json.loads(frames[0])["choices"][0]["delta"] == {"content": "Hello"}
    assert frames[1] == "[DONE]"
    assert server.requests[0].json == {"model": "m"}
    assert server.requests[0].headers["x-own"] == "1"


async def test_it_is_cold() -> None:
    async with ScriptedServer("Hello", repeat=True) as server:
        source = from_websocket(server.ws_url, send=("{}",))
        assert server.requests == []
        assert await collect(source) == await collect(source)

    assert len(server.requests) == 2


async def test_a_close_without_a_code_completes() -> None:
    async with ScriptedServer([script.text("Hello"), frame(8, b"")]) as server:
        assert len(await collect(from_websocket(server.ws_url, send=("{}",)))) == 1


@pytest.mark.parametrize(
    "end",
    [script.close(1011, "out of memory"), script.close(1001), script.cut(), script.reset()],
    ids=["1011", "1001", "FIN", "RST"],
)
async def test_another_end_is_an_interruption(end: script.StepLike) -> None:
    async with ScriptedServer([script.text("Hello"), script.text("you"), end]) as server:
        received: list[str] = []
        with pytest.raises(StreamInterruptedError, match="lost after 2 frames") as caught:
            await from_websocket(server.ws_url, send=("{}",)).pipe(rx_ops.do_action(received.append))

    assert caught.value.events == len(received) == 2
    assert str(caught.value).count("lost") == 1


async def test_a_connection_that_is_lost_while_we_send() -> None:
    async with ScriptedServer(script.Answer([script.reset()], speaks_first=True)) as server:
        with pytest.raises(StreamInterruptedError, match="lost after 0 frames"):
            await collect(from_websocket(server.ws_url, send=["x" * 1_000_000] * 50))


async def test_the_reason_of_a_close_is_shown() -> None:
    async with ScriptedServer([script.close(1011, "out of memory")]) as server:
        with pytest.raises(StreamInterruptedError, match=r"1011 'out of memory'"):
            await collect(from_websocket(server.ws_url, send=("{}",)))


async def test_a_binary_frame_is_an_error() -> None:
    async with ScriptedServer([script.text("Hello"), frame(2, b"\x00\x01")]) as server:
        with pytest.raises(DecodeError, match="binary frame at position 1") as caught:
            await collect(from_websocket(server.ws_url, send=("{}",)))

    assert caught.value.position == 1


async def test_a_violation_of_the_protocol_is_an_error() -> None:
    async with ScriptedServer([frame(3, b"what is this?"), script.stall()]) as server:
        with pytest.raises(DecodeError, match="frame 0 breaks the protocol"):
            await collect(from_websocket(server.ws_url, send=("{}",)))


async def test_a_frame_over_the_limit_is_an_error() -> None:
    async with ScriptedServer([script.text("x" * 5_000), script.stall()]) as server:
        with pytest.raises(LimitExceededError, match="1000 bytes") as caught:
            await collect(from_websocket(server.ws_url, send=("{}",), max_frame_bytes=1_000))

    assert caught.value.limit == "max_frame_bytes"


async def test_a_refused_handshake() -> None:
    async with ScriptedServer(script.status(401, f"no such key: {KEY}")) as server:
        with pytest.raises(APIStatusError, match="401") as caught:
            await collect(from_websocket(server.ws_url, headers={"Authorization": f"Bearer {KEY}"}))

    assert caught.value.status == 401
    assert KEY not in f"{caught.value!r} {vars(caught.value)}"


async def test_a_handshake_that_is_answered_as_an_ordinary_request() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(head) as url:
        with pytest.raises(APIResponseError, match="200") as caught:
            await collect(from_websocket(url, headers={"Authorization": f"Bearer {KEY}"}))

    assert caught.value.status == 200
    assert caught.value.content_type == "text/html"
    assert KEY not in f"{caught.value.__cause__!r} {caught.value.__context__!r}"


def test_what_cannot_be_sent_is_reported_at_once() -> None:
    with pytest.raises(TypeError):
        from_websocket("ws://127.0.0.1:9/", send=(object(),))


async def test_no_server() -> None:
    async with ScriptedServer() as server:
        url = server.ws_url
    with pytest.raises(APIConnectionError, match=r"no answer from ws://127\.0\.0\.1"):
        await collect(from_websocket(url))


async def test_a_redirect_to_another_origin_drops_the_subprotocols_for_one_may_be_a_key() -> None:
    async with (
        ScriptedServer([script.text("Hello"), script.done()]) as other,
        ScriptedServer(script.redirect(other.url), script.redirect("/elsewhere"), "Hello") as server,
    ):
        for _ in range(2):
            await collect(from_websocket(server.ws_url, send=("{}",), protocols=["realtime", f"key.{KEY}"]))

    assert KEY in server.requests[0].headers["sec-websocket-protocol"]
    assert "sec-websocket-protocol" not in other.requests[0].headers
    assert KEY in server.requests[2].headers["sec-websocket-protocol"]


async def test_what_is_no_url() -> None:
    with pytest.raises(APIConnectionError, match="none that can be requested"):
        await collect(from_websocket("/relative"))


async def test_dispose_closes_the_connection() -> None:
    async with ScriptedServer([script.text("Hello"), script.stall()]) as server:
        arrived = asyncio.Event()
        subscription = from_websocket(server.ws_url, send=("{}",)).subscribe(lambda _: arrived.set())
        await arrived.wait()

        subscription.dispose()
        await server.requests[0].peer_left.wait()

    assert server.requests[0].peer_left_by == "close frame"


async def test_dispose_before_the_first_frame_closes_the_connection() -> None:
    async with ScriptedServer([script.stall()]) as server:
        subscription = from_websocket(server.ws_url, send=("{}",)).subscribe()
        request = await server.wait_for_request()

        subscription.dispose()
        await request.peer_left.wait()


async def test_a_pause_reaches_the_server() -> None:
    """A consumer that stands still stops the writes of the server; nothing is lost when it goes on."""
    received = 0
    flows: list[FlowControl] = []
    ended = asyncio.Event()

    def on_next(_: str) -> None:
        nonlocal received
        received += 1
        flow = FlowControl.current()
        if not flows and flow is not None:
            flows.append(flow)
            flow.pause("test")

    async with ScriptedServer(script.flood(40_000_000)) as server:
        from_websocket(server.ws_url, send=("{}",)).subscribe(on_next, on_completed=ended.set)
        request = await server.wait_for_request()
        await request.writes_stopped()
        assert received == 1
        assert request.bytes_written < 20_000_000
        flows[0].resume("test")
        await ended.wait()

    assert received == 40_000_000 // 4096 + 2


async def test_a_closed_session() -> None:
    async with aiohttp.ClientSession() as session:
        pass
    with pytest.raises(APIConnectionError, match="closed"):
        await collect(from_websocket("ws://127.0.0.1:9/", session=session))


async def test_a_refusal_says_when_to_try_again() -> None:
    answer = script.status(429, "", headers={"retry-after": "3", "x-request-id": "r-1"})
    async with ScriptedServer(answer) as server:
        with pytest.raises(APIStatusError) as caught:
            await collect(from_websocket(server.ws_url))

    assert caught.value.retry_after == 3
    assert caught.value.request_id == "r-1"


async def test_a_session_of_ones_own_is_used_and_left_open() -> None:
    async with (
        ScriptedServer("Hello", repeat=True) as server,
        aiohttp.ClientSession(headers={"X-Session": "1"}) as session,
    ):
        await collect(from_websocket(server.ws_url, send=("{}",), session=session))
        assert not session.closed
        await collect(from_websocket(server.ws_url, send=("{}",), session=lambda: session))

    assert [request.headers["x-session"] for request in server.requests] == ["1", "1"]


async def test_a_redirect_to_another_origin_drops_whatever_may_be_a_credential() -> None:
    headers = {"Authorization": f"Bearer {KEY}", "api-key": KEY}
    async with (
        ScriptedServer("Hello") as other,
        ScriptedServer(script.redirect(other.url)) as server,
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
    ):
        frames = await collect(from_websocket(server.ws_url, send=("{}",), headers=headers, session=session))

    assert frames[-1] == "[DONE]"
    assert server.requests[0].headers["api-key"] == KEY
    assert KEY not in str(other.requests[0].headers)


# How it is closed, while the consumer is behind

HANDSHAKE_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
FINISHED = '{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}'
UNFINISHED = '{"choices":[{"index":0,"delta":{"content":"Hi"}}]}'
NORMAL, NO_CODE, GOING_AWAY = b"\x88\x02\x03\xe8", b"\x88\x00", b"\x88\x02\x03\xe9"
PING = b"\x89\x00"


def text_frames(*texts: str) -> bytes:
    return b"".join(bytes([0x81, len(text)]) + text.encode() for text in texts)


@contextlib.asynccontextmanager
async def upgrading_server(answer: bytes, *, end: str = "fin") -> AsyncGenerator[str]:
    """A server that accepts, writes these bytes at once, and closes the connection (``fin``), resets it or stays."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + HANDSHAKE_GUID, usedforsecurity=False).digest())
        upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(upgrade + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + answer)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            if end == "stay":
                await reader.read()
        if end == "reset":
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def collect_slowly(source: Observable[str]) -> list[str]:
    """Pauses at the first frame for as long as it takes until the other side is gone."""
    received: list[str] = []
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(text: str) -> None:
        received.append(text)
        flow = FlowControl.current()
        if len(received) == 1 and flow is not None:
            flow.pause("test")
            asyncio.get_running_loop().call_later(0.05, flow.resume, "test")

    source.subscribe(take, ended.set_exception, lambda: ended.set_result(None))
    await ended
    return received


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("before", [b"", PING, PING * 3], ids=["", "ping", "pings"])
@pytest.mark.parametrize("close", [NORMAL, NO_CODE], ids=["1000", "no code"])
async def test_row_65_a_proper_close_is_one_whoever_is_behind(close: bytes, before: bytes, *, slow: bool) -> None:
    async with upgrading_server(text_frames("a", "b") + before + close) as url:
        source = from_websocket(url)
        assert await (collect_slowly if slow else collect)(source) == ["a", "b"]


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("end", ["fin", "reset"])
@pytest.mark.parametrize("last", [b"", PING, GOING_AWAY, PING + GOING_AWAY], ids=["", "ping", "1001", "ping, 1001"])
async def test_any_other_end_is_a_loss_whoever_is_behind(last: bytes, end: str, *, slow: bool) -> None:
    async with upgrading_server(text_frames("a", "b") + last, end=end) as url:
        with pytest.raises((StreamInterruptedError, APIConnectionError)):
            await (collect_slowly if slow else collect)(from_websocket(url))


async def test_a_pong_is_sent_and_one_that_comes_is_nothing() -> None:
    async with upgrading_server(text_frames("a") + PING + b"\x8a\x00" + text_frames("b") + NORMAL, end="stay") as url:
        assert await collect(from_websocket(url)) == ["a", "b"]


async def test_dispose_cuts_a_connection_that_nobody_reads() -> None:
    """Neither what we have not sent yet nor what still comes keeps it open."""
    connected, gone = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Deaf(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)
            self.head = b""

        def data_received(self, data: bytes) -> None:
            self.head += data
            if self.head.endswith(b"\r\n\r\n"):
                lines = self.head.split(b"\r\n")
                key = next(line[18:].strip() for line in lines if line.lower().startswith(b"sec-websocket-key"))
                accept = base64.b64encode(hashlib.sha1(key + HANDSHAKE_GUID, usedforsecurity=False).digest())
                upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                self.transport.write(upgrade + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
                self.transport.pause_reading()
                connected.set()
                self.write()

        def write(self) -> None:
            if not self.transport.is_closing():
                self.transport.write(text_frames("x" * 100))
                loop.call_later(0.001, self.write)

        def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as its base has it
            gone.set()

    flows: list[FlowControl] = []
    arrived = asyncio.Event()

    def pause(_: str) -> None:
        flow = FlowControl.current()
        if flow is not None:
            flow.pause("test")
            flows.append(flow)
        arrived.set()

    server = await loop.create_server(Deaf, "127.0.0.1", 0)
    async with server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for frames, ready in (((), arrived), (("x" * 10_000_000,), connected)):
            gone.clear()
            connected.clear()
            subscription = from_websocket(url, send=frames).subscribe(pause)
            await ready.wait()
            subscription.dispose()
            await gone.wait()
    flows[0].resume("test")


# Answers


@pytest.mark.parametrize("end", ["fin", "reset", "stay"])
async def test_row_63_an_answer_that_has_finished_is_whole(end: str) -> None:
    async with upgrading_server(text_frames(FINISHED), end=end) as url:
        completion = await from_websocket(url, grace_period=0.05).pipe(ops.parse(), ops.accumulate(strict=True))

    assert (completion.content, completion.complete, completion.ending) == ("Hi", True, "completed")
    assert [repair.kind for repair in completion.repairs] == ["cut-after-finish"]


@pytest.mark.parametrize(("close", "end"), [(b"", "fin"), (GOING_AWAY, "stay"), (PING, "fin"), (b"", "reset")])
async def test_row_36_the_end_marker_without_a_reason_and_then_a_loss(close: bytes, end: str) -> None:
    async with upgrading_server(text_frames(UNFINISHED, "[DONE]") + close, end=end) as url:
        with pytest.raises(StreamInterruptedError) as caught:
            await from_websocket(url, grace_period=60).pipe(ops.parse(), ops.accumulate())

    assert caught.value.partial is not None
    assert caught.value.partial.content == "Hi"


@pytest.mark.parametrize("marker", ["[DONE] ", "data: [DONE]", "data: data: [DONE]\n\n"])
async def test_row_36_an_end_marker_that_is_framed_oddly_says_no_more(marker: str) -> None:
    async with upgrading_server(text_frames(UNFINISHED, marker) + GOING_AWAY, end="stay") as url:
        with pytest.raises(StreamInterruptedError):
            await from_websocket(url, grace_period=60).pipe(ops.parse(), ops.accumulate())


@pytest.mark.parametrize(("close", "end"), [(NORMAL, "fin"), (NO_CODE, "fin"), (text_frames("x"), "stay")])
async def test_row_34_the_end_marker_without_a_reason_and_no_loss(close: bytes, end: str) -> None:
    async with upgrading_server(text_frames(UNFINISHED, "[DONE]") + close, end=end) as url:
        completion = await from_websocket(url, grace_period=0.05).pipe(ops.parse(), ops.accumulate())

    assert (completion.content, completion.complete, completion.ending) == ("Hi", True, "unknown")
    assert [repair.kind for repair in completion.repairs] == ["finish-reason-missing"]
