"""``StreamingResponse``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs

from reactivex import Observable

from rxllm.serving._asgi_client import Receive, Scope, Send, until_gone
from rxllm.serving._protocol import Asked, ServingProtocol
from rxllm.serving._serve import (
    FIRST_SECONDS,
    HEARTBEAT_SECONDS,
    LAST_WRITE_SECONDS,
    Head,
    Served,
    plan,
    serve,
)

# FastAPI takes for an answer what is one of Starlette, and makes JSON of everything else.
if TYPE_CHECKING:
    _Response: TypeAlias = object
else:
    try:
        from starlette.responses import Response as _Response
    except ImportError:
        _Response = object


class StreamingResponse(_Response):
    """An answer of Starlette and FastAPI that serves a pipeline; it is an ASGI application.

    If Starlette is installed, this class is a ``starlette.responses.Response``; it also works without Starlette. It
    behaves like ``aiohttp_response``, with two differences. It does not read the body of the request: the application
    reads it. If a client vanishes without closing its connection, that is noticed when the server notices it.

    Args:
        pipeline: The observable that ``chat_stream``, ``chat_with_tools`` or ``from_log`` returns, with or without
            operators after it. Its items are chunks, events of a conversation, or texts. It is subscribed to once for
            each request.
        protocol: The protocol of the answer: a name, or a protocol with options.
        body: The JSON object from the body of the request, which the application has read. Some protocols need it.
        headers: More headers for the answer. They replace those that the answer has by itself.
        first: How many seconds the status waits for the first item. After that it is 200.
        heartbeat: After how many seconds without an item a comment is sent, to keep the connection alive.
        background: Awaited when the answer has ended, as Starlette does.

    Raises:
        TypeError: The pipeline is not an observable, or a time is not a number.
        ValueError: There is no such protocol, a time is not positive, or a header has a character that headers must not
            have.

    Example:
        ::

            @app.post("/chat")
            async def chat(body: dict[str, Any]) -> StreamingResponse:
                asked = ChatRequest(model="gpt-4o-mini", messages=[Message.user(body["question"])])
                return StreamingResponse(client.chat_stream(asked), protocol="openai-chat")

    Attributes:
        status_code: The status, unless it becomes that of an error.
        raw_headers: More headers of the answer, which take the place of others: what Starlette calls so, and adds
            cookies to.
        background: Awaited when the answer has ended.

    See also:
        ``aiohttp_response``, ``frames``, ``close_all``
    """

    status_code: int
    media_type = "text/event-stream"

    def __init__(
        self,
        pipeline: Observable[Any],
        *,
        protocol: str | ServingProtocol = "events",
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        first: float = FIRST_SECONDS,
        heartbeat: float = HEARTBEAT_SECONDS,
        background: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        # Not that of the class above: it is for a body that is there.
        self._plan = plan(pipeline, protocol, headers=headers, first=first, heartbeat=heartbeat)
        self._asked = Asked(body or {})
        self.status_code = 200
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.background: Any = background

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            RuntimeError: It is none of HTTP.
        """
        if scope["type"] != "http":
            raise RuntimeError(f"StreamingResponse answers HTTP requests, not {scope['type']!r}")
        head = self._plan.without_pipeline(scope["method"])
        with suppress(OSError):  # the client has left
            if head is not None:
                await self._send_whole(head, send)
            else:
                await self._serve(scope, receive, send)
        if self.background is not None:
            await self.background()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with serve(self._plan, self._asked, after=_after(scope)) as served:
            if isinstance(served, Head):
                await self._send_whole(served, send)
                return
            watch = asyncio.create_task(until_gone(receive, served.abandon))
            try:
                await self._answer(served, send)
            finally:
                watch.cancel()
                await asyncio.wait([watch])

    async def _answer(self, served: Served, send: Send) -> None:
        head = await served.head()
        if served.gone:
            return
        if head.body is not None:
            await self._send_whole(head, send)
            return
        await self._begin(head, send)
        try:
            await _write(served, send)
        except asyncio.CancelledError:
            served.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(LAST_WRITE_SECONDS):
                    await _write(served, send)
            raise

    async def _send_whole(self, head: Head, send: Send) -> None:
        body = head.body or b""
        length = {"Content-Length": str(len(body))} if body else {}
        await self._begin(Head(head.status, {**head.headers, **length}), send)
        await send({"type": "http.response.body", "body": body})

    async def _begin(self, head: Head, send: Send) -> None:
        ours = [(name.lower().encode(), value.encode("latin-1")) for name, value in head.headers.items()]
        theirs = {name.lower() for name, _ in self.raw_headers}
        headers = [*(header for header in ours if header[0] not in theirs), *self.raw_headers]
        await send({"type": "http.response.start", "status": head.status, "headers": headers})


async def _write(served: Served, send: Send) -> None:
    while block := await served.block():
        await send({"type": "http.response.body", "body": block, "more_body": True})
    if not served.gone:
        await send({"type": "http.response.body", "body": b""})


def _after(scope: Scope) -> str | None:
    """Where the client says that it was."""
    for name, value in scope["headers"]:
        if name == b"last-event-id" and value:
            text: str = value.decode("latin-1")
            return text
    query: bytes = scope.get("query_string", b"")
    return next(iter(parse_qs(query.decode("latin-1")).get("after", ())), None)
