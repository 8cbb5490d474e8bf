"""A source gives the event loop its turn, whatever comes: much that is no item, too.

What is counted is turns of the loop, by a task that takes a step in each. No clock is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import pytest
from reactivex import Observable
from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm.exceptions import APIResponseError, APIStatusError, ChunkTimeoutError, StreamInterruptedError
from rxllm.flow import FlowControl
from rxllm.models import StreamChunk
from rxllm.sources import from_async_iterable, from_sse, from_websocket
from rxllm.testing import ScriptedServer, script

READ = 16 * 1024
SIZE = 40 * READ
FIRST, LAST = b"data: first\n\n", b"\n\ndata: last\n\n"
TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'

UNITS = {
    "line feeds": b"\n",
    "CR LF": b"\r\n",
    "CR": b"\r",
    "comments": b": ping\n",
    "short comments": b":\n",
    "comments with blank lines": b": ping\n\n",
    "data without a blank line": b"data: x\n",
    "one line": b"x",
    "events without data": b"event: ping\n\n",
    "identifiers": b"id: 1\n\n",
    "retry": b"retry: 1\n",
    "strays": b"a\n",
    "strays with blank lines": b"a: b\n\n",
    "blank errors": b"error:\n",
}


def many(unit: bytes, size: int = SIZE) -> bytes:
    return unit * (size // len(unit))


def gzipped(data: bytes) -> bytes:
    return zlib.compress(data, wbits=31)


def deflated(data: bytes) -> bytes:
    return zlib.compress(data)


def raw_deflated(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


def plain(data: bytes) -> bytes:
    return data


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzipped, "deflate": deflated, "identity": plain}


def encoded(body: bytes, encoding: str = "gzip", content_type: str = "text/event-stream") -> script.Answer:
    headers = {"Content-Encoding": encoding} if encoding != "identity" else {}
    return script.Answer([ENCODINGS[encoding](body)], headers=headers, content_type=content_type)


class Turns:
    """How many turns the loop has had."""

    count = 0


@contextlib.asynccontextmanager
async def counting() -> AsyncGenerator[Turns]:
    turns = Turns()

    async def count() -> None:
        while True:
            turns.count += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(count())
    try:
        yield turns
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def turns_between(source: Observable[object]) -> int:
    """How many turns the loop has between the first item and the last."""
    seen: list[int] = []
    async with counting() as turns:
        await source.pipe(rx_ops.do_action(lambda _: seen.append(turns.count)))
    return seen[-1] - seen[0]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
async def test_for_so_many_bytes_there_is_a_turn_though_no_event_comes(unit: bytes, encoding: str) -> None:
    async with ScriptedServer(encoded(FIRST + many(unit) + LAST, encoding)) as server:
        assert await turns_between(from_sse(server.url)) >= SIZE // READ - 2


@pytest.mark.parametrize("unit", [b": ping\n\n" * 200 + b"data: x\n\n", b"data:\n\n", b"a\n" * 1000 + b"data: x\n\n"])
async def test_events_between_make_it_no_less(unit: bytes) -> None:
    async with ScriptedServer(encoded(FIRST + many(unit) + LAST)) as server:
        assert await turns_between(from_sse(server.url)) >= SIZE // READ - 2


async def test_deflate_without_its_header() -> None:
    body = raw_deflated(FIRST + many(b"\n") + LAST)
    async with ScriptedServer(script.Answer([body], headers={"Content-Encoding": "deflate"})) as server:
        assert await turns_between(from_sse(server.url)) >= SIZE // READ - 2


@pytest.mark.parametrize("unit", [b"\n", b": ping\n", b"a\n", b'data: {"choices":[]}\n\n'])
async def test_a_time_out_is_heard_amid_it(unit: bytes) -> None:
    async with ScriptedServer(encoded(TEXT + many(unit, 32_000_000))) as server:
        with pytest.raises(ChunkTimeoutError, match=r"bytes .*came, but nothing of an answer") as caught:
            await from_sse(server.url).pipe(ops.parse(), ops.timeout_per_chunk(0.1, first=30))

    assert caught.value.phase == "gap"
    assert caught.value.bytes is not None
    assert READ <= caught.value.bytes < 32_000_000


@pytest.mark.parametrize("unit", [b"\n", b": ping\n", b"id: 1\n"])
async def test_whoever_leaves_amid_it_is_heard(unit: bytes) -> None:
    chunks: list[StreamChunk] = []
    begun = asyncio.Event()

    def take(chunk: StreamChunk) -> None:
        chunks.append(chunk)
        begun.set()

    async with ScriptedServer(encoded(TEXT + many(unit, 8_000_000))) as server:
        subscription = from_sse(server.url).pipe(ops.parse()).subscribe(take)
        await begun.wait()
        subscription.dispose()

    assert chunks[0].stream is not None
    assert chunks[0].stream.bytes < 8_000_000


async def test_what_comes_behind_the_end_marker_of_an_answer_that_is_not_whole() -> None:
    body = TEXT + b"data: [DONE]\n\n" + many(b"\n")
    seen: list[int] = []
    async with ScriptedServer(encoded(body)) as server, counting() as turns:
        # Without parse, which would not wait for the marker.
        decoder = from_sse(server.url).pipe(ops.parse())
        await decoder.pipe(
            rx_ops.do_action(lambda _: seen.append(turns.count), on_completed=lambda: seen.append(turns.count))
        )

    assert seen[-1] - seen[0] >= SIZE // READ - 2


async def test_a_whole_answer_behind_which_comments_do_not_end() -> None:
    body = TEXT + FINISH + many(b": ping\n", 32_000_000)
    async with ScriptedServer(encoded(body)) as server:
        answer = await from_sse(server.url, grace_period=0.02).pipe(ops.parse(), ops.accumulate())

    assert answer.content == "Hi"
    assert [repair.kind for repair in answer.repairs] == ["cut-after-finish"]


async def test_what_arrived_before_a_loss() -> None:
    reset = asyncio.Event()
    seen: list[tuple[str, int]] = []
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    junk = 8 * READ

    async with counting() as turns:

        def take(event: object) -> None:
            seen.append((str(event), turns.count))
            flow = FlowControl.current()
            if len(seen) == 1 and flow is not None:
                flow.pause("test")
                reset.set()
                asyncio.get_running_loop().call_later(0.1, flow.resume, "test")

        steps: list[script.StepLike] = [FIRST, many(b"\n", junk) + LAST, script.wait_for(reset), script.reset()]
        async with ScriptedServer(steps) as server:
            from_sse(server.url).subscribe(take, ended.set_exception, lambda: ended.set_result(None))
            with pytest.raises(StreamInterruptedError):
                await ended

    assert len(seen) == 2
    assert seen[1][1] - seen[0][1] >= junk // READ - 2


async def test_blank_lines_before_a_body_that_does_not_say_what_it_is() -> None:
    body = many(b"\n") + TEXT + FINISH
    async with ScriptedServer(encoded(body, content_type="text/plain")) as server, counting() as turns:
        before = turns.count
        chunk = await from_sse(server.url).pipe(ops.parse())
        assert turns.count - before >= SIZE // READ

    assert chunk.stream is not None
    assert chunk.stream.bytes == len(body)


@pytest.mark.parametrize("unit", [b"[", b'"a",', b" "])
async def test_a_body_that_is_one_object(unit: bytes) -> None:
    body = b'{"a":' + many(unit)
    async with ScriptedServer(encoded(body, content_type="application/json")) as server, counting() as turns:
        before = turns.count
        with pytest.raises(APIResponseError):
            await from_sse(server.url)
        assert turns.count - before >= SIZE // READ


@pytest.mark.parametrize("rest", [b"\n" * 100_000 + b"x", b" " * 100_000 + b'\n{"b":1}\n'])
async def test_of_lines_of_json_the_first_is_enough_however_far_the_second(rest: bytes) -> None:
    body = b'{"a":1}\n' + rest
    async with ScriptedServer(script.Answer([body, script.stall()], content_type="application/json")) as server:
        with pytest.raises(APIResponseError, match="application/json"):
            await from_sse(server.url)


@pytest.mark.parametrize("unit", [b"\n", b"<p>", b"{"])
async def test_of_the_body_of_an_error_little_is_read(unit: bytes) -> None:
    answer = script.Answer([gzipped(many(unit, 8_000_000))], status=500, headers={"Content-Encoding": "gzip"})
    async with ScriptedServer(answer) as server:
        with pytest.raises(APIStatusError) as caught:
            await from_sse(server.url)

    assert len(caught.value.body) == READ


async def test_pieces_of_another_library_count_by_their_bytes() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield FIRST
        for _ in range(SIZE // 1024):
            yield b"\n" * 1024
        yield LAST

    assert await turns_between(from_async_iterable(pieces).pipe(ops.decode_sse())) >= SIZE // READ - 2


# WebSockets


def frame(text: bytes, opcode: int = 1) -> bytes:
    length = bytes([len(text)]) if len(text) < 126 else bytes([127]) + len(text).to_bytes(8)
    return bytes([0x80 | opcode]) + length + text


FRAMES = {
    "pings": frame(b"", 9) * 4_000,
    "pongs": frame(b"x", 10) * 4_000,
    "empty texts": frame(b"") * 4_000,
    "long texts": frame(b" " * READ) * 100,
}


@pytest.mark.parametrize("frames", FRAMES.values(), ids=FRAMES)
async def test_frames_that_say_nothing(frames: bytes) -> None:
    answer = script.raw(frame(b"first") + frames + frame(b"last"))
    async with ScriptedServer([answer]) as server:
        source = from_websocket(server.url, send=["go"])
        assert await turns_between(source.pipe(rx_ops.take_while(lambda text: text != "last", inclusive=True))) >= 95


async def test_frames_behind_the_end_marker() -> None:
    seen: list[int] = []
    frames = frame(TEXT[6:-2]) + frame(b"[DONE]") + frame(b"x") * 4_000 + b"\x88\x00"
    async with ScriptedServer([script.raw(frames)]) as server, counting() as turns:
        source = from_websocket(server.url, send=["go"], grace_period=30).pipe(ops.parse())
        await source.pipe(
            rx_ops.do_action(lambda _: seen.append(turns.count), on_completed=lambda: seen.append(turns.count))
        )

    assert seen[-1] - seen[0] >= 3_900


async def test_pings_are_no_silence_of_the_connection_and_no_progress() -> None:
    answer: list[script.StepLike] = [script.raw(frame(TEXT[6:-2]) + frame(b"ping", 9) * 3), script.stall()]
    async with ScriptedServer(answer) as server:
        with pytest.raises(ChunkTimeoutError, match="18 bytes came, but nothing of an answer"):
            await from_websocket(server.url, send=["go"]).pipe(ops.parse(), ops.timeout_per_chunk(0.1, first=30))
