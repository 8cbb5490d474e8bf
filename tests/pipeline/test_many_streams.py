"""Many streams at once in one process, and many in a row over one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.models import ChatCompletion, ChatRequest
from rxllm.testing import ReceivedRequest, ScriptedServer, script
from rxllm.typing import Ending

STREAMS = 500


class Discard:
    async def open(self) -> Discard:
        return self

    async def write(self, items: Sequence[object], /) -> None: ...

    async def close(self, ending: Ending, /) -> None: ...


def request_for(text: str) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": text}]})


def echo(request: ReceivedRequest) -> script.Answer:
    text = request.json["messages"][0]["content"]
    return script.Answer([script.role(), *text, script.finish(), script.usage(), script.done()])


async def test_five_hundred_streams_at_once_end_correctly() -> None:
    async with ScriptedServer(echo) as server, rxllm.LLMClient(retries=0, base_url=server.base_url) as client:

        async def answer(text: str) -> ChatCompletion:
            return await client.chat_stream(request_for(text)).pipe(
                ops.timeout_per_chunk(60),
                ops.tee_to(Discard()),
                ops.buffer_with_backpressure(4),
                ops.accumulate(),
            )

        questions = [f"question {number} of {STREAMS}" for number in range(STREAMS)]
        completions = await asyncio.gather(*map(answer, questions))

    assert [completion.message.content for completion in completions] == questions


async def test_five_hundred_streams_of_which_every_third_is_left() -> None:
    async with ScriptedServer(echo) as server, rxllm.LLMClient(retries=0, base_url=server.base_url) as client:

        async def answer(number: int) -> str:
            text = client.chat_stream(request_for(f"question {number}")).pipe(
                ops.timeout_per_chunk(60), ops.tee_to(Discard()), ops.content(), ops.buffer_with_backpressure(4)
            )
            heard = ""
            async for piece in rxllm.iterate(text, buffer_size=2):
                heard += piece
                if number % 3 == 0 and len(heard) == 4:
                    break
            return heard

        heard = await asyncio.gather(*map(answer, range(STREAMS)))
        await asyncio.sleep(0)

    for number, text in enumerate(heard):
        assert text == ("ques" if number % 3 == 0 else f"question {number}")


async def test_a_hundred_requests_in_a_row_use_one_connection() -> None:
    async with (
        ScriptedServer("Hello", repeat=True) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        for _ in range(100):
            completion = await client.chat_stream(request_for("Hi")).pipe(ops.accumulate())
            assert completion.message.content == "Hello"

    assert server.connections == 1
    assert len(server.requests) == 100


@pytest.mark.parametrize("fragment", [1, 7, None])
async def test_the_whole_pipeline_over_both_transports(fragment: int | None) -> None:
    answer = script.Answer(script.answer("Hello, ", "wörld", "!"), fragment=fragment)
    async with ScriptedServer(answer, answer) as server, rxllm.LLMClient(retries=0, base_url=server.base_url) as client:
        over_sse = await client.chat_stream(request_for("Hi")).pipe(ops.accumulate())
        over_websocket = await client.websocket_stream(request_for("Hi")).pipe(ops.accumulate())

    assert over_sse == over_websocket
    assert over_sse.message.content == "Hello, wörld!"
    assert over_sse.usage is not None


async def test_comments_are_no_progress_for_the_time_out() -> None:
    pings: list[script.StepLike] = [script.keep_alive(), script.delay(0.01)] * 500
    async with ScriptedServer([script.text("Hello"), *pings]) as server:
        with pytest.raises(rxllm.ChunkTimeoutError) as caught:
            await rxllm.from_sse(server.url).pipe(ops.parse(), ops.timeout_per_chunk(0.1, first=60), rx_ops.to_list())

    assert caught.value.chunks == 1
