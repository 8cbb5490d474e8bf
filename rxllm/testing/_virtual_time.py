"""An asyncio event loop and a scheduler on a virtual clock.

Rules:

1. Nothing sleeps. When every task waits, the clock jumps to the next timer.
2. Time is exact. The clock counts whole microseconds, so 0.1 + 0.2 is 0.3, and timers that are due at the
   same time run in the order in which they were set (asyncio's own heap promises no order).
3. There is one clock: ``asyncio.sleep``, ``call_later``, ``wait_for``, and the scheduler that operators are given
   all agree.
4. The clock stands while a thread works (``run_in_executor``, ``asyncio.to_thread``): that takes no time. Of other
   threads it cannot know what they are about; where nothing else is left, those that live get time to answer.
5. It never hangs. Nothing left to wait for, a clock that runs past its limit, and callbacks that go on without
   time passing are errors.
6. It fails. An exception that a callback lets escape, which asyncio would only log, is raised by ``run_virtual``.

There is no network in virtual time: no jump of the clock is right while a socket may answer.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Self, TypeVar, TypeVarTuple, Unpack

from reactivex import abc, typing
from reactivex.disposable import CompositeDisposable, Disposable, SingleAssignmentDisposable
from reactivex.internal.constants import UTC_ZERO
from reactivex.scheduler.periodicscheduler import PeriodicScheduler

__all__ = ["VirtualTimeError", "VirtualTimeLoop", "VirtualTimeScheduler", "run_virtual", "virtual_time"]

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
State = TypeVar("State")

LIMIT = 3600.0
"""Seconds of virtual time after which a run counts as endless."""

TURNS = 1_000_000
"""Turns of the loop without time passing after which a run counts as endless."""


SHOWN_TIMERS = 10
"""How many timers an error lists, the next ones first."""

PATIENCE = 5.0
"""Real seconds that a thread gets to answer when nothing else is left to happen."""


class VirtualTimeError(RuntimeError):
    """The run can never go on, or never ends."""


class _Moment(float):
    """A time that knows its place among equal ones, so that asyncio's heap of timers keeps their order."""

    __slots__ = ("serial",)
    serial: int

    def __new__(cls, when: float, serial: int) -> Self:
        self = super().__new__(cls, when)
        self.serial = serial
        return self

    def __lt__(self, other: float) -> bool:
        return super().__lt__(other) or (self == other and isinstance(other, _Moment) and self.serial < other.serial)


class _Selector(selectors.DefaultSelector):
    """A selector that reports a wait instead of waiting.

    Args:
        sleep: Called with the seconds that the loop would wait, ``None`` for ever, or 0 for not at all. Returns
            the seconds to wait for real.
    """

    def __init__(self, sleep: Callable[[float | None], float | None]) -> None:
        super().__init__()
        self._sleep = sleep

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(0) or super().select(self._sleep(timeout))


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop that jumps to the next timer instead of sleeping.

    Its clock starts at 0.

    Args:
        limit: Seconds of virtual time after which a run counts as endless.
        turns: Turns of the loop without time passing after which a run counts as endless.

    Attributes:
        unhandled: The exceptions that callbacks let escape.
    """

    def __init__(self, *, limit: float = LIMIT, turns: int = TURNS) -> None:
        self._now = 0.0
        self._limit = limit
        self._turns = turns
        self._turns_left = turns
        self._serial = 0
        self._working = 0
        self._threads = frozenset(threading.enumerate())
        self._patience = PATIENCE
        self._has_looked = False
        self._idle: list[asyncio.Future[None]] = []
        self.unhandled: list[BaseException] = []
        super().__init__(_Selector(self._pass_time))
        self.set_exception_handler(lambda _, context: self._note_unhandled(context))

    def time(self) -> float:
        """Virtual seconds since the loop was made, rounded to the microsecond."""
        return self._now

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back at a time, rounded to the microsecond, after other calls that were set for that time before."""
        self._serial += 1
        # Six digits is what makes sums of floats meet: round(0.1 + 0.2, 6) == 0.3.
        return super().call_at(_Moment(round(when, 6), self._serial), callback, *args, context=context)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run in a thread; the clock stands still until the thread is done."""
        future = super().run_in_executor(executor, func, *args)
        self._working += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """Join the threads of the default executor; the clock stands still meanwhile."""
        self._working += 1
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self._working -= 1

    async def wait_idle(self) -> None:
        """Wait until nothing more can happen: no timer is set, no callback is ready, no thread works."""
        idle: asyncio.Future[None] = self.create_future()
        self._idle.append(idle)
        await idle

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._working -= 1

    def _note_unhandled(self, context: dict[str, Any]) -> None:
        self.unhandled.append(context.get("exception") or VirtualTimeError(context["message"]))

    def _pass_time(self, seconds: float | None) -> float | None:
        """Let the loop's wait pass; returns the seconds to wait for real, for a thread."""
        if seconds == 0:
            self._count_turn()
        elif self._working:
            return None
        elif seconds is not None:
            self._advance(seconds)
        elif self._patience > 0 and self._threads_live():
            self._patience -= 0.001
            return 0.001
        elif not self._has_looked:
            # Once more: a thread that has just ended may have called back before it did.
            self._has_looked = True
        else:
            self._become_idle()
        return 0

    def _threads_live(self) -> bool:
        """Whether there are threads that were not there before, other than those of the executor."""
        executor = getattr(self, "_default_executor", None)
        return not self._threads.issuperset(set(threading.enumerate()).difference(getattr(executor, "_threads", ())))

    def _count_turn(self) -> None:
        self._patience = PATIENCE
        self._has_looked = False
        self._turns_left -= 1
        if not self._turns_left:
            self._turns_left = self._turns
            raise VirtualTimeError(f"{self._turns} turns of the loop at {self._now:g} s: callbacks that never end")

    def _become_idle(self) -> None:
        if not self._idle:
            raise VirtualTimeError(f"deadlock at {self._now:g} s: nothing is left to wait for\n{self._waiting()}")
        for idle in self._idle:
            if not idle.cancelled():
                idle.set_result(None)
        self._idle = []

    def _advance(self, seconds: float) -> None:
        self._turns_left = self._turns
        self._now = round(self._now + seconds, 6)
        if self._now > self._limit:
            raise VirtualTimeError(f"still running after {self._limit:g} s of virtual time\n{self._waiting()}")

    def _waiting(self) -> str:
        """The tasks that wait, and the timers that are set; a task that sleeps has one."""
        scheduled: list[asyncio.TimerHandle] = getattr(self, "_scheduled", [])
        timers = sorted((timer for timer in scheduled if not timer.cancelled()), key=asyncio.TimerHandle.when)
        return "\n".join(f"  {each!r}" for each in (*asyncio.all_tasks(self), *timers[:SHOWN_TIMERS]))


def running() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def run_virtual(main: Coroutine[Any, Any, T], *, limit: float = LIMIT) -> T:
    """Run a coroutine to its end in virtual time, as ``asyncio.run`` does in real time.

    >>> async def patient() -> float:
    ...     await asyncio.sleep(0.1)
    ...     await asyncio.sleep(0.2)
    ...     return asyncio.get_running_loop().time()
    >>> run_virtual(patient())
    0.3

    Args:
        main: The coroutine.
        limit: How many seconds of virtual time it may take.

    Returns:
        What the coroutine returns.

    Raises:
        VirtualTimeError: The coroutine waits for something that can never happen, or runs without end; or an event loop
            already runs in this thread.
        Exception: The exception that the coroutine raises, or that a callback did not catch.
    """
    if running():
        main.close()
        raise VirtualTimeError("an event loop runs in this thread already: await it there")
    loop = VirtualTimeLoop(limit=limit)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            result = runner.run(main)
        except VirtualTimeError as error:
            # A callback that died is the usual reason why nothing happens any more.
            raise error from next(iter(loop.unhandled), None)
    for unhandled in loop.unhandled:
        raise unhandled
    return result


def virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make a coroutine function an ordinary one that runs in virtual time: a decorator for tests.

    >>> @virtual_time
    ... async def test_patience() -> None:
    ...     await asyncio.sleep(3000)
    >>> test_patience()
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtual(test(*args, **kwargs))

    return run


class VirtualTimeScheduler(PeriodicScheduler):
    """The scheduler for operators in virtual time: it uses the running loop, and ``now`` is the time of that loop.

    The ``AsyncIOScheduler`` of reactivex schedules by the clock of the loop, but its ``now`` is the real time.
    """

    @property
    def now(self) -> datetime:
        """The loop's time, counted from the beginning of 1970."""
        return UTC_ZERO + timedelta(seconds=asyncio.get_running_loop().time())

    def schedule(self, action: abc.ScheduledAction[State], state: State | None = None) -> abc.DisposableBase:
        """Run an action in the next turn of the loop."""
        return self._schedule(asyncio.get_running_loop().call_soon, action, state)

    def schedule_relative(
        self, duetime: typing.RelativeTime, action: abc.ScheduledAction[State], state: State | None = None
    ) -> abc.DisposableBase:
        """Run an action after some seconds."""
        seconds = self.to_seconds(duetime)
        if seconds <= 0:
            return self.schedule(action, state)
        return self._schedule(functools.partial(asyncio.get_running_loop().call_later, seconds), action, state)

    def schedule_absolute(
        self, duetime: typing.AbsoluteTime, action: abc.ScheduledAction[State], state: State | None = None
    ) -> abc.DisposableBase:
        """Run an action at a time of this scheduler's clock."""
        return self.schedule_relative(self.to_datetime(duetime) - self.now, action, state)

    def _schedule(
        self,
        call: Callable[[Callable[[], None]], asyncio.Handle],
        action: abc.ScheduledAction[State],
        state: State | None,
    ) -> abc.DisposableBase:
        inner = SingleAssignmentDisposable()

        def invoke() -> None:
            inner.disposable = self.invoke_action(action, state)

        return CompositeDisposable(inner, Disposable(call(invoke).cancel))
