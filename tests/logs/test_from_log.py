"""Following a stream of a log: from where, to what end, and what it costs."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Subject
from reactivex import operators as rx_ops

import rxllm
from rxllm import LogItem, LogPosition, SQLiteLog, StreamChunk, StreamInfo
from rxllm import operators as ops
from rxllm.accumulators import Folded
from rxllm.exceptions import (
    PositionError,
    RecordingError,
    RxllmError,
    StreamCancelledError,
    StreamInterruptedError,
    UnknownStreamError,
)
from rxllm.models import Repair, Slots, Usage, marked, put_slots
from rxllm.sinks import SQLiteSink
from rxllm.stores import CONTEXT_ITEMS, ItemRecord, LogPage, SQLiteReader, SQLiteWriter
from rxllm.testing import finish_chunk, text_chunk, tool_chunk
from tests.stores.places import Place

PATIENCE = 20.0
OLD = Path(__file__).parents[1] / "stores" / "written_by_0_1_0" / "recordings.db"


@pytest.fixture
def log(tmp_path: Path) -> SQLiteLog:
    return SQLiteLog(tmp_path / "log.db")


async def positions(log: rxllm.Log, name: str) -> list[LogItem[Any]]:
    return [item async for item in rxllm.from_log(log, name, with_positions=True)]


async def test_what_is_there_and_then_what_comes(log: SQLiteLog) -> None:
    subject: Subject[str] = Subject()
    production = log.produce("monday", subject)
    await production.claimed()
    subject.on_next("a")
    seen: list[str] = []
    async with asyncio.timeout(PATIENCE):
        async for text in rxllm.from_log(log, "monday"):
            seen.append(text)
            if text == "a":
                subject.on_next("b")
            else:
                subject.on_completed()
        await production
    assert seen == ["a", "b"]


@pytest.mark.parametrize("as_text", [False, True])
async def test_a_reader_goes_on_behind_the_position_that_it_knows(as_text: bool, log: SQLiteLog) -> None:
    await log.produce("monday", reactivex.of(*range(200)))
    items = await positions(log, "monday")
    assert [item.item for item in items] == [*range(200)]
    assert LogPosition.parse(str(items[7].position)) == items[7].position
    for known in (0, 63, 64, 65, 150, 199):
        at = items[known].position
        rest = rxllm.from_log(log, "monday", after=str(at) if as_text else at)
        assert [item async for item in rest] == [*range(known + 1, 200)]


async def test_a_position_that_is_not_in_the_stream(log: SQLiteLog) -> None:
    await log.produce("monday", reactivex.of(1, 2))
    _, last = await positions(log, "monday")
    beyond = LogPosition(last.position.epoch, 2)
    with pytest.raises(PositionError, match="is beyond the last item") as caught:
        await rxllm.from_log(log, "monday", after=beyond)
    assert (caught.value.position, caught.value.last) == (beyond, last.position)
    with pytest.raises(PositionError, match="has another epoch"):
        await rxllm.from_log(log, "monday", after=LogPosition(5, 1))


@pytest.mark.parametrize(
    ("epoch", "number"), [(0, -1), (-1, 0), (10**18, 0), (0, 2**63), (1.5, 2), (None, None), (float("nan"), 0)]
)
def test_a_position_of_numbers_that_no_item_has(epoch: Any, number: Any, log: SQLiteLog) -> None:
    with pytest.raises(ValueError, match="is not a position in a log"):
        rxllm.from_log(log, "monday", after=LogPosition(epoch, number))
    with pytest.raises(ValueError, match="is not a position in a log"):
        rxllm.from_log(log, "monday").with_positions(LogPosition(epoch, number))


async def test_a_stream_that_is_not_there(log: SQLiteLog) -> None:
    assert await log.list() == []
    with pytest.raises(UnknownStreamError, match="no stream 'monday': no such file"):
        await rxllm.from_log(log, "monday")
    log.path.touch()
    assert await log.list() == []
    with pytest.raises(UnknownStreamError, match="an empty database: no stream 'monday'"):
        await rxllm.from_log(log, "monday")
    await log.produce("tuesday", reactivex.of(1))
    with pytest.raises(UnknownStreamError, match="no stream 'monday'") as caught:
        await rxllm.from_log(log, "monday")
    assert caught.value.name == "monday"


async def test_a_file_of_something_else(log: SQLiteLog) -> None:
    log.path.write_text("no database")
    for doing in (rxllm.from_log(log, "monday"), log.produce("monday", reactivex.of(1))):
        with pytest.raises(RecordingError, match="file is not a database"):
            await doing
    with pytest.raises(RecordingError, match="file is not a database"):
        await log.list()


async def test_a_dead_writer_is_told_of_with_the_position(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db")
    writer = await log.engine.claim("monday", lease=0.2)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(StreamInterruptedError, match="is dead: it has written nothing") as caught:
            await rxllm.from_log(log, "monday")
        assert caught.value.position is None
        await writer.append([ItemRecord(0, 0.0, "text", "a"), ItemRecord(1, 0.0, "text", "b")])
        with pytest.raises(StreamInterruptedError, match=rf"is dead: its last item is {writer.epoch}\.1") as caught:
            await rxllm.from_log(log, "monday")
    assert (caught.value.events, caught.value.position) == (2, LogPosition(writer.epoch, 1))
    assert caught.value.retryable
    await writer.release()
    await log.produce("monday", reactivex.of("c"))
    assert [item.restarts for item in await positions(log, "monday")] == [False, False, True]
    assert await rxllm.from_log(log, "monday", after=caught.value.position) == "c"


async def test_a_stream_that_is_removed_while_it_is_read(log: SQLiteLog) -> None:
    async with asyncio.timeout(PATIENCE):
        writer = await log.engine.claim("monday", lease=0.1)
        await writer.append([ItemRecord(number, 0.0, "text", "a") for number in range(100)])
        await writer.release()
        with pytest.raises(UnknownStreamError):
            async with rxllm.iterate(rxllm.from_log(log, "monday"), buffer_size=1) as items:
                await anext(items)
                with pytest.raises(StreamInterruptedError):
                    await positions(log, "monday")
                assert await log.expire(0) == ["monday"]
                async for _ in items:
                    pass


async def test_a_slow_reader_reads_no_more_than_it_takes(log: SQLiteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    await log.produce("monday", reactivex.of(*range(1000)))
    pages = 0
    follow = log.engine.follow

    async def counted(*args: Any, **kwargs: Any) -> Any:
        reader = await follow(*args, **kwargs)
        read = reader.read

        async def counted_read(wait: float, *, size: int) -> LogPage:
            nonlocal pages
            pages += 1
            return await read(wait, size=size)

        monkeypatch.setattr(reader, "read", counted_read)
        return reader

    monkeypatch.setattr(log.engine, "follow", counted)
    async with rxllm.iterate(rxllm.from_log(log, "monday"), buffer_size=1) as items:
        for number in range(3):
            assert await anext(items) == number
        assert pages == 1


async def test_whoever_has_read_all_looks_again_when_there_is_more(
    log: SQLiteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    page = SQLiteReader.page

    def counted(self: SQLiteReader, place: Any, size: int) -> LogPage:
        nonlocal looks
        looks += 1
        return page(self, place, size)

    monkeypatch.setattr(SQLiteReader, "page", counted)
    subject: Subject[int] = Subject()
    production = log.produce("monday", subject)
    await production.claimed()
    subject.on_next(0)
    async with asyncio.timeout(PATIENCE):
        async for number in rxllm.from_log(log, "monday"):
            if number == 50:
                subject.on_completed()
            else:
                subject.on_next(number + 1)
        await production
    # One a number, and few more: the file is looked at for all who wait, too, and that may wake.
    assert looks < 80


async def test_of_two_who_wait_for_a_stream_one_leaves(log: SQLiteLog) -> None:
    subject: Subject[str] = Subject()
    production = log.produce("monday", subject)
    await production.claimed()
    subject.on_next("a")
    async with (
        asyncio.timeout(PATIENCE),
        rxllm.iterate(rxllm.from_log(log, "monday")) as stays,
    ):
        assert await anext(stays) == "a"
        async with rxllm.iterate(rxllm.from_log(log, "monday")) as leaves:
            assert await anext(leaves) == "a"
        subject.on_next("b")
        assert await anext(stays) == "b"
        subject.on_completed()
        await production


def test_in_a_file_of_an_older_version_nothing_is_waited_for(tmp_path: Path) -> None:
    shutil.copy(OLD, tmp_path / "recordings.db")
    reader = SQLiteReader(tmp_path / "recordings.db")
    assert reader.states({"monday"}) == {}
    reader.close()


async def test_chunks_come_back_in_whatever_way_they_stand_there(log: SQLiteLog) -> None:
    chunks = [
        text_chunk("plain"),
        StreamChunk.model_validate({**text_chunk("new field").model_dump(), "unheard_of": [1, 2**70]}),
        StreamChunk.model_validate({**text_chunk("no JSON").model_dump(), "unheard_of": float("inf")}),
        text_chunk("half of \ud83d"),
        marked(text_chunk("marked"), repairs=(Repair("blank-ignored", 0, "a", "b"),)),
    ]
    await log.produce("monday", reactivex.from_iterable(chunks))
    items = await positions(log, "monday")
    assert [item.item for item in items] == chunks
    assert [type(item.item) for item in items] == [StreamChunk] * len(chunks)


async def test_of_large_items_a_reader_that_stands_still_holds_no_more_than_a_page(
    log: SQLiteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [10, 10, *[5000] * 60, *[10] * 200, *[5000] * 60, 100_000, 100_000, 10]
    await log.produce("monday", reactivex.from_iterable(["x" * size for size in sizes]), buffer_size=1000)
    read: list[int] = []
    page = SQLiteReader.page

    def noted(self: SQLiteReader, place: Any, size: int) -> LogPage:
        found = page(self, place, size)
        read.extend(len(item.value) for item in found.items)
        return found

    monkeypatch.setattr(SQLiteReader, "page", noted)
    seen: list[int] = []
    async with asyncio.timeout(PATIENCE), rxllm.iterate(rxllm.from_log(log, "monday")) as items:
        async for item in items:
            seen.append(len(item))
            for _ in range(3):
                await log.list()
            waiting = read[len(seen) :]
            assert len(waiting) <= 2 * 64
            assert sum(waiting) <= 2 * 100_000
            assert max(waiting, default=0) < 5000 or sum(waiting) < 37_000 + max(waiting), "a page, and no more"
    assert seen == read == sizes


@pytest.mark.parametrize("buffer_size", [1, 2, 64])
def test_large_items_come_whoever_takes_them(buffer_size: int, tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db")

    async def produce() -> None:
        await log.produce("monday", reactivex.from_iterable(["x" * 5000] * 200), buffer_size=1000)

    asyncio.run(produce())
    assert len([*rxllm.iterate_sync(rxllm.from_log(log, "monday"), buffer_size=buffer_size)]) == 200

    async def fold() -> int:
        return await rxllm.from_log(log, "monday").pipe(rx_ops.map(len), rx_ops.sum())

    assert asyncio.run(fold()) == 200 * 5000


async def test_recordings_are_followed_too(log: SQLiteLog) -> None:
    await reactivex.of("a", "b").pipe(ops.tee_to(SQLiteSink(log.path, stream_id=lambda: "monday")))
    assert [str(item.position) for item in await positions(log, "monday")] == ["0.0", "0.1"]
    assert await rxllm.from_log(log, "monday", after="0.0") == "b"
    (info,) = await log.list()
    assert (info.items, info.ending, info.alive) == (2, "completed", False)
    assert rxllm.list_recordings(log.path)[0].stream == "monday"


async def test_a_recording_whose_consumer_left(log: SQLiteLog) -> None:
    async for _ in rxllm.from_async_iterable(lambda: numbers(10**9)).pipe(
        ops.tee_to(SQLiteSink(log.path, stream_id=lambda: "monday"))
    ):
        break
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=PATIENCE)
    with pytest.raises(StreamCancelledError, match="its consumer left"):
        await rxllm.from_log(log, "monday")


async def numbers(until: int) -> AsyncIterator[int]:
    for number in range(until):
        yield number
        await asyncio.sleep(0)


@pytest.mark.parametrize("how", ["as it is", "where nothing can be written", "when a writer has opened it"])
async def test_files_of_older_versions_are_followed(how: str, place: Place) -> None:
    path = place.path / "recordings.db"
    shutil.copy(OLD, path)
    if how == "when a writer has opened it":
        SQLiteWriter(path).close()
    before = path.read_bytes()
    if how == "where nothing can be written":
        place.lock()
    log = SQLiteLog(path)
    infos = await log.list()
    assert [info.stream for info in infos] == [info.stream for info in rxllm.list_recordings(path)]
    assert not any(info.alive for info in infos)
    for info in infos:
        items: list[LogItem[Any]] = []
        with suppress(RxllmError):
            await rxllm.from_log(log, info.stream, with_positions=True).pipe(rx_ops.do_action(items.append))
        assert [item.position for item in items] == [LogPosition(0, number) for number in range(info.items)]
        assert info.position == (items[-1].position if items else None)
    place.unlock()
    assert path.read_bytes() == before


async def test_an_old_stream_that_was_cut_is_gone_on_with(place: Place) -> None:
    path = place.path / "recordings.db"
    shutil.copy(OLD, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE streams SET ending = NULL, items = NULL, seconds = NULL, error = NULL WHERE number = 1"
        )
        connection.execute("DELETE FROM completions WHERE number = 1")
    log = SQLiteLog(path)
    (cut,) = [info for info in await log.list() if info.ending is None]
    await log.produce(cut.stream, reactivex.of(text_chunk("anew")))
    items = await positions(log, cut.stream)
    assert [item.position.number for item in items] == [*range(cut.items + 1)]
    assert (items[-1].restarts, items[-1].position.epoch > 0) == (True, True)
    assert all(info.bytes for info in await log.list() if info.stream == cut.stream)
    assert cut.stream in await log.expire(0)
    assert await log.list() == []


async def test_whoever_waits_looks_again_after_the_file_could_not_be_read(
    log: SQLiteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("rxllm.stores._bell.socket.AF_UNIX")
    failed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fail(*_: object) -> int:
        loop.call_soon_threadsafe(failed.set)
        raise RecordingError("away")

    monkeypatch.setattr("rxllm.stores._sqlite_reader.SQLiteReader.changes", fail)
    subject: Subject[str] = Subject()
    production = log.produce("monday", subject)
    await production.claimed()
    async with asyncio.timeout(PATIENCE):
        async for _ in rxllm.from_log(log, "monday").pipe(rx_ops.start_with("begun")):
            await failed.wait()
            subject.on_next("a")
            subject.on_completed()
            break
        await production


@pytest.mark.parametrize("name", ["a\0b", "a", "日本", "'"])
async def test_where_nothing_rings_a_stream_of_any_name_is_found_by_looking(
    name: str, log: SQLiteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("rxllm.stores._bell.socket.AF_UNIX")
    subject: Subject[str] = Subject()
    production = log.produce(name, subject)
    await production.claimed()
    subject.on_next("x")
    async with asyncio.timeout(PATIENCE), rxllm.iterate(rxllm.from_log(log, name)) as items:
        assert await anext(items) == "x"
        # It has read all, and waits.
        subject.on_next("y")
        assert await anext(items) == "y"
        assert await log.cancel(name)
        assert (await production).kind == "cancelled"


def test_of_many_streams_it_is_known_what_has_changed(tmp_path: Path) -> None:
    names = [str(number) for number in range(1200)]
    with closing(SQLiteWriter(tmp_path / "log.db")) as writer:
        for name in names:
            writer.begin(name, datetime.now(UTC))
    with closing(SQLiteReader(tmp_path / "log.db")) as reader:
        assert reader.states([*names, "none"]).keys() == {*names}


async def test_a_log_stays_where_it_is_whatever_becomes_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    log = SQLiteLog("log.db")
    monkeypatch.chdir(tmp_path / "elsewhere")
    await log.produce("monday", reactivex.of("a"))
    assert (tmp_path / "log.db").exists()
    assert [item async for item in rxllm.from_log(log, "monday")] == ["a"]


DAMAGE = {
    "UPDATE chunks SET value = 'x' WHERE position = 2": "damaged",
    "UPDATE chunks SET value = '5' WHERE position = 2": "item 2 of the stream 'monday' is not of kind text: a string",
    "DELETE FROM chunks WHERE position = 0": "number 0 was due, number 1 is there",
    "DELETE FROM chunks": "number 0 was due, number 4 is there",
    "DELETE FROM chunks WHERE position = 2": "number 2 was due, number 3 is there",
    "DELETE FROM chunks WHERE position > 1": "number 2 was due, number 4 is there",
    "UPDATE streams SET seconds = 'x'": "damaged",
}


@pytest.mark.parametrize("change", DAMAGE)
@pytest.mark.parametrize("snapshot", [False, True])
async def test_damage_loses_what_it_is_in(change: str, snapshot: bool, log: SQLiteLog) -> None:
    await log.produce("monday", reactivex.of("a", "b", "c", "d"))
    with closing(sqlite3.connect(log.path, isolation_level=None)) as connection:
        connection.execute(change)
    with pytest.raises(RecordingError, match=DAMAGE[change]):
        await rxllm.from_log(log, "monday", snapshot=snapshot)


def of_a_stream(texts: Sequence[str], info: StreamInfo | None) -> list[StreamChunk]:
    chunks = [text_chunk(text) for text in texts]
    for chunk in chunks:
        put_slots(chunk, None if info is None else Slots(info))
    return chunks


async def test_a_reader_that_begins_in_the_middle_knows_the_request_behind_the_chunks(log: SQLiteLog) -> None:
    first, second = StreamInfo(dialect="a", model="one"), StreamInfo(dialect="b", model="two")
    many = CONTEXT_ITEMS * 3
    chunks = [
        *of_a_stream(["a"] * many, first),
        *of_a_stream(["b"] * many, second),
        *of_a_stream(["c"] * many, None),
    ]

    async def source() -> AsyncIterator[StreamChunk]:
        for chunk in chunks:
            yield chunk

    await log.produce("monday", rxllm.from_async_iterable(source))
    whole = await positions(log, "monday")
    due = [None if chunk.stream is None else chunk.stream.model for chunk in chunks]
    assert [item.item.stream and item.item.stream.model for item in whole] == due
    for known in range(0, len(chunks), 17):
        rest = [chunk async for chunk in rxllm.from_log(log, "monday", after=whole[known].position)]
        assert [chunk.stream and chunk.stream.model for chunk in rest] == due[known + 1 :]
        assert len({id(chunk.stream) for chunk in rest}) == len({chunk.stream and chunk.stream.model for chunk in rest})


async def test_a_new_writer_tells_anew_which_request_it_is(log: SQLiteLog) -> None:
    writer = await log.engine.claim("monday", lease=30)
    await writer.append([ItemRecord(0, 0.0, "chunk", {}, {"stream": {"dialect": "a", "model": "one"}})])
    await writer.release()
    await log.produce("monday", reactivex.from_iterable(of_a_stream(["x", "y"], None)), take_over=True)
    assert [item.item.stream and item.item.stream.model for item in await positions(log, "monday")] == [
        "one",
        None,
        None,
    ]


def usage_chunk(tokens: int) -> StreamChunk:
    return StreamChunk(usage=Usage(prompt_tokens=3, completion_tokens=tokens), model="m")


ANSWERS: dict[str, list[StreamChunk]] = {
    "text": [marked(text_chunk("Hel"), begins=True), text_chunk("lo"), finish_chunk(), usage_chunk(2), usage_chunk(5)],
    "one chunk": [text_chunk("Hello")],
    "calls": [
        text_chunk("I look. "),
        tool_chunk('{"a"', name="look", id="call_1"),
        tool_chunk(": 1}"),
        finish_chunk("tool_calls"),
    ],
    "an answer that began anew": [
        text_chunk("It is "),
        marked(text_chunk("Ten"), begins=True, restarts=True),
        text_chunk(" past"),
        marked(finish_chunk(), repairs=(Repair("blank-ignored", 0, "a", "b"),)),
    ],
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_snapshot_and_its_tail_add_up_to_the_whole(name: str, log: SQLiteLog) -> None:
    chunks = ANSWERS[name]
    whole = await reactivex.from_iterable(chunks).pipe(ops.accumulate())
    for before in range(1, len(chunks) + 1):
        stream = f"{name} {before}"
        subject: Subject[StreamChunk] = Subject()
        production = log.produce(stream, subject)
        await production.claimed()
        for chunk in chunks[:before]:
            subject.on_next(chunk)
        async with asyncio.timeout(PATIENCE):
            async for item in rxllm.from_log(log, stream, with_positions=True):
                if item.position.number == before - 1:
                    break
            snapshot = rxllm.from_log(log, stream, snapshot=True, with_positions=True)
            items: list[LogItem[StreamChunk]] = []
            async for item in snapshot:
                items.append(item)
                if len(items) == 1:
                    assert item.position.number == before - 1
                    for chunk in chunks[before:]:
                        subject.on_next(chunk)
                    subject.on_completed()
            await production
        assert len(items) == 1 + len(chunks) - before
        answer = await reactivex.from_iterable([item.item for item in items]).pipe(ops.accumulate())
        assert answer.model_dump(exclude={"attempts"}) == whole.model_dump(exclude={"attempts"})


async def test_a_snapshot_of_texts_and_of_several_answers(log: SQLiteLog) -> None:
    answers = [marked(text_chunk("a"), begins=True), text_chunk("b"), marked(text_chunk("c"), begins=True)]
    await log.produce("monday", reactivex.of("x", "y", *answers, "z"))
    items = [item async for item in rxllm.from_log(log, "monday", snapshot=True)]
    assert [item.text if isinstance(item, StreamChunk) else item for item in items] == ["xy", "ab", "c", "z"]
    # Whoever leaves behind one of them comes back to the next.
    found = [item async for item in rxllm.from_log(log, "monday", snapshot=True, with_positions=True)]
    assert [item.position.number for item in found] == [1, 3, 4, 5]
    for known, item in enumerate(found, 1):
        rest = rxllm.from_log(log, "monday", after=item.position, snapshot=True)
        assert [each async for each in rest] == items[known:]
    await log.produce("tuesday", reactivex.of("x", 5))
    with pytest.raises(TypeError, match="a snapshot is made of chunks or of texts, not of int"):
        await rxllm.from_log(log, "tuesday", snapshot=True)
    await log.produce("wednesday", reactivex.empty())
    assert [item async for item in rxllm.from_log(log, "wednesday", snapshot=True)] == []


@pytest.mark.parametrize("one", [str, text_chunk])
async def test_a_snapshot_says_that_a_new_writer_began_anew(one: Callable[[str], object], log: SQLiteLog) -> None:
    writer = await log.sink("monday").open()
    await writer.write([one("a"), one("b")])
    await writer.release()
    await log.produce("monday", reactivex.of(one("x"), one("y")), take_over=True)
    stream = rxllm.from_log(log, "monday", after=writer.position, snapshot=True, with_positions=True)
    (item,) = [item async for item in stream]
    assert (item.position.number, item.restarts) == (3, True)
    assert item.item == "xy" or item.item.text == "xy"


@given(st.lists(st.text(max_size=3), min_size=1, max_size=30))
def test_however_an_answer_is_cut_its_fold_is_the_same(texts: list[str]) -> None:
    fold = Folded()
    for text in texts:
        fold.add(text_chunk(text))
    assert fold.close().text == "".join(texts)


WRONG: dict[str, tuple[Callable[[SQLiteLog], object], type[Exception], str]] = {
    "no name": (lambda log: rxllm.from_log(log, ""), ValueError, "1 to 1000 characters"),
    "no position": (lambda log: rxllm.from_log(log, "a", after="5"), ValueError, "'5' is not a position in a log"),
    "no number": (lambda log: rxllm.from_log(log, "a", after="1.x"), ValueError, "a position looks like '3.17'"),
    "an odd digit": (lambda log: rxllm.from_log(log, "a", after="1.²"), ValueError, "is not a position"),
    "a large number": (lambda log: rxllm.from_log(log, "a", after="1." + "9" * 30), ValueError, "is not a position"),
    "no text": (lambda log: rxllm.from_log(log, "a", after=5), TypeError, "after must be LogPosition, not int"),  # type: ignore[call-overload]
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_told_where_it_stands(what: str, log: SQLiteLog) -> None:
    call, kind, message = WRONG[what]
    with pytest.raises(kind, match=message):
        call(log)
