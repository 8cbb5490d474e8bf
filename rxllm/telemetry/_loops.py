"""Whether an event loop goes on, seen from another thread.

Rules:

1. A loop is asked when somebody looks, and never otherwise. One that has not answered is not asked again.
2. What is told of a thread is where it stands in the code: files, lines and functions, and no variable.
"""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import CodeType
from weakref import ref

import rxllm
from rxllm.harmless import harmless
from rxllm.telemetry._report import NAME_LENGTH, LoopReport

__all__ = ["WatchedLoop", "look_at"]

ANSWER_SECONDS = 0.1
"""How long all loops together may take to answer."""

_LIBRARIES = tuple(
    {
        *(sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib", "platlib")),
        str(Path(rxllm.__file__).parent) + os.sep,
        str(Path(asyncio.__file__).parent.parent) + os.sep,
        "<frozen ",
    }
)


class WatchedLoop:
    """An event loop in which there are streams. It is not kept.

    Args:
        loop: The loop, which runs in this thread.
    """

    __slots__ = ("_asked_at", "_loop", "_thread", "answered")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)
        self._thread = threading.get_ident()
        self._asked_at = 0.0
        self.answered = threading.Event()
        self.answered.set()

    def ask(self) -> bool:
        """Ask it for an answer, unless that has been done; returns whether it is there."""
        loop = self._loop()
        if loop is None or loop.is_closed():
            return False
        if self.answered.is_set():
            self.answered.clear()
            self._asked_at = time.monotonic()
            with suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(self.answered.set)
        return True

    def report(self, now: float) -> LoopReport:
        """What it does."""
        loop = self._loop()
        running = loop is not None and loop.is_running()
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        thread = harmless(names.get(self._thread, "a thread that has ended"), NAME_LENGTH)
        if self.answered.is_set():
            return LoopReport(thread=thread, running=running)
        at = _where(self._thread) if running else []
        return LoopReport(thread=thread, running=running, silent=now - self._asked_at, at=at)


def look_at(loops: Sequence[WatchedLoop]) -> None:
    """Give all of them a moment to answer."""
    asked = [loop for loop in loops if loop.ask()]
    until = time.monotonic() + ANSWER_SECONDS
    for loop in asked:
        loop.answered.wait(max(0.0, until - time.monotonic()))


def _where(thread: int) -> list[str]:
    """Where a thread stands: the innermost call, and the one of the application that led there."""
    calls = list(_calls(thread))
    ours = next((call for call in calls if not call[0].co_filename.startswith(_LIBRARIES)), None)
    told = calls[:1] if ours is None or ours is calls[0] else [calls[0], ours]
    return [_told(code, line) for code, line in told]


def _calls(thread: int) -> Iterator[tuple[CodeType, int]]:
    # Frames are left again at once: they keep the variables of the application.
    frame = sys._current_frames().get(thread)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - documented
    while frame is not None:
        yield frame.f_code, frame.f_lineno
        frame = frame.f_back


def _told(code: CodeType, line: int) -> str:
    path = Path(code.co_filename)
    return harmless(f"{Path(*path.parts[-2:])}:{line} in {code.co_qualname}", 3 * NAME_LENGTH)
