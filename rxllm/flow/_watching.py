"""Who hears of everything that is subscribed to, while somebody looks at the streams of the process.

Rules:

1. Where nobody looks, a subscription looks at one name, and an item at nothing.
2. A watcher hears of a part when it begins. It asks the part for its state later, from any thread, and must not keep
   it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from reactivex import abc

if TYPE_CHECKING:
    from rxllm.flow._control import Pauses
    from rxllm.flow._operation import Operation
    from rxllm.flow._source import Emitter

__all__ = [
    "WaitingPlace",
    "WatchedConsumer",
    "WatchedQueue",
    "Watcher",
    "pipeline",
    "waiting_place",
    "watch",
    "watched",
    "watcher",
]


class WatchedQueue(Protocol):
    """What waits for a consumer.

    Attributes:
        unit: What is counted.
    """

    unit: ClassVar[str]

    @property
    def waiting(self) -> int:
        """How much waits, or is being dealt with."""
        ...

    @property
    def size(self) -> int:
        """How much of it makes the producer pause."""
        ...

    @property
    def holder(self) -> Pauses:
        """Who pauses the producer."""
        ...


class WatchedConsumer(Protocol):
    """What stands at the end of a pipeline."""

    @property
    def called(self) -> str:
        """What it is called."""
        ...

    @property
    def queue(self) -> WatchedQueue | None:
        """What waits for it, if there is a queue."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether it has heard the end, or left."""
        ...


class WaitingPlace:
    """Where a pipeline may wait before it subscribes to what is above: for its turn, or for another try.

    Args:
        called: What it is called.

    Attributes:
        held: What it waits for, and since when by ``time.monotonic()``; ``None`` while it does not.
    """

    __slots__ = ("__weakref__", "called", "held")

    def __init__(self, called: str) -> None:
        self.called: str = called
        self.held: tuple[str, float] | None = None

    def hold(self, by: object) -> None:
        """Wait for something, until ``let_go``."""
        self.held = str(by), time.monotonic()

    def let_go(self) -> None:
        """Wait no more."""
        self.held = None


class Watcher(Protocol):
    """Who hears of it, in the thread that subscribes."""

    def on_source(self, emitter: Emitter[Any], produce: Callable[..., object], /) -> None:
        """Hear of a source whose task was started, and of the function that it runs."""
        ...

    def on_operation(self, operation: Operation[Any, Any], /) -> object:
        """Hear of an operator, before what is above is subscribed to; returns its pipeline."""
        ...

    def on_consumer(self, consumer: WatchedConsumer, /) -> None:
        """Hear of what stands at the end of a pipeline, before that is subscribed to."""
        ...

    def on_place(self, place: WaitingPlace, /) -> None:
        """Hear of a place where the pipeline may wait, before what is above is subscribed to."""
        ...

    def overheard(self, observer: abc.ObserverBase[Any], /) -> abc.ObserverBase[Any]:
        """The observer of an operator, or one in front of it that keeps a piece of the text."""
        ...


# One place: somebody may begin or end to look in another thread.
_watcher: list[Watcher | None] = [None]


def watcher() -> Watcher | None:
    """Who looks now."""
    return _watcher[0]


def watch(who: Watcher | None) -> None:
    """Have somebody hear of everything that begins from now on; ``None`` ends that."""
    _watcher[0] = who


def waiting_place(called: str) -> WaitingPlace:
    """Make a place where the pipeline that is being subscribed to may wait, and tell of it if somebody looks."""
    place = WaitingPlace(called)
    if (who := watcher()) is not None:
        who.on_place(place)
    return place


_pipeline: ContextVar[object] = ContextVar("rxllm.pipeline", default=None)
pipeline: Callable[[], object] = _pipeline.get
"""What ``on_operation`` has returned for the operator below, of the pipeline that is being subscribed to."""


@contextmanager
def watched(who: Watcher, operation: Operation[Any, Any]) -> Generator[None]:
    """Tell of an operator, and let what is above know which pipeline it belongs to."""
    token = _pipeline.set(who.on_operation(operation))
    try:
        yield
    finally:
        _pipeline.reset(token)
