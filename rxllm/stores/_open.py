"""Which store a file holds."""

from __future__ import annotations

import os
from pathlib import Path

from rxllm.stores._jsonlines import JSONLinesReader
from rxllm.stores._recording_errors import as_recording_errors
from rxllm.stores._records import Reader
from rxllm.stores._sqlite_reader import SQLiteReader
from rxllm.stores._sqlite_schema import SQLITE_MAGIC


def open_reader(path: str | os.PathLike[str]) -> Reader:
    """Open the recordings in a file, of whatever format, which its first bytes tell.

    Raises:
        RecordingError: There is no such file, it cannot be read, or it is something else.
    """
    with as_recording_errors(Path(path)), Path(path).open("rb") as file:
        is_sqlite = file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    return SQLiteReader(path) if is_sqlite else JSONLinesReader(path)
