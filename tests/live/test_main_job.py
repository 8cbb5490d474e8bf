"""The main job against a server that this project did not write.

The model is a base model: its text is silly and seldom ends, so ``max_tokens`` bounds it; at temperature 0 it repeats.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from reactivex import Observable
from reactivex import operators as rx

import rxllm
from rxllm import ChatCompletion, ChatRequest, LLMClient, Message, Role, StreamChunk
from rxllm import operators as ops

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ANSWER_SCHEMA = {
    "type": "object",
    "properties": {"sure": {"type": "boolean"}, "word": {"enum": ["red", "green", "blue"]}},
    "required": ["sure", "word"],
    "additionalProperties": False,
}


@pytest.fixture
async def client(text_server: str) -> AsyncIterator[LLMClient]:
    async with LLMClient(base_url=f"{text_server}/v1", api_key="not needed") as client:
        yield client


@pytest.fixture
async def tool_client(tool_server: str) -> AsyncIterator[LLMClient]:
    async with LLMClient(base_url=f"{tool_server}/v1", api_key="not needed") as client:
        yield client


def ask(question: str, **options: Any) -> ChatRequest:
    fields: dict[str, Any] = {"max_tokens": 24, "temperature": 0.0, **options}
    return ChatRequest(model="gemma", messages=[Message(role=Role.USER, content=question)], **fields)


def text_of(chunks: list[StreamChunk], choice: int = 0) -> str:
    deltas = (part.delta for chunk in chunks for part in chunk.choices if part.index == choice)
    return "".join(delta.content or "" for delta in deltas)


async def collect(source: Observable[StreamChunk]) -> tuple[list[StreamChunk], ChatCompletion]:
    chunks: list[StreamChunk] = []
    return chunks, await source.pipe(rx.do_action(chunks.append), ops.accumulate())


async def wait_until_idle(origin: str) -> None:
    """Ask the server for its slots until it works on none of them."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        while True:
            async with session.get(f"{origin}/slots") as response:
                slots = await response.json()
            if not any(slot["is_processing"] for slot in slots):
                return


async def test_text_and_usage(client: LLMClient) -> None:
    started = time.perf_counter()
    arrivals: list[float] = []
    chunks, completion = await collect(
        client.chat_stream(ask("What is the capital of France?")).pipe(
            rx.do_action(lambda _: arrivals.append(time.perf_counter() - started)),
            ops.timeout_per_chunk(30, first=60),
        )
    )
    print(f"\nanswer: {completion.content!r}")  # noqa: T201 - pytest -s shows it
    print(f"first chunk after {arrivals[0]:.3f} s, last of {len(chunks)} after {arrivals[-1]:.3f} s")  # noqa: T201
    assert completion.complete
    assert completion.content == text_of(chunks) != ""
    assert completion.message.role is Role.ASSISTANT
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 24
    assert completion.usage.prompt_tokens
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + 24
    # What the models do not name is kept.
    assert any("timings" in chunk.model_dump() for chunk in chunks)


async def test_the_stop_text_ends_the_answer(client: LLMClient) -> None:
    _, whole = await collect(client.chat_stream(ask("Count to ten.")))
    stop = whole.content[8:11]
    _, stopped = await collect(client.chat_stream(ask("Count to ten.", stop=[stop])))
    assert stopped.content == whole.content.split(stop)[0]
    assert stopped.choices[0].finish_reason == "stop"


async def test_two_choices_come_interleaved_and_are_kept_apart(client: LLMClient) -> None:
    request = ask("Tell me a story.", n=2, temperature=1.0, seed=7)
    chunks, completion = await collect(client.chat_stream(request))
    order = [choice.index for chunk in chunks for choice in chunk.choices]
    assert set(order) == {0, 1}
    assert order not in (sorted(order), sorted(order, reverse=True))
    assert [choice.index for choice in completion.choices] == [0, 1]
    for choice in completion.choices:
        assert choice.message.text == text_of(chunks, choice.index) != ""
        assert choice.finish_reason in {"length", "stop"}


async def test_an_answer_by_a_json_schema_is_json(client: LLMClient) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": ANSWER_SCHEMA, "strict": True}}
    _, completion = await collect(client.chat_stream(ask("A colour?", response_format=form, max_tokens=64)))
    answer = json.loads(completion.content)
    assert answer.keys() == {"sure", "word"}
    assert answer["word"] in {"red", "green", "blue"}
    assert completion.choices[0].finish_reason == "stop"


async def test_a_tool_call_in_pieces(tool_client: LLMClient) -> None:
    request = ask("What is the weather in Paris?", tools=[WEATHER], tool_choice="required", max_tokens=100)
    chunks, completion = await collect(tool_client.chat_stream(request))
    fragments = [fragment for chunk in chunks for choice in chunk.choices for fragment in choice.delta.tool_calls or ()]
    (call,) = completion.message.tool_calls
    assert len(fragments) > 2
    assert call.function.name == "get_weather"
    assert call.function.parsed.keys() == {"city"}
    assert call.id
    assert completion.choices[0].finish_reason == "tool_calls"
    # At temperature 0 it calls the same again; the calls alone, without the rest of the answer.
    again = await tool_client.chat_stream(request).pipe(ops.accumulate_tool_calls())
    assert again.function == call.function


async def test_an_error_in_the_middle_of_the_stream(tool_client: LLMClient) -> None:
    chunks: list[StreamChunk] = []
    stream = tool_client.chat_stream(ask("Tell me a story.", max_tokens=40))
    with pytest.raises(rxllm.APIStreamError) as caught:
        await stream.pipe(rx.do_action(chunks.append), ops.accumulate())
    assert chunks
    assert str(caught.value)
    print(f"\nafter {len(chunks)} chunks: {caught.value!r}")  # noqa: T201 - pytest -s shows it
    partial = caught.value.partial
    assert isinstance(partial, ChatCompletion)
    assert not partial.complete
    assert partial.content == text_of(chunks)


async def test_a_client_that_leaves_makes_the_server_stop(client: LLMClient, text_server: str) -> None:
    # Some 900 tokens: the server would be at it for half a minute.
    stream = client.chat_stream(ask("Tell me a story.", max_tokens=900))
    async with rxllm.iterate(stream.pipe(ops.content())) as texts:
        async for _ in texts:
            break
    await wait_until_idle(text_server)


async def test_a_task_that_is_cancelled_makes_the_server_stop(client: LLMClient, text_server: str) -> None:
    begun = asyncio.Event()
    stream = client.chat_stream(ask("Tell me a story.", max_tokens=900))

    async def answer() -> ChatCompletion:
        return await stream.pipe(rx.do_action(lambda _: begun.set()), ops.accumulate())

    task = asyncio.create_task(answer())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_until_idle(text_server)


async def test_a_request_that_is_too_long_is_a_typed_error(client: LLMClient) -> None:
    with pytest.raises(rxllm.APIStatusError) as caught:
        await client.chat_stream(ask("word " * 3000)).pipe(ops.accumulate())
    assert caught.value.status == 400
    assert "exceed_context_size_error" in caught.value.body


async def test_twenty_streams_at_once(client: LLMClient, text_server: str) -> None:
    requests = [ask(f"What is {number} and {number}?", max_tokens=8) for number in range(20)]
    answers = await asyncio.gather(*(collect(client.chat_stream(request)) for request in requests))
    for chunks, completion in answers:
        assert completion.complete
        assert completion.content == text_of(chunks)
        assert completion.usage is not None
        assert completion.usage.completion_tokens is not None
        assert 0 < completion.usage.completion_tokens <= 8
    await wait_until_idle(text_server)


async def test_no_request_fails_when_short_and_long_ones_alternate(client: LLMClient, text_server: str) -> None:
    """On a machine under load this server closes a connection a moment behind an answer, when the next request is
    on its way over it."""
    requests = iter([ask(f"What is {number} and 1?", max_tokens=24 if number % 2 else 1) for number in range(60)])
    answers: list[ChatCompletion] = []

    async def ask_in_turn() -> None:
        answers.extend([await client.chat(request) for request in requests])

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(ask_in_turn())

    assert len(answers) == 60
    assert all(answer.complete for answer in answers)
    await wait_until_idle(text_server)
