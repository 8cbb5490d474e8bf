"""The status is that of the first item."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
import reactivex
from reactivex import Observable

import rxllm
from rxllm import serving
from rxllm.exceptions import (
    AllAttemptsFailedError,
    APIConnectionError,
    APIStatusError,
    ChunkTimeoutError,
    EmptyStreamError,
    LogUnavailableError,
    PositionError,
    RecordingError,
    StreamCancelledError,
    StreamInterruptedError,
    TruncatedStreamError,
    UnknownStreamError,
    UnsupportedRequestError,
)
from tests.serving.conftest import Serve, Source, soon

CANARY = "sk-canary at https://internal.example"


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


ERRORS: list[tuple[Exception, int, str]] = [
    (APIStatusError(CANARY, status=429), 429, "rate_limited"),
    (APIStatusError(CANARY, status=401), 502, "provider_error"),
    (APIStatusError(CANARY, status=500), 502, "provider_error"),
    (APIConnectionError(CANARY), 502, "unreachable"),
    (ChunkTimeoutError("first", seconds=1.0, chunks=0), 504, "timeout"),
    (TimeoutError(CANARY), 504, "timeout"),
    (caused(APIConnectionError(CANARY), TimeoutError()), 504, "timeout"),
    (AllAttemptsFailedError((APIConnectionError(CANARY), APIStatusError(CANARY, status=429))), 429, "rate_limited"),
    (StreamInterruptedError(CANARY), 502, "interrupted"),
    (TruncatedStreamError(CANARY), 502, "bad_answer"),
    (EmptyStreamError(CANARY), 502, "bad_answer"),
    (UnsupportedRequestError(CANARY, dialect="d", field="f"), 500, "internal_error"),
    (UnknownStreamError(CANARY), 404, "unknown_stream"),
    (PositionError(CANARY), 400, "bad_position"),
    (LogUnavailableError(CANARY), 503, "unavailable"),
    (RecordingError(CANARY), 500, "internal_error"),
    (StreamCancelledError(CANARY), 410, "cancelled"),
    (ValueError(CANARY), 500, "internal_error"),
    (KeyError(CANARY), 500, "internal_error"),
]


@pytest.mark.parametrize(("error", "status", "code"), ERRORS, ids=[f"{type(e).__name__}-{s}" for e, s, _ in ERRORS])
async def test_an_error_before_the_first_item(
    serve: Serve, http: aiohttp.ClientSession, error: Exception, status: int, code: str
) -> None:
    def pipeline() -> Observable[Any]:
        return reactivex.throw(error)

    url = await serve(pipeline)

    async with http.get(url) as response:
        text = await response.text()

    assert response.status == status
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert json.loads(text)["error"]["code"] == code
    assert "canary" not in text
    assert "internal.example" not in text


@pytest.mark.parametrize(("seconds", "said"), [(2.2, "3"), (0.0, "0"), (None, None)])
async def test_when_to_come_back(
    serve: Serve, http: aiohttp.ClientSession, seconds: float | None, said: str | None
) -> None:
    url = await serve(lambda: reactivex.throw(APIStatusError("busy", status=429, retry_after=seconds)))

    async with http.get(url) as response:
        assert response.status == 429
        assert response.headers.get("Retry-After") == said


async def test_a_pipeline_that_raises_when_it_is_subscribed_to(serve: Serve, http: aiohttp.ClientSession) -> None:
    def subscribe(*_: Any) -> Any:
        raise LookupError("nobody is there")

    pipeline: Observable[Any] = Observable(subscribe)
    url = await serve(lambda: pipeline)

    async with http.get(url) as response:
        assert response.status == 500


async def test_an_empty_pipeline(serve: Serve, http: aiohttp.ClientSession) -> None:
    url = await serve(reactivex.empty)

    async with http.get(url) as response:
        text = await response.text()

    assert response.status == 200
    assert text == 'id: end\nevent: end\ndata: {"type":"end","ending":"completed"}\n\n'


async def test_a_first_item_that_cannot_be_told(serve: Serve, http: aiohttp.ClientSession) -> None:
    url = await serve(lambda: reactivex.of(object()))

    async with http.get(url) as response:
        assert response.status == 500


async def test_a_later_item_that_cannot_be_told_loses_nothing_that_came_before(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    url = await serve(lambda: reactivex.of("Hel", "lo", object(), "more"))

    async with http.get(url) as response:
        frames = (await response.text()).split("\n\n")

    assert response.status == 200
    assert ["Hel" in frames[0], "lo" in frames[1], "internal_error" in frames[2]] == [True, True, True]
    assert frames[3:] == [""]


async def test_an_error_behind_the_first_item(serve: Serve, http: aiohttp.ClientSession, source: Source) -> None:
    source.put("Hel", APIStatusError(CANARY, status=429))
    url = await serve(source)

    async with http.get(url) as response:
        text = await response.text()

    assert response.status == 200
    assert '"ending":"failed","error":{"code":"rate_limited"' in text
    assert "canary" not in text


async def test_after_a_while_it_is_200_and_a_later_error_is_told(
    serve: Serve, http: aiohttp.ClientSession, source: Source
) -> None:
    url = await serve(source, first=0.01)

    async with http.get(url) as response:
        assert response.status == 200
        assert await response.content.readline() == b": \n"
        source.put(APIConnectionError(CANARY))
        text = await response.text()

    assert "unreachable" in text


class Untold(serving.Events):
    """A protocol with a mistake: it cannot tell the end."""

    def writer(self, asked: serving.Asked, /) -> serving.FrameWriter:
        return UntoldWriter(super().writer(asked))


class UntoldWriter:
    over = False

    def __init__(self, inner: serving.FrameWriter) -> None:
        self.begin = inner.begin
        self.write = inner.write

    def end(self, _: serving.ServedEnd, /) -> bytes:
        raise LookupError("a mistake")


@pytest.mark.parametrize("end", [None, LookupError("another one")])
async def test_an_end_that_cannot_be_told_breaks_the_answer_off(
    serve: Serve, http: aiohttp.ClientSession, source: Source, end: Exception | None
) -> None:
    url = await serve(source, protocol=Untold())

    source.put("Hel")
    async with http.get(url) as response:
        frames = [await response.content.readuntil(b"\n\n")]
        source.put("lo", end)
        frames.append(await response.content.readuntil(b"\n\n"))
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert [json.loads(frame[6:])["text"] for frame in frames] == ["Hel", "lo"]


async def test_an_end_that_cannot_be_told_is_a_status_if_nothing_was_sent(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    url = await serve(reactivex.empty, protocol=Untold())

    async with http.get(url) as response:
        assert response.status == 500


@pytest.mark.parametrize("name", ["Cache-Control", "cache-control"])
async def test_a_header_of_the_application_takes_the_place_of_ours(
    serve: Serve, http: aiohttp.ClientSession, name: str
) -> None:
    url = await serve(lambda: reactivex.of("x"), headers={name: "no-store"})

    async with http.get(url) as response:
        assert response.headers.getall("Cache-Control") == ["no-store"]


async def test_headers_that_proxies_need(serve: Serve, http: aiohttp.ClientSession) -> None:
    url = await serve(lambda: reactivex.of("x"), headers={"X-Mine": "yes"})

    async with http.get(url) as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-cache, no-transform"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["X-Mine"] == "yes"


async def test_head_and_options_do_not_call_the_provider(
    serve: Serve, http: aiohttp.ClientSession, source: Source
) -> None:
    url = await serve(source)

    async with http.head(url) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    async with http.options(url) as response:
        assert response.status == 204
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert source.subscriptions == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"pipeline": ["a list"]}, TypeError),
        ({"first": 0}, ValueError),
        ({"heartbeat": "often"}, TypeError),
        ({"protocol": "event"}, ValueError),
        ({"headers": {"X-Evil\r\nSet-Cookie": "a"}}, ValueError),
        ({"headers": {"X-Evil": "a\r\nSet-Cookie: b"}}, ValueError),
        ({"headers": {"X-Evil": "a\x00"}}, ValueError),
        ({"headers": {"": "a"}}, ValueError),
    ],
)
def test_a_mistake_is_told_at_the_call(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        serving.StreamingResponse(options.pop("pipeline", reactivex.empty()), **options)


async def test_silence_is_interrupted_by_comments(serve: Serve, http: aiohttp.ClientSession, source: Source) -> None:
    url = await serve(source, heartbeat=0.01)
    source.put("Hel")

    async with http.get(url) as response:
        async with asyncio.timeout(20):
            assert b"Hel" in await response.content.readline()
            assert await response.content.readline() == b"\n"
            # No block of its own: a comment has no blank line behind it.
            assert [await response.content.readline() for _ in range(3)] == [b": \n"] * 3
        source.put("lo", None)
        text = await response.text()

    assert 'data: {"round":1,"type":"text","text":"lo"}\n\n' in text


async def test_each_request_subscribes_once(serve: Serve, http: aiohttp.ClientSession, source: Source) -> None:
    source.put("a", None)
    url = await serve(source)

    async with http.post(url, json={"x": 1}) as response:
        assert response.status == 200
        await response.read()

    await soon(source.left)
    assert source.subscriptions == 1


async def test_a_producer_that_cannot_be_paused_and_says_too_much(serve: Serve, http: aiohttp.ClientSession) -> None:
    url = await serve(lambda: reactivex.from_iterable(["x" * 10_000] * 1_000))

    async with http.get(url) as response:
        text = await response.text()

    assert text.endswith('"error":{"code":"bad_answer","message":"The model\'s answer could not be used."}}\n\n')
    assert 1_000_000 < len(text) < 1_200_000


def test_the_first_chunk_and_its_error_together() -> None:
    async def main() -> list[bytes]:
        pipeline = reactivex.concat(reactivex.of("a"), reactivex.throw(ValueError("x")))
        return [each async for each in serving.frames(pipeline)]

    assert len(rxllm.run(main())) == 2
