"""What the sources use of aiohttp beyond its public interface; nothing else may.

A reader that has failed raises before it gives out what arrived in the same turn of the loop, or while a consumer
paused. ``read_nowait`` raises, too: the error, and after a time-out that once more. ``take_rest`` avoids both.

A WebSocket does not give out its transport. To close it waits until all is sent, for ever if the other side does not
read, and then for the other side's answer. ``cut_of`` cuts it.

What a session sends to its proxy, and what it added to the request of a WebSocket, is not to be shown; nothing public
says what it is.

``tests/sources/test_aiohttp_internals.py`` says what broke when aiohttp has changed it.
"""

from __future__ import annotations

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
