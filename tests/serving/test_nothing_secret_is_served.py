"""No word of a provider, a tool or an exception reaches a client, in any protocol."""

from __future__ import annotations

from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st

from rxllm import (
    ChatCompleted,
    ChatCompletion,
    ChatRequest,
    LLMClient,
    Message,
    Origin,
    RoundCompleted,
    StreamChunk,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    ToolRegistry,
    ToolResultEvent,
    serving,
)
from rxllm.exceptions import (
    AllAttemptsFailedError,
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APIStreamError,
    LogUnavailableError,
    RecordingError,
    StreamCancelledError,
    StreamInterruptedError,
    ToolFailure,
    UnknownStreamError,
)
from rxllm.models import Stopped, ToolResult
from rxllm.testing import ScriptedServer, script

CANARY = "canary"
SECRET = f"sk-{CANARY} of https://{CANARY}.internal:8443/v1 said: {CANARY}\r\nSet-Cookie: {CANARY}=1"


def names() -> list[str]:
    """Of all protocols: the error about a name that is none lists them."""
    with pytest.raises(ValueError, match="must be one of") as info:
        serving.frames(reactivex.empty(), protocol="no protocol")
    listed = str(info.value).removeprefix("protocol must be one of ").partition(", not ")[0]
    return listed.split(", ")


CALL = ToolCall.model_validate({"id": "call_1", "function": {"name": "find", "arguments": "{}"}})
ORIGIN = Origin(dialect="openai-chat", host=f"{CANARY}.internal:8443", model="m")


def answered(text: str, calls: list[ToolCall]) -> ChatCompletion:
    message = Message(content=text, tool_calls=calls, origin=ORIGIN)
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    return ChatCompletion.model_validate({"choices": [choice]})


def conversation(failure: ToolFailure) -> list[Any]:
    result = ToolResult(call=CALL, content=f"it failed: {SECRET}", error=failure, exception=ValueError(SECRET))
    if failure == "refused":
        result = result.model_copy(update={"content": "not now"})
    first, last = answered("I look.", [CALL]), answered("It rains.", [])
    messages = (first.message, result.message())
    return [
        TextDelta(round=1, text="I look."),
        ToolCallEvent(round=1, call=CALL),
        ToolResultEvent(round=1, result=result),
        RoundCompleted(round=1, completion=first, messages=messages),
        TextDelta(round=2, text="It rains."),
        RoundCompleted(round=2, completion=last, messages=(last.message,)),
        ChatCompleted(round=2, completion=last, messages=(*messages, last.message)),
    ]


def caused(error: Exception) -> Exception:
    error.__cause__ = OSError(SECRET)
    error.add_note(SECRET)
    return error


ERRORS = st.sampled_from(
    [
        APIStatusError(SECRET, status=500, body=SECRET, request_id=SECRET),
        APIStatusError(SECRET, status=429, body=SECRET),
        APIStreamError(SECRET),
        APIResponseError(SECRET, status=200, content_type=SECRET),
        APIConnectionError(SECRET),
        AllAttemptsFailedError((APIConnectionError(SECRET), ValueError(SECRET))),
        StreamInterruptedError(SECRET),
        StreamCancelledError(SECRET),
        UnknownStreamError(SECRET, name=SECRET),
        RecordingError(SECRET),
        LogUnavailableError(SECRET),
        TimeoutError(SECRET),
        ValueError(SECRET),
        type(f"Error_{CANARY}", (Exception,), {})(SECRET),
    ]
).map(caused)
FAILURES = st.sampled_from(["unknown_tool", "invalid_arguments", "duplicate", "refused", "timeout", "failed"])


@pytest.mark.parametrize("protocol", names())
@given(failure=FAILURES, length=st.integers(0, 7), error=st.none() | ERRORS, stopped=st.booleans())
async def test_of_a_conversation_and_its_end(
    protocol: str, failure: ToolFailure, length: int, error: Exception | None, *, stopped: bool
) -> None:
    items = conversation(failure)[:length]
    if stopped:
        items.append(Stopped(round=1, completion=answered("I", [])))
    end = reactivex.empty() if error is None else reactivex.throw(error)

    told = b"".join(
        [each async for each in serving.frames(reactivex.concat(reactivex.of(*items), end), protocol=protocol)]
    )

    assert CANARY.encode() not in told


@pytest.mark.parametrize("protocol", names())
async def test_of_a_provider_and_a_tool_that_fail(protocol: str) -> None:
    async def find(place: str) -> str:
        """Find a place."""
        raise LookupError(f"no {place}: {SECRET}")

    call = script.tool_call("find", {"place": "Atlantis"})
    async with (
        ScriptedServer(
            script.answer("I look.", call), [script.text("It "), script.error(SECRET), script.done()]
        ) as provider,
        LLMClient(base_url=provider.url, api_key=f"sk-{CANARY}") as client,
    ):
        asked = ChatRequest(model="m", messages=[Message.user("Where?")])
        events = client.chat_with_tools(asked, ToolRegistry([find]))
        told = b"".join([each async for each in serving.frames(events, protocol=protocol)])

        assert b"I look." in told
        assert CANARY.encode() not in told
        assert b"127.0.0.1" not in told


async def test_what_the_application_says_to_a_refused_call_is_told() -> None:
    event = conversation("refused")[2]

    frames = [each async for each in serving.frames(reactivex.of(event))]
    assert b"not now" in frames[0]


FAILING = StreamChunk.from_wire(
    {"choices": [{"index": 0, "delta": {"content": "Hi"}, "error": {"code": 502, "message": SECRET}}], "error": SECRET}
)


@pytest.mark.parametrize("protocol", names())
async def test_what_a_provider_says_of_an_error_within_a_chunk(protocol: str) -> None:
    told = b"".join([each async for each in serving.frames(reactivex.of(FAILING), protocol=protocol)])

    assert b"Hi" in told
    assert CANARY.encode() not in told
