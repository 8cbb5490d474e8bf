"""A terminal for tests: pyte, with its scroll-back as text."""

from __future__ import annotations

import re
from typing import Any

import pyte
from pyte import modes

from rxllm.sinks.screen._answer import Answer, Shown
from rxllm.sinks.screen._screen import Screen
from rxllm.typing import Ending

# Joiners and the like have no width. The emulator forgets the rest of a text that has one.
_forgotten = re.compile("[\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\U000e0000-\U000e007f]").sub


class Terminal:
    """What a screen draws on. It is asked for its size at each drawing."""

    def __init__(self, columns: int, lines: int = 24) -> None:
        self._screen: Any = pyte.HistoryScreen(columns, lines, history=100_000)
        self._screen.set_mode(modes.LNM)
        self._stream: Any = pyte.Stream(self._screen)
        self.columns = columns
        self.lines = lines
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)
        self._stream.feed(_forgotten("", text))

    def resize(self, columns: int, lines: int | None = None) -> None:
        self.columns, self.lines = columns, lines or self.lines
        self._screen.resize(self.lines, self.columns)

    @property
    def rows(self) -> list[str]:
        """All rows, those that were scrolled away first, without blanks at their ends."""
        history = ["".join(line[column].data for column in range(self.columns)) for line in self._screen.history.top]
        rows = [row.rstrip() for row in (*history, *self._screen.display)]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    @property
    def title(self) -> str:
        return str(self._screen.title)


class Paper:
    """What keeps what is written, and does nothing else."""

    columns, lines = 80, 24

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)


class Shower:
    """One answer or several on a terminal, with a clock that stands still until somebody moves it."""

    def __init__(self, terminal: Terminal | Paper, *, live: bool = True, reflows: bool = False) -> None:
        self.terminal = terminal
        self.screen = Screen(lambda: (terminal.columns, terminal.lines), live=live, reflows=reflows)
        self.now = 0.0

    def begin(self) -> Answer:
        answer = Answer(self.now)
        self.screen.answers.append(answer)
        return answer

    def draw(self) -> None:
        text = self.screen.draw(self.now)
        if text:
            self.terminal.write(text)

    def add(self, answer: Answer, *items: Shown) -> None:
        for item in items:
            answer.add(item, self.now)
        self.draw()

    def close(self, answer: Answer, ending: Ending | None = None) -> None:
        answer.close(ending or Ending("completed"), self.now)
        self.draw()


_OWN = r"\x1b\[(?:\?2026[hl]|[JK]|\d+[AG]|[\d;]*m)|[\r\n]"
_foreign = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\u200e\\u200f\\u061c\\u2028\\u2029\\ufeff\\ud800-\\udfff]"
).findall


def foreign_controls(written: str, own: str = _OWN) -> set[str]:
    """What of the control characters is not ours.

    Args:
        written: What was written.
        own: A pattern of what is ours.
    """
    return set(_foreign(re.sub(own, "", written)))
