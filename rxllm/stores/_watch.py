"""Wakes those in one event loop who wait for something to happen in a file.

Rules:

1. Whoever waits is woken by a bell at once. Where it does not ring, the file is looked at: by one task for all who
   wait, with one query for all their streams, and only if anybody wrote.
2. Without a bell the task looks often after something happened, and then less and less often.
3. Being woken says nothing: whoever waits looks for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from rxllm.exceptions import RecordingError
from rxllm.stores._bell import MATTERS, Bell, Listener, Matter, key_of
from rxllm.stores._shared import Use
from rxllm.stores._sqlite_reader import SQLiteReader

__all__ = ["Watch"]

# In seconds: how often the file is looked at where the bell should ring, and where there is none.
_BESIDE_THE_BELL = 0.1
_AT_FIRST = 0.001
_AT_LAST = 0.05


class Watch:
    """Who waits for what.

    Args:
        bell: The bell of the file.
        reading: The file.

    Attributes:
        users: How many use it.
    """

    def __init__(self, bell: Bell, reading: Use[SQLiteReader]) -> None:
        self.users = 0
        self._reading = reading
        self._waiting: dict[bytes, dict[asyncio.Event, str]] = {}
        self._look_now = asyncio.Event()
        self._changes: int | None = None
        self._states: dict[str, tuple[Any, ...]] = {}
        self._listener: Listener | None = bell.listen(self._wake)
        self._task = asyncio.create_task(self._look())

    def add(self, stream: str, matter: Matter) -> asyncio.Event:
        """An event that is set whenever something may have happened to a stream."""
        event = asyncio.Event()
        self._waiting.setdefault(key_of(stream, matter), {})[event] = stream
        return event

    def remove(self, stream: str, matter: Matter, event: asyncio.Event) -> None:
        """Wait no more."""
        key = key_of(stream, matter)
        del self._waiting[key][event]
        if not self._waiting[key]:
            del self._waiting[key]

    async def close(self) -> None:
        """End; nobody waits any more."""
        if self._listener is not None:
            self._listener.close()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _wake(self, key: bytes | None) -> None:
        if key is None:
            self._look_now.set()
        else:
            for event in self._waiting.get(key, ()):
                event.set()

    async def _look(self) -> None:
        pause = _AT_FIRST
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause if self._listener is None else _BESIDE_THE_BELL):
                    await self._look_now.wait()
            self._look_now.clear()
            streams = {stream for events in self._waiting.values() for stream in events.values()}
            try:
                changed = await self._reading.run(self._changed, streams)
            except RecordingError:
                changed = streams, streams  # whoever reads is told
            for matter, names in zip(MATTERS, changed, strict=True):
                for stream in names:
                    self._wake(key_of(stream, matter))
            pause = _AT_FIRST if any(changed) else min(2 * pause, _AT_LAST)

    def _changed(self, reader: SQLiteReader, wanted: set[str]) -> tuple[set[str], set[str]]:
        """To which streams something happened since this was asked the last time; called in the thread of the file.

        Returns:
            For each of ``MATTERS`` the streams that it concerns.
        """
        changes = reader.changes()
        if changes == self._changes and wanted <= self._states.keys():
            return set(), set()
        before, self._states = self._states, {**dict.fromkeys(wanted, ()), **reader.states(wanted)}
        self._changes = changes
        pairs = {stream: (before.get(stream, ()), self._states[stream]) for stream in wanted}
        # The number of items is the last; all else concerns the writer as well.
        return (
            {stream for stream, (former, latter) in pairs.items() if former != latter},
            {stream for stream, (former, latter) in pairs.items() if former[:-1] != latter[:-1]},
        )
