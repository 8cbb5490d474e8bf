"""Sources that play a diagram.

Rules:

1. A player that has a flow control does as the sources of rxllm do: the flow control is current for each item; while
   somebody holds a pause nothing is delivered, and afterwards what became due, in order, the end last.
2. A source notes what is done to it, and what it did, with the time of the run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable
from reactivex.subject import Subject

from rxllm.flow import FlowControl
from rxllm.testing._recordings import Completed, Event, Failed, Hold, Window
from rxllm.testing._run_clock import Stage, WatchedFlow

__all__ = ["ColdSource", "HotSource", "MarbleSource"]

T = TypeVar("T")


class Player(Generic[T]):
    """Plays events to an observer, and holds back what is due while the flow is paused."""

    def __init__(
        self, stage: Stage, observer: abc.ObserverBase[T], flow: FlowControl | None, emissions: list[Event[T]]
    ) -> None:
        self._stage = stage
        self._observer = observer
        self._flow = flow
        self._emissions = emissions
        self._due: deque[Event[T]] = deque()
        self._delivering = False
        self._handles: list[asyncio.Handle] = []
        self._withdraw: Callable[[], None] | None = None

    def start(self, events: Sequence[Event[T]]) -> None:
        self._handles = [self._stage.at(event.time, partial(self._play, event)) for event in events]

    def stop(self) -> None:
        for handle in self._handles:
            handle.cancel()
        self._due.clear()
        if self._withdraw is not None:
            self._withdraw()

    def _play(self, event: Event[T]) -> None:
        self._due.append(event)
        if self._withdraw is None and not self._delivering:
            self._drain()

    def _drain(self) -> None:
        self._withdraw = None
        self._delivering = True
        try:
            while self._due:
                if self._flow is not None and self._flow.paused:
                    self._withdraw = self._flow.when_resumed(self._resumed)
                    break
                self._deliver(self._due.popleft())
        finally:
            self._delivering = False

    def _resumed(self) -> None:
        # A turn of its own, as a task that waits for the resume would have.
        self._handles.append(self._stage.soon(self._drain))

    def _deliver(self, event: Event[T]) -> None:
        self._emissions.append(replace(event, time=self._stage.now))
        if isinstance(event, Completed):
            self._observer.on_completed()
        elif isinstance(event, Failed):
            self._observer.on_error(event.error() if isinstance(event.error, type) else event.error)
        elif self._flow is None:
            self._observer.on_next(event.value)
        else:
            self._flow.deliver(self._observer.on_next, event.value)


class MarbleSource(Observable[T]):
    """A source that plays a diagram, and records its subscriptions and pauses.

    Attributes:
        frame: Microseconds a frame.
        subscriptions: When it was subscribed to.
        pauses: When it was paused, whoever held the pause.
        holds: Who held a pause, and when. Several holders can have a pause at the same time.
        emissions: What it emitted, and when, over all subscribers.
        due: What it would have emitted, and when, without pauses and without subscribers that left.
    """

    def __init__(self, stage: Stage, events: Sequence[Event[T]], subscribe: abc.Subscription[T]) -> None:
        super().__init__(subscribe)
        self.frame: int = stage.frame
        self.subscriptions: list[Window] = []
        self.pauses: list[Window] = []
        self.holds: list[Hold] = []
        self.emissions: list[Event[T]] = []
        self.due: list[Event[T]] = []
        self._stage = stage
        self._events = events

    def _play(self, observer: abc.ObserverBase[T], *, flow_controlled: bool) -> Player[T]:
        flow = WatchedFlow(self._stage, self.pauses, self.holds) if flow_controlled else None
        now = self._stage.now
        # What lies before time zero nobody can have seen.
        due = [replace(event, time=now + event.time) for event in self._events if event.time >= 0]
        self.due += due
        player = Player(self._stage, observer, flow, self.emissions)
        player.start(due)
        return player

    def _note_subscription(self, stop: Callable[[], None]) -> abc.DisposableBase:
        window = Window(self._stage.now)
        self.subscriptions.append(window)

        def dispose() -> None:
            self._stage.close(window)
            stop()

        return Disposable(dispose)


class ColdSource(MarbleSource[T]):
    def __init__(self, stage: Stage, events: Sequence[Event[T]], *, flow_controlled: bool) -> None:
        super().__init__(stage, events, self._begin)
        self._flow_controlled = flow_controlled

    def _begin(self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        del scheduler  # a source of the stage goes by the stage's time
        return self._note_subscription(self._play(observer, flow_controlled=self._flow_controlled).stop)


class HotSource(MarbleSource[T]):
    def __init__(self, stage: Stage, events: Sequence[Event[T]]) -> None:
        super().__init__(stage, events, self._begin)
        self._audience = Subject[T]()

    def play(self, *, flow_controlled: bool) -> None:
        self._play(self._audience, flow_controlled=flow_controlled)

    def _begin(self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        subscription = SingleAssignmentDisposable()
        noted = self._note_subscription(subscription.dispose)
        subscription.disposable = self._audience.subscribe(observer, scheduler=scheduler)
        return noted
