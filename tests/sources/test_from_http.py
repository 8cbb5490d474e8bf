"""Lines of JSON over real connections: by the source, and by the replay of what it recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reactivex import operators as rx_ops

import rxllm
from rxllm.exceptions import APIResponseError, LimitExceededError, RxllmError, StreamInterruptedError
from rxllm.sources import WireRecorder
from rxllm.testing import ScriptedServer, WireRecording, record, replay, script

NDJSON = "application/x-ndjson"
LINES = b'{"n":1}\n\n{"n":2}\r\n'
BOTH = ['{"n":1}', '{"n":2}']
PRETTY = b'{\n  "error": "no"\n}'


def answer(*steps: script.StepLike, content_type: str = NDJSON, **options: Any) -> script.Answer:
    return script.Answer(steps, content_type=content_type, **options)


async def outcome(source: rxllm.flow.Stream[Any]) -> tuple[list[str], Exception | None]:
    items: list[str] = []
    try:
        await source.pipe(rx_ops.do_action(items.append), rx_ops.count())
    except RxllmError as error:
        return items, error
    return items, None


async def each_way(answer: script.Answer, path: Path, **options: Any) -> tuple[list[str], Exception | None]:
    """What comes of an answer from the source. A replay of what was recorded has to give the same."""
    recorder = WireRecorder(path)
    async with ScriptedServer(answer) as server:
        source = rxllm.from_http(server.url, framing="ndjson", json={}, record=recorder, **options)
        items, error = await outcome(source)
    await recorder.wait_closed()
    assert WireRecording.load(path).request.transport == "ndjson"
    again, second = await outcome(replay(path, timing="none", **options))
    assert (again, type(second)) == (items, type(error))
    return items, error


@pytest.mark.parametrize("fragment", [None, 1, 5])
@pytest.mark.parametrize("body", [LINES, b"\xef\xbb\xbf\n" + LINES, LINES.rstrip()])
@pytest.mark.parametrize(
    "content_type",
    [NDJSON, "application/x-ndjson; charset=utf-8", "application/jsonl", "application/json", "text/plain", "no"],
)
async def test_what_comes_is_what_the_replay_of_its_recording_gives(
    content_type: str, body: bytes, fragment: int | None, tmp_path: Path
) -> None:
    served = answer(body, content_type=content_type, fragment=fragment)
    assert await each_way(served, tmp_path / "lines.jsonl") == (BOTH, None)


async def test_it_asks_for_lines() -> None:
    async with ScriptedServer(answer(LINES), answer(LINES)) as server:
        await outcome(rxllm.from_http(server.url, framing="ndjson"))
        await outcome(rxllm.from_http(server.url, framing="sse", check_content_type=False))
    assert [request.headers["accept"] for request in server.requests] == [NDJSON, "text/event-stream"]


async def test_a_last_line_without_its_end_counts_if_the_body_ended_in_good_order(tmp_path: Path) -> None:
    assert await each_way(answer(b'{"n":1}\n{"n":2}'), tmp_path / "whole.jsonl") == (BOTH, None)
    assert await each_way(answer(b'{"n":1}\n{"n"'), tmp_path / "cut.jsonl") == (BOTH[:1], None)
    items, error = await each_way(answer(b'{"n":1}\n{"n":2}', script.cut()), tmp_path / "lost.jsonl")
    assert items == BOTH[:1]
    assert isinstance(error, StreamInterruptedError)


async def test_a_line_is_there_when_its_end_is() -> None:
    async with ScriptedServer(answer(b'{"n":1}\n', script.stall(), content_type="application/json")) as server:
        line = await rxllm.from_http(server.url, framing="ndjson").pipe(rx_ops.first())
    assert line == BOTH[0]


@pytest.mark.parametrize("body", [PRETTY, b'[{"n":1},\n{"n":2}]', b"<html>no</html>", b'"no"\n', b'{"n":1', b" \n"])
@pytest.mark.parametrize("fragment", [None, 1])
async def test_a_body_that_is_no_lines_is_an_error_that_has_it(
    body: bytes, fragment: int | None, tmp_path: Path
) -> None:
    served = answer(body, content_type="application/json", fragment=fragment)
    items, error = await each_way(served, tmp_path / "body.jsonl")
    assert (items, type(error)) == ([], APIResponseError)
    assert isinstance(error, APIResponseError)
    assert "application/json instead of application/x-ndjson" in str(error)
    assert error.unread is not None
    assert error.unread.text == body.decode().lstrip()


async def test_nothing_at_all_is_no_error_of_the_source(tmp_path: Path) -> None:
    assert await each_way(answer(), tmp_path / "typed.jsonl") == ([], None)
    bare = script.Answer([b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\n"], framing="none")
    assert await each_way(bare, tmp_path / "bare.jsonl") == ([], None)


@pytest.mark.parametrize("content_type", [NDJSON, "text/plain"])
async def test_a_line_that_is_too_long_is_an_error_behind_those_before_it(content_type: str, tmp_path: Path) -> None:
    served = answer(LINES + b'{"text":"' + b"x" * 50 + b'"}\n', content_type=content_type)
    items, error = await each_way(served, tmp_path / "long.jsonl", max_event_bytes=20)
    assert (items, type(error)) == (BOTH, LimitExceededError)
    served = answer(b'{"text":"' + b"x" * 500_000, script.stall(), content_type=content_type)
    async with ScriptedServer(served) as server:
        _, error = await outcome(rxllm.from_http(server.url, framing="ndjson", max_event_bytes=100_000))
    assert isinstance(error, LimitExceededError)


async def test_a_connection_that_is_lost_before_the_first_line_is_one(tmp_path: Path) -> None:
    served = answer(b'{"n"', script.cut(), content_type="text/plain")
    items, error = await each_way(served, tmp_path / "lost.jsonl")
    assert (items, type(error)) == ([], StreamInterruptedError)


async def test_while_a_consumer_pauses_the_lines_wait() -> None:
    def steps() -> Iterator[script.StepLike]:
        for number in range(200):
            yield b'{"n":%d}\n' % number

    async with ScriptedServer(answer(*steps())) as server:
        found = [line async for line in rxllm.iterate(rxllm.from_http(server.url, framing="ndjson"), buffer_size=1)]
    assert found == [f'{{"n":{number}}}' for number in range(200)]


async def test_record_takes_the_framing(tmp_path: Path) -> None:
    async with ScriptedServer(answer(LINES)) as server:
        recording = await record(server.url, tmp_path / "lines.jsonl", framing="ndjson", json={})
    assert (recording.request.transport, recording.body) == ("ndjson", LINES)
    async with ScriptedServer(recording.answer(timing="none")) as server:
        assert await outcome(rxllm.from_http(server.url, framing="ndjson")) == (BOTH, None)


async def test_an_end_marker_may_be_a_line() -> None:
    async with ScriptedServer(answer(b'{"n":1}\n[DONE]\n')) as server:
        source = rxllm.from_http(server.url, framing="ndjson", end_marker="[DONE]")
        assert (await outcome(source))[0] == [BOTH[0], "[DONE]"]


def test_a_framing_that_is_none_is_reported_where_it_stands() -> None:
    with pytest.raises(ValueError, match="unknown framing 'lines'; there are: sse, ndjson"):
        rxllm.from_http("http://127.0.0.1", framing="lines")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
