"""From observables to ``async for`` and to synchronous code.

``await stream`` gives the last item, or raises the error; ``async for item in stream`` iterates. These are for other
observables, for a buffer of another size, and for code without ``async``.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from reactivex import Observable

from rxllm.exceptions import NoRunningLoopError
from rxllm.flow import Iteration, check_count, last_of, outside_of_emissions

__all__ = ["SyncIteration", "iterate", "iterate_sync", "run"]

T = TypeVar("T")


def run(observable: Observable[T] | Coroutine[Any, Any, T]) -> T:
    """Subscribe in a new event loop and return the last item: for scripts and synchronous code.

    Ctrl-C leaves the pipeline: the connection is closed, and sinks write what has come.

    Args:
        observable: What to run: an observable, or a coroutine such as that of ``LLMClient.chat``.

    Returns:
        The last item.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed, and the pipeline has been left. Its traceback does not show what
            ran in the loop at that moment.
        NoRunningLoopError: A loop runs in this thread already: ``await`` the observable there.
        EmptyStreamError: There was no item.
        TypeError: It is neither an observable nor a coroutine.
        Exception: What the observable failed with.

    Example:
        >>> import reactivex
        >>> run(reactivex.of(1, 2, 3))
        3
    """
    if isinstance(observable, Observable):
        coming: Coroutine[Any, Any, T] = last_of(observable)
    elif inspect.iscoroutine(observable):
        coming = observable
    else:
        raise _no_observable(observable, "run")
    if _has_loop():
        coming.close()
        raise NoRunningLoopError("an event loop runs in this thread already: write 'await' instead of rxllm.run()")
    try:
        return asyncio.run(coming)
    except KeyboardInterrupt as interrupt:
        # The loop makes it of the cancellation of the task, whose traceback tells nobody anything. One that somebody
        # raised within is passed on as it is.
        if not isinstance(interrupt.__context__, asyncio.CancelledError):
            raise
    finally:
        coming.close()  # which may have been stopped before it began
    raise KeyboardInterrupt


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
        An async iterator, which is an async context manager, too.

    Raises:
        ValueError: ``buffer_size`` is less than 1.
        TypeError: It is not a whole number, or ``observable`` is none.
        BufferOverflowError: From the iteration: the buffer is full and the producer cannot be paused.
        RuntimeError: From the iteration: a second task asks for an item while one waits.

    Example:
        >>> import asyncio, reactivex
        >>> async def main():
        ...     return [number async for number in iterate(reactivex.of(1, 2, 3))]
        >>> asyncio.run(main())
        [1, 2, 3]
    """
    _require_observable(observable, "iterate")
    check_count("buffer_size", buffer_size)
    return Iteration(observable, buffer_size)


def iterate_sync(observable: Observable[T], *, buffer_size: int = 64) -> SyncIteration[T]:
    """Iterate over an observable with a plain ``for``, with backpressure: for code without ``async``.

    Subscribes at the first step, in an event loop in a thread of its own. At most ``buffer_size`` items wait, those
    that the ``for`` has not taken yet included; when that many do, the producer is paused. Leaving the loop, by its
    end, ``break`` or an exception, closes the connection and ends the thread (in CPython; ``with`` says so explicitly,
    and is certain where something else still holds the iteration)::

        for chunk in rxllm.iterate_sync(pipeline):
            ...

        with rxllm.iterate_sync(pipeline) as chunks:
            for chunk in chunks:
                ...

    Args:
        observable: What to iterate over. An ``LLMClient`` for it is used without ``async with``: each stream then has a
            session of its own.
        buffer_size: How many items wait at most, at least 1.

    Returns:
        An iterator that is a context manager, too.

    Raises:
        NoRunningLoopError: A loop runs in this thread: write ``async for`` there.
        ValueError: ``buffer_size`` is less than 1.
        TypeError: It is not a whole number, or ``observable`` is none.
        Exception: From the iteration: what the observable fails with, behind the items that came before.

    Example:
        >>> import reactivex
        >>> [number for number in iterate_sync(reactivex.of(1, 2, 3))]
        [1, 2, 3]
    """
    _require_observable(observable, "iterate_sync")
    check_count("buffer_size", buffer_size)
    _require_no_loop()
    return SyncIteration(observable, buffer_size)


class SyncIteration(Iterator[T], Generic[T]):
    """What ``iterate_sync`` returns: an iterator, and a context manager that closes on exit.

    Args:
        observable: What to iterate over.
        buffer_size: How many items wait at most.
    """

    def __init__(self, observable: Observable[T], buffer_size: int = 64) -> None:
        self._items: Iterator[T] = iter(())
        # The thread refers to the host only, so that the end of this can be seen.
        self._host: _Host[T] = _Host(Iteration(observable, buffer_size))
        self._finalize = weakref.finalize(self, self._host.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        for item in self._items:
            return item
        try:
            self._items = iter(self._host.take())
            return next(self._items)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the stream, close its connection and end the thread. What was not taken is forgotten."""
        self._items = iter(())
        self._finalize.detach()
        self._host.close()


class _Host(Generic[T]):
    """An event loop in a thread, in which an iteration lives."""

    def __init__(self, iteration: Iteration[T]) -> None:
        self._iteration = iteration
        self._started: Future[Callable[[], None]] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._serve, name="rxllm-iterate", daemon=True)
        self._closed = threading.Event()

    def take(self) -> Sequence[T]:
        """The items that wait, one at least; none at the end."""
        if self._closed.is_set():
            return ()
        _require_no_loop()
        if self._loop is None:
            self._thread.start()
            self._started.result()
        # What is asked for here is no part of an emission in this thread, whose producer it might pause.
        items = outside_of_emissions().run(self._ask).result()
        return () if self._closed.is_set() else items

    def close(self) -> None:
        """Leave, and wait for the thread; from whichever thread lets go of the iteration."""
        self._closed.set()
        if self._loop is None or not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._started.result())
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _ask(self) -> Future[Sequence[T]]:
        assert self._loop is not None  # noqa: S101 - for type checkers
        return asyncio.run_coroutine_threadsafe(self._next(), self._loop)

    async def _next(self) -> Sequence[T]:
        try:
            return await self._iteration.take_all()
        except StopAsyncIteration:
            return ()

    def _serve(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        leave = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._started.set_result(leave.set)
        await leave.wait()
        await self._iteration.aclose()


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _require_no_loop() -> None:
    """Check that no loop runs in this thread: it would stand still while somebody waits for an item.

    Raises:
        NoRunningLoopError: One does.
    """
    if _has_loop():
        raise NoRunningLoopError(
            "an event loop runs in this thread, and would stand still: write 'async for' instead of 'for', "
            "and leave out rxllm.iterate_sync()"
        )


def _require_observable(value: object, name: str) -> None:
    """Check what is to be consumed.

    Raises:
        TypeError: It is not an observable.
    """
    if not isinstance(value, Observable):
        raise _no_observable(value, name)


def _no_observable(value: object, name: str) -> TypeError:
    """The error about something that is none."""
    kind, advice = type(value).__name__, ""
    if inspect.iscoroutine(value):
        value.close()  # nobody awaits it
        advice = ": 'await' it"
    elif hasattr(value, "__aiter__"):
        advice = ": rxllm.from_async_iterable() makes one of it"
    elif inspect.isroutine(value):
        advice = ": call it"
    return TypeError(f"{name}() takes an observable, not {kind}{advice}")
