"""The tables of a database of recordings and logs, and how it is opened.

Versions: 1 had neither slots nor what a log needs; 2 had slots; 3 did not count epochs. Readers know all of them; the
first writer that opens a database of an older version makes the present one of it, and what it adds is empty for the
streams that are there.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from rxllm.exceptions import RecordingError
from rxllm.stores._recording_errors import closed_on_error

SQLITE_MAGIC = b"SQLite format 3\0"
"""What every SQLite file begins with (SQLite, "Database File Format", section 1.3.1)."""

APPLICATION_ID = int.from_bytes(b"rxLM")
SCHEMA_VERSION = 4
WITH_SLOTS = 2
WITH_LOGS = 3
BUSY_SECONDS = 30.0
_RETRY_SECONDS = 0.01

SCHEMA = (
    """
    CREATE TABLE streams (
        number INTEGER PRIMARY KEY,   -- in the order in which they began
        stream TEXT NOT NULL UNIQUE,
        began TEXT NOT NULL,          -- UTC, ISO 8601
        ending TEXT,                  -- completed, failed, stopped or cancelled; NULL: cut, or still being written
        seconds REAL,                 -- from the beginning to the ending
        items INTEGER,                -- how many there are
        error TEXT,                   -- JSON: type, message, attributes
        epoch INTEGER,                -- that of the last writer
        lease REAL,                   -- for how many seconds it counts as alive; NULL: it gives no signs
        beat REAL,                    -- its last sign, by the monotonic clock of the machine
        touched REAL,                 -- the last sign of any writer, in seconds of Unix time
        bytes INTEGER,                -- of all items
        cancel TEXT                   -- JSON: reason and by, if somebody asked for the stream to stop
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
        epoch INTEGER,                -- that of its writer
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
    "CREATE TABLE epochs (last INTEGER NOT NULL)",  # one row: the last epoch of all, also of streams that were removed
    "INSERT INTO epochs VALUES (0)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

_STEPS = {
    2: ("ALTER TABLE chunks ADD COLUMN slots TEXT",),
    3: (
        *(
            f"ALTER TABLE streams ADD COLUMN {column}"
            for column in ("epoch INTEGER", "lease REAL", "beat REAL", "touched REAL", "bytes INTEGER", "cancel TEXT")
        ),
        "ALTER TABLE chunks ADD COLUMN epoch INTEGER",
    ),
    4: (
        "CREATE TABLE epochs (last INTEGER NOT NULL)",
        "INSERT INTO epochs SELECT COALESCE(MAX(epoch), 0) FROM streams",
    ),
}
"""What makes each version of the one before."""


class EmptyDatabaseError(RecordingError):
    """There are no tables: somebody is about to make them, perhaps."""


def connect(path: Path, mode: Literal["rw", "rwc", "ro&immutable=1"]) -> sqlite3.Connection:
    """Open a database, in the mode of SQLite's URIs."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open a database, making it, its tables, or the present version of them."""
    connection = connect(path, "rwc")
    with closed_on_error(connection):
        _prepare(path, connection)
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a database that is there, and change nothing."""
    try:
        # Not read-only: the log that a killed process left has to be recovered.
        return _open_to_read(path, "rw")
    except sqlite3.OperationalError as error:
        if not _is_out_of_reach(error) or log_of(path).exists():
            raise
        # A log cannot be made here, and there is none: nobody writes, so none is needed either
        # (SQLite, "Write-Ahead Logging", section 5 "Read-Only Databases").
        return _open_to_read(path, "ro&immutable=1")


def log_of(path: str | os.PathLike[str]) -> Path:
    """Where the write-ahead log of a database is: beside the file, not beside a link to it."""
    file = Path(path).resolve()
    return file.with_name(f"{file.name}-wal")


@contextmanager
def transaction(connection: sqlite3.Connection, kind: Literal["DEFERRED", "IMMEDIATE"]) -> Generator[None]:
    """Commit what is done within, or undo it if that raises."""
    with connection:
        connection.execute(f"BEGIN {kind}")
        yield


def value_of(connection: sqlite3.Connection, query: str) -> int:
    """The one number that a query gives."""
    value: int = connection.execute(query).fetchone()[0]
    return value


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the schema: a writer may change it at any time, but not within a transaction of a reader."""
    return value_of(connection, "PRAGMA user_version")


def _open_to_read(path: Path, mode: Literal["rw", "ro&immutable=1"]) -> sqlite3.Connection:
    connection = connect(path, mode)
    with closed_on_error(connection):
        connection.execute("PRAGMA query_only = ON")
        with transaction(connection, "DEFERRED"):
            if not _is_ours(path, connection):
                raise EmptyDatabaseError(f"{path}: an empty database")
    return connection


def _is_out_of_reach(error: sqlite3.OperationalError) -> bool:
    """Whether the file, or its place, is read-only for this process."""
    # The low byte is the kind of error, the others say more (SQLite, "Result and Error Codes").
    return error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    with transaction(connection, "DEFERRED"):
        _is_ours(path, connection)
    _log_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    # Taking the write lock at once: one taken later cannot always be waited for.
    with transaction(connection, "IMMEDIATE"):
        # Somebody else may have made the tables while this one waited for its turn.
        if not _is_ours(path, connection):
            for statement in SCHEMA:
                connection.execute(statement)
        elif version_of(connection) < SCHEMA_VERSION:
            _migrate(connection)


def _migrate(connection: sqlite3.Connection) -> None:
    for version in range(version_of(connection), SCHEMA_VERSION):
        for statement in _STEPS[version + 1]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


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
    application = value_of(connection, "PRAGMA application_id")
    version = version_of(connection)
    if application == APPLICATION_ID:
        if not 1 <= version <= SCHEMA_VERSION:
            raise RecordingError(f"{path}: version {version} of the schema; this rxllm knows up to {SCHEMA_VERSION}")
        return True
    if application or version or value_of(connection, "SELECT COUNT(*) FROM sqlite_master"):
        raise RecordingError(f"{path}: a database of another program")
    return False
