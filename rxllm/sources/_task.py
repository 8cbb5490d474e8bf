"""A source is a task that emits.

Rules:

1. One subscription, one task, one ``FlowControl``, current for as long as the task runs.
2. Nothing is emitted or read while somebody holds a pause; what has arrived waits in the task, its end behind it.
3. Every ``ITEMS_PER_TURN`` items the event loop gets a turn, however much data is there.
4. Dispose cancels the task, from any thread; nothing is emitted after that.
5. An exception of the task goes on as ``on_error``. So does one raised below ``on_next``: an observer that
   throws must end the stream, or whoever awaits it would wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeGuard, TypeVar, cast

from reactivex import Observable, abc

from rxllm.exceptions import StreamInterruptedError
from rxllm.flow import FlowControl, disposable_in, outside_of_emissions, running_loop
from rxllm.operators._stage import Stage, on_batch_of

__all__ = ["Emitter", "task_source"]

T = TypeVar("T")

# What waits for a task below, such as the writer of tee_to, waits until the loop gets a turn. More than 700 objects in
# one go make the garbage collector look at them, and a chunk that is read is a dozen: with 64 chunks a turn it took 3.3
# of the 10.8 µs of a chunk, with 40 nothing of 7.2.
ITEMS_PER_TURN = 40

# The event loop itself keeps only weak references to tasks.
_running: set[asyncio.Task[None]] = set()


class Emitter(Generic[T]):
    """What the coroutine of a source emits through.

    Attributes:
        count: How many items have been emitted.
    """

    __slots__ = ("_disposed", "_flow", "_on_batch", "_on_next", "_turn", "count")

    def __init__(self, observer: abc.ObserverBase[T], flow: FlowControl) -> None:
        self._on_next = observer.on_next
        self._on_batch = on_batch_of(observer)
        self._flow = flow
        self._turn = 0
        self._disposed = False
        self.count = 0

    async def ready(self) -> None:
        """Wait until nobody holds a pause: before reading on."""
        if self._flow.paused:
            await self._flow.wait_resumed()
            self._turn = 0

    async def emit(self, items: Iterable[T]) -> None:
        """Emit the items, one at a time, pausing between them when somebody asks for it."""
        self._end_if_disposed()
        if _is_batch(items):
            await self._emit_in_batches(items)
            return
        for item in items:
            if self._flow.paused:
                await self._flow.wait_resumed()
                self._turn = 0
            self.count += 1
            self._on_next(item)
            self._turn += 1
            # A turn of the loop is also where the cancellation of a dispose from within on_next takes effect.
            if self._disposed or self._turn >= ITEMS_PER_TURN:
                self._turn = 0
                await asyncio.sleep(0)

    async def _emit_in_batches(self, items: list[T]) -> None:
        done = 0
        while done < len(items):
            await self.ready()
            self._end_if_disposed()
            batch = items[done : done + ITEMS_PER_TURN - self._turn]
            taken = self._on_batch(batch)
            if taken < len(batch) and not self._flow.paused:
                taken = len(batch)  # whoever listened does no more, and wants none of them
            self.count += taken
            done += taken
            self._turn += taken
            if self._disposed or self._turn >= ITEMS_PER_TURN:
                self._turn = 0
                await asyncio.sleep(0)

    def _end_if_disposed(self) -> None:
        # The cancellation was swallowed by what we read from. Nobody listens: it ends here.
        if self._disposed:
            raise asyncio.CancelledError

    def dispose(self) -> None:
        """Emit nothing more; the task has been cancelled."""
        self._disposed = True


def _is_batch(items: Iterable[T]) -> TypeGuard[list[T]]:
    """Whether these are several, all of them there: an iterable of another class may raise midway, or never end."""
    return type(items) is list and len(cast("list[T]", items)) > 1


def task_source(produce: Callable[[Emitter[T]], Awaitable[None]]) -> Observable[T]:
    """Make a cold observable of a coroutine function: returning completes it, raising fails it."""

    def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        del scheduler  # A source of real input and output lives by its event loop.
        loop = running_loop("a source")
        flow = FlowControl(clock=loop.time)
        emitter = Emitter(observer, flow)
        task = loop.create_task(_drive(produce, emitter, observer, flow))
        _running.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            _running.discard(task)
            # Ended or disposed: nobody listens, and this reaches no one. Cancelled by somebody else, even before its
            # first step: whoever waits for the stream has to learn that it will not go on.
            observer.on_error(StreamInterruptedError("the task of the source was cancelled", events=emitter.count))

        task.add_done_callback(ended, context=outside_of_emissions())

        def dispose() -> None:
            emitter.dispose()
            task.cancel()

        return disposable_in(loop, dispose)

    return Stage(subscribe)


async def _drive(
    produce: Callable[[Emitter[T]], Awaitable[None]],
    emitter: Emitter[T],
    observer: abc.ObserverBase[T],
    flow: FlowControl,
) -> None:
    flow.enter()
    try:
        await produce(emitter)
        await emitter.ready()
    except Exception as error:  # noqa: BLE001 - rule 5
        # The end waits behind a pause, too: a retry would read on without end.
        await emitter.ready()
        flow.leave()
        observer.on_error(error)
    else:
        flow.leave()
        observer.on_completed()
