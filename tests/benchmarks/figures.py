"""Figures of several runs, and their ratios, run by run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Figure", "Missing", "above", "figure", "ratio"]


class Figure(NamedTuple):
    """What several runs gave."""

    median: float
    min: float
    max: float

    def __str__(self) -> str:
        return f"{self.median:9.3f} {self.min:9.3f} {self.max:9.3f}"


class Missing(NamedTuple):
    """What stands in the place of figures that there are none of."""

    why: str

    def __str__(self) -> str:
        return f"not measured: {self.why}"


def figure(values: Sequence[float]) -> Figure:
    """The median and the extremes."""
    return Figure(round(statistics.median(values), 4), round(min(values), 4), round(max(values), 4))


def ratio(values: Sequence[float], others: Sequence[float]) -> Figure:
    """Values to others of the same round: what slows the machine for a while slows both."""
    return figure([value / other for value, other in zip(values, others, strict=True)])


def above(values: Sequence[float], others: Sequence[float]) -> Figure:
    """How far values are above others of the same round."""
    return figure([value - other for value, other in zip(values, others, strict=True)])
