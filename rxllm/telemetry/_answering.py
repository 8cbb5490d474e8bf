"""The thread that answers who asks what the streams do.

Rules:

1. It has nothing to do with any event loop: it answers when that stands still. It writes no log, as the application
   may stand still with the lock of one.
2. One connection at a time, and each has so much time. What is asked is one line, and so is the answer.
3. Whatever is asked, however the connection breaks: the application does not hear of it.
4. What a fork made answers nobody.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from hmac import compare_digest

import msgspec

from rxllm.telemetry._meeting import MOST_BYTES, Listening, listen
from rxllm.telemetry._report import Report, Request

__all__ = ["Answering"]

PATIENCE_SECONDS = 1.0
"""How long a step of somebody who asks may take."""

_LONGEST_REQUEST = 4096
_decode = msgspec.json.Decoder(Request).decode
_encode = msgspec.json.Encoder().encode


class Answering:
    """Answers until it is closed.

    Args:
        look: Makes the report.

    Raises:
        OSError: There is no place for its socket.

    Attributes:
        listening: Where it is asked.
    """

    def __init__(self, look: Callable[[], Report]) -> None:
        self._look = look
        self._waking, self._woken = socket.socketpair()
        try:
            self.listening: Listening = listen()
        except BaseException:
            self._waking.close()
            self._woken.close()
            raise
        self._thread = threading.Thread(target=self._run, name="rxllm-inspect", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more, and leave nothing behind."""
        with suppress(OSError):
            self.listening.path.unlink()
        self._waking.close()
        self._thread.join(2 * PATIENCE_SECONDS)

    def abandon(self) -> None:
        """Close what a fork has of it, where no thread runs; the file is the parent's."""
        for each in (self.listening.socket, self._waking, self._woken):
            each.close()

    def _run(self) -> None:
        listener = self.listening.socket
        with listener, self._woken, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._woken in ready:
                    return
                # What breaks is the connection's, or the look's at something that changes.
                with suppress(Exception):
                    self._answer(listener.accept()[0])

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(PATIENCE_SECONDS)
            if not _is_same_user(connection):
                return
            asked = bytearray()
            while not asked.endswith(b"\n"):
                piece = connection.recv(_LONGEST_REQUEST)
                asked += piece
                if not piece or len(asked) > _LONGEST_REQUEST:
                    return
            if not compare_digest(_decode(asked).token.encode(), self.listening.token.encode()):
                return
            report = self._look()
            answer = _encode(report)
            while len(answer) >= MOST_BYTES:
                kept = len(report.streams) // 2
                report = msgspec.structs.replace(
                    report, streams=report.streams[:kept], more=report.more + len(report.streams) - kept
                )
                answer = _encode(report)
            connection.sendall(answer + b"\n")


def _is_same_user(connection: socket.socket) -> bool:
    """Whether it is this user, or the one who may do everything, as far as the system tells."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None or connection.family == socket.AF_INET:
        return True
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return user in {0, os.geteuid()}
