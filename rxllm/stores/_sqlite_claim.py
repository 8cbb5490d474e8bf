"""Who may write to a stream in a database, and for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from rxllm.stores._records import ItemRecord

__all__ = ["Batch", "Claim", "new_epoch", "seconds_left"]


def seconds_left(lease: float | None, beat: float | None, ending: str | None) -> float:
    """For how many seconds more a writer counts as alive; 0 or less if it is dead."""
    if lease is None or beat is None or ending is not None:
        return 0.0
    silent = time.monotonic() - beat
    # A sign of the future is one from before this machine was started.
    return lease - silent if silent >= 0 else 0.0


@dataclass
class Claim:
    """The right to write to a stream.

    Attributes:
        number: The stream.
        stream: Its name.
        epoch: That of this writer.
        next: The number of the next item.
        began: When the stream was claimed first.
        marks: Whether the items have that epoch. Those of a recording, which has one writer ever, have 0.
    """

    number: int
    stream: str
    epoch: int
    next: int
    began: datetime
    marks: bool = True

    @property
    def item_epoch(self) -> int:
        """The epoch of the items."""
        return self.epoch if self.marks else 0


# The last epoch that this process has given to anything.
_given = [0]
_lock = threading.Lock()

Batch: TypeAlias = tuple[Claim, Sequence[ItemRecord]]


def new_epoch(last: int) -> int:
    """An epoch that is larger than all that a file has given: the time in milliseconds, or more.

    The file alone sees to that, for all processes and whatever their clocks say. By the time, a position in a file that
    was deleted is not taken for one in a file that has its place: in this process not within a millisecond either.

    Args:
        last: The last one that the file has given; 0 if it has given none.
    """
    with _lock:
        _given[0] = max(_given[0] + 1, last + 1, time.time_ns() // 1_000_000)
        return _given[0]
