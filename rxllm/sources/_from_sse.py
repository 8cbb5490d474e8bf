"""``from_sse``: an HTTP answer as an observable of events."""

from __future__ import annotations

import asyncio
import json as jsonlib
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from aiohttp.typedefs import StrOrURL
from yarl import URL

from rxllm.exceptions import StreamInterruptedError, as_cause
from rxllm.flow import Emitter, Stream, check_count, check_kind, check_seconds, task_source, wake
from rxllm.logs import logger
from rxllm.models import StreamInfo
from rxllm.sources import _http
from rxllm.sources._aiohttp_internals import close_pooled, close_response
from rxllm.sources._credentials import Headers, Secrets, note_sent
from rxllm.sources._grace import END_OF_BODY_SECONDS, GRACE_SECONDS, Grace, is_end_marker
from rxllm.sources._http import SessionLike, Ssl
from rxllm.sources._unasked_body import require_events, start_of_events
from rxllm.sources._wire_recorder import NOT_RECORDED, NotRecorded, RecordTo, WireLog, recorded
from rxllm.wire import ServerSentEvent, SSEDecoder, SSETextDecoder, feed

# As many events as go in one call. The rest of what has come stays what it is, bytes, until the loop has had its turn.
_READ_BYTES = 16 * 1024
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
        headers: Added to ``Accept`` and ``Content-Type``. A redirect to another origin drops them.
        session: An ``aiohttp.ClientSession`` of your own (proxies, TLS, cookies, limits), or a function that returns
            one when the request is sent; it is not closed. Without it each subscription has its own.
        ssl: As aiohttp takes it: ``True``, an ``ssl.SSLContext``, a fingerprint, or ``False`` for no verification.
        proxy: The URL of a proxy, as ``http://user:password@host:port``; without ``session`` the proxy settings of the
            environment are read.
        timeout: aiohttp's time-outs. By default 30 s to get a connection and none for the rest: silence in the stream
            is what ``operators.timeout_per_chunk`` watches.
        max_event_bytes: The most bytes that one event may have.
        end_marker: The data of the event that says that nothing follows. The source waits up to 0.1 s for the end of
            the body before it passes that event on, so that a consumer who leaves on seeing it leaves the connection
            reusable. ``None`` for none.
        grace_period: How many seconds the source waits at most for usage and the end of the body once the answer is
            whole: when ``operators.parse`` below has seen each choice end. The time that a consumer pauses does not
            count. A cut or silence is then a ``StreamInterruptedError`` that ``parse`` makes a repair of. As long is
            waited for the end of the body when the end marker comes and a choice has not ended: if the connection is
            lost then, the answer was cut.
        check_content_type: Whether an answer that is no event stream is an error. Where its media type is another
            than ``text/event-stream``, its first bytes decide.
        record: Where to record each read with its time, for ``rxllm.testing.replay``: a path, or a
            ``rxllm.sources.WireRecorder``. Each request has a file of its own; none is written over.

    Returns:
        The events, in order; completes with the body.

    Raises:
        APIConnectionError: As ``on_error``, like all of these: no connection came about, or too many redirects.
        APIStatusError: The status is 400 or more.
        APIResponseError: The answer is no event stream.
        StreamInterruptedError: The connection was lost in the middle of the body.
        LimitExceededError: An event is larger than ``max_event_bytes``, or a line in the head of the answer is larger
            than 64 KiB, or than ``session`` admits.
        RecordingError: The file to record to cannot be made or written.
        NoRunningLoopError: No event loop runs in this thread.
        ValueError: At once, like the last: ``max_event_bytes`` or ``grace_period`` is none of those.
        TypeError: One of them is no number, or ``timeout`` is one.
    """
    check_count("max_event_bytes", max_event_bytes)  # a wrong argument is reported where it stands
    check_seconds("grace_period", grace_period, zero=True)
    if timeout is not None:
        check_kind("timeout", timeout, aiohttp.ClientTimeout, "write aiohttp.ClientTimeout(total=…)")
    usual = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    body = None
    if json is not None:
        usual["Content-Type"] = "application/json"
        # What cannot be encoded, half a surrogate pair, becomes a question mark.
        body = _to_json(json).encode(errors="replace")
    request_headers = Headers.of(usual, headers or {})
    options = {"ssl": ssl, "timeout": timeout or _TIMEOUT}
    request = _Request(
        *(url, method, request_headers, body, session, proxy, options, record),
        *(max_event_bytes, end_marker, grace_period, check_content_type),
    )
    return task_source(request.produce)


@dataclass(slots=True, repr=False)
class _Request:
    """What ``from_sse`` was asked for: one object for the garbage collector, where a closure is one a variable.

    Its ``repr`` shows nothing of it. Tracebacks may print variables, also of the frames that are under way while a
    consumer is called. So a line that leads there has no variable with a URL in it.
    """

    url: StrOrURL
    method: str
    headers: Headers
    body: bytes | None
    session: SessionLike | None
    proxy: StrOrURL | None
    options: dict[str, Any]
    record: RecordTo | None
    max_event_bytes: int
    end_marker: str | None
    grace_period: float
    checks_type: bool

    def produce(self, emitter: Emitter[ServerSentEvent]) -> Awaitable[None]:
        """Send the request and emit the events of the answer."""
        secrets = emitter.flow.secrets = Secrets(self.headers, public=self.headers.public)
        url = _http.parse_url(self.url)
        given = self.session() if callable(self.session) else self.session
        if given is None or self.record is not None:
            return self._within(given, url, emitter, secrets)
        # Usually there is a session, and nothing is recorded: then a stream that waits is fewer objects.
        return self._ask(given, url, emitter, secrets, self._proxy_for(given, url, secrets), NOT_RECORDED)

    async def _within(
        self, given: aiohttp.ClientSession | None, url: URL, emitter: Emitter[ServerSentEvent], secrets: Secrets
    ) -> None:
        async with _http.use_session(given) as client:
            proxy = self._proxy_for(client, url, secrets)
            async with recorded(self.record, "sse", self.method, url, secrets) as log:
                asking = self._ask(client, url, emitter, secrets, proxy, log)
                await asking

    def _proxy_for(self, client: aiohttp.ClientSession, url: URL, secrets: Secrets) -> URL | None:
        """The proxy to use, if there is one; notes all that is going to be sent and is not to be shown."""
        given = self.proxy or (_http.environment_proxy(url) if self.session is None else None)
        proxy = _http.parse_proxy(given)
        note_sent(secrets, client, url, proxy)
        return proxy

    async def _ask(  # noqa: PLR0917 - all that was found out
        self,
        client: aiohttp.ClientSession,
        url: URL,
        emitter: Emitter[ServerSentEvent],
        secrets: Secrets,
        proxy: URL | None,
        log: WireLog | NotRecorded,
    ) -> None:
        request: dict[str, Any] = {"headers": self.headers, "secrets": secrets, "body": self.body, **self.options}
        requested_at = time.time()
        emitter.flow.stream = _http.info_of(url, {}, requested_at, secrets)  # until there is an answer
        response = await _http.open_response(client, self.method, url, proxy=proxy, answered=log.answered, **request)
        async with response:
            try:
                reading = self._read(response, emitter, log, secrets, requested_at)
                await reading
            finally:
                close_response(response)
                if not emitter.count:
                    # A server that had nothing to say may be about to close the connection.
                    close_pooled(client.connector, response)

    async def _read(
        self,
        response: aiohttp.ClientResponse,
        emitter: Emitter[ServerSentEvent],
        log: WireLog | NotRecorded,
        secrets: Secrets,
        requested_at: float,
    ) -> None:
        with log.reading(response):
            info = _http.info_of(response.url, response.headers, requested_at, secrets)
            emitter.flow.stream = info
            closed = _http.fail_when_closed(response)
            start = b""
            if self.checks_type:
                start = await start_of_events(response, secrets, info, self.max_event_bytes)
            kind = SSETextDecoder if emitter.takes_texts else SSEDecoder
            decoder = kind(max_event_bytes=self.max_event_bytes)
            grace = Grace(self.grace_period, emitter.flow, closed)
            emission = _emit_events(response, decoder, emitter, log, self.end_marker, start, grace)
            await emission
            if self.checks_type and not emitter.count and decoder.strays is not None:
                require_events(response, secrets, info, decoder.strays)


async def _emit_events(  # noqa: PLR0917 - what each read needs
    response: aiohttp.ClientResponse,
    decoder: SSEDecoder,
    emitter: Emitter[ServerSentEvent],
    log: WireLog | NotRecorded,
    end_marker: str | None,
    start: bytes,
    grace: Grace,
) -> None:
    """Emit until the body ends; its start was read already."""
    content = response.content
    stream: StreamInfo = emitter.flow.stream
    while True:
        if emitter.flow.paused:
            await emitter.ready()
        try:
            if not (block := start):
                reading = content.read(_READ_BYTES)
                block = await (grace.within(reading) if grace.has_begun else reading)
        except (aiohttp.ClientError, OSError) as error:
            rest = log.rest_of(content)
            for begin in range(0, len(rest), _READ_BYTES):
                await emitter.emit(feed(decoder, rest[begin : begin + _READ_BYTES]), _READ_BYTES)
            await emitter.emit(_events_at_end(decoder))
            # The reader keeps the error, and its traceback would keep this frame, which keeps the reader: a circle.
            raise _lost(response, emitter, error) from as_cause(error.with_traceback(None))
        if not block:
            await emitter.emit(_events_at_end(decoder))
            return
        start = b""
        stream.received(len(block), time.time())
        events = feed(decoder, block)
        place = _place_of_marker(events, block, end_marker)
        await emitter.emit(events if place is None else events[:place], len(block))
        if place is not None:
            await _await_end_of_body(response, emitter, grace)
            await emitter.emit(events[place:])
        # What waits while this waits takes memory, and is looked at by every garbage collection.
        del block, events


def _events_at_end(decoder: SSEDecoder) -> list[ServerSentEvent]:
    """Discard what the end finds unfinished; returns what the lines between the events turn out to be."""
    if discarded := decoder.close():
        logger.debug("the body ended in the middle of an event: {} bytes are discarded", discarded)
    return [] if decoder.strays is None else decoder.strays.at_end()


def _place_of_marker(events: list[ServerSentEvent], block: bytes, end_marker: str | None) -> int | None:
    """Where among the events of a read the end marker is, if it is there."""
    if end_marker is None or not events:
        return None
    # One that is split between two reads is in the first event of the second.
    # From the end, where it usually is, and which takes half the time.
    if block.rfind(end_marker.encode()) < 0 and end_marker not in _data_of(events[0]):
        return None
    return next((place for place, event in enumerate(events) if is_end_marker(_data_of(event), end_marker)), None)


def _data_of(event: ServerSentEvent | str) -> str:
    return event if isinstance(event, str) else event.data


def _lost(
    response: aiohttp.ClientResponse, emitter: Emitter[ServerSentEvent], error: aiohttp.ClientError | OSError
) -> StreamInterruptedError:
    reason = str(error) or ("it took too long" if isinstance(error, TimeoutError) else type(error).__name__)
    return _http.lost(response.url, emitter.count, "events", reason)


async def _await_end_of_body(response: aiohttp.ClientResponse, emitter: Emitter[ServerSentEvent], grace: Grace) -> None:
    """Give the body a moment to end, behind the end marker.

    Raises:
        StreamInterruptedError: The connection was lost, and the answer was not whole.
    """
    content = response.content
    if grace.is_due:
        if not content.is_eof():
            # Without reading on: data after the marker is left in the buffer.
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            content.on_eof(partial(wake, ended))
            await asyncio.wait((ended,), timeout=END_OF_BODY_SECONDS)
        return
    limit = asyncio.timeout(grace.seconds)
    try:
        async with limit:
            while block := await content.read(_READ_BYTES):
                await emitter.breathe(len(block))
            _http.check_end(response, grace.closed)
    except (aiohttp.ClientError, OSError) as error:
        if not limit.expired():
            raise _lost(response, emitter, error) from as_cause(error.with_traceback(None))
