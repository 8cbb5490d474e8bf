"""What chunks say of the request behind them, against a real server on a loopback port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.dialects import OpenAIChat
from rxllm.exceptions import APIError, APIResponseError, APIStatusError
from rxllm.models import ChatCompletion, StreamChunk, StreamInfo
from rxllm.sinks import JSONLinesSink, SQLiteSink
from rxllm.sources import from_recording, from_sse, from_websocket
from rxllm.testing import ReceivedRequest, ScriptedServer, script
from rxllm.typing import Ending

T = TypeVar("T")

KEY = "sk-a-secret-that-is-long"
LIMITS = {
    "X-RateLimit-Limit-Requests": "60",
    "x-ratelimit-remaining-tokens": "149984",
    "anthropic-ratelimit-requests-reset": "2025-01-31T12:00:00Z",
    "Retry-After": "7",
    "retry-after-ms": "7000",
    "x-other": "no limit",
}
KNOWN_LIMITS = {name.lower(): value for name, value in LIMITS.items() if name != "x-other"}
FIELDS = StreamInfo.__struct_fields__

Connect = Callable[..., Observable[Any]]


def over_sse(server: ScriptedServer, **options: Any) -> Observable[Any]:
    return from_sse(server.url, json={}, **options)


def over_websocket(server: ScriptedServer, **options: Any) -> Observable[Any]:
    return from_websocket(server.ws_url, send=({},), **options)


@pytest.fixture(params=[over_sse, over_websocket], ids=["SSE", "WebSocket"])
def connect(request: pytest.FixtureRequest) -> Connect:
    made: Connect = request.param
    return made


async def chunks_of(source: Observable[Any]) -> list[StreamChunk]:
    chunks: list[StreamChunk] = await source.pipe(ops.parse(), rx_ops.to_list())
    return chunks


async def info_of(source: Observable[Any]) -> StreamInfo:
    """The one that all chunks have."""
    chunks = await chunks_of(source)
    (info,) = {id(chunk.stream): chunk.stream for chunk in chunks}.values()
    assert info is not None
    assert [chunk.begins for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
    return info


def host_of(server: ScriptedServer) -> str:
    return server.origin.partition("://")[2]


# What is known -------------------------------------------------------------------------------------------------------


async def test_all_chunks_say_where_they_are_from(connect: Connect) -> None:
    began = time.time()
    async with ScriptedServer("Hello there.") as server:
        info = await info_of(connect(server))
        assert info.host == host_of(server)
    ended = time.time()

    assert (info.dialect, info.model, info.attempt) == ("openai-chat", "scripted", 1)
    assert info.requested_at is not None
    assert info.first_byte_at is not None
    assert info.last_byte_at is not None
    assert began <= info.requested_at <= info.first_byte_at <= info.last_byte_at <= ended
    assert info.bytes > 0


async def test_the_headers_of_the_answer_tell_of_the_request_and_of_limits() -> None:
    answer = script.Answer(script.answer("Hi"), headers={"X-Request-Id": "req-7", **LIMITS})
    async with ScriptedServer(answer) as server:
        info = await info_of(over_sse(server))

    assert info.request_id == "req-7"
    assert info.rate_limits == KNOWN_LIMITS


@pytest.mark.parametrize("name", ["request-id", "X-MS-Request-Id", "x-correlation-id", "CF-Ray"])
async def test_the_identifier_of_the_request_has_several_names(name: str) -> None:
    # The server's own x-request-id goes before these.
    answer = script.raw(
        f"HTTP/1.1 200 OK\r\n{name}: r-1\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n'.encode()
    )
    async with ScriptedServer(script.Answer([answer], framing="none")) as server:
        info = await info_of(over_sse(server))

    assert (info.request_id, info.rate_limits) == ("r-1", {})


async def test_of_what_no_header_tells_nothing_is_known() -> None:
    answer = script.raw(b'HTTP/1.0 200 OK\r\n\r\ndata: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n')
    async with ScriptedServer(script.Answer([answer], framing="none")) as server:
        info = await info_of(over_sse(server))

    assert (info.request_id, info.rate_limits, info.model) == (None, {}, None)


async def test_the_model_is_the_one_that_the_beginning_of_the_answer_names() -> None:
    models = ["m-1", "m-2", None, "m-3"]
    steps = [script.chunk({"model": model, "choices": [{"delta": {"content": "a"}}]}) for model in models]
    async with ScriptedServer([*steps, script.done()]) as server:
        chunks = await chunks_of(over_sse(server))

    assert [(chunk.model, chunk.stream and chunk.stream.model) for chunk in chunks] == [
        (model, "m-1") for model in models
    ]


async def test_the_model_is_known_as_soon_as_a_chunk_names_it() -> None:
    opening: dict[str, Any] = {"model": "", "choices": [], "prompt_filter_results": []}  # as Azure's
    steps = [script.chunk(opening), script.chunk({"model": "m-1", "choices": [{"delta": {"content": "a"}}]})]
    async with ScriptedServer([*steps, script.done()]) as server:
        chunks = await chunks_of(over_sse(server))

    assert [chunk.stream and chunk.stream.model for chunk in chunks] == ["m-1", "m-1"]


async def test_the_dialect_is_the_one_that_the_answer_is_read_in() -> None:
    class Other(OpenAIChat):
        @property
        def name(self) -> str:
            return "other"

    async with ScriptedServer("Hi") as server:
        chunks: list[StreamChunk] = await over_sse(server).pipe(ops.parse(Other()), rx_ops.to_list())

    assert {chunk.stream.dialect for chunk in chunks if chunk.stream} == {"other"}


async def test_the_host_is_the_one_that_answers_after_a_redirect() -> None:
    async with ScriptedServer("Hi") as there, ScriptedServer(script.redirect(there.url)) as here:
        info = await info_of(over_sse(here))

        assert info.host == host_of(there) != host_of(here)


async def test_each_subscription_has_its_own(connect: Connect) -> None:
    async with ScriptedServer("Hello", repeat=True) as server:
        source = connect(server)
        first, second = await info_of(source), await info_of(source)

    assert first is not second
    assert first.bytes == second.bytes


# Counting ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fragment", [None, 1, 100])
@pytest.mark.parametrize("gzip", [False, True])
async def test_the_bytes_of_a_body_are_counted_however_they_come(fragment: int | None, gzip: bool) -> None:
    body = ': ö\n\ndata: {"choices":[{"delta":{"content":"naïve"}}]}\n\ndata: [DONE]\n\n'.encode()
    async with ScriptedServer(script.Answer([body], gzip=gzip, fragment=fragment)) as server:
        info = await info_of(over_sse(server))

    assert info.bytes == len(body)


async def test_the_bytes_of_frames_are_counted() -> None:
    frames: list[str] = []
    async with ScriptedServer([script.text("naïve"), script.text("\U0001f600"), script.finish()]) as server:
        info = await info_of(over_websocket(server).pipe(rx_ops.do_action(frames.append)))

    assert info.bytes == sum(len(frame.encode()) for frame in frames) > sum(map(len, frames))


async def test_a_stream_that_is_alive_but_says_nothing_goes_on_counting() -> None:
    go_on = asyncio.Event()
    comment = b": still here\n\n"
    steps: list[script.StepLike] = ["Hel", script.wait_for(go_on), comment, script.stall()]
    async with (
        ScriptedServer(steps) as server,
        rxllm.iterate(over_sse(server).pipe(ops.parse())) as chunks,
    ):
        chunk = await anext(chunks)
        info = chunk.stream
        assert info is not None
        counted, last = info.bytes, info.last_byte_at
        assert last is not None
        go_on.set()
        async with asyncio.timeout(30):
            while info.bytes == counted:
                await asyncio.sleep(0)

        assert info.bytes == counted + len(comment)
        assert info.first_byte_at is not None
        assert info.last_byte_at is not None
        assert info.first_byte_at <= last <= info.last_byte_at
        assert chunk.stream is info


async def test_what_was_known_of_an_answer_that_is_cut_is_on_its_chunks(connect: Connect) -> None:
    chunks: list[StreamChunk] = []
    async with ScriptedServer([script.text("a"), script.text("b"), script.cut()]) as server:
        with pytest.raises(rxllm.RxllmError):
            await connect(server).pipe(ops.parse(), rx_ops.do_action(chunks.append))

    assert [chunk.text for chunk in chunks] == ["a", "b"]
    assert chunks[0].stream is chunks[1].stream
    assert chunks[0].stream is not None
    assert chunks[0].stream.bytes > 0


# Operators between the source and the parser -------------------------------------------------------------------------


async def passed(item: T) -> T:
    await asyncio.sleep(0)
    return item


class Kept:
    """A sink that keeps what it gets: it is open and closed at once."""

    def __init__(self) -> None:
        self.items: list[object] = []

    async def open(self) -> Kept:
        return self

    async def write(self, items: Sequence[object], /) -> None:
        self.items += items

    async def close(self, ending: Ending, /) -> None:
        self.items.append(ending)


BETWEEN: dict[str, Callable[..., Any]] = {
    "buffer": lambda: ops.buffer_with_backpressure(2),
    "conflate": lambda: ops.buffer_with_backpressure(2, overflow="conflate"),
    "drop": lambda: ops.buffer_with_backpressure(100, overflow="drop_oldest"),
    "map_async": lambda: ops.map_async(passed),
    "map_async, three at a time": lambda: ops.map_async(passed, max_concurrency=3),
    "timeout": lambda: ops.timeout_per_chunk(60),
    "tee": lambda: ops.tee_to(Kept()),
    "filter": lambda: rx_ops.filter(bool),
    "flat_map": lambda: rx_ops.flat_map(reactivex.of),
    "share": rx_ops.share,
    "several": lambda: reactivex.compose(ops.map_async(passed), ops.buffer_with_backpressure(1)),
}


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
async def test_operators_between_the_source_and_the_parser_let_it_through(
    between: Callable[[], Any], connect: Connect
) -> None:
    async with ScriptedServer("Hello there, all of you.") as server:
        chunks = await chunks_of(connect(server).pipe(between()))

        assert "".join(chunk.text for chunk in chunks) == "Hello there, all of you."
        (info,) = {id(chunk.stream): chunk.stream for chunk in chunks}.values()
        assert info is not None
        assert (info.host, info.model) == (host_of(server), "scripted")
        assert info.bytes > 0


async def test_a_consumer_that_is_slower_than_the_source_has_it_on_each_chunk(connect: Connect) -> None:
    async with ScriptedServer("Hello there, all of you.") as server:
        chunks: list[StreamChunk] = await connect(server).pipe(
            ops.buffer_with_backpressure(1), ops.parse(), ops.map_async(passed), rx_ops.to_list()
        )

        (info,) = {id(chunk.stream): chunk.stream for chunk in chunks}.values()
        assert info is not None
        assert info.host == host_of(server)


async def test_two_answers_that_are_read_at_once_are_told_apart(connect: Connect) -> None:
    async with ScriptedServer("one two three") as one, ScriptedServer("four five six") as other:
        streams = [connect(server).pipe(ops.map_async(passed), ops.parse()) for server in (one, other)]
        chunks: list[StreamChunk] = await reactivex.merge(*streams).pipe(rx_ops.to_list())

        texts = {
            host: "".join(chunk.text for chunk in chunks if chunk.stream and chunk.stream.host == host)
            for host in (host_of(one), host_of(other))
        }
        assert texts == {host_of(one): "one two three", host_of(other): "four five six"}


@pytest.mark.parametrize("make_sink", [JSONLinesSink, SQLiteSink])
async def test_a_recording_has_what_was_known_when_the_first_chunk_was_stored(
    make_sink: type[JSONLinesSink | SQLiteSink], connect: Connect, tmp_path: Path
) -> None:
    path = tmp_path / "recording"
    async with ScriptedServer("Hello there.") as server:
        info = await info_of(connect(server).pipe(ops.parse(), ops.tee_to(make_sink(path)), rx_ops.map(dumped)))

    chunks: list[StreamChunk] = await from_recording(path).pipe(rx_ops.to_list())

    (stored,) = {id(chunk.stream): chunk.stream for chunk in chunks}.values()
    assert stored is not None
    counted = {"bytes", "last_byte_at"}
    assert {name: getattr(stored, name) for name in FIELDS if name not in counted} == {
        name: getattr(info, name) for name in FIELDS if name not in counted
    }
    assert 0 < stored.bytes <= info.bytes


def dumped(chunk: StreamChunk) -> str:
    """A chunk as the text that it was made of, for a second parser in the same emission."""
    return chunk.model_dump_json(exclude_none=True)


# Secrets -------------------------------------------------------------------------------------------------------------


def said_in(request: ReceivedRequest) -> str:
    return " ".join([request.path, request.query, *request.headers.values()])


def echoing(request: ReceivedRequest) -> script.Answer:
    """An answer whose headers say everything that was sent."""
    said = said_in(request)
    return script.Answer(
        script.answer("Hi"),
        headers={
            "x-request-id": said,
            "x-ratelimit-key": said,
            "x-ratelimit-target": request.query or "none",
            "retry-after": said,
        },
    )


SENT: dict[str, dict[str, Any]] = {
    "authorization": {"headers": {"Authorization": f"Bearer {KEY}"}},
    "api-key": {"headers": {"api-key": KEY}},
    "x-api-key": {"headers": {"X-Api-Key": KEY}},
    "cookie": {"headers": {"Cookie": f"a=b; sid={KEY}; c=d"}},
    "query": {"query": f"?api-version=1&api-key={KEY}"},
    "fragment": {"query": f"#{KEY}"},
}


def said_of(info: StreamInfo) -> str:
    return " ".join([repr(info), *(str(getattr(info, name)) for name in FIELDS)])


def url_of(base: str, sent: Mapping[str, Any]) -> str:
    return f"{base}{sent.get('query', '')}"


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
async def test_no_secret_that_the_server_echoes_is_in_it(sent: dict[str, Any], tmp_path: Path) -> None:
    async with ScriptedServer(echoing, repeat=True) as server:
        source = from_sse(url_of(server.url, sent), json={}, headers=sent.get("headers"))
        chunks: list[StreamChunk] = await source.pipe(
            ops.parse(), ops.tee_to(JSONLinesSink(tmp_path / "recording")), rx_ops.to_list()
        )
        (info,) = {id(chunk.stream): chunk.stream for chunk in chunks}.values()
        assert info is not None
        assert info.host == host_of(server)
        received = server.requests[0]

    assert (KEY in said_in(received)) is (sent != SENT["fragment"])
    # What is no secret is there.
    assert info.request_id is not None
    assert "/v1/chat/completions" in info.request_id
    assert set(info.rate_limits) == {"x-ratelimit-key", "x-ratelimit-target", "retry-after"}
    assert KEY not in said_of(info)
    assert KEY not in repr(chunks)
    assert KEY not in text_in(tmp_path / "recording")


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
async def test_no_secret_of_a_handshake_is_in_it(sent: dict[str, Any]) -> None:
    async with ScriptedServer("Hi") as server:
        source = from_websocket(url_of(server.ws_url, sent), send=({},), headers=sent.get("headers"))
        info = await info_of(source)

        assert info.host == host_of(server)
    assert KEY not in said_of(info)


async def test_no_secret_of_a_session_is_in_it() -> None:
    async with (
        ScriptedServer(echoing) as server,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
    ):
        info = await info_of(over_sse(server, session=session))

        assert f"Bearer {KEY}" == server.requests[0].headers["authorization"]
    assert KEY not in said_of(info)


async def test_no_cookie_of_a_session_and_no_login_is_in_it() -> None:
    async with ScriptedServer(echoing, repeat=True) as server:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookies={"sid": KEY}, cookie_jar=jar) as session:
            info = await info_of(over_sse(server, session=session))
        # A login in the address becomes a header.
        other = await info_of(from_sse(server.url.replace("://", f"://me:{KEY}@"), json={}))

        assert KEY in server.requests[0].headers["cookie"]
        login = server.requests[1].headers["authorization"].removeprefix("Basic ")
    assert KEY not in said_of(info)
    assert login not in said_of(other)


@pytest.mark.parametrize("kind", ["refused", "no event stream"])
async def test_no_secret_that_the_server_echoes_as_identifier_is_in_an_error(kind: str) -> None:
    def refusing(request: ReceivedRequest) -> script.Answer:
        headers = {"x-request-id": said_in(request), "content-type": "text/plain"}
        return script.status(401 if kind == "refused" else 200, "no", headers=headers)

    async with ScriptedServer(refusing) as server:
        with pytest.raises(APIError) as caught:
            await chunks_of(over_sse(server, headers={"Authorization": f"Bearer {KEY}"}))

    assert isinstance(caught.value, APIStatusError | APIResponseError)
    assert caught.value.request_id is not None
    assert KEY not in f"{caught.value!r} {vars(caught.value)}"


async def test_the_host_shows_neither_user_nor_password() -> None:
    async with ScriptedServer("Hi") as server:
        info = await info_of(from_sse(server.url.replace("://", f"://me:{KEY}@"), json={}))

        assert info.host == host_of(server)
    assert KEY not in said_of(info)


async def test_no_secret_that_a_redirect_leads_to_is_in_it() -> None:
    async with ScriptedServer("Hi") as there, ScriptedServer(script.redirect(f"{there.url}?key={KEY}")) as here:
        info = await info_of(over_sse(here))

        assert KEY in there.requests[0].query
        assert info.host == host_of(there)
    assert KEY not in said_of(info)


async def test_no_secret_is_in_the_completion() -> None:
    async with ScriptedServer(echoing) as server:
        source = from_sse(server.url, json={}, headers={"Authorization": f"Bearer {KEY}"})
        completion = await source.pipe(ops.parse(), ops.accumulate())

    assert isinstance(completion, ChatCompletion)
    assert completion.content == "Hi"
    assert KEY not in repr(completion)


def text_in(path: Path) -> str:
    return path.read_text("utf-8")
