"""The engine of a log in a SQLite database, across the processes of one machine."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path

from rxllm.exceptions import UnknownStreamError, excerpt
from rxllm.models import LogPosition
from rxllm.stores._appends import Appends
from rxllm.stores._bell import MATTERS, Bell, Matter
from rxllm.stores._claiming import claimed
from rxllm.stores._log_engine import Cancellation, LogInfo, LogPage
from rxllm.stores._records import EndRecord, ItemRecord
from rxllm.stores._shared import Shared, Use
from rxllm.stores._sqlite import SQLiteWriter
from rxllm.stores._sqlite_claim import Claim
from rxllm.stores._sqlite_reader import Place, SQLiteReader
from rxllm.stores._sqlite_schema import EmptyDatabaseError
from rxllm.stores._watch import Watch

__all__ = ["SQLiteEngine"]

# How often whoever waits for a cancellation looks for itself, in seconds, if nothing wakes it.
_LONGEST_WAIT = 60.0


class SQLiteEngine:
    """Keeps the streams of a log in a database: see ``LogEngine``.

    Args:
        path: The file; made by the first writer.
        max_item_bytes: How large an item may be.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_item_bytes: int) -> None:
        # Where it stays, whatever becomes of the current folder.
        path = self._path = Path(path).absolute()
        self.bell = Bell(self._path)
        self.writing: Shared[SQLiteWriter] = Shared(partial(SQLiteWriter, path))
        self.reading: Shared[SQLiteReader] = Shared(partial(SQLiteReader, path))
        self.appends = Appends(max_item_bytes, self.bell.ring)
        self._watches: dict[asyncio.AbstractEventLoop, Watch] = {}

    async def claim(self, stream: str, *, lease: float, take_over: bool = False) -> _Writer:
        """Become the writer of a stream."""
        return _Writer(self, *await claimed(self._claim(stream, lease=lease, take_over=take_over), self._give_back))

    async def follow(self, stream: str, after: LogPosition | None, *, back: int = 0) -> _Reader:
        """Read a stream from behind a position."""
        if not self._path.exists():
            raise self._no_file(stream)
        reading = self.reading.acquire()
        try:
            place = await reading.run(SQLiteReader.place, stream, after, back)
        except BaseException as error:
            await self.reading.release(reading)
            if isinstance(error, EmptyDatabaseError):
                raise UnknownStreamError(f"{error.message}: no stream {excerpt(stream)}", name=stream) from error
            raise
        return _Reader(self, reading, place)

    async def cancel(self, stream: str, why: Cancellation) -> bool:
        """Ask the writer of a stream to stop."""
        if not self._path.exists():
            raise self._no_file(stream)
        async with self._written_to() as writing:
            heard = await writing.run(SQLiteWriter.cancel, stream, why)
        self.bell.ring(stream, "cancel")
        return heard

    async def streams(self) -> list[LogInfo]:
        """All streams."""
        if not self._path.exists():
            return []
        reading = self.reading.acquire()
        try:
            return await reading.run(SQLiteReader.log_infos)
        except EmptyDatabaseError:
            return []
        finally:
            await self.reading.release(reading)

    async def expire(self, *, older_than: float | None = None, keep_bytes: int | None = None) -> list[str]:
        """Remove streams."""
        if not self._path.exists():
            return []
        async with self._written_to() as writing:
            removed = await writing.run(SQLiteWriter.expire, older_than, keep_bytes)
        for stream in removed:
            self.bell.ring(stream)
        return removed

    def watch(self, reading: Use[SQLiteReader]) -> Watch:
        """What wakes those who wait in the running loop; each user gives it back."""
        loop = asyncio.get_running_loop()
        watch = self._watches.get(loop)
        if watch is None:
            watch = self._watches[loop] = Watch(self.bell, reading)
        watch.users += 1
        return watch

    async def unwatch(self, watch: Watch) -> None:
        """Wait no more."""
        watch.users -= 1
        if not watch.users:
            del self._watches[asyncio.get_running_loop()]
            await watch.close()

    def _no_file(self, stream: str) -> UnknownStreamError:
        return UnknownStreamError(f"{self._path}: no stream {excerpt(stream)}: no such file", name=stream)

    async def _claim(self, stream: str, *, lease: float, take_over: bool) -> tuple[Use[SQLiteWriter], Claim]:
        writing = self.writing.acquire()
        try:
            claim = await writing.run(SQLiteWriter.claim, stream, lease=lease, take_over=take_over)
        except BaseException:
            await self.writing.release(writing)
            raise
        for matter in MATTERS:
            self.bell.ring(stream, matter)
        return writing, claim

    async def _give_back(self, held: tuple[Use[SQLiteWriter], Claim]) -> None:
        writing, claim = held
        try:
            await writing.run(SQLiteWriter.give_back, claim)
            self.bell.ring(claim.stream)
        finally:
            await self.writing.release(writing)

    @contextlib.asynccontextmanager
    async def _written_to(self) -> AsyncGenerator[Use[SQLiteWriter]]:
        writing = self.writing.acquire()
        try:
            yield writing
        finally:
            await self.writing.release(writing)


class _Waiting:
    """What a reader or a writer needs to wait for others."""

    def __init__(self, engine: SQLiteEngine, reading: Use[SQLiteReader], stream: str, matter: Matter) -> None:
        self._engine = engine
        self.reading = reading
        self._what: tuple[str, Matter] = (stream, matter)
        self._watch = engine.watch(reading)
        self.event = self._watch.add(stream, matter)

    async def wait(self, seconds: float) -> None:
        """Wait until something may have happened."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.event.wait()

    async def close(self) -> None:
        self._watch.remove(*self._what, self.event)
        try:
            await self._engine.unwatch(self._watch)
        finally:
            await self._engine.reading.release(self.reading)


class _Reader:
    """Where a reader is.

    Whoever has read all that is there looks again when it is woken, and not before.
    """

    def __init__(self, engine: SQLiteEngine, reading: Use[SQLiteReader], place: Place) -> None:
        self._place = place
        self._waiting = _Waiting(engine, reading, place.stream, "items")
        self._clock = asyncio.get_running_loop().time
        # Until when nothing but being woken is a reason to look; by the clock of the loop.
        self._alive_until = -math.inf

    async def read(self, wait: float, *, size: int) -> LogPage:
        """The next items."""
        if self._waiting.event.is_set() or wait <= 0 or self._alive_until <= self._clock():
            page = await self._page(size)
            if page.items or page.end is not None or wait <= 0:
                return page
        await self._waiting.wait(min(wait, max(self._alive_until - self._clock(), 0.0)))
        return await self._page(size)

    async def _page(self, size: int) -> LogPage:
        # Before it is looked: what happens from then on is seen by this look, or wakes.
        self._waiting.event.clear()
        page = await self._waiting.reading.run(SQLiteReader.page, self._place, size)
        self._alive_until = self._clock() + page.lease
        return page

    async def close(self) -> None:
        await self._waiting.close()


class _Writer:
    def __init__(self, engine: SQLiteEngine, writing: Use[SQLiteWriter], claim: Claim) -> None:
        self.epoch = claim.epoch
        self.next = claim.next
        self.began = claim.began
        self._engine = engine
        self._writing = writing
        self._claim = claim
        self._waiting = _Waiting(engine, engine.reading.acquire(), claim.stream, "cancel")

    async def append(self, items: Sequence[ItemRecord]) -> None:
        """Add items."""
        await self._engine.appends.add(self._writing, self._claim, items)
        self.next = self._claim.next

    async def beat(self) -> None:
        """Renew the lease."""
        await self._writing.run(SQLiteWriter.beat, self._claim)

    async def cancelled(self) -> Cancellation:
        """Wait until somebody wants this stream to stop."""
        while True:
            self._waiting.event.clear()
            found = await self._waiting.reading.run(SQLiteReader.cancellation, self._claim.stream, self.epoch)
            if found is not None:
                return found
            await self._waiting.wait(_LONGEST_WAIT)

    async def end(self, end: EndRecord) -> None:
        """Write the ending."""
        await self._writing.run(self._finish, end)

    async def release(self) -> None:
        """Let go of the file."""
        try:
            await self._waiting.close()
        finally:
            await self._engine.writing.release(self._writing)

    def _finish(self, writer: SQLiteWriter, end: EndRecord) -> None:
        writer.finish(self._claim, end)
        self._engine.bell.ring(self._claim.stream)
