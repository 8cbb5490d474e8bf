"""Styled text, and the rows of a screen that it becomes.

A style is the parameters of SGR, ``"1;36"`` for one. Only the sixteen colours of the terminal are used, so that they
suit its background.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rxllm.sinks.screen._cells import cells, head, is_within, without_tabs

PLAIN, BOLD, DIM, ITALIC = "", "1", "2", "3"
BAD, GOOD, NOTE = "31", "32", "33"

# Ideographs, kana and Hangul: a line may break between any two of them, but not in front of a closing mark.
_WIDE = r"[\u2e80-\u3000\u3003-\u3007\u3012-\u303f\u3041-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003fffd]"
# What changes how the one in front of it looks: voicing marks, variation selectors.
_MARK = r"[\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef]"
_CLOSING = r"[\u3001\u3002\u300d\u300f\u3011\uff01\uff09\uff0c\uff0e\uff1a\uff1b\uff1f]"
_pieces = re.compile(rf"[ \n]+|{_WIDE}{_MARK}*{_CLOSING}*|(?:(?!{_WIDE})[^ \n])+").findall


class Span(NamedTuple):
    """A piece of text in one style."""

    text: str
    style: str = PLAIN


class Row(NamedTuple):
    """A row as it is written, and how many columns it takes."""

    text: str
    cells: int


_column = re.compile(r"\x1b\[(\d+)G").sub
EMPTY = Row("", 0)


def painted(text: str, style: str) -> str:
    """A text with the sequences of its style around it."""
    return f"\x1b[{style}m{text}\x1b[0m" if style and text else text


def column(number: int) -> str:
    """What goes to a column of the row, counted from 1."""
    return f"\x1b[{number}G"


def row(*spans: Span) -> Row:
    """Make a row of spans that have room in it."""
    return Row("".join([painted(*span) for span in spans]), sum([cells(text) for text, _ in spans]))


def both(first: str, second: str) -> str:
    """Two styles at once."""
    return f"{first};{second}" if first and second else first or second


def indented(rows: Iterable[Row], first: Span, rest: Span | None = None) -> list[Row]:
    """Rows with something in front: of the first one, and of each of the others."""
    fronts = row(first), row(Span(" " * cells(first.text)) if rest is None else rest)
    return [_behind(fronts[place > 0], each) for place, each in enumerate(rows)]


def _behind(front: Row, behind: Row) -> Row:
    text = behind.text
    if "G" in text:
        text = _column(lambda found: column(int(found[1]) + front.cells), text)
    return Row(front.text + text, front.cells + behind.cells)


def wrapped(spans: Sequence[Span], width: int) -> list[Row]:
    r"""Break a text into rows between its words; a word that has no room in a row is broken.

    Args:
        spans: The text. Blanks in a row are one; ``"\n"`` alone in a span ends a row.
        width: How many columns there are.
    """
    wrapping = _Wrapping(width)
    for text, style in spans:
        if text == "\n":
            wrapping.end_row()
            continue
        for piece in _pieces(without_tabs(text)):
            if piece[0] in " \n":
                wrapping.blank(style)
            else:
                wrapping.piece(piece, style)
    return wrapping.close()


def folded(spans: Sequence[Span], width: int) -> list[Row]:
    """Break a line of code into rows wherever the width is used up."""
    wrapping = _Wrapping(width)
    for text, style in spans:
        wrapping.fold(without_tabs(text), style)
    return wrapping.close()


class _Wrapping:
    def __init__(self, width: int) -> None:
        self._width = max(1, width)
        self._rows: list[Row] = []
        self._line: list[Span] = []
        self._taken = 0
        # A word may be made of pieces in several styles.
        self._word: list[Span] = []
        self._blank: str | None = None

    def piece(self, text: str, style: str) -> None:
        if self._word and _pieces(self._word[-1].text[-1] + text)[0] != self._word[-1].text[-1] + text:
            self._end_word()  # there may be a break between the two
        self._word.append(Span(text, style))

    def blank(self, style: str) -> None:
        self._end_word()
        if self._line:
            self._blank = style

    def _end_word(self) -> None:
        word, self._word = self._word, []
        if not word:
            return
        size = sum([cells(text) for text, _ in word])
        blank, self._blank = self._blank, None
        if self._line and self._taken + (blank is not None) + size > self._width:
            self._break()
        elif blank is not None:
            self._line.append(Span(" ", blank))
            self._taken += 1
        for text, style in word:
            if size > self._width:
                self.fold(text, style)
            else:
                self._line.append(Span(text, style))
        if size <= self._width:
            self._taken += size

    def fold(self, text: str, style: str) -> None:
        while text:
            if self._taken >= self._width:
                self._break()
            size = head(text, self._width - self._taken)
            if self._line and (cells(text[:size]) > self._width - self._taken or is_within(text, size)):
                self._break()
                continue
            self._line.append(Span(text[:size], style))
            self._taken += cells(text[:size])
            text = text[size:]

    def _break(self) -> None:
        # One sequence for neighbours of one style.
        merged: list[Span] = []
        for span in self._line:
            if merged and merged[-1].style == span.style:
                merged[-1] = Span(merged[-1].text + span.text, span.style)
            else:
                merged.append(span)
        self._rows.append(row(*merged))
        self._line, self._taken = [], 0

    def end_row(self) -> None:
        self._end_word()
        self._blank = None
        self._break()

    def close(self) -> list[Row]:
        self._end_word()
        self._break()
        return self._rows
