"""Time for operators: that of the scheduler given, else of the subscription's, else of the running loop.

Never a thread timer, which is what reactivex falls back to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from reactivex import abc
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxllm.flow._control import outside_of_emissions
from rxllm.flow._tasks import LoopDisposable, running_loop


class Clock(Protocol):
    """A clock that can be asked for a call later on."""

    def now(self) -> float:
        """Seconds since some moment."""
        ...

    def call_later(self, seconds: float, action: Callable[[], None]) -> abc.DisposableBase:
        """Call ``action`` once, after so many seconds; disposing takes that back."""
        ...


class Readings:
    """What tells the time for who only reads it: works where no loop runs, and costs next to nothing.

    Args:
        scheduler: Whose time it is; that of this machine if ``None``.

    Attributes:
        now: Gives seconds since some moment.
        began: What it said when this was made.
        unix: The Unix time of that moment, in seconds; of a virtual scheduler, its own time.
    """

    __slots__ = ("began", "now", "unix")

    def __init__(self, scheduler: abc.SchedulerBase | None) -> None:
        if scheduler is None or isinstance(scheduler, AsyncIOScheduler):
            try:
                # Pauses are measured with it.
                self.now: Callable[[], float] = asyncio.get_running_loop().time
            except RuntimeError:
                self.now = time.monotonic
            self.began: float = self.now()
            self.unix: float = time.time()
        else:
            self.now = lambda: scheduler.to_seconds(scheduler.now)
            self.began = self.unix = self.now()


class _LoopClock:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.now = loop.time
        # A timer is no emission of whoever happened to be delivering when it was set.
        self._context = outside_of_emissions()

    def call_later(self, seconds: float, action: Callable[[], None]) -> abc.DisposableBase:
        return LoopDisposable(self._loop, self._loop.call_later(seconds, action, context=self._context).cancel)


class _SchedulerClock:
    def __init__(self, scheduler: abc.SchedulerBase) -> None:
        self._scheduler = scheduler
        # As above: what schedules on an event loop takes a copy of the context in which it is asked to.
        self._context = outside_of_emissions()

    def now(self) -> float:
        return self._scheduler.to_seconds(self._scheduler.now)

    def call_later(self, seconds: float, action: Callable[[], None]) -> abc.DisposableBase:
        def act(scheduler: abc.SchedulerBase, state: object = None) -> None:
            del scheduler, state
            action()

        return self._context.copy().run(self._scheduler.schedule_relative, seconds, act)


def clock_of(*schedulers: abc.SchedulerBase | None) -> Clock:
    """The clock of the first scheduler that is one; the loop's for asyncio schedulers and where there is none."""
    scheduler = next((scheduler for scheduler in schedulers if scheduler is not None), None)
    if scheduler is None or isinstance(scheduler, AsyncIOScheduler):
        return _LoopClock(running_loop("an operator that deals with time"))
    return _SchedulerClock(scheduler)
