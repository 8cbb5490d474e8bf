"""How the examples begin, with a line that says what they show, and end: without a traceback, whoever ends them."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Generator
from contextlib import contextmanager, suppress

STOPPED = 128 + 2
NOBODY_READS = 128 + 13


@contextmanager
def stoppable(mark: str = "\n… stopped") -> Generator[None]:
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
