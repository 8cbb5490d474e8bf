"""What a sink recorded, again: the same items, the same gaps, the same ending."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from reactivex import operators as rx_ops
from reactivex.scheduler import TimeoutScheduler

from rxllm.bridges import iterate, run
from rxllm.exceptions import (
    APIStreamError,
    DecodeError,
    NoRunningLoopError,
    RecordingError,
    StreamInterruptedError,
    TruncatedStreamError,
)
from rxllm.flow import FlowControl
from rxllm.models import StreamChunk
from rxllm.sinks import JSONLinesSink, SQLiteSink, StoreSink
from rxllm.sources import from_recording, list_recordings
from rxllm.stores import EndRecord, ItemRecord, JSONLinesWriter, SQLiteWriter, Writer, encode_item
from rxllm.testing import VirtualTimeScheduler, text_chunk, virtual_time
from rxllm.typing import Ending
from rxllm.wire import ServerSentEvent

BEGAN = datetime(2025, 1, 31, tzinfo=UTC)
FORMATS: list[type[JSONLinesWriter | SQLiteWriter]] = [JSONLinesWriter, SQLiteWriter]


@pytest.fixture(params=FORMATS)
def writer(request: pytest.FixtureRequest, tmp_path: Path) -> Writer:
    made: Writer = request.param(tmp_path / "recording")
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording"


def write(
    writer: Writer,
    items: Sequence[tuple[float, object]],
    end: float | None = None,
    *,
    kind: Literal["completed", "failed", "cancelled"] = "completed",
    stream: str = "s",
) -> None:
    writer.begin(stream, BEGAN)
    writer.append(stream, [ItemRecord(at, seconds, *encode_item(item)) for at, (seconds, item) in enumerate(items)])
    if end is not None:
        writer.end(stream, EndRecord(end, len(items), kind))
    writer.close()


async def replay(path: Path, **options: Any) -> list[Any]:
    items: list[Any] = await from_recording(path, **options).pipe(rx_ops.to_list())
    return items


async def replay_and_fail(path: Path) -> tuple[list[Any], Exception]:
    items: list[Any] = []
    with pytest.raises(Exception) as failure:  # noqa: PT011 - each test looks at it
        await from_recording(path).pipe(rx_ops.do_action(items.append))
    assert isinstance(failure.value, Exception)
    return items, failure.value


async def test_items_of_all_kinds_come_back(writer: Writer, path: Path) -> None:
    items = [text_chunk("Hel"), ServerSentEvent("data", "type", "7", 5), "text", b"\0\xff", {"a": [None, 1.5]}, 7]
    write(writer, [(0, item) for item in items], 1)
    assert await replay(path) == items


async def test_each_subscription_plays_from_the_beginning(writer: Writer, path: Path) -> None:
    write(writer, [(0, "a"), (0, "b")], 1)
    source = from_recording(path)
    assert [await source.pipe(rx_ops.to_list()) for _ in range(2)] == [["a", "b"]] * 2


async def test_many_items_come_in_order(writer: Writer, path: Path) -> None:
    write(writer, [(0, number) for number in range(2000)], 1)
    assert await replay(path) == list(range(2000))


async def test_an_empty_stream_completes(writer: Writer, path: Path) -> None:
    write(writer, [], 0)
    assert await replay(path) == []


async def test_the_last_stream_unless_another_is_asked_for(writer: Writer, path: Path) -> None:
    for name in "abc":
        writer.begin(name, BEGAN)
    for name in "cba":
        writer.append(name, [ItemRecord(0, 0, "text", f"of {name}")])
        writer.end(name, EndRecord(0, 1, "completed"))
    writer.close()
    assert await replay(path) == ["of c"]
    assert await replay(path, stream="a") == ["of a"]
    assert [info.stream for info in list_recordings(path)] == ["a", "b", "c"]


def test_from_synchronous_code(writer: Writer, path: Path) -> None:
    write(writer, [(0, "a"), (0, "b")], 1)
    assert run(from_recording(path)) == "b"


def test_outside_a_loop_it_says_what_to_do(path: Path) -> None:
    with pytest.raises(NoRunningLoopError, match=r"rxllm\.run"):
        from_recording(path).subscribe()


# Endings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        APIStreamError("overloaded", type="overloaded_error", code=529, retryable=True, position=2),
        TruncatedStreamError("no end", unfinished=(0, 1), events=2),
        DecodeError("not JSON", dialect="x", position=2, text="{"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("make_sink", [JSONLinesSink, SQLiteSink])
async def test_a_failure_is_replayed(make_sink: type[JSONLinesSink | SQLiteSink], error: Exception, path: Path) -> None:
    sink: StoreSink = make_sink(path)
    stream = await sink.open()
    await stream.write(["a", "b"])
    await stream.close(Ending("failed", error))
    items, again = await replay_and_fail(path)
    assert items == ["a", "b"]
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


@pytest.mark.parametrize("make_sink", [JSONLinesSink, SQLiteSink])
async def test_a_foreign_failure_says_what_it_was(make_sink: type[JSONLinesSink | SQLiteSink], path: Path) -> None:
    sink: StoreSink = make_sink(path)
    stream = await sink.open()
    await stream.close(Ending("failed", ZeroDivisionError("division by zero")))
    _, error = await replay_and_fail(path)
    assert isinstance(error, RecordingError)
    assert "builtins.ZeroDivisionError: division by zero" in str(error)


async def test_a_cancelled_stream_is_a_cut_one(writer: Writer, path: Path) -> None:
    write(writer, [(0, "a")], 1, kind="cancelled")
    items, error = await replay_and_fail(path)
    assert items == ["a"]
    assert isinstance(error, StreamInterruptedError)
    assert error.events == 1
    assert "cancelled after 1 items" in str(error)


async def test_a_stream_without_an_ending_is_a_cut_one(writer: Writer, path: Path) -> None:
    write(writer, [(0, "a"), (0, "b")])
    items, error = await replay_and_fail(path)
    assert items == ["a", "b"]
    assert isinstance(error, StreamInterruptedError)
    assert error.events == 2
    assert "killed, or is still writing" in str(error)


# What is not there, or is something else -----------------------------------------------------------------------------


async def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file"):
        await replay(tmp_path / "nowhere.db")
    with pytest.raises(RecordingError, match="no such file"):
        list_recordings(tmp_path / "nowhere.db")


async def test_a_missing_stream(writer: Writer, path: Path) -> None:
    write(writer, [], 0, stream="there")
    with pytest.raises(RecordingError, match=r"no stream 'x'; the last of 1 is 'there'"):
        await replay(path, stream="x")


async def test_a_file_without_streams(writer: Writer, path: Path) -> None:
    writer.close()
    assert list_recordings(path) == []
    with pytest.raises(RecordingError, match="no stream was recorded"):
        await replay(path)


def test_a_foreign_file(path: Path) -> None:
    path.write_text("hello\n")
    with pytest.raises(RecordingError, match="not a recording"):
        run(from_recording(path))


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_item_is_never_passed_over(missing: int, path: Path) -> None:
    write(JSONLinesWriter(path), [(0, "a"), (0, "b"), (0, "c")], 1)
    lines = path.read_text().splitlines(keepends=True)
    del lines[1 + missing]
    path.write_text("".join(lines))
    items, error = asyncio.run(replay_and_fail(path))
    assert isinstance(error, RecordingError)
    assert f"number {missing} was due" in str(error) or "number 2 was due" in str(error)
    assert items == ["a", "b"][:missing]


@pytest.mark.parametrize(("kind", "value"), [("chunk", {"choices": 5}), ("sse", {"color": "red"}), ("bytes", "a")])
async def test_an_item_that_is_not_what_it_says(writer: Writer, path: Path, kind: str, value: object) -> None:
    writer.begin("s", BEGAN)
    writer.append("s", [ItemRecord(0, 0, kind, value)])
    writer.close()
    with pytest.raises(RecordingError, match=f"item 0 is not of kind {kind}"):
        await replay(path)


@pytest.mark.parametrize("options", [{"timing": "slow"}, {"speed": 0}, {"speed": float("nan")}])
def test_wrong_arguments_are_reported_at_once(options: dict[str, Any], path: Path) -> None:
    with pytest.raises(ValueError, match=r"timing must be|speed must be"):
        from_recording(path, **options)


# Time ----------------------------------------------------------------------------------------------------------------


async def timed(path: Path, **options: Any) -> list[tuple[float, Any]]:
    """The items and the completion, with their times since subscribing."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    seen: list[tuple[float, Any]] = []
    await from_recording(path, timing="recorded", **options).pipe(
        rx_ops.do_action(lambda item: seen.append((loop.time() - began, item)))
    )
    seen.append((loop.time() - began, "|"))
    return seen


GAPS = [(0.25, "a"), (0.25, "b"), (60.5, "c")]


@virtual_time
async def play_with_gaps(path: Path) -> None:
    assert await timed(path) == [*GAPS, (61.0, "|")]
    assert await timed(path, speed=2) == [(0.125, "a"), (0.125, "b"), (30.25, "c"), (30.5, "|")]
    assert await timed(path, scheduler=VirtualTimeScheduler()) == [*GAPS, (61.0, "|")]


def test_recorded_gaps(writer: Writer, path: Path) -> None:
    write(writer, GAPS, 61)
    play_with_gaps(path)


@virtual_time
async def play_on_the_scheduler_of_the_subscription(path: Path) -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    source = from_recording(path, timing="recorded")
    source.subscribe(on_completed=done.set, scheduler=VirtualTimeScheduler())
    await done.wait()
    assert loop.time() == 61


def test_the_scheduler_of_the_subscription_counts(writer: Writer, path: Path) -> None:
    write(writer, GAPS, 61)
    play_on_the_scheduler_of_the_subscription(path)


@virtual_time
async def play_at_full_speed(path: Path) -> None:
    assert await replay(path) == ["a", "b", "c"]
    assert asyncio.get_running_loop().time() == 0


def test_full_speed_takes_no_time(writer: Writer, path: Path) -> None:
    write(writer, GAPS, 61)
    play_at_full_speed(path)


@virtual_time
async def play_and_pause(path: Path) -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    seen: list[tuple[float, Any]] = []

    def on_next(item: Any) -> None:
        seen.append((loop.time(), item))
        flow = FlowControl.current()
        assert flow is not None
        if item == "a":
            flow.pause("test")
            loop.call_later(100, flow.resume, "test")

    from_recording(path, timing="recorded").subscribe(on_next, on_completed=done.set)
    await done.wait()
    assert seen == [(0.25, "a"), (100.25, "b"), (100.25, "c")]


def test_what_a_pause_has_delayed_comes_at_once(writer: Writer, path: Path) -> None:
    write(writer, GAPS, 61)
    play_and_pause(path)


@virtual_time
async def record_in_virtual_time(path: Path, sink: StoreSink) -> None:
    stream = await sink.open()
    await asyncio.sleep(0.25)
    await stream.write(["a", "b"])
    await asyncio.sleep(60.25)
    await stream.write(["c"])
    await asyncio.sleep(0.5)
    await stream.close(Ending("completed"))
    assert [seconds for seconds, _ in await timed(path)] == [0.25, 0.25, 60.5, 61.0]


@pytest.mark.parametrize("make_sink", [JSONLinesSink, SQLiteSink])
def test_gaps_are_recorded_by_the_clock_of_the_loop(make_sink: type[JSONLinesSink | SQLiteSink], path: Path) -> None:
    record_in_virtual_time(path, make_sink(path))


# Flow control and leaving --------------------------------------------------------------------------------------------


async def test_a_paused_recording_is_not_read(path: Path) -> None:
    size = 3000
    write(JSONLinesWriter(path), [(0, number) for number in range(size)], 1)
    seen: list[Any] = []
    async with iterate(from_recording(path).pipe(rx_ops.do_action(seen.append)), buffer_size=8) as items:
        assert await anext(items) == 0
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(seen) <= 9
        rest = [item async for item in items]
    assert rest == list(range(1, size))


@pytest.mark.parametrize("timing", ["none", "recorded"])
async def test_leaving_closes_the_file_and_ends_the_thread(
    writer: Writer, path: Path, timing: Literal["none", "recorded"]
) -> None:
    write(writer, [(0, "a"), (3600, "b"), *((3600, "c") for _ in range(600))])
    async with iterate(from_recording(path, timing=timing), buffer_size=1) as items:
        assert await anext(items) == "a"
    # The leak check finds the thread, the timer and the file if they are left.


async def test_leaving_while_the_file_is_opened(writer: Writer, path: Path) -> None:
    write(writer, [(0, "a")], 1)
    subscription = from_recording(path).subscribe(lambda _: pytest.fail("an item after dispose"))
    await asyncio.sleep(0)
    subscription.dispose()


async def test_a_scheduler_with_a_thread_of_its_own_is_used_all_the_same(path: Path) -> None:
    write(JSONLinesWriter(path), [(0.001, "a"), (0.002, "b")], 0.003)
    threads: set[int] = set()
    await from_recording(path, timing="recorded", scheduler=TimeoutScheduler()).pipe(
        rx_ops.do_action(lambda _: threads.add(threading.get_ident()))
    )
    assert threads == {threading.get_ident()}


async def test_chunks_are_validated_again(path: Path) -> None:
    write(JSONLinesWriter(path), [(0, StreamChunk.from_wire('{"choices": [], "vendor": {"a": 1}}'))], 1)
    (chunk,) = await replay(path)
    assert isinstance(chunk, StreamChunk)
    assert json.loads(chunk.model_dump_json(exclude_unset=True)) == {"choices": [], "vendor": {"a": 1}}
