"""The engine of a log in Redis, for any number of machines."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

from pydantic import SecretStr

from rxllm.exceptions import ClaimLostError, PositionError, StreamTakenError, UnknownStreamError, excerpt
from rxllm.models import LogPosition
from rxllm.stores._claiming import claimed
from rxllm.stores._log_engine import LOG_PAGE_ITEMS, Cancellation, LogInfo, LogPage
from rxllm.stores._lossless_json import dumps, loads
from rxllm.stores._records import EndRecord, ItemRecord
from rxllm.stores._redis_records import decoded, encoded_end, encoded_items, position_of
from rxllm.stores._redis_scripts import (
    APPEND,
    BEAT,
    CALLED,
    CANCEL,
    CLAIM,
    END,
    EXPIRE,
    GIVE_BACK,
    LIST,
    PAGE,
    PLACE,
    Script,
)
from rxllm.stores._redis_server import Argument, Link, Server
from rxllm.stores._redis_tail import BEGINNING, Tail

__all__ = ["RedisEngine"]

# In milliseconds: what a number in a script holds exactly, however it is added to the time.
_LONGEST_LEASE = 2**52
# For how many seconds the server is asked to wait at a time. Whoever waits looks then whether all is still there.
_LONGEST_BLOCK = 5.0
# For how many seconds it counts how large the largest item was: whoever is behind, or was paused, may find larger ones.
_FRESH = 0.1


class RedisEngine:
    """Keeps the streams of a log in a Redis server: see ``LogEngine``.

    Args:
        url: The URL of the server.
        prefix: The beginning of the names of all keys.
        patience: How many seconds to wait for a server that cannot be reached.
        max_item_bytes: How large an item may be.

    Raises:
        ValueError: ``url`` is not the URL of a Redis server.
    """

    def __init__(self, url: SecretStr, *, prefix: str, patience: float, max_item_bytes: int) -> None:
        self.server = Server(url, patience=patience)
        self.max_item_bytes = max_item_bytes
        # There as long as a follower has it.
        self._tails: WeakValueDictionary[tuple[Link, str], Tail] = WeakValueDictionary()
        self._prefix = f"{{{prefix}}}:".encode()
        self._index = self._prefix + b"streams"

    async def claim(self, stream: str, *, lease: float, take_over: bool = False) -> _Writer:
        """Become the writer of a stream."""
        return await claimed(self._claim(stream, lease=lease, take_over=take_over), _Writer.give_back)

    async def _claim(self, stream: str, *, lease: float, take_over: bool) -> _Writer:
        link = self.server.link()
        try:
            arguments = (stream, min(math.ceil(lease * 1000), _LONGEST_LEASE), int(take_over), uuid4().hex)
            said, *found = await link.run(CLAIM, self.keys(stream), *arguments)
            if said == b"claimed":
                return _Writer(self, link, stream, found)
        except BaseException:
            await self.server.release(link)
            raise
        await self.server.release(link)
        ended = said == b"ended"
        why = (
            f"ended: {found[0].decode()}"
            if ended
            else f"a writer, which counts as alive for {found[0] / 1000:.1f} s more"
        )
        message = f"{self.where(stream)} has {why}"
        raise StreamTakenError(message, name=stream, ended=ended)

    async def follow(self, stream: str, after: LogPosition | None, *, back: int = 0) -> _Reader:
        """Read a stream from behind a position."""
        wanted = "" if after is None else f"{after.epoch}-{after.number}"
        link = self.server.link()
        try:
            said, *found = await link.run(PLACE, self.keys(stream), wanted, back)
            if said == b"place":
                return _Reader(self, link, stream, found[0])
        except BaseException:
            await self.server.release(link)
            raise
        await self.server.release(link)
        if said == b"unknown":
            raise self.unknown(stream)
        last = position_of(found[0]) if found[0] else None
        what = "has another epoch" if after and last and after.number <= last.number else "is beyond the last item"
        message = f"{self.where(stream)}: the position {after} {what}, {last}"
        raise PositionError(message, position=after, last=last)

    async def cancel(self, stream: str, why: Cancellation) -> bool:
        """Ask the writer of a stream to stop."""
        said, *found = await self._run(CANCEL, self.keys(stream), dumps(list(why)))
        if said == b"unknown":
            raise self.unknown(stream)
        return bool(found[0])

    async def streams(self) -> list[LogInfo]:
        """All streams."""
        return [_info(each) for each in await self._run(LIST, [self._index], self._prefix)]

    async def expire(self, *, older_than: float | None = None, keep_bytes: int | None = None) -> list[str]:
        """Remove streams."""
        age = "" if older_than is None else repr(older_than * 1000)
        removed = await self._run(EXPIRE, [self._index], self._prefix, age, "" if keep_bytes is None else keep_bytes)
        return [name.decode() for name in removed]

    def keys(self, stream: str) -> list[bytes]:
        """The keys of a stream: head, items and bell; and that of the list of all."""
        name = stream.encode()
        return [*(self._prefix + kind + name for kind in (b"head:", b"items:", b"bell:")), self._index]

    def tail(self, link: Link, stream: str) -> Tail:
        """What the followers of a stream have in common whose connections these are."""
        tail = self._tails.get((link, stream))
        if tail is None:
            tail = self._tails[link, stream] = Tail(link, self.keys(stream)[1])
        return tail

    def where(self, stream: str) -> str:
        """Which stream an error is about."""
        return f"{self.server.name}: the stream {excerpt(stream)}"

    def unknown(self, stream: str, more: str = "") -> UnknownStreamError:
        """The error about a stream that does not exist."""
        return UnknownStreamError(f"{self.server.name}: no stream {excerpt(stream)}{more}", name=stream)

    async def _run(self, script: Script, keys: list[bytes], *arguments: Argument) -> list[Any]:
        async with self._linked() as link:
            return await link.run(script, keys, *arguments)

    @asynccontextmanager
    async def _linked(self) -> AsyncGenerator[Link]:
        link = self.server.link()
        try:
            yield link
        finally:
            await self.server.release(link)


class _Reader:
    """Where a reader is, and what is known of the stream.

    The first page, and each after a while, comes from a script, which sees that all is there, and makes it no larger
    than was asked for. Soon after that, one command of the server's own does: it waits, and takes a tenth of the time.
    """

    def __init__(self, engine: RedisEngine, link: Link, stream: str, entry_id: bytes) -> None:
        self._engine = engine
        self._link = link
        self._stream = stream
        self._keys = engine.keys(stream)
        self._tail = engine.tail(link, stream)
        self._id = entry_id
        self._next = 0 if entry_id == BEGINNING else position_of(entry_id).number + 1
        self._clock = asyncio.get_running_loop().time
        # Until when the writer counts as alive, and when no item was larger than the largest, by the clock of the loop.
        self._alive_until = self._measured = -math.inf
        self._largest = 1

    async def read(self, wait: float, *, size: int) -> LogPage:
        """The next items."""
        if self._clock() - self._measured > _FRESH:
            page = await self._page(size)
            if page.items or page.end is not None or wait <= 0:
                return page
        return await self._next_page(wait, size) or await self._page(size)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._engine.server.release(self._link)

    async def _next_page(self, wait: float, size: int) -> LogPage | None:
        """The next items as soon as they are there."""
        seconds = max(min(wait, self._alive_until - self._clock(), _LONGEST_BLOCK), 0.0)
        most = max(min(size // self._largest, LOG_PAGE_ITEMS), 1)
        found = await self._tail.behind(self._id, most, seconds)
        if found is None or not self._follows(found.entries):
            return None  # what does not follow is of another stream of that name; the next page tells
        entries = found.entries
        sizes = [len(text) for _, (_, text) in entries]
        self._largest = max(self._largest, *sizes)
        if found.is_all:
            self._measured = found.at
        fitting = sum(before < size for before in accumulate(sizes[:-1], initial=0))
        if entries[fitting - 1][1][0] == b"end" and fitting > 1:
            fitting -= 1  # the ending comes alone
        return self._taken(entries[:fitting])

    async def _page(self, size: int) -> LogPage:
        asked = self._clock()
        said, *found = await self._link.run(PAGE, self._keys, self._id, LOG_PAGE_ITEMS, size)
        if said == b"unknown":
            raise self._engine.unknown(self._stream, " any more" if self._next else "")
        left, lease, count, largest, entries = found
        self._largest = max(largest, 1)
        self._measured = asked
        if not self._follows(entries) or (not entries and count != self._next):
            raise self._engine.unknown(self._stream, " any more: it was removed and begun anew, or has lost items")
        self._alive_until = asked + left / 1000
        if self._link.returned is not None:
            # While the server was away, the writer could not give signs either.
            self._alive_until = max(self._alive_until, self._link.returned + lease / 1000)
        page = self._taken(entries)
        return page if entries else LogPage(lease=self._alive_until - asked)

    def _follows(self, entries: Sequence[Any]) -> bool:
        return not entries or position_of(entries[0][0]).number == self._next

    def _taken(self, entries: Sequence[Any]) -> LogPage:
        found = decoded(entries, self._engine.where(self._stream))
        if isinstance(found, EndRecord):
            return LogPage((), found)
        if found:
            self._id = entries[len(found) - 1][0]
            self._next = found[-1].position + 1
        return LogPage(found, bytes=sum(len(text) for _, (_, text) in entries))


class _Writer:
    def __init__(self, engine: RedisEngine, link: Link, stream: str, claimed: Sequence[int]) -> None:
        self.epoch, self.next, began, self._rung = claimed
        self.began = datetime.fromtimestamp(began / 1000, UTC)
        self._engine = engine
        self._link = link
        self._stream = stream
        self._keys = engine.keys(stream)

    async def append(self, items: Sequence[ItemRecord]) -> None:
        """Add items."""
        if not items:
            return
        arguments, size, largest = encoded_items(items, self._engine.max_item_bytes, self._engine.where(self._stream))
        await self._run(APPEND, items[0].position, size, largest, *arguments)
        self.next = items[-1].position + 1

    async def beat(self) -> None:
        """Renew the lease."""
        await self._run(BEAT)

    async def cancelled(self) -> Cancellation:
        """Wait until somebody wants this stream to stop."""
        milliseconds = round(_LONGEST_BLOCK * 1000)
        while True:
            (why,) = await self._run(CALLED)
            if why is not None:
                return Cancellation(*loads(why))
            command = ("XREAD", "BLOCK", milliseconds, "STREAMS", self._keys[2], f"{self._rung}-0")
            found = await self._link.wait_for(*command, seconds=_LONGEST_BLOCK)
            if found:
                self._rung = position_of(found[0][1][-1][0]).epoch

    async def end(self, end: EndRecord) -> None:
        """Write the ending."""
        await self._run(END, end.kind, encoded_end(end), uuid4().hex)

    async def give_back(self) -> None:
        """Be the writer no more: the lease is over."""
        try:
            await self._run(GIVE_BACK)
        finally:
            await self.release()

    async def release(self) -> None:
        """Let go of the connection."""
        await self._engine.server.release(self._link)

    async def _run(self, script: Script, *arguments: Argument) -> list[Any]:
        said, *found = await self._link.run(script, self._keys, self._stream, self.epoch, *arguments)
        if said == b"lost":
            message = f"{self._engine.where(self._stream)}: nothing can be added: {found[0].decode()}"
            raise ClaimLostError(message, name=self._stream)
        return found


def _info(found: Sequence[Any]) -> LogInfo:
    name, began, items, size, ending, left, last = found
    return LogInfo(
        stream=name.decode(),
        began=datetime.fromtimestamp(began / 1000, UTC),
        items=items,
        bytes=size,
        ending=None if ending is None else ending.decode(),
        alive=left > 0,
        position=None if last is None else position_of(last),
    )
