"""Nothing may be left: tasks, timers, connections, threads, pauses.

Rules:

1. What counts is what was not there before.
2. What is on its way out gets its chance: cancelled tasks are awaited, callbacks that are ready run, threads that end
   are joined. Nothing waits for the clock, except in a check that is about to fail.
3. A pause counts as left while it is held, whoever holds it, and whether or not its producer still exists.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from selectors import BaseSelector
from types import TracebackType
from typing import Any, Self, TypeVar
from unittest import mock

from rxllm.flow import FlowControl

__all__ = ["LeakError", "leak_check"]

T = TypeVar("T")

TURNS = 100
"""Turns that the loop gets for callbacks that are under way, such as the closing of a connection."""

SHOWN = 20
"""How many of the things left a message lists."""

PATIENCE = 5.0
"""Seconds that a cancelled task or an ending thread gets before it counts as left."""


class LeakError(AssertionError):
    """Something was left behind."""


class leak_check:  # noqa: N801 - read as a verb: `with leak_check():`
    """Fail if the body leaves something behind: a context manager, with ``async with`` or ``with``.

    With ``async with`` it checks the tasks, timers and connections of the running loop, the threads and the pauses;
    with ``with`` only the threads and the pauses. If the body raises, nothing is checked.

    >>> flow = FlowControl()
    >>> with leak_check():
    ...     flow.pause("somebody")
    Traceback (most recent call last):
    rxllm.testing._leaks.LeakError: left behind:
      a pause held by 'somebody'

    Args:
        pauses: Whether pauses that are still held count, too.

    Raises:
        LeakError: On exit; the message lists what was left.
    """

    def __init__(self, *, pauses: bool = True) -> None:
        self._pauses = pauses
        # By identity: timers, for one, are equal when they are due at the same time. The objects are kept, so that
        # no other gets their identity.
        self._before: dict[int, object] = {}
        self._watched: set[int] = set()
        self._paused: dict[FlowControl, None] = {}
        self._restore = ExitStack()

    def __enter__(self) -> Self:
        self._note(threading.enumerate())
        self._restore.enter_context(mock.patch.object(FlowControl, "pause", self._noting(FlowControl.pause)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore.close()
        if error is None:
            self._fail(self._left_anywhere(()))

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._note(asyncio.all_tasks(loop))
        self._note(_timers(loop))
        self._note(_transports(loop))
        self._watched = _watched(loop)
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore.close()
        if error is None:
            loop = asyncio.get_running_loop()
            await self._settle(loop)
            self._fail([*self._left_in(loop), *self._left_anywhere(_workers(loop))])

    def _note(self, things: Iterable[object]) -> None:
        self._before.update((id(thing), thing) for thing in things)

    def _new(self, things: Iterable[T]) -> list[T]:
        return [thing for thing in things if id(thing) not in self._before]

    def _noting(self, pause: Callable[[FlowControl, object], None]) -> Callable[[FlowControl, object], None]:
        def noted_pause(flow: FlowControl, holder: object) -> None:
            self._paused[flow] = None
            pause(flow, holder)

        return noted_pause

    async def _settle(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let end what is about to."""
        cancelled = [task for task in self._tasks(loop) if task.cancelling()]
        if cancelled:
            await asyncio.wait(cancelled, timeout=PATIENCE)
        for _ in range(TURNS):
            if not self._left_in(loop):
                break
            await asyncio.sleep(0)

    def _tasks(self, loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
        ours = asyncio.current_task(loop)
        return [task for task in self._new(asyncio.all_tasks(loop)) if task is not ours and not _is_run_for(task)]

    def _left_in(self, loop: asyncio.AbstractEventLoop) -> list[str]:
        return [
            *(f"task {task!r}" for task in self._tasks(loop)),
            *(f"timer {timer!r}" for timer in self._new(_timers(loop))),
            *(f"connection {transport!r}" for transport in self._new(_transports(loop))),
            *(f"socket with file descriptor {fd}" for fd in _watched(loop) - self._watched),
        ]

    def _left_anywhere(self, workers: Collection[threading.Thread]) -> list[str]:
        threads = [thread for thread in self._new(threading.enumerate()) if thread not in workers]
        for thread in threads:
            thread.join(PATIENCE)
        holders = [holder for flow in self._paused for holder in flow.holders] if self._pauses else []
        return [
            *(f"thread {thread!r}" for thread in threads if thread.is_alive()),
            *(f"a pause held by {holder!r}" for holder in holders),
        ]

    @staticmethod
    def _fail(left: Sequence[str]) -> None:
        if left:
            further = [f"and {len(left) - SHOWN} more"] if len(left) > SHOWN else []
            raise LeakError("left behind:\n" + "\n".join(f"  {thing}" for thing in [*left[:SHOWN], *further]))


# What follows looks inside asyncio, which shows these nowhere; another loop (uvloop) is taken to have none.


def _is_run_for(task: asyncio.Task[Any]) -> bool:
    """Whether the loop runs until this task ends: what waits for the check, as plugins for pytest do, is not left."""
    callbacks: Iterable[tuple[Callable[..., object], object]] = getattr(task, "_callbacks", None) or ()
    return any(getattr(callback, "__name__", "") == "_run_until_complete_cb" for callback, _ in callbacks)


def _timers(loop: asyncio.AbstractEventLoop) -> list[asyncio.TimerHandle]:
    scheduled: Iterable[asyncio.TimerHandle] = getattr(loop, "_scheduled", ())
    return [timer for timer in scheduled if not timer.cancelled()]


def _transports(loop: asyncio.AbstractEventLoop) -> list[asyncio.BaseTransport]:
    """The open transports, also those that read nothing at present."""
    transports: Mapping[int, asyncio.BaseTransport] = getattr(loop, "_transports", {})
    return [transport for transport in transports.values() if not transport.is_closing()]


def _watched(loop: asyncio.AbstractEventLoop) -> set[int]:
    """The file descriptors that the loop watches without a transport: of listening sockets, for one."""
    selector: BaseSelector | None = getattr(loop, "_selector", None)
    transports: Mapping[int, object] = getattr(loop, "_transports", {})
    return set() if selector is None else {key.fd for key in selector.get_map().values()}.difference(transports)


def _workers(loop: asyncio.AbstractEventLoop) -> Collection[threading.Thread]:
    """The threads of the loop's own executor, which live as long as the loop."""
    return getattr(getattr(loop, "_default_executor", None), "_threads", ())
