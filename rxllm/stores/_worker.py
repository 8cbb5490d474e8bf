"""A thread for what blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, ParamSpec, TypeVar

from rxllm.flow import outcome_of

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
        call = partial(function, *args, **kwargs)
        found = await outcome_of(loop.run_in_executor(self._thread, _outcome, call))
        if not isinstance(found, _Failure):
            return found
        try:
            raise found.error
        finally:
            del found  # the error has this frame, which has it

    async def stop(self, function: Callable[[], None]) -> None:
        """Call a last function in the thread, and end it."""
        try:
            await self.run(function)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        # This waits for the thread to leave, not for work: the last function was the last.
        self._thread.shutdown()


class _Failure(NamedTuple):
    """That a call failed.

    To the loop that is a result: a future that holds an error complains if nobody asks for it, as when the loop ends in
    the very turn in which it hears of it.
    """

    error: BaseException


def _outcome(call: Callable[[], Result]) -> Result | _Failure:
    try:
        return call()
    except BaseException as error:  # noqa: BLE001 - raised where it is awaited
        return _Failure(error)
