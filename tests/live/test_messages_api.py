"""The Messages API of Anthropic as llama.cpp speaks it, with a real model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from reactivex import operators as rx_ops

import rxllm
from rxllm import LLMClient, Message, ToolRegistry
from rxllm import operators as ops

QUESTION = Message.user("Count: one, two, three")


@pytest.fixture
async def client(text_server: str) -> AsyncIterator[LLMClient]:
    async with LLMClient(base_url=text_server, api_key="not needed", dialect="anthropic") as client:
        yield client


async def test_text_and_usage(client: LLMClient) -> None:
    chunks = client.chat_stream(
        model="m", messages=[Message.system("Be short."), QUESTION], max_tokens=12, temperature=0
    )
    text = "".join(await chunks.pipe(ops.content(), rx_ops.to_list()))
    completion = await chunks.pipe(ops.accumulate())

    print(f"\n{completion!r}")  # noqa: T201 - pytest -s shows it
    assert completion.text == text != ""
    assert completion.complete
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 12
    assert (completion.choices[0].finish_reason, completion.ending) == ("length", "length")
    assert completion.repairs == ()
    assert completion.message.origin is not None
    assert completion.message.origin.dialect == "anthropic"


async def test_an_answer_goes_back(client: LLMClient) -> None:
    first = await client.chat(model="m", messages=[QUESTION], max_tokens=8)
    second = await client.chat(model="m", messages=[QUESTION, first.message, Message.user("Go on")], max_tokens=8)

    assert second.usage is not None
    assert first.usage is not None
    assert (second.usage.prompt_tokens or 0) > (first.usage.prompt_tokens or 0) > 0


async def test_a_client_that_leaves(client: LLMClient) -> None:
    stop = asyncio.Event()
    chunks = client.chat_stream(model="m", messages=[QUESTION], max_tokens=500)
    heard = chunks.pipe(rx_ops.do_action(lambda chunk: stop.set() if chunk.text else None))
    completion = await heard.pipe(ops.stop_when(stop), ops.accumulate())

    assert (completion.ending, bool(completion.text)) == ("stopped", True)
    assert (await client.chat(model="m", messages=[QUESTION], max_tokens=2)).complete


async def test_what_the_server_refuses(client: LLMClient) -> None:
    with pytest.raises(rxllm.APIStatusError) as caught:
        await client.chat(model="m", messages=[Message.user("word " * 5000)], max_tokens=2)

    assert caught.value.retryable is False


async def test_the_model_calls_a_tool(tool_server: str) -> None:
    asked: list[str] = []
    tools = ToolRegistry()

    @tools.tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return f"rain in {city}"

    client = LLMClient(base_url=tool_server, api_key="not needed", dialect="anthropic")
    completion = await client.chat(
        model="m",
        messages=[Message.user("What is the weather in Paris?")],
        tools=tools.schemas(),
        tool_choice="required",
        temperature=0,
        max_tokens=100,
    )

    print(f"\n{completion!r}")  # noqa: T201 - pytest -s shows it
    (call,) = completion.message.tool_calls
    assert call.function.name == "get_weather"
    assert call.function.parsed.keys() == {"city"}
    assert completion.repairs == ()
    assert completion.message.is_as_it_came
