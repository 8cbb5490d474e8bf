"""Clients of ``openai-chat`` that want no stream, over a connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
import pytest
import reactivex
from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm import serving
from rxllm.exceptions import APIStatusError, StreamCancelledError
from tests.serving.conftest import Client, Host, Serve, Source, soon
from tests.serving.conversations import ANSWER, call_piece, delta

NO_STREAM: dict[str, Any] = {"model": "m", "messages": []}


@pytest.fixture
def whole(serve: Serve, host: Host) -> Serve:
    """Serves a client that asks for no stream. In ASGI it is the application that reads the body."""
    return partial(serve, body=NO_STREAM) if host == "asgi" else serve


@pytest.mark.parametrize("body", [NO_STREAM, NO_STREAM | {"stream": False}])
async def test_all_of_an_answer(whole: Serve, http: aiohttp.ClientSession, body: dict[str, Any]) -> None:
    url = await whole(lambda: reactivex.from_iterable(ANSWER), protocol="openai-chat", headers={"X-Own": "1"})

    async with http.post(url, json=body) as response:
        answer = await response.json()

    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Own"] == "1"
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize("body", [None, NO_STREAM | {"stream": True}])
async def test_a_stream_for_all_others(
    serve: Serve, host: Host, http: aiohttp.ClientSession, body: dict[str, Any] | None
) -> None:
    options = {"body": body} if host == "asgi" else {}
    url = await serve(lambda: reactivex.from_iterable(ANSWER), protocol="openai-chat", **options)

    async with http.post(url, json=body) if body else http.get(url) as response:
        text = await response.text()

    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("items", "error", "expected"),
    [
        ([], APIStatusError("busy", status=429, retry_after=2.5), (429, "rate_limited")),
        (ANSWER[:3], APIStatusError("busy", status=500), (502, "provider_error")),
        (["Hi", object()], None, (500, "internal_error")),
        ([call_piece(0, '{"x":1}{"x":2}', id="a", name="f"), delta(reason="tool_calls")], None, (502, "bad_answer")),
    ],
)
async def test_an_error_is_a_status_whenever_it_comes(
    whole: Serve, http: aiohttp.ClientSession, items: list[object], error: Exception | None, expected: tuple[int, str]
) -> None:
    source = reactivex.from_iterable(items)
    failing = source if error is None else reactivex.concat(source, reactivex.throw(error))
    url = await whole(lambda: failing, protocol="openai-chat")

    async with http.post(url, json=NO_STREAM) as response:
        answer = await response.json()

    assert (response.status, answer["error"]["code"]) == expected
    assert response.headers.get("Retry-After") == ("3" if expected[0] == 429 else None)


@pytest.mark.parametrize("how", ["stop_when", "cancelled"])
async def test_an_answer_that_was_stopped(whole: Serve, http: aiohttp.ClientSession, source: Source, how: str) -> None:
    button: reactivex.Subject[None] = reactivex.Subject()

    def press(_: object) -> None:
        if how == "stop_when":
            # When the item is taken.
            asyncio.get_running_loop().call_soon(button.on_next, None)

    if how == "cancelled":
        source.put("Hel", StreamCancelledError("stopped"))
    else:
        source.put("Hel")
    url = await whole(lambda: source().pipe(ops.stop_when(button), rx_ops.do_action(press)), protocol="openai-chat")
    async with http.post(url, json=NO_STREAM) as response:
        answer = await response.json()

    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["choices"][0]["message"]["content"] == "Hel"


async def test_a_client_that_leaves_ends_the_pipeline(
    whole: Serve, source: Source, connect: Callable[..., Awaitable[Client]]
) -> None:
    url = await whole(source, protocol="openai-chat")
    client = await connect(url)
    client.ask("POST / HTTP/1.1", "Content-Type: application/json", body=json.dumps(NO_STREAM).encode())
    source.put("Hi")
    await soon(source.begun)

    client.reset()

    await soon(source.left)


async def test_a_server_that_stops_says_so(
    whole: Serve, source: Source, connect: Callable[..., Awaitable[Client]]
) -> None:
    url = await whole(source, protocol="openai-chat")
    client = await connect(url)
    client.ask(
        "POST / HTTP/1.1", "Content-Type: application/json", "Connection: close", body=json.dumps(NO_STREAM).encode()
    )
    source.put("Hi")
    await soon(source.begun)

    await serving.close_all()

    answer = await client.rest()
    assert b" 503 " in answer.partition(b"\r\n")[0]
    assert b'"closing"' in answer
    await soon(source.left)
