"""How a command ends: its exit status, and what it says on stderr.

Rules:

1. An error is one line, and what to do about it, if that is known, another one. ``--debug`` shows the traceback in
   front of it. No traceback shows a variable, since there may be a key in it.
2. What somebody else said in an error never controls the terminal.
3. The error says what to write on the command line, and not what to write in a program.
4. Whoever reads the output may leave: ``rxllm chat … | head -1`` ends without a word.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum

import typer

from rxllm.cli._signals import end_at_the_next, ended_by, heeded
from rxllm.harmless import harmless, printable


class Status(IntEnum):
    """The exit statuses. Those above 128 are those that shells give to programs that end by these signals."""

    WHOLE = 0
    FAILED = 1
    USAGE = 2
    HUNG_UP = 129
    INTERRUPTED = 130
    NOBODY_READS = 141
    TERMINATED = 143


class UsageError(Exception):
    """What the command line asks for cannot be done. Says what to write instead."""


_DRAWN = "rxllm_cli_drawn"
_OF_A_SIGNAL = 128
# How the library says what to do, and how that is done here.
_HERE = {
    "give it as api_key=": "name its variable with --key-variable",
    "give it as base_url=": "give it with --base-url",
    "for any other give LLMClient a base_url, or a dialect with a home: OpenAIChat(home=Home(…))": (
        "for any other give --base-url"
    ),
    "base_url cannot be requested": "--base-url cannot be requested",
}


def finish(work: Callable[[], Status], *, debug: bool = False) -> None:
    """Do what a command is for, and end the program.

    Args:
        work: What it is for. An ``rxllm`` that cannot do it raises.
        debug: Whether to show the traceback of an error.

    Raises:
        typer.Exit: Always.
    """
    try:
        with heeded():
            status = work()
            sys.stdout.flush()
    except KeyboardInterrupt:
        status = Status(_OF_A_SIGNAL + (ended_by() or signal.SIGINT))
        end_at_the_next(status)
    except BrokenPipeError:
        status = Status.NOBODY_READS
        _drop_output()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told in a line
        status = Status.USAGE if isinstance(error, UsageError) else Status.FAILED
        complain(error, debug=debug)
    raise typer.Exit(status)


def complain(error: Exception, *, debug: bool) -> None:
    """Say on stderr what went wrong, with ``debug`` behind the traceback."""
    if debug:
        say(printable("".join(traceback.format_exception(error)).rstrip()))
    if text := told(error):
        say(text)


def reword(error: Exception) -> None:
    """Have an error say what to write on the command line, also where a display shows it."""
    error.args = tuple(_on_the_command_line(each) if isinstance(each, str) else each for each in error.args)


def mark_drawn(error: Exception) -> None:
    """Take note that the display has told an error on stdout, so that a terminal need not show it twice."""
    vars(error)[_DRAWN] = True


def told(error: Exception) -> str:
    """An error, as the command line tells it; ``""`` if there is nothing to be told any more."""
    from rxllm.exceptions import RxllmError  # noqa: PLC0415 - other commands need none of the library

    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    elif not isinstance(error, UsageError | RxllmError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    text = _on_the_command_line(text)
    what = [] if _DRAWN in vars(error) and sys.stderr.isatty() else [f"rxllm: {harmless(text)}"]
    return "\n".join([*what, *(f"  {harmless(note)}" for note in getattr(error, "__notes__", ()))])


def _on_the_command_line(text: str) -> str:
    for ours, here in _HERE.items():
        text = text.replace(ours, here)
    return text


def say(text: str) -> None:
    """Write a line to stderr; nothing if nobody reads it."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _drop_output() -> None:
    # What could not be written is tried once more at the very end, and would be complained about.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
