"""What the types say of pipelines; checked by mypy and pyright, never run.

``assert_type`` says what is inferred. A line that must be refused says which error it is; mypy fails if it is not
refused (``warn_unused_ignores``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import assert_never, assert_type

import reactivex as rx
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.flow import Stream
from rxllm.sinks import SQLiteSink
from rxllm.typing import Ending
from rxllm.wire import AWSFrame


async def a_pipeline_ends_in_a_completion(client: rxllm.LLMClient, request: rxllm.ChatRequest) -> None:
    chunks = client.chat_stream(request)
    assert_type(chunks, Stream[rxllm.StreamChunk])
    assert_type(await chunks.pipe(ops.accumulate()), rxllm.ChatCompletion)
    assert_type(rxllm.run(chunks.pipe(ops.accumulate())), rxllm.ChatCompletion)
    assert_type(
        await chunks.pipe(
            ops.timeout_per_chunk(10, first=60),
            ops.tee_to_display(),
            ops.tee_to(SQLiteSink("chats.db")),
            ops.buffer_with_backpressure(16, overflow="conflate"),
            ops.accumulate(),
        ),
        rxllm.ChatCompletion,
    )


async def a_request_in_few_words(client: rxllm.LLMClient, said: list[rxllm.Message], tools: rxllm.ToolRegistry) -> None:
    said.append(rxllm.Message.user("What is this?", rxllm.Image.from_url("https://example.org/a.png")))
    request = rxllm.ChatRequest(model="any", messages=said, tools=tools.schemas(), top_p=0.5)
    answer = await client.chat(request, temperature=0)
    assert_type(answer.text, str)
    assert_type(await client.chat(model="any", messages=said), rxllm.ChatCompletion)
    assert_type(client.chat_stream({"model": "any", "messages": []}), Stream[rxllm.StreamChunk])
    assert_type(client.chat_with_tools(registry=tools, model="any", messages=said), Stream[rxllm.ChatEvent])
    answer.message.text = "Rivers."  # type: ignore[misc]


def without_async(client: rxllm.LLMClient, said: Sequence[rxllm.Message]) -> None:
    for text in rxllm.iterate_sync(client.chat_stream(model="any", messages=said).pipe(ops.content())):
        assert_type(text, str)
    assert_type(rxllm.run(client.chat(model="any", messages=said)), rxllm.ChatCompletion)


async def ten_operators_and_more(client: rxllm.LLMClient, request: rxllm.ChatRequest) -> None:
    chunks = client.chat_stream(request)
    words = chunks.pipe(
        ops.timeout_per_chunk(10, first=60),
        rx_ops.filter(lambda chunk: chunk.usage is None),
        rx_ops.take_while(lambda chunk: not chunk.restarts),
        ops.split_reasoning(),
        ops.tee_to_display(),
        ops.buffer_with_backpressure(16),
        ops.content(),
        rx_ops.map(lambda text: text.split()),
        rx_ops.flat_map(lambda words: rx.of(*words)),
        rx_ops.map(lambda word: len(word)),  # noqa: PLW0108 - that its type is known is what this shows
    )
    assert_type(words, Stream[int])
    assert_type(await words, int)
    async for length in words:
        assert_type(length, int)
    twelve = words.pipe(
        *(rx_ops.map(str), rx_ops.map(len), rx_ops.map(str), rx_ops.map(len), rx_ops.map(str), rx_ops.map(len)),
        *(rx_ops.map(str), rx_ops.map(len), rx_ops.map(str), rx_ops.map(len), rx_ops.map(str), rx_ops.to_list()),
    )
    assert_type(twelve, Stream[list[str]])


def each_operator_says_what_comes_out(chunks: Observable[rxllm.StreamChunk]) -> None:
    assert_type(chunks.pipe(ops.content()), Observable[str])
    assert_type(chunks.pipe(ops.accumulate_snapshots()), Observable[rxllm.ChatCompletion])
    assert_type(chunks.pipe(ops.accumulate_tool_calls()), Observable[rxllm.ToolCall])
    assert_type(chunks.pipe(ops.content(), rx_ops.map(len)), Observable[int])


def transports_of_ones_own(blocks: Observable[bytes]) -> None:
    assert_type(blocks.pipe(ops.decode_sse()), Observable[rxllm.ServerSentEvent])
    assert_type(blocks.pipe(ops.decode_aws_frames()), Observable[AWSFrame])
    assert_type(blocks.pipe(ops.decode_aws_frames(), ops.parse("bedrock-converse")), Observable[rxllm.StreamChunk])
    assert_type(rxllm.from_sse("http://127.0.0.1/"), Stream[rxllm.ServerSentEvent])
    assert_type(rxllm.from_websocket("ws://127.0.0.1/"), Stream[str])


async def other_streams(stream: AsyncIterator[int]) -> None:
    numbers = rxllm.from_async_iterable(stream)
    assert_type(numbers, Stream[int])
    async for number in rxllm.iterate(numbers):
        assert_type(number, int)


async def coroutines_in_a_pipeline(chunks: Observable[rxllm.StreamChunk]) -> None:
    async def length(text: str) -> int:
        return len(text)

    assert_type(chunks.pipe(ops.content(), ops.map_async(length, max_concurrency=4)), Observable[int])


class Lines:
    """A sink of text."""

    async def open(self) -> Lines:
        return self

    async def write(self, items: Sequence[str], /) -> None: ...

    async def close(self, ending: Ending, /) -> None: ...


def a_sink_of_ones_own(chunks: Observable[rxllm.StreamChunk]) -> None:
    sink: rxllm.Sink[str] = Lines()
    assert_type(chunks.pipe(ops.content(), ops.tee_to(sink)), Observable[str])


async def somebody_approves(client: rxllm.LLMClient, request: rxllm.ChatRequest, tools: rxllm.ToolRegistry) -> None:
    async def approve(call: rxllm.ToolCall) -> rxllm.Approved | rxllm.Refused:
        if call.function.name == "delete":
            return rxllm.Refused(reason="Not today.")
        return rxllm.Approved(arguments=call.function.parsed | {"path": "tmp"})

    async def yes(_: rxllm.ToolCall) -> bool:
        return True

    async def maybe(_: rxllm.ToolCall) -> bool | None:
        return None

    def at_once(_: rxllm.ToolCall) -> bool:
        return True

    answers: asyncio.Queue[bool] = asyncio.Queue()
    client.chat_with_tools(request, tools, approve=yes)
    client.chat_with_tools(request, tools, approve=lambda _: answers.get())
    client.chat_with_tools(request, tools, approve=maybe)  # type: ignore[arg-type]
    client.chat_with_tools(request, tools, approve=at_once)  # type: ignore[arg-type]
    calls = client.chat_stream(request).pipe(ops.accumulate_tool_calls())
    assert_type(calls.pipe(ops.run_tools(tools, approve=approve)), Stream[rxllm.ToolResult])
    async for event in client.chat_with_tools(request, tools, approve=approve):
        match event:
            case rxllm.ApprovalRequested():
                assert_type(event.call, rxllm.ToolCall)
            case rxllm.ApprovalGiven():
                assert_type(event.decision, rxllm.Approved | rxllm.Refused)
            case (
                rxllm.TextDelta()
                | rxllm.ReasoningDelta()
                | rxllm.Restarted()
                | rxllm.Stopped()
                | rxllm.ToolInputDelta()
                | rxllm.ToolCallEvent()
                | rxllm.ToolResultEvent()
                | rxllm.RoundCompleted()
                | rxllm.ChatCompleted()
            ):
                pass
            case _:
                assert_never(event)


def what_does_not_fit_is_refused(events: Stream[rxllm.ServerSentEvent], texts: Observable[str]) -> None:
    events.pipe(rx_ops.map(lambda event: event.text))  # type: ignore[attr-defined]
    events.pipe(rx_ops.skip(1), ops.accumulate())  # type: ignore[misc]
    events.pipe(ops.accumulate())  # type: ignore[arg-type]
    events.pipe(ops.content())  # type: ignore[arg-type]
    texts.pipe(ops.decode_sse())  # type: ignore[arg-type]
    texts.pipe(ops.accumulate_tool_calls())  # type: ignore[arg-type]
    ops.buffer_with_backpressure(16, overflow="forget")  # type: ignore[arg-type]
    ops.timeout_per_chunk("10")  # type: ignore[call-overload]
    ops.map_async(len)  # type: ignore[arg-type]


def mistakes_of_the_first_minute(chunks: Stream[rxllm.StreamChunk], client: rxllm.LLMClient) -> None:
    chunks.pipe(ops.accumulate)  # type: ignore[arg-type]
    chunks.pipe(SQLiteSink("chats.db"))  # type: ignore[arg-type]
    ops.tee_to("chats.db")  # type: ignore[call-overload]
    ops.retry()  # type: ignore[attr-defined]
    _ = chunks.text  # type: ignore[attr-defined]
    client.chat_stream("Why?")  # type: ignore[arg-type]
    with client:  # type: ignore[attr-defined]
        pass
