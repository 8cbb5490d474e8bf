"""The Responses API of a server that this project did not write, with a real model."""

from __future__ import annotations

import asyncio

import pytest
from reactivex import operators as rx

from rxllm import ChatRequest, LLMClient, Message, StreamChunk
from rxllm import operators as ops
from rxllm.exceptions import APIStatusError


def client_of(origin: str) -> LLMClient:
    return LLMClient(base_url=f"{origin}/v1", api_key="not needed", dialect="openai-responses", retries=0)


def request_of(*messages: Message, max_tokens: int = 12) -> ChatRequest:
    said = messages or (Message.user("Say hello."),)
    return ChatRequest(model="gemma", messages=[*said], max_tokens=max_tokens, temperature=0.0)


async def test_text_and_usage_and_the_way_back(text_server: str) -> None:
    client = client_of(text_server)
    answer = await client.chat(request_of())
    again = await client.chat(request_of(Message.user("Say hello."), answer.message, Message.user("Once more.")))

    print(f"\n{answer!r}\n{again!r}")  # noqa: T201 - pytest -s shows it
    for each in (answer, again):
        assert each.text
        assert each.usage is not None
        assert each.usage.prompt_tokens
        assert each.usage.completion_tokens
        assert each.repairs == ()
        assert each.message.parts[-1].block is not None


async def test_a_client_that_leaves(text_server: str) -> None:
    button = asyncio.Event()

    def press(chunk: StreamChunk) -> None:
        if chunk.text:
            button.set()

    chunks = client_of(text_server).chat_stream(request_of(max_tokens=400))
    answer = await chunks.pipe(rx.do_action(press), ops.stop_when(button), ops.accumulate())

    assert answer.ending == "stopped"
    assert answer.text


async def test_a_request_that_is_refused(text_server: str) -> None:
    request = ChatRequest.model_validate({**request_of().to_wire(), "previous_response_id": "resp_0"})
    with pytest.raises(APIStatusError) as caught:
        await client_of(text_server).chat(request)
    assert caught.value.status >= 400
