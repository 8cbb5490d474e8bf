"""From observables to ``async for`` and to synchronous code.

``await observable`` is reactivex' own: the last item, or the error.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Generic, Self, TypeVar

from reactivex import Observable

from rxllm.exceptions import BufferOverflowError, NoRunningLoopError, StreamInterruptedError
from rxllm.flow import Pauses, wake
from rxllm.operators._stage import Receiver

__all__ = ["Iteration", "iterate", "run"]

T = TypeVar("T")


def run(observable: Observable[T]) -> T:
    """Subscribe in a new event loop and return the last item: for scripts and synchronous code.

    Args:
        observable: What to run; sources that need a running loop find one.

    Returns:
        The last item.

    Raises:
        NoRunningLoopError: A loop runs in this thread already: ``await`` the observable there.
        SequenceContainsNoElementsError: There was no item (of ``reactivex.internal.exceptions``).
        Exception: What the observable failed with.

    Example:
        >>> import reactivex
        >>> run(reactivex.of(1, 2, 3))
        3
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_last(observable))
    raise NoRunningLoopError("an event loop runs in this thread already: await the observable instead")


async def _last(observable: Observable[T]) -> T:
    return await observable


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
    return Iteration(_Mailbox(observable, buffer_size))


class _Mailbox(Receiver[T]):
    """Where items wait. The chain refers to this and not to the iteration, whose end can thus be seen.

    Attributes:
        items: What waits.
        is_full: Whether producers are paused: then taking an item may resume them.
        waiter: What the consumer waits for.
    """

    def __init__(self, observable: Observable[T], size: int) -> None:
        self._observable = observable
        self._size = size
        self.items: deque[T] = deque()
        self._pauses = Pauses("iterate")
        self.is_full = False
        self.waiter: asyncio.Future[None] | None = None
        self._thread = 0
        self._ended = False
        self._error: Exception | None = None

    def on_next(self, value: T) -> None:
        if self._ended:
            return
        self.items.append(value)
        excess = len(self.items) - self._size
        if excess >= 0 and not self._hold(excess) and excess > 0:
            self.items.pop()
            self.close(
                BufferOverflowError(
                    f"{self._size} items wait and there is no producer to pause: "
                    "use rxllm sources, or bound the source with a lossy buffer_with_backpressure",
                    size=self._size,
                )
            )
        self._wake()

    def _hold(self, excess: int = 0) -> bool:
        self.is_full = True
        return self._pauses.hold(excess)

    def _release(self) -> None:
        self.is_full = False
        self._pauses.release()

    def on_batch(self, items: Sequence[T]) -> int:
        if self._ended:
            return 0
        # As many as there is room for: the last of them asks for the pause.
        room = max(0, self._size - len(self.items))
        batch = items[:room]
        self.items.extend(batch)
        if len(batch) == room:
            self._hold()
        self._wake()
        return len(batch)

    def on_error(self, error: Exception) -> None:
        if not self._ended:
            self._end(error)

    def on_completed(self) -> None:
        if not self._ended:
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        self._ended = True
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiter = self.waiter
        if waiter is None:
            return
        if threading.get_ident() == self._thread:
            wake(waiter)
        else:  # observables that are not ours may emit in threads
            waiter.get_loop().call_soon_threadsafe(wake, waiter)

    def start(self) -> None:
        if not self._thread:
            self._thread = threading.get_ident()
            self.follow(self._observable, None)

    def close(self, error: Exception | None) -> None:
        """Dispose; what is taken from here on ends with ``error``, after the items that wait."""
        self._end(error)
        self.dispose()
        self._release()

    def discard(self) -> None:
        self.close(self._error if self._ended else None)
        self.items.clear()

    def take(self) -> T:
        """The oldest item that waits; producers are resumed when half of them are taken."""
        item = self.items.popleft()
        if self.is_full and len(self.items) <= self._size // 2:
            self._release()
        return item

    def wait(self) -> asyncio.Future[None]:
        """What is done when there is an item, or the end.

        Raises:
            RuntimeError: Another task waits.
            StopAsyncIteration: It has ended.
            Exception: What it ended with.
        """
        if self.waiter is not None:
            raise RuntimeError("an iteration has one consumer: share() the observable and iterate over each branch")
        if self._ended:
            # Once raised it is over, as in a generator.
            error, self._error = self._error, None
            raise StopAsyncIteration if error is None else error
        self.waiter = waiter = asyncio.get_running_loop().create_future()
        # What came from another thread before the waiter was seen there has woken nobody.
        if self.items or self._ended:
            wake(waiter)
        return waiter


class Iteration(AsyncIterator[T], Generic[T]):
    """What ``iterate`` returns: an async iterator, and a context manager that disposes on exit."""

    def __init__(self, mailbox: _Mailbox[T]) -> None:
        self._mailbox = mailbox

    async def __aenter__(self) -> Self:
        self._mailbox.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        mailbox = self._mailbox
        # Nearly always one waits, and nobody need be resumed.
        if mailbox.items and not mailbox.is_full and mailbox.waiter is None:
            return mailbox.items.popleft()
        mailbox.start()
        while not mailbox.items or mailbox.waiter is not None:
            waiter = mailbox.wait()
            try:
                await waiter
            except asyncio.CancelledError:
                mailbox.close(StreamInterruptedError("the task that iterated was cancelled"))
                raise
            finally:
                mailbox.waiter = None
        return mailbox.take()

    async def aclose(self) -> None:
        """Dispose the subscription, and let the source close its connection."""
        self._mailbox.discard()
        # The source's task was cancelled; this is its turn to act on it.
        await asyncio.sleep(0)

    def __del__(self) -> None:
        self._mailbox.discard()
