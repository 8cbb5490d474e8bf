"""Errors of files, of databases and of what is in them become ``RecordingError`` where they leave a store.

A store that fails while it is opened is closed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rxllm.exceptions import LogUnavailableError, RecordingError, RxllmError, as_cause


@contextmanager
def as_recording_errors(path: Path) -> Generator[None]:
    """Name the file in what goes wrong with it."""
    try:
        yield
    except RxllmError:
        raise
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: no such file") from as_cause(error)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from as_cause(error)
    except sqlite3.OperationalError as error:
        # An error of Python's own module has no code.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise RecordingError(f"{path}: {error}") from as_cause(error)
        raise LogUnavailableError(f"{path}: {error}: another process holds it") from as_cause(error)
    except sqlite3.Error as error:
        raise RecordingError(f"{path}: {error}") from as_cause(error)
    except ValueError as error:
        # What is there was read, and is of other types than it should be.
        raise RecordingError(f"{path}: not a recording of rxllm, or damaged: {error}") from as_cause(error)


def require_same_file(path: Path, opened: os.stat_result) -> None:
    """See that a file that is written to is still there: what goes into one that was deleted is lost.

    Args:
        path: Where it was opened.
        opened: What it was then.

    Raises:
        RecordingError: It was deleted or moved, or another file is in its place.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: the file was deleted or moved while it was written to") from error
    if not os.path.samestat(found, opened):
        raise RecordingError(f"{path}: another file has taken its place while it was written to")


@contextmanager
def closed_on_error(opened: IO[bytes] | sqlite3.Connection) -> Generator[None]:
    """Close what was opened if the block fails."""
    try:
        yield
    except BaseException:
        opened.close()
        raise
