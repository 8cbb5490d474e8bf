"""Cohere's Chat API as aimock speaks it, and the SDK of Cohere as a second opinion on recorded streams."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from reactivex import operators as rx

import rxllm
from rxllm import ChatRequest, LLMClient, Message, ToolRegistry
from rxllm import operators as ops
from rxllm.testing import ScriptedServer
from rxllm.testing.script import Answer
from tests.live.test_dialects import KEY, TEXT, journal

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def ask(question: str, **options: Any) -> ChatRequest:
    fields: dict[str, Any] = {"max_tokens": 64, **options}
    return ChatRequest(model="command-a", messages=[Message.user(question)], **fields)


@pytest.fixture
async def mock(mock_server: str) -> AsyncIterator[LLMClient]:
    async with LLMClient(base_url=mock_server, api_key=KEY, dialect="cohere", retries=0) as client:
        yield client


async def test_text_and_usage(mock: LLMClient) -> None:
    texts: list[str] = []
    chunks = mock.chat_stream(ask("[text]")).pipe(rx.do_action(lambda chunk: texts.append(chunk.text)))
    answer = await chunks.pipe(ops.accumulate(strict=True))

    assert (answer.text, answer.ending, answer.repairs) == (TEXT, "completed", ())
    assert len([text for text in texts if text]) > 1
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (11, 13, 24)


async def test_two_contents(mock: LLMClient) -> None:
    """This server says what was thought as a text of its own."""
    answer = await mock.chat(ask("[thought]"))

    assert [(part.kind, part.text) for part in answer.message.parts] == [
        ("text", "It is dark outside."),
        ("text", "It is late."),
    ]
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
    reasoning = "".join(event.text for event in events if isinstance(event, rxllm.ReasoningDelta))
    assert reasoning == "I will use the requested tool."
    # What the second request said, in the words of chat completions, as the server took it.
    sent = (await journal(mock_server))[-1]["messages"]
    calls = [call for message in sent for call in message.get("tool_calls") or ()]
    results = {message["tool_call_id"]: message["content"] for message in sent if message["role"] == "tool"}
    cities = {call["id"]: json.loads(call["function"]["arguments"])["city"] for call in calls}
    assert [*cities.values()] == ["Paris", "Oslo"]
    assert results == {identifier: f"rain in {city}" for identifier, city in cities.items()}


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


async def test_a_client_that_leaves(mock: LLMClient) -> None:
    chunk = await mock.chat_stream(ask("[text]")).pipe(rx.filter(lambda each: bool(each.text)), rx.first())

    assert TEXT.startswith(chunk.text)
    assert (await mock.chat(ask("[text]"))).text == TEXT


# The SDK


def corpus() -> list[Any]:
    folder = os.environ.get("RXLLM_CORPUS")
    if folder is None:
        return [pytest.param(b"", marks=pytest.mark.skip(reason="RXLLM_CORPUS names no folder"))]
    cases = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in sorted(Path(folder).glob("*.json"))]
    return [
        pytest.param((path.parent / case["file"]).read_bytes(), id=path.stem)
        for path, case in cases
        if case["dialect"] == "cohere"
    ]


def joined(events: list[Any], kind: str, *path: str) -> str:
    """The texts of all events of a kind."""
    texts: list[str] = []
    for event in events:
        value: Any = event.delta.message if event.type == kind else None
        for name in path:
            value = getattr(value, name, None)
        texts.append(value or "")
    return "".join(texts)


@pytest.mark.parametrize("wire", corpus())
async def test_the_sdk_makes_the_same_of_recorded_streams(wire: bytes) -> None:
    if importlib.util.find_spec("cohere") is None:
        if os.environ.get("CI"):
            pytest.fail("cohere is not installed: pip install 'rxllm[live]'")
        pytest.skip("cohere is not installed: pip install 'rxllm[live]'")
    sdk: Any = importlib.import_module("cohere")
    answer = Answer([wire], fragment=1000)
    async with ScriptedServer(answer, answer) as server:
        async with sdk.AsyncClientV2(api_key=KEY, base_url=server.origin) as client:
            events = [event async for event in client.chat_stream(**REQUEST)]
        ours = await LLMClient(base_url=server.origin, api_key=KEY, dialect="cohere").chat(REQUEST)
    message, usage = ours.message, ours.usage
    last = next(event for event in events if event.type == "message-end").delta

    assert ours.id == next(event for event in events if event.type == "message-start").id
    assert message.text == joined(events, "content-delta", "content", "text")
    thoughts = joined(events, "content-delta", "content", "thinking")
    assert (message.reasoning_text or "") == joined(events, "tool-plan-delta", "tool_plan") + thoughts
    begun = [event.delta.message.tool_calls for event in events if event.type == "tool-call-start"]
    assert [(call.id, call.function.name) for call in message.tool_calls] == [
        (call.id, call.function.name) for call in begun
    ]
    arguments = "".join(call.function.arguments for call in message.tool_calls)
    # The SDK leaves a call without arguments as it is.
    assert arguments.replace("{}", "") == joined(events, "tool-call-delta", "tool_calls", "function", "arguments")
    assert getattr(ours.choices[0], "native_finish_reason", None) == last.finish_reason
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        last.usage.tokens.input_tokens,
        last.usage.tokens.output_tokens,
    )
