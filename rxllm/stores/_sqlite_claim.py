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
    """

    number: int
    stream: str
    epoch: int
    next: int
    began: datetime


# The last epoch that this process has given to anything.
_given = [0]
_lock = threading.Lock()

Batch: TypeAlias = tuple[Claim, Sequence[ItemRecord]]


def new_epoch(last: int | None) -> int:
    """An epoch that no stream of that name has had: the time in milliseconds, or more.

    So a position of a stream that was expired, or of a file that was deleted, is not taken for one of its successor:
    not within a millisecond either, and not after the clock was set back.
    """
    with _lock:
        _given[0] = max(_given[0] + 1, (last or 0) + 1, time.time_ns() // 1_000_000)
        return _given[0]
