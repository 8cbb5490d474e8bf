"""Who writes to a terminal: one thread for all answers that are shown there at the same time.

Rules:

1. What comes is handed over, and nobody waits for it to be drawn. While the terminal blocks, everybody waits.
2. It is drawn at once, but not within ``FRAME_SECONDS`` after the last time, and later than that if drawing takes long.
   Between two drawings nobody wakes the thread.
3. The thread ends with the last answer. It is a daemon: a blocked terminal does not keep the program from ending.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, TextIO

from rxllm.sinks._reports import report
from rxllm.sinks._style import is_terminal
from rxllm.sinks.screen._screen import Pace, Screen

# So many items are handed over before anybody waits for them to be looked at.
_MOST_ITEMS = 4096
_COLUMNS, _LINES = 80, 24

_owners: dict[int, Owner] = {}
_lock = threading.Lock()


class _Waiter(NamedTuple):
    """Somebody who waits for what was handed over to be looked at, or to be drawn."""

    done: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop
    drawn: bool


class Owner:
    """The thread of a terminal, and what it shares with those who have something to show.

    Args:
        file: The terminal, or another text file.
    """

    def __init__(self, file: TextIO) -> None:
        live = is_terminal(file)
        self.screen: Screen = Screen(lambda: size_of(file), live=live, reflows=reflows(os.environ))
        self._file = file
        self._encoding = getattr(file, "encoding", None) or "utf-8"
        self._users: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}
        self._changed = threading.Condition()
        self._jobs: list[Callable[[], None]] = []
        self._items = 0
        self._waiters: list[_Waiter] = []
        # Whether the thread wants to be told of a job, since it would draw it at once; whether it is writing.
        self._listens = self._writes = False
        self._failure: BaseException | None = None
        self._pace = Pace()

    @classmethod
    def of(cls, file: TextIO, broken: asyncio.Future[None], loop: asyncio.AbstractEventLoop) -> Owner:
        """The owner of a file, for one more user.

        Args:
            file: The file.
            broken: What fails when the file does.
            loop: Its loop.
        """
        with _lock:
            owner = _owners.get(id(file))
            if owner is None:
                owner = _owners[id(file)] = cls(file)
                thread = threading.Thread(target=owner._work, name="rxllm-display", daemon=True)
                owner._users[broken] = loop
                thread.start()
            owner._users[broken] = loop
            return owner

    def leave(self, broken: asyncio.Future[None]) -> None:
        """Be used by one less."""
        with _lock, self._changed:
            del self._users[broken]
            if not self._users:
                del _owners[id(self._file)]
                self._changed.notify()

    def submit(self, job: Callable[[], None], items: int = 0) -> bool:
        """Have the thread do something, and draw; returns whether it is better to wait until that is looked at.

        Args:
            job: What is done.
            items: How many items that is about.
        """
        with self._changed:
            self._jobs.append(job)
            self._items += items
            too_many = self._items > _MOST_ITEMS
            if self._listens or too_many:
                self._changed.notify()
            return self._writes or too_many

    async def wait(self, *, drawn: bool = False) -> None:
        """Wait until what was handed over is looked at, or drawn.

        Raises:
            Exception: What the file failed with.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        with self._changed:
            self._waiters.append(_Waiter(done, loop, drawn))
            self._changed.notify()
        await done

    def _work(self) -> None:
        while self._users or self._jobs:
            jobs, waiters = self._gather()
            try:
                self._look(jobs, hurry=not self._users or any(waiter.drawn for waiter in waiters))
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                self._failure = error
                for broken, loop in [*self._users.items()]:
                    report(loop, broken, error)
            for waiter in waiters:
                report(waiter.loop, waiter.done, self._failure)

    def _gather(self) -> tuple[list[Callable[[], None]], list[_Waiter]]:
        """Wait until there is something to do, and take it."""
        with self._changed:
            self._listens = not self._pace.is_late
            if self._users and not (self._waiters or (self._jobs and self._listens) or self._items > _MOST_ITEMS):
                self._changed.wait(self._pace.patience(time.monotonic()))
            self._listens = False
            jobs, self._jobs = self._jobs, []
            waiters, self._waiters = self._waiters, []
            self._items = 0
        return jobs, waiters

    def _look(self, jobs: list[Callable[[], None]], *, hurry: bool) -> None:
        """Do what there is to do, and draw if it is time to."""
        if self._failure is not None:
            return
        for job in jobs:
            job()
        now = time.monotonic()
        if jobs:
            self._pace.changed(now)
        if hurry or self._pace.is_due(now):
            began = time.thread_time()
            self._write(self.screen.draw(now))
            self._pace.drawn(now, time.thread_time() - began, moves=self.screen.moves)

    def _write(self, text: str) -> None:
        if not text:
            return
        self._writes = True
        try:
            # A terminal that cannot show a character shows a question mark.
            self._file.write(text.encode(self._encoding, "replace").decode(self._encoding))
            self._file.flush()
        finally:
            self._writes = False


def size_of(file: TextIO) -> tuple[int, int]:
    """How many columns and rows a file has."""
    try:
        columns, lines = os.get_terminal_size(file.fileno())
    except (OSError, ValueError, AttributeError):
        columns, lines = shutil.get_terminal_size((_COLUMNS, _LINES))
    return columns or _COLUMNS, lines or _LINES


def reflows(environment: Mapping[str, str]) -> bool:
    """Whether the terminal breaks its rows anew when it becomes narrower: all but a few do."""
    return not (environment.keys() & {"XTERM_VERSION", "STY"} or environment.get("TERM") == "linux")
