"""Claims that are not wanted any more when they succeed.

Rules:

1. A claim that is under way is not called off: nobody would know whether it holds. It goes on in a task of its own.
2. If whoever wanted it is cancelled meanwhile, what it gets is given back at once, so that the name is free before the
   lease is over. How long that may take, is bounded by how long the engine waits for its log.
3. If that task is cancelled, too, as all tasks are when a program ends, the lease has to pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from rxllm.exceptions import RecordingError
from rxllm.flow import outside_of_emissions, start_task

__all__ = ["claimed"]

T = TypeVar("T")

# The event loop itself keeps only weak references to tasks, and nobody may wait for these any more.
_claiming: set[asyncio.Task[None]] = set()


async def claimed(claim: Coroutine[Any, Any, T], give_back: Callable[[T], Coroutine[Any, Any, None]]) -> T:
    """Wait for a claim, and give back what it gets if whoever waits is cancelled.

    Args:
        claim: The claim.
        give_back: Gives it back; may raise ``RecordingError``.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()
    wanted: asyncio.Future[bool] = loop.create_future()
    task = start_task(loop, _run(claim, outcome, wanted, give_back), outside_of_emissions())
    _claiming.add(task)
    task.add_done_callback(_claiming.discard)
    try:
        found = await outcome
    except BaseException:
        wanted.set_result(False)
        raise
    wanted.set_result(True)
    return found


async def _run(
    claim: Coroutine[Any, Any, T],
    outcome: asyncio.Future[T],
    wanted: asyncio.Future[bool],
    give_back: Callable[[T], Coroutine[Any, Any, None]],
) -> None:
    try:
        found = await claim
    except asyncio.CancelledError:
        outcome.cancel()
        raise
    except Exception as error:  # noqa: BLE001 - raised where it is waited for
        if not outcome.done():
            outcome.set_exception(error)
            outcome.exception()  # it may be cancelled in this very turn, and not ask
        return
    if not outcome.done():
        outcome.set_result(found)
    # It may have been cancelled between the outcome and the turn in which it would have gone on.
    if not await wanted:
        with suppress(RecordingError):  # then the lease has to pass
            await give_back(found)
