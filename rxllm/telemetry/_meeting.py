"""Where a process can be asked, and how it is found.

Rules:

1. Only the same user gets there: the directory is theirs and has mode 0700, and what is in it has mode 0600. Any other
   directory is passed over, whoever made it.
2. Where there are Unix sockets it is one. Elsewhere it is a port of the loopback interface, and the file has a token
   without which nothing is answered.
3. The name of a file is the process and a random part. So containers that share a directory do not get into each
   other's way, and a file that was left behind is nobody else's.
4. One sees at once that a process is gone: nobody listens any more.
"""

from __future__ import annotations

import os
import secrets
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from rxllm.telemetry._report import Request

__all__ = ["DIRECTORY_VARIABLE", "MOST_BYTES", "Endpoint", "Listening", "ask", "endpoints", "listen"]

DIRECTORY_VARIABLE = "RXLLM_INSPECT_DIRECTORY"
"""The variable of the environment that names the directory, for both sides."""

MOST_BYTES = 8 * 1024 * 1024
"""How long an answer may be."""

_WAITING = 64
_SOCKET, _PORT = ".sock", ".port"
_encode = msgspec.json.Encoder().encode


class Endpoint(NamedTuple):
    """Where a process can be asked.

    Attributes:
        path: The file that says so.
        pid: The process.
    """

    path: Path
    pid: int


class Listening(NamedTuple):
    """Where this process is asked.

    Attributes:
        path: The file that says so.
        socket: What others connect to.
        token: What they have to show; empty where nobody else gets there.
    """

    path: Path
    socket: socket.socket
    token: str


def _user() -> int | None:
    return os.getuid() if hasattr(os, "getuid") else None


def _directories() -> list[Path]:
    """Where a process may be found, the best place first.

    A service often has no ``XDG_RUNTIME_DIR`` although the terminal has one, so all places are looked at.
    """
    if chosen := os.environ.get(DIRECTORY_VARIABLE):
        return [Path(chosen)]
    user = _user()
    own = [Path(place) for place in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}")]
    # Not ``Path.is_dir``, which raises where one may not look.
    found = [place / "rxllm" for place in own if place.is_absolute() and os.path.isdir(place)]  # noqa: PTH112
    shared = "rxllm" if user is None else f"rxllm-{user}"
    places = [*found, *(Path(place, shared) for place in (tempfile.gettempdir(), "/tmp"))]  # noqa: S108 - made private
    return list(dict.fromkeys(places))


def _is_private(directory: Path) -> bool:
    """Whether it belongs to the user alone; a link to somewhere else does not."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    user = _user()
    return stat.S_ISDIR(found.st_mode) and (user is None or (found.st_uid == user and not found.st_mode & 0o077))


def listen() -> Listening:
    """Let this process be asked.

    Raises:
        OSError: There is no place for that.
    """
    reasons: list[str] = []
    for directory in _directories():
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_private(directory):
                return _listen_in(directory)
        except OSError as error:
            reasons.append(f"{directory}: {error.strerror or error}")
        else:
            reasons.append(f"{directory}: it has to belong to you and to have mode 0700")
    raise OSError(
        f"rxllm.telemetry.inspect() found no directory for its socket ({'; '.join(reasons)}); set a directory of yours "
        f"with a short path in {DIRECTORY_VARIABLE}"
    )


def _listen_in(directory: Path) -> Listening:
    _clean(directory)
    name = f"{os.getpid()}-{secrets.token_hex(4)}"
    # Under another name until somebody listens: whoever found it before would take the process for gone.
    hidden = directory / name
    unix = getattr(socket, "AF_UNIX", None)
    listener = socket.socket(socket.AF_INET if unix is None else unix)
    try:
        if unix is None:
            path, token = hidden.with_suffix(_PORT), secrets.token_hex(16)
            listener.bind(("127.0.0.1", 0))
            with os.fdopen(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(f"{listener.getsockname()[1]} {token}")
        else:
            path, token = hidden.with_suffix(_SOCKET), ""
            listener.bind(str(hidden))
            hidden.chmod(0o600)
        listener.listen(_WAITING)
        listener.settimeout(0)
        hidden.rename(path)
    except BaseException:
        listener.close()
        raise
    return Listening(path, listener, token)


def _clean(directory: Path) -> None:
    """Take away what processes have left behind that are gone."""
    for endpoint in _endpoints_in(directory):
        try:
            _connect(endpoint, 0.1)[0].close()
        except (ConnectionRefusedError, FileNotFoundError):
            with suppress(OSError):
                endpoint.path.unlink()
        except (OSError, ValueError):
            continue


def endpoints() -> list[Endpoint]:
    """The processes of this user that can be asked, or could be until they went."""
    return [each for directory in _directories() if _is_private(directory) for each in _endpoints_in(directory)]


def _endpoints_in(directory: Path) -> Iterator[Endpoint]:
    for path in sorted(directory.iterdir()):
        pid = path.name.partition("-")[0]
        if path.suffix in {_SOCKET, _PORT} and pid.isascii() and pid.isdigit():
            yield Endpoint(path, int(pid))


def _connect(endpoint: Endpoint, seconds: float) -> tuple[socket.socket, str]:
    """A connection, and the token to show."""
    if endpoint.path.suffix == _PORT:
        port, token = endpoint.path.read_text("ascii").split()
        return socket.create_connection(("127.0.0.1", int(port)), seconds), token
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(seconds)
    try:
        connection.connect(str(endpoint.path))
    except BaseException:
        connection.close()
        raise
    return connection, ""


def ask(endpoint: Endpoint, seconds: float) -> bytes:
    """Ask a process; returns the line that it answers, whatever that is.

    Args:
        endpoint: Where.
        seconds: How long it may take.

    Raises:
        ConnectionRefusedError: The process is gone.
        FileNotFoundError: It no longer answers, or is gone and has cleaned up.
        TimeoutError: It does not answer.
        ValueError: It answers more than can be, or the file of a port is none.
        OSError: It cannot be reached.
    """
    until = time.monotonic() + seconds
    try:
        connection, token = _connect(endpoint, seconds)
    except BlockingIOError:  # so many wait already
        raise TimeoutError from None
    with connection:
        connection.sendall(_encode(Request(token=token)) + b"\n")
        answer = bytearray()
        while not answer.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            piece = connection.recv(256 * 1024)
            if not piece:
                break
            answer += piece
            if len(answer) > MOST_BYTES:
                raise ValueError("the answer is too long")
    return bytes(answer)
