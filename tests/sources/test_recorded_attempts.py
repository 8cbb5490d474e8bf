"""Of an answer that began anew, the attempt that counts, or all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm.exceptions import RecordingError, StreamInterruptedError, TruncatedStreamError
from rxllm.models import ChatCompletion, StreamChunk, StreamInfo, Usage, marked
from rxllm.sinks import JSONLinesSink, SQLiteSink, StoreSink
from rxllm.sources import from_recording, list_recordings
from rxllm.sources._from_recording import Attempts
from rxllm.stores import open_reader
from rxllm.testing import finish_chunk, text_chunk, virtual_time
from rxllm.typing import Ending

MakeSink = Callable[[Path], StoreSink]
STORES: dict[str, MakeSink] = {"lines": JSONLinesSink, "SQLite": SQLiteSink}
COMPLETED = Ending("completed")


@pytest.fixture(params=STORES.values(), ids=list(STORES))
def sink(request: pytest.FixtureRequest, path: Path) -> StoreSink:
    make: MakeSink = request.param
    return make(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording"


def attempt(number: int, *chunks: StreamChunk) -> list[StreamChunk]:
    """The chunks of one try, as they are marked: all but the first one restart the answer."""
    stream = StreamInfo(host="h", attempt=number)
    first, *others = (marked(chunk, stream=stream) for chunk in chunks)
    return [marked(first, begins=True, restarts=number > 1), *others]


FIRST = attempt(1, text_chunk("One, "), text_chunk("two"), StreamChunk(usage=Usage(total_tokens=5)))
SECOND = attempt(2, text_chunk("Uno"))
THIRD = attempt(3, text_chunk("Un, "), text_chunk("deux"), finish_chunk())
ALL = [*FIRST, *SECOND, *THIRD]


async def record(sink: StoreSink, *batches: Sequence[object], ending: Ending | None = COMPLETED) -> None:
    stream = await sink.open()
    for batch in batches:
        await stream.write(batch)
    if ending is not None:
        await stream.close(ending)


async def play(path: Path, **options: Any) -> list[Any]:
    items: list[Any] = await from_recording(path, **options).pipe(rx_ops.to_list())
    return items


def lines_of(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines(keepends=True)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(lines), "utf-8")


def marks(items: Sequence[Any]) -> list[tuple[str, bool, bool, int]]:
    return [(item.text, item.begins, item.restarts, item.stream.attempt) for item in items]


async def test_the_last_attempt_is_played_unless_all_are_asked_for(sink: StoreSink, path: Path) -> None:
    await record(sink, ALL)

    assert marks(await play(path)) == marks(THIRD)
    assert marks(await play(path, attempts="last")) == marks(THIRD)
    assert marks(await play(path, attempts="all")) == marks(ALL)
    assert await play(path, attempts="all") == ALL


async def test_an_attempt_has_what_was_known_of_its_own_request(sink: StoreSink, path: Path) -> None:
    await record(sink, FIRST, SECOND, THIRD)

    (stream,) = {id(chunk.stream): chunk.stream for chunk in await play(path)}.values()
    assert stream == StreamInfo(host="h", attempt=3)
    streams = {id(chunk.stream): chunk.stream for chunk in await play(path, attempts="all")}
    assert [each.attempt for each in streams.values()] == [1, 2, 3]


async def test_both_amount_to_the_same_answer_and_all_tell_what_was_given_up(sink: StoreSink, path: Path) -> None:
    await record(sink, ALL)

    last: ChatCompletion = await from_recording(path).pipe(ops.accumulate())
    everything: ChatCompletion = await from_recording(path, attempts="all").pipe(ops.accumulate())

    assert last.content == everything.content == "Un, deux"
    assert last.attempts == ()
    assert [(each.stream, each.usage) for each in everything.attempts] == [
        (StreamInfo(host="h", attempt=1), Usage(total_tokens=5)),
        (StreamInfo(host="h", attempt=2), None),
    ]


async def test_an_answer_that_never_began_anew_is_played_from_the_beginning(sink: StoreSink, path: Path) -> None:
    await record(sink, FIRST)

    assert marks(await play(path)) == marks(await play(path, attempts="all")) == marks(FIRST)


async def test_an_answer_that_restarts_with_its_first_item_is_played_from_there(sink: StoreSink, path: Path) -> None:
    """What a writer of a log begins with, whose predecessor died before it wrote anything."""
    await record(sink, SECOND)

    assert marks(await play(path)) == marks(await play(path, attempts="all")) == [("Uno", True, True, 2)]


async def test_an_answer_that_restarts_with_its_last_item_is_played_from_there(sink: StoreSink, path: Path) -> None:
    await record(sink, [*FIRST, *SECOND])

    assert marks(await play(path)) == marks(SECOND)


async def test_a_chunk_that_only_restarts_is_enough(sink: StoreSink, path: Path) -> None:
    await record(sink, [text_chunk("a"), marked(text_chunk("b"), restarts=True), text_chunk("c")])

    assert [chunk.text for chunk in await play(path)] == ["b", "c"]
    assert [chunk.text for chunk in await play(path, attempts="all")] == ["a", "b", "c"]


async def test_what_came_before_the_answer_does_not_count_either(sink: StoreSink, path: Path) -> None:
    await record(sink, ["a note", {"of": "somebody"}, *FIRST, "between", *SECOND, "after"])

    assert [item if isinstance(item, str) else item.text for item in await play(path)] == ["Uno", "after"]
    assert len(await play(path, attempts="all")) == len(FIRST) + len(SECOND) + 4


async def test_a_restart_beyond_the_first_batch_is_found(sink: StoreSink, path: Path) -> None:
    many = attempt(1, *(text_chunk(str(number)) for number in range(700)))
    again = attempt(2, *(text_chunk(str(number)) for number in range(600)))
    await record(sink, many, again)

    assert marks(await play(path)) == marks(again)
    assert len(await play(path, attempts="all")) == 1300


async def test_each_subscription_finds_the_attempt_that_is_the_last_by_then(sink: StoreSink, path: Path) -> None:
    played: list[str] = []

    def note(chunk: StreamChunk) -> None:
        played.append(chunk.text)

    source = from_recording(path).pipe(rx_ops.do_action(note))
    stream = await sink.open()
    for written, expected in ((FIRST, ["One, ", "two", ""]), (SECOND, ["Uno"]), (THIRD, ["Un, ", "deux", ""])):
        await stream.write(written)
        played.clear()
        with pytest.raises(StreamInterruptedError, match="still writing"):
            await source
        assert played == expected
    await stream.close(COMPLETED)


async def test_streams_in_one_file_begin_anew_each_for_itself(path: Path, sink: StoreSink) -> None:
    one, other = await sink.open(), await sink.open()
    await one.write(FIRST)
    await other.write(FIRST)
    await one.write(SECOND)
    await other.close(COMPLETED)
    await one.close(COMPLETED)

    names = [info.stream for info in list_recordings(path)]
    assert [marks(await play(path, stream=name)) for name in names] == [marks(SECOND), marks(FIRST)]
    reader = open_reader(path)
    assert [reader.began_anew(name) for name in [*names, "nobody"]] == [len(FIRST), 0, 0]
    reader.close()


# Endings -------------------------------------------------------------------------------------------------------------


async def test_the_last_attempt_fails_as_it_did(sink: StoreSink, path: Path) -> None:
    await record(sink, ALL, ending=Ending("failed", TruncatedStreamError("no end", unfinished=(0,), events=7)))
    items: list[StreamChunk] = []

    with pytest.raises(TruncatedStreamError, match="no end") as caught:
        await from_recording(path).pipe(rx_ops.do_action(items.append))

    assert caught.value.events == 7
    assert marks(items) == marks(THIRD)


@pytest.mark.parametrize(("attempts", "count"), [("last", len(THIRD)), ("all", len(ALL))])
async def test_an_attempt_that_was_left_is_a_cut_one(
    attempts: Attempts, count: int, sink: StoreSink, path: Path
) -> None:
    await record(sink, ALL, ending=Ending("cancelled"))
    items: list[StreamChunk] = []

    with pytest.raises(StreamInterruptedError, match=f"cancelled after {count} items") as caught:
        await from_recording(path, attempts=attempts).pipe(rx_ops.do_action(items.append))

    assert caught.value.events == len(items) == count


async def test_an_item_that_is_missing_in_the_last_attempt_is_never_passed_over(path: Path) -> None:
    await record(JSONLinesSink(path), ALL)
    lines = lines_of(path)
    before = lines[: 1 + len(FIRST)]
    after = lines[1 + len(FIRST) + len(SECOND) :]

    # What was given up is not looked at …
    write_lines(path, [*before, *after])
    assert marks(await play(path)) == marks(THIRD)
    with pytest.raises(RecordingError, match="number 3 was due, number 4 is there"):
        await play(path, attempts="all")
    # … but all that counts is.
    write_lines(path, [*before, after[0], *after[2:]])
    with pytest.raises(RecordingError, match="number 5 was due, number 6 is there"):
        await play(path)


@pytest.mark.parametrize("attempts", ["first", "LAST", "", 1, None, True])
def test_attempts_are_the_last_or_all(attempts: Any, path: Path) -> None:
    with pytest.raises(ValueError, match=f"attempts must be 'last' or 'all', not {attempts!r}"):
        from_recording(path, attempts=attempts)


# Time ----------------------------------------------------------------------------------------------------------------


async def timed(path: Path, **options: Any) -> list[tuple[float, str]]:
    """The texts and the completion, with their times since subscribing."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    seen: list[tuple[float, str]] = []

    def note(chunk: StreamChunk) -> None:
        seen.append((loop.time() - began, chunk.text))

    await from_recording(path, timing="recorded", **options).pipe(rx_ops.do_action(note))
    return [*seen, (loop.time() - began, "|")]


@virtual_time
async def record_with_gaps_and_play(sink: StoreSink, path: Path) -> None:
    stream = await sink.open()
    for gap, text in [(0.25, "a"), (30, "b"), (10, "A"), (2, "B"), (0.5, "C")]:
        await asyncio.sleep(gap)
        await stream.write([marked(text_chunk(text), restarts=text == "A")])
    await asyncio.sleep(1)
    await stream.close(COMPLETED)

    # What was given up is not waited for: the attempt begins at once, and keeps its own gaps.
    assert await timed(path) == [(0, "A"), (2, "B"), (2.5, "C"), (3.5, "|")]
    assert await timed(path, speed=2) == [(0, "A"), (1, "B"), (1.25, "C"), (1.75, "|")]
    assert await timed(path, attempts="all") == [
        *[(0.25, "a"), (30.25, "b"), (40.25, "A"), (42.25, "B"), (42.75, "C"), (43.75, "|")]
    ]


def test_the_last_attempt_begins_at_once_and_keeps_its_gaps(sink: StoreSink, path: Path) -> None:
    record_with_gaps_and_play(sink, path)


@virtual_time
async def record_a_stream_that_restarts_first_and_play(sink: StoreSink, path: Path) -> None:
    stream = await sink.open()
    await asyncio.sleep(5)
    await stream.write([marked(text_chunk("A"), restarts=True)])
    await asyncio.sleep(1)
    await stream.close(COMPLETED)

    # Nothing came before it that would not be waited for.
    assert await timed(path) == await timed(path, attempts="all") == [(5, "A"), (6, "|")]


def test_an_answer_that_restarts_with_its_first_item_keeps_the_time_before_it(sink: StoreSink, path: Path) -> None:
    record_a_stream_that_restarts_first_and_play(sink, path)


@virtual_time
async def record_many_and_play(sink: StoreSink, path: Path) -> None:
    stream = await sink.open()
    await stream.write([text_chunk("a")])
    await asyncio.sleep(7)
    await stream.write([marked(text_chunk("A"), restarts=True), *(text_chunk("x") for _ in range(299))])
    await asyncio.sleep(2)
    await stream.write([text_chunk("B")])
    await stream.close(COMPLETED)

    times = [seconds for seconds, _ in await timed(path)]
    assert times == [0] * 300 + [2, 2]


def test_the_time_that_was_given_up_is_left_out_once_and_not_for_each_batch(sink: StoreSink, path: Path) -> None:
    record_many_and_play(sink, path)
