"""What ends when the server stops.

Rules:

1. Each answer is listed as long as it is served. ``close_all`` ends all of them, in whatever loops they are.
2. SIGTERM and SIGINT do so by themselves where a server handles them. Our handler stands in front of the server's, and
   calls it. It is there only while something is served, and only if there was a handler: a process that would simply
   end, simply ends.
3. What begins in a loop right after that ends at once: a server may take a request or two before it stops to listen.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["close_all", "listed"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# For so many seconds after a signal.
_GOING_DOWN_SECONDS = 10.0


class _Open:
    """What is served in one loop."""

    def __init__(self) -> None:
        self.closers: dict[int, Callable[[], None]] = {}
        self.until = 0.0

    def close(self) -> None:
        """End all of it."""
        for close in [*self.closers.values()]:
            close()

    def go_down(self) -> None:
        """End all of it, and what comes next."""
        self.until = asyncio.get_running_loop().time() + _GOING_DOWN_SECONDS
        self.close()


_open: WeakKeyDictionary[asyncio.AbstractEventLoop, _Open] = WeakKeyDictionary()


class _Handler:
    """Handles a signal, and lets another handler do so.

    Args:
        behind: The other one.
    """

    def __init__(self, behind: Callable[[int, FrameType | None], Any]) -> None:
        self.behind = behind

    def __call__(self, number: int, frame: FrameType | None) -> None:
        _everywhere(_Open.go_down)
        self.behind(number, frame)


async def close_all(_: object = None) -> None:
    """End all answers that this process is serving, each in the form of its protocol.

    If the server handles SIGTERM and SIGINT in the main thread, as ``aiohttp.web.run_app`` and uvicorn do, these
    signals do the same, and you need not call this function. Call it if you stop the server in another way, before the
    server waits for its answers. It ignores its argument, so it can be a callback of ``aiohttp.web``:
    ``app.on_shutdown.append(serving.close_all)``.

    Returns at once: servers wait for their answers themselves. Answers that begin later are not affected.
    """
    _everywhere(_Open.close)


@contextmanager
def listed(close: Callable[[], None]) -> Generator[None]:
    """List an answer as long as it is served.

    Args:
        close: Ends it; called in the loop of the answer.
    """
    loop = asyncio.get_running_loop()
    here = _open.get(loop)
    if here is None:
        here = _open[loop] = _Open()
    here.closers[id(close)] = close
    _stand_in_front()
    if loop.time() < here.until:
        close()
    try:
        yield
    finally:
        del here.closers[id(close)]
        if not here.closers:
            _step_back()


def _everywhere(act: Callable[[_Open], None]) -> None:
    for loop, here in [*_open.items()]:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(act, here)


def _stand_in_front() -> None:
    """Handle signals before the server does. Only the main thread may say who handles them."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        # By way of `loop.add_signal_handler` it is one that does nothing, and the loop hears of the signal otherwise.
        if callable(handler) and handler is not signal.default_int_handler and not isinstance(handler, _Handler):
            signal.signal(number, _Handler(handler))


def _step_back() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if isinstance(handler, _Handler):
            signal.signal(number, signal.default_int_handler if _is_over(handler.behind) else handler.behind)


def _is_over(handler: object) -> bool:
    """Whether it interrupts a task that has ended, as that of ``asyncio.run`` does.

    That takes its handler away when its task ends, but only if no other one is in front of it.
    """
    given = handler.keywords.values() if isinstance(handler, partial) else ()
    return any(isinstance(each, asyncio.Task) and each.done() for each in given)
