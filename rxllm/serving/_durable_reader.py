"""A reader's way through a stream of a log, in batches.

Rules:

1. A batch is bounded, and never less than an item. A reader holds one batch, and nothing of the stream behind it.
2. What is not there yet is waited for in the log, so a reader costs its writer nothing.
3. A stream whose writer is dead is not closed: somebody may take it over. Its readers wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from rxllm.exceptions import PositionError, RecordingError, UnknownStreamError, excerpt
from rxllm.models import LogPosition
from rxllm.serving._durable_content import ENDINGS, Content
from rxllm.serving._durable_offset import Offset
from rxllm.stores import EndRecord, ItemRecord, Log, LogPage, LogReader, check_name

__all__ = ["Batch", "DurableReader", "following"]

_BEYOND = LogPosition(0, 2**52)
"""Where no stream has an item: whoever asks for it is told which is the last."""

_DEAD_SECONDS = 0.5
"""How often a stream is looked at whose writer is dead, in seconds."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is read at a time.

    Attributes:
        messages: The messages.
        starts: Where each of them stands; of no use in JSON, where an item may have two.
        offset: Where the reader is behind them.
        up_to_date: Whether that was all there was.
        ending: How the stream ended, if this is all there will be.
    """

    messages: Sequence[bytes]
    starts: Sequence[Offset]
    offset: Offset
    up_to_date: bool = False
    ending: str | None = None


class DurableReader:
    """Reads a stream from an offset on.

    Args:
        name: The name of the stream.
        reader: Its reader, from that offset on.
        content: What the items are.
        offset: The offset.
        most: How many bytes a batch has, roughly.
    """

    def __init__(self, name: str, reader: LogReader, content: Content, offset: Offset, most: int) -> None:
        self.content = content
        self.offset = offset
        self._name = name
        self._reader = reader
        self._most = most
        self._page: LogPage | None = None

    async def batch(self) -> Batch:
        """What there is now. Not called again once the ending was told."""
        messages: list[bytes] = []
        starts: list[Offset] = []
        left = self._most
        while left > 0:
            page = await self._next(left)
            if not page.items:
                ending = None if page.end is None else self._ending(page.end, messages)
                return Batch(messages, starts, self.offset, up_to_date=True, ending=ending)
            for record in page.items:
                starts.append(self.offset)
                added = [*self.content.messages(self._due(record))]
                left -= sum(map(len, added))
                messages += added
        return Batch(messages, starts, self.offset)

    async def wait(self, seconds: float) -> None:
        """Wait until there is more, or it has ended; or so long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._page is None and (left := until - loop.time()) > 0:
            page = await self._reader.read(left, size=self._most)
            if page.items or page.end is not None:
                self._page = page
            elif page.lease <= 0:
                await asyncio.sleep(min(left, _DEAD_SECONDS))

    async def to_the_end(self) -> Batch:
        """Go where the stream is now; what stands before that is not told."""
        while not (batch := await self.batch()).up_to_date:
            pass
        return replace(batch, messages=(), starts=())

    async def _next(self, size: int) -> LogPage:
        page, self._page = self._page, None
        return await self._reader.read(0, size=size) if page is None else page

    def _due(self, record: ItemRecord) -> ItemRecord:
        due = 0 if self.offset.after is None else self.offset.after.number + 1
        if record.position != due:
            what = f"number {due} was due, number {record.position} is there"
            raise RecordingError(f"items of the stream {excerpt(self._name)} are missing: {what}")
        self.offset = Offset(LogPosition(record.epoch, record.position))
        return record

    def _ending(self, end: EndRecord, messages: list[bytes]) -> str:
        last = self.content.ending(end)
        if last is not None and not self.offset.told:
            messages.append(last)
            self.offset = self.offset._replace(told=True)
        return ENDINGS[end.kind]


@asynccontextmanager
async def following(
    log: Log, name: str, content: Content, offset: Offset | None, most: int
) -> AsyncGenerator[DurableReader]:
    """Read a stream from an offset on.

    Args:
        log: The log.
        name: The name of the stream.
        content: What the items are.
        offset: Where to begin; ``None`` for where the stream is now.
        most: How many bytes a batch has, roughly.

    Raises:
        UnknownStreamError: There is no such stream.
        PositionError: It has no such offset.
        RecordingError: The log cannot be read.
    """
    try:
        check_name(name)
    except ValueError:
        raise UnknownStreamError("no stream can have this name") from None
    await log.settle(name)
    start = offset or Offset()
    if offset is None:
        try:
            await log.engine.follow(name, _BEYOND)
        except PositionError as error:
            start = Offset(error.last)
    reader = await log.engine.follow(name, start.after)
    try:
        yield DurableReader(name, reader, content, start, most)
    finally:
        await reader.close()
