"""Signals that are to end the program: SIGTERM, as ``timeout`` sends it, and SIGHUP of a terminal that is closed.

They do what Ctrl-C does, so that the terminal is as it was before and what had come is kept. But a chat does not go on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType

_FATAL = tuple(number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None)
_received: list[int] = []


def ended_by() -> int | None:
    """The signal that was to end the program; ``None`` if none came."""
    return next(iter(_received), None)


@contextmanager
def heeded() -> Generator[None]:
    """Have them do what Ctrl-C does, until the end of the block. Those that are ignored, as by ``nohup``, stay so."""
    _received.clear()
    ours = [number for number in _FATAL if signal.getsignal(number) is signal.SIG_DFL]
    with suppress(ValueError):  # another thread than the main one handles none
        for number in ours:
            signal.signal(number, _end)
    try:
        yield
    finally:
        with suppress(ValueError):
            for number in ours:
                signal.signal(number, signal.SIG_DFL)


def end_at_the_next(status: int) -> None:
    """Have the next Ctrl-C end the program at once: a tool may run in a thread, which is waited for at the very end."""

    def leave(number: int, frame: FrameType | None) -> None:
        del number, frame
        os._exit(status)

    with suppress(ValueError):  # as above
        signal.signal(signal.SIGINT, leave)


def _end(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
    # That of an event loop, if one runs. A program in the background may have none.
    interrupt = signal.getsignal(signal.SIGINT)
    if not callable(interrupt):
        raise KeyboardInterrupt
    interrupt(signal.SIGINT, frame)
