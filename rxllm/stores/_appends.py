"""Batches of many streams become one transaction.

Rules:

1. A batch is handed to the thread of the file at once if nothing is under way there. What comes meanwhile waits, and is
   stored together.
2. Each batch succeeds or fails for itself.
3. Whoever stops waiting for a batch takes nothing back.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from rxllm.stores._records import ItemRecord
from rxllm.stores._shared import Use
from rxllm.stores._sqlite import SQLiteWriter
from rxllm.stores._sqlite_claim import Claim

__all__ = ["Appends"]


class _Waiting(NamedTuple):
    claim: Claim
    items: Sequence[ItemRecord]
    done: asyncio.Future[None]


class Appends:
    """What waits to be stored in one file.

    Args:
        most: How many bytes an item may take.
        stored: Called with the name of each stream that got items, in the thread of the file.
    """

    def __init__(self, most: int, stored: Callable[[str], None]) -> None:
        self._most = most
        self._stored = stored
        self._lock = threading.Lock()
        self._waiting: dict[Use[SQLiteWriter], list[_Waiting]] = {}

    async def add(self, writing: Use[SQLiteWriter], claim: Claim, items: Sequence[ItemRecord]) -> None:
        """Store a batch, together with what else waits."""
        waiting = _Waiting(claim, items, asyncio.get_running_loop().create_future())
        with self._lock:
            together = self._waiting.setdefault(writing, [])
            together.append(waiting)
        if together[0] is waiting:
            await writing.run(partial(self._store, writing))
        await waiting.done

    def _store(self, writing: Use[SQLiteWriter], writer: SQLiteWriter) -> None:
        with self._lock:
            taken = self._waiting.pop(writing)
        failures: Sequence[Exception | None]
        try:
            failures = writer.add([(each.claim, each.items) for each in taken], self._most)
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            failures = [error] * len(taken)
        outcomes: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], Exception | None]]] = {}
        for each, failure in zip(taken, failures, strict=True):
            outcomes.setdefault(each.done.get_loop(), []).append((each.done, failure))
            if failure is None:
                self._stored(each.claim.stream)
        for loop, settled in outcomes.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(partial(_settle, settled))


def _settle(outcomes: Sequence[tuple[asyncio.Future[None], Exception | None]]) -> None:
    for done, failure in outcomes:
        if done.done():
            continue
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)
            done.exception()  # whoever waits is told; nobody has to
