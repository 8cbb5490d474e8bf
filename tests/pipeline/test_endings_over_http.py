"""How answers end: what is whole, what was cut, and what is told of it, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import (
    APIStreamError,
    ChunkTimeoutError,
    DecodeError,
    EmptyStreamError,
    RepairError,
    RxllmError,
    StreamInterruptedError,
    TruncatedStreamError,
)
from rxllm.models import ChatCompletion, StreamChunk
from rxllm.testing import ScriptedServer, script

GRACE = 0.05
REQUEST = rxllm.ChatRequest(model="m", messages=[{"role": "user", "content": "q"}])


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(finish_reason: str | None = None, index: int = 0, **fields: Any) -> bytes:
    return event({"choices": [{"index": index, "delta": fields, "finish_reason": finish_reason}]})


def call(arguments: str, **fields: Any) -> bytes:
    return delta(tool_calls=[{"index": 0, "function": {"arguments": arguments, **fields}}])


TEXT = delta(content="Ten.")
CALL = delta(tool_calls=[{"index": 0, "id": "1", "function": {"name": "delete", "arguments": '{"path":"a"}'}}])
USAGE = event({"choices": [], "usage": {"total_tokens": 3}})
DONE = b"data: [DONE]\n\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

End = Callable[[asyncio.StreamWriter, asyncio.Event], Any]


async def fin(writer: asyncio.StreamWriter, _: asyncio.Event) -> None:
    writer.write_eof()


async def reset(writer: asyncio.StreamWriter, _: asyncio.Event) -> None:
    # To linger for no time is to reset.
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def silence(_: asyncio.StreamWriter, left: asyncio.Event) -> None:
    await left.wait()


async def pings(writer: asyncio.StreamWriter, left: asyncio.Event) -> None:
    with contextlib.suppress(ConnectionError):
        while not left.is_set():
            writer.write(b"7\r\n: ping\n\r\n")
            await writer.drain()
            await asyncio.sleep(0)


async def last_chunk(writer: asyncio.StreamWriter, _: asyncio.Event) -> None:
    writer.write(b"0\r\n\r\n")


@contextlib.asynccontextmanager
async def server(*body: bytes, end: End, framing: str = "chunked") -> AsyncGenerator[str]:
    """A server that writes a body, and then goes in a way of its own; waits until it has seen each client leave."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        await reader.readexactly(length)
        headers = {
            "chunked": b"Transfer-Encoding: chunked\r\n",
            "length": b"Content-Length: 100000\r\n",
            "close": b"Connection: close\r\n",
        }
        writer.write(HEAD + headers[framing] + b"\r\n")
        for part in body:
            writer.write(b"%x\r\n%s\r\n" % (len(part), part) if framing == "chunked" else part)
        left = asyncio.Event()
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            ending = asyncio.create_task(end(writer, left))
            await reader.read()
            left.set()
            await ending
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"


async def answered(url: str, *, strict: bool = False, grace_period: float = GRACE) -> ChatCompletion:
    async with rxllm.LLMClient(retries=0, base_url=url, api_key="", grace_period=grace_period) as client:
        return await client.chat_stream(REQUEST).pipe(ops.accumulate(strict=strict))


def kinds(completion: ChatCompletion) -> list[str]:
    return [repair.kind for repair in completion.repairs]


# Whole already

LOSSES = [
    pytest.param(end, framing, id=f"{end.__name__}-{framing}")
    for end, framing in [
        (fin, "chunked"),
        (fin, "length"),
        (reset, "chunked"),
        (reset, "length"),
        (silence, "chunked"),
        (silence, "length"),
        (silence, "close"),
        (pings, "chunked"),
    ]
]


@pytest.mark.parametrize(("end", "framing"), LOSSES)
@pytest.mark.parametrize("behind", [(), (USAGE,)], ids=["nothing", "usage"])
async def test_row_63_what_happens_behind_the_last_reason_is_a_repair(
    end: End, framing: str, behind: tuple[bytes, ...]
) -> None:
    async with server(TEXT, delta("stop"), *behind, end=end, framing=framing) as url:
        completion = await answered(url, strict=True)

    assert (completion.content, completion.complete, completion.ending) == ("Ten.", True, "completed")
    assert kinds(completion) == ["cut-after-finish"]
    assert completion.repairs[0].weight == "form"
    assert (completion.usage is not None) == bool(behind)


@pytest.mark.parametrize("end", [fin, reset, silence])
async def test_calls_of_an_answer_that_was_whole_are_run(end: End) -> None:
    ran: list[str] = []

    def delete(path: str) -> None:
        """Delete a file."""
        ran.append(path)

    async with (
        server(CALL, delta("tool_calls"), end=end) as url,
        rxllm.LLMClient(retries=0, base_url=url, api_key="", grace_period=GRACE) as client,
    ):
        calls = client.chat_stream(REQUEST).pipe(
            ops.accumulate_tool_calls(), ops.run_tools(rxllm.ToolRegistry([delete])), rx_ops.to_list()
        )
        assert len(await calls) == 1

    assert ran == ["a"]


@pytest.mark.parametrize("end", [fin, reset])
async def test_a_choice_that_had_not_ended_was_cut(end: End) -> None:
    async with server(TEXT, delta("stop"), delta(index=1, content="a"), end=end) as url:
        with pytest.raises(StreamInterruptedError) as caught:
            await answered(url)

    assert caught.value.partial is not None
    assert (caught.value.partial.complete, caught.value.partial.ending) == (False, "truncated")


@pytest.mark.parametrize("end", [fin, reset])
async def test_arguments_that_were_open_behind_the_reason_were_cut(end: End) -> None:
    async with server(call('{"x":', name="f"), delta("tool_calls"), call("48151"), end=end) as url:
        with pytest.raises(StreamInterruptedError) as caught:
            await answered(url)

    assert caught.value.partial is not None
    (choice,) = caught.value.partial.choices
    assert (choice.message.tool_calls, choice.incomplete_tool_calls[0].arguments) == ([], '{"x":48151')


async def test_arguments_that_end_behind_the_reason_are_waited_for() -> None:
    late = [delta("tool_calls"), call("1"), call("}")]
    async with server(call('{"x":', name="f"), *late, end=silence) as url:
        completion = await answered(url)

    assert [each.function.arguments for each in completion.message.tool_calls] == ['{"x":1}']
    assert (completion.complete, completion.ending) == (True, "completed")


async def test_operators_of_reactivex_in_between_change_nothing() -> None:
    async with server(TEXT, delta("stop"), end=silence) as url:
        events = rxllm.from_sse(url, grace_period=GRACE).pipe(rx_ops.do_action(lambda _: None), rx_ops.take(10))
        completion = await events.pipe(ops.parse(), ops.accumulate())

    assert kinds(completion) == ["cut-after-finish"]


async def test_an_error_of_the_server_behind_the_reason_is_one() -> None:
    async with server(TEXT, delta("stop"), event({"error": {"message": "no"}}), end=silence) as url:
        with pytest.raises(APIStreamError):
            await answered(url)


async def test_an_error_of_a_consumer_behind_the_reason_is_one() -> None:
    def refuse(chunk: StreamChunk) -> None:
        if chunk.usage is not None:
            raise ConnectionResetError("the browser left")

    async with server(TEXT, delta("stop"), USAGE, end=silence) as url:
        chunks = rxllm.from_sse(url, grace_period=GRACE).pipe(ops.parse())
        with pytest.raises(ConnectionResetError, match="the browser left"):
            await chunks.pipe(rx_ops.do_action(refuse))


async def test_who_decodes_nothing_hears_of_the_cut() -> None:
    received: list[Any] = []
    async with server(TEXT, delta("stop"), end=fin) as url:
        with pytest.raises(StreamInterruptedError):
            await rxllm.from_sse(url).pipe(rx_ops.do_action(received.append))

    assert len(received) == 2


async def test_a_pause_takes_nothing_of_the_grace() -> None:
    """However long a consumer stands still: usage that came meanwhile is read."""
    flows: list[rxllm.FlowControl] = []
    paused, went_on = asyncio.Event(), asyncio.Event()

    async def usage_later(writer: asyncio.StreamWriter, left: asyncio.Event) -> None:
        await went_on.wait()
        writer.write(b"%x\r\n%s\r\n" % (len(USAGE), USAGE))
        await left.wait()

    def pause(chunk: StreamChunk) -> None:
        flow = rxllm.FlowControl.current()
        if chunk.choices and chunk.choices[0].finish_reason and flow is not None:
            flows.append(flow)
            flow.pause("test")
            paused.set()

    async with server(TEXT, delta("stop"), end=usage_later) as url:
        chunks = rxllm.from_sse(url, grace_period=60).pipe(ops.parse(), rx_ops.do_action(pause))
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        seen: list[StreamChunk] = []
        subscription = chunks.subscribe(
            lambda chunk: ended.set_result(chunk) if chunk.usage is not None else seen.append(chunk)
        )
        await paused.wait()
        went_on.set()
        flows[0].resume("test")
        assert (await ended).usage is not None
        subscription.dispose()


# The end marker without a reason


@pytest.mark.parametrize(("end", "framing"), [(fin, "chunked"), (fin, "length"), (reset, "chunked"), (reset, "close")])
@pytest.mark.parametrize("body", [(TEXT,), (CALL,), (TEXT, delta("null"))], ids=["text", "call", "null"])
async def test_row_36_the_end_marker_of_an_answer_that_was_cut(body: tuple[bytes, ...], end: End, framing: str) -> None:
    ran: list[str] = []

    def delete(path: str) -> None:
        """Delete a file."""
        ran.append(path)

    async with server(*body, DONE, end=end, framing=framing) as url:
        with pytest.raises(StreamInterruptedError) as caught:
            await answered(url, grace_period=60)
        async with rxllm.LLMClient(retries=0, base_url=url, api_key="", grace_period=60) as client:
            with pytest.raises(StreamInterruptedError):
                await client.chat_with_tools(REQUEST, rxllm.ToolRegistry([delete]))

    assert ran == []
    assert caught.value.partial is not None
    assert (caught.value.partial.complete, caught.value.partial.ending) == (False, "truncated")


@pytest.mark.parametrize("marker", [b"data:  [DONE]\n\n", b"data: data: [DONE]\n\n", b"data:data:[DONE] \n\n"])
async def test_row_36_an_end_marker_that_is_framed_oddly_says_no_more(marker: bytes) -> None:
    async with server(TEXT, marker, end=fin, framing="length") as url:
        with pytest.raises(StreamInterruptedError):
            await answered(url, grace_period=60)


@pytest.mark.parametrize("end", [last_chunk, silence, pings])
async def test_row_34_the_end_marker_of_an_answer_that_was_not_cut(end: End) -> None:
    async with server(TEXT, DONE, end=end) as url:
        completion = await answered(url)
        with pytest.raises(RepairError, match="finish-reason-missing") as caught:
            await answered(url, strict=True)

    assert (completion.content, completion.complete, completion.ending) == ("Ten.", True, "unknown")
    assert [(repair.kind, repair.weight) for repair in completion.repairs] == [("finish-reason-missing", "meaning")]
    assert caught.value.partial is not None
    assert caught.value.partial.content == "Ten."


@pytest.mark.parametrize("end", [fin, reset, silence, last_chunk])
async def test_behind_a_reason_and_the_end_marker_nothing_matters(end: End) -> None:
    async with server(TEXT, delta("stop"), DONE, end=end) as url:
        completion = await answered(url, grace_period=60)

    assert (completion.complete, completion.ending, kinds(completion)) == (True, "completed", [])


@pytest.mark.parametrize(
    "body", [(), (DONE,), (b": ping\n\n", DONE), (USAGE, DONE)], ids=["0", "marker", "ping", "usage"]
)
async def test_row_35_nothing_of_an_answer(body: tuple[bytes, ...]) -> None:
    async with server(*body, end=last_chunk) as url:
        with pytest.raises(EmptyStreamError):
            await answered(url)
        async with rxllm.LLMClient(retries=0, base_url=url, api_key="") as client:
            with pytest.raises(EmptyStreamError):
                await client.chat_with_tools(REQUEST, rxllm.ToolRegistry())


async def test_half_a_character_at_the_end_is_kept() -> None:
    half = b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n'
    async with server(half, DONE, end=last_chunk) as url:
        assert (await answered(url)).content == "\ufffd"
    async with server(half, end=last_chunk) as url:
        with pytest.raises(TruncatedStreamError) as caught:
            await answered(url)
    assert caught.value.partial is not None
    assert caught.value.partial.content == "\ufffd"


# Words

WORDS: dict[str, tuple[str, bool]] = {
    "stop": ("completed", True),
    "eos": ("completed", True),
    "STOP": ("completed", True),
    "end_turn": ("completed", True),
    "tool-calls": ("completed", True),
    "length": ("length", True),
    "max_tokens": ("length", True),
    "MAX_TOKENS": ("length", True),
    "content_filter": ("content_filter", True),
    "SAFETY": ("content_filter", True),
    "moonrise": ("unknown", True),
    "pause_turn": ("paused", False),
}


@pytest.mark.parametrize("word", WORDS)
async def test_the_word_is_kept_and_understood(word: str) -> None:
    async with server(TEXT, delta(word), DONE, end=last_chunk) as url:
        completion = await answered(url)

    ending, complete = WORDS[word]
    assert completion.choices[0].finish_reason == word
    assert (completion.ending, completion.complete) == (ending, complete)
    again = ChatCompletion.model_validate_json(completion.model_dump_json())
    assert (again.ending, again.complete) == (ending, complete)


@pytest.mark.parametrize("word", ["abort", "network_error", "insufficient_system_resource", "error"])
@pytest.mark.parametrize("end", [last_chunk, fin, silence])
async def test_words_of_failure(word: str, end: End) -> None:
    async with server(TEXT, delta(word), end=end) as url:
        with pytest.raises(TruncatedStreamError, match=f"gave up.*'{word}'") as caught:
            await answered(url)

    assert caught.value.partial is not None
    assert (caught.value.partial.content, caught.value.partial.ending) == ("Ten.", "truncated")


async def test_the_worst_choice_counts() -> None:
    async with server(delta("length", content="a"), delta("moonrise", 1), delta("stop", 2), DONE, end=fin) as url:
        assert (await answered(url)).ending == "unknown"


def test_a_completion_from_elsewhere_says_how_it_ended() -> None:
    def read(*reasons: str | None, **fields: Any) -> tuple[str | None, bool]:
        choices = [{"index": index, "finish_reason": reason} for index, reason in enumerate(reasons)]
        completion = ChatCompletion.model_validate({"choices": choices, **fields})
        return completion.ending, completion.complete

    assert read("stop", "length") == ("length", True)
    assert read("stop", None) == ("unknown", True)
    assert read("stop", complete=False) == ("truncated", False)
    assert read("stop", complete=False, ending="stopped") == ("stopped", False)


# What failed

FAILURES: dict[str, tuple[list[Any], type[RxllmError], str]] = {
    "cut": ([script.text("Ten"), script.cut()], StreamInterruptedError, "truncated"),
    "no reason": ([script.text("Ten")], TruncatedStreamError, "truncated"),
    "silence": ([script.text("Ten"), script.stall()], ChunkTimeoutError, "timed_out"),
    "an error": ([script.text("Ten"), script.error("overloaded")], APIStreamError, "failed"),
    "no JSON": ([script.text("Ten"), script.raw(b"data: {]\n\n")], DecodeError, "failed"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_how_an_answer_ended_that_failed(name: str) -> None:
    answer, kind, ending = FAILURES[name]
    async with ScriptedServer(answer) as scripted:
        chunks = rxllm.from_sse(scripted.url).pipe(ops.parse(), ops.timeout_per_chunk(0.05, first=60))
        with pytest.raises(kind) as caught:
            await chunks.pipe(ops.accumulate())

    assert caught.value.partial is not None
    assert (caught.value.partial.content, caught.value.partial.complete) == ("Ten", False)
    assert caught.value.partial.ending == ending


async def test_the_time_for_the_whole_answer_is_a_time_out() -> None:
    async with (
        ScriptedServer([script.text("Ten"), script.stall()]) as scripted,
        rxllm.LLMClient(retries=0, base_url=scripted.base_url) as client,
    ):
        with pytest.raises(StreamInterruptedError) as caught:
            await client.chat(REQUEST, timeout=0.1)

    assert caught.value.partial is not None
    assert caught.value.partial.ending == "timed_out"
