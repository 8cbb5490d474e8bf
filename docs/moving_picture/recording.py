"""What a program writes to its terminal, and when."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_PROMPT = "\x1b[32m$\x1b[0m "
_BEFORE_TYPING = 0.6
_KEY = 0.07


class Written(NamedTuple):
    """What came together.

    Attributes:
        seconds: When, since the beginning.
        text: What was written.
    """

    seconds: float
    text: str


def typed(command: str) -> list[Written]:
    """A prompt, and a command that somebody types there."""
    keys = [Written(_BEFORE_TYPING + _KEY * place, key) for place, key in enumerate(command)]
    return [Written(0.0, _PROMPT), *keys, Written(keys[-1].seconds + 3 * _KEY, "\r\n")]


def recorded(
    command: Sequence[str], columns: int, lines: int, environment: Mapping[str, str] | None = None
) -> list[Written]:
    """Run a program on a terminal of its own.

    Args:
        command: The program and its arguments.
        columns: How many the terminal has.
        lines: How many rows it has.
        environment: Variables besides those of this process.

    Raises:
        CalledProcessError: It failed.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    variables = {**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **(environment or {})}
    variables.pop("NO_COLOR", None)
    began = time.monotonic()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=variables) as program:
        os.close(theirs)
        written = _read(ours, began)
    os.close(ours)
    if program.returncode:  # shows what went wrong, too
        raise subprocess.CalledProcessError(program.returncode, command, "".join(text for _, text in written))
    return written


def _read(terminal: int, began: float) -> list[Written]:
    """What comes until the end."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    written: list[Written] = []
    with contextlib.suppress(OSError):  # nobody has the terminal open any more
        while data := os.read(terminal, 65_536):
            written.append(Written(time.monotonic() - began, decoder.decode(data)))
    return written


def joined(first: Sequence[Written], second: Sequence[Written]) -> list[Written]:
    """A recording behind another one."""
    end = first[-1].seconds
    return [*first, *(Written(end + seconds, text) for seconds, text in second)]
