"""``inspect``: let ``rxllm top`` see the streams of this process."""

from __future__ import annotations

import atexit
import os
import threading
from functools import partial
from types import TracebackType
from typing import Self

from rxllm.flow import watch
from rxllm.telemetry._answering import Answering
from rxllm.telemetry._looking import look
from rxllm.telemetry._noted import Watch

__all__ = ["Inspection", "ThisProcess", "inspect", "no_forks", "this_process"]


class ThisProcess:
    """What there is of it in this process: one, however often it is asked for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.watch: Watch | None = None
        self.answering: Answering | None = None
        self.users = 0

    def join(self, *, text: bool) -> None:
        with self.lock:
            if self.watch is None:
                found = Watch(text=text)
                self.answering = Answering(partial(look, found))
                self.watch = found
                watch(found)
            self.watch.text = self.watch.text or text
            self.users += 1

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if not self.users:
                self.end()

    def end(self) -> None:
        answering, self.answering, self.watch, self.users = self.answering, None, None, 0
        watch(None)
        if answering is not None:
            answering.close()

    def after_fork(self) -> None:
        """Be nothing in what a fork made: no thread of the parent runs there, and the socket is the parent's."""
        answering, self.answering, self.watch, self.users = self.answering, None, None, 0
        self.lock = threading.Lock()  # the other may be held by a thread that is not there
        watch(None)
        if answering is not None:
            answering.abandon()


def no_forks(**_: object) -> None:
    """Where there are none there is nothing to do about them."""


this_process = ThisProcess()
atexit.register(this_process.end)
getattr(os, "register_at_fork", no_forks)(after_in_child=this_process.after_fork)


class Inspection:
    """What ``inspect`` gives: open until it is closed, and a context manager."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._is_open = True

    @property
    def path(self) -> str | None:
        """The socket that ``rxllm top`` asks, or the file that names the port; ``None`` when it is closed."""
        answering = this_process.answering
        return str(answering.listening.path) if self._is_open and answering is not None else None

    def close(self) -> None:
        """End it, unless somebody else has asked for it, too; the streams go on."""
        if self._is_open:
            self._is_open = False
            if self._pid == os.getpid():
                this_process.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def inspect(*, text: bool = False) -> Inspection:
    """Let ``rxllm top``, in another terminal, show the streams of this process.

    What begins from now on is shown: its age and rate, how much waits in each operator, and who holds a pause since
    when. So call it when the program begins, from any thread. It answers from a thread of its own, also while the event
    loop stands still, and then says where in the code that is.

    A stream costs some microseconds more when it begins, and its items nothing, but for ``text``.

    Only your own user can connect: to a Unix socket with mode 0600, in a directory with mode 0700 (``rxllm`` in
    ``XDG_RUNTIME_DIR``, or ``rxllm-`` and the number of the user in the directory for temporary files; or the one that
    ``RXLLM_INSPECT_DIRECTORY`` names). Where there are no Unix sockets it is a port of the loopback interface, and a
    token in a file of yours.

    Args:
        text: Whether the last 80 characters of each answer are told, too. By default no text of a message leaves the
            process.

    Returns:
        What ends it: ``close()``, or ``with``. Without that it ends with the program. Called again, it is the same one,
        which ends with the last that is closed. A process that was forked calls it for itself.

    Raises:
        OSError: There is no place for the socket; the message says what was tried.

    Example:
        >>> import rxllm.telemetry
        >>> with rxllm.telemetry.inspect():
        ...     pass  # the program
    """
    this_process.join(text=text)
    return Inspection()
