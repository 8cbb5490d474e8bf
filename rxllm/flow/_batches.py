"""How items pass from one of our operators to the next: as many at a time as came at a time.

A read from a network brings many events. Handed on one by one they cost a call in each operator; handed on together,
one call in each operator for all of them.

Rules:

1. To everybody else a ``Stream`` is an ordinary observable, and a ``Receiver`` an ordinary observer.
2. ``on_batch`` takes items from the front until the consumer asks for a pause or leaves, and says how many it took.
   Whoever called it keeps the rest, and offers it again unless none was taken and nobody asked for a pause. So nothing
   is delivered while somebody holds a pause, as if items came singly.
3. A batch is part of a flow-controlled emission.

Handed on one by one, the chunks of a full read cost half as much again (the items of ``tests/benchmarks``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from reactivex import abc
from reactivex.observer import AutoDetachObserver

from rxllm.flow._control import FlowControl

T = TypeVar("T")


class BatchObserver(abc.ObserverBase[T]):
    """An observer that takes batches, too.

    Attributes:
        takes_texts: Whether it takes the text of an event for the event, so that none need be made.
    """

    __slots__ = ()

    @property
    def takes_texts(self) -> bool:
        return False

    @abstractmethod
    def on_batch(self, items: Sequence[T]) -> int:
        """Take items from the front until the consumer asks for a pause or leaves.

        Args:
            items: At least one.

        Returns:
            How many were taken.
        """


class Receiver(BatchObserver[T], abc.DisposableBase):
    """The observer of one of our operators. It is the subscription of that operator, too."""

    _upstream: abc.DisposableBase | None = None
    _left = False

    def on_next(self, value: T) -> None:
        self.on_batch((value,))

    def follow(self, upstream: abc.DisposableBase) -> abc.DisposableBase:
        """Be the subscription to what is above; returns what ends both."""
        self._upstream = upstream
        if self._left:
            # While it subscribed, or in another thread, which did not see the subscription.
            self.leave()
        return self

    def leave(self) -> None:
        """Take no more from what is above; from any thread, any number of times."""
        self._left = True
        # What refers to each other is left to the garbage collector, and there are many of these.
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.dispose()

    def dispose(self) -> None:
        """Leave what is above, and forget what is held."""
        self.leave()


class Link(BatchObserver[T], abc.DisposableBase):
    """What stands between two of our operators: after the end and after dispose it lets nothing through.

    As ``AutoDetachObserver`` does, but with one object instead of six, and without locks: what is disposed twice by two
    threads at once takes no harm.
    """

    __slots__ = ("_receiver", "is_stopped", "upstream")

    def __init__(self, receiver: BatchObserver[T]) -> None:
        self._receiver: BatchObserver[T] = receiver
        self.is_stopped: bool = False
        self.upstream: abc.DisposableBase | None = None

    @property
    def takes_texts(self) -> bool:
        return self._receiver.takes_texts

    def on_next(self, value: T) -> None:
        if not self.is_stopped:
            self._receiver.on_next(value)

    def on_batch(self, items: Sequence[T]) -> int:
        return 0 if self.is_stopped else self._receiver.on_batch(items)

    def on_error(self, error: Exception) -> None:
        if self.is_stopped:
            return
        self.is_stopped = True
        try:
            self._receiver.on_error(error)
        finally:
            self.dispose()

    def on_completed(self) -> None:
        if self.is_stopped:
            return
        self.is_stopped = True
        try:
            self._receiver.on_completed()
        finally:
            self.dispose()

    def dispose(self) -> None:
        self.is_stopped = True
        # Whoever is above may be kept by the traceback of an error, and that by whoever is below.
        self._receiver = _NOBODY
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.dispose()


class Singly(BatchObserver[T]):
    """Takes a batch for an observer that knows of none: what reactivex hands to whoever subscribes for it."""

    __slots__ = ("_observer",)

    def __init__(self, observer: AutoDetachObserver[T]) -> None:
        self._observer = observer

    def on_next(self, value: T) -> None:
        self._observer.on_next(value)

    def on_batch(self, items: Sequence[T]) -> int:
        observer = self._observer
        return each(observer.on_next, items, lambda: observer.is_stopped)

    def on_error(self, error: Exception) -> None:
        self._observer.on_error(error)

    def on_completed(self) -> None:
        self._observer.on_completed()


_stopped: AutoDetachObserver[Any] = AutoDetachObserver()
_stopped.dispose()
# Takes nothing: what another thread delivers while this one leaves.
_NOBODY = Singly(_stopped)


def batching(observer: abc.ObserverBase[T]) -> BatchObserver[T]:
    """The observer, as one that takes batches."""
    return observer if isinstance(observer, Link) else Singly(cast("AutoDetachObserver[T]", observer))


def nothing(*_: object) -> None:
    """What is called after the end; who is not referred to is freed without the garbage collector."""


def end(observer: abc.ObserverBase[Any], error: Exception | None) -> None:
    """Complete it, or fail."""
    if error is None:
        observer.on_completed()
    else:
        observer.on_error(error)


def each(on_next: Callable[[T], None], items: Sequence[T], ended: Callable[[], bool]) -> int:
    """Deliver items one by one, until somebody asks for a pause or ``ended`` says so; returns how many."""
    flow = FlowControl.current()
    for count, item in enumerate(items, 1):
        on_next(item)
        if (flow is not None and flow.paused) or ended():
            return count
    return len(items)
