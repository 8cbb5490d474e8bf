"""What was put right in a stream."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Repair"]


class Repair(NamedTuple):
    """One thing that a server sent wrong and that was read as it was meant.

    Attributes:
        kind: What was wrong, one of a fixed set of words.
        position: In which item of the stream, counted from 0.
        before: What was sent.
        after: What it was taken for.
    """

    kind: str
    position: int
    before: Any
    after: Any
