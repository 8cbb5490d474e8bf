"""From observables to ``async for`` and to synchronous code.

``await stream`` gives the last item, or raises the error; ``async for item in stream`` iterates. These are for other
observables, and for a buffer of another size.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

from reactivex import Observable

from rxllm.exceptions import NoRunningLoopError
from rxllm.flow import Iteration, last_of

__all__ = ["iterate", "run"]

T = TypeVar("T")


def run(observable: Observable[T]) -> T:
    """Subscribe in a new event loop and return the last item: for scripts and synchronous code.

    Args:
        observable: What to run; sources that need a running loop find one.

    Returns:
        The last item.

    Raises:
        NoRunningLoopError: A loop runs in this thread already: ``await`` the observable there.
        EmptyStreamError: There was no item.
        Exception: What the observable failed with.

    Example:
        >>> import reactivex
        >>> run(reactivex.of(1, 2, 3))
        3
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(last_of(observable))
    raise NoRunningLoopError("an event loop runs in this thread already: await the observable instead")


def iterate(observable: Observable[T], *, buffer_size: int = 64) -> Iteration[T]:
    """Iterate over an observable with ``async for``, with backpressure.

    Subscribes at the first step. At most ``buffer_size`` items wait; when that many do, the producer is paused, and
    resumed when half of them are taken. Leaving the loop, by its end, ``break``, an exception or the cancellation of
    the task, disposes the subscription at once (in CPython; ``async with`` says so explicitly, and is certain
    where something else still holds the iteration)::

        async for chunk in rxllm.iterate(pipeline):
            ...

        async with rxllm.iterate(pipeline) as chunks:
            async for chunk in chunks:
                ...

    Args:
        observable: What to iterate over.
        buffer_size: How many items wait at most, at least 1.

    Returns:
        An async iterator that is an async context manager, too.

    Raises:
        ValueError: ``buffer_size`` is less than 1.
        BufferOverflowError: From the iteration: the buffer is full and the producer cannot be paused.
        RuntimeError: From the iteration: a second task asks for an item while one waits.

    Example:
        >>> import asyncio, reactivex
        >>> async def main():
        ...     return [number async for number in iterate(reactivex.of(1, 2, 3))]
        >>> asyncio.run(main())
        [1, 2, 3]
    """
    if buffer_size < 1:
        raise ValueError(f"buffer_size must be at least 1, not {buffer_size}")
    return Iteration(observable, buffer_size)
