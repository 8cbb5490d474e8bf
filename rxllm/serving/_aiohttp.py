"""``aiohttp_response``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import msgspec
from aiohttp import web
from reactivex import Observable

from rxllm.serving._leaving import leaving
from rxllm.serving._protocol import Asked, ServingProtocol
from rxllm.serving._public_error import PublicError
from rxllm.serving._serve import (
    FIRST_SECONDS,
    HEARTBEAT_SECONDS,
    LAST_WRITE_SECONDS,
    Head,
    Plan,
    Served,
    plan,
    serve,
)

_MOST_BODY = 1024 * 1024
_BODY_SECONDS = 30.0
_TOO_LARGE = PublicError(413, "too_large", "The body of the request is too large.")
_TOO_SLOW = PublicError(408, "too_slow", "The body of the request took too long.")
_GARBLED = PublicError(400, "bad_body", "The body of the request cannot be read.")
_LEFT = Head(499, {}, b"")
"""The status of a client that has left; only the log of the server shows it."""


async def aiohttp_response(
    request: web.Request,
    pipeline: Observable[Any],
    *,
    protocol: str | ServingProtocol = "events",
    headers: Mapping[str, str] | None = None,
    first: float = FIRST_SECONDS,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> web.StreamResponse:
    """Answer a request of ``aiohttp.web`` with a pipeline.

    The status waits for the first item. If an error comes before it, the status is 400 or more, with a JSON body. A
    later error is sent in the stream, in the form of the protocol. No text of a provider, of a tool or of an exception
    reaches the client. While a write waits for the client, the provider is paused, and about 64 KiB wait at most. When
    the client leaves, the pipeline is disposed of at once, and the connection to the provider is closed. A client that
    vanished without closing its connection is noticed within 30 s. When the server stops (SIGTERM), the answer ends in
    the form of the protocol.

    If the pipeline is a stream of a log (``rxllm.from_log``) and the protocol has positions (``"events"``), a client
    that comes back goes on where it was. It sends its position in the header ``Last-Event-ID`` or in the query
    parameter ``after``.

    ``HEAD`` and ``OPTIONS`` are answered without subscribing. The application does CORS, authentication and the like:
    its middlewares and ``on_response_prepare`` see this answer like any other.

    Args:
        request: The request. If the application has not read its body, it is read here: 1 MiB at most, within 30 s.
        pipeline: The observable that ``chat_stream``, ``chat_with_tools`` or ``from_log`` returns, with or without
            operators after it. Its items are chunks, events of a conversation, or texts. It is subscribed to once.
        protocol: The protocol of the answer: a name, or a protocol with options.
        headers: More headers for the answer. They replace those that the answer has by itself.
        first: How many seconds the status waits for the first item. After that it is 200.
        heartbeat: After how many seconds without an item a comment is sent, to keep the connection alive.

    Returns:
        The answer, which has been sent. A handler returns it.

    Raises:
        TypeError: The pipeline is not an observable, or a time is not a number.
        ValueError: There is no such protocol, a time is not positive, or a header has a character that headers must not
            have.

    Example:
        ::

            async def chat(request: web.Request) -> web.StreamResponse:
                asked = ChatRequest.model_validate(await request.json())
                return await serving.aiohttp_response(request, client.chat_stream(asked), protocol="openai-chat")

    See also:
        ``StreamingResponse``, ``frames``, ``close_all``
    """
    what = plan(pipeline, protocol, headers=headers, first=first, heartbeat=heartbeat)
    asked = what.without_pipeline(request.method) or await _asked(request, what)
    if isinstance(asked, Head):
        return _whole(asked)
    transport = request.transport
    if transport is None:
        return _whole(_LEFT)
    after = request.headers.get("Last-Event-ID") or request.query.get("after") or None
    async with serve(what, asked, after=after, abort=transport.abort) as served:
        if isinstance(served, Head):
            return _whole(served)
        with leaving(transport, served.abandon):
            return await _answer(request, served)


async def _asked(request: web.Request, what: Plan) -> Asked | Head:
    """What the client asked for; or what it is told if that does not come."""
    try:
        return Asked(await _body_of(request))
    except web.HTTPRequestEntityTooLarge:
        return what.refused(_TOO_LARGE)
    except TimeoutError:
        return what.refused(_TOO_SLOW)
    except web.RequestPayloadError:
        return what.refused(_GARBLED)
    except ConnectionError:
        return _LEFT


async def _answer(request: web.Request, served: Served) -> web.StreamResponse:
    """Write an answer to its end, or to that of the connection."""
    head = await served.head()
    if served.gone:
        return _whole(_LEFT)
    if head.body is not None:
        return _whole(head)
    response = web.StreamResponse(status=head.status, headers=head.headers)
    try:
        await response.prepare(request)
        await _write(response, served)
    except asyncio.CancelledError:
        served.close()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(LAST_WRITE_SECONDS):
                await _write(response, served)
        raise
    except ConnectionError:
        served.abandon()
    return response


async def _write(response: web.StreamResponse, served: Served) -> None:
    while block := await served.block():
        await response.write(block)
    await response.write_eof()


async def _body_of(request: web.Request) -> Mapping[str, Any]:
    """The JSON object in the body of a request; empty if there is none.

    Raises:
        HTTPRequestEntityTooLarge: There is more of it.
        TimeoutError: It did not come in time.
        RequestPayloadError: It is not what its headers say, such as gzip.
        ConnectionError: The client left meanwhile.
    """
    with suppress(RuntimeError):  # the application has read it, and keeps it
        request = request.clone(client_max_size=_MOST_BODY)
    async with asyncio.timeout(_BODY_SECONDS):
        body = await request.read()
    try:
        value: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _whole(head: Head) -> web.Response:
    return web.Response(status=head.status, headers=head.headers, body=head.body)
