"""``DurableStreams``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from urllib.parse import parse_qsl

from aiohttp import web

from rxllm.flow import check_callable, check_count, check_kind, check_seconds
from rxllm.serving._asgi_client import Receive, Scope, Send, until_gone
from rxllm.serving._closing import close_all
from rxllm.serving._durable_answer import DurableAnswer, DurableRequest, DurableServer, Stay
from rxllm.serving._durable_content import Content
from rxllm.serving._leaving import leaving
from rxllm.stores import Log

__all__ = ["DurableStreams"]

_HEADER = re.compile(r"[\x20-\x7e]+")


class DurableStreams:
    """The streams of a log for readers of Durable Streams, Electric's open protocol.

    Each stream of the log is a stream of the protocol with the same name. Clients can only read it: ``log.produce``
    writes. Readers read from the log and do not slow down the writer: they may stand still, leave and come back.

    Each item is one message: the JSON value that the log has recorded. A stream that completed has its items and no
    more. Any other ending is a last message:
    ``{"type": "end", "ending": "failed", "error": {"code": …, "message": …}}``, or ``"ending": "stopped"`` with a
    ``reason`` if there is one. If an answer begins anew, the message ``{"type": "restarted", …}`` comes before its
    first item. A stream whose writer is dead stays open, and its readers wait.

    Use it with ``aiohttp.web`` (``add_to``, ``aiohttp_response``), or as an ASGI application.

    Args:
        log: The log.
        content_type: The content type of the streams, or a function that returns it for a name. With any other type
            than ``application/json``, texts and bytes are sent as they are, one after the other, and other items as
            lines of JSON; an ending and a restart then have no message. The header ``Stream-Ending`` says how a stream
            ended, whatever the content type.
        long_poll: How many seconds a request with ``live=long-poll`` waits at most.
        sse_seconds: After how many seconds an event stream is ended. Its reader then connects again and goes on where
            it was.
        batch_bytes: About how many bytes an answer has at most; it has at least one item. An event has about 32 KiB at
            most.
        cache_control: The header ``Cache-Control`` of answers that never change: full batches, and the end of a stream.

    Raises:
        TypeError: At once: an argument is of another type.
        ValueError: At once: a number is not positive, or ``content_type`` is not a content type.

    Example:
        >>> import pathlib, rxllm, tempfile
        >>> from aiohttp import web
        >>> log = rxllm.SQLiteLog(pathlib.Path(tempfile.mkdtemp(), "log.db"))
        >>> app = web.Application()
        >>> rxllm.serving.DurableStreams(log).add_to(app, "/streams")

    See also:
        ``rxllm.SQLiteLog``, ``rxllm.RedisLog``, ``aiohttp_response``
    """

    def __init__(
        self,
        log: Log,
        *,
        content_type: str | Callable[[str], str] = "application/json",
        long_poll: float = 20.0,
        sse_seconds: float = 60.0,
        batch_bytes: int = 256 * 1024,
        cache_control: str = "private, no-cache",
    ) -> None:
        check_kind("log", log, Log)
        check_seconds("long_poll", long_poll)
        check_seconds("sse_seconds", sse_seconds)
        check_count("batch_bytes", batch_bytes)
        check_kind("cache_control", cache_control, str)
        if _HEADER.fullmatch(cache_control) is None:
            raise ValueError(f"cache_control has a character that headers must not have: {cache_control!r}")
        self._server = DurableServer(
            log,
            _content(content_type),
            long_poll=long_poll,
            sse_seconds=sse_seconds,
            batch_bytes=batch_bytes,
            cache_control=cache_control,
        )

    def add_to(self, app: web.Application, prefix: str) -> None:
        """Serve the streams under a path of an ``aiohttp.web`` application. When it shuts down, readers that wait get
        their answers.

        Args:
            app: The application.
            prefix: The path before the names of the streams. A name may have slashes.
        """
        app.router.add_route("*", prefix.rstrip("/") + r"/{name:[\s\S]+}", self.aiohttp_response)
        app.on_shutdown.append(close_all)

    async def aiohttp_response(self, request: web.Request, name: str | None = None) -> web.StreamResponse:
        """Answer a request of ``aiohttp.web``.

        Args:
            request: The request.
            name: The name of the stream; by default the part of the route called ``name``.
        """
        named = request.match_info["name"] if name is None else name
        pairs = [*request.query.items()]
        asked = DurableRequest(request.method, named, pairs, request.headers.get("If-None-Match"))
        transport = request.transport
        if transport is None:
            return web.Response(status=499)  # the client has left
        stay = Stay(transport.abort)
        with leaving(transport, stay.end):
            async with self._server.answer(asked, stay) as answer:
                if answer.events is None:
                    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
                return await _written(request, answer, answer.events)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as an ASGI application: what stands behind where it is mounted is the name.

        Raises:
            RuntimeError: It is none of HTTP.
        """
        if scope["type"] != "http":
            raise RuntimeError(f"DurableStreams answers HTTP requests, not {scope['type']!r}")
        name = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        sent = [value.decode("latin-1") for key, value in scope["headers"] if key == b"if-none-match"]
        asked = DurableRequest(scope["method"], name, pairs, ", ".join(sent) or None)
        stay = Stay()
        watch = asyncio.create_task(until_gone(receive, stay.end))
        try:
            with suppress(OSError):  # the client has left
                async with self._server.answer(asked, stay) as answer:
                    await _send(answer, send)
        finally:
            watch.cancel()
            await asyncio.wait([watch])


async def _written(request: web.Request, answer: DurableAnswer, events: AsyncGenerator[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    # A reader that leaves is no error: it comes back where it was.
    with suppress(ConnectionError):
        await response.prepare(request)
        async with aclosing(events):
            async for event in events:
                await response.write(event)
        await response.write_eof()
    return response


async def _send(answer: DurableAnswer, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.events is not None:
        async with aclosing(answer.events) as events:
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": answer.body})


def _content(content_type: str | Callable[[str], str]) -> Callable[[str], Content]:
    if isinstance(content_type, str):
        content = Content(content_type)
        return lambda _: content
    check_callable("content_type", content_type)
    return lambda name: Content(content_type(name))
