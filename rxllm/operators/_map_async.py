"""``map_async``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable

from rxllm.exceptions import BufferOverflowError
from rxllm.flow import Pauses, disposable_in, outside_of_emissions, running_loop
from rxllm.operators._emission import Outlet
from rxllm.typing import OperatorFunction

__all__ = ["map_async"]

A = TypeVar("A")
B = TypeVar("B")


def map_async(
    mapper: Callable[[A], Awaitable[B]], *, max_concurrency: int = 1, ordered: bool = True
) -> OperatorFunction[A, B]:
    """Map each item with a coroutine function, so many at a time, and pause the producer meanwhile.

    ::

        source  --a-b-----|
                map_async(upper)
        result  --x-y-----|

        a="hel" b="lo" x="HEL" y="LO"

    An item occupies one of ``max_concurrency`` places from its arrival until its result was taken by the consumer;
    while none is free the producer is paused. This is the asynchronous boundary to use in a pipeline (``observe_on``
    has an unbounded queue). The end waits for the results. The first error, of the source or of ``mapper``, comes
    behind the results of the items before it (with ``ordered=False`` an error of ``mapper`` comes at once) and cancels
    the rest. On dispose all that runs is cancelled.

    Args:
        mapper: Called with each item, in order.
        max_concurrency: How many items are in work at most, at least 1.
        ordered: Whether results come in the order of the items, or as they are ready.

    Returns:
        An operator from ``A`` to ``B``.

    Raises:
        BufferOverflowError: As ``on_error``, like all but the last: no place is free, and nobody can be paused. Put
            ``buffer_with_backpressure`` in front to let some items wait.
        NoRunningLoopError: No event loop runs in this thread.
        Exception: What ``mapper`` raises.
        ValueError: At once: ``max_concurrency`` is less than 1.

    Example:
        >>> import asyncio, reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> async def upper(text):
        ...     await asyncio.sleep(0)
        ...     return text.upper()
        >>> rxllm.run(reactivex.of("hello").pipe(ops.map_async(upper)))
        'HELLO'

    See also:
        ``buffer_with_backpressure``, ``tee_to``
    """
    if max_concurrency < 1:
        raise ValueError(f"max_concurrency must be at least 1, not {max_concurrency}")

    def map_async_(source: Observable[A]) -> Observable[B]:
        def subscribe(observer: abc.ObserverBase[B], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            work = _Work(observer, mapper, max_concurrency, ordered, scheduler)
            return CompositeDisposable(
                source.subscribe(work.on_next, work.end, work.end, scheduler=scheduler),
                disposable_in(work.loop, work.dispose),
            )

        return Observable(subscribe)

    return map_async_


class _Work(Generic[A, B]):
    """The items in work: waiting for a place, running, or done and waiting for their turn to be emitted."""

    def __init__(
        self,
        observer: abc.ObserverBase[B],
        mapper: Callable[[A], Awaitable[B]],
        places: int,
        ordered: bool,  # noqa: FBT001 - passed on
        scheduler: abc.SchedulerBase | None,
    ) -> None:
        self._observer = observer
        self._mapper = mapper
        self._places = places
        self._ordered = ordered
        self.loop = running_loop("map_async")
        # The mapper is no part of the emission that brought the item: it must not pause that producer.
        self._context = outside_of_emissions()
        self._outlet = Outlet(observer, self._emit_results, scheduler)
        self._pauses = Pauses()
        self._waiting: deque[A] = deque()
        self._tasks: deque[asyncio.Task[B]] = deque()
        self._ready = 0  # unordered: how many of the tasks, from the first on, are known to be done
        self._ended = False
        self._error: Exception | None = None

    def on_next(self, item: A) -> None:
        if self._ended:
            return
        taken = len(self._tasks) + len(self._waiting) + 1
        excess = taken - self._places
        if excess >= 0 and not self._pauses.hold(excess) and excess > 0:
            self.end(
                BufferOverflowError(
                    f"{self._places} items are in work and there is no producer to pause: "
                    "put buffer_with_backpressure in front",
                    size=self._places,
                )
            )
            return
        self._waiting.append(item)
        self._start()

    def end(self, error: Exception | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        self._error = error
        self._emit_results()

    def dispose(self) -> None:
        self._ended = True
        self._outlet.dispose()
        self._waiting.clear()
        tasks, self._tasks = self._tasks, deque()
        for task in tasks:
            task.remove_done_callback(self._done)
            task.add_done_callback(_retrieve)
            task.cancel()
        self._pauses.release()

    def _start(self) -> None:
        while self._waiting and len(self._tasks) < self._places:
            # A context for each task: what a mapper sets in its own is not seen by the others.
            task = self.loop.create_task(self._run(self._waiting.popleft()), context=self._context.copy())
            self._tasks.append(task)
            task.add_done_callback(self._done, context=self._context)

    async def _run(self, item: A) -> B:
        return await self._mapper(item)

    def _done(self, task: asyncio.Task[B]) -> None:
        if task not in self._tasks:
            _retrieve(task)  # disposed in the same turn of the loop
            return
        if not self._ordered:
            # Whatever is ready goes to the front, in the order of becoming ready.
            self._tasks.remove(task)
            self._tasks.insert(self._ready, task)
            self._ready += 1
        self._emit_results()

    @property
    def _has_result(self) -> bool:
        """Whether the first task is done; unordered, only if it is there because it is done."""
        return bool(self._tasks) and (self._tasks[0].done() if self._ordered else self._ready > 0)

    def _emit_results(self) -> None:
        while self._has_result and self._outlet.open:
            task = self._tasks.popleft()
            self._ready -= not self._ordered
            if (error := _failure(task)) is not None:
                self.dispose()
                # Anything worse than an Exception has ended the loop before it came here.
                self._observer.on_error(cast(Exception, error))
                return
            self._outlet.emit(task.result())
            self._start()
            if not self._waiting and len(self._tasks) < self._places:
                self._pauses.release()
        if self._ended and not self._tasks and not self._waiting and not self._outlet.emitting:
            if self._error is None:
                self._observer.on_completed()
            else:
                self._observer.on_error(self._error)


def _failure(task: asyncio.Task[B]) -> BaseException | None:
    if task.cancelled():
        return RuntimeError("the task of map_async was cancelled by somebody else")
    return task.exception()


def _retrieve(task: asyncio.Task[B]) -> None:
    """Take note of the error of a task that nobody waits for any more, so that asyncio does not complain."""
    if not task.cancelled():
        task.exception()
