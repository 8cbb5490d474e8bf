"""Who hears of an exception that has no way to go.

An exception of a consumer goes up through the calls that delivered to it, to the source, which fails the stream with
it. Once the end is under way that is too late: what is above has ended. Then the consumer of the whole pipeline is
told: the task that awaits it or iterates over it, or else whoever subscribed. A subscription is made within its
context, so each source and each operator finds it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

__all__ = ["Consumer", "Subscriber", "consumer", "consuming", "tell", "unheard"]


class Consumer(Protocol):
    """Who is told."""

    def fail(self, error: BaseException) -> None:
        """Hear of an error, unless the end was heard of."""
        ...

    def outlives(self, task: asyncio.Task[None]) -> None:
        """Hear of a task that has something to finish when the pipeline is left, as the writer of a sink has."""
        ...


_consumer: ContextVar[Consumer | None] = ContextVar("rxllm.consumer", default=None)
consumer: Callable[[], Consumer | None] = _consumer.get


@contextmanager
def consuming(who: Consumer) -> Generator[None]:
    """Make somebody the consumer of what is subscribed to within."""
    token = _consumer.set(who)
    try:
        yield
    finally:
        _consumer.reset(token)


def tell(who: Consumer | None, error: BaseException) -> None:
    """Tell the consumer of an error, or the event loop if there is none; what is no ``Exception`` is raised, too."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error  # which ends the loop
    if who is None:
        unheard(error)
    else:
        who.fail(error)
    if not isinstance(error, Exception):
        raise error


def unheard(error: BaseException) -> None:
    """Report an error that nobody listens for to the loop's exception handler; where no loop runs, raise it."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise error from None
    loop.call_exception_handler({"message": "a stream failed and nobody listens for its errors", "exception": error})


class Subscriber:
    """Whoever subscribed with callbacks or an observer.

    Args:
        on_error: The callback for errors, if there is one.
        observer: The observer whose it is; one that has stopped hears nothing.
    """

    __slots__ = ("__weakref__", "_observer", "_on_error")

    def __init__(self, on_error: Callable[[Exception], Any] | None, observer: object) -> None:
        self._on_error = on_error
        self._observer = observer

    def outlives(self, task: asyncio.Task[None]) -> None:
        """Nobody waits for that: to dispose is no waiting."""

    def fail(self, error: BaseException) -> None:
        """Call back, once; an error of the callback itself, or without one, nobody listens for."""
        on_error, self._on_error = self._on_error, None
        if on_error is None or not isinstance(error, Exception) or getattr(self._observer, "is_stopped", False):
            unheard(error)
        else:
            on_error(error)
