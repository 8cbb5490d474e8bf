"""The first step of a coroutine, taken at once as part of a task that waits.

Waking a task for each item costs more than most items do: 5 of the 35 µs of a chunk that comes alone, and with what
lives until that task has its turn another 5, for the garbage collector. Most of what such a task does is one step long.

Rules:

1. During the step the task is the current one, and the step has the task's context: ``asyncio.timeout`` and the like
   cannot tell. Python names the functions for that to those who write tasks of their own ("Extending", of asyncio).
2. If that was not all, the task awaits the rest. Nothing else may.
3. A task that is cancelled before it comes to that cancels the rest, as if it had been awaiting it already.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # pyright: ignore[reportPrivateUsage] - documented, see rule 1
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from types import CoroutineType
from typing import Any, TypeAlias, cast

_Steps: TypeAlias = Coroutine[Any, Any, None] | Generator[Any, Any, None]


class Begun(Generator[Any, Any, None]):
    """What is left of a coroutine whose first step was taken.

    Args:
        steps: The steps that follow.
        first: What the first gave: what it waits for.
        is_over: Whether there was none, as the first raised, which ``steps`` tells.
    """

    __slots__ = ("_first", "_is_cancelled", "_is_taken", "_steps")

    def __init__(self, steps: _Steps, first: Any = None, *, is_over: bool = False) -> None:
        self._steps = steps
        self._first = first
        _mark_as_awaited(first, is_awaited=False)
        self._is_taken = is_over
        self._is_cancelled = False

    def __await__(self) -> Generator[Any, Any, None]:
        return self

    def send(self, value: Any, /) -> Any:
        if self._is_taken:
            return self._steps.send(value)
        first, self._first = self._first, None
        self._is_taken = True
        # As a task does that is cancelled: what it waits for is, and tells the coroutine; else the coroutine is told.
        if self._is_cancelled and not (asyncio.isfuture(first) and first.cancel()):
            return self._steps.throw(asyncio.CancelledError())
        _mark_as_awaited(first, is_awaited=True)
        return first

    def throw(self, *error: Any) -> Any:
        self._is_taken = True
        return self._steps.throw(*error)

    def cancel(self) -> bool:
        """Cancel it, before it is awaited; ``False`` if nothing is left to cancel."""
        if self._is_taken:
            return False
        self._is_cancelled = True
        return True


def begin(start: Callable[[], Awaitable[None]], task: asyncio.Task[None], context: Context) -> Begun | None:
    """Take the first step of what ``start`` gives; called in the loop of the task.

    Args:
        start: Called within the step; what it gives is awaited.
        task: The task, which waits.
        context: The context of the task.

    Returns:
        What is left for the task to await, once, even if it is nothing but an exception; ``None`` if nothing is.
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


def step(start: Callable[[], Awaitable[None]]) -> Begun | None:
    """Take the first step of what ``start`` gives, in the task that then awaits what is left; see ``begin``."""
    # The steps of other awaitables may be any iterator: a coroutine knows how to go on with each.
    try:
        begun = start()
        is_coroutine = isinstance(begun, CoroutineType)
        steps = cast("Coroutine[Any, Any, None]", begun) if is_coroutine else _awaiting(begun)
    except Exception as error:
        steps = _failing(error)
    try:
        first = steps.send(None)
    except StopIteration:
        return None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # which a task passes on to whoever waits for it, as this one then does
        return Begun(_failing(error), is_over=True)
    return Begun(steps, first)


async def _awaiting(awaitable: Awaitable[None]) -> None:
    await awaitable


def _mark_as_awaited(first: Any, *, is_awaited: bool) -> None:
    """Set what tells a task that a future was awaited, and not only yielded.

    Tasks take it back where they get the future. Left as it is, nobody else could await the same one meanwhile.
    """
    if asyncio.isfuture(first):
        first._asyncio_future_blocking = is_awaited  # noqa: SLF001


async def _failing(error: BaseException) -> None:
    raise error
