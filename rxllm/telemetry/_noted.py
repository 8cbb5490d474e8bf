"""Which streams there are in the process, and what can be said of them from another thread.

Rules:

1. Nothing is kept alive: what is noted of a part is a weak reference, which goes when the part goes.
2. Nothing waits for the loop, or for a lock that the application might hold: the loop may stand still.
3. What is read may be changing. Each look takes a copy in one step.
4. Nothing of the application is called: a holder that is no ``Pauses`` is told by its class.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any, Literal, TypeAlias
from weakref import WeakKeyDictionary, ref

from reactivex import abc

from rxllm.flow import Emitter, Operation, WaitingPlace, WatchedConsumer, consumer, pipeline
from rxllm.telemetry._loops import WatchedLoop
from rxllm.telemetry._overhearing import Overhearing

__all__ = ["Kind", "Part", "Pipeline", "Watch"]


class Pipeline:
    """What somebody has subscribed to: its parts refer to it.

    Args:
        number: Tells it from the others.
        loop: Where it lives.

    Attributes:
        began: When that was, by ``time.monotonic()``.
    """

    __slots__ = ("__weakref__", "began", "loop", "number")

    def __init__(self, number: int, loop: WatchedLoop | None) -> None:
        self.number = number
        self.loop = loop
        self.began: float = time.monotonic()


Kind: TypeAlias = Literal["source", "operation", "place", "consumer", "text"]


class Part(ref[Any]):
    """A source, an operator or a consumer, as long as it is there.

    Attributes:
        began: When it was subscribed to, by ``time.monotonic()``.
        kind: Whether it is an ``Emitter``, an ``Operation``, a ``WaitingPlace``, a ``WatchedConsumer`` or an
            ``Overhearing``.
        number: Tells it from the others.
        pipeline: What it is a part of.
        name: What it is called, if it does not know that itself.
    """

    __slots__ = ("began", "kind", "name", "number", "pipeline")

    began: float
    kind: Kind
    name: str
    number: int
    pipeline: Pipeline


class Watch:
    """Hears of everything that is subscribed to.

    Args:
        text: Whether the last of the text of each stream is kept.

    Attributes:
        began: Since when, by ``time.monotonic()``.
        text: The same.
    """

    def __init__(self, *, text: bool) -> None:
        self.began: float = time.monotonic()
        self.text: bool = text
        self._numbers = itertools.count(1)
        self._streams = itertools.count(1)
        self._parts: dict[int, Part] = {}
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, WatchedLoop] = WeakKeyDictionary()
        self._pipelines: WeakKeyDictionary[object, Pipeline] = WeakKeyDictionary()

    def parts(self) -> list[Part]:
        """What there is, in the order of subscription; from any thread."""
        return list(self._parts.values())

    def on_source(self, emitter: Emitter[Any], produce: Callable[..., object], /) -> None:
        """Note a source."""
        self._note("source", emitter, self._pipeline(), _name_of(produce))

    def on_operation(self, operation: Operation[Any, Any], /) -> Pipeline:
        """Note an operator."""
        found = self._pipeline()
        self._note("operation", operation, found)
        return found

    def on_consumer(self, consumer: WatchedConsumer, /) -> None:
        """Note a consumer."""
        self._note("consumer", consumer, self._pipeline())

    def on_place(self, place: WaitingPlace, /) -> None:
        """Note a place where the pipeline may wait."""
        self._note("place", place, self._pipeline())

    def overheard(self, observer: abc.ObserverBase[Any], /) -> abc.ObserverBase[Any]:
        """What keeps the text that an operator gives, if that was asked for."""
        if not self.text:
            return observer
        found = Overhearing(observer)
        self._note("text", found, self._pipeline())
        return found

    def _note(self, kind: Kind, part: object, of: Pipeline, name: str = "") -> None:
        noted = Part(part, self._forget)
        noted.began = time.monotonic()
        noted.kind = kind
        noted.number = next(self._numbers)
        noted.pipeline = of
        noted.name = name
        self._parts[noted.number] = noted

    def _forget(self, part: Part) -> None:
        self._parts.pop(part.number, None)

    def _pipeline(self) -> Pipeline:
        """The one that is being subscribed to."""
        who = consumer()
        if who is None:
            found = pipeline()
            return found if isinstance(found, Pipeline) else self._begun()
        known = self._pipelines.get(who)
        if known is None:
            known = self._pipelines[who] = self._begun()
        return known

    def _begun(self) -> Pipeline:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return Pipeline(next(self._streams), None)
        watched = self._loops.get(loop)
        if watched is None:
            watched = self._loops[loop] = WatchedLoop(loop)
        return Pipeline(next(self._streams), watched)


def _name_of(produce: Callable[..., object]) -> str:
    """The function that users called: the object whose method the task runs says so, or else the module is named so."""
    called = getattr(getattr(produce, "__self__", None), "called", None)
    return called if isinstance(called, str) else produce.__module__.rpartition("._")[2]
