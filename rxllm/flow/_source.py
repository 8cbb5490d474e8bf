"""A source is a task that emits.

Rules:

1. One subscription, one task, one ``FlowControl``, current for as long as the task runs.
2. Nothing is emitted or read while somebody holds a pause; what has arrived waits in the task, its end behind it.
3. Every ``ITEMS_PER_TURN`` items and every ``BYTES_PER_TURN`` bytes the event loop gets a turn, however much data is
   there: bytes that become no item take time, too.
4. Dispose cancels the task, from any thread; nothing is emitted after that.
5. An exception of the task goes on as ``on_error``. So does one raised below ``on_next``: an observer that
   throws must end the stream, or whoever awaits it would wait for ever.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextvars import copy_context
from typing import Generic, TypeGuard, TypeVar, cast

from reactivex import abc

from rxllm.exceptions import StreamInterruptedError, attach_stream
from rxllm.flow._batches import batching, end
from rxllm.flow._consumer import consumer, tell
from rxllm.flow._control import FlowControl
from rxllm.flow._sources_above import announce
from rxllm.flow._stream import Stream
from rxllm.flow._tasks import running_loop, start_task
from rxllm.flow._watching import watcher

T = TypeVar("T")

# How many items at most go in one call, and after how many the loop gets a turn: what waits for a task below, such as
# the writer of tee_to, waits until then.
ITEMS_AT_A_TIME = 64
ITEMS_PER_TURN = 40
BYTES_PER_TURN = 16 * 1024

# The event loop itself keeps only weak references to tasks.
_running: set[asyncio.Task[None]] = set()


class Emitter(abc.DisposableBase, Generic[T]):
    """What the coroutine of a source emits through.

    Attributes:
        count: How many items have been emitted.
        delivering: Whether the task calls its observer, and looks afterwards whether it was disposed.
        flow: What consumers pause.
        scheduler: The scheduler of the subscription, if it has one. Input and output live by the event loop; what only
            waits may go by this.
        takes_texts: Whether the observer takes the text of an event for the event.
        task: The task in which the coroutine runs.
    """

    __slots__ = (
        *("__weakref__", "_bytes", "_consumer", "_disposed", "_observer", "_thread", "_turn"),
        *("count", "delivering", "flow", "scheduler", "takes_texts", "task"),
    )

    task: asyncio.Task[None] | None

    def __init__(
        self, observer: abc.ObserverBase[T], flow: FlowControl, scheduler: abc.SchedulerBase | None = None
    ) -> None:
        self._observer = batching(observer)
        self.takes_texts: bool = self._observer.takes_texts
        self._turn = 0
        self._bytes = 0
        self._thread = threading.get_ident()
        self._disposed = False
        self.count: int = 0
        self.delivering: bool = False
        self.flow = flow
        self.scheduler = scheduler
        self._consumer = consumer()

    async def ready(self) -> None:
        """Wait until nobody holds a pause: before reading on."""
        if self.flow.paused:
            await self.flow.wait_resumed()
            self._turn = self._bytes = 0

    async def breathe(self, size: int = BYTES_PER_TURN) -> None:
        """Give the event loop a turn if enough was read since the last one, where nothing is emitted.

        Args:
            size: How many bytes were read.
        """
        self._bytes += size
        if self._bytes >= BYTES_PER_TURN:
            await self._give_turn()

    async def emit(self, items: Iterable[T], size: int = 0) -> None:
        """Emit the items in order, pausing between two of them when somebody asks for it.

        Args:
            items: The items.
            size: How many bytes they were made of.
        """
        if self._disposed:
            await self._leave()
        self._bytes += size
        self.delivering = True
        try:
            if _is_batch(items):
                await self._emit_in_batches(items)
                items = ()
            for item in items:
                if self.flow.paused:
                    await self.ready()
                self.count += 1
                try:
                    self._observer.on_next(item)
                except BaseException as error:
                    self._tell_if_left(error)
                    raise
                self._turn += 1
                if self._disposed or self._turn >= ITEMS_PER_TURN:
                    await self._give_turn()
            if self._bytes >= BYTES_PER_TURN:
                await self._give_turn()
        finally:
            self.delivering = False

    def _tell_if_left(self, error: BaseException) -> None:
        """Tell the consumer what it raised if the stream was ended in the same call, by take for example."""
        if self._disposed:
            tell(self._consumer, error)

    async def _emit_in_batches(self, items: list[T]) -> None:
        done = 0
        while done < len(items):
            await self.ready()
            # The first does not wait for those that came with it to be decoded.
            batch = items[done : done + min(self.count + 1, ITEMS_AT_A_TIME)]
            try:
                taken = self._observer.on_batch(batch)
            except BaseException as error:
                self._tell_if_left(error)
                raise
            if not taken and not self.flow.paused:
                taken = len(batch)  # whoever listened does no more, and wants none of them
            self.count += taken
            done += taken
            self._turn += taken
            if self._disposed or self._turn >= ITEMS_PER_TURN:
                await self._give_turn()

    async def _give_turn(self) -> None:
        if self._disposed:
            await self._leave()
        self._turn = self._bytes = 0
        await asyncio.sleep(0)

    async def _leave(self) -> None:
        """End the task: nobody listens."""
        if self.task is not None and self.task.cancelling():
            await asyncio.sleep(0)  # the cancellation takes effect here, unless what we read from has swallowed it
        raise asyncio.CancelledError

    def end(self, error: Exception | None = None) -> None:
        """Pass the end on, which is no emission."""
        self.flow.leave()
        self.delivering = True
        who = self._consumer
        try:
            end(self._observer, error)
        except BaseException as failure:
            tell(who, failure)

    def dispose(self) -> None:
        """Emit nothing more; from any thread, and when the loop is gone."""
        task = self.task
        if task is None or (loop := task.get_loop()).is_closed():
            self._disposed = True
        elif threading.get_ident() == self._thread:
            self._leave_at_once()
        else:
            loop.call_soon_threadsafe(self._leave_at_once)

    def _leave_at_once(self) -> None:
        # From within an emission of its own the task leaves by itself, in the same turn.
        self._disposed = True
        task = self.task
        if task is not None and not (self.delivering and asyncio.current_task(task.get_loop()) is task):
            task.cancel()

    def ended(self, task: asyncio.Task[None]) -> None:
        """Let nobody wait for a task that is gone.

        Ended or disposed, it reaches no one. Cancelled by somebody else, even before its first step: whoever waits for
        the stream has to learn that it will not go on.
        """
        _running.discard(task)
        failure = StreamInterruptedError("the task of the source was cancelled", events=self.count)
        failure.retryable = False  # whoever cancels all tasks, as the end of a loop does, wants no more of them
        self._observer.on_error(failure)
        # An error keeps its traceback, which keeps this, and is kept by the task if it was cancelled, or by an operator
        # that passed it on: a circle for the garbage collector.
        self.task = self._consumer = None
        del self._observer


def _is_batch(items: Iterable[T]) -> TypeGuard[list[T]]:
    """Whether these are several, all of them there: an iterable of another class may raise midway, or never end."""
    return type(items) is list and len(cast("list[T]", items)) > 1


def task_source(produce: Callable[[Emitter[T]], Awaitable[None]]) -> Stream[T]:
    """Make a cold stream of a coroutine function: each subscription is a task; returning completes, raising fails."""
    return Stream(begin_source, produce)


def begin_source(
    observer: abc.ObserverBase[T],
    scheduler: abc.SchedulerBase | None,
    produce: Callable[[Emitter[T]], Awaitable[None]],
) -> abc.DisposableBase:
    """What a ``Stream`` of such a function calls for each subscription."""
    loop = running_loop("a source")
    emitter = Emitter(observer, FlowControl(), scheduler)
    announce(emitter.flow)
    context = copy_context()
    emitter.task = task = start_task(loop, _drive(produce, emitter), context)
    _running.add(task)
    task.add_done_callback(emitter.ended, context=context)
    if (who := watcher()) is not None:
        who.on_source(emitter, produce)
    return emitter


async def _drive(produce: Callable[[Emitter[T]], Awaitable[None]], emitter: Emitter[T]) -> None:
    emitter.flow.enter()
    try:
        await produce(emitter)
        await emitter.ready()
    except Exception as error:
        # The end waits behind a pause, too: a retry would read on without end.
        await emitter.ready()
        secrets = emitter.flow.secrets
        attach_stream(error, emitter.flow.stream)
        emitter.end(error if secrets is None else secrets.scrub_error(error))
    else:
        emitter.end()
    finally:
        emitter.flow.leave()
