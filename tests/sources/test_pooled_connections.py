"""A request over a connection that the server had closed, and which connections lie in the pool at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import aiohttp
import pytest
from loguru import logger
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatRequest, LLMClient
from rxllm import operators as ops
from rxllm.exceptions import APIConnectionError, APIStatusError, RxllmError
from rxllm.sources import from_sse

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
GOOD = HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHUNK), CHUNK)
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n"
REQUEST = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})


@dataclass
class Fate:
    """What becomes of a request: bytes are written, and then the connection is closed, reset, kept or left silent.

    Attributes:
        answer: What is written.
        then: ``keep``, ``close``, ``reset``, ``silence``, or ``unread``, a reset before the body is read.
    """

    answer: bytes = b""
    then: str = "keep"


@dataclass
class Host:
    """A server whose answers are scripted by connection.

    Attributes:
        fates: What becomes of the requests of each connection, in the order in which connections are made; the last
            holds for all further ones, and so does the last of each for further requests.
        seen: The requests, each as the number of its connection.
        bodies: Their bodies.
    """

    fates: Sequence[Sequence[Fate]]
    connections: int = 0
    seen: list[int] = field(default_factory=list[int])
    bodies: list[bytes] = field(default_factory=list[bytes])
    url: str = ""
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        fates = self.fates[min(number, len(self.fates) - 1)]
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            for count in range(1_000):
                if not await self._play(fates[min(count, len(fates) - 1)], reader, writer, number):
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.left.set()

    async def _play(self, fate: Fate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        self.seen.append(number)
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or b"0")
        if fate.then != "unread":
            self.bodies.append(await reader.readexactly(length))
        writer.write(fate.answer)
        await writer.drain()
        if fate.answer and fate.then == "reset":
            await asyncio.sleep(0.01)  # else a reset might take along what was written
        if fate.then in {"reset", "unread"}:
            # To linger for no time at all makes close() send RST (socket(7)).
            opened: socket.socket = writer.get_extra_info("socket")
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        if fate.then == "silence":
            await reader.read()
        return fate.then == "keep"


@contextlib.asynccontextmanager
async def host_of(*fates: Sequence[Fate]) -> AsyncGenerator[Host]:
    host = Host(fates)
    async with await asyncio.start_server(host.serve, "127.0.0.1", 0) as server:
        host.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions"
        yield host


async def texts_of(source: Observable[Any]) -> list[str]:
    events = await source.pipe(rx_ops.to_list())
    return [event.data for event in events]


GOOD_ONCE = Fate(GOOD)
DEATHS = [Fate(then="close"), Fate(then="reset"), Fate(then="unread")]
IDS = ["FIN", "RST", "RST before the body"]


@pytest.mark.parametrize("size", [0, 10, 1_000_000])
@pytest.mark.parametrize("death", DEATHS, ids=IDS)
async def test_row_64_a_used_connection_that_dies_is_replaced_once(death: Fate, size: int) -> None:
    async with host_of([GOOD_ONCE, death], [GOOD_ONCE]) as host, aiohttp.ClientSession() as session:
        source = from_sse(host.url, json={"text": "x" * size}, session=session)
        first, second = await texts_of(source), await texts_of(source)

    assert first == second
    assert second[-1] == "[DONE]"
    assert host.seen == [0, 0, 1]
    assert host.bodies[-1] == host.bodies[0]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("death", DEATHS, ids=IDS)
async def test_row_64_for_a_client(death: Fate, *, own: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        host = await stack.enter_async_context(host_of([GOOD_ONCE, death], [GOOD_ONCE, death], [GOOD_ONCE]))
        session = None if own else await stack.enter_async_context(aiohttp.ClientSession())
        base_url = host.url.removesuffix("/chat/completions")
        client = await stack.enter_async_context(
            LLMClient(retries=0, base_url=base_url, api_key="none", session=session)
        )
        completions = [await client.chat(REQUEST) for _ in range(3)]
        chunks = await client.chat_stream(REQUEST).pipe(rx_ops.to_list())

    assert [completion.content for completion in completions] == ["Hi"] * 3
    assert host.seen == [0, 0, 1, 1, 2, 2]
    assert chunks[0].stream is not None
    assert chunks[0].stream.attempt == 1


async def test_a_request_of_somebody_else_over_the_connection_counts() -> None:
    async with host_of([GOOD_ONCE, Fate(then="close")], [GOOD_ONCE]) as host, aiohttp.ClientSession() as session:
        async with session.post(host.url, data=b"{}") as response:
            await response.read()
        assert await texts_of(from_sse(host.url, json={}, session=session))

    assert host.seen == [0, 0, 1]


@pytest.mark.parametrize("answer", [EMPTY, b"HTTP/1.1 204 No Content\r\n\r\n"], ids=["empty", "204"])
async def test_one_whose_answer_was_empty_has_been_used_too(answer: bytes) -> None:
    async with host_of([Fate(answer), Fate(then="close")], [GOOD_ONCE]) as host, aiohttp.ClientSession() as session:
        async with session.post(host.url, data=b"{}") as response:
            await response.read()
        assert await texts_of(from_sse(host.url, json={}, session=session))

    assert host.seen == [0, 0, 1]


async def test_the_second_try_takes_none_of_the_other_connections_that_lie_in_the_pool() -> None:
    dies = [GOOD_ONCE, Fate(then="close")]
    async with host_of(dies, dies, dies, dies, [GOOD_ONCE]) as host, aiohttp.ClientSession() as session:
        source = from_sse(host.url, json={}, session=session)
        await asyncio.gather(*(texts_of(source) for _ in range(4)))
        assert host.connections == 4
        assert await texts_of(source)

    assert len(host.seen) == 6
    assert host.seen[-1] == 4


async def test_many_at_once_are_each_replaced_once() -> None:
    dies = [GOOD_ONCE, Fate(then="close")]
    async with host_of(*([dies] * 20), [GOOD_ONCE]) as host, aiohttp.ClientSession() as session:
        source = from_sse(host.url, json={}, session=session)
        await asyncio.gather(*(texts_of(source) for _ in range(20)))
        answers = await asyncio.gather(*(texts_of(source) for _ in range(20)))

    assert all(answer[-1] == "[DONE]" for answer in answers)
    assert len(host.seen) == 60


async def test_a_second_death_is_an_error() -> None:
    async with (
        host_of([GOOD_ONCE, Fate(then="close")], [Fate(then="close")]) as host,
        LLMClient(retries=0, base_url=host.url.removesuffix("/chat/completions"), api_key="none") as client,
    ):
        await client.chat(REQUEST)
        with pytest.raises(APIConnectionError):
            await client.chat(REQUEST)

    assert host.seen == [0, 0, 1]


@pytest.mark.parametrize("death", DEATHS, ids=IDS)
async def test_a_new_connection_that_dies_is_an_error(death: Fate) -> None:
    async with host_of([death]) as host:
        with pytest.raises(APIConnectionError):
            await texts_of(from_sse(host.url, json={}))

    assert host.seen == [0]


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("length", [1, 9, 17, 40, len(HEAD) - 1])
async def test_where_a_part_of_the_head_came_nothing_is_sent_again(length: int, then: str) -> None:
    async with host_of([GOOD_ONCE, Fate(HEAD[:length], then)]) as host, aiohttp.ClientSession() as session:
        source = from_sse(host.url, json={}, session=session)
        await texts_of(source)
        with pytest.raises(APIConnectionError):
            await texts_of(source)

    assert host.seen == [0, 0]


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("answer", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"])
async def test_where_the_server_said_that_it_is_at_it_nothing_is_sent_again(answer: bytes, then: str) -> None:
    async with host_of([GOOD_ONCE, Fate(answer, then)]) as host, aiohttp.ClientSession() as session:
        source = from_sse(host.url, json={}, session=session)
        await texts_of(source)
        with pytest.raises(APIConnectionError):
            await texts_of(source)

    assert host.seen == [0, 0]


async def test_where_an_answer_has_begun_nothing_is_sent_again() -> None:
    async with host_of([GOOD_ONCE, Fate(HEAD, "close")]) as host, aiohttp.ClientSession() as session:
        source = from_sse(host.url, json={}, session=session)
        await texts_of(source)
        with pytest.raises(RxllmError):
            await texts_of(source)

    assert host.seen == [0, 0]


@pytest.mark.parametrize(
    "limits",
    [aiohttp.ClientTimeout(total=0.05), aiohttp.ClientTimeout(sock_read=0.05)],
    ids=["total", "sock_read"],
)
async def test_behind_a_time_out_nothing_is_sent_again(limits: aiohttp.ClientTimeout) -> None:
    async with host_of([GOOD_ONCE, Fate(then="silence")]) as host, aiohttp.ClientSession() as session:
        await texts_of(from_sse(host.url, json={}, session=session))
        with pytest.raises(APIConnectionError):
            await texts_of(from_sse(host.url, json={}, session=session, timeout=limits))

    assert host.seen == [0, 0]


async def test_dispose_while_the_second_try_waits_closes_its_connection() -> None:
    fates = [GOOD_ONCE, Fate(then="close")], [Fate(then="silence")]
    async with host_of(*fates) as host, aiohttp.ClientSession() as session:
        source = from_sse(host.url, json={}, session=session)
        await texts_of(source)
        subscription = source.subscribe()
        while len(host.bodies) < 3:
            await asyncio.sleep(0)
        host.left.clear()
        subscription.dispose()
        async with asyncio.timeout(10):
            await host.left.wait()

    assert host.seen == [0, 0, 1]


async def test_that_it_was_sent_again_is_told_at_debug_and_nowhere_else() -> None:
    told: list[str] = []
    handler = logger.add(told.append, format="{level} {message}", level=0)
    logger.enable("rxllm")
    try:
        await test_row_64_a_used_connection_that_dies_is_replaced_once(Fate(then="close"), 10)
    finally:
        logger.disable("rxllm")
        logger.remove(handler)

    (line,) = told
    assert line.startswith("DEBUG a connection to http://127.0.0.1:")


async def test_a_request_without_a_body_is_sent_again_by_aiohttp() -> None:
    async with host_of([GOOD_ONCE, Fate(then="close")], [GOOD_ONCE]) as host, aiohttp.ClientSession() as session:
        source = from_sse(host.url, method="GET", session=session)
        assert await texts_of(source) == await texts_of(source)

    assert host.seen == [0, 0, 1]


async def test_a_request_without_a_body_whose_connections_die_is_an_error() -> None:
    async with host_of([Fate(then="close")]) as host:
        with pytest.raises(APIConnectionError):
            await texts_of(from_sse(host.url, method="GET"))


# What lies in the pool


def answer(status: str, body: bytes, content_type: str = "text/event-stream") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    "first",
    [
        EMPTY,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        HEAD + b"0\r\n\r\n",
        answer("200 OK", b": ping\n\n"),
        answer("200 OK", b'{"error": "boom"}', "application/json"),
        answer("200 OK", b"<html>", "text/html"),
        answer("200 OK", b"no event"),
        answer("400 Bad Request", b""),
        answer("429 Too Many Requests", b'{"error": "slow down"}', "application/json"),
        answer("502 Bad Gateway", b"<html>" * 10_000, "text/html"),
        answer("304 Not Modified", b""),
    ],
    ids=["empty", "204", "chunked", "ping", "JSON", "HTML", "text", "400", "429", "502", "304"],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_connection_whose_answer_had_no_event_is_not_used_again(first: bytes, method: str) -> None:
    async with host_of([Fate(first)], [GOOD_ONCE]) as host, aiohttp.ClientSession() as session:
        source = from_sse(host.url, json={} if method == "POST" else None, method=method, session=session)
        with contextlib.suppress(RxllmError):
            assert await texts_of(source) == []
        async with asyncio.timeout(10):
            await host.left.wait()
        assert await texts_of(source)

    assert host.seen == [0, 1]


async def test_a_connection_that_somebody_else_has_taken_meanwhile_is_left_to_him() -> None:
    """An event of the stream is read behind the moment in which its connection goes back to the pool."""
    begun = asyncio.Event()
    taken: list[bytes] = []

    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        await begun.wait()
        async with session.post(url, data=b"{}") as response:
            taken.append(await response.read())

    async with host_of([Fate(answer("200 OK", b": ping\n\n")), GOOD_ONCE], [GOOD_ONCE]) as host:
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as session:
            other = asyncio.create_task(ask(session, host.url))
            begun.set()
            await asyncio.sleep(0)
            await asyncio.gather(texts_of(from_sse(host.url, json={}, session=session)), other)

    assert taken in ([CHUNK], [b": ping\n\n"])


async def test_one_whose_answer_had_events_is_used_again_whatever_they_were() -> None:
    error = b'data: {"error": {"message": "boom"}}\n\n'
    async with (
        host_of([Fate(answer("200 OK", error)), GOOD_ONCE]) as host,
        LLMClient(retries=0, base_url=host.url.removesuffix("/chat/completions"), api_key="none") as client,
    ):
        with pytest.raises(rxllm.APIStreamError):
            await client.chat_stream(REQUEST).pipe(ops.accumulate())
        assert (await client.chat(REQUEST)).content == "Hi"

    assert host.seen in ([0, 0], [0, 1])


# The head of an answer


Head = Callable[[int], bytes]
HEADS: dict[str, Head] = {
    "value": lambda size: b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * size,
    "name": lambda size: b"HTTP/1.1 200 OK\r\nX-" + b"a" * size + b": 1",
    "status line": lambda size: b"HTTP/1.1 200 " + b"a" * size,
    "several": lambda size: b"HTTP/1.1 200 OK" + b"\r\nX-Long: " + b"a" * size + b"\r\nX-Longer: " + b"b" * size,
}


def closing(head: bytes) -> bytes:
    return head + b"\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n"


@pytest.mark.parametrize("size", [8_190, 12_000, 60_000])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
async def test_a_long_line_in_the_head(head: Head, size: int) -> None:
    async with host_of([Fate(closing(head(size)), "close")]) as host:
        assert await texts_of(from_sse(host.url, json={})) == ["1"]


@pytest.mark.parametrize("size", [70_000, 1_000_000])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
async def test_a_line_in_the_head_that_is_too_long(head: Head, size: int) -> None:
    async with host_of([Fate(closing(head(size)), "close")]) as host:
        with pytest.raises(rxllm.LimitExceededError, match=r"the head of the answer .* is too large") as caught:
            await texts_of(from_sse(host.url, json={}))

    assert (caught.value.limit, caught.value.maximum) == ("max_field_size", 65536)
    assert len(str(caught.value)) < 400


async def test_many_headers() -> None:
    head = b"HTTP/1.1 200 OK" + b"".join(b"\r\nX-%d: 1" % number for number in range(400))
    async with host_of([Fate(closing(head), "close")]) as host:
        assert await texts_of(from_sse(host.url, json={})) == ["1"]


@pytest.mark.skipif(
    "max_headers" not in signature(aiohttp.ClientSession).parameters, reason="this version of aiohttp does not count"
)
async def test_too_many_headers() -> None:
    head = b"HTTP/1.1 200 OK" + b"".join(b"\r\nX-%d: 1" % number for number in range(40_000))
    async with host_of([Fate(closing(head), "close")]) as host:
        with pytest.raises(APIConnectionError, match=r"no answer from .*'Too many headers received'"):
            await texts_of(from_sse(host.url, json={}))


@pytest.mark.parametrize("limit", [100, 20_000])
async def test_a_session_of_ones_own_has_limits_of_its_own(limit: int) -> None:
    head = closing(HEADS["value"](12_000))
    async with (
        host_of([Fate(head, "close")]) as host,
        aiohttp.ClientSession(max_field_size=limit, max_line_size=limit) as session,
    ):
        source = from_sse(host.url, json={}, session=session)
        if limit > 12_000:
            assert await texts_of(source) == ["1"]
        else:
            with pytest.raises(rxllm.LimitExceededError) as caught:
                await texts_of(source)
            assert caught.value.maximum == limit


@pytest.mark.parametrize("reason", [b"a" * 10_000, b"\x1b[31mred"])
async def test_the_words_of_a_status_are_shown_in_short_and_harmless(reason: bytes) -> None:
    head = b"HTTP/1.1 429 " + reason + b"\r\nContent-Length: 0\r\n\r\n"
    async with host_of([Fate(head)]) as host:
        with pytest.raises(APIStatusError) as caught:
            await texts_of(from_sse(host.url, json={}))

    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()
