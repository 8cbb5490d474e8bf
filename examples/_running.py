"""How the examples begin, print, and end: a line says what they show, and no traceback is seen, whoever ends them."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import TracebackType

STOPPED = 128 + 2
NOBODY_READS = 128 + 13
_MARK = "\n… stopped"


def _quiet(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print(_MARK, flush=True)
    else:
        sys.__excepthook__(kind, error, traceback)


# For Ctrl-C while the program is still being loaded.
sys.excepthook = _quiet


@contextmanager
def stoppable(mark: str = _MARK) -> Generator[None]:
    """Let Ctrl-C end what is within, and whoever reads the output leave early, as ``| head -1`` does.

    The pipeline has been left by then: its connection is closed, and sinks have what came. The exit codes are those
    that shells give to programs that end by these signals.

    Args:
        mark: What is printed when it was stopped.
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        with suppress(BrokenPipeError):
            print(mark, flush=True)
        _leave(STOPPED)
    except BrokenPipeError:
        _leave(NOBODY_READS)


class Lines:
    """Prints texts that come in pieces. On a terminal their lines end between words.

    Args:
        indent: What stands in front of a line, but for the first.
    """

    def __init__(self, indent: str = "") -> None:
        self._indent = indent
        self._width = shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else sys.maxsize
        self._column = 0

    def add(self, text: str) -> None:
        """Go on with the line."""
        for piece in re.findall(r"\n| *[^ \n]+| +", text):
            if piece == "\n":
                self.end()
            elif piece[0] == " " and self._column + len(piece) > self._width:
                self._write(f"\n{self._indent}{piece.lstrip()}")
            else:
                self._write(piece)
        sys.stdout.flush()

    def line(self, text: str) -> None:
        """Print a line of its own."""
        if self._column:
            self.end()
        self.add(text)
        self.end()

    def end(self) -> None:
        """End the line."""
        self._write("\n")

    def _write(self, text: str) -> None:
        _, newline, last = text.rpartition("\n")
        self._column = len(last) if newline else self._column + len(last)
        sys.stdout.write(text)


def introduce() -> None:
    """Say what is to be seen: the docstring of the program, as wide as the terminal."""
    width = min(shutil.get_terminal_size().columns, 100)
    for paragraph in (sys.modules["__main__"].__doc__ or "").strip().split("\n\n"):
        if not paragraph.startswith(" "):
            print(textwrap.fill(paragraph.replace("``", ""), width), end="\n\n", flush=True)


def _leave(code: int) -> None:
    # What could not be written is tried once more at the very end, and would be complained about.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
