"""Recordings of the wire, played again: in virtual time, and by a server on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm.exceptions import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    ChunkTimeoutError,
    DecodeError,
    LimitExceededError,
    RecordingError,
    RxllmError,
    StreamInterruptedError,
)
from rxllm.flow import FlowControl
from rxllm.models import ChatCompletion
from rxllm.sinks import JSONLinesSink, SQLiteSink
from rxllm.sources import from_sse, from_websocket
from rxllm.testing import (
    ScriptedServer,
    VirtualTimeError,
    VirtualTimeScheduler,
    WireRecording,
    record,
    replay,
    replay_reads,
    run_virtual,
    script,
    virtual_time,
)
from rxllm.wire import WireEnd, WireRead, WireRecord, WireRequest, WireResponse, encode_record

KEY = "sk-a-secret-that-is-long"
REQUEST = WireRequest("sse", "POST", "https://host/v1/chat", "2025-01-31T12:00:00.000+00:00")
SOCKET = WireRequest("websocket", "GET", "wss://host/v1/chat", "2025-01-31T12:00:00.000+00:00")
HEAD = WireResponse(0.1, 200, {"content-type": "text/event-stream; charset=utf-8", "x-request-id": "req-7"})
SWITCHED = WireResponse(0.1, 101)
EOF_ = WireEnd(0.75, "eof")


def recording(
    *reads: tuple[float, bytes | str],
    end: WireEnd | None = EOF_,
    response: WireResponse | None = HEAD,
    request: WireRequest = REQUEST,
) -> WireRecording:
    return WireRecording(request, response, tuple(WireRead(at, data) for at, data in reads), end)


def written(path: Path, made: WireRecording) -> Path:
    noted: list[WireRecord | None] = [made.request, made.response, *made.reads, made.end]
    records: list[WireRecord] = [each for each in noted if each is not None]
    path.write_bytes(b"".join(encode_record(each, made.request.transport) for each in records))
    return path


TWO = recording((0.25, b"data: 1\n\nda"), (0.5, b"ta: 2\n\n"))


async def observed(source: Observable[Any]) -> tuple[list[tuple[float, Any]], float]:
    """The items with the times at which they came, and the time of the end."""
    now = asyncio.get_running_loop().time
    started = now()
    items: list[tuple[float, Any]] = []
    await source.pipe(rx_ops.do_action(lambda item: items.append((now() - started, item))), rx_ops.count())
    return items, now() - started


async def failure(source: Observable[Any]) -> tuple[int, Exception, float]:
    """How many items came before the error, which, and when."""
    now = asyncio.get_running_loop().time
    items: list[Any] = []
    with pytest.raises(RxllmError) as caught:
        await source.pipe(rx_ops.do_action(items.append), rx_ops.count())
    return len(items), caught.value, now()


# Files


@given(
    st.lists(st.tuples(st.floats(0, 1e6).map(lambda at: round(at, 6)), st.binary()), max_size=8).map(sorted),
    st.sampled_from([None, WireEnd(1e6, "eof"), WireEnd(1e6, "lost", "ClientPayloadError", reset=True)]),
)
def test_a_file_holds_the_whole_recording(reads: list[tuple[float, bytes]], end: WireEnd | None) -> None:
    made = recording(*reads, end=end, response=replace(HEAD, at=0.0))

    with tempfile.TemporaryDirectory() as folder:
        assert WireRecording.load(written(Path(folder, "bug.jsonl"), made)) == made


def test_of_a_process_that_was_killed_there_is_what_was_written(tmp_path: Path) -> None:
    path = written(tmp_path / "bug.jsonl", TWO)
    lines = path.read_bytes().splitlines(keepends=True)
    for cut in range(len(lines[0]), path.stat().st_size):
        path.write_bytes(b"".join(lines)[:cut])
        loaded = WireRecording.load(path)
        assert loaded.end is None
        assert loaded.reads == TWO.reads[: len(loaded.reads)]
    path.write_bytes(lines[0][:-1])
    with pytest.raises(RecordingError, match=r"there is no whole line in it: '{"):
        WireRecording.load(path)


RECORDS: list[WireRecord] = [TWO.request, HEAD, *TWO.reads, EOF_]
LINES = [encode_record(each) for each in RECORDS]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no wire recording: there is no whole line in it: ''"),
        ([b"<html>\x1b[31m\n"], r"line 1 is not a record of a wire recording: Expecting value.*: '<html>␛\[31m'"),
        ([LINES[1]], 'line 1 is .* stands in the wrong place: \'{"record":"response"'),
        ([LINES[0], LINES[0]], "line 2 is .* stands in the wrong place"),
        ([LINES[0], LINES[2]], "line 2 is .* stands in the wrong place"),
        ([LINES[0], LINES[1], LINES[1]], "line 3 is .* stands in the wrong place"),
        ([*LINES, LINES[2]], "line 6 is .* stands in the wrong place"),
        ([*LINES, LINES[4]], "line 6 is .* stands in the wrong place"),
        ([*LINES[:2], LINES[3], LINES[2]], "line 4 is .* earlier than the line before"),
        ([LINES[0], b"\n", LINES[1]], "line 2 is "),
        ([LINES[0].replace(b'"version":1', b'"version":9')], "line 1 is .* version 9 of the format"),
    ],
)
def test_what_is_no_recording_is_refused_with_the_line(tmp_path: Path, lines: list[bytes], message: str) -> None:
    path = tmp_path / "bug.jsonl"
    path.write_bytes(b"".join(lines))

    with pytest.raises(RecordingError, match=message) as caught:
        WireRecording.load(path)
    assert str(caught.value).startswith(f"{path}: ")


@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(b"".join(LINES))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bug.jsonl")
        path.write_bytes(content)
        with contextlib.suppress(RecordingError):
            assert isinstance(WireRecording.load(path), WireRecording)


def test_a_missing_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file or directory"):
        replay(tmp_path / "none.jsonl")


@pytest.mark.parametrize("sink", [JSONLinesSink, SQLiteSink])
async def test_what_a_sink_recorded_is_told_apart(
    tmp_path: Path, sink: Callable[[Path], JSONLinesSink | SQLiteSink]
) -> None:
    path = tmp_path / "chats"
    await recording_of_items().pipe(ops.tee_to(sink(path)))

    with pytest.raises(RecordingError, match=r"items that a sink has recorded, which rxllm\.from_recording plays"):
        WireRecording.load(path)


def recording_of_items() -> Observable[Any]:
    return replay(TWO, timing="none")


def test_the_body_in_one_piece() -> None:
    assert TWO.body == b"data: 1\n\ndata: 2\n\n"
    assert recording((0.2, "ö"), (0.3, b"\xff"), request=SOCKET).body == "ö".encode() + b"\xff"


# In virtual time


@virtual_time
async def test_events_come_at_their_very_time() -> None:
    items, end = await observed(replay(TWO).pipe(rx_ops.map(data_of)))

    assert items == [(0.25, "1"), (0.5, "2")]
    assert end == 0.75


def data_of(event: Any) -> str:
    return event if isinstance(event, str) else event.data


@virtual_time
async def test_reads_come_at_their_very_time() -> None:
    items, end = await observed(replay_reads(TWO))

    assert items == [(0.25, b"data: 1\n\nda"), (0.5, b"ta: 2\n\n")]
    assert end == 0.75


@given(st.lists(st.tuples(st.integers(0, 10**9), st.binary(min_size=1)), max_size=8))
def test_any_read_comes_exactly_at_its_time(reads: list[tuple[int, bytes]]) -> None:
    timed = sorted((at / 10**6, data) for at, data in reads)

    items, _ = run_virtual(observed(replay_reads(recording(*timed, end=WireEnd(2000, "eof")))))

    assert items == timed


@virtual_time
async def test_faster_and_at_once() -> None:
    assert (await observed(replay_reads(TWO, speed=5)))[1] == 0.15
    items, end = await observed(replay_reads(TWO, timing="none"))
    assert [at for at, _ in items] == [0, 0]
    assert end == 0


@virtual_time
async def test_a_scheduler_says_whose_time_it_is() -> None:
    items, _ = await observed(replay_reads(TWO, scheduler=VirtualTimeScheduler()))

    assert [at for at, _ in items] == [0.25, 0.5]


@virtual_time
async def test_it_is_cold() -> None:
    source = replay(TWO)

    assert await observed(source) == await observed(source)


@virtual_time
async def test_a_pause_holds_it_back() -> None:
    holder = object()
    times: list[float] = []
    loop = asyncio.get_running_loop()

    def note(_: object) -> None:
        times.append(loop.time())
        flow = FlowControl.current()
        assert flow is not None
        flow.pause(holder)
        loop.call_later(10, flow.resume, holder)

    source: Observable[Any] = replay(TWO)
    await source.pipe(rx_ops.do_action(note), rx_ops.count())

    assert times == [0.25, 10.25]
    assert loop.time() == 20.25


@virtual_time
async def test_it_can_be_disposed() -> None:
    items: list[Any] = []
    subscription = replay(TWO).subscribe(items.append)
    await asyncio.sleep(0.3)
    subscription.dispose()
    await asyncio.sleep(1)

    assert len(items) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"speed": 0.0}, "speed must be positive"), ({"timing": "exact"}, "timing must be 'none' or 'recorded'")],
)
def test_wrong_options_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    for play in (replay, replay_reads, WireRecording.answer):
        with pytest.raises(ValueError, match=message):
            play(TWO, **options)


LATE = recording(
    (0.5, b'data: {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n'),
    (2.5, b": ping\n\n"),
    (11.0, b'data: {"choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": "stop"}]}\n\n'),
    (11.5, b"data: [DONE]\n\n"),
    end=WireEnd(11.5, "eof"),
)


@virtual_time
async def test_time_outs_happen_as_they_did() -> None:
    completion = await replay(LATE).pipe(ops.parse(), ops.timeout_per_chunk(11), ops.accumulate())
    assert completion.content == "Hello"

    started = asyncio.get_running_loop().time()
    with pytest.raises(ChunkTimeoutError) as caught:
        await replay(LATE).pipe(ops.parse(), ops.timeout_per_chunk(10.0), ops.accumulate())
    assert asyncio.get_running_loop().time() - started == 10.5
    assert isinstance(caught.value.partial, ChatCompletion)
    assert caught.value.partial.content == "Hel"


@virtual_time
async def test_the_bytes_through_operators_of_ones_own_choice() -> None:
    completion = await replay_reads(LATE).pipe(
        ops.decode_sse(), ops.parse(), ops.timeout_per_chunk(11), ops.accumulate()
    )

    assert completion.content == "Hello"


# Endings


LOST = WireEnd(0.75, "lost", "ClientPayloadError")


@pytest.mark.parametrize(
    ("made", "kind", "message", "events", "at"),
    [
        (replace(TWO, end=LOST), StreamInterruptedError, "lost after 2 events: ClientPayloadError", 2, 0.75),
        (replace(TWO, end=None), StreamInterruptedError, "stops after 2 reads: its process was killed", 2, 0.5),
        (replace(TWO, end=WireEnd(0.75, "limit")), RecordingError, "cut off after 2 reads: more came", 2, 0.75),
        (recording(response=None, end=LOST), APIConnectionError, "no answer from https://host/v1/chat", 0, 0.75),
        (recording(response=None, end=None), StreamInterruptedError, "stops after 0 reads", 0, 0.0),
        (
            recording((0.2, "a"), end=LOST, request=SOCKET, response=SWITCHED),
            StreamInterruptedError,
            "after 1",
            1,
            0.75,
        ),
        (
            recording(end=WireEnd(0.75, "lost"), request=SOCKET, response=SWITCHED),
            StreamInterruptedError,
            "no closing frame",
            0,
            0.75,
        ),
        (
            recording((0.2, "a"), end=WireEnd(1, "closed", code=4000, reason="no"), request=SOCKET, response=SWITCHED),
            StreamInterruptedError,
            "closed with code 4000 'no'",
            1,
            1.0,
        ),
    ],
)
def test_it_ends_as_it_did(made: WireRecording, kind: type[Exception], message: str, events: int, at: float) -> None:
    count, error, end = run_virtual(failure(replay(made)))

    assert type(error) is kind
    assert message in str(error)
    assert getattr(error, "events", events) == events
    assert (count, end) == (events, at)


@virtual_time
async def test_where_the_client_left_nothing_more_comes() -> None:
    left = replace(TWO, end=WireEnd(0.75, "left"))

    with pytest.raises(ChunkTimeoutError):
        await replay(left).pipe(ops.timeout_per_chunk(5))
    assert asyncio.get_running_loop().time() == 5.5


def test_who_waits_for_more_than_is_known_is_told() -> None:
    async def main() -> None:
        await replay(replace(TWO, end=WireEnd(0.75, "left")))

    with pytest.raises(VirtualTimeError, match="nothing is left to wait for"):
        run_virtual(main())


@virtual_time
async def test_what_the_client_refused_is_not_in_the_recording() -> None:
    refused = replace(TWO, end=WireEnd(0.75, "left", error="DecodeError"))

    with pytest.raises(RecordingError, match="stops where the client refused what came: DecodeError"):
        await replay(refused)
    assert asyncio.get_running_loop().time() == 0.75


@pytest.mark.parametrize("code", [None, 0, 1000, 1005])
@virtual_time
async def test_a_normal_close_completes(code: int | None) -> None:
    made = recording((0.25, "a"), end=WireEnd(0.5, "closed", code=code), request=SOCKET, response=SWITCHED)

    assert await observed(replay(made)) == ([(0.25, "a")], 0.5)


@virtual_time
async def test_a_binary_frame_is_refused() -> None:
    made = recording((0.25, "a"), (0.5, b"b"), end=WireEnd(0.5, "left"), request=SOCKET, response=SWITCHED)

    count, error, _ = await failure(replay(made))
    assert count == 1
    assert isinstance(error, DecodeError)
    assert error.position == 1
    assert await replay_reads(made).pipe(rx_ops.take(2), rx_ops.to_list()) == [b"a", b"b"]


BUSY = WireResponse(0.1, 429, {"content-type": "application/json", "retry-after": "3", "x-request-id": "req-7"})


@virtual_time
async def test_a_refused_request_is_refused_again() -> None:
    refused = recording((0.25, b'{"error": "slow down"}'), response=BUSY)

    _, error, at = await failure(replay(refused))

    assert isinstance(error, APIStatusError)
    assert str(error) == """429 from https://host/v1/chat: '{"error": "slow down"}'"""
    assert (error.status, error.body, error.request_id, error.retry_after) == (
        429,
        '{"error": "slow down"}',
        "req-7",
        3.0,
    )
    assert at == 0.75
    # Its body can be had.
    assert await replay_reads(refused) == b'{"error": "slow down"}'
    # The answer was still coming in.
    _, error, at = await failure(replay(replace(refused, end=None)))
    assert isinstance(error, APIStatusError)
    assert at == 0.75 + 0.75 + 0.25


@virtual_time
async def test_an_answer_that_is_no_event_stream() -> None:
    html = recording((0.25, b"<html>"), response=WireResponse(0.1, 200, {"content-type": "text/html"}))

    _, error, _ = await failure(replay(html))

    assert isinstance(error, APIResponseError)
    assert "answered 200 with text/html instead of text/event-stream: '<html>'" in str(error)
    assert error.content_type == "text/html"
    assert await observed(replay(html, check_content_type=False)) == ([], 0.75)
    _, error, at = await failure(replay(replace(html, response=WireResponse(0.1, 200))))
    assert isinstance(error, APIResponseError)
    assert "answered 200 with no event stream: '<html>'" in str(error)
    assert at == 3 * 0.75


@pytest.mark.parametrize(("status", "kind"), [(403, APIStatusError), (200, APIResponseError)])
@virtual_time
async def test_a_refused_handshake(status: int, kind: type[Exception]) -> None:
    _, error, _ = await failure(replay(recording(response=WireResponse(0.1, status), request=SOCKET)))

    assert type(error) is kind


@virtual_time
async def test_an_event_that_is_too_large() -> None:
    _, error, _ = await failure(replay(TWO, max_event_bytes=6))

    assert isinstance(error, LimitExceededError)


# Over a loopback port


@pytest.mark.parametrize("timing", ["none", "recorded"])
async def test_a_server_sends_the_same_reads(timing: Literal["none", "recorded"]) -> None:
    async with ScriptedServer(TWO.answer(timing=timing, speed=100), repeat=True) as server:
        for _ in range(2):
            events = await from_sse(server.url).pipe(rx_ops.map(data_of), rx_ops.to_list())
            assert events == ["1", "2"]

    assert server.requests[0].chunks_written == 0


async def outcome(source: Observable[Any]) -> tuple[list[Any], tuple[type[Exception], bool] | None]:
    items: list[Any] = []
    try:
        await source.pipe(rx_ops.do_action(items.append), rx_ops.count())
    except RxllmError as error:
        return items, (type(error), error.retryable)
    return items, None


def told_by(made: WireRecording) -> dict[str, str]:
    """The headers that do not say how the body is sent."""
    if made.response is None:
        return {}
    headers = made.response.headers
    return {name: value for name, value in headers.items() if name not in {"content-length", "transfer-encoding"}}


@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        (script.Answer(script.answer("Hel", "lo")), "eof"),
        (script.Answer(script.answer("Hel", "lo"), gzip=True), "eof"),
        (script.Answer([*script.answer("Hel")[:2], script.delay(0.01), script.cut()]), "lost"),
        (script.Answer([*script.answer("Hel")[:2], script.delay(0.01), script.reset()]), "lost"),
        (script.status(503, "later", headers={"retry-after": "7", "x-should-retry": "false"}), "eof"),
        (script.status(200, {"error": "none"}), "eof"),
        (script.Answer([script.cut()], framing="none"), "lost"),
        (script.Answer([script.reset()], framing="none"), "lost"),
    ],
    ids=["whole", "gzip", "FIN", "RST", "refused", "no stream", "no answer", "no answer, RST"],
)
async def test_recorded_and_served_again_it_is_the_same(tmp_path: Path, answer: script.Answer, ending: str) -> None:
    path = tmp_path / "bug.jsonl"
    async with ScriptedServer(answer) as server:
        first = await outcome(from_sse(server.url, record=path))
    made = WireRecording.load(path)
    async with ScriptedServer(made.answer(speed=10)) as server:
        again = await outcome(from_sse(server.url, record=tmp_path / "again.jsonl"))
    remade = WireRecording.load(tmp_path / "again.jsonl")

    assert made.end is not None
    assert made.end.ending == ending
    assert again == first
    assert await outcome(replay(path, timing="none")) == first
    assert remade.body == made.body
    assert told_by(remade) == told_by(made)
    assert remade.end is not None
    assert replace(remade.end, at=0) == replace(made.end, at=0)


@pytest.mark.parametrize(
    "answer",
    [
        script.Answer([script.Event("ö"), script.Event("2")]),
        script.Answer([script.Event("1"), script.close(4000, "enough")]),
        script.Answer([script.Event("1"), script.raw(b"\x88\x00")]),
        script.Answer([script.Event("1"), script.delay(0.01), script.cut()]),
        script.Answer([script.raw(b"\x82\x02\xffA")]),
        script.Answer(status=403),
        script.Answer([script.cut()], status=503, framing="none"),
    ],
    ids=["closed", "closed with a code", "closed without a code", "FIN", "binary", "refused", "no answer"],
)
async def test_recorded_and_served_again_a_websocket_is_the_same(tmp_path: Path, answer: script.Answer) -> None:
    # Where no answer comes to a GET, aiohttp asks once more.
    async with ScriptedServer(answer, repeat=True) as server:
        first = await outcome(from_websocket(server.ws_url, send=("{}",), record=tmp_path / "bug.jsonl"))
    made = WireRecording.load(tmp_path / "bug.jsonl")
    async with ScriptedServer(made.answer(timing="none"), repeat=True) as server:
        again = await outcome(from_websocket(server.ws_url, send=("{}",), record=tmp_path / "again.jsonl"))
    remade = WireRecording.load(tmp_path / "again.jsonl")

    assert again == first
    assert await outcome(replay(made, timing="none")) == first
    assert [read.data for read in remade.reads] == [read.data for read in made.reads]
    assert made.end is not None
    assert remade.end is not None
    assert replace(remade.end, at=0) == replace(made.end, at=0)


async def test_where_the_client_had_left_the_server_is_silent() -> None:
    left = replace(TWO, end=WireEnd(0.75, "left"))
    async with ScriptedServer(left.answer(timing="none")) as server:
        with pytest.raises(ChunkTimeoutError):
            await from_sse(server.url).pipe(ops.timeout_per_chunk(0.05, first=5))
        await server.requests[0].peer_left.wait()


@pytest.mark.parametrize(
    "end",
    [None, WireEnd(0.75, "limit"), WireEnd(0.75, "left", error="DecodeError")],
    ids=["killed", "limit", "refused"],
)
async def test_a_recording_that_stops_early_is_cut(end: WireEnd | None) -> None:
    async with ScriptedServer(replace(TWO, end=end).answer(timing="none")) as server:
        items, failure = await outcome(from_sse(server.url))

    assert len(items) == 2
    assert failure == (StreamInterruptedError, True)


# Recording one request


async def test_one_request_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "bug.jsonl"
    written(path, TWO)
    async with ScriptedServer("Hello") as server:
        made = await record(server.url, path, json={"n": 1}, headers={"Authorization": f"Bearer {KEY}"})

    assert server.requests[0].json == {"n": 1}
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    # What was there is replaced.
    assert made == WireRecording.load(path)
    assert [entry.name for entry in entries(tmp_path)] == ["bug.jsonl"]
    assert made.end is not None
    assert made.end.ending == "eof"
    assert (await replay(made).pipe(ops.parse(), ops.accumulate())).content == "Hello"


def entries(folder: Path) -> Sequence[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("body", [None, {"n": 1}])
async def test_one_websocket_is_recorded(tmp_path: Path, body: dict[str, int] | None) -> None:
    answer = script.Answer([script.Event("Hello")], speaks_first=body is None)
    async with ScriptedServer(answer) as server:
        made = await record(server.ws_url, tmp_path / "bug.jsonl", json=body)

    assert made.reads[0].data == "Hello"
    assert made.end is not None
    assert made.end.ending == "closed"


async def test_whatever_comes_back_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "bug.jsonl"
    async with ScriptedServer(script.status(500, "broken"), script.status(200, "plain"), [script.cut()]) as server:
        refused, plain, cut = [await record(server.url, path) for _ in range(3)]
    gone = await record(server.url, path)

    assert refused.response is not None
    assert refused.response.status == 500
    assert (refused.body, plain.body, cut.body) == (b"broken", b"plain", b"")
    assert [made.end and made.end.ending for made in (refused, plain, cut, gone)] == ["eof", "eof", "lost", "lost"]
    assert gone.response is None


async def test_a_header_that_is_no_utf_8_is_recorded_and_served_again(tmp_path: Path) -> None:
    name = b"caf\xe9".decode(errors="surrogateescape")
    answer = script.Answer(["hi", script.done()], headers={"x-request-id": name})
    async with ScriptedServer(answer) as server:
        made = await record(server.url, tmp_path / "latin.jsonl")
    async with ScriptedServer(made.answer()) as server:
        remade = await record(server.url, tmp_path / "again.jsonl")

    for recording in (made, remade):
        assert recording.response is not None
        assert recording.response.headers["x-request-id"] == name


async def test_a_file_that_cannot_be_replaced_is_a_typed_error(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        with pytest.raises(RecordingError, match=r"Is a directory|Operation not permitted"):
            await record(server.url, tmp_path)
        with pytest.raises(RecordingError, match="No such file"):
            await record(server.url, tmp_path / "no" / "bug.jsonl")


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
async def test_a_link_leads_to_what_is_replaced_and_a_pipe_or_a_device_is_not(tmp_path: Path) -> None:
    file, link, pipe = (tmp_path / name for name in ("bug.jsonl", "last.jsonl", "pipe"))
    file.write_text("old")
    link.symlink_to(file)
    os.mkfifo(pipe)
    async with ScriptedServer("Hello") as server:
        made = await record(server.url, link)
        with pytest.raises(RecordingError, match="not a file"):
            await record(server.url, pipe)

    assert pipe.is_fifo()
    assert link.is_symlink()
    assert WireRecording.load(file).body == made.body != b""


async def test_cancelling_leaves_what_came(tmp_path: Path) -> None:
    path = tmp_path / "bug.jsonl"
    arrived = asyncio.Event()
    async with ScriptedServer([b"data: 1\n\n", script.delay(0.01), script.notify(arrived), script.stall()]) as server:
        task = asyncio.create_task(record(server.url, path))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.wait_disconnected()


# What is known of the request


async def test_chunks_of_a_recording_know_the_request_that_was_recorded() -> None:
    chunk = '{"choices":[{"index":0,"delta":{"content":"größer"},"finish_reason":"stop"}]}'
    event = f"data: {chunk}\n\n".encode()
    began = datetime(2025, 1, 31, 12, tzinfo=UTC).timestamp()
    body = recording((0.25, event[:10]), (0.5, event[10:]))
    frames = recording((0.5, chunk), end=WireEnd(0.75, "closed", code=1000), response=SWITCHED, request=SOCKET)

    played = replay(body, timing="none")
    for source, first, count, identifier in (
        (played, 0.25, len(event), "req-7"),
        (replay_reads(body, timing="none").pipe(ops.decode_sse()), 0.25, len(event), "req-7"),
        (replay(frames, timing="none"), 0.5, len(chunk.encode()), None),
    ):
        stream = (await source.pipe(ops.parse())).stream
        assert stream is not None
        assert (stream.host, stream.request_id, stream.requested_at) == ("host", identifier, began)
        assert (stream.first_byte_at, stream.last_byte_at, stream.bytes) == (began + first, began + 0.5, count)


async def test_a_request_began_at_some_time() -> None:
    made = recording((0.25, b"data: 1\n\n"), request=replace(REQUEST, began="yester\x1b[31mday"))
    with pytest.raises(RecordingError, match=r"yester.*is not a time") as caught:
        await replay(made, timing="none")
    assert "\x1b" not in str(caught.value)
