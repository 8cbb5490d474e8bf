"""Each dialect against servers that this project did not write: aimock speaks all of them, llama.cpp two more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from reactivex import operators as rx

import rxllm
from rxllm import ChatCompletion, ChatRequest, LLMClient, Message, StreamChunk, ToolRegistry
from rxllm import operators as ops
from tests.live.test_main_job import WEATHER, wait_until_idle

TEXT = "Rivers carry salt to the sea, and the sea keeps it."
KEY = "sk-of-no-use"


def ask(*said: str | Message, model: str = "gpt-5-claude", **options: Any) -> ChatRequest:
    messages = [Message.user(each) if isinstance(each, str) else each for each in said]
    fields: dict[str, Any] = {"max_tokens": 64, **options}
    return ChatRequest(model=model, messages=messages, **fields)


# Scripted answers


@dataclass(frozen=True)
class Speech:
    """How aimock speaks a dialect; what is not said is as most do it."""

    dialect: str
    model: str
    path: str = ""
    counts: tuple[int, int, int] = (11, 13, 24)
    # The counts in the words of the provider, where they are all that it says.
    told: frozenset[str] = frozenset()
    thought: tuple[str | None, str] = ("It is dark outside.", "It is late.")
    planned: str = "Two cities."
    result: str = "rain in {}"


SPEECHES = (
    Speech("openai-chat", "gpt-5", "/v1"),
    Speech("anthropic", "claude-5", "/v1"),
    Speech("openai-responses", "gpt-5", "/v1"),
    Speech("gemini", "gemini-3-pro", result='{{"result":"rain in {}"}}'),
    # This server counts nothing there, and says so.
    Speech(
        "ollama",
        "llama3",
        counts=(0, 0, 0),
        told=frozenset(
            {
                *("prompt_eval_count", "eval_count"),
                *("total_duration", "load_duration", "prompt_eval_duration", "eval_duration"),
            }
        ),
    ),
    # It says what was thought as a text of its own, and plans in its own words.
    Speech(
        "cohere",
        "command-a",
        thought=(None, "It is dark outside.It is late."),
        planned="I will use the requested tool.",
    ),
    Speech("bedrock-converse", "anthropic.claude-v1:0"),
)


@pytest.fixture(params=SPEECHES, ids=lambda speech: speech.dialect)
def speech(request: pytest.FixtureRequest) -> Speech:
    made: Speech = request.param
    return made


@pytest.fixture
async def mock(mock_server: str, speech: Speech) -> AsyncIterator[LLMClient]:
    base_url = mock_server + speech.path
    async with LLMClient(base_url=base_url, api_key=KEY, dialect=speech.dialect, retries=0) as client:
        yield client


async def test_text_and_usage(mock: LLMClient, speech: Speech) -> None:
    texts: list[str] = []
    chunks = mock.chat_stream(ask("[text]", model=speech.model)).pipe(
        rx.do_action(lambda each: texts.append(each.text))
    )
    answer = await chunks.pipe(ops.accumulate(strict=True))

    assert (answer.text, answer.ending, answer.repairs) == (TEXT, "completed", ())
    assert len([text for text in texts if text]) > 1
    assert answer.usage is not None
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == speech.counts
    assert not speech.told or (usage.model_extra or {}).keys() == speech.told


async def test_thinking(mock: LLMClient, speech: Speech) -> None:
    answer = await mock.chat(ask("[thought]", model=speech.model))

    assert (answer.message.reasoning_text, answer.text) == speech.thought
    # Chat completions have no parts.
    parts = [] if speech.dialect == "openai-chat" else ["It is dark outside.", "It is late."]
    assert [part.text for part in answer.message.parts] == parts
    assert answer.repairs == ()


async def test_two_calls_and_their_results(mock: LLMClient, mock_server: str, speech: Speech) -> None:
    asked: list[str] = []
    tools = ToolRegistry()

    @tools.tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return f"rain in {city}"

    events = await mock.chat_with_tools(ask("[calls]", model=speech.model), tools).pipe(rx.to_list())

    assert sorted(asked) == ["Oslo", "Paris"]
    assert isinstance(events[-1], rxllm.ChatCompleted)
    assert events[-1].completion.text == "Rain in both."
    assert "".join(event.text for event in events if isinstance(event, rxllm.ReasoningDelta)) == speech.planned
    # What the second request said, in the words of chat completions, as the server took it.
    sent = (await journal(mock_server))[-1]["messages"]
    calls = [call for message in sent for call in message.get("tool_calls") or ()]
    results = [message for message in sent if message["role"] == "tool"]
    cities = [json.loads(call["function"]["arguments"])["city"] for call in calls]
    assert cities == ["Paris", "Oslo"]
    assert [message["content"] for message in results] == [speech.result.format(city) for city in cities]
    # Ollama's results have their places, and no identifiers.
    if speech.dialect != "ollama":
        assert [message["tool_call_id"] for message in results] == [call["id"] for call in calls]


async def journal(origin: str) -> list[dict[str, Any]]:
    """The bodies of the requests that the server had."""
    async with aiohttp.ClientSession() as session, session.get(f"{origin}/__aimock/journal") as response:
        return [entry["body"] for entry in await response.json()]


async def test_an_answer_that_is_cut(mock: LLMClient, speech: Speech) -> None:
    with pytest.raises(rxllm.StreamInterruptedError) as caught:
        await mock.chat(ask("[cut]", model=speech.model))

    assert caught.value.partial is not None
    assert TEXT.startswith(caught.value.partial.text)
    assert caught.value.partial.text not in {"", TEXT}


async def test_a_server_that_is_busy(mock: LLMClient, speech: Speech) -> None:
    with pytest.raises(rxllm.APIStatusError, match="the kettle is empty") as caught:
        await mock.chat(ask("[busy]", model=speech.model))

    assert (caught.value.status, caught.value.retry_after, caught.value.retryable) == (429, 7.0, True)
    assert KEY not in str(caught.value)


async def test_a_client_that_leaves(mock: LLMClient, speech: Speech) -> None:
    request = ask("[text]", model=speech.model)
    chunk = await mock.chat_stream(request).pipe(rx.filter(lambda each: bool(each.text)), rx.first())

    assert TEXT.startswith(chunk.text)
    assert (await mock.chat(request)).text == TEXT


# A real model


@pytest.fixture(params=["anthropic", "openai-responses"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def client(text_server: str, dialect: str) -> AsyncIterator[LLMClient]:
    async with LLMClient(base_url=f"{text_server}/v1", api_key=KEY, dialect=dialect, retries=0) as client:
        yield client


async def test_a_real_model_says_something(client: LLMClient, dialect: str) -> None:
    texts: list[str] = []
    request = ask(Message.system("Be short."), "What is the capital of France?", max_tokens=12, temperature=0.0)
    answer = await client.chat_stream(request).pipe(
        rx.do_action(lambda chunk: texts.append(chunk.text)), ops.timeout_per_chunk(30, first=60), ops.accumulate()
    )

    print(f"\n{answer!r}")  # noqa: T201 - pytest -s shows it
    assert answer.complete
    assert answer.text == "".join(texts) != ""
    # Here this server always says `response.completed`, whatever ended the answer.
    assert answer.ending == {"anthropic": "length", "openai-responses": "completed"}[dialect]
    assert answer.choices[0].finish_reason == {"anthropic": "length", "openai-responses": "stop"}[dialect]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12
    assert answer.usage.prompt_tokens
    assert answer.repairs == ()
    assert answer.message.origin is not None
    assert answer.message.origin.dialect == dialect
    assert answer.message.parts[-1].block is not None


async def test_an_answer_of_a_real_model_goes_back(client: LLMClient) -> None:
    first = await client.chat(ask("Say hello.", max_tokens=8, temperature=0.0))
    second = await client.chat(ask("Say hello.", first.message, "Once more.", max_tokens=8, temperature=0.0))

    for answer in (first, second):
        assert answer.text
        assert answer.message.parts[-1].block is not None
        assert answer.repairs == ()
    assert second.usage is not None
    assert second.usage.completion_tokens
    assert first.usage is not None
    assert (second.usage.prompt_tokens or 0) > (first.usage.prompt_tokens or 0) > 0


async def test_a_real_model_calls_a_tool(tool_server: str, dialect: str) -> None:
    request = ask("What is the weather in Paris?", tools=[WEATHER], tool_choice="required", temperature=0.0)
    async with LLMClient(base_url=f"{tool_server}/v1", api_key=KEY, dialect=dialect) as client:
        answer = await client.chat(request)

    (call,) = answer.message.tool_calls
    assert call.function.name == "get_weather"
    assert call.function.parsed.keys() == {"city"}
    assert answer.ending == "completed"
    assert answer.repairs == ()
    assert answer.message.is_as_it_came


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


async def test_what_came_before_a_stop_is_an_answer(client: LLMClient) -> None:
    button = asyncio.Event()

    def press(chunk: StreamChunk) -> None:
        if chunk.text:
            button.set()

    chunks = client.chat_stream(ask("Count: one, two, three", max_tokens=400))
    answer = await chunks.pipe(rx.do_action(press), ops.stop_when(button), ops.accumulate())

    assert (answer.ending, bool(answer.text)) == ("stopped", True)
    assert (await client.chat(ask("Count: one, two, three", max_tokens=2))).complete


REFUSED: dict[str, dict[str, Any]] = {
    "anthropic": {"messages": [{"role": "user", "content": "word " * 5000}]},
    "openai-responses": {"previous_response_id": "resp_0"},
}


async def test_what_a_server_refuses(client: LLMClient, dialect: str) -> None:
    request = ChatRequest.model_validate({**ask("Say hello.", max_tokens=2).to_wire(), **REFUSED[dialect]})
    with pytest.raises(rxllm.APIStatusError) as caught:
        await client.chat(request)

    assert caught.value.status >= 400
    assert caught.value.retryable is False
