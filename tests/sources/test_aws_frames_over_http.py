"""Frames of AWS over real connections: by the source, and by the replay of what it recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import (
    APIResponseError,
    DecodeError,
    LimitExceededError,
    RxllmError,
    StreamInterruptedError,
)
from rxllm.sinks import JSONLinesSink
from rxllm.sources import WireRecorder
from rxllm.testing import ScriptedServer, WireRecording, replay, script
from rxllm.testing.script import Frame
from rxllm.wire import AWS_FRAMES, AWSFrame, UnsignedRequest, encode_aws_frame

ONE = AWSFrame({":event-type": "a", "n": 1}, b'{"n":1}')
TWO = AWSFrame({":event-type": "b"}, b'{"n":2}')
BODY = b"".join(encode_aws_frame(*frame) for frame in (ONE, TWO))


def answer(*steps: script.StepLike, content_type: str = AWS_FRAMES, **options: Any) -> script.Answer:
    return script.Answer(steps, content_type=content_type, **options)


async def outcome(source: rxllm.flow.Stream[Any]) -> tuple[list[Any], Exception | None]:
    items: list[Any] = []
    try:
        await source.pipe(rx_ops.do_action(items.append), rx_ops.count())
    except RxllmError as error:
        return items, error
    return items, None


async def each_way(answer: script.Answer, path: Path, **options: Any) -> tuple[list[Any], Exception | None]:
    """What comes of an answer from the source. A replay of what was recorded has to give the same."""
    recorder = WireRecorder(path)
    async with ScriptedServer(answer) as server:
        source = rxllm.from_http(server.url, framing="aws-event-stream", json={}, record=recorder, **options)
        items, error = await outcome(source)
        assert server.requests[0].headers["accept"] == AWS_FRAMES
    await recorder.wait_closed()
    assert WireRecording.load(path).request.transport == "aws-event-stream"
    again, second = await outcome(replay(path, timing="none", **options))
    assert (again, type(second)) == (items, type(error))
    return items, error


@pytest.mark.parametrize("fragment", [None, 1, 5])
@pytest.mark.parametrize("content_type", [AWS_FRAMES, "application/octet-stream", "text/event-stream"])
async def test_what_comes_is_what_the_replay_of_its_recording_gives(
    content_type: str, fragment: int | None, tmp_path: Path
) -> None:
    served = answer(BODY, content_type=content_type, fragment=fragment)
    assert await each_way(served, tmp_path / "frames.jsonl") == ([ONE, TWO], None)


async def test_a_wrong_checksum_is_an_error_behind_the_frames_before_it(tmp_path: Path) -> None:
    items, error = await each_way(answer(BODY[:-1] + b"\0"), tmp_path / "wrong.jsonl")
    assert items == [ONE]
    assert isinstance(error, DecodeError)
    assert "frame 1 (at byte " in error.message


@pytest.mark.parametrize("steps", [[], [script.cut()]], ids=["in good order", "lost"])
async def test_a_body_that_ends_within_a_frame_was_cut(steps: list[Any], tmp_path: Path) -> None:
    items, error = await each_way(answer(BODY[:-1], *steps), tmp_path / "cut.jsonl")
    assert items == [ONE]
    assert isinstance(error, StreamInterruptedError)
    assert error.events == 1


async def test_a_frame_that_is_too_large(tmp_path: Path) -> None:
    items, error = await each_way(
        answer(BODY, Frame({}, bytes(100))), tmp_path / "large.jsonl", max_event_bytes=len(BODY)
    )
    assert items == [ONE, TWO]
    assert isinstance(error, LimitExceededError)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"message": "no stream"}', "application/json"),
        (b"<html>no stream</html>", "text/html"),
        (b"no", "text/plain"),
    ],
)
async def test_a_body_that_has_no_frames(body: bytes, content_type: str, tmp_path: Path) -> None:
    items, error = await each_way(answer(body, content_type=content_type), tmp_path / "other.jsonl")
    assert items == []
    assert isinstance(error, APIResponseError)
    assert f"{content_type} instead of {AWS_FRAMES}" in error.message
    assert error.body == body.decode()


async def test_a_body_that_is_empty(tmp_path: Path) -> None:
    assert await each_way(answer(b""), tmp_path / "empty.jsonl") == ([], None)


async def test_an_end_marker_is_the_payload_of_a_frame() -> None:
    async with ScriptedServer(answer(BODY, Frame({}, b"[DONE]"), Frame({}, b"x"))) as server:
        source = rxllm.from_http(server.url, framing="aws-event-stream", end_marker="[DONE]")
        items, _ = await outcome(source)
    assert [item.payload for item in items][:3] == [ONE.payload, TWO.payload, b"[DONE]"]


async def test_frames_are_stored_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "frames.jsonl"
    async with ScriptedServer(answer(BODY)) as server:
        source = rxllm.from_http(server.url, framing="aws-event-stream")
        await source.pipe(ops.tee_to(JSONLinesSink(path)), ops.tee_to_display())
    assert await rxllm.from_recording(path).pipe(rx_ops.to_list()) == [ONE, TWO]
    assert capsys.readouterr().out == '{"n":1}{"n":2}\n'


async def test_what_a_server_echoes_of_a_signature_reaches_no_sink(tmp_path: Path) -> None:
    signature = "AWS4-HMAC-SHA256 Signature=0123456789abcdef"
    seen: list[UnsignedRequest] = []

    async def sign(request: UnsignedRequest) -> dict[str, str]:
        seen.append(request)
        return {"authorization": signature, "x-amz-date": "20261127T120000Z"}

    path = tmp_path / "frames.jsonl"
    echo = [Frame({"echo": signature, "n": 1}, json.dumps({"said": signature}).encode() + b"\xff")]
    async with ScriptedServer(answer(*echo)) as server:
        source = rxllm.from_http(server.url, framing="aws-event-stream", json={"a": "ü"}, sign=sign)
        await source.pipe(ops.tee_to(JSONLinesSink(path)))
        (request,) = server.requests
    (kept,) = await rxllm.from_recording(path).pipe(rx_ops.to_list())

    assert request.headers["authorization"] == signature
    assert (seen[0].method, seen[0].url, seen[0].body) == ("POST", server.url, request.body)
    assert {name.lower(): value for name, value in seen[0].headers.items()}.items() <= request.headers.items()
    assert "0123456789abcdef" not in str(kept)
    assert kept.payload.endswith(b"\xff")
    assert kept.headers["n"] == 1
    assert "127.0.0.1" not in repr(seen[0])
