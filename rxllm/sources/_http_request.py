"""One request over HTTP, and the items of its answer: what ``from_http`` and ``from_sse`` make a source of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from typing import Any, ClassVar

import aiohttp
from aiohttp.typedefs import StrOrURL
from yarl import URL

from rxllm.exceptions import StreamInterruptedError, as_cause
from rxllm.flow import Emitter, wake
from rxllm.logs import logger
from rxllm.models import StreamInfo
from rxllm.sources import _http
from rxllm.sources._aiohttp_internals import close_pooled, close_response
from rxllm.sources._credentials import Headers, Secrets, note_sent
from rxllm.sources._grace import END_OF_BODY_SECONDS, Grace, is_end_marker
from rxllm.sources._http import SessionLike
from rxllm.sources._unasked_body import refuse_body, start_of_stream
from rxllm.sources._wire_recorder import NOT_RECORDED, NotRecorded, RecordTo, WireLog, recorded
from rxllm.wire import AWSFrame, BodyFraming, RequestSigner, UnsignedRequest

# As many events as go in one call. The rest of what has come stays what it is, bytes, until the loop has had its turn.
_READ_BYTES = 16 * 1024


@dataclass(slots=True, repr=False)
class HTTPRequest:
    """What ``from_http`` was asked for: one object for the garbage collector, where a closure is one a variable.

    Its ``repr`` shows nothing of it. Tracebacks may print variables, also of the frames that are under way while a
    consumer is called. So a line that leads there has no variable with a URL in it.
    """

    called: ClassVar[str] = "from_http"

    url: StrOrURL
    method: str
    headers: Headers
    body: bytes | None
    session: SessionLike | None
    proxy: StrOrURL | None
    options: dict[str, Any]
    record: RecordTo | None
    framing: BodyFraming
    max_event_bytes: int
    end_marker: str | None
    grace_period: float
    checks_type: bool
    sign: RequestSigner | None

    def produce(self, emitter: Emitter[Any]) -> Awaitable[None]:
        """Send the request and emit the items of the answer."""
        secrets = emitter.flow.secrets = Secrets(self.headers, public=self.headers.public)
        url = _http.parse_url(self.url)
        given = self.session() if callable(self.session) else self.session
        if given is None or self.record is not None:
            return self._within(given, url, emitter, secrets)
        # Usually there is a session, and nothing is recorded: then a stream that waits is fewer objects.
        return self._ask(given, url, emitter, secrets, self._proxy_for(given, url, secrets), NOT_RECORDED)

    async def _within(
        self, given: aiohttp.ClientSession | None, url: URL, emitter: Emitter[Any], secrets: Secrets
    ) -> None:
        async with _http.use_session(given) as client:
            proxy = self._proxy_for(client, url, secrets)
            async with recorded(self.record, self.framing.name, self.method, url, secrets) as log:
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
        emitter: Emitter[Any],
        secrets: Secrets,
        proxy: URL | None,
        log: WireLog | NotRecorded,
    ) -> None:
        headers = self.headers if self.sign is None else await self._signed(self.sign, url, secrets)
        request: dict[str, Any] = {"headers": headers, "secrets": secrets, "body": self.body, **self.options}
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

    async def _signed(self, sign: RequestSigner, url: URL, secrets: Secrets) -> Headers:
        """The headers, with those of the signature."""
        given = sign(UnsignedRequest(self.method, str(url), {**self.headers}, self.body or b""))
        signature = await given if isawaitable(given) else given
        secrets.add(signature)
        return Headers.of(self.headers, signature)

    async def _read(
        self,
        response: aiohttp.ClientResponse,
        emitter: Emitter[Any],
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
                start = await start_of_stream(response, secrets, info, self.max_event_bytes, self.framing)
            decoder = self.framing.decoder(max_event_bytes=self.max_event_bytes, as_texts=emitter.takes_texts)
            grace = Grace(self.grace_period, emitter.flow, closed)
            emission = _emit_items(response, self.framing, decoder, emitter, log, self.end_marker, start, grace)
            await emission
            if self.checks_type and not emitter.count and (unread := self.framing.unread(decoder)) is not None:
                refuse_body(response, secrets, info, unread, self.framing)


async def _emit_items(  # noqa: PLR0917 - what each read needs
    response: aiohttp.ClientResponse,
    framing: BodyFraming,
    decoder: Any,
    emitter: Emitter[Any],
    log: WireLog | NotRecorded,
    end_marker: str | None,
    start: bytes,
    grace: Grace,
) -> None:
    """Emit until the body ends; its start was read already."""
    content = response.content
    feed = framing.feed
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
            await emitter.emit(_items_at_end(framing, decoder, emitter, in_good_order=False))
            # The reader keeps the error, and its traceback would keep this frame, which keeps the reader: a circle.
            raise _lost(response, emitter, error) from as_cause(error.with_traceback(None))
        if not block:
            await emitter.emit(_items_at_end(framing, decoder, emitter, in_good_order=True))
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


def _items_at_end(framing: BodyFraming, decoder: Any, emitter: Emitter[Any], *, in_good_order: bool) -> list[Any]:
    """Discard what the end finds unfinished; returns what the end shows to be items."""
    items, discarded = framing.end(decoder, in_good_order=in_good_order)
    emitter.flow.strays = framing.unread(decoder)
    if discarded:
        logger.debug("the body ended in the middle of an event: {} bytes are discarded", discarded)
    return items


def _place_of_marker(events: list[Any], block: bytes, end_marker: str | None) -> int | None:
    """Where among the events of a read the end marker is, if it is there."""
    if end_marker is None or not events:
        return None
    # One that is split between two reads is in the first event of the second.
    # From the end, where it usually is, and which takes half the time.
    if block.rfind(end_marker.encode()) < 0 and end_marker not in _data_of(events[0]):
        return None
    return next((place for place, event in enumerate(events) if is_end_marker(_data_of(event), end_marker)), None)


def _data_of(event: Any) -> str:
    if isinstance(event, AWSFrame):
        return event.payload.decode(errors="replace")
    return event if isinstance(event, str) else event.data


def _lost(
    response: aiohttp.ClientResponse, emitter: Emitter[Any], error: aiohttp.ClientError | OSError
) -> StreamInterruptedError:
    reason = str(error) or ("it took too long" if isinstance(error, TimeoutError) else type(error).__name__)
    return _http.lost(response.url, emitter.count, "events", reason)


async def _await_end_of_body(response: aiohttp.ClientResponse, emitter: Emitter[Any], grace: Grace) -> None:
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
