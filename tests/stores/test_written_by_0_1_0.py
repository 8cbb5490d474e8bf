"""Recordings that version 0.1.0 wrote are read, wherever they are, and stay as they are until somebody writes."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import RecordingError, TruncatedStreamError
from rxllm.models import ChatCompletion, StreamChunk, StreamInfo, Usage, marked
from rxllm.sinks import JSONLinesSink, SQLiteSink, StoreSink
from rxllm.sources import from_recording, list_recordings
from rxllm.stores import EndRecord, SQLiteWriter, open_reader
from rxllm.testing import ScriptedServer, WireRecording, replay, text_chunk
from rxllm.typing import Ending
from tests.stores.places import Place

OLD = Path(__file__).with_name("written_by_0_1_0")
STORES = ["recordings.db", "recordings.jsonl"]
SINKS: dict[str, type[JSONLinesSink | SQLiteSink]] = {"recordings.db": SQLiteSink, "recordings.jsonl": JSONLinesSink}

COMMON = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1735689600, "model": "gpt-4o-mini"}
FUNCTION = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "w", "arguments": ""}}
# What was null then is absent now.
BEGINNING: list[dict[str, Any]] = [
    {
        **COMMON,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}],
        "obfuscation": "ab",
    },
    {**COMMON, "choices": [{"index": 0, "delta": {"content": "Hel"}}], "obfuscation": "abc"},
    {**COMMON, "choices": [{"index": 0, "delta": {"content": "lo"}}], "vendor": {"deep": [1, None]}},
]
WHOLE: list[dict[str, Any]] = [
    *BEGINNING,
    {**COMMON, "choices": [{"index": 0, "delta": {"tool_calls": [FUNCTION]}}]},
    *(
        {
            **COMMON,
            "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}}],
        }
        for piece in ('{"city":', '"Paris"}')
    ),
    {**COMMON, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    {
        **COMMON,
        "choices": [],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 7,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    },
]


@pytest.fixture(autouse=True)
def old_files(place: Place) -> None:
    for file in OLD.iterdir():
        shutil.copyfile(file, place.path / file.name)


@pytest.fixture(params=["writable", "read-only"])
def anywhere(request: pytest.FixtureRequest, place: Place) -> Path:
    if request.param == "read-only":
        place.lock()
    return place.path


async def chunks_in(path: Path, stream: str, **options: Any) -> list[StreamChunk]:
    chunks: list[StreamChunk] = []
    await from_recording(path, stream=stream, **options).pipe(rx_ops.do_action(chunks.append), rx_ops.count())
    return chunks


async def chunks_before_the_cut(path: Path) -> tuple[list[StreamChunk], TruncatedStreamError]:
    chunks: list[StreamChunk] = []
    with pytest.raises(TruncatedStreamError) as caught:
        await from_recording(path, stream="cut").pipe(rx_ops.do_action(chunks.append))
    return chunks, caught.value


def fields_of(chunks: list[StreamChunk]) -> list[dict[str, Any]]:
    return [chunk.model_dump(exclude_none=True) for chunk in chunks]


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version


def version_in(content: bytes) -> int:
    # SQLite, "Database File Format", section 1.3.
    return int.from_bytes(content[60:64])


async def record(sink: StoreSink, chunks: list[StreamChunk]) -> None:
    stream = await sink.open()
    await stream.write(chunks)
    await stream.close(Ending("completed"))


NEW = [
    marked(text_chunk("new"), stream=StreamInfo(host="h", bytes=5), begins=True),
    marked(text_chunk("er"), event='{"type": "delta"}'),
]


@pytest.mark.parametrize("name", STORES)
async def test_the_old_streams_are_listed(name: str, anywhere: Path) -> None:
    listed = list_recordings(anywhere / name)

    assert [(info.stream, info.items, info.ending) for info in listed] == [
        ("whole", 8, "completed"),
        ("cut", 3, "failed"),
    ]
    assert all(info.began.tzinfo is not None for info in listed)


@pytest.mark.parametrize("name", STORES)
@pytest.mark.parametrize("attempts", ["last", "all"])
async def test_an_old_stream_is_played_to_its_end(name: str, attempts: str, anywhere: Path) -> None:
    chunks = await chunks_in(anywhere / name, "whole", attempts=attempts)

    assert fields_of(chunks) == WHOLE
    # Nothing was known of what a chunk has beside its fields.
    slots = {(chunk.stream, chunk.begins, chunk.restarts, chunk.repairs, chunk.event) for chunk in chunks}
    assert slots == {(None, False, False, (), None)}


@pytest.mark.parametrize("name", STORES)
async def test_an_old_stream_amounts_to_the_answer_that_it_was(name: str, anywhere: Path) -> None:
    completion = await from_recording(anywhere / name, stream="whole").pipe(ops.accumulate())

    assert isinstance(completion, ChatCompletion)
    assert (completion.content, completion.complete) == ("Hello", True)
    assert [(call.function.name, call.function.arguments) for call in completion.message.tool_calls] == [
        ("w", '{"city":"Paris"}')
    ]
    assert completion.usage is not None
    assert completion.usage.total_tokens == 12
    assert completion.model_extra is not None
    assert completion.model_extra["vendor"] == {"deep": [1, None]}


@pytest.mark.parametrize("name", STORES)
async def test_an_old_stream_that_was_cut_fails_as_it_did(name: str, anywhere: Path) -> None:
    chunks, error = await chunks_before_the_cut(anywhere / name)

    assert fields_of(chunks) == BEGINNING
    assert (error.unfinished, error.events) == ((0,), 3)
    assert str(error) == "the stream ended after 3 events without [DONE], and choices (0,) had no finish_reason"


@pytest.mark.parametrize("name", STORES)
def test_the_completion_that_was_stored_is_read(name: str, anywhere: Path) -> None:
    completions: dict[str, ChatCompletion] = {}
    with closing(open_reader(anywhere / name)) as reader:
        for stream in ("whole", "cut"):
            assert reader.began_anew(stream) == 0
            (end,) = [each for each in reader.read(stream) if isinstance(each, EndRecord)]
            completions[stream] = ChatCompletion.model_validate(end.completion)

    assert {name: (each.content, each.complete) for name, each in completions.items()} == {
        "whole": ("Hello", True),
        "cut": ("Hello", False),
    }


@pytest.mark.parametrize("name", STORES)
async def test_whoever_reads_an_old_file_leaves_it_as_it_is(name: str, place: Place) -> None:
    before = place.files()

    list_recordings(place.path / name)
    await chunks_in(place.path / name, "whole")
    await chunks_in(place.path / name, "whole", timing="recorded", speed=1e9)
    await chunks_before_the_cut(place.path / name)

    assert place.files() == before


@pytest.mark.parametrize("name", STORES)
async def test_whoever_reads_an_old_file_where_nothing_can_be_written_leaves_nothing_beside_it(
    name: str, place: Place
) -> None:
    before = place.files()
    place.lock()

    await chunks_in(place.path / name, "whole")

    assert place.files() == before
    with pytest.raises(RecordingError, match=name):
        await SINKS[name](place.path / name).open()
    assert place.files() == before


@pytest.mark.parametrize("name", STORES)
async def test_new_streams_stand_beside_the_old_ones(name: str, place: Place) -> None:
    path = place.path / name

    await record(SINKS[name](path, stream_id=lambda: "new"), NEW)

    assert [info.stream for info in list_recordings(path)] == ["whole", "cut", "new"]
    assert fields_of(await chunks_in(path, "whole")) == WHOLE
    assert fields_of((await chunks_before_the_cut(path))[0]) == BEGINNING
    first, second = await chunks_in(path, "new")
    assert [first, second] == NEW
    assert (first.stream, first.begins, second.begins) == (StreamInfo(host="h", bytes=5), True, False)
    assert second.event == '{"type": "delta"}'


async def test_lines_are_appended_to_an_old_file_and_none_is_changed(place: Place) -> None:
    path = place.path / "recordings.jsonl"
    before = path.read_bytes()

    await record(JSONLinesSink(path), NEW)
    await record(JSONLinesSink(path), NEW)

    assert path.read_bytes().startswith(before)
    assert path.read_bytes().removeprefix(before).count(b'"record":"begin","version":2') == 2


async def test_an_old_name_may_be_taken_again_in_lines_and_then_the_new_stream_counts(place: Place) -> None:
    path = place.path / "recordings.jsonl"

    await record(JSONLinesSink(path, stream_id=lambda: "whole"), NEW)

    assert [(info.stream, info.items) for info in list_recordings(path)] == [("cut", 3), ("whole", 2)]
    assert await chunks_in(path, "whole") == NEW


async def test_a_line_that_0_1_0_was_killed_in_is_passed_over_and_the_next_stands_on_its_own(place: Place) -> None:
    path = place.path / "recordings.jsonl"
    # In the middle of the ending of the stream that was cut.
    path.write_bytes(path.read_bytes()[:-100])

    await record(JSONLinesSink(path, stream_id=lambda: "new"), NEW)

    listed = [(info.stream, info.items, info.ending) for info in list_recordings(path)]
    assert listed == [("whole", 8, "completed"), ("cut", 3, None), ("new", 2, "completed")]
    assert await chunks_in(path, "new") == NEW


def test_the_first_writer_makes_version_3_of_an_old_database_and_the_next_finds_it(place: Place) -> None:
    path = place.path / "recordings.db"
    assert version_in(path.read_bytes()) == 1

    SQLiteWriter(path).close()

    migrated = path.read_bytes()
    assert version_of(path) == version_in(migrated) == 4
    with closing(sqlite3.connect(path)) as connection:
        assert [row[1] for row in connection.execute("PRAGMA table_info(chunks)")][-2:] == ["slots", "epoch"]
        assert connection.execute("SELECT COUNT(*), COUNT(slots) FROM chunks").fetchone() == (11, 0)
    SQLiteWriter(path).close()
    assert version_of(path) == 4


def test_an_old_name_is_taken_in_a_database(place: Place) -> None:
    with closing(SQLiteWriter(place.path / "recordings.db")) as writer, pytest.raises(RecordingError, match="UNIQUE"):
        writer.begin("whole", datetime(2025, 1, 31, tzinfo=UTC))


async def test_a_reader_of_an_old_database_goes_on_while_a_writer_makes_version_3_of_it(place: Place) -> None:
    path = place.path / "recordings.db"
    with closing(open_reader(path)) as reader:
        assert reader.began_anew("whole") == 0
        batches = reader.read("whole")

        await record(SQLiteSink(path, stream_id=lambda: "new"), NEW)

        items = [item for batch in batches if not isinstance(batch, EndRecord) for item in batch]
        assert [item.position for item in items] == list(range(8))
        assert {item.slots is None for item in items} == {True}
        assert [info.stream for info in reader.recordings()] == ["whole", "cut", "new"]
        (new,) = [batch for batch in reader.read("new") if not isinstance(batch, EndRecord)]
        assert [item.slots is None for item in new] == [False, False]


# What came over the wire ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place_of", ["writable", "read-only"])
def test_an_old_wire_recording_is_played_through_the_parser(place_of: str, place: Place) -> None:
    before = place.files()
    if place_of == "read-only":
        place.lock()

    completion = rxllm.run(replay(place.path / "wire.jsonl", timing="none").pipe(ops.parse(), ops.accumulate()))

    assert isinstance(completion, ChatCompletion)
    assert (completion.content, completion.complete) == ("Hello there.", True)
    assert completion.usage == Usage(prompt_tokens=7, completion_tokens=2, total_tokens=9)
    assert place.files() == before


def test_an_old_wire_recording_says_what_was_asked_and_answered() -> None:
    recording = WireRecording.load(OLD / "wire.jsonl")

    assert (recording.request.transport, recording.request.method) == ("sse", "POST")
    assert recording.request.url.endswith("/v1/chat/completions")
    assert recording.response is not None
    assert (recording.response.status, recording.response.headers["x-request-id"]) == (200, "req-0")
    assert recording.end is not None
    assert recording.end.ending == "eof"
    assert recording.body.endswith(b"data: [DONE]\n\n")


async def test_an_old_wire_recording_is_answered_by_a_server_as_it_was() -> None:
    answer = WireRecording.load(OLD / "wire.jsonl").answer(timing="none")
    async with ScriptedServer(answer) as server:
        completion = await rxllm.from_sse(server.url).pipe(ops.parse(), ops.accumulate())

    assert isinstance(completion, ChatCompletion)
    assert completion.content == "Hello there."
