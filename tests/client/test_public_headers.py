"""Headers that a dialect names as public are no secrets: they are shown, and go along. All others are."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import rxllm
from rxllm import LLMClient
from rxllm.dialects import Cohere, Endpoint, Home, OpenAIChat, StreamDecoder, WireRequest
from rxllm.models import ChatRequest
from rxllm.sources import Headers
from rxllm.testing import ScriptedServer, script

KEY = "sk-canary-0123456789"
VERSION = "2023-06-01-of-the-protocol"
REQUEST = rxllm.ChatRequest(model="m", messages=[{"role": "user", "content": "Hi"}])


@dataclass(frozen=True)
class Versioned:
    """A dialect that sends a version, and its key in a header of its own."""

    public: tuple[str, ...] = ("X-Version",)
    name: str = "versioned"
    home: Home = field(default=Home(base_url=None))

    def decoder(self) -> StreamDecoder:
        return OpenAIChat().decoder()

    def http_request(self, request: ChatRequest, endpoint: Endpoint) -> WireRequest:
        return WireRequest(
            url=endpoint.url("/v1/chat"),
            body=request.to_wire(),
            headers={"x-version": VERSION, "x-secret": endpoint.key.get_secret_value()},
            public_headers=self.public,
        )

    websocket_request = http_request


def client(server: ScriptedServer, **options: Any) -> LLMClient:
    given: dict[str, Any] = {"base_url": server.origin, "api_key": KEY, "dialect": Versioned(), "retries": 0, **options}
    return LLMClient(**given)


@pytest.mark.parametrize("ask", [LLMClient.chat_stream, LLMClient.websocket_stream], ids=["SSE", "WebSocket"])
async def test_what_is_public_is_shown_in_errors_and_the_key_is_not(ask: Any) -> None:
    said = [script.error(f"no version {VERSION} for {KEY}")]
    async with ScriptedServer(said, repeat=True) as server:
        for dialect, shown in (
            (Versioned(), f"no version {VERSION} for …"),
            # By default anything may be a secret.
            (Versioned(public=()), "no version … for …"),
        ):
            with pytest.raises(rxllm.APIStreamError) as caught:
                await ask(client(server, dialect=dialect), REQUEST)
            assert str(caught.value) == shown


async def test_what_is_public_may_be_given_another_value() -> None:
    async with ScriptedServer(script.status(400, "no version for-me-0123")) as server:
        with pytest.raises(rxllm.APIStatusError, match="no version for-me-0123"):
            await client(server, headers={"X-VERSION": "for-me-0123"}).chat(REQUEST)
    assert server.requests[-1].headers["x-version"] == "for-me-0123"


@pytest.mark.parametrize("ask", [LLMClient.chat_stream, LLMClient.websocket_stream], ids=["SSE", "WebSocket"])
async def test_what_is_public_goes_along_with_a_redirect_and_the_key_does_not(ask: Any) -> None:
    async with (
        ScriptedServer("Hello", repeat=True) as other,
        ScriptedServer(script.redirect(f"{other.origin}/v2/chat"), repeat=True) as server,
    ):
        await ask(client(server), REQUEST)
        await ask(client(server, dialect=Versioned(public=())), REQUEST)
    first, second = other.requests
    assert first.headers["x-version"] == VERSION
    assert "x-version" not in second.headers
    for request in other.requests:
        assert "x-secret" not in request.headers
        assert KEY not in str(request.headers)
    assert {request.headers["x-secret"] for request in server.requests} == {KEY}


def test_headers_know_what_is_public_whatever_they_are_made_of() -> None:
    usual = Headers.of({"a": "1"}, {}, ["X-Version", "A"])
    given = Headers.of({}, {"X-Version": "2", "key": KEY})
    both = Headers.of(usual, given)
    assert both == {"a": "1", "X-Version": "2", "key": KEY}
    assert both.public == {"x-version", "a"}
    assert Headers.of(given, usual).public == both.public
    assert repr(both) == "{'a': '1', 'X-Version': '2', 'key': '…'}"
    assert repr(Headers.of({"a": "1"}, {})) == "{'a': '…'}"


@dataclass(frozen=True)
class Mute(Versioned):
    """A dialect that can say nothing."""

    def http_request(self, request: ChatRequest, endpoint: Endpoint) -> WireRequest:
        wire = super().http_request(request, endpoint)
        raise rxllm.UnsupportedRequestError(f"{wire.method}: no", dialect=self.name, field="messages")

    websocket_request = http_request


ASK: dict[str, Callable[[LLMClient], Any]] = {
    "chat": lambda asked: asked.chat(REQUEST, headers={"X-Own": KEY}),
    "stream": lambda asked: asked.chat_stream(REQUEST, headers={"X-Own": KEY}),
    "pool": lambda asked: rxllm.ClientPool([asked]).chat(REQUEST, headers={"X-Own": KEY}),
    "WebSocket": lambda asked: asked.websocket_stream(REQUEST),
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
async def test_a_request_that_cannot_be_said_shows_no_key_in_its_traceback(ask: Callable[[LLMClient], Any]) -> None:
    async with ScriptedServer() as server:
        asked = client(server, dialect=Mute(), headers={"X-Key": KEY})
        with pytest.raises(rxllm.UnsupportedRequestError) as caught:
            await ask(asked)
    assert (caught.value.dialect, caught.value.field) == ("versioned", "messages")
    assert server.requests == []
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert KEY not in shown


async def test_a_dialect_that_is_not_spoken_over_websockets() -> None:
    class OverHTTP:
        name = "over-http"
        home = Home(base_url="http://localhost")
        decoder = Versioned().decoder
        http_request = Versioned().http_request

    with pytest.raises(rxllm.UnsupportedRequestError, match="over-http is not spoken over WebSockets") as caught:
        LLMClient(dialect=OverHTTP()).websocket_stream(REQUEST)
    assert (caught.value.dialect, caught.value.field) == ("over-http", "websocket")


async def test_the_version_of_a_provider_is_no_secret() -> None:
    async with ScriptedServer(script.status(400, f"no version 2023-06-01 for {KEY}")) as server:
        with pytest.raises(rxllm.APIStatusError, match="no version 2023-06-01 for …"):
            await client(server, dialect="anthropic").chat(REQUEST)


async def test_who_asks_cohere_is_no_secret() -> None:
    async with ScriptedServer(script.status(400, f"no my-own-app with {KEY}")) as server:
        with pytest.raises(rxllm.APIStatusError, match="no my-own-app with …"):
            await client(server, dialect=Cohere(client_name="my-own-app")).chat(REQUEST)
    assert server.requests[0].headers["x-client-name"] == "my-own-app"
