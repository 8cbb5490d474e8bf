"""``from_http`` and ``from_sse``: an HTTP answer as an observable of its events, lines or frames."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.typedefs import StrOrURL

from rxllm.flow import Stream, check_count, check_kind, check_seconds, task_source
from rxllm.sources import _http
from rxllm.sources._credentials import Headers
from rxllm.sources._grace import GRACE_SECONDS
from rxllm.sources._http import SessionLike, Ssl
from rxllm.sources._http_request import HTTPRequest
from rxllm.sources._wire_recorder import RecordTo
from rxllm.wire import Framing, RequestSigner, ServerSentEvent, framing_of

_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=_http.CONNECT_SECONDS)
_to_json = jsonlib.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def from_sse(
    url: StrOrURL,
    *,
    json: Any = None,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    session: SessionLike | None = None,
    ssl: Ssl = True,
    proxy: StrOrURL | None = None,
    timeout: aiohttp.ClientTimeout | None = None,
    max_event_bytes: int = 16 * 1024 * 1024,
    end_marker: str | None = "[DONE]",
    grace_period: float = GRACE_SECONDS,
    check_content_type: bool = True,
    record: RecordTo | None = None,
) -> Stream[ServerSentEvent]:
    """Request an event stream: each subscription sends one request (WHATWG HTML, section 9.2).

    Cold. While a consumer holds a pause the socket is not read, so that the TCP window closes and the server
    stops writing. Dispose closes the connection at once. A body that ended in good order gives the connection
    back to the session's pool, if it had an event. The end of the body is the end: it never reconnects. Only if a
    connection of the pool is lost before any byte of the answer came, the request is sent once more over a new one.

    Args:
        url: Where to send the request.
        json: The body, anything that ``json.dumps`` takes; none if ``None``.
        method: The HTTP method.
        headers: Headers besides ``Accept`` and ``Content-Type``. A redirect to another origin drops them.
        session: An ``aiohttp.ClientSession`` of your own (proxies, TLS, cookies, limits), or a function that returns
            one when the request is sent; it is not closed. Without it each subscription has its own.
        ssl: As in aiohttp: ``True``, an ``ssl.SSLContext``, a fingerprint, or ``False`` for no verification.
        proxy: The URL of a proxy, as ``http://user:password@host:port``; without ``session`` the proxy settings of the
            environment are read.
        timeout: aiohttp's time-outs. By default 30 s to get a connection and none for the rest: silence in the stream
            is what ``operators.timeout_per_chunk`` watches.
        max_event_bytes: The most bytes that one event may have.
        end_marker: The data of the event that says that nothing follows. The source waits up to 0.1 s for the end of
            the body before it passes that event on. So the connection can be used again if the consumer leaves when
            it sees the event. ``None`` for none.
        grace_period: How many seconds the source waits at most for usage and the end of the body once the answer is
            whole, that is, when ``operators.parse`` below has seen each choice end. The time that a consumer pauses
            does not count. If the connection is lost or silent in that time, ``parse`` notes a repair, and no error. If
            the end marker comes before each choice has ended, the source waits as long for the end of the body; if the
            connection is lost then, the answer was cut.
        check_content_type: Whether an answer that is not an event stream is an error. If its media type is not
            ``text/event-stream``, its first bytes decide.
        record: Where to record each read with its time, for ``rxllm.testing.replay``: a path, or a
            ``rxllm.sources.WireRecorder``. Each request gets a file of its own; no file is overwritten.

    Returns:
        The events, in order; completes with the body.

    Raises:
        APIConnectionError: As ``on_error``, like all of these: no connection could be made, or there were too many
            redirects.
        APIStatusError: The status is 400 or more.
        APIResponseError: The answer is not an event stream.
        StreamInterruptedError: The connection was lost in the middle of the body.
        LimitExceededError: An event is larger than ``max_event_bytes``, or a line in the head of the answer is larger
            than 64 KiB, or than ``session`` admits.
        RecordingError: The file to record to cannot be made or written.
        NoRunningLoopError: No event loop runs in this thread.
        ValueError: At once, like the last: ``max_event_bytes`` or ``grace_period`` is too small.
        TypeError: One of them is not a number, or ``timeout`` is one.
    """
    return from_http(
        url,
        framing="sse",
        json=json,
        method=method,
        headers=headers,
        session=session,
        ssl=ssl,
        proxy=proxy,
        timeout=timeout,
        max_event_bytes=max_event_bytes,
        end_marker=end_marker,
        grace_period=grace_period,
        check_content_type=check_content_type,
        record=record,
    )


def from_http(
    url: StrOrURL,
    *,
    framing: Framing,
    json: Any = None,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    session: SessionLike | None = None,
    ssl: Ssl = True,
    proxy: StrOrURL | None = None,
    timeout: aiohttp.ClientTimeout | None = None,
    max_event_bytes: int = 16 * 1024 * 1024,
    end_marker: str | None = None,
    grace_period: float = GRACE_SECONDS,
    check_content_type: bool = True,
    record: RecordTo | None = None,
    sign: RequestSigner | None = None,
) -> Stream[Any]:
    """Request a stream, whatever its framing: each subscription sends one request.

    Cold. While a consumer holds a pause the socket is not read, so that the TCP window closes and the server
    stops writing. Dispose closes the connection at once. A body that ended in good order gives the connection
    back to the session's pool, if it had an item. The end of the body is the end: it never reconnects. Only if a
    connection of the pool is lost before any byte of the answer came, the request is sent once more over a new one.

    Args:
        url: Where to send the request.
        framing: How the body of the answer is framed. ``"sse"``: server-sent events, as ``from_sse``. ``"ndjson"``:
            lines of JSON; each item is the text of a line, and a last line without a line end counts if the body ended
            in good order. ``"aws-event-stream"``: frames of AWS, whose checksums are verified; each item is an
            ``rxllm.wire.AWSFrame``.
        json: The body, anything that ``json.dumps`` takes; none if ``None``.
        method: The HTTP method.
        headers: Headers besides ``Accept`` and ``Content-Type``. A redirect to another origin drops them.
        session: An ``aiohttp.ClientSession`` of your own (proxies, TLS, cookies, limits), or a function that returns
            one when the request is sent; it is not closed. Without it each subscription has its own.
        ssl: As in aiohttp: ``True``, an ``ssl.SSLContext``, a fingerprint, or ``False`` for no verification.
        proxy: The URL of a proxy, as ``http://user:password@host:port``; without ``session`` the proxy settings of the
            environment are read.
        timeout: aiohttp's time-outs. By default 30 s to get a connection and none for the rest: silence in the stream
            is what ``operators.timeout_per_chunk`` watches.
        max_event_bytes: The most bytes that one item may have.
        end_marker: The text of the item that says that nothing follows. The source waits up to 0.1 s for the end of
            the body before it passes that item on. So the connection can be used again if the consumer leaves when
            it sees the item. ``None`` for none.
        grace_period: How many seconds the source waits at most for usage and the end of the body once the answer is
            whole, that is, when ``operators.parse`` below has seen each choice end. The time that a consumer pauses
            does not count. If the connection is lost or silent in that time, ``parse`` notes a repair, and no error. If
            the end marker comes before each choice has ended, the source waits as long for the end of the body; if the
            connection is lost then, the answer was cut.
        check_content_type: Whether an answer that is not framed like this is an error. If its media type is not one of
            those of the framing, its first bytes decide.
        record: Where to record each read with its time, for ``rxllm.testing.replay``: a path, or a
            ``rxllm.sources.WireRecorder``. Each request gets a file of its own; no file is overwritten.
        sign: Signs each request: gets an ``rxllm.wire.UnsignedRequest``, and returns the headers to add, or an
            awaitable of them. It is called for each subscription. A redirect to another origin drops these headers.

    Returns:
        The items, in order: events, the text of each line, or frames; completes with the body.

    Raises:
        Exception: As ``on_error``, like all of these: what ``sign`` raises.
        APIConnectionError: No connection could be made, or there were too many redirects.
        APIStatusError: The status is 400 or more.
        APIResponseError: The answer is not framed like this.
        DecodeError: A frame of AWS is malformed, or a checksum of one is wrong.
        StreamInterruptedError: The connection was lost in the middle of the body.
        LimitExceededError: An item is larger than ``max_event_bytes``, or a line in the head of the answer is larger
            than 64 KiB, or than ``session`` admits.
        RecordingError: The file to record to cannot be made or written.
        NoRunningLoopError: No event loop runs in this thread.
        ValueError: At once, like the last: there is no such framing; ``max_event_bytes`` or ``grace_period`` is too
            small.
        TypeError: One of them is not a number, or ``timeout`` is one.
    """
    rules = framing_of(framing)  # a wrong argument is reported where it stands
    check_count("max_event_bytes", max_event_bytes)
    check_seconds("grace_period", grace_period, zero=True)
    if timeout is not None:
        check_kind("timeout", timeout, aiohttp.ClientTimeout, "write aiohttp.ClientTimeout(total=…)")
    usual = {"Accept": rules.media_types[0], "Cache-Control": "no-store"}
    body = None
    if json is not None:
        usual["Content-Type"] = "application/json"
        # What cannot be encoded, half a surrogate pair, becomes a question mark.
        body = _to_json(json).encode(errors="replace")
    request_headers = Headers.of(usual, headers or {})
    options = {"ssl": ssl, "timeout": timeout or _TIMEOUT}
    request = HTTPRequest(
        *(url, method, request_headers, body, session, proxy, options, record, rules),
        *(max_event_bytes, end_marker, grace_period, check_content_type, sign),
    )
    return task_source(request.produce)
