"""``JSONLinesSink``."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from rxllm.sinks._store import StoreSink
from rxllm.stores import JSONLinesWriter


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
