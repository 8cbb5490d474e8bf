"""Tells the processes of a machine that something was written to a file.

Rules:

1. Whoever listens binds a socket in a folder that is named after the file; whoever has written sends a datagram to each
   socket there. It says which stream, and nothing more.
2. Nothing depends on it: a datagram may be lost, the folder may be out of reach, a machine may have no such sockets.
   Then whoever listens finds out by looking.
3. A queue of datagrams may be short, and what is sent to a full one is lost. So one that was found nearly full is taken
   to say that everything may have changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import tempfile
from collections.abc import Callable
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Literal, TypeAlias, get_args

__all__ = ["MATTERS", "Bell", "Listener", "Matter", "key_of"]

_FULL = 8
"""How many datagrams at once may be all that a queue holds: the shortest that Linux has by default holds 10."""

_KEY_BYTES = 8
_numbers = count()


Matter: TypeAlias = Literal["items", "cancel"]
"""What is told of a stream: items and its ending, or that somebody wants it to stop."""

MATTERS: tuple[Matter, ...] = get_args(Matter)


def key_of(stream: str, matter: Matter) -> bytes:
    """What stands for a matter of a stream in a datagram."""
    return blake2b(stream.encode(), digest_size=_KEY_BYTES, person=matter.encode()).digest()


class Bell:
    """The sockets of those who listen for one file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def ring(self, stream: str, matter: Matter = "items") -> None:
        """Tell all who listen that something happened to a stream. Blocks for some microseconds."""
        message = key_of(stream, matter)
        with contextlib.suppress(OSError, AttributeError):
            with os.scandir(self._folder()) as entries:
                listeners = [entry.path for entry in entries]
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(0)
                for listener in listeners:
                    self._send(sender, message, listener)

    def _send(self, sender: socket.socket, message: bytes, address: str) -> None:
        try:
            sender.sendto(message, address)
        except ConnectionRefusedError:
            # Its process was killed.
            with contextlib.suppress(OSError):
                Path(address).unlink()
        except OSError:
            pass  # it has just left, or has not read what was sent before

    def listen(self, wake: Callable[[bytes | None], None]) -> Listener | None:
        """Listen in the running loop; ``None`` where that is not possible.

        Args:
            wake: Called with the key of a stream to which something happened; with ``None`` if others may be concerned.
        """
        try:
            folder = Path(self._folder())
            if not _is_mine(folder.parent) or not _is_mine(folder):
                return None
            return Listener(folder / f"{os.getpid()}-{next(_numbers)}", wake)
        except (OSError, AttributeError, NotImplementedError):
            return None

    def _folder(self) -> str:
        # The file itself and not its name, which may be one of several.
        found = self._path.stat()
        return f"{tempfile.gettempdir()}/rxllm-{os.getuid()}/{found.st_dev:x}-{found.st_ino:x}"


def _is_mine(folder: Path) -> bool:
    """Make a folder that nobody else can write to; whether it is one."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


class Listener:
    """One socket, read by the loop in which it was made.

    Args:
        address: Where it is bound.
        wake: As in ``Bell.listen``.
    """

    def __init__(self, address: Path, wake: Callable[[bytes | None], None]) -> None:
        self._address = address
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.settimeout(0)
            self._socket.bind(str(address))
            self._loop.add_reader(self._socket, self._take)
        except BaseException:
            self.close()
            raise

    def _take(self) -> None:
        heard: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while True:  # no more than a queue holds
                heard.append(self._socket.recv(_KEY_BYTES))
        for key in {*heard}:
            self._wake(key)
        if len(heard) >= _FULL:
            self._wake(None)

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(NotImplementedError):
            self._loop.remove_reader(self._socket)
        self._socket.close()
        with contextlib.suppress(OSError):
            self._address.unlink()
        with contextlib.suppress(OSError):
            self._address.parent.rmdir()  # unless others listen
