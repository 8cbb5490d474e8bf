"""When the client of an ``aiohttp.web`` server has left.

Rules:

1. That a connection is lost is told to its protocol at once. aiohttp tells a handler only when that writes, or not at
   all. So as long as an answer is served, ours stands in front of aiohttp's protocol, and hands on what it is told.
2. Who sends no more, has left: aiohttp closes the connection then.
3. Who is silently gone, sends nothing. While nothing is under way, the system asks (keep-alive of TCP). What is under
   way is acknowledged by the system of a client that lives, whether or not the client reads. ``TCP_USER_TIMEOUT`` would
   not do: it also ends the connection of a client that lives and does not read.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

__all__ = ["leaving"]

# Asked after so many seconds of silence, so often, and so many times: 25 seconds in all.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPALIVE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
_LOOK_SECONDS = 4.0
_MOST_SILENCE_SECONDS = 20.0
# `tcpi_unacked` and `tcpi_last_ack_recv` (milliseconds) of Linux.
_INFO: Any = getattr(socket, "TCP_INFO", None)
_TCP_INFO = struct.Struct("24xI28xI")


class _Watch(asyncio.Protocol):
    """Stands in front of a protocol.

    Args:
        behind: The protocol.
        gone: Called when the client has left, maybe more than once.
    """

    def __init__(self, behind: asyncio.Protocol, gone: Callable[[], None]) -> None:
        self.behind = behind
        self._gone = gone
        # Written to and read from without a step in between.
        self.data_received = behind.data_received  # type: ignore[method-assign]
        self.pause_writing = behind.pause_writing  # type: ignore[method-assign]
        self.resume_writing = behind.resume_writing  # type: ignore[method-assign]

    def eof_received(self) -> bool | None:
        self._gone()
        return self.behind.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()
        self.behind.connection_lost(exc)


@contextmanager
def leaving(transport: asyncio.Transport, abandon: Callable[[], None]) -> Generator[None]:
    """Call ``abandon`` when the client leaves.

    Args:
        transport: Of its connection.
        abandon: May be called more than once.
    """

    def gone() -> None:
        timer.stop()  # the socket is closed, and the handler may be at something else for a while
        abandon()
        # What waits for a client that has left would keep the connection.
        transport.abort()

    timer = _SilenceWatch(transport)
    watch = _Watch(cast("asyncio.Protocol", transport.get_protocol()), gone)
    transport.set_protocol(watch)
    try:
        yield
    finally:
        timer.stop()
        if transport.get_protocol() is watch:
            transport.set_protocol(watch.behind)


class _SilenceWatch:
    """Ends a connection whose client is silently gone."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None
        self._socket: Any = transport.get_extra_info("socket")
        if self._socket is not None and self._socket.family in {socket.AF_INET, socket.AF_INET6}:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEP_ALIVE.items():
                if (option := getattr(socket, name, None)) is not None:
                    self._socket.setsockopt(socket.IPPROTO_TCP, option, value)
            if _INFO is not None:
                self._look_later()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        info = self._socket.getsockopt(socket.IPPROTO_TCP, _INFO, _TCP_INFO.size)
        unacknowledged, silent = _TCP_INFO.unpack(info)
        if unacknowledged and silent >= _MOST_SILENCE_SECONDS * 1000:
            self._transport.abort()
        else:
            self._look_later()
