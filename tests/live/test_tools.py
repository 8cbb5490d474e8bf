"""A conversation with tools, against a server that this project did not write.

With the template that calls tools, the model cannot end a text: the answer after the call fails in the middle of the
stream, which is what shows that what came before stays.
"""

from __future__ import annotations

import json
from itertools import groupby
from types import SimpleNamespace
from typing import Annotated, Any

import aiohttp
import pytest
from pydantic import Field
from reactivex import operators as rx

import rxllm
from rxllm import ChatCompletion, ChatEvent, ChatRequest, LLMClient, Message, Role, RoundCompleted, ToolRegistry


async def test_the_model_calls_a_tool_and_gets_its_result(tool_server: str) -> None:
    asked: list[str] = []
    tools = ToolRegistry()

    @tools.tool
    def get_weather(city: Annotated[str, Field(description="The city")]) -> str:
        """The weather in a city."""
        asked.append(city)
        return f"18 degrees and rain in {city}"

    bodies: list[bytes] = []
    request = ChatRequest(
        model="gemma",
        messages=[Message(role=Role.USER, content="What is the weather in Paris?")],
        tool_choice="required",
        temperature=0.0,
        max_tokens=100,
    )
    events: list[ChatEvent] = []
    async with aiohttp.ClientSession(trace_configs=[noting(bodies)]) as session:
        client = LLMClient(base_url=f"{tool_server}/v1", api_key="not needed", session=session)
        conversation = client.chat_with_tools(request, tools, through=rxllm.operators.timeout_per_chunk(60))
        with pytest.raises(rxllm.APIStreamError) as caught:
            await conversation.pipe(rx.do_action(events.append))

    print(f"\n{[event.type for event in events]}, then {caught.value!r}")  # noqa: T201 - pytest -s shows it
    call, result, first, *rest = [event for event in events if not isinstance(event, rxllm.ToolInputDelta)]
    assert isinstance(call, rxllm.ToolCallEvent)
    assert call.call.function.name == "get_weather"
    assert asked == [call.call.function.parsed["city"]]
    assert isinstance(result, rxllm.ToolResultEvent)
    assert result.result.content == f"18 degrees and rain in {asked[0]}"
    assert result.result.error is None
    assert isinstance(first, RoundCompleted)
    assert first.completion.complete
    assert first.completion.message.tool_calls == [call.call]
    assert all(isinstance(event, rxllm.TextDelta) and event.round == 2 for event in rest)
    assert isinstance(caught.value.partial, ChatCompletion)
    assert not caught.value.partial.complete

    # One may have been sent twice: on a machine under load the server closes a connection behind an answer.
    sent: list[dict[str, Any]] = [json.loads(body) for body, _ in groupby(bodies)]
    assert [body["tool_choice"] for body in sent] == ["required", "auto"]
    assert [message["role"] for message in sent[1]["messages"]] == ["user", "assistant", "tool"]
    assert sent[1]["messages"][1]["tool_calls"][0]["id"] == call.call.id
    assert sent[1]["messages"][2] == {
        "role": "tool",
        "tool_call_id": call.call.id,
        "content": f"18 degrees and rain in {asked[0]}",
    }


def noting(bodies: list[bytes]) -> aiohttp.TraceConfig:
    """Notes the body of each request."""

    async def note(
        session: aiohttp.ClientSession, context: SimpleNamespace, sent: aiohttp.TraceRequestChunkSentParams
    ) -> None:
        del session, context
        bodies.append(sent.chunk)

    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(note)
    return trace
