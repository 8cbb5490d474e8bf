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
"""How many items a page has at most: what a reader that stands still holds."""


class Cancellation(NamedTuple):
    """That somebody wants a stream to stop.

    Attributes:
        reason: Why.
        by: Who.
    """

    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class LogInfo:
    """One stream of a log.

    Attributes:
        stream: Its name.
        began: When it was claimed first.
        items: How many items it has.
        bytes: How many bytes they take, roughly.
        ending: How it ended; ``None`` if it has not.
        alive: Whether a writer holds it.
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
    """What a reader gets at a time.

    Attributes:
        items: The next items, in order; each knows its ``epoch``.
        end: The ending. It comes in a page without items, behind all of them.
        lease: For how many seconds more the writer counts as alive, by the clock of the log; 0 or less if it is dead.
            Looked at only in a page with neither items nor an ending.
        bytes: How many bytes the items take, roughly; 0 if that is not known. Of large ones few wait for whoever reads.
    """

    items: Sequence[ItemRecord] = ()
    end: EndRecord | None = None
    lease: float = 0.0
    bytes: int = 0


class LogWriter(Protocol):
    """The right to write to a stream, as ``claim`` gives it. Its methods are called in one event loop.

    Attributes:
        epoch: That of this writer.
        next: The number of the next item: 0 in a new stream. The first item of a writer that begins further on is a
            restart; the caller sees to that.
        began: When the stream was claimed first, with a time zone.
    """

    epoch: int
    next: int
    began: datetime

    async def append(self, items: Sequence[ItemRecord]) -> None:
        """Add items, all or none, in one round trip, and renew the lease. Their positions are the next numbers.

        Called one at a time. If the caller is cancelled, the batch may be written all the same.

        Raises:
            ClaimLostError: Somebody else has claimed the stream, it has ended, or it is gone. Nothing was written.
            LimitExceededError: An item, or the batch, is larger than the engine takes. Nothing was written.
            LogUnavailableError: As said above. It is not known whether the items are there.
        """

    async def beat(self) -> None:
        """Renew the lease. Called about three times in a lease, also while ``append`` runs.

        Raises:
            ClaimLostError: As with ``append``.
        """

    async def cancelled(self) -> Cancellation:
        """Wait until somebody has asked for this stream to stop, also if that was before the claim.

        Raises:
            ClaimLostError: As with ``append``, as soon as that is known.
        """
        ...

    async def end(self, end: EndRecord) -> None:
        """Write the ending. The lease is over.

        Raises:
            ClaimLostError: As with ``append``.
        """

    async def release(self) -> None:
        """Let go of connections and the like, and of nothing in the log. Called once, as the last."""


class LogReader(Protocol):
    """One reader's way through a stream, as ``follow`` gives it. It holds nothing of the stream but a page."""

    async def read(self, wait: float, *, size: int) -> LogPage:
        """The next items, or the ending behind them.

        Returns as soon as there is something, and at once if there is already. Else it waits: for ``wait`` seconds at
        most, or less, and then returns a page with neither. It need not look at the lease while it waits.

        Args:
            wait: How many seconds to wait; 0 for not at all.
            size: How many bytes of items are wanted at most, roughly; at least one item is given. No more than 64
                items are given.

        Raises:
            UnknownStreamError: The stream was expired meanwhile.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and the like. Called once, as the last."""


class LogEngine(Protocol):
    """Keeps the streams of a log. One object may be used in several event loops and threads at once."""

    async def claim(self, stream: str, *, lease: float, take_over: bool = False) -> LogWriter:
        """Become the writer of a stream, which is made if there is none.

        If the caller is cancelled, whatever is under way, the stream soon has no writer that is alive: it does not wait
        for the lease.

        Args:
            stream: Its name: any text of 1 to 1,000 characters that UTF-8 can encode. Names that differ are different.
            lease: For how many seconds this writer counts as alive after each sign of it.
            take_over: Whether to take it from a writer that is alive.

        Raises:
            StreamTakenError: It has a writer that is alive, or it has ended.
        """
        ...

    async def follow(self, stream: str, after: LogPosition | None, *, back: int = 0) -> LogReader:
        """Read a stream from behind a position; from its beginning if that is ``None``.

        Args:
            stream: Its name.
            after: The position.
            back: With how many items before that to begin; from the beginning, if there are not so many.

        Raises:
            UnknownStreamError: There is no such stream.
            PositionError: There is no item of that number, or it has another epoch.
        """
        ...

    async def cancel(self, stream: str, why: Cancellation) -> bool:
        """Ask the writer of a stream to stop; of several requests the first counts.

        Returns:
            Whether a writer that is alive will learn of it. If not, the stream has ended or its writer is dead.

        Raises:
            UnknownStreamError: There is no such stream.
        """
        ...

    async def streams(self) -> list[LogInfo]:
        """All streams, in the order in which they were claimed first."""
        ...

    async def expire(self, *, older_than: float | None = None, keep_bytes: int | None = None) -> list[str]:
        """Remove streams. One whose writer is alive is never removed, and nothing of it.

        Args:
            older_than: Remove those whose last item, ending or sign of a writer is more than so many seconds old, by
                the clock of the log.
            keep_bytes: Then remove more, those first whose last sign is oldest, until the log has no more bytes.

        Returns:
            The names of what was removed.
        """
        ...
