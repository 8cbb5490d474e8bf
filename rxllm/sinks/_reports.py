"""What a thread reports to whoever waits for it in an event loop."""

from __future__ import annotations

import asyncio
import contextlib

from rxllm.harmless import harmless


def report(loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None], error: BaseException | None) -> None:
    """Tell a waiter of another thread that something was done, or what it failed with."""

    def tell() -> None:
        if waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(_awaitable(error))

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(tell)


def _awaitable(error: BaseException) -> Exception:
    """An error that a future takes, and that says nothing else where it is awaited."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    failure = RuntimeError(harmless(f"the display failed: {error!r}"))
    failure.__cause__ = error
    return failure
