"""From an observable to a task: the last item, or all of them as they come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, NoReturn, Self, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxllm.exceptions import BufferOverflowError, EmptyStreamError, StreamInterruptedError
from rxllm.flow._backlog import Backlog
from rxllm.flow._batches import Receiver
from rxllm.flow._consumer import Consumer, consuming, tell
from rxllm.flow._control import current
from rxllm.flow._sink_writer import PATIENCE_SECONDS
from rxllm.flow._stopping import stopping
from rxllm.flow._stream import subscribe_to
from rxllm.flow._tasks import wake
from rxllm.flow._watching import WatchedQueue, watcher

T = TypeVar("T")


class Awaited(Receiver[T]):
    """The observer that a task waits for, in whatever thread it is told of items and the end.

    Attributes:
        called: What whoever looks at it calls it.
        waiter: What the task waits for.
        error: What it ended with.
        ended: Whether it has.
        stopped: Whether it was stopped.
    """

    called: str = "await"

    def __init__(self) -> None:
        self.waiter: asyncio.Future[None] | None = None
        self.ended: bool = False
        self.stopped: bool = False
        self.error: BaseException | None = None
        self._thread = 0
        self._finishing: set[asyncio.Task[None]] = set()

    @property
    def queue(self) -> WatchedQueue | None:
        """What waits for the task."""
        return None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or was left: what is kept by a task or a connection is not gone for that."""
        return self.ended or self._left

    def start(self, observable: Observable[T], scheduler: abc.SchedulerBase | None = None) -> None:
        """Subscribe, in the thread of the task, unless that has been done."""
        if not self._thread:
            self._thread = threading.get_ident()
            with consuming(self):
                if (who := watcher()) is not None:
                    who.on_consumer(self)
                subscribe_to(observable, self, scheduler)

    def on_error(self, error: Exception) -> None:
        self.end(error)

    def on_completed(self) -> None:
        self.stopped = stopping()
        self.end(None)

    def fail(self, error: BaseException) -> None:
        """Hear of an error that had no other way."""
        self.end(error)

    def outlives(self, task: asyncio.Task[None]) -> None:
        """Note a task that has something to finish when the pipeline is left."""
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def settle(self) -> None:
        """Leave the pipeline, as the task was cancelled, and wait for what sinks have to finish, a while at most."""
        self.dispose()
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=PATIENCE_SECONDS)

    def end(self, error: BaseException | None) -> None:
        """Note the end; the first one counts."""
        if not self.ended:
            self.ended = True
            self.error = error
            self.wake()

    def wake(self) -> None:
        """Let the task go on."""
        waiter = self.waiter
        if waiter is None:
            return
        if threading.get_ident() == self._thread:
            wake(waiter)
        else:  # observables that are not ours may emit in threads
            waiter.get_loop().call_soon_threadsafe(wake, waiter)

    @property
    def is_due(self) -> bool:
        """Whether there is something for the task."""
        return self.ended

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until there is something, or so long."""
        loop = asyncio.get_running_loop()
        self.waiter = waiter = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, wake, waiter)
        # What came from another thread before the waiter was seen there has woken nobody.
        if self.is_due:
            wake(waiter)
        try:
            await waiter
        finally:
            self.waiter = None
            if timer is not None:
                timer.cancel()


class LoopScheduler(AsyncIOScheduler):
    """The loop's, for what reactivex schedules in a pipeline that is awaited: an error of that is heard of, too."""

    def __init__(self, loop: asyncio.AbstractEventLoop, who: Consumer) -> None:
        super().__init__(loop)
        self._who = who

    def invoke_action(self, action: Any, state: Any = None) -> abc.DisposableBase:
        try:
            return super().invoke_action(action, state)
        except BaseException as error:
            tell(self._who, error)
            return Disposable()


class _Last(Awaited[T]):
    """Keeps the last item."""

    items: Sequence[T] = ()

    def on_batch(self, items: Sequence[T]) -> int:
        self.items = items[-1:]
        return len(items)


async def last_of(observable: Observable[T]) -> T:
    """The last item of an observable.

    Raises:
        EmptyStreamError: There was none.
        Exception: What the observable failed with.
    """
    last: _Last[T] = _Last()
    try:
        last.start(observable, LoopScheduler(asyncio.get_running_loop(), last))
        await last.wait()
    except asyncio.CancelledError:
        await last.settle()
        raise
    finally:
        last.dispose()
    # A connection that was made for this is kept for others, with the context in which that was.
    error, last.error = last.error, None
    if error is not None:
        last.items = ()  # and in no variable: a traceback shows those
        raise error
    items, last.items = last.items, ()
    if not items:
        raise EmptyStreamError("the stream ended without an item")
    return items[0]


class _Mailbox(Awaited[T]):
    """Where items wait. The chain refers to this and not to the iteration, whose end can thus be seen."""

    called = "async for"

    def __init__(self, size: int) -> None:
        super().__init__()
        self.backlog: Backlog[T] = Backlog(size, holder="async for")

    @property
    def queue(self) -> WatchedQueue:
        return self.backlog

    @property
    def is_due(self) -> bool:
        return self.ended or bool(self.backlog.items)

    def on_next(self, value: T) -> None:
        if self.ended:
            return
        try:
            self.backlog.push(value)
        except BufferOverflowError as error:
            self.close(error)
        if (flow := current()) is not None and flow.heavy:
            self.backlog.hold_until_empty()
        self.wake()

    def on_batch(self, items: Sequence[T]) -> int:
        if self.ended:
            return 0
        # As many as there is room for: the last of them asks for the pause.
        batch = items[: max(0, self.backlog.room)]
        self.backlog.extend(batch)
        if (flow := current()) is not None and flow.heavy:
            self.backlog.hold_until_empty()
        self.wake()
        return len(batch)

    def close(self, error: BaseException | None) -> None:
        """Dispose; what is taken from here on ends with ``error``, after the items that wait."""
        self.end(error)
        self.dispose()
        self.backlog.release()

    def discard(self) -> None:
        """Dispose, and forget what waits."""
        self.close(None)
        self.backlog.clear()


class Iteration(AsyncIterator[T], Generic[T]):
    """What ``iterate`` returns: an async iterator, and a context manager that disposes on exit.

    Args:
        observable: What to iterate over.
        buffer_size: How many items wait at most.
    """

    def __init__(self, observable: Observable[T], buffer_size: int = 64) -> None:
        self._observable = observable
        self._mailbox: _Mailbox[T] = _Mailbox(buffer_size)

    async def __aenter__(self) -> Self:
        self._mailbox.start(self._observable)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    def __iter__(self) -> NoReturn:
        raise TypeError("items come over time: write 'async for' within a coroutine, else rxllm.iterate_sync(stream)")

    @property
    def stopped(self) -> bool:
        """Whether the stream has ended because it was stopped (``operators.stop_when``)."""
        return self._mailbox.stopped

    async def __anext__(self) -> T:
        mailbox = self._mailbox
        backlog = mailbox.backlog
        # Nearly always one waits, and nobody need be resumed.
        if backlog.items and not backlog.pauses and mailbox.waiter is None:
            return backlog.items.popleft()
        mailbox.start(self._observable)
        while not backlog.items or mailbox.waiter is not None:
            self._require_more()
            try:
                await mailbox.wait()
            except asyncio.CancelledError:
                mailbox.close(StreamInterruptedError("the task that iterated was cancelled"))
                await mailbox.settle()
                raise
        item = backlog.take()
        backlog.relax()
        return item

    async def take_all(self) -> Sequence[T]:
        """All items that wait, one at least. They count as waiting until more are asked for.

        Raises:
            StopAsyncIteration: There are no more.
        """
        backlog = self._mailbox.backlog
        backlog.out = 0
        backlog.relax()
        first = await anext(self)
        items = (first, *backlog.take_all())
        backlog.out = len(items)
        return items

    def _require_more(self) -> None:
        """Raise what the stream ended with, if it has."""
        mailbox = self._mailbox
        if mailbox.waiter is not None:
            raise RuntimeError("an iteration has one consumer: share() the observable and iterate over each branch")
        if mailbox.ended:
            # Once raised it is over, as in a generator.
            error, mailbox.error = mailbox.error, None
            if isinstance(error, StopAsyncIteration):
                # As a generator does: raised, it would be taken for the end.
                raise RuntimeError("the stream failed with StopAsyncIteration") from error
            raise StopAsyncIteration if error is None else error

    async def aclose(self) -> None:
        """Dispose the subscription, and let the source close its connection."""
        self._mailbox.discard()
        # The source's task was cancelled; this is its turn to act on it.
        await asyncio.sleep(0)

    def __del__(self) -> None:
        self._mailbox.discard()
