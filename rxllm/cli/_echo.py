"""Whether a terminal shows what is typed.

While an answer is drawn it must not: a line that is typed meanwhile would move the rows that are drawn again. What was
typed is not lost; the next prompt has it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib import import_module


@contextmanager
def echo(*, on: bool) -> Generator[None]:
    """Have the terminal of this program show what is typed, or not show it, until the end of the block."""
    before = _switch(on=on)
    try:
        yield
    finally:
        _switch(on=before)


def _switch(*, on: bool | None) -> bool | None:
    """Switch it, and tell what it was; ``None`` if there is nothing to switch."""
    if on is None:
        return None
    with suppress(ImportError):  # Windows, whose terminals show nothing that nobody reads
        termios = import_module("termios")
        # There may be no stdin, it may be no terminal or one that is gone.
        with suppress(AttributeError, OSError, ValueError, termios.error):
            terminal = sys.stdin.fileno()
            if os.tcgetpgrp(terminal) == os.getpgrp():  # whoever is in the background would be stopped
                modes = termios.tcgetattr(terminal)
                before = bool(modes[3] & termios.ECHO)
                modes[3] = modes[3] | termios.ECHO if on else modes[3] & ~termios.ECHO
                termios.tcsetattr(terminal, termios.TCSANOW, modes)
                return before
    return None
