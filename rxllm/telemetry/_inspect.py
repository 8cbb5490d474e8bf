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
    """The object that ``inspect`` returns: open until it is closed, and a context manager."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._is_open = True

    @property
    def path(self) -> str | None:
        """The socket that ``rxllm top`` connects to, or the file that names the port; ``None`` when it is closed."""
        answering = this_process.answering
        return str(answering.listening.path) if self._is_open and answering is not None else None

    def close(self) -> None:
        """End the inspection, unless another call of ``inspect`` still needs it. The streams go on."""
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
    """Let ``rxllm top`` show the streams of this process in another terminal.

    Streams that begin after this call are shown: their age and rate, how much waits in each operator, and who has held
    a pause since when. So call it when the program begins, from any thread. A thread of its own answers ``rxllm top``,
    also while the event loop stands still; then it says where in the code the loop is.

    A stream costs some microseconds more when it begins. Its items cost nothing more, unless ``text`` is set.

    Only your own user can connect. The process listens on a Unix socket with mode 0600, in a directory with mode 0700:
    the directory that ``RXLLM_INSPECT_DIRECTORY`` names, else ``rxllm`` in ``XDG_RUNTIME_DIR``, else ``rxllm-`` and
    your user number in the directory for temporary files. Without Unix sockets, it listens on a port of the loopback
    interface, and asks for a token from a file that only you can read.

    Args:
        text: Whether the last 80 characters of each answer are shown, too. By default no text of a message leaves the
            process.

    Returns:
        An object that ends the inspection: with ``close()``, or as a context manager. Without that, it ends with the
        program. If ``inspect`` is called again, the inspection ends when every returned object is closed. A forked
        process has to call ``inspect`` itself.

    Raises:
        OSError: No directory for the socket can be used; the message says which were tried.

    Example:
        >>> import rxllm.telemetry
        >>> with rxllm.telemetry.inspect():
        ...     pass  # the program
    """
    this_process.join(text=text)
    return Inspection()
