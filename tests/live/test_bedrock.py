"""Bedrock's Converse API against a server that this project did not write: aimock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from reactivex import operators as rx

import rxllm
from rxllm import ChatRequest, LLMClient, Message, ToolRegistry

TEXT = "Rivers carry salt to the sea, and the sea keeps it."
KEY = "bedrock-key-of-no-use"


def ask(question: str, **options: Any) -> ChatRequest:
    return ChatRequest(model="anthropic.claude-v1:0", messages=[Message.user(question)], max_tokens=64, **options)


@pytest.fixture
async def mock(mock_server: str) -> AsyncIterator[LLMClient]:
    async with LLMClient(base_url=mock_server, api_key=KEY, dialect="bedrock-converse", retries=0) as client:
        yield client


async def test_text_and_usage(mock: LLMClient) -> None:
    answer = await mock.chat(ask("[text]"))

    assert (answer.text, answer.ending, answer.repairs) == (TEXT, "completed", ())
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (11, 13, 24)


async def test_reasoning(mock: LLMClient) -> None:
    answer = await mock.chat(ask("[thought]"))

    assert (answer.text, answer.message.reasoning_text) == ("It is late.", "It is dark outside.")
    assert answer.repairs == ()


async def test_two_calls_and_their_results(mock: LLMClient) -> None:
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


async def test_an_answer_that_is_cut(mock: LLMClient) -> None:
    with pytest.raises(rxllm.StreamInterruptedError) as caught:
        await mock.chat(ask("[cut]"))

    assert caught.value.partial is not None
    assert TEXT.startswith(caught.value.partial.text)
    assert caught.value.partial.text not in {"", TEXT}


async def test_a_server_that_is_busy(mock: LLMClient) -> None:
    with pytest.raises(rxllm.APIStatusError, match="the kettle is empty") as caught:
        await mock.chat(ask("[busy]"))

    assert (caught.value.status, caught.value.retryable) == (429, True)
    assert KEY not in str(caught.value)
