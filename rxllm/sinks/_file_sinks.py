"""Sinks that record in a file: ``JSONLinesSink`` and ``SQLiteSink``."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from rxllm.sinks._store import StoreSink
from rxllm.stores import JSONLinesWriter, SQLiteWriter


class JSONLinesSink(StoreSink):
    """Records streams in a file of JSON lines, one a record, which ``from_recording`` plays again.

    The file is only ever appended to; several streams, sinks and processes may do so at once. When the end of the
    stream goes on downstream, everything is on the disk. After ``kill -9`` the last line may be torn: it is ignored,
    and whoever writes next begins a new one.

    Args:
        path: The file; made if there is none.
        fsync: Whether the end waits for the disk. Without it, a loss of power may take the last seconds, but
            nothing else does.
        stream_id: Names each new stream, to be found again under that name; by default a random identifier. Where
            two streams in a file have the same, the one that began last counts; two at once are a ``RecordingError``.

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
    """Records streams in a SQLite database, which ``from_recording`` plays again.

    Several streams, sinks and processes may write into one file at once. Each batch is a transaction; when the end of
    the stream goes on downstream, everything is on the disk. After ``kill -9`` the file opens and holds all but the
    batch under way. Beside the items it holds what they amount to: the final message, or what there is of it. What is
    finished can be read where nothing can be written, too.

    Args:
        path: The file; made if there is none.
        stream_id: Names each new stream, to be found again under that name; by default a random identifier. A name
            that is in the file already is a ``RecordingError``.

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
