"""Ollama's API as aimock speaks it, and the SDK of Ollama as a second opinion on recorded streams."""

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
COUNTS = ("prompt_eval_count", "eval_count", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def ask(question: str, **options: Any) -> ChatRequest:
    fields: dict[str, Any] = {"max_tokens": 64, **options}
    return ChatRequest(model="llama3", messages=[Message.user(question)], **fields)


@pytest.fixture
async def mock(mock_server: str) -> AsyncIterator[LLMClient]:
    async with LLMClient(base_url=mock_server, api_key=KEY, dialect="ollama", retries=0) as client:
        yield client


async def test_text_and_usage(mock: LLMClient) -> None:
    texts: list[str] = []
    chunks = mock.chat_stream(ask("[text]")).pipe(rx.do_action(lambda chunk: texts.append(chunk.text)))
    answer = await chunks.pipe(ops.accumulate(strict=True))

    assert (answer.text, answer.ending, answer.repairs) == (TEXT, "completed", ())
    assert len([text for text in texts if text]) > 1
    assert answer.usage is not None
    # This server counts nothing, and says so.
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (0, 0)
    assert (answer.usage.model_extra or {}).keys() == {*COUNTS}


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
    sent = (await journal(mock_server))[-1]["messages"]
    assert [message["content"] for message in sent if message["role"] == "tool"] == ["rain in Paris", "rain in Oslo"]


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
    # Its other endpoint, which was for texts, has another answer there.
    chats = [
        path for path, case in cases if case["dialect"] == "ollama" and "generate-endpoint" not in case["features"]
    ]
    return [pytest.param(path.with_suffix(".ndjson").read_bytes(), id=path.stem) for path in chats]


@pytest.mark.parametrize("wire", corpus())
async def test_the_sdk_makes_the_same_of_recorded_streams(wire: bytes) -> None:
    if importlib.util.find_spec("ollama") is None:
        if os.environ.get("CI"):
            pytest.fail("ollama is not installed: pip install 'rxllm[live]'")
        pytest.skip("ollama is not installed: pip install 'rxllm[live]'")
    sdk: Any = importlib.import_module("ollama")
    answer = Answer([wire], content_type="application/x-ndjson", fragment=1000)
    async with ScriptedServer(answer, answer) as server:
        async with sdk.AsyncClient(host=server.origin) as client:
            parts = [part async for part in await client.chat(**REQUEST, stream=True)]
        ours = await LLMClient(base_url=server.origin, dialect="ollama").chat(REQUEST)
    last = parts[-1]
    message, usage = ours.message, ours.usage

    assert message.text == "".join(part.message.content or "" for part in parts)
    assert (message.reasoning_text or "") == "".join(part.message.thinking or "" for part in parts)
    calls = [call.function for part in parts for call in part.message.tool_calls or ()]
    assert [(call.function.name, call.function.parsed) for call in message.tool_calls] == [
        (call.name, dict(call.arguments)) for call in calls
    ]
    assert (ours.model, getattr(ours.choices[0], "native_finish_reason", None)) == (last.model, last.done_reason)
    assert usage is not None
    assert [(usage.model_extra or {}).get(name) for name in COUNTS] == [getattr(last, name) for name in COUNTS]
