"""A store that several streams use at once, and its thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeVar

from rxllm.stores._worker import Worker

P = ParamSpec("P")
Result = TypeVar("Result")


class Closable(Protocol):
    """What can be let go of."""

    def close(self) -> None:
        """Let go of it."""


S = TypeVar("S", bound=Closable)

# What came along when this process was forked off. Its threads are not here, and to close a connection of SQLite that
# a parent has opened is as bad as to use it (SQLite, "How To Corrupt An SQLite Database File", section 2.6).
_inherited: list[object] = []


class Shared(Generic[S]):
    """Opens a store when it is first used, in a thread of its own, and closes it when nobody uses it any more.

    Args:
        open_store: Opens the store; called in the thread in which it is then used.
    """

    def __init__(self, open_store: Callable[[], S]) -> None:
        self._open_store = open_store
        self._lock = threading.Lock()
        self._used: Use[S] | None = None

    def acquire(self) -> Use[S]:
        """Use the store; each user releases it once."""
        with self._lock:
            if self._used is not None and self._used.process != os.getpid():
                _inherited.append(self._used)
                self._used = None
            if self._used is None:
                self._used = Use(self._open_store)
            self._used.users += 1
            return self._used

    async def release(self, used: Use[S]) -> None:
        """Use it no more; the last user closes the store."""
        with self._lock:
            used.users -= 1
            if used.users:
                return
            self._used = None
        await used.stop()


class Use(Generic[S]):
    """A store in use.

    Attributes:
        users: How many use it.
        process: In which process.
    """

    def __init__(self, open_store: Callable[[], S]) -> None:
        self.users = 0
        self.process: int = os.getpid()
        self._open_store = open_store
        self._worker = Worker()
        self._store: S | None = None

    async def run(self, function: Callable[Concatenate[S, P], Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Call a function of the store in its thread, opening the store before."""
        return await self._worker.run(lambda: function(self._get(), *args, **kwargs))

    async def stop(self) -> None:
        """Close the store, if it was ever opened, and end the thread."""
        await self._worker.stop(self._close)

    def _get(self) -> S:
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
