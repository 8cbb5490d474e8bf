"""``map_async``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from reactivex import abc

from rxllm.flow import (
    Backlog,
    FanOut,
    LoopDisposable,
    Operation,
    check_callable,
    check_count,
    operate,
    outside_of_emissions,
    running_loop,
    start_task,
)
from rxllm.typing import OperatorFunction

A = TypeVar("A")
B = TypeVar("B")


def map_async(
    mapper: Callable[[A], Awaitable[B]], *, max_concurrency: int = 1, ordered: bool = True
) -> OperatorFunction[A, B]:
    """Map items with a coroutine function, several at a time, and pause the producer when no more can run.

    ::

        source   --a-b-----|
                 map_async(upper)
        waiting  --1-----0
        result   -----x--y-|

        a="hel" b="lo" x="HEL" y="LO"

    An item occupies one of ``max_concurrency`` places from its arrival until the consumer has taken its result. While
    no place is free, the producer is paused. This is the asynchronous boundary to use in a pipeline (``observe_on`` has
    an unbounded queue). The end waits for the results. The first error, of the source or of ``mapper``, comes after the
    results of the items before it, and cancels the rest. With ``ordered=False``, an error of ``mapper`` comes at once.
    On dispose all running coroutines are cancelled.

    In this diagram two run at a time, and each takes three frames::

        source   --abcd---|
                 map_async(upper, max_concurrency=2)
        waiting  --12----10
        result   -----wx-y(z|)

        a="hel" b="lo, " c="dear" d="!" w="HEL" x="LO, " y="DEAR" z="!"

    Args:
        mapper: Called with each item, in order.
        max_concurrency: How many coroutines may run at a time, at least 1.
        ordered: Whether results come in the order of the items; else each comes as soon as it is ready.

    Returns:
        An operator from ``A`` to ``B``.

    Raises:
        BufferOverflowError: As ``on_error``: no place is free, and the producer cannot be paused. Put
            ``buffer_with_backpressure`` before it, to let some items wait.
        NoRunningLoopError: As ``on_error``: no event loop runs in this thread.
        Exception: As ``on_error``: what ``mapper`` raises.
        ValueError: At once: ``max_concurrency`` is less than 1.
        TypeError: At once: ``mapper`` is not a function, or ``max_concurrency`` not a whole number. As ``on_error``:
            ``mapper`` returned a value that cannot be awaited.

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
    check_callable("mapper", mapper)
    check_count("max_concurrency", max_concurrency)

    return operate(MapAsync, mapper, max_concurrency, ordered)


class MapAsync(Operation[A, B]):
    """One subscription; the queue that its results are emitted from as well.

    An item waits for a place, is in work, or is done and waits for its turn to be emitted.
    """

    def __init__(
        self,
        out: FanOut[B],
        mapper: Callable[[A], Awaitable[B]],
        places: int,
        ordered: bool,  # noqa: FBT001 - passed on
    ) -> None:
        super().__init__(out)
        self._mapper = self.works_with = mapper
        self._places = places
        self._ordered = ordered
        self._loop = running_loop("map_async")
        # The mapper is no part of the emission that brought the item: it must not pause that producer. Each task has a
        # copy of this: what a mapper sets in its own is not seen by the others. Results are emitted in another context,
        # which is not copied, as producers that a result lets go on become current in it.
        self._outside = outside_of_emissions()
        self._context = self._outside.copy()
        # Those in work count as waiting. A place is free as soon as a result was taken.
        self._waiting: Backlog[A] = Backlog(places, holder="map_async", resume_at=places - 1)
        self._calls: deque[_Call[B]] = deque()
        self._ready = 0  # unordered: how many of the calls, from the first on, are done
        out.hold(self)

    def follow(self, upstream: abc.DisposableBase) -> abc.DisposableBase:
        return LoopDisposable(self._loop, super().follow(upstream).dispose)

    def on_item(self, item: A, /) -> Iterable[B]:
        waiting = self._waiting
        if waiting.items or len(self._calls) >= self._places:
            waiting.push(item)
        else:
            self._begin(item)
            waiting.skip()
        return ()

    def on_dispose(self) -> None:
        calls = tuple(self._calls)
        self._calls.clear()
        for call in calls:
            call.task.remove_done_callback(self._task_ended)
            call.task.cancel()
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._calls) + len(self._waiting.items)

    @property
    def ready(self) -> bool:
        return bool(self._calls) and self._calls[0].done

    def take(self) -> B:
        call = self._calls.popleft()
        self._ready -= not self._ordered
        if call.error is None:
            return call.result
        self.on_dispose()
        try:
            raise call.error
        finally:
            del call  # which has the error, whose traceback keeps this frame: a circle for the garbage collector

    def relax(self) -> None:
        waiting = self._waiting
        waiting.out -= 1
        while waiting.items and len(self._calls) < self._places:
            self._begin(waiting.take())
            waiting.out += 1
        waiting.relax()

    def _begin(self, item: A) -> None:
        call: _Call[B] = _Call()
        call.task = start_task(self._loop, self._run(call, item), self._outside.copy())
        self._calls.append(call)
        call.task.add_done_callback(self._task_ended, context=self._context)

    async def _run(self, call: _Call[B], item: A) -> None:
        try:
            call.result = await _required(self._mapper(item))
        except Exception as error:
            call.error = error
        # The callback is for tasks that do not come here. It comes a turn of the loop later: 2 µs in 12.
        if call.task.remove_done_callback(self._task_ended):
            self._context.run(self._done, call)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """A task has ended without having come to its end."""
        # What is worse than an Exception has ended the loop, which shall not be told that nobody took note.
        cause = None if task.cancelled() else task.exception()
        call = next((call for call in self._calls if call.task is task), None)
        if call is None:
            return  # disposed in the same turn of the loop
        call.error = RuntimeError("the task of map_async was cancelled by somebody else")
        call.error.__cause__ = cause
        self._done(call)

    def _done(self, call: _Call[B]) -> None:
        call.done = True
        if not self._ordered:
            # Whatever is ready goes to the front, in the order of becoming ready.
            self._calls.remove(call)
            self._calls.insert(self._ready, call)
            self._ready += 1
        self.out.drain()


def _required(coming: Awaitable[B]) -> Awaitable[B]:
    if hasattr(coming, "__await__"):
        return coming
    raise TypeError(
        f"map_async() takes a coroutine function, and this one gave {type(coming).__name__}: write it with 'async "
        "def', or use map() of reactivex.operators"
    )


class _Call(Generic[B]):
    """An item in work, or its result that waits for its turn."""

    __slots__ = ("done", "error", "result", "task")

    task: asyncio.Task[None]
    result: B

    def __init__(self) -> None:
        self.done = False
        self.error: Exception | None = None
