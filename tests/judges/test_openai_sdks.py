"""OpenAI's own SDKs read what we serve."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import reactivex
from reactivex import Observable

from rxllm.exceptions import APIConnectionError, APIStatusError
from rxllm.models import Restarted, TextDelta
from rxllm.serving import OpenAIChat
from tests.judges.conversation_server import served
from tests.recorded import each_of, streams
from tests.serving.conversations import ANSWER, CALLS, CONVERSATION, DIALECTS, USAGE, delta, read

openai: Any = pytest.importorskip("openai")

Judge = Callable[..., Awaitable[dict[str, Any]]]
QUESTION = [{"role": "user", "content": "Hello"}]
SDKS = ("openai-sdk.mjs", "openai_sdk.py")


def pipeline(items: Sequence[object], error: Exception | None = None) -> Observable[Any]:
    source: Observable[Any] = reactivex.from_iterable(items)
    return source if error is None else reactivex.concat(source, reactivex.throw(error))


@asynccontextmanager
async def client(url: str) -> AsyncGenerator[Any]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as made:
        yield made


def strictly(script: str) -> tuple[str, ...]:
    return ("--strict",) if script.endswith(".mjs") else ()


@pytest.mark.parametrize("script", SDKS)
@pytest.mark.parametrize(
    ("items", "text", "usage"),
    [
        pytest.param(ANSWER, "Hello", True, id="answer"),
        pytest.param(ANSWER, "Hello", False, id="without usage"),
        pytest.param(["Hel", "lo"], "Hello", False, id="texts"),
        pytest.param(CALLS, "Two calls.", True, id="calls for the client"),
        pytest.param(CONVERSATION, "Let me see.It is sunny.", True, id="tools run here"),
        pytest.param([delta(1, content="b"), delta(content="a"), delta(reason="stop")], "a", False, id="choices"),
        pytest.param([Restarted(round=1), TextDelta(round=1, text="a")], "a", False, id="restart of nothing"),
    ],
)
async def test_the_sdks_read_it(judge: Judge, script: str, items: Sequence[object], text: str, *, usage: bool) -> None:
    async with served(lambda: pipeline(items), OpenAIChat()) as url:
        options = () if usage else ("--no-usage",)
        report = await judge(script, f"{url}/v1", "--expect", text, *options, *strictly(script))

    assert report["ok"], report
    completion = report["completion"]
    assert completion["model"] == "m" or not isinstance(items[0], type(ANSWER[0]))
    assert ("usage" in completion and completion["usage"] is not None) == usage


@pytest.mark.parametrize("script", SDKS)
async def test_the_calls_that_the_sdks_have_at_the_end(judge: Judge, script: str) -> None:
    async with served(lambda: pipeline(CALLS), OpenAIChat()) as url:
        report = await judge(script, f"{url}/v1", *strictly(script))

    assert report["ok"], report
    (choice,) = report["completion"]["choices"]
    calls = [(call["id"], call["function"]["arguments"]) for call in choice["message"]["tool_calls"]]
    assert calls == [("c1", '{"city": "Oslo"}'), ("c2", '{"city": "Rome"}')]
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("script", SDKS)
@pytest.mark.parametrize(
    ("items", "error", "said"),
    [
        ([], APIStatusError("busy", status=429), "RateLimitError: 429|RateLimitError: Error code: 429"),
        ([], APIConnectionError("x"), "InternalServerError: 502|InternalServerError: Error code: 502"),
        (ANSWER[:3], APIConnectionError("x"), "APIError: The model cannot be reached."),
        ([TextDelta(round=1, text="a"), Restarted(round=1)], None, "APIError: The answer began anew."),
    ],
)
async def test_the_sdks_raise_an_error(
    judge: Judge, script: str, items: Sequence[object], error: Exception | None, said: str
) -> None:
    async with served(lambda: pipeline(items, error), OpenAIChat()) as url:
        report = await judge(script, f"{url}/v1", "--no-usage", "--timeout", "5")

    assert any(each in fault for fault in report["faults"] for each in said.split("|")), report


async def test_what_is_in_an_error() -> None:
    async with (
        served(lambda: pipeline([], APIStatusError("busy", status=429)), OpenAIChat()) as url,
        client(url) as sdk,
    ):
        with pytest.raises(openai.RateLimitError) as caught:
            await sdk.chat.completions.create(model="m", messages=QUESTION, stream=True)

    assert (caught.value.code, caught.value.type) == ("rate_limited", "rate_limit_error")
    assert caught.value.body["message"] == "The model is busy. Try again in a while."


@pytest.mark.parametrize("items", [ANSWER, CALLS, CONVERSATION])
async def test_an_answer_that_is_no_stream(items: Sequence[object]) -> None:
    async with served(lambda: pipeline(items), OpenAIChat()) as url, client(url) as sdk:
        whole = await sdk.chat.completions.create(model="m", messages=QUESTION)
        async with sdk.chat.completions.stream(
            model="m", messages=QUESTION, stream_options={"include_usage": True}
        ) as stream:
            streamed = await stream.get_final_completion()

    assert whole.object == "chat.completion"
    message, other = whole.choices[0].message, streamed.choices[0].message
    assert message.content == other.content
    assert whole.choices[0].finish_reason == streamed.choices[0].finish_reason
    assert whole.usage.total_tokens == streamed.usage.total_tokens >= USAGE["total_tokens"]
    assert [call.function.arguments for call in message.tool_calls or ()] == [
        call.function.arguments for call in other.tool_calls or ()
    ]


@each_of(streams(*DIALECTS), "dialect", "wire")
async def test_the_sdk_reads_answers_of_all_dialects(dialect: str, wire: bytes) -> None:
    chunks, errors = read(wire, dialect)
    failed = errors[0] if errors else None
    async with served(lambda: pipeline(chunks, failed), OpenAIChat()) as url, client(url) as sdk:
        try:
            async with sdk.chat.completions.stream(model="m", messages=QUESTION) as stream:
                answer = await stream.get_final_completion()
        except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError):
            return  # as its helper does with these
        except openai.APIError:
            answer = None

    assert (answer is None) == bool(errors)
    assert answer is None or (answer.choices[0].message.content or "") == "".join(chunk.text for chunk in chunks)


@each_of([each for each in streams(*DIALECTS)[::12] if not read(each.wire, each.dialect)[1]], "dialect", "wire")
async def test_the_other_sdk_reads_answers_of_all_dialects(judge: Judge, dialect: str, wire: bytes) -> None:
    chunks, _ = read(wire, dialect)
    usage = () if any(chunk.usage for chunk in chunks) else ("--no-usage",)
    async with served(lambda: pipeline(chunks), OpenAIChat()) as url:
        report = await judge("openai-sdk.mjs", f"{url}/v1", "--strict", *usage)

    assert report["ok"], report
