"""Counts of tokens, as providers send them."""

from __future__ import annotations


def count_in(value: object) -> int | None:
    """The count that a value is; ``None`` if it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def sum_of(*counts: int | None) -> int | None:
    """The sum of those that are known; ``None`` if none is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
