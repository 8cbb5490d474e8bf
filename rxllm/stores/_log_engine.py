"""What keeps the streams of a log: the contract between ``Log`` and an engine.

A log holds named streams. A stream is a sequence of items, numbered from 0 without gaps, and an ending. It has one
writer at a time and any number of readers, in any process.

Words:

- **Epoch**: a number that says which writer wrote an item. Each claim gets one that is larger than all before.
- **Position** of an item: its number and the epoch of its writer. Two items have the same position only if they are
  the same item.
- **Claim**: becoming the writer of a stream.
- **Lease**: how long a writer counts as alive after it last gave a sign, by the clock of the log and of nobody else.

What must be atomic (readers and writers see all of it or nothing, in whatever process or machine they are):

1. ``claim``: that the stream is free, the new epoch, and the beginning of the lease. Of two claims at once one fails.
2. ``append``: that the epoch is still the writer's, that the stream has not ended, that the first number is the next
   one, and the items, all of them. If one of the conditions does not hold, nothing is written. From the moment a claim
   is done, no item of a former writer is added, however long that writer was stopped and whatever it had under way.
3. ``end``: the same conditions, and the ending. Nothing is added to a stream that has ended.
4. What ``read`` returns: items without gaps; an ending only together with the knowledge that no item is left.
5. ``expire``: a stream is there as a whole, or gone as a whole.

What may be late:

1. Readers may learn of items and endings late, but must, even if a notification is lost. A fraction of a second is
   right for that case; a few milliseconds for the usual one.
2. A writer may learn late that it was asked to stop, or that it was replaced. 50 ms are right.
3. A dead writer may be told of late, by less than a second after its lease is over. It must not be told of before.
4. ``streams`` may be a little behind.

What must survive: after ``append`` returned, the items survive the death of any client. After ``end`` returned, the
stream survives whatever the engine promises at best, such as a loss of power.

Sending again: an ``append`` whose answer was lost may be sent again with the same items. Numbers that are there already
from the same epoch were written by it: that is success.

An engine raises ``LogUnavailableError`` if it cannot be reached for longer than it waits, and ``RecordingError`` for
what is no log or is damaged. It never loses or reorders what it has confirmed, and never waits for a reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from rxllm.models import LogPosition
from rxllm.stores._records import EndingKind, EndRecord, ItemRecord

__all__ = ["LOG_PAGE_ITEMS", "Cancellation", "LogEngine", "LogInfo", "LogPage", "LogReader", "LogWriter"]

LOG_PAGE_ITEMS = 64
"""The most items that a page has: a reader that does not read on holds so many."""


class Cancellation(NamedTuple):
    """A request to stop a stream.

    Attributes:
        reason: The reason, for the readers.
        by: Who asked.
    """

    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class LogInfo:
    """One stream of a log.

    Attributes:
        stream: The name.
        began: When the stream was first claimed.
        items: How many items it has.
        bytes: About how many bytes the items take.
        ending: How the stream ended; ``None`` if it has not ended.
        alive: Whether the stream has a writer that is alive.
        position: The position of the last item; ``None`` if there is none.
    """

    stream: str
    began: datetime
    items: int
    bytes: int
    ending: EndingKind | None
    alive: bool
    position: LogPosition | None


@dataclass(frozen=True, slots=True)
class LogPage:
    """What a reader gets from one ``read``.

    Attributes:
        items: The next items, in order; each knows its ``epoch``.
        end: The ending. It comes in a page of its own, without items, after all items.
        lease: How many more seconds the writer counts as alive, by the clock of the log; 0 or less if it is dead. It is
            only used if the page has neither items nor an ending.
        bytes: About how many bytes the items take; 0 if that is not known. Readers hold fewer items if they are large.
    """

    items: Sequence[ItemRecord] = ()
    end: EndRecord | None = None
    lease: float = 0.0
    bytes: int = 0


class LogWriter(Protocol):
    """The right to write to a stream: ``claim`` returns it. Its methods are called in one event loop.

    Attributes:
        epoch: The epoch of this writer.
        next: The number of the next item: 0 in a new stream. If a writer begins at a higher number, its first item must
            restart the answer; the caller ensures that.
        began: When the stream was first claimed, with a time zone.
    """

    epoch: int
    next: int
    began: datetime

    async def append(self, items: Sequence[ItemRecord]) -> None:
        """Add items, all or none, in one round trip, and renew the lease. Their positions are the next numbers.

        There is one call at a time. If the caller is cancelled, the batch may still be written.

        Raises:
            ClaimLostError: Another writer has claimed the stream, or the stream has ended or was removed. Nothing was
                written.
            LimitExceededError: An item, or the batch, is larger than the engine takes. Nothing was written.
            LogUnavailableError: The log cannot be reached: see ``LogEngine``. It is not known whether the items were
                written.
        """

    async def beat(self) -> None:
        """Renew the lease. This is called about three times in a lease, also while ``append`` runs.

        Raises:
            ClaimLostError: As with ``append``.
        """

    async def cancelled(self) -> Cancellation:
        """Wait for a request to stop this stream, and return it; the request may be older than the claim.

        Raises:
            ClaimLostError: As with ``append``, as soon as that is known.
        """
        ...

    async def end(self, end: EndRecord) -> None:
        """Write the ending, and give up the lease.

        Raises:
            ClaimLostError: As with ``append``.
        """

    async def release(self) -> None:
        """Close connections and the like, without a change to the log. This is the last call, and comes once."""


class LogReader(Protocol):
    """Reads a stream for one reader: ``follow`` returns it. It holds at most one page of the stream."""

    async def read(self, wait: float, *, size: int) -> LogPage:
        """Read the next items, or the ending after the last one.

        Returns as soon as there are items or the ending. Else it waits for ``wait`` seconds at most, and then returns a
        page with neither. It does not have to check the lease while it waits.

        Args:
            wait: How many seconds to wait at most; 0 to return at once.
            size: About how many bytes of items to return at most. A page has at least one item if there is one, and at
                most 64 items.

        Raises:
            UnknownStreamError: The stream was removed meanwhile.
        """
        ...

    async def close(self) -> None:
        """Close connections and the like. This is the last call, and comes once."""


class LogEngine(Protocol):
    """Keeps the streams of a log. Several event loops and threads may use one object at once."""

    async def claim(self, stream: str, *, lease: float, take_over: bool = False) -> LogWriter:
        """Become the writer of a stream; a stream that does not exist is made.

        If the caller is cancelled, an engine must not leave a claim that lasts for the whole lease: soon the stream
        must have no living writer.

        Args:
            stream: The name: any text of 1 to 1,000 characters that UTF-8 can encode. Two names are the same stream
                only if all their characters are equal.
            lease: For how many seconds this writer counts as alive after each sign of life.
            take_over: Whether to take the stream from a writer that is alive.

        Raises:
            StreamTakenError: The stream has a writer that is alive, or it has ended.
        """
        ...

    async def follow(self, stream: str, after: LogPosition | None, *, back: int = 0) -> LogReader:
        """Read a stream from the item after a position, or from its beginning if ``after`` is ``None``.

        Args:
            stream: The name.
            after: The position.
            back: How many items before that to read again. If there are fewer, reading begins at the first item.

        Raises:
            UnknownStreamError: There is no such stream.
            PositionError: There is no item with that number, or that item has another epoch.
        """
        ...

    async def cancel(self, stream: str, why: Cancellation) -> bool:
        """Ask the writer of a stream to stop. If there are several requests, the first counts.

        Returns:
            Whether a living writer will get the request. If not, the stream has ended or its writer is dead.

        Raises:
            UnknownStreamError: There is no such stream.
        """
        ...

    async def streams(self) -> list[LogInfo]:
        """All streams, in the order in which they were first claimed."""
        ...

    async def expire(self, *, older_than: float | None = None, keep_bytes: int | None = None) -> list[str]:
        """Remove streams. A stream whose writer is alive keeps everything.

        Args:
            older_than: Remove streams whose last item, ending or sign of life is more than so many seconds old, by the
                clock of the log.
            keep_bytes: Then remove more streams, the one with the oldest last sign first, until the log has no more
                than so many bytes.

        Returns:
            The names of the streams that were removed.
        """
        ...
