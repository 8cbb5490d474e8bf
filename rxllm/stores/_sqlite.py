"""Recordings in a SQLite database.

Rules:

1. Write-ahead logging, so that readers and one writer never wait for each other; writers wait for their turn, in
   whatever process, up to ``BUSY_SECONDS``.
2. A batch is a transaction. The process may be killed at any time: the file then holds all batches before.
3. The ending is committed with ``synchronous = FULL``, which waits for the disk, and the log before it with it.
   Batches are committed with ``NORMAL``, which does not: a loss of power may take the last batches of a stream that
   has not ended, and never damages the file. A writer that finds its file deleted, or another in its place, says so.
4. What is finished can be read where nothing can be written, from a medium or by a user that is read-only.
5. ``PRAGMA application_id`` says that a database is ours, ``PRAGMA user_version`` which schema it has. Any other
   database is refused, and left as it is.

The answer is a query away::

    SELECT stream, json_extract(message, '$.content') FROM streams JOIN completions USING (number)
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from rxllm.exceptions import RecordingError
from rxllm.stores._lossless_json import dumps, loads
from rxllm.stores._recording_errors import as_recording_errors, closed_on_error, require_same_file
from rxllm.stores._records import (
    BATCH_ITEMS,
    READABLE,
    VERSION,
    EndRecord,
    ItemRecord,
    RecordingInfo,
    checked,
    written_seconds,
)

SQLITE_MAGIC = b"SQLite format 3\0"
"""What every SQLite file begins with (SQLite, "Database File Format", section 1.3.1)."""

APPLICATION_ID = int.from_bytes(b"rxLM")
BUSY_SECONDS = 30.0
_RETRY_SECONDS = 0.01

SCHEMA = (
    """
    CREATE TABLE streams (
        number INTEGER PRIMARY KEY,   -- in the order in which they began
        stream TEXT NOT NULL UNIQUE,
        began TEXT NOT NULL,          -- UTC, ISO 8601
        ending TEXT,                  -- completed, failed or cancelled; NULL: cut, or still being written
        seconds REAL,                 -- from the beginning to the ending
        items INTEGER,                -- how many there are, known at the ending
        error TEXT                    -- JSON: type, message, attributes
    )
    """,
    """
    CREATE TABLE chunks (
        number INTEGER NOT NULL REFERENCES streams (number),
        position INTEGER NOT NULL,    -- from 0
        seconds REAL NOT NULL,        -- since the beginning
        kind TEXT NOT NULL,
        value TEXT NOT NULL,          -- JSON
        slots TEXT,                   -- JSON: what a chunk has that is not part of it
        PRIMARY KEY (number, position)
    )
    """,
    """
    CREATE TABLE completions (
        number INTEGER PRIMARY KEY REFERENCES streams (number),
        message TEXT,                 -- JSON: that of the first choice, whole if the ending is "completed"
        completion TEXT NOT NULL      -- JSON
    )
    """,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)

_COLUMNS = ("stream", "began", "items", "ending")

# What a reader holds at a time, if that is reached before ``BATCH_ITEMS``.
_BATCH_CHARACTERS = 1024 * 1024


class SQLiteWriter:
    """Writes recordings into a database.

    Args:
        path: The file; made if there is none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        # Where it stays, whatever becomes of the current folder.
        self._place = self._path.absolute()
        self._numbers: dict[str, int] = {}
        with as_recording_errors(self._path):
            self._connection = _connect(self._path, "rwc")
            with closed_on_error(self._connection):
                _prepare(self._path, self._connection)
                self._file = self._place.stat()

    def begin(self, stream: str, began: datetime) -> None:
        """Begin a stream.

        Raises:
            RecordingError: There is a stream of that name already.
        """
        with self._transaction():
            insert = "INSERT INTO streams (number, stream, began) VALUES (?, ?, ?)"
            number = 1 + _value(self._connection, "SELECT COALESCE(MAX(number), 0) FROM streams")
            self._connection.execute(insert, (number, stream, began.isoformat()))
        self._numbers[stream] = number

    def append(self, stream: str, items: Sequence[ItemRecord]) -> None:
        """Store items, in one transaction."""
        number = self._numbers[stream]
        rows = [(number, *_row(item)) for item in items]
        insert = "INSERT INTO chunks (number, position, seconds, kind, value, slots) VALUES (?, ?, ?, ?, ?, ?)"
        with self._transaction():
            self._connection.executemany(insert, rows)

    def end(self, stream: str, end: EndRecord) -> None:
        """Store the ending and the completion, and wait for the disk."""
        number = self._numbers.pop(stream)
        error = None if end.error is None else asdict(end.error)
        ending = (end.kind, written_seconds(end.seconds), end.items, _dumped(error), number)
        with self._waiting_for_the_disk(), self._transaction():
            update = "UPDATE streams SET ending = ?, seconds = ?, items = ?, error = ? WHERE number = ?"
            self._connection.execute(update, ending)
            if end.completion is not None:
                choices = end.completion["choices"]
                message = choices[0]["message"] if choices else None
                row = (number, _dumped(message), dumps(end.completion).decode())
                self._connection.execute("INSERT INTO completions VALUES (?, ?, ?)", row)

    def close(self) -> None:
        """Close the database; the last one to do so folds the log into the file."""
        with as_recording_errors(self._path):
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Generator[None]:
        with as_recording_errors(self._path), _transaction(self._connection, "IMMEDIATE"):
            # SQLite itself goes on with a file that nobody finds any more.
            require_same_file(self._place, self._file)
            yield

    @contextmanager
    def _waiting_for_the_disk(self) -> Generator[None]:
        self._connection.execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA synchronous = NORMAL")


class SQLiteReader:
    """Reads the recordings in a database, also while somebody writes there.

    Args:
        path: The file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        with as_recording_errors(self._path):
            try:
                # Not read-only: the log that a killed process left has to be recovered.
                self._connection = _open_to_read(self._path, "rw")
            except sqlite3.OperationalError as error:
                if not _is_out_of_reach(error) or _log_of(self._path).exists():
                    raise
                # A log cannot be made here, and there is none: nobody writes, so none is needed either
                # (SQLite, "Write-Ahead Logging", section 5 "Read-Only Databases").
                self._connection = _open_to_read(self._path, "ro&immutable=1")

    def recordings(self) -> list[RecordingInfo]:
        """All streams, in the order in which they began."""
        query = """
            SELECT stream, began, COALESCE(
                items, (SELECT MAX(position) + 1 FROM chunks WHERE chunks.number = streams.number), 0
            ), ending FROM streams ORDER BY number
        """
        with as_recording_errors(self._path):
            rows = self._connection.execute(query).fetchall()
            infos: list[RecordingInfo] = []
            problem: ValueError | None = None
            for row in rows:
                try:
                    infos.append(checked(RecordingInfo, dict(zip(_COLUMNS, row, strict=True))))
                except ValueError as error:
                    problem = error  # a stream that is damaged does not take the others along
            if problem is not None and not infos:
                raise problem
            return infos

    def began_anew(self, stream: str) -> int:
        """The position of the last item of a stream that restarts it; 0 if there is none."""
        query = """
            SELECT COALESCE(MAX(position), 0) FROM chunks JOIN streams USING (number)
            WHERE stream = ? AND json_extract(slots, '$.restarts')
        """
        with as_recording_errors(self._path), _transaction(self._connection, "DEFERRED"):
            if not self._has_slots():
                return 0
            position: int = self._connection.execute(query, (stream,)).fetchone()[0]
            return position

    def read(self, stream: str, start: int = 0) -> Iterator[Sequence[ItemRecord] | EndRecord]:
        """The items of a stream from a position on in batches, and its ending, if there is one.

        No transaction is open between two batches, so a slow reader is in nobody's way.
        """
        position = start
        while True:
            with as_recording_errors(self._path), _transaction(self._connection, "DEFERRED"):
                batch = self._batch(stream, position)
                # In the same snapshot: no item can come between the last one and the ending. And only once, since
                # the completion is about as large as all items together.
                end = None if batch else self._end(stream)
            if not batch:
                break
            yield batch
            position = batch[-1].position + 1
        if end is not None:
            yield end

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _has_slots(self) -> bool:
        """Whether there is a column for them: a writer may add it at any time."""
        return _value(self._connection, "PRAGMA user_version") >= VERSION

    def _batch(self, stream: str, position: int) -> list[ItemRecord]:
        slots = "slots" if self._has_slots() else "NULL"
        query = f"""
            SELECT position, chunks.seconds, kind, value, {slots} FROM chunks JOIN streams USING (number)
            WHERE stream = ? AND position >= ? ORDER BY position LIMIT ?
        """  # noqa: S608 - one of two words of ours
        batch: list[ItemRecord] = []
        size = 0
        for row in self._connection.execute(query, (stream, position, BATCH_ITEMS)):
            try:
                item = _item(row)
            except ValueError:
                if not batch:
                    raise
                break  # what is good comes first
            batch.append(item)
            size += len(row[3])
            if size > _BATCH_CHARACTERS:
                break
        return batch

    def _end(self, stream: str) -> EndRecord | None:
        query = """
            SELECT seconds, items, ending, error, completion FROM streams LEFT JOIN completions USING (number)
            WHERE stream = ? AND ending IS NOT NULL
        """
        row = self._connection.execute(query, (stream,)).fetchone()
        if row is None:
            return None
        seconds, items, kind, error, completion = row
        fields = {"seconds": seconds, "items": items, "kind": kind}
        return checked(EndRecord, {**fields, "error": _loaded(error), "completion": _loaded(completion)})


def _row(item: ItemRecord) -> tuple[object, ...]:
    text = dumps(item.value).decode()
    return item.position, written_seconds(item.seconds), item.kind, text, _dumped(item.slots)


def _item(row: tuple[Any, ...]) -> ItemRecord:
    """A row as an item.

    Raises:
        ValueError: It is damaged.
    """
    number, seconds, kind, value, slots = row
    fields = {"position": number, "seconds": seconds, "kind": kind, "value": loads(_text(value))}
    return checked(ItemRecord, {**fields, "slots": _loaded(slots)})


def _connect(path: Path, mode: Literal["rw", "rwc", "ro&immutable=1"]) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _open_to_read(path: Path, mode: Literal["rw", "ro&immutable=1"]) -> sqlite3.Connection:
    connection = _connect(path, mode)
    with closed_on_error(connection):
        connection.execute("PRAGMA query_only = ON")
        with _transaction(connection, "DEFERRED"):
            if not _is_ours(path, connection):
                raise RecordingError(f"{path}: an empty database")
    return connection


def _is_out_of_reach(error: sqlite3.OperationalError) -> bool:
    """Whether the file, or its place, is read-only for this process."""
    # The low byte is the kind of error, the others say more (SQLite, "Result and Error Codes").
    return error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


def _log_of(path: Path) -> Path:
    # It lies beside the file, not beside a link to it.
    file = path.resolve()
    return file.with_name(f"{file.name}-wal")


def _dumped(value: object) -> str | None:
    """A value for a column that may be empty."""
    return None if value is None else dumps(value).decode()


def _loaded(value: object) -> Any:
    """The value in such a column."""
    return None if value is None else loads(_text(value))


def _text(value: object) -> str:
    """A value of a column of texts; SQLite itself takes anything there."""
    if not isinstance(value, str):
        raise ValueError(f"a text was due, not {type(value).__name__}")  # noqa: TRY004 - the file is wrong, no caller
    return value


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: Literal["DEFERRED", "IMMEDIATE"]) -> Generator[None]:
    with connection:
        connection.execute(f"BEGIN {kind}")
        yield


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    with _transaction(connection, "DEFERRED"):
        _is_ours(path, connection)
    _log_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    # Taking the write lock at once: one taken later cannot always be waited for.
    with _transaction(connection, "IMMEDIATE"):
        # Somebody else may have made the tables while this one waited for its turn.
        if not _is_ours(path, connection):
            for statement in SCHEMA:
                connection.execute(statement)
        elif _value(connection, "PRAGMA user_version") < VERSION:
            connection.execute("ALTER TABLE chunks ADD COLUMN slots TEXT")
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging, which the file then keeps."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # SQLite does not always wait by itself here: not while another connection is about to write.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _is_ours(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether a database has our tables; ``False`` if it is empty.

    Raises:
        RecordingError: It belongs to something else, or has a schema that this version does not know.
    """
    application = _value(connection, "PRAGMA application_id")
    version = _value(connection, "PRAGMA user_version")
    if application == APPLICATION_ID:
        if version not in READABLE:
            raise RecordingError(f"{path}: version {version} of the schema; this rxllm knows up to {VERSION}")
        return True
    if application or version or _value(connection, "SELECT COUNT(*) FROM sqlite_master"):
        raise RecordingError(f"{path}: a database of something else")
    return False


def _value(connection: sqlite3.Connection, query: str) -> int:
    value: int = connection.execute(query).fetchone()[0]
    return value
