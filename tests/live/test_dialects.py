"""Other dialects than chat completions, against servers that this project did not write: aimock and llama.cpp."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from reactivex import operators as rx

import rxllm
from rxllm import ChatCompletion, ChatRequest, LLMClient, Message, ToolRegistry
from rxllm import operators as ops
from tests.live.test_main_job import WEATHER, wait_until_idle

TEXT = "Rivers carry salt to the sea, and the sea keeps it."
KEY = "sk-of-no-use"


@pytest.fixture(params=["anthropic", "openai-responses"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ask(question: str, **options: Any) -> ChatRequest:
    fields: dict[str, Any] = {"max_tokens": 64, **options}
    return ChatRequest(model="gpt-5-claude", messages=[Message.user(question)], **fields)


# Scripted answers


@pytest.fixture
async def mock(mock_server: str, dialect: str) -> AsyncIterator[LLMClient]:
    async with LLMClient(base_url=f"{mock_server}/v1", api_key=KEY, dialect=dialect, retries=0) as client:
        yield client


async def test_text_and_usage(mock: LLMClient) -> None:
    answer = await mock.chat(ask("[text]"))

    assert (answer.text, answer.ending, answer.repairs) == (TEXT, "completed", ())
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 13)
    assert answer.usage.total_tokens == 24


async def test_thinking(mock: LLMClient) -> None:
    answer = await mock.chat(ask("[thought]"))

    assert (answer.text, answer.message.reasoning_text) == ("It is late.", "It is dark outside.")
    assert answer.repairs == ()


async def test_two_calls_and_their_results(mock: LLMClient, mock_server: str) -> None:
    asked: list[str] = []
    tools = ToolRegistry()

    @tools.tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return f"rain in {city}"

    events = await mock.chat_with_tools(ask("[calls]"), tools).pipe(rx.to_list())

    assert sorted(asked) == ["Oslo", "Paris"]
    assert isinstance(events[-1], rxllm.ChatCompleted)
    assert events[-1].completion.text == "Rain in both."
    # What the second request said, in the words of chat completions, as the server took it.
    sent = (await journal(mock_server))[-1]["messages"]
    calls = [call for message in sent for call in message.get("tool_calls") or ()]
    results = {message["tool_call_id"]: message["content"] for message in sent if message["role"] == "tool"}
    cities = {call["id"]: json.loads(call["function"]["arguments"])["city"] for call in calls}
    assert [*cities.values()] == ["Paris", "Oslo"]
    assert results == {identifier: f"rain in {city}" for identifier, city in cities.items()}


async def journal(origin: str) -> list[dict[str, Any]]:
    """The bodies of the requests that the server had."""
    async with aiohttp.ClientSession() as session, session.get(f"{origin}/__aimock/journal") as response:
        return [entry["body"] for entry in await response.json()]


async def test_an_answer_that_is_cut(mock: LLMClient) -> None:
    with pytest.raises(rxllm.StreamInterruptedError) as caught:
        await mock.chat(ask("[cut]"))

    assert caught.value.partial is not None
    assert TEXT.startswith(caught.value.partial.text)
    assert caught.value.partial.text not in {"", TEXT}


async def test_a_server_that_is_busy(mock: LLMClient) -> None:
    with pytest.raises(rxllm.APIStatusError, match="the kettle is empty") as caught:
        await mock.chat(ask("[busy]"))

    assert (caught.value.status, caught.value.retry_after, caught.value.retryable) == (429, 7.0, True)
    assert KEY not in str(caught.value)


# A real model


@pytest.fixture
async def client(text_server: str, dialect: str) -> AsyncIterator[LLMClient]:
    async with LLMClient(base_url=f"{text_server}/v1", api_key=KEY, dialect=dialect) as client:
        yield client


async def test_a_real_model_says_something(client: LLMClient, dialect: str) -> None:
    texts: list[str] = []
    request = ask("What is the capital of France?", max_tokens=12, temperature=0.0)
    answer = await client.chat_stream(request).pipe(
        rx.do_action(lambda chunk: texts.append(chunk.text)), ops.timeout_per_chunk(30, first=60), ops.accumulate()
    )

    print(f"\n{answer.text!r}, {answer.usage}")  # noqa: T201 - pytest -s shows it
    assert answer.complete
    assert answer.text == "".join(texts) != ""
    # Here this server always says `response.completed`, whatever ended the answer.
    assert answer.ending == {"anthropic": "length", "openai-responses": "completed"}[dialect]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12
    assert answer.usage.prompt_tokens


async def test_a_real_model_calls_a_tool(tool_server: str, dialect: str) -> None:
    request = ask("What is the weather in Paris?", tools=[WEATHER], tool_choice="required", temperature=0.0)
    async with LLMClient(base_url=f"{tool_server}/v1", api_key=KEY, dialect=dialect) as client:
        answer = await client.chat(request)

    (call,) = answer.message.tool_calls
    assert call.function.name == "get_weather"
    assert call.function.parsed.keys() == {"city"}
    assert answer.ending == "completed"


async def test_a_client_that_leaves_makes_the_server_stop(client: LLMClient, text_server: str) -> None:
    begun = asyncio.Event()

    async def answer() -> ChatCompletion:
        # Some 900 tokens: the server would be at it for half a minute.
        stream = client.chat_stream(ask("Tell me a story.", max_tokens=900))
        return await stream.pipe(rx.do_action(lambda _: begun.set()), ops.accumulate())

    task = asyncio.create_task(answer())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_until_idle(text_server)
