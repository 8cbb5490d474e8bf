"""``StreamingResponse``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from reactivex import Observable

from rxllm.serving._protocol import Asked, ServingProtocol
from rxllm.serving._serve import FIRST_SECONDS, HEARTBEAT_SECONDS, Head, serve

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]


class StreamingResponse:
    """A pipeline as an ASGI application, and so an answer in Starlette and FastAPI."""

    def __init__(
        self,
        pipeline: Observable[Any],
        *,
        protocol: str | ServingProtocol = "events",
        first: float = FIRST_SECONDS,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._pipeline = pipeline
        self._protocol = protocol
        self._first = first
        self._heartbeat = heartbeat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        async with serve(
            self._pipeline, self._protocol, Asked(), first=self._first, heartbeat=self._heartbeat
        ) as served:
            head = served if isinstance(served, Head) else await served.head()
            headers = [(name.lower().encode(), value.encode()) for name, value in head.headers.items()]
            await send({"type": "http.response.start", "status": head.status, "headers": headers})
            if isinstance(served, Head) or head.body is not None:
                await send({"type": "http.response.body", "body": head.body or b""})
                return
            async for block in served.body():
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
