"""The time axis of a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from rxllm.testing._labels import cells

__all__ = ["EDGE", "PITCH", "SMALL_CELL", "Axis", "duration"]

EDGE = 26
"""Pixels to the left of time zero."""

PITCH = 24
"""Pixels that a frame takes at least."""

SMALL_CELL = 6.7
"""Pixels that a character of a caption takes."""

LONGEST_PASSAGE = 12
"""Frames in which nothing happens that are drawn in full; more are drawn as ``CUT``."""

CUT = 6
SECOND = 1_000_000


class Axis:
    """Where a time is, in pixels: true to scale, but for long passages in which nothing happens."""

    def __init__(self, times: Iterable[int], frame: int, pitch: float) -> None:
        self._frame = frame
        self._pitch = pitch
        self._passages: list[_Passage] = []
        self.end = float(EDGE)
        for start, end in pairwise(sorted({0, *times})):
            frames = (end - start) / frame
            cut = frames > LONGEST_PASSAGE
            width = pitch * (CUT if cut else frames)
            self._passages.append(_Passage(start, end, self.end, width, cut=cut))
            self.end += width

    def x(self, time: int) -> float:
        """The place of a time."""
        passage = next((each for each in self._passages if time <= each.end), None)
        return self.end if passage is None else passage.x(time)

    @property
    def cuts(self) -> list[float]:
        """The places in the middle of the passages that are cut short."""
        return [passage.left + passage.width / 2 for passage in self._passages if passage.cut]

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Times to write below, and their places, far enough from each other."""
        free = 0.0
        for time in self._round_times():
            label = duration(time)
            half = cells(label) * SMALL_CELL / 2
            x = self.x(time)
            if x - half >= free:
                free = x + half + SMALL_CELL
                yield x, label

    def _round_times(self) -> Iterator[int]:
        """Every fifth frame of what is to scale, and the ends of what is not."""
        step = 5 * self._frame
        yield 0
        for passage in self._passages:
            first = passage.start - passage.start % step + step
            yield from [passage.end] if passage.cut else range(first, passage.end + 1, step)


@dataclass(slots=True)
class _Passage:
    """The time between two things that happen."""

    start: int
    end: int
    left: float
    width: float
    cut: bool = field(kw_only=True)

    def x(self, time: int) -> float:
        return self.left + self.width * (time - self.start) / (self.end - self.start)


def duration(time: int) -> str:
    """A time as people write it.

    >>> duration(0), duration(1_500_000), duration(30_000)
    ('0', '1.5 s', '30 ms')
    """
    if time == 0:
        return "0"
    number, unit = (time / SECOND, "s") if time >= SECOND else (time / 1000, "ms")
    return f"{number:g} {unit}"
