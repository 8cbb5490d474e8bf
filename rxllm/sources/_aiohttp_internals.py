"""What the sources use of aiohttp beyond its public interface; nothing else may.

A reader that has failed raises before it gives out what arrived in the same turn of the loop, or while a consumer
paused. ``read_nowait`` raises, too: the error, and after a time-out that once more. ``take_rest`` avoids both.

A WebSocket does not give out its transport. To close it waits until all is sent, for ever if the other side does not
read, and reads everything that comes before the other side's answer. ``say_close`` and ``cut_of`` wait for nothing.

Nobody can ask for a new connection while one lies in the pool, nor keep one out of the pool whose answer has ended, nor
learn whether a request went over a used one and whether anything came back: ``close_idle``, ``close_pooled``,
``has_answered`` and ``on_first_byte`` do.

What a session sends to its proxy, and what it added to the request of a WebSocket, is not to be shown; nothing public
says what it is.

``tests/sources/test_aiohttp_internals.py`` says what broke when aiohttp has changed it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
from aiohttp.helpers import TimerNoop
from yarl import URL

from rxllm.flow import nothing


def take_rest(content: aiohttp.StreamReader) -> bytes:
    """What a reader that has failed still holds."""
    content._timer = TimerNoop()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return content._read_nowait(-1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def cut_of(socket: aiohttp.ClientWebSocketResponse) -> Callable[[], None]:
    """What cuts the connection of a WebSocket, also when the socket has let go of it."""
    connection = socket._conn  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    transport = None if connection is None else connection.transport
    return nothing if transport is None else transport.abort


def say_close(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Send the closing frame of a WebSocket, if it can be sent now."""
    closing = socket._writer.close(1000)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    with contextlib.suppress(StopIteration, aiohttp.ClientError, OSError):
        closing.send(None)
    closing.close()


def has_answered(protocol: Any) -> bool:
    """Whether an answer has come over this connection before."""
    return protocol._payload is not None  # noqa: SLF001


def on_first_byte(protocol: Any, note: Callable[[], None]) -> None:
    """Call back when the first byte of the next answer comes over this connection."""
    protocol._parser = _FirstByte(protocol, note)  # noqa: SLF001


class _FirstByte:
    """Stands in front of the parser of a connection until something comes."""

    def __init__(self, protocol: Any, note: Callable[[], None]) -> None:
        self._parser = protocol._parser  # noqa: SLF001
        self._protocol = protocol
        self._note = note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> Any:
        self._protocol._parser = self._parser  # noqa: SLF001
        self._note()
        return self._parser.feed_data(data)


class CutResponse(aiohttp.ClientResponse):
    """An answer whose connection is cut when it is closed.

    aiohttp closes a connection with TLS by asking the other side to close it, too, and waits 30 s for that.
    """

    def close(self) -> None:
        """Close it, without waiting for anybody."""
        _cut_behind(self, super().close)


def close_response(response: aiohttp.ClientResponse) -> None:
    """Close an answer as ``CutResponse`` does, whatever class the session makes it of."""
    _cut_behind(response, response.close)


def _cut_behind(response: aiohttp.ClientResponse, close: Callable[[], None]) -> None:
    connection = response.connection
    transport = None if connection is None else connection.transport
    close()
    if transport is not None:
        transport.abort()


def close_idle(connector: aiohttp.BaseConnector | None, url: URL) -> None:
    """Close what lies in the pool for the host of a URL: the next request makes a connection."""
    pool: dict[Any, Any] = getattr(connector, "_conns", {})
    for key in [key for key in pool if (key.host, key.port) == (url.raw_host, url.port)]:
        for protocol, _ in pool.pop(key):
            protocol.abort()


def close_pooled(connector: aiohttp.BaseConnector | None, response: aiohttp.ClientResponse) -> None:
    """Close the connection of an answer if it lies in the pool; whoever has taken it out meanwhile keeps it."""
    pool: dict[Any, Any] = getattr(connector, "_conns", {})
    used: Any = response._protocol  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if any(protocol is used for idle in pool.values() for protocol, _ in idle):
        used.abort()


def proxy_of(session: aiohttp.ClientSession) -> tuple[URL | None, tuple[str, ...] | None]:
    """The proxy of a session, if it has one whose URL can be read, and the login for it."""
    given: Any = session._default_proxy  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    login = session._default_proxy_auth  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    try:
        return None if given is None else URL(given), login
    except ValueError:
        return None, login


def request_headers_of(socket: aiohttp.ClientWebSocketResponse) -> Mapping[str, str]:
    """The headers of the request that a WebSocket began with."""
    return socket._response.request_info.headers  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
