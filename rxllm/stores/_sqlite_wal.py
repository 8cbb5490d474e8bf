"""The write-ahead log beside a database, kept from growing.

SQLite begins it anew by itself only where a writer comes in a moment in which nobody reads. Where somebody always does,
it would grow for ever (SQLite, "Write-Ahead Logging", section 6 "Avoiding Excessively Large WAL Files"). So a writer
that finds it large waits a little for those who read, none of which reads for long, and empties it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

from rxllm.stores._sqlite_schema import BUSY_SECONDS, log_of

__all__ = ["MOST_BYTES", "WriteAheadLog"]

MOST_BYTES = 8 * 1024 * 1024
"""From how many bytes on it is emptied. By itself SQLite leaves about 4 MiB."""

# For how many seconds those who read are waited for: their transactions take milliseconds.
_PATIENCE_SECONDS = 0.25


class WriteAheadLog:
    """That of one database.

    Args:
        connection: The connection of its writer.
        path: The file.
    """

    def __init__(self, connection: sqlite3.Connection, path: str | os.PathLike[str]) -> None:
        self._connection = connection
        self._file = log_of(path)
        self._large = MOST_BYTES

    def bound(self) -> None:
        """Empty it if it is large: between two transactions.

        If somebody reads for longer, it is tried again when there is as much again. Whatever is wrong with the file,
        the next transaction tells: what was written is written.
        """
        with suppress(OSError, sqlite3.Error):
            size = self._file.stat().st_size
            if size < self._large:
                return
            self._large = size + MOST_BYTES
            if self._is_emptied():
                self._large = MOST_BYTES

    def _is_emptied(self) -> bool:
        self._connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_SECONDS * 1000:.0f}")
        try:
            busy: int = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            return not busy
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
