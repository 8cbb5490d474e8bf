"""The first step of a coroutine, taken at once as part of a task that waits.

Waking a task for each item costs more than most items do: 5 of the 35 µs of a chunk that comes alone, and with what
lives until that task has its turn another 5, for the garbage collector. Most of what such a task does is one step long.

Rules:

1. During the step the task is the current one, and the step has the task's context: ``asyncio.timeout`` and the like
   cannot tell. Python names the functions for that to those who write tasks of their own ("Extending", of asyncio).
2. If that was not all, the task awaits the rest. Nothing else may.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # pyright: ignore[reportPrivateUsage] - documented, see rule 1
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from typing import Any

__all__ = ["begin", "step"]


class _Begun(Generator[Any, Any, None]):
    """What is left of a coroutine whose first step was taken.

    Args:
        steps: The steps that follow.
        first: What the first gave: what it waits for.
    """

    __slots__ = ("_first", "_is_taken", "_steps")

    def __init__(self, steps: Generator[Any, Any, None], first: Any) -> None:
        self._steps = steps
        self._first = first
        self._is_taken = False

    def __await__(self) -> Generator[Any, Any, None]:
        return self

    def send(self, value: Any, /) -> Any:
        if self._is_taken:
            return self._steps.send(value)
        self._is_taken = True
        return self._first

    def throw(self, *error: Any) -> Any:
        self._is_taken = True
        return self._steps.throw(*error)


def begin(start: Callable[[], Awaitable[None]], task: asyncio.Task[None], context: Context) -> Awaitable[None] | None:
    """Take the first step of what ``start`` gives; called in the loop of the task.

    Args:
        start: Called within the step; what it gives is awaited.
        task: The task, which waits.
        context: The context of the task.

    Returns:
        What is left for the task to await, once, if it is nothing but an exception; ``None`` if nothing is.
    """
    loop = task.get_loop()
    current = asyncio.current_task(loop)
    if current is not None:
        _leave_task(loop, current)
    _enter_task(loop, task)
    try:
        return context.run(step, start)
    finally:
        _leave_task(loop, task)
        if current is not None:
            _enter_task(loop, current)


def step(start: Callable[[], Awaitable[None]]) -> Awaitable[None] | None:
    """Take the first step of what ``start`` gives, in the task that then awaits what is left; see ``begin``."""
    try:
        steps = start().__await__()
        first = next(steps)
    except StopIteration:
        return None
    except (Exception, asyncio.CancelledError) as error:
        return _fail(error)
    return _Begun(steps, first)


async def _fail(error: BaseException) -> None:
    raise error
