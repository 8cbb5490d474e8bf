"""What both applications of ASGI share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

__all__ = ["Event", "Receive", "Scope", "Send", "until_gone"]

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]


async def until_gone(receive: Receive, abandon: Callable[[], None]) -> None:
    """Wait until the client leaves. What is left of its request is read and dropped, piece by piece."""
    while (await receive())["type"] != "http.disconnect":
        pass
    abandon()
