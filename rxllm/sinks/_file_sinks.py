"""Sinks that record in a file: ``JSONLinesSink`` and ``SQLiteSink``."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from rxllm.sinks._store import StoreSink
from rxllm.stores import JSONLinesWriter, SQLiteWriter


class JSONLinesSink(StoreSink):
    """Records streams in a file of JSON lines, one line for each record. ``from_recording`` replays them.

    The file only grows. Several streams, sinks and processes may append to it at once. When the end of the stream is
    passed on downstream, everything is on the disk. After ``kill -9`` the last line may be cut: readers ignore it, and
    the next writer begins a new line.

    Args:
        path: The file; made if there is none.
        fsync: Whether the end waits for the disk. Without it, a loss of power may lose the last seconds; a crash of the
            process loses nothing more.
        stream_id: Returns the name of each new stream; ``from_recording`` finds the stream by it. By default a random
            identifier. If two streams in a file have the same name, the later one counts; two at the same time are a
            ``RecordingError``.

    Example:
        >>> import pathlib, reactivex, rxllm, tempfile
        >>> from rxllm import operators as ops
        >>> from rxllm.sinks import JSONLinesSink
        >>> path = pathlib.Path(tempfile.mkdtemp(), "stream.jsonl")
        >>> rxllm.run(reactivex.of("Hel", "lo").pipe(ops.tee_to(JSONLinesSink(path))))
        'lo'
        >>> print(path.read_text().splitlines()[1])  # doctest: +ELLIPSIS
        {"stream":"...","record":"item","position":0,"seconds":...,"kind":"text","value":"Hel"}

    See also:
        ``SQLiteSink``, ``rxllm.from_recording``, ``operators.tee_to``
    """

    def __init__(
        self, path: str | os.PathLike[str], *, fsync: bool = True, stream_id: Callable[[], str] | None = None
    ) -> None:
        super().__init__(partial(JSONLinesWriter, path, fsync=fsync), stream_id=stream_id)


class SQLiteSink(StoreSink):
    """Records streams in a SQLite database. ``from_recording`` replays them.

    Several streams, sinks and processes may write to one file at once. Each batch is a transaction; when the end of the
    stream is passed on downstream, everything is on the disk. After ``kill -9`` the file opens and has everything but
    the batch that was being written. The file also has the message that the items make: the final one, or as much as
    had come. Finished streams can also be read from a read-only disk.

    Args:
        path: The file; made if there is none.
        stream_id: Returns the name of each new stream; ``from_recording`` finds the stream by it. By default a random
            identifier. A name that is already in the file is a ``RecordingError``.

    Example:
        >>> import pathlib, reactivex, rxllm, tempfile
        >>> from rxllm import operators as ops
        >>> from rxllm.sinks import SQLiteSink
        >>> path = pathlib.Path(tempfile.mkdtemp(), "chats.db")
        >>> rxllm.run(reactivex.of("Hel", "lo").pipe(ops.tee_to(SQLiteSink(path))))
        'lo'
        >>> rxllm.run(rxllm.from_recording(path))
        'lo'

    See also:
        ``JSONLinesSink``, ``rxllm.from_recording``, ``operators.tee_to``
    """

    def __init__(self, path: str | os.PathLike[str], *, stream_id: Callable[[], str] | None = None) -> None:
        super().__init__(partial(SQLiteWriter, path), stream_id=stream_id)
