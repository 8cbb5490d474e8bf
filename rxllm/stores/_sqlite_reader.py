"""Reading recordings and logs from a SQLite database, also while somebody writes there."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rxllm.exceptions import ClaimLostError, PositionError, UnknownStreamError, excerpt
from rxllm.models import LogPosition
from rxllm.stores._log_engine import LOG_PAGE_ITEMS, Cancellation, LogInfo, LogPage
from rxllm.stores._recording_errors import as_recording_errors
from rxllm.stores._records import BATCH_ITEMS, EndRecord, ItemRecord, RecordingInfo, checked
from rxllm.stores._sqlite_claim import seconds_left
from rxllm.stores._sqlite_rows import item_of, loaded
from rxllm.stores._sqlite_schema import (
    SCHEMA_VERSION,
    WITH_LOGS,
    WITH_SLOTS,
    open_to_read,
    transaction,
    value_of,
    version_of,
)

__all__ = ["Place", "SQLiteReader"]

_COLUMNS = ("stream", "began", "items", "ending")

# What a reader holds at a time, if that is reached before ``BATCH_ITEMS``.
_BATCH_CHARACTERS = 1024 * 1024

# How many streams are asked for in one query: fewer than the parameters that any SQLite takes.
_NAMES = 500


@dataclass
class Place:
    """Where a reader of a log is.

    Attributes:
        stream: The name of the stream.
        next: The number of the next item.
        epoch: The epoch of the item before that, if there is one.
    """

    stream: str
    next: int = 0
    epoch: int = 0


class SQLiteReader:
    """Reads the recordings in a database, also while somebody writes there.

    Args:
        path: The file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        with as_recording_errors(self._path):
            self._connection = open_to_read(self._path)
        self._known = 0

    def recordings(self) -> list[RecordingInfo]:
        """All streams, in the order in which they began."""
        query = """
            SELECT stream, began, COALESCE(
                items, (SELECT MAX(position) + 1 FROM chunks WHERE chunks.number = streams.number), 0
            ), ending FROM streams ORDER BY number
        """
        with as_recording_errors(self._path):
            rows = self._connection.execute(query).fetchall()
            infos: list[RecordingInfo] = []
            problem: ValueError | None = None
            for row in rows:
                try:
                    infos.append(checked(RecordingInfo, dict(zip(_COLUMNS, row, strict=True))))
                except ValueError as error:
                    problem = error  # a stream that is damaged does not take the others along
            if problem is not None and not infos:
                raise problem
            return infos

    def began_anew(self, stream: str) -> int:
        """The position of the last item of a stream that restarts it; 0 if there is none."""
        query = """
            SELECT COALESCE(MAX(position), 0) FROM chunks JOIN streams USING (number)
            WHERE stream = ? AND json_extract(slots, '$.restarts')
        """
        with as_recording_errors(self._path), transaction(self._connection, "DEFERRED"):
            if self._version() < WITH_SLOTS:
                return 0
            position: int = self._connection.execute(query, (stream,)).fetchone()[0]
            return position

    def read(self, stream: str, start: int = 0) -> Iterator[Sequence[ItemRecord] | EndRecord]:
        """The items of a stream from a position on in batches, and its ending, if there is one.

        No transaction is open between two batches, so a slow reader is in nobody's way.
        """
        position = start
        while True:
            with as_recording_errors(self._path), transaction(self._connection, "DEFERRED"):
                batch, _ = self._batch(stream, position)
                # In the same snapshot: no item can come between the last one and the ending. And only once, since
                # the completion is about as large as all items together.
                end = None if batch else self._end(stream)
            if not batch:
                break
            yield batch
            position = batch[-1].position + 1
        if end is not None:
            yield end

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def place(self, stream: str, after: LogPosition | None, back: int) -> Place:
        """Where to read from: so many items before what stands behind a position of a log.

        Raises:
            UnknownStreamError: There is no such stream.
            PositionError: There is no such position in it.
        """
        with as_recording_errors(self._path), transaction(self._connection, "DEFERRED"):
            self._state(stream)
            last = self._last(stream)
            if after is None:
                return Place(stream)
            if self._epoch_of(stream, after.number) == after.epoch:
                begin = max(after.number + 1 - back, 0)
                return Place(stream, begin, self._epoch_of(stream, begin - 1) or 0)
            what = "is beyond the last item" if last is None or after.number > last.number else "has another epoch"
            message = f"{self._path}: the position {after} {what} of the stream {excerpt(stream)}, {last}"
            raise PositionError(message, position=after, last=last)

    def page(self, place: Place, size: int) -> LogPage:
        """The next items from a place on, which is moved; with the lease, if these are all, and no ending is there.

        Raises:
            UnknownStreamError: The stream is gone, or another one has its name.
        """
        with as_recording_errors(self._path), transaction(self._connection, "DEFERRED"):
            *signs, items = self._state(place.stream)
            if place.next and self._epoch_of(place.stream, place.next - 1) != place.epoch:
                raise self._unknown(place.stream, " any more: it was removed, and begun anew")
            batch, taken = self._batch(place.stream, place.next, LOG_PAGE_ITEMS, size)
            end = None if batch else self._end(place.stream)
        if not batch:
            return LogPage((), end, seconds_left(*signs))
        place.next, place.epoch = batch[-1].position + 1, batch[-1].epoch
        return LogPage(batch, None, seconds_left(*signs) if place.next == items else 0.0, taken)

    def log_infos(self) -> list[LogInfo]:
        """All streams as those of a log."""
        found: list[LogInfo] = []
        with as_recording_errors(self._path), transaction(self._connection, "DEFERRED"):
            for info in self.recordings():
                *signs, _ = self._state(info.stream)
                size = self._of_a_log("bytes", info.stream) or 0
                last = self._last(info.stream)
                alive = seconds_left(*signs) > 0
                found.append(LogInfo(info.stream, info.began, info.items, size, info.ending, alive, last))
        return found

    def states(self, streams: Collection[str]) -> dict[str, tuple[Any, ...]]:
        """What changes when something happens to a stream, for each that there is; the number of its items is last."""
        if self._version() < WITH_LOGS:
            return {}
        names = [*streams]
        states: dict[str, tuple[Any, ...]] = {}
        with as_recording_errors(self._path):
            for start in range(0, len(names), _NAMES):
                some = names[start : start + _NAMES]
                places = ",".join("?" * len(some))
                query = f"SELECT stream, epoch, ending, cancel, items FROM streams WHERE stream IN ({places})"  # noqa: S608
                states |= {stream: tuple(state) for stream, *state in self._connection.execute(query, some)}
        return states

    def cancellation(self, stream: str, epoch: int) -> Cancellation | None:
        """Who wants the writer of a stream to stop, if somebody does.

        Raises:
            ClaimLostError: It is not the writer any more.
        """
        query = "SELECT cancel FROM streams WHERE stream = ? AND epoch = ? AND ending IS NULL"
        with as_recording_errors(self._path):
            row = self._connection.execute(query, (stream, epoch)).fetchone()
        if row is None:
            message = f"{self._path}: the stream {excerpt(stream)} has ended, or another writer has claimed it"
            raise ClaimLostError(message, name=stream)
        return None if row[0] is None else Cancellation(*loaded(row[0]))

    def changes(self) -> int:
        """A number that is another one after somebody else has written."""
        with as_recording_errors(self._path):
            return value_of(self._connection, "PRAGMA data_version")

    def _version(self) -> int:
        """The version of the schema: a writer may make the present one of an older one at any time."""
        if self._known != SCHEMA_VERSION:
            self._known = version_of(self._connection)
        return self._known

    def _state(self, stream: str) -> tuple[Any, ...]:
        """Lease, last sign, ending and number of items of a stream.

        Raises:
            UnknownStreamError: There is no such stream.
        """
        columns = "lease, beat" if self._version() >= WITH_LOGS else "NULL, NULL"
        query = f"SELECT {columns}, ending, items FROM streams WHERE stream = ?"  # noqa: S608 - one of two texts of ours
        row = self._connection.execute(query, (stream,)).fetchone()
        if row is None:
            raise self._unknown(stream, "")
        return tuple(row)

    def _unknown(self, stream: str, more: str) -> UnknownStreamError:
        return UnknownStreamError(f"{self._path}: no stream {excerpt(stream)}{more}", name=stream)

    def _of_a_log(self, column: str, stream: str) -> Any:
        if self._version() < WITH_LOGS:
            return None
        query = f"SELECT {column} FROM streams WHERE stream = ?"  # noqa: S608 - a word of ours
        return self._connection.execute(query, (stream,)).fetchone()[0]

    def _epoch_of(self, stream: str, number: int) -> int | None:
        """Which writer wrote an item; ``None`` if there is no such item."""
        epoch = "COALESCE(chunks.epoch, 0)" if self._version() >= WITH_LOGS else "0"
        query = f"""
            SELECT {epoch} FROM chunks JOIN streams USING (number) WHERE stream = ? AND position = ?
        """  # noqa: S608 - one of two texts of ours
        row = self._connection.execute(query, (stream, number)).fetchone()
        return None if row is None else row[0]

    def _last(self, stream: str) -> LogPosition | None:
        query = "SELECT MAX(position) FROM chunks JOIN streams USING (number) WHERE stream = ?"
        number = self._connection.execute(query, (stream,)).fetchone()[0]
        return None if number is None else LogPosition(self._epoch_of(stream, number) or 0, number)

    def _batch(
        self, stream: str, position: int, most: int = BATCH_ITEMS, size: int = _BATCH_CHARACTERS
    ) -> tuple[list[ItemRecord], int]:
        """Items, and how many characters they take."""
        version = self._version()
        slots = "slots" if version >= WITH_SLOTS else "NULL"
        epoch = "COALESCE(chunks.epoch, 0)" if version >= WITH_LOGS else "0"
        query = f"""
            SELECT position, chunks.seconds, kind, value, {slots}, {epoch} FROM chunks JOIN streams USING (number)
            WHERE stream = ? AND position >= ? ORDER BY position LIMIT ?
        """  # noqa: S608 - two of four words of ours
        batch: list[ItemRecord] = []
        taken = 0
        for row in self._connection.execute(query, (stream, position, most)):
            try:
                item = item_of(row)
            except ValueError:
                if not batch:
                    raise
                break  # what is good comes first
            batch.append(item)
            taken += len(row[3])
            if taken >= size:
                break
        return batch, taken

    def _end(self, stream: str) -> EndRecord | None:
        query = """
            SELECT seconds, items, ending, error, completion FROM streams LEFT JOIN completions USING (number)
            WHERE stream = ? AND ending IS NOT NULL
        """
        row = self._connection.execute(query, (stream,)).fetchone()
        if row is None:
            return None
        seconds, items, kind, error, completion = row
        fields = {"seconds": seconds, "items": items, "kind": kind}
        return checked(EndRecord, {**fields, "error": loaded(error), "completion": loaded(completion)})
