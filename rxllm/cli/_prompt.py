"""Questions that somebody types at a terminal."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module

from rxllm.cli._outcome import UsageError

_PROMPT, _GOES_ON = "> ", "… "
_MOST_BYTES = 16 * 1024 * 1024


def typed_question() -> str | None:
    """The next question, with the keys of readline; ``None`` at the end of the input (Ctrl-D).

    A line that ends with a backslash goes on in the next one.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    lines: list[str] = []
    try:
        while True:
            line = _line(_GOES_ON if lines else _PROMPT)
            lines.append(line.removesuffix("\\"))
            if not line.endswith("\\"):
                return "\n".join(lines).strip()
    except EOFError:
        sys.stderr.write("\n")
        return None


def _line(prompt: str) -> str:
    if not sys.stdout.isatty():
        # What is asked is no part of the answers.
        sys.stderr.write(prompt)
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")
    with suppress(ImportError):  # Windows has none, and edits lines by itself
        import_module("readline")  # editing and history come with it
    return input(prompt)


def piped_text() -> str:
    """What another program or a file gives to stdin; ``""`` if that is a terminal, or closed.

    Raises:
        UsageError: It is not a text in UTF-8, or too much.
    """
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return ""
    data = sys.stdin.buffer.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise UsageError(f"more than {_MOST_BYTES // 1024**2} MiB came on stdin: give less")
    try:
        return data.decode().strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"what came on stdin is not a text in UTF-8: {error.reason} at byte {error.start}") from None
