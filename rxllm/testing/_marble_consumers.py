"""Those who take items in a run: a subscriber with a pace, and a sink that takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import SingleAssignmentDisposable

from rxllm.flow import FlowControl
from rxllm.testing._recordings import Completed, Failed, Item, Recording, Window
from rxllm.testing._run_clock import Stage
from rxllm.typing import Ending

__all__ = ["Consumer", "MarbleSink"]

T = TypeVar("T")


class Consumer(abc.ObserverBase[T]):
    """The subscriber of a run: notes what it gets, and pauses whoever delivers when that is more than it takes."""

    def __init__(self, stage: Stage, recording: Recording[T], takes: float) -> None:
        self._stage = stage
        self._recording = recording
        self._work = round(takes * stage.frame)
        self._waiting = 0
        self._reasons: set[str] = set()
        self._flows: dict[FlowControl, None] = {}
        self._handles: list[asyncio.Handle] = []
        self._subscription = SingleAssignmentDisposable()

    def __repr__(self) -> str:
        return "the consumer of the run"

    def start(
        self, observable: Observable[T], subscribed: Window, pauses: Sequence[Window], scheduler: abc.SchedulerBase
    ) -> None:
        self._at(subscribed.end, self.dispose)
        for pause in pauses:
            self._at(pause.start, partial(self._stop_taking, "window"))
            self._at(pause.end, partial(self._take_again, "window"))

        def subscribe() -> None:
            self._subscription.disposable = observable.subscribe(self, scheduler=scheduler)

        self._at(subscribed.start, subscribe)

    def on_next(self, value: T) -> None:
        self._recording.events.append(Item(self._stage.now, value))
        flow = FlowControl.current()
        if flow is not None:
            self._flows[flow] = None
            if self._reasons:
                flow.pause(self)
        if self._work:
            self._waiting += 1
            if self._waiting == 1:
                self._begin_work()

    def on_error(self, error: Exception) -> None:
        self._recording.events.append(Failed(self._stage.now, error))
        self.dispose()

    def on_completed(self) -> None:
        self._recording.events.append(Completed(self._stage.now))
        self.dispose()

    def dispose(self) -> None:
        """Dispose the subscription; nothing that was due for it happens any more."""
        self._subscription.dispose()
        for handle in self._handles:
            handle.cancel()
        if self._reasons:
            self._reasons.clear()
            self._stage.close(self._recording.pauses[-1])
        self._resume()

    def _at(self, time: int | None, call: Callable[[], None]) -> None:
        if time is not None:
            self._handles.append(self._stage.at(time, call))

    def _begin_work(self) -> None:
        self._stop_taking("work")
        self._at(self._stage.now + self._work, self._end_work)

    def _end_work(self) -> None:
        self._waiting -= 1
        if self._waiting:
            self._begin_work()
        else:
            self._take_again("work")

    def _stop_taking(self, reason: str) -> None:
        if not self._reasons:
            self._recording.pauses.append(Window(self._stage.now))
        self._reasons.add(reason)
        for flow in tuple(self._flows):
            flow.pause(self)

    def _take_again(self, reason: str) -> None:
        self._reasons.discard(reason)
        if not self._reasons:
            self._stage.close(self._recording.pauses[-1])
        self._resume()

    def _resume(self) -> None:
        for flow in tuple(self._flows):
            # An operator may emit at once when it is resumed, and there is work again.
            if not self._reasons:
                flow.resume(self)


class MarbleSink:
    """A sink that takes some time for each batch, and records what it stored.

    Attributes:
        stored: What was stored, and when: the items of each batch when they were written, then the endings of the
            streams (no ending if the consumer left first).
    """

    def __init__(self, stage: Stage, takes: float) -> None:
        self.stored: Recording[Any] = Recording[Any](stage.frame)
        self._stage = stage
        self._work = takes * stage.frame / 1_000_000

    async def open(self) -> MarbleSink:
        """Begin a stream. All streams go into one recording."""
        return self

    async def write(self, items: Sequence[Any], /) -> None:
        """Store a batch of items, after the frames that the sink takes for it."""
        await asyncio.sleep(self._work)
        self.stored.events += [Item(self._stage.now, item) for item in items]

    async def close(self, ending: Ending, /) -> None:
        """Record how the stream ended, unless it was cancelled."""
        if ending.error is not None:
            self.stored.events.append(Failed(self._stage.now, ending.error))
        elif ending.kind == "completed":
            self.stored.events.append(Completed(self._stage.now))
