"""Asking at the terminal whether a tool may run.

Rules:

1. Whoever is asked sees the whole call, as far as a screen can show it, and knows if it is more.
2. Only a line that was typed after the question is an answer to it.
3. Nothing but a yes is one. No terminal, the end of the input and any other word are a no.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

from rxllm.cli._echo import echo
from rxllm.harmless import harmless, printable
from rxllm.models import Approved, Refused, ToolCall

_MOST_CHARACTERS = 8_000
# What a display writes of a call beside its name and arguments, and some room.
_BESIDE = 24
_ANSWERS = "[y]es, [a]lways this tool, [N]o"


class AtTheTerminal:
    """Asks about calls.

    Args:
        is_shown: Set when the display has shown which call is asked about; then the screen is ours.
    """

    def __init__(self) -> None:
        self._always: set[str] = set()
        self.is_shown: asyncio.Event = asyncio.Event()

    async def __call__(self, call: ToolCall) -> Approved | Refused:
        """Ask about a call."""
        name = call.function.name
        if name in self._always:
            return Approved()
        if not can_ask():
            return Refused(reason="Nobody can be asked: this program has no terminal. It needs --yes to run tools.")
        await self.is_shown.wait()
        self.is_shown.clear()
        with echo(on=True):
            _forget_what_was_typed()
            sys.stderr.write(question_about(call, shutil.get_terminal_size().columns))
            sys.stderr.flush()
            answer = (await typed_line()).strip().lower()
        if answer in {"a", "always"}:
            self._always.add(name)
        return Approved() if answer in {"y", "yes", "a", "always"} else Refused(reason="The user said no.")


def can_ask() -> bool:
    """Whether somebody can be asked something."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def question_about(call: ToolCall, columns: int) -> str:
    """What is asked about a call, behind the row in which the display shows it.

    Args:
        call: The call.
        columns: How wide the terminal is.
    """
    name, arguments = call.function.name, call.function.arguments
    fits = arguments.isascii() and len(name) + len(arguments) + _BESIDE < columns
    details = "" if fits else f"{_spread(arguments)}\n"
    return f"{details}Run {harmless(name, 60)}? {_ANSWERS}: "


def _spread(arguments: str) -> str:
    """Arguments in several rows, as far as they can be shown."""
    with suppress(ValueError):
        arguments = json.dumps(json.loads(arguments), indent=2, ensure_ascii=False)
    more = len(arguments) - _MOST_CHARACTERS
    left = f"\n… and {more:,} characters more that are not shown here" if more > 0 else ""
    return f"{printable(arguments[:_MOST_CHARACTERS])}{left}"


async def typed_line() -> str:
    """A line that somebody types from now on; ``""`` at the end of the input. Whoever is cancelled leaves nothing."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()
    terminal = sys.stdin.fileno()

    def read() -> None:
        with suppress(asyncio.InvalidStateError):  # nobody waits any more
            typed.set_result(os.read(terminal, 4096).decode(errors="replace"))

    try:
        _watch(loop, terminal, read)
    except NotImplementedError:  # Windows
        return await asyncio.to_thread(sys.stdin.readline)
    try:
        return await typed
    finally:
        loop.remove_reader(terminal)


def _watch(loop: asyncio.AbstractEventLoop, terminal: int, read: Callable[[], None]) -> None:
    loop.add_reader(terminal, read)


def _forget_what_was_typed() -> None:
    with suppress(ImportError):  # Windows
        termios = import_module("termios")
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
