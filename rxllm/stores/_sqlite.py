"""Recordings and logs in a SQLite database.

Rules:

1. Write-ahead logging, so that readers and one writer do not wait for each other; writers wait for their turn, in
   whatever process, up to ``BUSY_SECONDS``. A writer that finds the log large waits a moment for readers, and empties
   it: see ``_sqlite_wal``.
2. A batch is a transaction. The process may be killed at any time: the file then holds all batches before.
3. The ending is committed with ``synchronous = FULL``, which waits for the disk, and the log before it with it.
   Batches are committed with ``NORMAL``, which does not: a loss of power may take the last batches of a stream that
   has not ended, and never damages the file. A writer that finds its file deleted, or another in its place, says so.
4. What is finished can be read where nothing can be written, from a medium or by a user that is read-only.
5. ``PRAGMA application_id`` says that a database is ours, ``PRAGMA user_version`` which schema it has. Any other
   database is refused, and left as it is.
6. Each stream has one writer at a time: whoever claimed it last. Batches and the ending are stored on the condition
   that this is still so.

The answer is a query away::

    SELECT stream, json_extract(message, '$.content') FROM streams JOIN completions USING (number)
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from rxllm.exceptions import (
    ClaimLostError,
    LimitExceededError,
    RecordingError,
    StreamTakenError,
    UnknownStreamError,
    excerpt,
)
from rxllm.stores._lossless_json import dumps
from rxllm.stores._recording_errors import as_recording_errors, closed_on_error, require_same_file
from rxllm.stores._records import EndRecord, ItemRecord, written_seconds
from rxllm.stores._sqlite_claim import Batch, Claim, new_epoch, seconds_left
from rxllm.stores._sqlite_rows import dumped, row_of, size_of
from rxllm.stores._sqlite_schema import open_to_write, transaction, value_of
from rxllm.stores._sqlite_wal import WriteAheadLog

__all__ = ["SQLiteWriter"]


class SQLiteWriter:
    """Writes recordings and logs into a database.

    Args:
        path: The file; made if there is none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._place = self._path.absolute()  # where it stays, whatever becomes of the current folder
        self._claims: dict[str, Claim] = {}
        with as_recording_errors(self._path):
            self._connection = open_to_write(self._path)
            with closed_on_error(self._connection):
                self._file = self._place.stat()
            self._log = WriteAheadLog(self._connection, self._place)

    def begin(self, stream: str, began: datetime) -> None:
        """Begin a stream.

        Raises:
            RecordingError: There is a stream of that name already.
        """
        with self._transaction():
            # It gives no signs, and nobody goes on with it. Somebody may remove it all the same while it is written,
            # and its number is given again: its own epoch tells it from what is there then.
            claim = self._insert(stream, began, self._new_epoch(), lease=None)
            self._claims[stream] = replace(claim, marks=False)

    def append(self, stream: str, items: Sequence[ItemRecord]) -> None:
        """Store items, in one transaction."""
        (failure,) = self.add([(self._claims[stream], items)])
        if failure is not None:
            raise failure

    def end(self, stream: str, end: EndRecord) -> None:
        """Store the ending and the completion, and wait for the disk."""
        self.finish(self._claims.pop(stream), end)

    def close(self) -> None:
        """Close the database; the last one to do so folds the log into the file."""
        with as_recording_errors(self._path):
            self._connection.close()

    def claim(self, stream: str, *, lease: float, take_over: bool) -> Claim:
        """Become the writer of a stream, which is made if there is none.

        Raises:
            StreamTakenError: It has a writer that is alive, or it has ended.
        """
        query = """
            SELECT number, began, lease, beat, ending, COALESCE(
                items, (SELECT MAX(position) + 1 FROM chunks WHERE chunks.number = streams.number), 0
            ) FROM streams WHERE stream = ?
        """
        with self._transaction():
            row = self._connection.execute(query, (stream,)).fetchone()
            if row is None:
                return self._insert(stream, datetime.now(UTC), self._new_epoch(), lease=lease)
            number, began, lease_before, beat, ending, items = row
            if ending is not None:
                raise StreamTakenError(f"the stream {excerpt(stream)} has ended: {ending}", name=stream, ended=True)
            if not take_over and (left := seconds_left(lease_before, beat, ending)) > 0:
                raise StreamTakenError(
                    f"the stream {excerpt(stream)} has a writer, which counts as alive for {left:.1f} s more",
                    name=stream,
                    ended=False,
                )
            epoch = self._new_epoch()
            update = """
                UPDATE streams SET epoch = ?, lease = ?, beat = ?, touched = ?, items = ?, bytes = COALESCE(bytes, 0)
                WHERE number = ?
            """
            self._connection.execute(update, (epoch, lease, time.monotonic(), time.time(), items, number))
            return Claim(number, stream, epoch, items, datetime.fromisoformat(began))

    def add(self, batches: Sequence[Batch], most: int | None = None) -> list[Exception | None]:
        """Store batches of several streams in one transaction, each if its claim still holds.

        Args:
            batches: The right to store each, and its items.
            most: How many bytes an item may take.

        Returns:
            For each batch ``None``, or why nothing of it was stored: ``ClaimLostError``, ``LimitExceededError``, or
            what is wrong with the file.
        """
        try:
            return self._add(batches, most)
        except RecordingError as error:
            if len(batches) == 1:
                return [error]
            # One of them may be too much for the disk.
            return [failure for batch in batches for failure in self.add([batch], most)]

    def _add(self, batches: Sequence[Batch], most: int | None) -> list[Exception | None]:
        stored: list[tuple[Claim, int]] = []
        failures: list[Exception | None] = []
        with self._transaction():
            for claim, items in batches:
                try:
                    self._add_one(claim, items, most)
                except (ClaimLostError, LimitExceededError, TypeError) as error:
                    failures.append(error)
                else:
                    failures.append(None)
                    stored.append((claim, items[-1].position + 1 if items else claim.next))
        for claim, following in stored:
            claim.next = following
        return failures

    def _add_one(self, claim: Claim, items: Sequence[ItemRecord], most: int | None) -> None:
        if not items:
            return
        rows = [(claim.number, claim.item_epoch, *row_of(item)) for item in items]
        insert = (
            "INSERT INTO chunks (number, epoch, position, seconds, kind, value, slots) VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        sizes = [size_of(row) for row in rows]
        if most is not None and max(sizes) > most:
            raise LimitExceededError(
                f"{self._path}: item {items[sizes.index(max(sizes))].position} of the stream {excerpt(claim.stream)} "
                f"has {max(sizes)} bytes; the log takes at most {most}",
                limit="max_item_bytes",
                maximum=most,
            )
        if self._renew(claim, len(rows), sum(sizes), "AND items = ?", items[0].position):
            self._connection.executemany(insert, rows)
        else:
            self._require_stored(claim, items)

    def finish(self, claim: Claim, end: EndRecord) -> None:
        """Store the ending and the completion, and wait for the disk.

        Raises:
            ClaimLostError: The claim does not hold any more.
        """
        error = None if end.error is None else asdict(end.error)
        ending = (end.kind, written_seconds(end.seconds), end.items, dumped(error), time.time())
        with self._waiting_for_the_disk(), self._transaction():
            update = """
                UPDATE streams SET ending = ?, seconds = ?, items = ?, error = ?, touched = ?
                WHERE number = ? AND epoch = ? AND ending IS NULL
            """
            if not self._connection.execute(update, (*ending, claim.number, claim.epoch)).rowcount:
                raise self._lost(claim)
            if end.completion is not None:
                choices = end.completion["choices"]
                message = choices[0]["message"] if choices else None
                row = (claim.number, dumped(message), dumps(end.completion).decode())
                self._connection.execute("INSERT INTO completions VALUES (?, ?, ?)", row)

    def beat(self, claim: Claim) -> None:
        """Give a sign.

        Raises:
            ClaimLostError: The claim does not hold any more.
        """
        with self._transaction():
            if not self._renew(claim, 0, 0, ""):
                raise self._lost(claim)

    def give_back(self, claim: Claim) -> None:
        """Be the writer of a stream no more, if that still is so: its lease is over."""
        with self._transaction():
            update = "UPDATE streams SET lease = 0 WHERE number = ? AND epoch = ?"
            self._connection.execute(update, (claim.number, claim.epoch))

    def cancel(self, stream: str, why: Sequence[str]) -> bool:
        """Ask for a stream to stop; returns whether a writer that is alive will see it.

        Raises:
            UnknownStreamError: There is no such stream.
        """
        with self._transaction():
            query = "SELECT lease, beat, ending FROM streams WHERE stream = ?"
            row = self._connection.execute(query, (stream,)).fetchone()
            if row is None:
                raise UnknownStreamError(f"{self._path}: no stream {excerpt(stream)}", name=stream)
            update = "UPDATE streams SET cancel = COALESCE(cancel, ?) WHERE stream = ? AND ending IS NULL"
            self._connection.execute(update, (dumped(list(why)), stream))
            return seconds_left(*row) > 0

    def expire(self, older_than: float | None, keep_bytes: int | None) -> list[str]:
        """Remove streams that nobody writes to: see ``LogEngine.expire``."""
        measure = """
            UPDATE streams SET bytes = (
                SELECT COALESCE(SUM(LENGTH(value)), 0) FROM chunks WHERE number = streams.number
            ) WHERE bytes IS NULL
        """
        query = "SELECT number, stream, began, touched, bytes, lease, beat, ending FROM streams ORDER BY touched"
        with self._transaction():
            self._connection.execute(measure)
            rows = self._connection.execute(query).fetchall()
            total = sum(row[4] for row in rows)
            removed: list[tuple[int, str]] = []
            for number, stream, began, touched, size, *signs in rows:
                if seconds_left(*signs) > 0:
                    continue
                age = time.time() - (touched or datetime.fromisoformat(began).timestamp())
                if (older_than is not None and age > older_than) or (keep_bytes is not None and total > keep_bytes):
                    removed.append((number, stream))
                    total -= size
            for table in ("chunks", "completions", "streams"):
                delete = f"DELETE FROM {table} WHERE number = ?"  # noqa: S608 - one of three words of ours
                self._connection.executemany(delete, [(number,) for number, _ in removed])
        return [stream for _, stream in removed]

    def _new_epoch(self) -> int:
        """An epoch that this file has given to nobody."""
        epoch = new_epoch(value_of(self._connection, "SELECT last FROM epochs"))
        self._connection.execute("UPDATE epochs SET last = ?", (epoch,))
        return epoch

    def _insert(self, stream: str, began: datetime, epoch: int, *, lease: float | None) -> Claim:
        insert = """
            INSERT INTO streams (number, stream, began, items, bytes, epoch, lease, beat, touched)
            VALUES (?, ?, ?, 0, 0, ?, ?, ?, ?)
        """
        number = 1 + value_of(self._connection, "SELECT COALESCE(MAX(number), 0) FROM streams")
        row = (number, stream, began.isoformat(), epoch, lease, time.monotonic(), time.time())
        self._connection.execute(insert, row)
        return Claim(number, stream, epoch, 0, began)

    def _renew(self, claim: Claim, items: int, size: int, condition: str, *numbers: int) -> bool:
        """Count items and give a sign, if the claim holds and the condition is met."""
        update = f"""
            UPDATE streams SET items = items + ?, bytes = bytes + ?, beat = ?, touched = ?
            WHERE number = ? AND epoch = ? AND ending IS NULL {condition}
        """  # noqa: S608 - one of two texts of ours
        values = (items, size, time.monotonic(), time.time(), claim.number, claim.epoch, *numbers)
        return bool(self._connection.execute(update, values).rowcount)

    def _require_stored(self, claim: Claim, items: Sequence[ItemRecord]) -> None:
        """See that items are there already: they were sent again.

        Raises:
            ClaimLostError: They are not.
        """
        query = "SELECT COUNT(*) FROM chunks WHERE number = ? AND epoch = ? AND position BETWEEN ? AND ?"
        span = (claim.number, claim.item_epoch, items[0].position, items[-1].position)
        if self._connection.execute(query, span).fetchone()[0] != len(items):
            raise self._lost(claim)

    def _lost(self, claim: Claim) -> ClaimLostError:
        query = "SELECT epoch, ending FROM streams WHERE number = ? AND stream = ?"
        row = self._connection.execute(query, (claim.number, claim.stream)).fetchone()
        if row is None:
            why = "it is gone"
        elif row[1] is not None:
            why = f"it has ended: {row[1]}"
        else:
            why = f"another writer has claimed it, with epoch {row[0]}"
        message = f"{self._path}: nothing can be added to the stream {excerpt(claim.stream)}: {why}"
        return ClaimLostError(message, name=claim.stream)

    @contextmanager
    def _transaction(self) -> Generator[None]:
        with as_recording_errors(self._path), transaction(self._connection, "IMMEDIATE"):
            # SQLite itself goes on with a file that nobody finds any more.
            require_same_file(self._place, self._file)
            yield
        self._log.bound()

    @contextmanager
    def _waiting_for_the_disk(self) -> Generator[None]:
        self._connection.execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA synchronous = NORMAL")
