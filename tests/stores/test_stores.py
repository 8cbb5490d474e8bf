"""Both ends of both stores."""

from __future__ import annotations

import json
import multiprocessing
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from rxllm.exceptions import ClaimLostError, RecordingError
from rxllm.stores import (
    EndRecord,
    ErrorRecord,
    ItemRecord,
    JSONLinesReader,
    JSONLinesWriter,
    Reader,
    RecordingInfo,
    SQLiteReader,
    SQLiteWriter,
    Writer,
    open_reader,
)
from rxllm.stores._lossless_json import loads
from tests.stores.places import Place

BEGAN = datetime(2025, 1, 31, 12, 0, 0, 5, tzinfo=UTC)
END = EndRecord(seconds=1.5, items=2, kind="completed")
FAILED = EndRecord(
    seconds=0.5,
    items=1,
    kind="failed",
    error=ErrorRecord("ChunkTimeoutError", "late", {"seconds": 0.5}),
    completion={"choices": [{"message": {"content": "Hi", "odd": float("inf")}}]},
)


class Format(Protocol):
    """A store under test."""

    def writer(self) -> Writer: ...
    def reader(self) -> Reader: ...


class JSONLines:
    def __init__(self, path: Path) -> None:
        self.writer: Callable[[], Writer] = lambda: JSONLinesWriter(path, fsync=False)
        self.reader: Callable[[], Reader] = lambda: JSONLinesReader(path)


class SQLite:
    def __init__(self, path: Path) -> None:
        self.writer: Callable[[], Writer] = lambda: SQLiteWriter(path)
        self.reader: Callable[[], Reader] = lambda: SQLiteReader(path)


@pytest.fixture(params=[JSONLines, SQLite])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Format:
    made: Format = request.param(tmp_path / "recording with %41 ?#")
    return made


def item(position: int, value: object = "x", seconds: float = 0.25) -> ItemRecord:
    return ItemRecord(position, seconds, "json", value)


def read(store: Format, stream: str) -> tuple[list[ItemRecord], EndRecord | None]:
    items: list[ItemRecord] = []
    with closing(store.reader()) as reader:
        for batch in reader.read(stream):
            if isinstance(batch, EndRecord):
                return items, batch
            items.extend(batch)
    return items, None


def listed(store: Format) -> list[RecordingInfo]:
    with closing(store.reader()) as reader:
        return reader.recordings()


def write(store: Format, stream: str, batches: Sequence[Sequence[ItemRecord]], end: EndRecord | None) -> None:
    with closing(store.writer()) as writer:
        writer.begin(stream, BEGAN)
        for batch in batches:
            writer.append(stream, batch)
        if end is not None:
            writer.end(stream, end)


def test_a_stream_comes_back(store: Format) -> None:
    write(store, "a", [[item(0)], [item(1, {"deep": [float("inf"), "\ud83d", 2**70]})]], END)
    items, end = read(store, "a")
    assert repr(items) == repr([item(0), item(1, {"deep": [float("inf"), "\ud83d", 2**70]})])
    assert end == END


def test_a_failure_and_what_there_was_come_back(store: Format) -> None:
    write(store, "a", [[item(0)]], FAILED)
    assert read(store, "a")[1] == FAILED


def test_an_answer_without_choices_is_stored(store: Format) -> None:
    end = EndRecord(seconds=0.0, items=0, kind="cancelled", completion={"choices": []})
    write(store, "a", [], end)
    assert read(store, "a") == ([], end)


def test_streams_at_once_are_told_apart(store: Format) -> None:
    with closing(store.writer()) as writer:
        for stream in "abc":
            writer.begin(stream, BEGAN)
        for position in range(5):
            for stream in "abc":
                writer.append(stream, [item(position, stream)])
        writer.end("b", END)
        # Readable while it is being written.
        assert [(info.stream, info.items, info.ending) for info in listed(store)] == [
            ("a", 5, None),
            ("b", 2, "completed"),
            ("c", 5, None),
        ]
        assert read(store, "b") == ([item(position, "b") for position in range(5)], END)
        writer.end("a", END)
    assert read(store, "a")[1] == END
    assert read(store, "c") == ([item(position, "c") for position in range(5)], None)
    assert [info.began for info in listed(store)] == [BEGAN] * 3


def test_an_existing_file_is_continued(store: Format) -> None:
    write(store, "a", [[item(0)]], END)
    write(store, "b", [[item(0, "y")]], None)
    assert [info.stream for info in listed(store)] == ["a", "b"]
    assert read(store, "a")[0] == [item(0)]
    assert read(store, "b")[0] == [item(0, "y")]


def test_long_streams_are_read_in_batches(store: Format) -> None:
    items = [item(position, position) for position in range(700)]
    write(store, "a", [items], END)
    with closing(store.reader()) as reader:
        sizes = [len(batch) for batch in reader.read("a") if not isinstance(batch, EndRecord)]
    assert max(sizes) <= 256
    assert read(store, "a")[0] == items


def test_batches_of_large_items_are_small(store: Format) -> None:
    write(store, "a", [[item(position, "x" * 400_000) for position in range(9)]], END)
    with closing(store.reader()) as reader:
        sizes = [len(batch) for batch in reader.read("a") if not isinstance(batch, EndRecord)]
    assert max(sizes) <= 3
    assert sum(sizes) == 9


def test_a_stream_that_nobody_wrote_is_empty(store: Format) -> None:
    write(store, "a", [], None)
    assert read(store, "b") == ([], None)


def write_in_process(made: type[JSONLines | SQLite], path: Path, name: str, barrier: Any) -> None:
    barrier.wait()
    store = made(path)
    write(store, name, [[item(position, name)] for position in range(40)], END)


@pytest.mark.parametrize("made", [JSONLines, SQLite])
def test_processes_write_into_one_file(made: type[JSONLines | SQLite], tmp_path: Path) -> None:
    # They even make the file at the same time.
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [
        context.Process(target=write_in_process, args=(made, tmp_path / "shared", name, barrier)) for name in "abc"
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    store = made(tmp_path / "shared")
    assert sorted((info.stream, info.ending) for info in listed(store)) == [(name, "completed") for name in "abc"]
    for name in "abc":
        assert read(store, name) == ([item(position, name) for position in range(40)], END)


def test_whoever_finds_the_file_being_made_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(tmp_path / "chats.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            other.rollback()

        monkeypatch.setattr("time.sleep", sleep)
        write(SQLite(tmp_path / "chats.db"), "a", [[item(0)]], END)
        assert len(waits) == 1


def test_waiting_for_the_file_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.stores._sqlite_schema.BUSY_SECONDS", 0.0)
    with closing(sqlite3.connect(tmp_path / "chats.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RecordingError, match=r"chats\.db: database is locked"):
            SQLiteWriter(tmp_path / "chats.db")


# What is no recording ------------------------------------------------------------------------------------------------


FOREIGN = [
    b"hello\n",
    b'{"other": 1}\n',
    b"\x00\x01",
    b"SQLite format 2\0",
    # What begins as a torn line of ours does, but goes on in another way.
    b'{\n  "name": "my-app"\n}\n',
    b"\nshopping list\n",
    b'{\n{"st\n\n{"name": 1}\n',
    b'{"stream":true,"model":"gpt"}\n',
    b'{"stream":true,\n "model":"gpt"}\n',
    b'{"stream":"a","record":"hat"}',
]


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize("end", [JSONLinesWriter, SQLiteWriter, open_reader])
def test_foreign_files_are_refused_and_left_alone(
    content: bytes, end: Callable[[Path], Writer | Reader], tmp_path: Path
) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="foreign"):
        end(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("end", [SQLiteWriter, open_reader])
@pytest.mark.parametrize("made", ["CREATE TABLE chats (id)", "PRAGMA user_version = 1", "PRAGMA application_id = 5"])
def test_foreign_databases_are_refused_and_left_alone(
    made: str, end: Callable[[Path], Writer | Reader], tmp_path: Path
) -> None:
    path = tmp_path / "foreign.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(made)
    content = path.read_bytes()
    with pytest.raises(RecordingError, match="a database of another program"):
        end(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("end", [SQLiteWriter, open_reader])
def test_a_schema_of_another_version_is_refused(end: Callable[[Path], Writer | Reader], tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    write(SQLite(path), "a", [], END)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(RecordingError, match="version 7 of the schema; this rxllm knows up to 4"):
        end(path)


def test_an_empty_database_holds_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    with pytest.raises(RecordingError, match="an empty database"):
        open_reader(path)
    write(SQLite(path), "a", [], END)
    assert [info.stream for info in listed(SQLite(path))] == ["a"]


@pytest.mark.parametrize("end", [JSONLinesWriter, SQLiteWriter, open_reader])
def test_what_cannot_be_opened_is_reported_with_its_name(
    end: Callable[[Path], Writer | Reader], tmp_path: Path
) -> None:
    with pytest.raises(RecordingError, match=tmp_path.name):
        end(tmp_path)
    with pytest.raises(RecordingError, match="nowhere"):
        end(tmp_path / "nowhere" / "file")


def test_lines_of_another_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "newer.jsonl"
    path.write_text('{"stream":"a","record":"begin","version":7,"began":"2025-01-31T12:00:00+00:00"}\n')
    with pytest.raises(RecordingError, match="version 7 of the format; this version of rxllm reads up to 2"):
        listed(JSONLines(path))


BEGIN = '{"stream":"a","record":"begin","version":1,"began":"2025-01-31T12:00:00+00:00"}'
ODD_LINES = [
    '{"stream":"a"}',
    '{"stream":"a","record":"hat"}',
    '{"stream":"a","record":["begin"]}',
    '{"stream":"a","record":"item"}',
    '{"stream":["a"],"record":"begin","version":1,"began":"2025-01-31T12:00:00+00:00"}',
    '{"stream":"a","record":"begin","version":1}',
    '{"stream":"a","record":"begin","version":1,"began":[5]}',
    '{"stream":"a","record":"begin","version":1,"began":"yesterday"}',
    '{"stream":"a","record":"item","position":"x","seconds":0,"kind":"text","value":1}',
    '{"stream":"a","record":"item","position":-1,"seconds":0,"kind":"text","value":1}',
    '{"stream":"a","record":"item","position":0,"seconds":NaN,"kind":"text","value":1}',
    '{"stream":"a","record":"item","position":0,"seconds":0,"kind":5,"value":1}',
    '{"stream":"a","record":"end","seconds":0,"items":0,"ending":"failed","error":{"type":5}}',
    '{"stream":"a","record":"end","seconds":0,"items":0,"ending":"failed","error":[1]}',
    '{"stream":"a","record":"end","seconds":0,"items":0,"ending":"odd","error":null}',
    '{"stream":"a","record":"end","seconds":0,"items":[0],"ending":"failed","error":null}',
]


@pytest.mark.parametrize("line", ODD_LINES)
def test_lines_of_something_else_are_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(RecordingError, match="not a recording"):
        listed(JSONLines(path))
    with pytest.raises(RecordingError, match="not a recording"):
        read(JSONLines(path), "a")


def test_fields_of_a_newer_version_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "newer.jsonl"
    error = '{"type":"KeyError","message":"x","new":1}'
    end = f'{{"stream":"a","record":"end","seconds":0,"items":0,"ending":"failed","error":{error},"new":1}}'
    path.write_text(f"{BEGIN}\n{end}\n")
    assert read(JSONLines(path), "a")[1] == EndRecord(0, 0, "failed", ErrorRecord("KeyError", "x"))


def test_what_comes_behind_an_ending_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "behind.jsonl"
    write(JSONLines(path), "a", [[item(0)]], FAILED)
    content = path.read_bytes()
    path.write_bytes(content + content.splitlines(keepends=True)[1].replace(b'"position":0', b'"position":1'))
    assert [(info.items, info.ending) for info in listed(JSONLines(path))] == [(1, "failed")]
    assert read(JSONLines(path), "a") == ([item(0)], FAILED)


ODD_ROWS = [
    "UPDATE streams SET began = 'yesterday'",
    "UPDATE streams SET stream = x'ff'",
    "UPDATE streams SET ending = 'odd'",
    "UPDATE streams SET items = 'x'",
]
ODD_CONTENT = [
    "UPDATE chunks SET value = '{'",
    "UPDATE chunks SET value = x'ff'",
    "UPDATE chunks SET value = CAST(x'ff' AS TEXT)",
    "UPDATE chunks SET seconds = 'late'",
    "UPDATE chunks SET kind = x'ff'",
    "UPDATE streams SET seconds = 'late'",
    "UPDATE streams SET error = '['",
    "UPDATE streams SET error = '[1]'",
    "UPDATE streams SET error = 5",
    "UPDATE completions SET completion = '['",
]


@pytest.mark.parametrize("change", [*ODD_ROWS, *ODD_CONTENT])
def test_rows_of_something_else_are_refused(change: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    write(SQLite(path), "a", [[item(0)]], FAILED)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(change)
    with pytest.raises(RecordingError, match=r"odd\.db: "):
        if change in ODD_ROWS:
            listed(SQLite(path))
        else:
            read(SQLite(path), "a")


# What a killed process leaves ----------------------------------------------------------------------------------------


def test_a_line_torn_anywhere_is_skipped_and_the_next_writer_begins_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "torn.jsonl"
    write(JSONLines(path), "a", [[item(0)], [item(1)]], None)
    content = path.read_bytes()
    last = content.rindex(b"\n", 0, -1) + 1
    for place in range(last, len(content) - 1):
        path.write_bytes(content[:place])
        assert read(JSONLines(path), "a") == ([item(0)], None)
        write(JSONLines(path), "b", [[item(0, "y")]], END)
        assert read(JSONLines(path), "a") == ([item(0)], None)
        assert read(JSONLines(path), "b") == ([item(0, "y")], END)


def test_a_first_line_torn_anywhere_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "torn.jsonl"
    write(JSONLines(path), "a", [], None)
    content = path.read_bytes()
    for place in range(len(content) - 1):
        path.write_bytes(content[:place])
        write(JSONLines(path), "b", [[item(0)]], END)
        assert [info.stream for info in listed(JSONLines(path))] == ["b"]
        assert read(JSONLines(path), "b") == ([item(0)], END)


def test_an_item_without_its_beginning_is_not_listed(tmp_path: Path) -> None:
    path = tmp_path / "headless.jsonl"
    write(JSONLines(path), "a", [[item(0)]], END)
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1])
    assert listed(JSONLines(path)) == []


def test_a_line_that_another_process_left_torn_swallows_none_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "torn.jsonl"
    with closing(JSONLinesWriter(path)) as writer:
        writer.begin("b", BEGAN)
        for position in range(2):
            with path.open("ab") as killed:
                killed.write(b'{"stream":"a","record":"item","pos')
            writer.append("b", [item(position)])
        writer.end("b", END)
    assert read(JSONLines(path), "b") == ([item(0), item(1)], END)


def test_a_line_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    write(JSONLines(path), "a", [[item(0)], [item(1)]], None)
    content = path.read_bytes()
    for torn in (content[:-1], content[:-2]):
        path.write_bytes(torn)
        assert [info.items for info in listed(JSONLines(path))] == [1]
        with closing(JSONLinesReader(path)) as reader:
            batches = reader.read("a")
            path.write_bytes(content)
            # As it is when reading begins: neither half a line, nor one behind it.
            assert [len(batch) for batch in batches if not isinstance(batch, EndRecord)] == [2]


def test_a_file_is_read_as_it_was_when_reading_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.stores._jsonlines.BATCH_ITEMS", 1)
    path = tmp_path / "live.jsonl"
    with closing(JSONLinesWriter(path)) as writer, closing(JSONLinesReader(path)) as reader:
        writer.begin("a", BEGAN)
        writer.append("a", [item(0), item(1)])
        batches = reader.read("a")
        assert next(batches) == [item(0)]
        writer.append("a", [item(2)])
        writer.end("a", END)
        assert list(batches) == [[item(1)], []]


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Files may grow up to a number of bytes, as on a disk that gets full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [2000, 2030, 2060, 2090])
def test_lines_of_a_batch_that_failed_are_not_read(size: int, full_disk: Callable[[int], None], tmp_path: Path) -> None:
    path = tmp_path / "full.jsonl"
    end = EndRecord(0.5, 1, "failed", ErrorRecord("RecordingError", "full"))
    with closing(JSONLinesWriter(path)) as writer:
        writer.begin("a", BEGAN)
        writer.append("a", [item(0)])
        full_disk(size)
        with pytest.raises(RecordingError, match="too large"):
            writer.append("a", [item(position) for position in range(1, 50)])
        full_disk(1_000_000)
        # There is a gap now, or a part of the batch, which nothing can follow.
        with pytest.raises(RecordingError, match="earlier items could not be stored"):
            writer.append("a", [item(1)])
        writer.end("a", end)
    assert path.read_bytes().count(b'"record":"item"') > 2
    assert [info.items for info in listed(JSONLines(path))] == [1]
    assert read(JSONLines(path), "a") == ([item(0)], end)


def test_the_last_of_two_streams_of_one_name_counts(tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    write(JSONLines(path), "a", [[item(0, "old")]], FAILED)
    write(JSONLines(path), "b", [], None)
    write(JSONLines(path), "a", [[item(0, "new"), item(1, "er")]], END)
    assert [(info.stream, info.items) for info in listed(JSONLines(path))] == [("b", 0), ("a", 2)]
    assert read(JSONLines(path), "a") == ([item(0, "new"), item(1, "er")], END)
    # Also if it was cut: what there was before is another stream.
    write(JSONLines(path), "a", [[item(0, "newest")]], None)
    assert read(JSONLines(path), "a") == ([item(0, "newest")], None)


def test_a_completed_stream_with_more_items_than_its_ending_says_is_shown_as_it_is(store: Format) -> None:
    write(store, "a", [[item(position) for position in range(3)]], END)
    assert len(read(store, "a")[0]) == 3


# Cost and place ------------------------------------------------------------------------------------------------------


def test_the_completion_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def counting(text: str) -> Any:
        texts.append(text)
        return loads(text)

    monkeypatch.setattr("rxllm.stores._sqlite_rows.loads", counting)
    store = SQLite(tmp_path / "long.db")
    completion = {"choices": [{"message": {"content": "whole"}}]}
    write(store, "a", [[item(position) for position in range(1500)]], EndRecord(1, 1500, "completed", None, completion))
    assert len(read(store, "a")[0]) == 1500
    assert len([text for text in texts if "whole" in text]) == 1


@pytest.mark.parametrize("made", [JSONLines, SQLite])
def test_what_is_finished_can_be_read_where_nothing_can_be_written(
    made: type[JSONLines | SQLite], place: Place
) -> None:
    store = made(place.path / "recording")
    write(store, "a", [[item(0)]], FAILED)
    place.lock()
    assert [info.stream for info in listed(store)] == ["a"]
    assert read(store, "a") == ([item(0)], FAILED)
    with pytest.raises(RecordingError, match="recording: "):
        store.writer()


def test_a_log_that_cannot_be_recovered_is_not_passed_over(place: Place) -> None:
    path = place.path / "killed.db"
    with closing(SQLiteWriter(path)) as writer:
        writer.begin("a", BEGAN)
        files = {file.name: file.read_bytes() for file in place.path.iterdir() if not file.name.endswith("-shm")}
    assert sorted(files) == ["killed.db", "killed.db-wal"]
    for name, content in files.items():
        (place.path / name).write_bytes(content)
    (place.path / "link.db").symlink_to(path)
    place.lock()
    for name in ("killed.db", "link.db"):
        with pytest.raises(RecordingError, match=name):
            SQLiteReader(place.path / name)


# What people see in the files ----------------------------------------------------------------------------------------


def test_lines_are_readable(tmp_path: Path) -> None:
    path = tmp_path / "readable.jsonl"
    write(JSONLines(path), "a", [[item(0, "né")]], FAILED)
    begin, line, end = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(begin) == {"stream": "a", "record": "begin", "version": 2, "began": BEGAN.isoformat()}
    assert line == '{"stream":"a","record":"item","position":0,"seconds":0.25,"kind":"json","value":"né"}'
    assert json.loads(end)["error"]["message"] == "late"


def test_the_message_is_a_query_away(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    completion = {"choices": [{"message": {"content": "Hi"}}]}
    write(SQLite(path), "a", [], EndRecord(1.0, 0, "completed", completion=completion))
    query = "SELECT stream, ending, message FROM streams JOIN completions USING (number)"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(query).fetchall() == [("a", "completed", '{"content":"Hi"}')]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_recording_that_was_removed_adds_nothing_to_the_one_that_has_its_place(tmp_path: Path) -> None:
    store = SQLite(tmp_path / "chats.db")
    remover = SQLiteWriter(tmp_path / "chats.db")
    with closing(store.writer()) as removed, closing(store.writer()) as writer, closing(remover):
        removed.begin("a", BEGAN)
        removed.append("a", [item(0)])
        assert remover.expire(0.0, None) == ["a"]
        writer.begin("b", BEGAN)
        writer.append("b", [item(0)])
        with pytest.raises(ClaimLostError, match="'a': it is gone"):
            removed.append("a", [item(1)])
        with pytest.raises(ClaimLostError, match="'a': it is gone"):
            removed.end("a", END)
        writer.append("b", [item(1)])
        assert read(store, "b") == ([item(0), item(1)], None)


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    write(SQLite(tmp_path / "chats.db"), "a", [], END)
    with pytest.raises(RecordingError, match="UNIQUE"):
        write(SQLite(tmp_path / "chats.db"), "a", [], END)


def test_a_batch_that_fails_is_not_there(tmp_path: Path) -> None:
    store = SQLite(tmp_path / "chats.db")
    with closing(store.writer()) as writer:
        writer.begin("a", BEGAN)
        writer.append("a", [item(0)])
        with pytest.raises(RecordingError, match="UNIQUE"):
            writer.append("a", [item(1), item(0)])
        assert read(store, "a")[0] == [item(0)]
        writer.append("a", [item(1)])
    assert read(store, "a")[0] == [item(0), item(1)]
