"""Both ends of both stores."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from rxllm.exceptions import RecordingError
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
    monkeypatch.setattr("rxllm.stores._sqlite.BUSY_SECONDS", 0.0)
    with closing(sqlite3.connect(tmp_path / "chats.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RecordingError, match=r"chats\.db: database is locked"):
            SQLiteWriter(tmp_path / "chats.db")


# What is no recording ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"hello\n", b'{"other": 1}\n', b"\x00\x01", b"SQLite format 2\0"])
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
    with pytest.raises(RecordingError, match="a database of something else"):
        end(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("end", [SQLiteWriter, open_reader])
def test_a_schema_of_another_version_is_refused(end: Callable[[Path], Writer | Reader], tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    write(SQLite(path), "a", [], END)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(RecordingError, match="version 7 of the schema; this version of rxllm knows 1"):
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
    with pytest.raises(RecordingError, match="version 7 of the format; this version of rxllm reads 1"):
        listed(JSONLines(path))


@pytest.mark.parametrize("line", ['{"stream":"a"}', '{"stream":"a","record":"hat"}', '{"stream":"a","record":"item"}'])
def test_lines_of_something_else_are_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(RecordingError, match="not a recording"):
        listed(JSONLines(path))


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


# What people see in the files ----------------------------------------------------------------------------------------


def test_lines_are_readable(tmp_path: Path) -> None:
    path = tmp_path / "readable.jsonl"
    write(JSONLines(path), "a", [[item(0, "né")]], FAILED)
    begin, line, end = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(begin) == {"stream": "a", "record": "begin", "version": 1, "began": BEGAN.isoformat()}
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
