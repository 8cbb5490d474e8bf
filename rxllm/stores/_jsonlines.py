"""Recordings in a file of JSON lines, to be read with any tool.

Rules:

1. One line a record. It begins with the identifier of its stream, so that streams written at once are told apart::

       {"stream":"5f0c","record":"begin","version":2,"began":"2025-01-31T12:00:00.000000+00:00"}
       {"stream":"5f0c","record":"item","position":0,"seconds":0.25,"kind":"text","value":"Hel"}
       {"stream":"5f0c","record":"end","seconds":0.5,"items":1,"ending":"completed","error":null,"completion":null}

2. A file is only ever appended to, whole lines at a time, so several processes may write to one.
3. A line that is not whole is the work of a process that was killed, or of a full disk. Readers skip it; a writer looks
   at the last byte before each batch, and starts on a new line. A line that is whole, and no record, is damage: the
   stream that it names ends there in an error. One that names none is skipped: the numbers of the items tell that one
   is missing.
4. A batch that could only be written in part is the last of its stream: no other is taken. The ending, which is no
   "completed" then, says how many items count, and readers pass over those beyond. Where there is no ending, the
   beginning of a batch counts.
5. Where two streams have one identifier, the one that began last counts. Two at once in one process are refused.
6. Readers see a file as it was when they began to read, up to the end of the last whole line.
7. A file without a record of ours at its beginning is refused, and left as it is. Damage, and lines that a process was
   killed in, may come before the first record.
8. A writer that finds its file deleted, or another in its place, says so at the next write.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from rxllm.exceptions import RecordingError
from rxllm.stores._jsonlines_records import (
    Damage,
    Fields,
    Record,
    fields_of,
    is_torn,
    line_of,
    record_or_damage,
    require_recordings,
)
from rxllm.stores._recording_errors import as_recording_errors, closed_on_error, require_same_file
from rxllm.stores._records import BATCH_ITEMS, VERSION, EndRecord, ItemRecord, RecordingInfo, written_seconds

# What of a file changes when it is written to, or replaced.
_State: TypeAlias = tuple[int, int, int]

# What a reader holds at a time, if that is reached before ``BATCH_ITEMS``.
_BATCH_BYTES = 1024 * 1024


class JSONLinesWriter:
    """Appends recordings to a file.

    Args:
        path: The file; made if there is none.
        fsync: Whether ``end`` waits until the disk has everything. Without it, a loss of power, but not of the
            process, may take the last seconds.
    """

    def __init__(self, path: str | os.PathLike[str], *, fsync: bool = True) -> None:
        self._path = Path(path)
        # Where it stays, whatever becomes of the current folder.
        self._place = self._path.absolute()
        self._fsync = fsync
        with as_recording_errors(self._path):
            # Unbuffered, so that a batch is one write; "+" to look at the first and the last byte.
            self._file = self._path.open("a+b", buffering=0)
        with closed_on_error(self._file), as_recording_errors(self._path):
            require_recordings(self._file)
        # The streams that are being written, and whether they take items.
        self._open: dict[str, bool] = {}

    def begin(self, stream: str, began: datetime) -> None:
        """Begin a stream.

        Raises:
            RecordingError: A stream of that name is being written.
        """
        if stream in self._open:
            raise RecordingError(f"{self._path}: the stream {stream!r} is already being written")
        self._write({"stream": stream, "record": "begin", "version": VERSION, "began": began.isoformat()})
        self._open[stream] = True

    def append(self, stream: str, items: Sequence[ItemRecord]) -> None:
        """Store items.

        Raises:
            RecordingError: The file cannot be written, or could not when the items before were stored.
        """
        if not self._open[stream]:
            raise RecordingError(f"{self._path}: earlier items could not be stored")
        # Spelled out: asdict() would copy each value deeply.
        records = [
            {
                "stream": stream,
                "record": "item",
                "position": item.position,
                "seconds": written_seconds(item.seconds),
                "kind": item.kind,
                **({} if item.slots is None else {"slots": item.slots}),
                # The last, for it may be the text of a value.
                "value": item.value,
            }
            for item in items
        ]
        try:
            self._write(*records)
        except RecordingError:
            self._open[stream] = False
            raise

    def end(self, stream: str, end: EndRecord) -> None:
        """Store the ending."""
        del self._open[stream]
        self._write(
            {
                "stream": stream,
                "record": "end",
                "seconds": written_seconds(end.seconds),
                "items": end.items,
                "ending": end.kind,
                "error": None if end.error is None else asdict(end.error),
                "completion": end.completion,
            }
        )
        if self._fsync:
            with as_recording_errors(self._path):
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, *records: Fields) -> None:
        lines = b"".join(line_of(record) for record in records)
        with as_recording_errors(self._path):
            require_same_file(self._place, os.fstat(self._file.fileno()))
            rest = memoryview(b"\n" + lines if is_torn(self._file) else lines)
            while rest:
                rest = rest[self._file.write(rest) :]


class JSONLinesReader:
    """Reads the recordings in a file, front to back, holding a batch at a time.

    Args:
        path: The file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        with as_recording_errors(self._path), self._path.open("rb") as file:
            require_recordings(file)
        # Where the streams are, and in which state of the file: who lists them mostly reads one of them next.
        self._seen: tuple[_State, dict[str, _Extent]] | None = None

    def recordings(self) -> list[RecordingInfo]:
        """All streams, in the order in which they began."""
        return [extent.info for extent in self._extents().values()]

    def began_anew(self, stream: str) -> int:
        """The position of the last item of a stream that restarts it; 0 if there is none."""
        extent = self._extents().get(stream)
        return 0 if extent is None else extent.anew

    def read(self, stream: str, start: int = 0) -> Iterator[Sequence[ItemRecord] | EndRecord]:
        """The items of a stream from a position on in batches, and its ending, if there is one."""
        extent = self._extents().get(stream)
        if extent is None:
            return
        batch: list[ItemRecord] = []
        size = 0
        for name, record, place in self._records(extent.start, extent.stop):
            if name != stream:
                continue
            if isinstance(record, EndRecord):
                yield batch
                yield record
                return
            if isinstance(record, Damage):
                yield batch
                raise RecordingError(f"{self._path}: damaged at byte {place.start}: {record.problem}")
            if isinstance(record, RecordingInfo) or record.position < start or not extent.counts(record):
                continue
            batch.append(record)
            size += len(place)
            if len(batch) == BATCH_ITEMS or size > _BATCH_BYTES:
                yield batch
                batch, size = [], 0
        yield batch

    def close(self) -> None:
        """Nothing is kept open between two reads."""

    def _extents(self) -> dict[str, _Extent]:
        """Where in the file the streams are."""
        with as_recording_errors(self._path):
            file = self._path.stat()
        state = (file.st_ino, file.st_size, file.st_mtime_ns)
        if self._seen is None or self._seen[0] != state:
            self._seen = (state, self._find())
        return self._seen[1]

    def _find(self) -> dict[str, _Extent]:
        extents: dict[str, _Extent] = {}
        for stream, record, place in self._records():
            if isinstance(record, RecordingInfo):
                # One that began earlier under the same identifier does not count any more.
                extents.pop(stream, None)
                extents[stream] = _Extent(record, place.start, place.stop)
            elif isinstance(record, Damage) and record.of_beginning:
                extents.pop(stream, None)
            elif (extent := extents.get(stream)) is not None and extent.info.ending is None:
                extent.extend(record, place.stop)
        return extents

    def _records(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[str, Record, range]]:
        """The records between two places in the file: the names of their streams, what they say, where they are."""
        with as_recording_errors(self._path), self._path.open("rb") as file:
            file.seek(start)
            for line in file:
                if start == stop or not line.endswith(b"\n"):
                    # Beyond it is what was written since; a line without an end is being written, or was torn.
                    return
                place = range(start, start + len(line))
                start = place.stop
                fields = fields_of(line)
                if fields is not None and isinstance(name := fields["stream"], str):
                    yield name, record_or_damage(fields), place


@dataclass(slots=True)
class _Extent:
    """Where a stream is in the file, as far as was read."""

    info: RecordingInfo
    start: int
    stop: int
    anew: int = 0

    def counts(self, item: ItemRecord) -> bool:
        """Whether an item was not left by a batch that failed."""
        return self.info.ending in {None, "completed"} or item.position < self.info.items

    def extend(self, record: ItemRecord | EndRecord | Damage, stop: int) -> None:
        """Take in one more record, which stops there."""
        self.stop = stop
        if isinstance(record, Damage):
            return
        if isinstance(record, EndRecord):
            self.info = replace(self.info, items=record.items, ending=record.kind)
            return
        self.info = replace(self.info, items=record.position + 1)
        if record.slots is not None and record.slots.get("restarts"):
            self.anew = record.position
