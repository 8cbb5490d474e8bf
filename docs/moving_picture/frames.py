"""What a terminal shows at each moment of a recording, seen by an emulator."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import pyte

from docs.moving_picture.recording import Written

# The emulator knows no dim text, and keeps what blinks; nothing of ours does.
_sgr = re.compile(r"\x1b\[([\d;]*)m")
_DIM, _BLINKING = "2", "5"
_COLOURS = {"black", "red", "green", "brown", "blue", "magenta", "cyan", "white"}
# What is drawn in one step is seen in one.
_TOGETHER = 1 / 60


class Piece(NamedTuple):
    """Text that stands in a row.

    Attributes:
        line: In which row, counted from 0.
        column: In which column it begins.
        cells: How many columns it takes.
        text: What it says: a word, or more if it is underlined.
        style: The names of its styles, in order, with blanks between.
    """

    line: int
    column: int
    cells: int
    text: str
    style: str


Frame: TypeAlias = frozenset[Piece]


def frames(recording: Sequence[Written], columns: int, lines: int) -> Iterator[tuple[float, Frame]]:
    """What the terminal shows, and since when: whenever that changes."""
    screen: Any = pyte.Screen(columns, lines)
    stream: Any = pyte.Stream(screen)
    before: Frame | None = None
    for place, (seconds, text) in enumerate(recording):
        stream.feed(_sgr.sub(_kept, text))
        if place + 1 < len(recording) and recording[place + 1].seconds - seconds < _TOGETHER:
            continue
        shown = frozenset(_pieces(screen))
        if shown != before:
            yield seconds, shown
            before = shown


def rows(recording: Sequence[Written], columns: int, lines: int) -> list[str]:
    """The rows of the screen at the end, without blanks at their ends."""
    screen: Any = pyte.Screen(columns, lines)
    pyte.Stream(screen).feed("".join(text for _, text in recording))
    return [str(row).rstrip() for row in screen.display]


def _kept(found: re.Match[str]) -> str:
    parameters = [_BLINKING if each == _DIM else each for each in found[1].split(";")]
    return f"\x1b[{';'.join(parameters)}m"


def _pieces(screen: Any) -> Iterator[Piece]:
    for line in range(screen.lines):
        buffer = screen.buffer[line]
        cells = [(column, buffer[column]) for column in range(screen.columns)]
        for (style, blank), group in groupby(cells, lambda cell: (_style(cell[1]), _separates(cell[1]))):
            run = list(group)
            if not blank:
                yield Piece(line, run[0][0], len(run), "".join(cell.data for _, cell in run), style)


def _separates(cell: Any) -> bool:
    return cell.data == " " and not cell.underscore


def _style(cell: Any) -> str:
    flags = {"bold": cell.bold, "dim": cell.blink, "italic": cell.italics}
    lines = {"under": cell.underscore, "through": cell.strikethrough}
    names = [name for name, holds in {**flags, **lines}.items() if holds]
    if cell.fg in _COLOURS:
        names.append(str(cell.fg))
    return " ".join(names)
