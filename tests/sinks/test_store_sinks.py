"""The sinks that record, through their two methods and through a pipeline."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm.exceptions import BufferOverflowError, ChunkTimeoutError, RecordingError, StreamInterruptedError
from rxllm.models import ChatCompletion, Delta, StreamChunk
from rxllm.sinks import JSONLinesSink, SQLiteSink, StoreSink
from rxllm.sources import from_recording, list_recordings
from rxllm.stores import EndRecord, ItemRecord, RecordingInfo, open_reader
from rxllm.testing import finish_chunk, text_chunk, tool_chunk
from rxllm.typing import Ending

MakeSink = Callable[..., StoreSink]


@pytest.fixture(params=[JSONLinesSink, SQLiteSink])
def make_sink(request: pytest.FixtureRequest) -> MakeSink:
    made: MakeSink = request.param
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording"


def ending_of(path: Path, stream: str | None = None) -> EndRecord | None:
    with closing(open_reader(path)) as reader:
        batches = list(reader.read(stream or reader.recordings()[-1].stream))
    return batches[-1] if batches and isinstance(batches[-1], EndRecord) else None


async def replayed(path: Path, stream: str | None = None) -> list[Any]:
    items: list[Any] = await from_recording(path, stream=stream).pipe(rx_ops.to_list())
    return items


async def record(sink: StoreSink, items: Sequence[object], ending: Ending) -> None:
    stream = await sink.open()
    await stream.write(items)
    await stream.close(ending)


def chunks() -> list[StreamChunk]:
    return [text_chunk("Hel"), text_chunk("lo"), finish_chunk()]


async def test_what_is_written_comes_back(make_sink: MakeSink, path: Path) -> None:
    before = datetime.now(UTC)
    sink = make_sink(path)
    stream = await sink.open()
    await stream.write(chunks()[:1])
    await stream.write(chunks()[1:])
    await stream.close(Ending("completed"))
    assert await replayed(path) == chunks()
    (info,) = list_recordings(path)
    assert (info.items, info.ending) == (3, "completed")
    assert before <= info.began <= datetime.now(UTC)


async def test_the_store_is_closed_with_its_last_stream_and_opened_again(make_sink: MakeSink, path: Path) -> None:
    sink = make_sink(path)
    for _ in range(2):
        await record(sink, chunks(), Ending("completed"))
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("rxllm")]
        # A single file that can be copied: no log beside it.
        assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert len(list_recordings(path)) == 2


async def test_streams_at_once(make_sink: MakeSink, path: Path) -> None:
    names = iter("abcdefgh")
    sink = make_sink(path, stream_id=lambda: next(names))

    async def one(name: str) -> None:
        stream = await sink.open()
        for number in range(5):
            await stream.write([f"{name}{number}", f"{name}{number}'"])
        await stream.close(Ending("completed"))

    await asyncio.gather(*(one(str(number)) for number in range(8)))
    assert sorted(info.stream for info in list_recordings(path)) == list("abcdefgh")
    streams = [await replayed(path, name) for name in "abcdefgh"]
    expected = [[f"{name}{number}{tick}" for number in range(5) for tick in ("", "'")] for name in range(8)]
    assert sorted(streams) == expected


async def test_the_answer_is_stored_with_the_ending(make_sink: MakeSink, path: Path) -> None:
    await record(make_sink(path), chunks(), Ending("completed"))
    end = ending_of(path)
    assert end is not None
    completion = ChatCompletion.model_validate(end.completion)
    assert completion.complete
    assert completion.message.content == "Hello"


async def test_what_there_is_of_a_cut_answer_is_stored(make_sink: MakeSink, path: Path) -> None:
    await record(make_sink(path), chunks()[:2], Ending("failed", StreamInterruptedError("cut", events=2)))
    end = ending_of(path)
    assert end is not None
    completion = ChatCompletion.model_validate(end.completion)
    assert not completion.complete
    assert completion.message.content == "Hello"


async def test_a_garbled_call_does_not_lose_the_rest(make_sink: MakeSink, path: Path) -> None:
    items = [tool_chunk('{"a":1}{"b":2}', id="a", name="f"), finish_chunk("tool_calls")]
    await record(make_sink(path), items, Ending("completed"))
    end = ending_of(path)
    assert end is not None
    assert end.completion["choices"][0]["incomplete_tool_calls"][0]["id"] == "a"
    assert await replayed(path) == items


async def test_what_cannot_be_accumulated_is_recorded_all_the_same(make_sink: MakeSink, path: Path) -> None:
    items = [text_chunk("x", choice=choice) for choice in range(200)]
    stream = await make_sink(path).open()
    await stream.write(items)
    await stream.write(items)
    await stream.close(Ending("completed"))
    end = ending_of(path)
    assert end is not None
    assert end.completion is None
    assert await replayed(path) == items * 2


@pytest.mark.parametrize("items", [["text"], []])
async def test_other_streams_have_no_answer(make_sink: MakeSink, path: Path, items: list[str]) -> None:
    await record(make_sink(path), items, Ending("completed"))
    end = ending_of(path)
    assert end is not None
    assert end.completion is None


async def test_the_message_can_be_queried(path: Path) -> None:
    await record(SQLiteSink(path), chunks(), Ending("completed"))
    query = "SELECT ending, json_extract(message, '$.content') FROM streams JOIN completions USING (number)"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(query).fetchall() == [("completed", "Hello")]


async def test_seconds_are_those_since_the_beginning(make_sink: MakeSink, path: Path) -> None:
    await record(make_sink(path), ["a", "b"], Ending("completed"))
    with closing(open_reader(path)) as reader:
        (batch, end) = reader.read(reader.recordings()[0].stream)
    assert isinstance(end, EndRecord)
    assert not isinstance(batch, EndRecord)
    assert 0 <= batch[0].seconds == batch[1].seconds <= end.seconds < 60


# When something goes wrong -------------------------------------------------------------------------------------------


async def test_a_batch_that_cannot_be_stored_ends_the_recording(make_sink: MakeSink, path: Path) -> None:
    stream = await make_sink(path).open()
    await stream.write(["a"])
    with pytest.raises(TypeError, match="cannot be recorded"):
        await stream.write(["b", object()])
    # Whoever goes on all the same must not get a recording with a hole in it.
    with pytest.raises(TypeError, match="cannot be recorded"):
        await stream.write(["c"])
    await stream.close(Ending("completed"))
    end = ending_of(path)
    assert end is not None
    assert (end.kind, end.items) == ("failed", 1)
    with pytest.raises(RecordingError, match=r"failed with builtins\.TypeError"):
        await replayed(path)


async def test_a_failed_stream_keeps_its_own_error(make_sink: MakeSink, path: Path) -> None:
    stream = await make_sink(path).open()
    with pytest.raises(TypeError):
        await stream.write([object()])
    await stream.close(Ending("failed", ChunkTimeoutError("gap", 1, 0)))
    end = ending_of(path)
    assert end is not None
    assert end.error is not None
    assert end.error.type == "ChunkTimeoutError"


async def test_a_store_that_cannot_be_opened(make_sink: MakeSink, tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    for _ in range(2):
        with pytest.raises(RecordingError):
            await sink.open()


async def test_a_name_that_is_taken(path: Path) -> None:
    sink = SQLiteSink(path, stream_id=lambda: "same")
    await record(sink, ["a"], Ending("completed"))
    with pytest.raises(RecordingError, match="UNIQUE"):
        await sink.open()


async def test_two_lines_streams_of_one_name_at_once(path: Path) -> None:
    sink = JSONLinesSink(path, stream_id=lambda: "same")
    stream = await sink.open()
    with pytest.raises(RecordingError, match="'same' is already being written"):
        await sink.open()
    await stream.write(["a"])
    await stream.close(Ending("completed"))
    # The next one of the name counts.
    await record(sink, ["b", "c"], Ending("completed"))
    assert await replayed(path, "same") == ["b", "c"]
    assert [info.items for info in list_recordings(path)] == [2]


class Gate:
    """A store that stands still in ``append`` until the gate is opened."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.entered = threading.Event()
        self.opened = threading.Event()

    def begin(self, stream: str, began: datetime) -> None:
        assert began.tzinfo is UTC
        self.calls.append(f"begin {stream}")

    def append(self, stream: str, items: Sequence[ItemRecord]) -> None:
        self.entered.set()
        self.opened.wait()
        self.calls.append(f"append {stream} {[item.position for item in items]}")

    def end(self, stream: str, end: EndRecord) -> None:
        self.calls.append(f"end {stream} {end.kind} {end.items}")

    def close(self) -> None:
        self.calls.append("close")


async def test_a_batch_under_way_is_stored_although_nobody_waits_for_it_any_more() -> None:
    gate = Gate()
    stream = await StoreSink(lambda: gate, stream_id=lambda: "s").open()
    writing = asyncio.ensure_future(stream.write(["a", "b"]))
    await asyncio.to_thread(gate.entered.wait)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    gate.opened.set()
    await stream.close(Ending("cancelled"))
    assert gate.calls == ["begin s", "append s [0, 1]", "end s cancelled 2", "close"]


async def test_closing_that_is_cancelled_closes() -> None:
    gate = Gate()
    stream = await StoreSink(lambda: gate, stream_id=lambda: "s").open()
    writing = asyncio.ensure_future(stream.write(["a"]))
    await asyncio.to_thread(gate.entered.wait)
    closing_ = asyncio.ensure_future(stream.close(Ending("completed")))
    await asyncio.sleep(0)
    closing_.cancel()
    gate.opened.set()
    await writing
    with pytest.raises(asyncio.CancelledError):
        await closing_
    assert gate.calls == ["begin s", "append s [0]", "end s completed 1", "close"]


# In a pipeline -------------------------------------------------------------------------------------------------------


async def test_record_replay_and_accumulate_gives_the_same(make_sink: MakeSink, path: Path) -> None:
    live = await reactivex.from_iterable(chunks()).pipe(ops.tee_to(make_sink(path)), ops.accumulate())
    again = await from_recording(path).pipe(ops.accumulate())
    assert again == live
    assert live.message.content == "Hello"


async def test_a_failed_stream_is_recorded_and_fails_again(make_sink: MakeSink, path: Path) -> None:
    source: Observable[StreamChunk] = reactivex.concat(
        reactivex.from_iterable(chunks()[:2]), reactivex.throw(ChunkTimeoutError("gap", 2.5, 2))
    )
    pipeline = ops.accumulate()
    with pytest.raises(ChunkTimeoutError) as live:
        await source.pipe(ops.tee_to(make_sink(path)), pipeline)
    with pytest.raises(ChunkTimeoutError) as again:
        await from_recording(path).pipe(pipeline)
    assert str(again.value) == str(live.value)
    assert (again.value.phase, again.value.seconds, again.value.chunks) == ("gap", 2.5, 2)
    assert again.value.partial == live.value.partial


async def test_a_recording_that_lacks_dropped_items_fails_when_it_is_played(make_sink: MakeSink, path: Path) -> None:
    # All items come at once, before the sink has opened its store.
    tee = ops.tee_to(make_sink(path), buffer_size=2, overflow="drop_oldest")
    assert await reactivex.from_iterable(chunks() * 2).pipe(tee, rx_ops.to_list()) == chunks() * 2
    end = ending_of(path)
    assert end is not None
    assert (end.kind, end.items) == ("failed", 2)
    assert end.error is not None
    assert (end.error.type, end.error.attributes) == ("BufferOverflowError", {"size": 2})
    items: list[Any] = []
    with pytest.raises(BufferOverflowError, match="4 items were dropped") as failure:
        await from_recording(path).pipe(rx_ops.do_action(items.append))
    assert failure.value.size == 2
    assert items == chunks()[1:]


async def test_what_an_operator_filled_in_is_played_again(make_sink: MakeSink, path: Path) -> None:
    def sign(chunk: StreamChunk) -> StreamChunk:
        choice = chunk.choices[0].model_copy(update={"delta": Delta(content="signed")})
        return chunk.model_copy(update={"choices": [choice]})

    wire = StreamChunk.from_wire({"choices": [{"index": 0, "finish_reason": "stop"}]})
    await reactivex.of(wire).pipe(rx_ops.map(sign), ops.tee_to(make_sink(path)))
    assert (await from_recording(path).pipe(ops.accumulate())).content == "signed"


# kill -9 -------------------------------------------------------------------------------------------------------------

WRITE_FOR_EVER = """
import asyncio, sys
from rxllm.sinks import JSONLinesSink, SQLiteSink

async def main() -> None:
    sink = {"JSONLinesSink": JSONLinesSink, "SQLiteSink": SQLiteSink}[sys.argv[1]](sys.argv[2])
    stream = await sink.open()
    number = 0
    while True:
        await stream.write([f"{number + each}" for each in range(10)])
        number += 10
        print(number, flush=True)

asyncio.run(main())
"""


async def write_and_kill(sink: str, path: Path) -> int:
    """Kill a process while it writes; how many items it said were stored."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITE_FOR_EVER, sink, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(20):
        await process.stdout.readline()
    process.kill()
    said = (await process.stdout.read()).split()
    await process.wait()
    return max(map(int, said), default=200)


async def test_after_kill_all_but_the_batch_under_way_is_there(make_sink: MakeSink, path: Path) -> None:
    for killed in range(1, 3):
        stored = await write_and_kill(make_sink.__name__, path)
        info = list_recordings(path)[-1]
        assert (len(list_recordings(path)), info.ending) == (killed, None)
        assert info.items >= stored >= 200
        items: list[str] = []
        with pytest.raises(StreamInterruptedError, match="killed, or is still writing"):
            await from_recording(path).pipe(rx_ops.do_action(items.append))
        assert items == [str(number) for number in range(info.items)]
    # And the next one goes on in the same file.
    await record(make_sink(path), ["next"], Ending("completed"))
    assert await replayed(path) == ["next"]
    assert [info.ending for info in list_recordings(path)] == [None, None, "completed"]


def test_lines_can_be_read_by_anybody(tmp_path: Path) -> None:
    path = tmp_path / "readable.jsonl"
    asyncio.run(record(JSONLinesSink(path, fsync=False, stream_id=lambda: "s"), chunks(), Ending("completed")))
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [record["record"] for record in records] == ["begin", "item", "item", "item", "end"]
    assert records[1]["value"]["choices"][0]["delta"]["content"] == "Hel"
    assert list_recordings(path) == [RecordingInfo("s", datetime.fromisoformat(records[0]["began"]), 3, "completed")]
