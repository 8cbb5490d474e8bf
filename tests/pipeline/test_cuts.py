"""A connection cut at every byte gives the whole answer or an error with what had arrived; never a shorter answer.

An answer is whole as soon as every choice has its finish reason and no call is open. What a cut takes after that, the
usage or the end of the body, is a repair. Before that it is an error, whatever ended the connection.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import aiohttp
import pytest
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import EmptyStreamError, StreamInterruptedError, TruncatedStreamError
from rxllm.models import ChatCompletion
from rxllm.testing import ScriptedServer, TLSContexts, script

Framing: TypeAlias = Literal["chunked", "length", "close"]

DONE = "[DONE]"
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


@dataclass(frozen=True)
class Streamed:
    """An answer as it is streamed.

    Attributes:
        events: The data of its events.
        finished: With how many of them it is whole.
        texts: The text of each choice.
        arguments: The arguments of each call.
    """

    events: tuple[str, ...]
    finished: int
    texts: tuple[str, ...] = ("",)
    arguments: tuple[str, ...] = ()

    @property
    def body(self) -> bytes:
        return "".join(f"data: {data}\n\n" for data in self.events).encode()

    def text_of(self, arrived: int) -> str:
        """The text of the first choice, with so many events."""
        chunks = [json.loads(data) for data in self.events[:arrived] if data != DONE]
        return "".join(
            choice["delta"].get("content") or ""
            for chunk in chunks
            for choice in chunk["choices"]
            if choice["index"] == 0
        )

    def has_usage(self, arrived: int) -> bool:
        return any('"usage"' in data for data in self.events[:arrived])


def chunk(*choices: dict[str, Any], **fields: Any) -> str:
    # Compact: each byte is a request.
    return json.dumps({"choices": choices, **fields}, ensure_ascii=False, separators=(",", ":"))


def choice(reason: str | None = None, *, of: int = 0, **delta: Any) -> dict[str, Any]:
    return {"index": of, "delta": delta, **({"finish_reason": reason} if reason else {})}


def piece(arguments: str, **fields: Any) -> dict[str, Any]:
    function = {"name": "f", "arguments": arguments} if fields else {"arguments": arguments}
    return choice(tool_calls=[{"index": 0, **fields, "function": function}])


STREAMS = {
    "text": Streamed(
        (chunk(choice(content="Café, ")), chunk(choice(content="no 🌊")), chunk(choice("stop")), DONE),
        3,
        ("Café, no 🌊",),
    ),
    "call": Streamed(
        (
            chunk(choice(content="Hm")),
            chunk(piece('{"a"', id="t")),
            chunk(piece(":1}")),
            chunk(choice("tool_calls")),
            DONE,
        ),
        4,
        ("Hm",),
        ('{"a":1}',),
    ),
    # The reason comes before the last of the arguments.
    "late arguments": Streamed(
        (chunk(piece('{"a"', id="t")), chunk(choice("tool_calls")), chunk(piece(":1}")), DONE),
        3,
        arguments=('{"a":1}',),
    ),
    "two choices": Streamed(
        (
            chunk(choice(content="a"), choice(of=1, content="x")),
            chunk(choice("stop")),
            chunk(choice(of=1, content="y")),
            chunk(choice("stop", of=1)),
            DONE,
        ),
        4,
        ("a", "xy"),
    ),
    "usage last": Streamed(
        (chunk(choice(content="a")), chunk(choice("stop", content="b")), chunk(usage=USAGE), DONE), 2, ("ab",)
    ),
}
every_stream = pytest.mark.parametrize("streamed", STREAMS.values(), ids=STREAMS)


class CutServer(asyncio.Protocol):
    """Answers ``GET /framing/cut/of`` with so many bytes of the body, and ends the connection without the rest.

    Args:
        body: The body.
        says_goodbye: Whether an end over TLS is said (``close_notify``); else the connection is gone without a word.
    """

    def __init__(self, body: bytes, *, says_goodbye: bool = True) -> None:
        self._body = body
        self._says_goodbye = says_goodbye
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self._head.endswith(b"\r\n\r\n"):
            _, framing, cut = self._head.split(b" ", 2)[1].split(b"/")
            self._transport.write(self._answer(framing.decode(), int(cut)))
            # To abort is to send no close_notify. What was written is in the kernel.
            (self._transport.close if self._says_goodbye else self._transport.abort)()

    def _answer(self, framing: str, cut: int) -> bytes:
        sent = self._body[:cut]
        match framing:
            case "chunked":
                header = "transfer-encoding: chunked"
                sent = b"%x\r\n%s\r\n" % (cut, sent) if cut else b""
            case "length":
                # One byte more than there is, so that the whole body is cut, too.
                header = f"content-length: {len(self._body) + 1}"
            case _:
                header = "connection: close"
        return f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{header}\r\n\r\n".encode() + sent


@asynccontextmanager
async def cutting(
    body: bytes, *, tls: TLSContexts | None = None, says_goodbye: bool = True
) -> AsyncGenerator[tuple[str, aiohttp.ClientSession]]:
    """The address of a server, and a session for it."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        partial(CutServer, body, says_goodbye=says_goodbye), "127.0.0.1", 0, ssl=tls and tls.server
    )
    trusted: ssl.SSLContext | bool = True if tls is None else tls.client
    async with server, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=trusted)) as session:
        yield f"http{'s' * bool(tls)}://127.0.0.1:{server.sockets[0].getsockname()[1]}", session


async def result_of(source: rxllm.Stream[Any]) -> ChatCompletion | Exception:
    try:
        return await source.pipe(ops.parse(), ops.accumulate())
    except (StreamInterruptedError, TruncatedStreamError, EmptyStreamError) as error:
        return error


def check(streamed: Streamed, arrived: int, result: ChatCompletion | Exception, *, lost: bool, where: object) -> None:
    """Hold a result against what has to come of so many events.

    Args:
        streamed: The answer.
        arrived: How many events have come.
        result: What came of them.
        lost: Whether the end of the connection was no proper end.
        where: What to show of the cut.
    """
    if arrived >= streamed.finished:
        assert isinstance(result, ChatCompletion), (where, result)
        assert (result.complete, result.ending) == (True, "completed"), where
        assert tuple(choice.message.text for choice in result.choices) == streamed.texts, where
        assert arguments_of(result) == streamed.arguments, where
        assert (result.usage is not None) == streamed.has_usage(arrived), where
        if arrived == len(streamed.events):
            assert not result.repairs, where
        elif lost:
            assert result.repairs, where
        return
    assert isinstance(result, Exception), (where, result)
    kinds = (StreamInterruptedError,) if lost else (TruncatedStreamError, *([] if arrived else [EmptyStreamError]))
    assert isinstance(result, kinds), (where, result)
    left = getattr(result, "partial", None)
    assert isinstance(left, ChatCompletion), where
    assert (left.complete, left.ending) == (False, "truncated"), where
    assert (left.choices[0].message.text if left.choices else "") == streamed.text_of(arrived), where
    assert not arguments_of(left), where


def arguments_of(completion: ChatCompletion) -> tuple[str, ...]:
    return tuple(call.function.arguments for choice in completion.choices for call in choice.message.tool_calls or ())


async def check_cuts(
    streamed: Streamed,
    url: str,
    session: aiohttp.ClientSession,
    framings: Iterable[Framing] = ("chunked", "length", "close"),
) -> None:
    body = streamed.body
    for framing in framings:
        for cut in range(len(body) + 1):
            source = rxllm.from_sse(f"{url}/{framing}/{cut}", method="GET", session=session)
            result = await result_of(source)
            arrived = body[:cut].count(b"\n\n")
            check(streamed, arrived, result, lost=framing != "close", where=(framing, body[:cut]))


@every_stream
async def test_at_every_byte(streamed: Streamed) -> None:
    async with cutting(streamed.body) as (url, session):
        await check_cuts(streamed, url, session)


@pytest.mark.parametrize("says_goodbye", [True, False], ids=["close_notify", "no close_notify"])
@pytest.mark.parametrize("name", ["late arguments", "usage last"])
async def test_at_every_byte_over_tls(name: str, tls: TLSContexts, *, says_goodbye: bool) -> None:
    streamed = STREAMS[name]
    async with cutting(streamed.body, tls=tls, says_goodbye=says_goodbye) as (url, session):
        await check_cuts(streamed, url, session)


# WebSockets

PROPER = {"1000": 1000, "without a code": None}
IMPROPER = {"1001": 1001, "1011": 1011}


async def over_websocket(streamed: Streamed, answers: Iterable[tuple[int, script.Answer]], *, lost: bool) -> None:
    held = list(answers)
    async with ScriptedServer(*(answer for _, answer in held)) as server, aiohttp.ClientSession() as session:
        for arrived, answer in held:
            result = await result_of(rxllm.from_websocket(server.ws_url, send=("{}",), session=session))
            check(streamed, arrived, result, lost=lost, where=(arrived, answer))


def frames(streamed: Streamed, number: int) -> list[script.StepLike]:
    return [script.Event(data) for data in streamed.events[:number]]


@pytest.mark.parametrize("code", PROPER.values(), ids=PROPER)
@every_stream
async def test_a_websocket_closed_properly_behind_every_frame(streamed: Streamed, code: int | None) -> None:
    closed = [
        (number, script.Answer([*frames(streamed, number), script.close(code)]))
        for number in range(len(streamed.events) + 1)
    ]

    await over_websocket(streamed, closed, lost=False)


@pytest.mark.parametrize("code", IMPROPER.values(), ids=IMPROPER)
@every_stream
async def test_a_websocket_closed_with_an_error_behind_every_frame(streamed: Streamed, code: int) -> None:
    closed = [
        (number, script.Answer([*frames(streamed, number), script.close(code, "going away")]))
        for number in range(len(streamed.events) + 1)
    ]

    await over_websocket(streamed, closed, lost=True)


@every_stream
async def test_a_websocket_lost_behind_every_frame(streamed: Streamed) -> None:
    held = [
        (number, script.Answer([*frames(streamed, number), script.cut()])) for number in range(len(streamed.events) + 1)
    ]

    await over_websocket(streamed, held, lost=True)


@every_stream
async def test_a_websocket_reset_behind_every_frame(streamed: Streamed) -> None:
    for number in range(len(streamed.events) + 1):
        # A reset takes along what has not been read.
        read = asyncio.Event()

        def noted(frame: str, place: int, *, number: int = number, read: asyncio.Event = read) -> str:
            if place + 1 == number:
                read.set()
            return frame

        if not number:
            read.set()
        async with ScriptedServer([*frames(streamed, number), script.wait_for(read), script.reset()]) as server:
            source = rxllm.from_websocket(server.ws_url, send=("{}",))
            result = await result_of(source.pipe(rx_ops.map_indexed(noted)))
            check(streamed, number, result, lost=True, where=number)


@pytest.mark.parametrize("name", ["late arguments", "usage last"])
async def test_a_websocket_lost_at_every_byte(name: str) -> None:
    streamed = STREAMS[name]
    ends: list[int] = []
    for data in streamed.events:
        size = len(data.encode())
        ends.append((ends[-1] if ends else 0) + size + (2 if size < 126 else 4))
    held = [
        (sum(end <= cut for end in ends), script.Answer(frames(streamed, len(ends)), cut_after=cut))
        for cut in range(ends[-1] + 1)
    ]

    await over_websocket(streamed, held, lost=True)


async def test_what_arrived_before_an_interruption_was_emitted() -> None:
    received: list[rxllm.StreamChunk] = []
    body = STREAMS["call"].body
    cut = body.index(b'tool_calls"}]}')
    async with ScriptedServer(script.Answer([body[:cut], script.cut()])) as server:
        with pytest.raises(StreamInterruptedError):
            await rxllm.from_sse(server.url).pipe(ops.parse(), rx_ops.do_action(received.append))

    assert len(received) == 3
