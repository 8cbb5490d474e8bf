"""``LLMClient`` against a real server on a loopback port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from reactivex import Observable

import rxllm
from rxllm import LLMClient
from rxllm import operators as ops
from rxllm.dialects import OpenAIChat
from rxllm.exceptions import APIConnectionError, APIStatusError
from rxllm.models import ChatRequest
from rxllm.testing import ScriptedServer, TLSContexts, script

KEY = "sk-a-secret-that-is-long"


def request(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields})


async def content(client: LLMClient, **fields: Any) -> object:
    completion = await client.chat_stream(request(**fields)).pipe(ops.accumulate())
    return completion.message.content


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


async def test_streaming_and_usage_are_switched_on_and_extra_fields_go_to_the_server_unchanged() -> None:
    async with ScriptedServer("Hello") as server, LLMClient(base_url=server.base_url, api_key=KEY) as client:
        assert await content(client, temperature=0.5, vendor={"deep": [1, None]}) == "Hello"

    sent = server.requests[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.json == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "vendor": {"deep": [1, None]},
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert sent.headers["authorization"] == f"Bearer {KEY}"


async def test_over_a_websocket_the_request_is_the_first_frame() -> None:
    async with ScriptedServer("Hello") as server, LLMClient(base_url=server.base_url, api_key=KEY) as client:
        completion = await client.websocket_stream(request()).pipe(ops.accumulate())

    assert completion.message.content == "Hello"
    assert server.requests[0].json["stream"] is True
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_address_and_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedServer("Hello") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        assert await content(LLMClient()) == "Hello"

    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_the_address_by_default() -> None:
    assert repr(LLMClient()) == "LLMClient(base_url='https://api.openai.com/v1', dialect='openai-chat')"


async def test_without_a_key_none_is_sent() -> None:
    async with ScriptedServer("Hello") as server:
        await content(LLMClient(base_url=server.base_url))

    assert "authorization" not in server.requests[0].headers


async def test_a_base_url_with_a_slash_and_a_version_in_the_query() -> None:
    async with ScriptedServer("Hello") as server:
        await content(LLMClient(base_url=f"{server.base_url}/?api-version=1", headers={"api-key": KEY}))

    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].query == "api-version=1"
    assert server.requests[0].headers["api-key"] == KEY


@pytest.mark.parametrize("key", [KEY, SecretStr(KEY)])
async def test_the_key_is_shown_nowhere(key: str | SecretStr) -> None:
    async with ScriptedServer(script.status(401, f"bad key {KEY}")) as server:
        client = LLMClient(base_url=server.base_url, api_key=key)
        with pytest.raises(APIStatusError) as caught:
            await content(client)

    assert KEY not in f"{client!r} {vars(client)} {caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize("method", [LLMClient.chat_stream, LLMClient.websocket_stream], ids=["SSE", "WebSocket"])
async def test_an_error_in_the_stream_that_echoes_the_key_does_not_show_it(
    method: Callable[[LLMClient, ChatRequest], Observable[rxllm.StreamChunk]],
) -> None:
    async with ScriptedServer([script.error(f"Incorrect API key provided: {KEY}", code=KEY)]) as server:
        with pytest.raises(rxllm.APIStreamError, match="Incorrect API key provided: …") as caught:
            await method(LLMClient(base_url=server.base_url, api_key=KEY, retries=0), request())

    assert KEY not in f"{caught.value!r} {vars(caught.value)}"


async def test_a_client_is_entered_once_at_a_time() -> None:
    async with LLMClient() as client:
        with pytest.raises(RuntimeError, match="already"):
            async with client:
                pass
    async with client:
        pass


async def test_as_a_context_manager_streams_share_connections() -> None:
    async with ScriptedServer("Hello", repeat=True) as server, LLMClient(base_url=server.base_url) as client:
        for _ in range(3):
            assert await content(client) == "Hello"

    assert server.connections == 1


async def test_otherwise_each_stream_has_a_session_of_its_own() -> None:
    async with ScriptedServer("Hello", repeat=True) as server:
        client = LLMClient(base_url=server.base_url)
        for _ in range(3):
            assert await content(client) == "Hello"

    assert server.connections == 3


async def test_a_stream_made_before_the_client_was_entered_uses_its_session() -> None:
    async with ScriptedServer("Hello", repeat=True) as server:
        client = LLMClient(base_url=server.base_url)
        stream = client.chat_stream(request()).pipe(ops.accumulate())
        async with client:
            await stream
            await stream

    assert server.connections == 1


@pytest.mark.parametrize("method", [LLMClient.chat_stream, LLMClient.websocket_stream], ids=["SSE", "WebSocket"])
async def test_leaving_the_client_ends_what_runs(
    method: Callable[[LLMClient, ChatRequest], Observable[rxllm.StreamChunk]],
) -> None:
    async with ScriptedServer([script.text("Hello"), script.stall()]) as server:
        arrived = asyncio.Event()
        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        async with LLMClient(base_url=server.base_url) as client:
            method(client, request()).subscribe(lambda _: arrived.set(), failed.set_result)
            await arrived.wait()
        assert isinstance(await failed, rxllm.StreamInterruptedError)


async def test_a_session_of_ones_own_is_used_and_left_open() -> None:
    async with ScriptedServer("Hello", repeat=True) as server, aiohttp.ClientSession() as session:
        async with LLMClient(base_url=server.base_url, session=session) as client:
            await content(client)
        assert not session.closed
        await content(LLMClient(base_url=server.base_url, session=lambda: session))

    assert server.connections == 1


async def test_another_dialect_with_options() -> None:
    answer: list[script.StepLike] = [
        script.text("Hel"),
        b"data: no JSON\n\n",
        script.text("lo"),
        script.finish(),
        script.done(),
    ]
    async with ScriptedServer(answer) as server:
        client = LLMClient(base_url=server.base_url, dialect=OpenAIChat(skip_malformed=True))
        assert await content(client) == "Hello"


async def test_an_untrusted_certificate_is_refused_and_a_context_of_ones_own_accepted(tls: TLSContexts) -> None:
    async with ScriptedServer("Hello", repeat=True, ssl=tls.server) as server:
        with pytest.raises(APIConnectionError):
            await content(LLMClient(base_url=server.base_url))
        assert await content(LLMClient(base_url=server.base_url, ssl=tls.client)) == "Hello"
        completion = (
            await LLMClient(base_url=server.base_url, ssl=tls.client).websocket_stream(request()).pipe(ops.accumulate())
        )
        assert completion.message.content == "Hello"


async def test_more_streams_at_once_than_aiohttp_allows_by_default() -> None:
    answers = asyncio.Event()
    script_of_each: list[script.StepLike] = [
        script.text("Hello"),
        script.wait_for(answers),
        script.finish(),
        script.done(),
    ]
    async with ScriptedServer(script_of_each, repeat=True) as server, LLMClient(base_url=server.base_url) as client:
        streams = [asyncio.create_task(content(client)) for _ in range(150)]
        await server.wait_for_request(149)
        answers.set()
        assert await asyncio.gather(*streams) == ["Hello"] * 150


async def test_a_proxy_gets_the_request() -> None:
    async with ScriptedServer("Hello") as proxy:
        client = LLMClient(base_url="http://llm.invalid/v1", proxy=proxy.origin)
        assert await content(client) == "Hello"

    assert "llm.invalid" in proxy.requests[0].path or proxy.requests[0].headers["host"] == "llm.invalid"
