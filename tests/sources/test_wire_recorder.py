"""What sources record of what they read, against a real server on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import resource
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as rx_ops
from yarl import URL

import rxllm
from rxllm.exceptions import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    DecodeError,
    LimitExceededError,
    RecordingError,
    StreamInterruptedError,
)
from rxllm.sources import Secrets, WireRecorder, from_sse, from_websocket
from rxllm.sources._wire_recorder import Blotter
from rxllm.testing import ReceivedRequest, ScriptedServer, WireRecording, script
from rxllm.wire import WireEnd, WireRead
from tests.thorough import times

KEY = "sk-a-secret-that-is-long"
EVENTS = [b"data: 1\n\n", b"data: 2\n\n", "data: ö".encode()[:-1], "ö\n\n".encode()[1:], b"data: [DONE]\n\n"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bug.jsonl"


def one_by_one(path: Path, *reads: bytes) -> Iterator[script.StepLike]:
    """What a server sends, each read when the one before is in the file."""
    for number, read in enumerate(reads):
        if number:
            yield from until_recorded(path, number)
        yield read


def until_recorded(path: Path, reads: int) -> Iterator[script.StepLike]:
    while len((recording := WireRecording.load(path)).reads) < reads and recording.end is None:
        yield script.delay(0)


async def collect(source: Observable[Any]) -> list[Any]:
    return await source.pipe(rx_ops.to_list())


async def collect_until_error(source: Observable[Any]) -> tuple[list[Any], Exception]:
    items: list[Any] = []
    with pytest.raises(rxllm.RxllmError) as caught:
        await source.pipe(rx_ops.do_action(items.append), rx_ops.count())
    return items, caught.value


def text_in(path: Path) -> str:
    return path.read_text("utf-8")


def write_text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def ending(recording: WireRecording) -> str | None:
    return None if recording.end is None else recording.end.ending


# What is kept


async def test_every_read_is_recorded_with_its_time(path: Path) -> None:
    async with ScriptedServer(one_by_one(path, *EVENTS)) as server:
        url = server.url.replace("://", "://me:my-password@")
        events = await collect(from_sse(f"{url}?key={KEY}#f", json={"messages": []}, record=path))

    recording = WireRecording.load(path)
    assert [event.data for event in events] == ["1", "2", "ö", "[DONE]"]
    assert recording.request.transport == "sse"
    assert recording.request.method == "POST"
    assert recording.request.url == server.url
    assert recording.response is not None
    assert recording.response.status == 200
    assert recording.response.headers == {
        "content-type": "text/event-stream",
        "transfer-encoding": "chunked",
        "x-request-id": "req-0",
    }
    assert [read.data for read in recording.reads] == EVENTS
    assert recording.end is not None
    times = [recording.response.at, *(read.at for read in recording.reads), recording.end.at]
    assert times == sorted(times)
    assert recording.end == WireEnd(times[-1], "eof")


@settings(max_examples=times(30))
@given(reads=st.lists(st.binary(min_size=1, max_size=20), max_size=5), gzip=st.booleans())
async def test_all_bytes_are_recorded_however_they_come(reads: list[bytes], gzip: bool) -> None:
    answer = script.Answer([b"data: x\n\n", *reads], gzip=gzip, fragment=1)
    async with aiohttp.ClientSession() as session, ScriptedServer(answer) as server:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "bug.jsonl")
            await from_sse(server.url, session=session, record=path).pipe(rx_ops.count())
            recording = WireRecording.load(path)

    # Compressed or not: what is recorded is what the decoder of events gets.
    assert recording.body == b"data: x\n\n" + b"".join(reads)
    assert recording.response is not None
    assert recording.response.headers.get("content-encoding") == ("gzip" if gzip else None)


async def test_the_file_can_be_read_by_people(path: Path) -> None:
    async with ScriptedServer(one_by_one(path, *EVENTS)) as server:
        await collect(from_sse(server.url, record=path))

    request, response, *reads, end = text_in(path).splitlines()
    assert request.startswith(
        '{"record":"request","version":1,"transport":"sse","method":"POST","url":"http://127.0.0.1'
    )
    assert response.startswith('{"record":"response","at":')
    assert reads[0].endswith(',"text":"data: 1\\n\\n"}')
    # A read that ends within a character.
    assert '"base64":' in reads[2]
    assert end.endswith(',"ending":"eof"}')


async def test_each_request_has_a_file_of_its_own(path: Path) -> None:
    write_text(path, "mine")
    async with ScriptedServer(b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n") as server:
        source = from_sse(server.url, record=str(path))
        await source
        # At the same time, too.
        await asyncio.gather(*(asyncio.ensure_future(source) for _ in range(2)))

    assert text_in(path) == "mine"
    bodies = [WireRecording.load(path.with_name(f"bug-{number}.jsonl")).body for number in (2, 3, 4)]
    assert sorted(bodies) == [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]


async def test_a_client_records_all_its_requests(path: Path) -> None:
    request = rxllm.ChatRequest(model="m", messages=[rxllm.Message(role=rxllm.Role.USER, content="Hello")])
    recorder = WireRecorder(path)
    async with (
        ScriptedServer("It is late.", "Over a WebSocket.") as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url, api_key=KEY, record=recorder) as client,
    ):
        await client.chat_stream(request).pipe(rxllm.operators.accumulate())
        await client.websocket_stream(request).pipe(rxllm.operators.accumulate())
        await recorder.wait_closed()

    # ``parse`` leaves at the end marker; the body had ended.
    assert ending(WireRecording.load(path)) == "eof"
    second = WireRecording.load(path.with_stem("bug-2"))
    assert second.request.transport == "websocket"
    assert second.request.url == server.ws_url
    assert "Hello" not in text_in(path)


async def test_a_read_is_in_the_file_before_anybody_sees_it(path: Path) -> None:
    seen: list[WireRecording] = []
    async with ScriptedServer(one_by_one(path, *EVENTS)) as server:
        source: Observable[Any] = from_sse(server.url, record=path)
        await source.pipe(rx_ops.do_action(lambda _: seen.append(WireRecording.load(path))), rx_ops.count())

    assert [len(recording.reads) for recording in seen] == [1, 2, 4, 5]
    assert [recording.end for recording in seen] == [None] * 4


# How it ended


@pytest.mark.parametrize(("end", "reset"), [(script.cut(), False), (script.reset(), True)], ids=["FIN", "RST"])
async def test_a_lost_connection_is_recorded_as_lost(path: Path, end: script.Step, *, reset: bool) -> None:
    async with ScriptedServer([b"data: 1\n\n", script.delay(0.01), end]) as server:
        events, error = await collect_until_error(from_sse(server.url, record=path))

    recording = WireRecording.load(path)
    assert isinstance(error, StreamInterruptedError)
    assert [event.data for event in events] == ["1"]
    assert recording.body == b"data: 1\n\n"
    assert recording.end is not None
    assert recording.end.ending == "lost"
    assert recording.end.error is not None
    assert recording.end.reset is reset


async def test_what_came_together_with_the_loss_is_recorded_before_it(path: Path) -> None:
    async with ScriptedServer([b"data: 1\n\n", script.cut()]) as server:
        events, _ = await collect_until_error(from_sse(server.url, record=path))

    assert [event.data for event in events] == ["1"]
    assert WireRecording.load(path).body == b"data: 1\n\n"
    assert ending(WireRecording.load(path)) == "lost"


async def test_no_connection_is_recorded_as_lost_without_an_answer(path: Path) -> None:
    async with ScriptedServer() as server:
        pass
    _, error = await collect_until_error(from_sse(server.url, record=path))

    recording = WireRecording.load(path)
    assert isinstance(error, APIConnectionError)
    assert recording.response is None
    assert recording.end == WireEnd(recording.end.at if recording.end else 0, "lost", "ClientConnectorError")


async def test_a_consumer_that_leaves_is_recorded(path: Path) -> None:
    async with ScriptedServer([b"data: 1\n\n", script.stall()]) as server:
        recorder = WireRecorder(path)
        await from_sse(server.url, record=recorder).pipe(rx_ops.take(1))
        await server.wait_disconnected()
        await recorder.wait_closed()

    recording = WireRecording.load(path)
    assert recording.body == b"data: 1\n\n"
    assert recording.end == WireEnd(recording.end.at if recording.end else 0, "left")


async def test_one_that_leaves_before_there_is_an_answer_is_recorded(path: Path) -> None:
    arrived = asyncio.Event()
    async with ScriptedServer(script.Answer([script.notify(arrived), script.stall()], framing="none")) as server:
        recorder = WireRecorder(path)
        subscription = from_sse(server.url, record=recorder).subscribe()
        await arrived.wait()
        subscription.dispose()
        await server.wait_disconnected()
        await recorder.wait_closed()

    assert WireRecording.load(path).response is None
    assert ending(WireRecording.load(path)) == "left"


async def test_what_a_source_refuses_is_recorded(path: Path) -> None:
    async with ScriptedServer(b"data: 1\n\ndata: 123456789\n\n") as server:
        _, error = await collect_until_error(from_sse(server.url, max_event_bytes=10, record=path))

    recording = WireRecording.load(path)
    assert isinstance(error, LimitExceededError)
    assert recording.body == b"data: 1\n\ndata: 123456789\n\n"
    assert recording.end is not None
    # The body may have ended before it was refused.
    assert recording.end.ending in {"eof", "left"}


async def test_an_answer_that_is_refused_is_recorded_with_its_body(path: Path) -> None:
    busy = script.status(429, {"error": "slow down"}, headers={"retry-after": "3", "set-cookie": "a=b"})
    async with ScriptedServer(busy) as server:
        _, error = await collect_until_error(from_sse(server.url, record=path))

    recording = WireRecording.load(path)
    assert isinstance(error, APIStatusError)
    assert recording.response is not None
    assert recording.response.status == 429
    assert recording.response.headers["retry-after"] == "3"
    assert "set-cookie" not in recording.response.headers
    assert recording.body == b'{"error":"slow down"}'
    assert ending(recording) == "eof"


async def test_a_redirect_is_followed_before_anything_is_recorded(path: Path) -> None:
    async with ScriptedServer(script.redirect("/v2"), b"data: 1\n\n") as server:
        await collect(from_sse(server.url, record=path))

    recording = WireRecording.load(path)
    assert recording.response is not None
    assert recording.response.status == 200
    assert recording.body == b"data: 1\n\n"


# Credentials


async def test_no_credential_is_in_the_file(path: Path) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    secrets = [KEY, "a-secret-cookie", "a-secret-password", 'odd/"secret"/key', "a-secret-of-the-session"]
    echo = "".join(secrets) + r"odd\/\"secret\"\/key" + "odd%2F%22secret%22%2Fkey"
    body = f"data: {echo}\n\n".encode()

    def answer(request: Any) -> script.Answer:
        del request
        return script.Answer([body], headers={"content-type": "text/event-stream", "server": KEY}, fragment=3)

    async with (
        ScriptedServer(answer) as server,
        aiohttp.ClientSession(cookie_jar=jar, headers={"X-Session": "a-secret-of-the-session"}) as session,
    ):
        jar.update_cookies({"session": "a-secret-cookie"}, URL(server.url))
        url = f"{server.url.replace('://', '://me:a-secret-password@')}?api-key={KEY}"
        await collect(from_sse(url, headers={"X-Odd": 'odd/"secret"/key'}, session=session, record=path))

    recording = WireRecording.load(path)
    # Lengths are as they were, and so are the reads.
    assert len(recording.body) == len(body)
    assert recording.body == b"data: " + b"*" * len(echo.encode()) + b"\n\n"
    assert not any(secret in text_in(path) for secret in secrets)
    assert recording.response is not None
    assert recording.response.headers["server"] == "…"


@pytest.mark.parametrize("echoed", ["/odd key/+=?:@%é/", "a+secret/key==&more", "plain-but-long-enough"])
@pytest.mark.parametrize("spelt", [quote, quote_plus, partial(quote, safe="")], ids=["path", "form", "all"])
async def test_a_credential_in_the_url_is_not_in_the_file_as_it_stood_there(
    path: Path, echoed: str, spelt: Callable[[str], str]
) -> None:
    def echo(request: ReceivedRequest) -> bytes:
        return b"data: " + request.query.encode() + f" {spelt(echoed)}\n\n".encode()

    async with ScriptedServer(echo, repeat=True) as server:
        built = URL(server.url).with_query(key=echoed)
        parsed = f"{server.url}?key={quote(echoed, safe='/=')}"
        for url in (built, parsed):
            await collect(from_sse(url, record=WireRecorder(path)))

    for file in path.parent.iterdir():
        body = WireRecording.load(file).body
        assert set(body.partition(b"key=")[2]) == {*b"* \n"}, body


SPELLED: dict[str, Callable[[str], str]] = {
    "slashes": lambda key: key.replace("/", r"\/"),
    "numbers": lambda key: key.replace("/", r"\u002f").replace("=", r"\\u003D"),
    "all numbers": lambda key: "".join(f"\\u{ord(letter):04x}" for letter in key),
    "lower case": lambda key: quote(key, safe="").replace("%2F", "%2f").replace("%C3", "%c3"),
    "twice": lambda key: quote(quote(key, safe=""), safe=""),
    "HTML": lambda key: key.replace("/", "&#x2F;").replace("ö", "&#246;"),
}


@pytest.mark.parametrize("fragment", [None, 1, 2, 5])
@pytest.mark.parametrize("spelled", SPELLED)
async def test_a_credential_is_not_in_the_file_however_it_is_spelled_and_divided(
    path: Path, spelled: str, fragment: int | None
) -> None:
    key = "key/of=öl/and=more"
    echo = SPELLED[spelled](key)
    async with ScriptedServer(script.Answer([f"data: <{echo}>\n\n".encode()], fragment=fragment)) as server:
        await collect(from_sse(URL(server.url).with_query(key=key), record=path))

    assert WireRecording.load(path).body == b"data: <" + b"*" * len(echo.encode()) + b">\n\n"


async def test_a_cookie_of_a_header_is_not_in_the_file(path: Path) -> None:
    async with ScriptedServer(b"data: a-secret-cookie another-secret\n\n") as server:
        await collect(from_sse(server.url, headers={"Cookie": "a=a-secret-cookie; b=another-secret"}, record=path))

    assert WireRecording.load(path).body == b"data: " + b"*" * 15 + b" " + b"*" * 14 + b"\n\n"


async def test_the_login_of_a_session_is_not_in_the_file(path: Path) -> None:
    with warnings.catch_warnings():
        # aiohttp 4 will not have it any more.
        warnings.simplefilter("ignore", DeprecationWarning)
        login = aiohttp.BasicAuth("me", "a-secret-password")
        session = aiohttp.ClientSession(auth=login)
    echo = f"data: a-secret-password {login.encode()}\n\n".encode()
    async with ScriptedServer(echo) as server, session:
        await collect(from_sse(server.url, session=session, record=path))

    assert WireRecording.load(path).body == b"data: " + b"*" * 17 + b" " + b"*" * len(login.encode()) + b"\n\n"


async def test_what_a_middleware_of_the_session_sends_is_not_in_the_file(path: Path) -> None:
    async def authorise(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = f"Bearer {KEY}"
        return await handler(request)

    async with (
        ScriptedServer(f"data: {KEY}\n\n".encode()) as server,
        aiohttp.ClientSession(middlewares=(authorise,)) as session,
    ):
        await collect(from_sse(server.url, session=session, record=path))

    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert WireRecording.load(path).body == b"data: " + b"*" * len(KEY) + b"\n\n"


async def test_a_text_frame_without_a_credential(path: Path) -> None:
    async with ScriptedServer([script.Event(f"ö: {KEY}"), script.close(4000, f"bad key {KEY}")]) as server:
        await collect_until_error(
            from_websocket(server.ws_url, send=("{}",), headers={"Authorization": f"Bearer {KEY}"}, record=path)
        )

    recording = WireRecording.load(path)
    assert [read.data for read in recording.reads] == ["ö: " + "*" * len(KEY)]
    assert recording.end == WireEnd(recording.end.at if recording.end else 0, "closed", code=4000, reason="bad key …")


async def test_a_credential_in_several_frames(path: Path) -> None:
    key = "sk-ö-a-secret-€-that-is-long"
    frames = [
        script.Event(f"ö: {key[:4]}"),
        script.Event(key[4:15]),
        script.Event(f"{key[15:]} ö"),
        script.Event("sk-ö"),
    ]
    async with ScriptedServer(frames) as server:
        url = URL(server.ws_url).with_query(key=key)
        await collect(from_websocket(url, send=("{}",), record=path))

    recording = WireRecording.load(path)
    pieces = (key[:4], key[4:15], key[15:])
    first, middle, last = ("*" * len(piece.encode()) for piece in pieces)
    assert [read.data for read in recording.reads] == [f"ö: {first}", middle, f"{last} ö", "sk-ö"]


def reads_of(*data: bytes) -> list[WireRead]:
    return [WireRead(float(number), each) for number, each in enumerate(data)]


def blotted(words: str, reads: list[WireRead]) -> list[WireRead]:
    blotter = Blotter(Secrets({"key": words}))
    return [blotted for read in reads for blotted in blotter.take(read)] + blotter.close()


@given(st.lists(st.sampled_from("ab"), max_size=60).map("".join), st.lists(st.integers(0, 60), max_size=5))
def test_a_credential_is_blotted_out_wherever_the_reads_are_cut(text: str, cuts: list[int]) -> None:
    word = "abaababa"
    data = f"{text}{word}{text}".encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    reads = reads_of(*pieces)

    result = blotted(word, reads)

    assert [read.at for read in result] == [read.at for read in reads]
    assert [len(read.data) for read in result] == [len(read.data) for read in reads]
    whole = b"".join(read.data for read in result if isinstance(read.data, bytes))
    assert whole == data.replace(word.encode(), b"*" * len(word))


@given(st.lists(st.binary(max_size=12), max_size=6))
def test_without_a_credential_in_it_nothing_changes(data: list[bytes]) -> None:
    assert blotted("none-of-that-is-in-it", reads_of(*data)) == reads_of(*data)


def test_a_read_that_may_begin_one_waits_for_the_next() -> None:
    blotter = Blotter(Secrets({"key": "abcdefghij"}))

    assert blotter.take(WireRead(0, b"data: x")) == [WireRead(0, b"data: x")]
    assert blotter.take(WireRead(1, b"data: abc")) == []
    assert blotter.take(WireRead(2, b"def")) == []
    assert blotter.take(WireRead(3, b"no\n")) == reads_of(b"", b"data: abc", b"def", b"no\n")[1:]


@pytest.mark.parametrize(("end", "shown"), [("abcdefg", "abcdefg"), ("abcdefgh", "********")])
def test_a_long_beginning_of_one_at_the_end_is_blotted_out(end: str, shown: str) -> None:
    assert blotted("abcdefghij", reads_of(f"x{end}".encode())) == reads_of(f"x{shown}".encode())


# Bounds and failures


async def test_what_is_beyond_the_bound_is_not_recorded(path: Path) -> None:
    async with ScriptedServer(one_by_one(path, *EVENTS)) as server:
        recorder = WireRecorder(path, max_bytes=20)
        events = await collect(from_sse(server.url, record=recorder))

    recording = WireRecording.load(path)
    assert len(events) == 4
    assert [read.data for read in recording.reads] == EVENTS[:2]
    assert ending(recording) == "limit"
    assert repr(recorder) == f"WireRecorder({str(path)!r}, max_bytes=20)"


async def test_the_bound_counts_bytes(path: Path) -> None:
    async with ScriptedServer([script.Event("öö"), script.Event("ö")]) as server:
        await collect(from_websocket(server.ws_url, send=("{}",), record=WireRecorder(path, max_bytes=5)))

    assert [read.data for read in WireRecording.load(path).reads] == ["öö"]
    assert ending(WireRecording.load(path)) == "limit"


def test_a_bound_that_is_none_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="max_bytes must be positive, not 0"):
        WireRecorder(path, max_bytes=0)


async def test_a_file_that_cannot_be_made_fails_the_stream_before_the_request(tmp_path: Path) -> None:
    async with ScriptedServer("Hello", repeat=True) as server:
        _, error = await collect_until_error(from_sse(server.url, record=tmp_path / "no" / "bug.jsonl"))

    assert isinstance(error, RecordingError)
    assert "No such file or directory" in str(error)
    assert server.requests == []


@contextlib.contextmanager
def filling_disk() -> Generator[Callable[[int], None]]:
    """Files may grow up to a number of bytes, as on a disk that gets full: those that pytest writes to as well."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_fails_the_stream_and_leaves_what_was_written(path: Path) -> None:
    def answer(fill: Callable[[int], None]) -> Iterator[script.StepLike]:
        yield from one_by_one(path, *EVENTS[:2])
        yield from until_recorded(path, 2)
        fill(path.stat().st_size + 30)
        yield EVENTS[0]
        yield script.stall()

    with filling_disk() as fill:
        async with ScriptedServer(answer(fill)) as server:
            events, error = await collect_until_error(from_sse(server.url, record=path))

    assert isinstance(error, RecordingError)
    assert "File too large" in str(error)
    assert len(events) == 2
    recording = WireRecording.load(path)
    assert [read.data for read in recording.reads] == EVENTS[:2]
    assert recording.end is None


async def test_a_disk_that_is_full_at_the_end_fails_the_stream(path: Path) -> None:
    def answer(fill: Callable[[int], None]) -> Iterator[script.StepLike]:
        yield from one_by_one(path, *EVENTS[:2])
        yield from until_recorded(path, 2)
        fill(path.stat().st_size)

    with filling_disk() as fill:
        async with ScriptedServer(answer(fill)) as server:
            events, error = await collect_until_error(from_sse(server.url, record=path))

    assert isinstance(error, RecordingError)
    assert len(events) == 2


async def test_what_the_stream_failed_with_has_precedence(path: Path) -> None:
    def answer(fill: Callable[[int], None]) -> Iterator[script.StepLike]:
        yield from one_by_one(path, *EVENTS[:2])
        yield from until_recorded(path, 2)
        fill(path.stat().st_size)
        yield script.cut()

    with filling_disk() as fill:
        async with ScriptedServer(answer(fill)) as server:
            _, error = await collect_until_error(from_sse(server.url, record=path))

    assert isinstance(error, StreamInterruptedError)
    assert error.__notes__ == [f"recording it failed, too: {path}: File too large"]


# WebSockets


async def test_frames_are_recorded(path: Path) -> None:
    binary = bytes([0x82, 2, 0xFF, 0x41])
    async with ScriptedServer([script.Event("schön"), script.raw(binary)]) as server:
        frames, error = await collect_until_error(from_websocket(server.ws_url, send=("{}",), record=path))

    recording = WireRecording.load(path)
    assert frames == ["schön"]
    assert isinstance(error, DecodeError)
    assert recording.request.transport == "websocket"
    assert recording.request.method == "GET"
    assert recording.response is not None
    assert recording.response.status == 101
    assert [read.data for read in recording.reads] == ["schön", b"\xffA"]
    assert recording.end == WireEnd(recording.end.at if recording.end else 0, "left", "DecodeError")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], WireEnd(0, "closed", code=1000)),
        ([script.close(4000, "enough")], WireEnd(0, "closed", code=4000, reason="enough")),
        ([script.delay(0.01), script.cut()], WireEnd(0, "lost")),
        ([script.raw(b"\x83\x00"), script.stall()], WireEnd(0, "left", error="DecodeError")),
    ],
    ids=["closed", "closed with a code", "lost", "broken protocol"],
)
async def test_endings_of_a_websocket(path: Path, steps: list[script.StepLike], expected: WireEnd) -> None:
    async with ScriptedServer([script.Event("1"), *steps]) as server:
        source: Observable[Any] = from_websocket(server.ws_url, send=("{}",), record=path)
        await collect(source.pipe(rx_ops.materialize()))

    recording = WireRecording.load(path)
    assert [read.data for read in recording.reads] == ["1"]
    assert recording.end is not None
    assert WireEnd(0, *astuple(recording.end)[1:]) == expected


@pytest.mark.parametrize(("status", "kind"), [(403, APIStatusError), (200, APIResponseError)])
async def test_a_refused_handshake_is_recorded(path: Path, status: int, kind: type[Exception]) -> None:
    answer = script.status(status) if status != 200 else script.Answer(status=201)
    async with ScriptedServer(answer) as server:
        _, error = await collect_until_error(from_websocket(server.ws_url, record=path))

    recording = WireRecording.load(path)
    assert isinstance(error, kind)
    assert recording.response is not None
    assert recording.response.status == answer.status
    assert ending(recording) == "eof"


class BrokenError(aiohttp.ClientError):
    """Says what no terminal is to get."""


async def test_a_cause_that_is_not_shown_as_it_is_keeps_its_name(path: Path) -> None:
    async def fail(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        del request, handler
        raise BrokenError(f"\x1b[2J{KEY}")

    async with aiohttp.ClientSession(middlewares=(fail,)) as session:
        with pytest.raises(APIConnectionError) as caught:
            await from_sse("http://host", headers={"X-Key": KEY}, session=session, record=path)

    assert str(caught.value) == "no answer from http://host/: ␛[2J…"
    assert str(caught.value.__cause__) == "BrokenError: ␛[2J…"
    end = WireRecording.load(path).end
    assert end is not None
    assert (end.ending, end.error) == ("lost", "BrokenError")
