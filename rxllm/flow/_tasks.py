"""Tasks and disposables of an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from reactivex import abc

from rxllm.exceptions import NoRunningLoopError

T = TypeVar("T")


def running_loop(what: str) -> asyncio.AbstractEventLoop:
    """The running event loop, for ``what`` needs one.

    Raises:
        NoRunningLoopError: There is none.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise NoRunningLoopError(
            f"{what} needs a running event loop: await the pipeline or iterate over it with 'async for'; "
            "from synchronous code use rxllm.run() or rxllm.iterate_sync()"
        ) from None


def start_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], context: Context
) -> asyncio.Task[None]:
    """Start a task that takes its first step in a turn of its own, whatever the loop's task factory is.

    With ``asyncio.eager_task_factory`` (Python 3.12) a task begins, and may end, before whoever makes it has it: a
    source would emit while somebody still subscribes, when there is nothing yet to dispose of.
    """
    return asyncio.Task(work, loop=loop, context=context)


async def outcome_of(future: asyncio.Future[T]) -> T:
    """Wait for a future that goes on if whoever waits is cancelled; that it then fails concerns nobody.

    ``asyncio.shield`` goes on, too, but such a failure goes to the exception handler of the loop, and so to standard
    error: at once, or when the future is collected, as the version of Python has it.
    """
    future.add_done_callback(_take_note)
    await asyncio.wait([future])
    return future.result()


def _take_note(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def wake(waiter: asyncio.Future[None]) -> None:
    """Let whoever awaits a future go on, unless it has been woken or has given up."""
    if not waiter.done():
        waiter.set_result(None)


class LoopDisposable(abc.DisposableBase):
    """A disposable for what lives in a loop: it may be disposed from any thread, and when the loop is gone.

    Args:
        loop: The loop, which runs in this thread.
        dispose: Called once, in the loop's thread.
    """

    __slots__ = ("_dispose", "_loop", "_thread")

    def __init__(self, loop: asyncio.AbstractEventLoop, dispose: Callable[[], None]) -> None:
        self._dispose: Callable[[], None] | None = dispose
        self._loop = loop
        self._thread = threading.get_ident()

    def dispose(self) -> None:
        """Dispose of it, unless that has been done, or the loop is gone."""
        dispose, self._dispose = self._dispose, None
        if dispose is None or self._loop.is_closed():
            return
        if threading.get_ident() == self._thread:
            dispose()
        else:
            self._loop.call_soon_threadsafe(dispose)
