"""A thread for what blocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from rxllm.flow import wake

P = ParamSpec("P")
Result = TypeVar("Result")


class Worker:
    """One thread, in which calls run one at a time, in the order in which they were made.

    A call that was made runs, also if the task that waits for it is cancelled: a batch is never lost because somebody
    stopped waiting for it. If it fails, nobody is told then.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rxllm-store")

    async def run(self, function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Call a function in the thread and wait for its result."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        call = self._thread.submit(function, *args, **kwargs)
        call.add_done_callback(partial(_tell, loop, waiter))
        await waiter
        try:
            return call.result()
        finally:
            del call  # its error has this frame, which has it

    async def stop(self, function: Callable[[], None]) -> None:
        """Call a last function in the thread, and end it."""
        try:
            await self.run(function)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        # This waits for the thread to leave, not for work: the last function was the last.
        self._thread.shutdown()


def _tell(loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None], _: Future[Any]) -> None:
    # Only that it is done. A future of the loop that held an error would complain if nobody asked for it, as when the
    # loop ends in that very turn.
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(wake, waiter)
