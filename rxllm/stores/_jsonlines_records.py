"""The lines of a file of recordings: what each says, and whether a file has any."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, TypeAlias, cast

from msgspec import Raw

from rxllm.exceptions import excerpt
from rxllm.harmless import EXCERPT_LENGTH, harmless
from rxllm.stores._lossless_json import dumps, loads
from rxllm.stores._records import READABLE, VERSION, EndRecord, ItemRecord, RecordingInfo, checked

__all__ = ["Damage", "Fields", "Record", "fields_of", "is_torn", "line_of", "record_or_damage", "require_recordings"]

Fields: TypeAlias = Mapping[str, Any]

# A line that was read: the information of a beginning, an item, an ending, or what is wrong with it.
Record: TypeAlias = "RecordingInfo | ItemRecord | EndRecord | Damage"

_START = b'{"stream":'

# Within how much of something else, damage perhaps, the first record of ours has to come.
_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that was a record of a stream."""

    problem: str
    of_beginning: bool


def fields_of(line: bytes) -> Fields | None:
    """What is in a line; ``None`` for what a killed process left."""
    if not line.startswith(_START):
        return None
    try:
        # What begins as such a line does, is an object or no JSON.
        return cast("Fields", loads(line))
    except ValueError:
        return None


def line_of(record: Fields) -> bytes:
    if not isinstance(record.get("value"), Raw):
        return dumps(record) + b"\n"
    head = dumps({name: each for name, each in record.items() if name != "value"})
    return b'%b,"value":%b}\n' % (head[:-1], dumps(record["value"]))


class _NewerVersionError(ValueError):
    """A newer version of this library wrote it."""


def record_or_damage(fields: Fields) -> Record:
    """A line as a record, or as one that was.

    Raises:
        ValueError: A newer version wrote it.
    """
    try:
        return _record(fields)
    except _NewerVersionError:
        raise
    except ValueError as error:
        return Damage(str(error), fields.get("record") == "begin")


def _record(fields: Fields) -> RecordingInfo | ItemRecord | EndRecord:
    """A line as a record.

    Raises:
        ValueError: It is none of ours.
    """
    match fields:
        case {"stream": str(), "record": "item"}:
            return checked(ItemRecord, fields)
        case {"stream": str(), "record": "end", "ending": ending}:
            return checked(EndRecord, {**fields, "kind": ending})
        case {"stream": str(stream), "record": "begin", "version": version}:
            if version not in READABLE:
                shown = harmless(repr(version), EXCERPT_LENGTH)
                raise _NewerVersionError(f"version {shown} of the format; this version of rxllm reads up to {VERSION}")
            return checked(RecordingInfo, {"stream": stream, "began": fields.get("began"), "items": 0, "ending": None})
        case _:
            raise ValueError("a line that is not a record")


def require_recordings(file: IO[bytes]) -> None:
    """Refuse a file that does not begin with a record of ours, or with what a killed process may have left of one.

    Damage may stand before it.

    Raises:
        ValueError: It begins with something else.
    """
    file.seek(0)
    problem: str | None = None
    left = _HEAD_BYTES
    while left > 0 and (start := file.readline(len(_START))):
        if start == _START:
            fields = fields_of(start + file.readline())
            found = None if fields is None else record_or_damage(fields)
            if found is not None and not isinstance(found, Damage):
                return
            problem = problem or (None if found is None else found.problem)
        elif not _START.startswith(start.removesuffix(b"\n")):
            problem = problem or f"it begins with {excerpt(start)}"
            # No more than a line, and of that no more than may be.
            left -= len(start if start.endswith(b"\n") else file.readline(left))
    if problem is not None:
        raise ValueError(problem)


def is_torn(file: IO[bytes]) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
