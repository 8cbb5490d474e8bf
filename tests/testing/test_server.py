"""The scripted server as an HTTP client sees it, and what it reports of the client."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import aiohttp
import pytest

from rxllm.testing import ReceivedRequest, ScriptedServer, script
from rxllm.testing.script import Answer, Framing

FRAMINGS: list[Framing] = ["chunked", "length", "close"]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def fetch(session: aiohttp.ClientSession, server: ScriptedServer) -> bytes:
    async with session.post(server.url, json={"messages": []}) as response:
        return await response.read()


async def connect(server: ScriptedServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(server.origin.rpartition(":")[2]))


async def fetch_until_lost(session: aiohttp.ClientSession, server: ScriptedServer) -> tuple[bytes, Exception]:
    """What arrives before the connection breaks, and how it breaks."""
    arrived = bytearray()
    async with session.post(server.url) as response:
        try:
            async for data in response.content.iter_any():
                arrived += data
        except aiohttp.ClientError as error:
            return bytes(arrived), error
    raise AssertionError("the connection did not break")


def events(body: bytes) -> list[str]:
    return [event.removeprefix("data: ") for event in body.decode().split("\n\n")[:-1]]


def contents(body: bytes) -> str:
    chunks = [json.loads(event) for event in events(body) if event != "[DONE]"]
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


# Answers


async def test_a_text_is_answered_as_a_model_would(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer("It is late.") as server, session.post(server.url) as response:
        body = await response.read()
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["X-Request-Id"] == "req-0"
    assert contents(body) == "It is late."
    assert events(body)[-1] == "[DONE]"


async def test_a_server_whose_start_is_cancelled_leaves_nothing_open() -> None:
    for turns in range(10):
        server = ScriptedServer("Hello.")
        starting = asyncio.create_task(server.__aenter__())
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait({starting})
        if not starting.cancelled():
            await server.__aexit__(None, None, None)
        del server, starting
        gc.collect()  # a socket that is open warns


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_every_framing_carries_the_same_body(session: aiohttp.ClientSession, framing: Framing) -> None:
    async with ScriptedServer([b"abc", script.comment("x"), script.comment()], framing=framing) as server:
        assert await fetch(session, server) == b"abc: x\n\n:\n\n"


async def test_without_framing_the_script_is_the_whole_response(session: aiohttp.ClientSession) -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    async with ScriptedServer(response, framing="none") as server:
        assert await fetch(session, server) == b"abc"


async def test_an_event_has_the_fields_it_is_given(session: aiohttp.ClientSession) -> None:
    event = script.Event("a\nb", event="note", id="7", retry=30)
    async with ScriptedServer([event], line_end="\r\n") as server:
        assert await fetch(session, server) == b"event: note\r\nid: 7\r\nretry: 30\r\ndata: a\r\ndata: b\r\n\r\n"


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_gzip_is_undone_by_the_client(session: aiohttp.ClientSession, framing: Framing) -> None:
    async with ScriptedServer(Answer(["Hel", "lo"], gzip=True, framing=framing)) as server:
        assert contents(await fetch(session, server)) == "Hello"


async def test_gzip_is_flushed_after_each_step() -> None:
    more = asyncio.Event()
    zipped = Answer([b"abc", script.wait_for(more), b"def"], gzip=True)
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        ScriptedServer(zipped) as server,
        session.post(server.url) as response,
    ):
        first = await response.content.readany()
        more.set()
        assert gzip.decompress(first + await response.read()) == b"abcdef"


async def test_a_status_is_answered_whole(session: aiohttp.ClientSession) -> None:
    busy = script.status(429, {"error": {"message": "slow down"}}, headers={"Retry-After": "3"})
    odd = script.status(599, "?", headers={"X-Request-Id": "mine"})
    async with ScriptedServer(busy, odd) as server:
        async with session.post(server.url) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "3")
            assert await response.json() == {"error": {"message": "slow down"}}
        async with session.post(server.url) as response:
            assert (response.status, response.reason, response.headers["X-Request-Id"]) == (599, "Unknown", "mine")
            assert await response.text() == "?"


@pytest.mark.parametrize(("code", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
async def test_a_redirect_leads_to_another_server(session: aiohttp.ClientSession, code: int, method: str) -> None:
    async with ScriptedServer("ok") as target, ScriptedServer(script.redirect(target.url, code=code)) as server:
        assert contents(await fetch(session, server)) == "ok"
        assert [request.method for request in target.requests] == [method]


async def test_delays_come_before_each_event(session: aiohttp.ClientSession) -> None:
    paced = Answer(["a", script.delay(0.001), "b"], delay_per_chunk=0.001)
    async with ScriptedServer(paced) as server:
        assert contents(await fetch(session, server)) == "ab"


# Scripts and requests


async def test_scripts_are_taken_in_order_and_connections_reused(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer("one", "two", repeat=True) as server:
        assert [contents(await fetch(session, server)) for _ in range(4)] == ["one", "two", "two", "two"]
        assert (server.connections, server.open_connections) == (1, 1)
        assert [request.connection for request in server.requests] == [0, 0, 0, 0]


async def test_a_function_answers_by_the_request(session: aiohttp.ClientSession) -> None:
    def echo(request: ReceivedRequest) -> str:
        return str(request.json["messages"][-1]["content"])

    async with ScriptedServer("first", echo) as server:
        assert contents(await fetch(session, server)) == "first"
        for question in ("a", "b"):
            async with session.post(server.url, json={"messages": [{"content": question}]}) as response:
                assert contents(await response.read()) == question


async def test_a_request_is_reported(session: aiohttp.ClientSession) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"model":'
        yield b'"m"}'

    async with ScriptedServer("ok") as server:
        headers = [("X-Key", "1"), ("X-Key", "2")]
        async with session.put(f"{server.base_url}/other?a=1&b=2", data=body(), headers=headers) as response:
            written = await response.read()
        request = await server.wait_for_request()
        assert (request.method, request.path, request.query) == ("PUT", "/v1/other", "a=1&b=2")
        assert request.headers["x-key"] == "1, 2"
        assert request.json == {"model": "m"}
        assert request.finished.is_set()
        assert not request.peer_left.is_set()
        assert request.chunks_written == 5
        assert request.bytes_written > len(written)


async def test_a_request_can_be_awaited(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer("a", "b") as server:
        second = asyncio.create_task(server.wait_for_request(1))
        await fetch(session, server)
        await fetch(session, server)
        assert (await second).number == 1


async def test_a_request_too_many_gets_400_and_is_not_hidden(session: aiohttp.ClientSession) -> None:
    async def ask_twice() -> None:
        async with ScriptedServer("only") as server:
            await fetch(session, server)
            async with session.post(server.url) as response:
                assert response.status == 400
                assert (await response.json())["error"]["code"] == "no_script"

    with pytest.raises(AssertionError, match=r"request 1 .*no script is left"):
        await ask_twice()


async def test_failures_of_the_server_are_notes_of_the_blocks_own(session: aiohttp.ClientSession) -> None:
    async def fail() -> None:
        async with ScriptedServer() as server:
            await fetch(session, server)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        await fail()
    assert "no script is left" in caught.value.__notes__[0]


async def test_a_script_that_fails_ends_the_connection_and_is_reported(session: aiohttp.ClientSession) -> None:
    def broken() -> Iterator[str]:
        yield "Hel"
        raise LookupError("lost the thread")

    async def ask_twice() -> None:
        async with ScriptedServer(broken(), broken()) as server:
            for _ in range(2):
                await fetch_until_lost(session, server)

    with pytest.raises(LookupError, match="lost the thread") as caught:
        await ask_twice()
    assert "lost the thread" in caught.value.__notes__[0]


# Fragments


def after_first_byte(data: bytes) -> list[bytes]:
    return [data[:1], b"", data[1:]]


async def pieces_read(session: aiohttp.ClientSession, server: ScriptedServer) -> list[bytes]:
    async with session.post(server.url) as response:
        return [data async for data in response.content.iter_any()]


@pytest.mark.parametrize(
    ("fragment", "pieces"),
    [
        (1, [b"a", b"b", b"c", b"d", b"e"]),
        (2, [b"ab", b"c", b"de"]),
        ([4, 1], [b"a", b"bc", b"d", b"e"]),
        (after_first_byte, [b"a", b"bc", b"d", b"e"]),
    ],
)
async def test_a_client_in_the_same_loop_reads_the_fragments(
    session: aiohttp.ClientSession, fragment: script.Fragment, pieces: list[bytes]
) -> None:
    async with ScriptedServer([b"abc", b"", b"de"], fragment=fragment) as server:
        assert await pieces_read(session, server) == pieces


async def test_a_hundred_fragments_are_a_hundred_reads(session: aiohttp.ClientSession) -> None:
    body = bytes(range(100))
    async with ScriptedServer(body, fragment=1) as server:
        assert await pieces_read(session, server) == [body[begin:end] for begin, end in pairwise(range(101))]


# Ends


@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_a_cut_is_seen_as_a_cut(session: aiohttp.ClientSession, framing: Framing) -> None:
    async with ScriptedServer([b"abc", script.cut(), b"def"], framing=framing) as server:
        arrived, error = await fetch_until_lost(session, server)
        assert arrived == b"abc"
        assert isinstance(error, aiohttp.ClientPayloadError)
        assert server.requests[0].finished.is_set()
        assert not server.requests[0].peer_left.is_set()


@pytest.mark.parametrize("length", range(len(b"3\r\nabc\r\n0\r\n\r\n")))
async def test_a_body_can_be_cut_at_any_byte_of_the_transfer_coding(
    session: aiohttp.ClientSession, length: int
) -> None:
    async with ScriptedServer(Answer([b"abc"], cut_after=length)) as server:
        arrived, _ = await fetch_until_lost(session, server)
        assert arrived == b"abc"[: max(0, length - 3)]
        assert server.requests[0].bytes_written == length


async def test_a_body_that_is_not_longer_is_not_cut(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer(Answer([b"abc"], cut_after=100)) as server:
        assert await fetch(session, server) == b"abc"


async def test_a_reset_is_a_reset(session: aiohttp.ClientSession) -> None:
    read = asyncio.Event()
    async with ScriptedServer([b"abc", script.wait_for(read), script.reset()]) as server:
        async with session.post(server.url) as response:
            assert await response.content.readany() == b"abc"
            read.set()
            with pytest.raises(aiohttp.ClientError) as caught:
                await response.read()
        assert "Connection reset by peer" in str(caught.value)


async def test_a_websocket_close_over_http_is_a_cut(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer([b"abc", script.close()]) as server:
        assert (await fetch_until_lost(session, server))[0] == b"abc"


async def test_scripts_and_tests_meet_at_events(session: aiohttp.ClientSession) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()
    async with ScriptedServer([b"abc", script.notify(reached), script.wait_for(go_on), b"def"]) as server:
        reading = asyncio.create_task(fetch(session, server))
        await reached.wait()
        assert not reading.done()
        go_on.set()
        assert await reading == b"abcdef"


# A peer that leaves


async def test_leaving_is_seen_with_its_time(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer(["Hel", script.stall(), "lo"]) as server:
        async with session.post(server.url) as response:
            await response.content.readany()
        left_at = asyncio.get_running_loop().time()
        request = server.requests[0]
        await request.peer_left.wait()
        assert request.peer_left_at is not None
        assert request.peer_left_at >= left_at
        assert (request.chunks_written, request.finished.is_set()) == (1, False)
        await server.wait_disconnected()
        assert server.open_connections == 0


async def test_a_reset_by_the_peer_is_leaving() -> None:
    async with ScriptedServer([script.stall()]) as server:
        reader, writer = await connect(server)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        opened: socket.socket = writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await server.requests[0].peer_left.wait()


async def test_closing_an_idle_connection_is_no_leaving() -> None:
    async with ScriptedServer("ok") as server:
        async with aiohttp.ClientSession() as session:
            await fetch(session, server)
        await server.wait_disconnected()
        assert not server.requests[0].peer_left.is_set()


@pytest.mark.parametrize("head", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"])
async def test_a_client_that_wants_one_answer_gets_one(head: bytes) -> None:
    async with ScriptedServer("ok") as server:
        reader, writer = await connect(server)
        writer.write(head)
        assert (await reader.read()).endswith(b"0\r\n\r\n")
        writer.close()
        await writer.wait_closed()


async def test_what_is_no_http_is_reported() -> None:
    async def talk() -> None:
        async with ScriptedServer("ok") as server:
            reader, writer = await connect(server)
            writer.write(b"hello\r\n\r\n")
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    with pytest.raises(ValueError, match="unpack"):
        await talk()


# Backpressure


async def test_writes_stop_when_nobody_reads_and_go_on_when_somebody_does(session: aiohttp.ClientSession) -> None:
    flood = script.flood(24_000_000)
    async with ScriptedServer(flood) as server, session.post(server.url) as response:
        request = await server.wait_for_request()
        await request.writes_stopped()
        stopped_at = request.bytes_written
        assert stopped_at < 16_000_000
        assert request.blocked.is_set()
        body = await response.read()
        assert contents(body).count("...") > 0
        assert [json.loads(event)["choices"][0]["delta"]["content"][:10] for event in events(body)[:-2]] == [
            f"{number:010}" for number in range(flood.chunks)
        ]
        await request.finished.wait()
        assert request.chunks_written == flood.chunks + 2
        assert not request.blocked.is_set()


async def test_a_client_that_leaves_a_blocked_answer_is_seen(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer(script.flood(24_000_000)) as server:
        async with session.post(server.url):
            request = await server.wait_for_request()
            await request.writes_stopped()
        await request.peer_left.wait()
        await server.wait_disconnected()


@pytest.mark.parametrize("end", ["finished", "peer_left"])
async def test_writes_that_never_stop_are_an_error(session: aiohttp.ClientSession, end: str) -> None:
    reached = asyncio.Event()
    go_on = asyncio.Event()
    async with ScriptedServer([b"abc", script.notify(reached), script.wait_for(go_on)]) as server:
        async with session.post(server.url) as response:
            await reached.wait()
            waiting = asyncio.create_task(server.requests[0].writes_stopped())
            if end == "finished":
                go_on.set()
                await response.read()
        with pytest.raises(AssertionError, match="did not stop"):
            await waiting
        assert server.requests[0].ended


async def test_one_large_step_is_written_in_parts(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer(bytes(24_000_000)) as server, session.post(server.url) as response:
        request = await server.wait_for_request()
        await request.writes_stopped()
        assert 0 < request.bytes_written < 16_000_000
        assert len(await response.read()) == 24_000_000


# Stopping


async def test_stopping_ends_everything_that_is_under_way(session: aiohttp.ClientSession) -> None:
    before = asyncio.all_tasks()
    async with ScriptedServer(["Hel", script.stall()], script.flood(24_000_000), [script.delay(1000)]) as server:
        responses = [await session.post(server.url) for _ in range(3)]
        assert server.open_connections == 3
    assert server.open_connections == 0
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}
    for request in server.requests:
        assert not request.ended
    for response in responses:
        response.close()


async def test_a_connection_that_is_just_being_accepted_is_closed_too() -> None:
    async with ScriptedServer() as server:
        opened = socket.create_connection(("127.0.0.1", int(server.origin.rpartition(":")[2])))
        # In the first turn the listener accepts; in the second the connection does not know of it yet.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert server.open_connections == 0
    with opened:
        opened.settimeout(5)
        assert opened.recv(1) == b""


async def test_many_clients_connect_at_once() -> None:
    async with ScriptedServer("ok", repeat=True) as server:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            bodies = await asyncio.gather(*(fetch(session, server) for _ in range(200)))
        assert {contents(body) for body in bodies} == {"ok"}
        assert server.connections == 200
        await server.wait_disconnected()
