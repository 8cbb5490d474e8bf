"""Recordings in a file of JSON lines, to be read with any tool.

Rules:

1. One line a record. It begins with the identifier of its stream, so that streams written at once are told apart::

       {"stream":"5f0c","record":"begin","version":1,"began":"2025-01-31T12:00:00.000000+00:00"}
       {"stream":"5f0c","record":"item","position":0,"seconds":0.25,"kind":"text","value":"Hel"}
       {"stream":"5f0c","record":"end","seconds":0.5,"items":1,"ending":"completed","error":null,"completion":null}

2. A file is only ever appended to, whole lines at a time, so several processes may write to one.
3. A line that is not whole is the work of a process that was killed. Readers skip it; a writer starts on a new line.
4. A file that begins with something else is refused, and left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TypeAlias

from rxllm.exceptions import RecordingError
from rxllm.stores._errors import as_recording_errors
from rxllm.stores._json import dumps, loads
from rxllm.stores._records import EndRecord, ErrorRecord, ItemRecord, RecordingInfo

__all__ = ["JSONLinesReader", "JSONLinesWriter"]

VERSION = 1

Record: TypeAlias = Mapping[str, Any]

_START = b'{"stream":'

_FIELDS = {
    "begin": {"version", "began"},
    "item": {"position", "seconds", "kind", "value"},
    "end": {"seconds", "items", "ending", "error", "completion"},
}

# What a reader holds at a time, whichever is reached first.
_BATCH_ITEMS = 256
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
        self._fsync = fsync
        with as_recording_errors(self._path):
            # Unbuffered, so that a batch is one write; "+" to look at the first and the last byte.
            self._file = self._path.open("a+b", buffering=0)
        try:
            _require_recordings(self._path, self._file)
            self._torn = _is_torn(self._file)
        except BaseException:
            self._file.close()
            raise

    def begin(self, stream: str, began: datetime) -> None:
        """Begin a stream."""
        self._write({"stream": stream, "record": "begin", "version": VERSION, "began": began.isoformat()})

    def append(self, stream: str, items: Sequence[ItemRecord]) -> None:
        """Store items."""
        # Spelled out: asdict() would copy each value deeply.
        self._write(
            *(
                {
                    "stream": stream,
                    "record": "item",
                    "position": item.position,
                    "seconds": round(item.seconds, 6),
                    "kind": item.kind,
                    "value": item.value,
                }
                for item in items
            )
        )

    def end(self, stream: str, end: EndRecord) -> None:
        """Store the ending."""
        self._write(
            {
                "stream": stream,
                "record": "end",
                "seconds": round(end.seconds, 6),
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

    def _write(self, *records: Record) -> None:
        lines = b"".join(dumps(record) + b"\n" for record in records)
        rest = memoryview(b"\n" + lines if self._torn else lines)
        # Until all is written the last line is torn, and stays so if the disk is full.
        self._torn = True
        with as_recording_errors(self._path):
            while rest:
                rest = rest[self._file.write(rest) :]
        self._torn = False


class JSONLinesReader:
    """Reads the recordings in a file, front to back, holding a batch at a time.

    Args:
        path: The file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        with as_recording_errors(self._path), self._path.open("rb") as file:
            _require_recordings(self._path, file)

    def recordings(self) -> list[RecordingInfo]:
        """All streams, in the order in which they began."""
        found: dict[str, RecordingInfo] = {}
        for record, _ in self._records():
            stream = record["stream"]
            if record["record"] == "begin":
                found[stream] = RecordingInfo(stream, datetime.fromisoformat(record["began"]), 0, None)
            elif (info := found.get(stream)) is not None:
                ending = record["ending"] if record["record"] == "end" else None
                items = record["items"] if ending else record["position"] + 1
                found[stream] = RecordingInfo(stream, info.began, items, ending)
        return list(found.values())

    def read(self, stream: str) -> Iterator[Sequence[ItemRecord] | EndRecord]:
        """The items of a stream in batches, and its ending, if there is one."""
        batch: list[ItemRecord] = []
        size = 0
        for record, length in self._records():
            if record["stream"] != stream or record["record"] == "begin":
                continue
            if record["record"] == "end":
                yield batch
                yield _end(record)
                return
            batch.append(ItemRecord(record["position"], record["seconds"], record["kind"], record["value"]))
            size += length
            if len(batch) == _BATCH_ITEMS or size > _BATCH_BYTES:
                yield batch
                batch, size = [], 0
        yield batch

    def close(self) -> None:
        """Nothing is kept open between two reads."""

    def _records(self) -> Iterator[tuple[Record, int]]:
        """The records and the lengths of their lines, in bytes."""
        with as_recording_errors(self._path), self._path.open("rb") as file:
            for line in file:
                record = _record(line)
                if record is None:
                    continue
                if not _is_ours(record):
                    raise RecordingError(f"{self._path}: not a recording of rxllm")
                if record["record"] == "begin" and record["version"] != VERSION:
                    found = f"version {record['version']!r} of the format"
                    raise RecordingError(f"{self._path}: {found}; this version of rxllm reads {VERSION}")
                yield record, len(line)


def _record(line: bytes) -> Record | None:
    """A line as a record; ``None`` for what a killed process left."""
    if not line.startswith(_START):
        return None
    try:
        record: Record = loads(line)
    except ValueError:
        return None
    return record


def _is_ours(record: Record) -> bool:
    fields = _FIELDS.get(str(record.get("record")))
    return fields is not None and fields <= record.keys()


def _end(record: Record) -> EndRecord:
    error = record["error"]
    return EndRecord(
        seconds=record["seconds"],
        items=record["items"],
        kind=record["ending"],
        error=None if error is None else ErrorRecord(**error),
        completion=record["completion"],
    )


def _require_recordings(path: Path, file: IO[bytes]) -> None:
    file.seek(0)
    # A process that was killed in its first line may have left less than that.
    start = file.readline(len(_START)).removesuffix(b"\n")
    if not _START.startswith(start):
        raise RecordingError(f"{path}: not a recording of rxllm")


def _is_torn(file: IO[bytes]) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
