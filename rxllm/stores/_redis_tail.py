"""What the followers of one stream in one event loop read together.

Rules:

1. Of those that wait behind the same item one asks the server. The others get the same answer.
2. The last answer is kept for those that come to that item a moment later, and no other is.
3. If whoever asks leaves, or gets no answer, the next one asks: nobody depends on another.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from rxllm.stores._redis_server import Link

__all__ = ["BEGINNING", "Found", "Tail"]

BEGINNING = b"0-0"
"""The ID behind which the first item stands."""


class Found(NamedTuple):
    """What stands behind an item.

    Attributes:
        entries: As the server gives them.
        is_all: Whether there were no more.
        at: When that was so, by the clock of the loop.
    """

    entries: Sequence[Any]
    is_all: bool
    at: float


class Tail:
    """The end of one stream.

    Args:
        link: The connections of this loop.
        key: Where the items are.
    """

    def __init__(self, link: Link, key: bytes) -> None:
        self._link = link
        self._key = key
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[bytes, list[asyncio.Future[Found | None]]] = {}
        self._last: tuple[bytes, Found] | None = None

    async def behind(self, entry_id: bytes, most: int, seconds: float) -> Found | None:
        """What stands behind an item, as soon as there is something.

        Args:
            entry_id: The item.
            most: How many items are wanted at most, if it is this one that asks.
            seconds: For how long to wait.

        Returns:
            What is there; ``None`` if there was nothing until then, or if the connection broke.
        """
        until = self._loop.time() + seconds
        while True:
            if self._last is not None and self._last[0] == entry_id:
                return self._last[1]
            left = max(until - self._loop.time(), 0.0)
            if not left or entry_id not in self._waiting:
                return await self._ask(entry_id, most, left)
            found = await self._hear(self._waiting[entry_id], left)
            if found is not None:
                return found

    async def _ask(self, entry_id: bytes, most: int, seconds: float) -> Found | None:
        """Ask the server, and tell whoever waits for the same."""
        asks_for_all = entry_id not in self._waiting
        waiting = self._waiting.setdefault(entry_id, [])
        block = ("BLOCK", math.ceil(seconds * 1000)) if seconds else ()
        found: Found | None = None
        try:
            command = ("XREAD", "COUNT", most, *block, "STREAMS", self._key, entry_id)
            answer = await self._link.wait_for(*command, seconds=seconds)
            if answer:
                entries = answer[0][1]
                found = Found(entries, len(entries) < most, self._loop.time())
        finally:
            if asks_for_all:
                del self._waiting[entry_id]
                for each in waiting:
                    _settle(each, found)
        # Behind the beginning there may soon be another stream of that name.
        if found is not None and entry_id != BEGINNING:
            self._last = (entry_id, found)
        return found

    async def _hear(self, waiting: list[asyncio.Future[Found | None]], seconds: float) -> Found | None:
        """What another one was answered; ``None`` if that was nothing, or takes longer."""
        answer: asyncio.Future[Found | None] = self._loop.create_future()
        waiting.append(answer)
        timer = self._loop.call_later(seconds, _settle, answer, None)
        try:
            return await answer
        finally:
            timer.cancel()


def _settle(answer: asyncio.Future[Found | None], found: Found | None) -> None:
    if not answer.done():
        answer.set_result(found)
