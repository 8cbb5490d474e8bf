"""One answer of Durable Streams over HTTP, whatever server it runs in.

Rules:

1. Nothing but what the log has is kept between two answers.
2. A batch that is full never changes, nor does the last one of a stream that has ended: these may be cached as the
   application says. All else is asked for again.
3. Whoever waits does so for a while and no longer, and not at all once the server stops.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from rxllm.exceptions import RxllmError
from rxllm.logs import logger
from rxllm.serving._closing import listed
from rxllm.serving._durable_asked import BadQueryError, Query, cursor_behind
from rxllm.serving._durable_content import Content
from rxllm.serving._durable_reader import Batch, DurableReader, following
from rxllm.serving._durable_texts import WholeTexts
from rxllm.serving._event_stream import UNCOLLECTED, encode
from rxllm.serving._public_error import PublicError, public_error
from rxllm.serving._serve import LAST_WRITE_SECONDS
from rxllm.stores import Log

__all__ = ["DurableAnswer", "DurableRequest", "DurableServer", "Stay"]

_ALWAYS: Mapping[str, str] = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}
_METHODS = "GET, HEAD, OPTIONS"
_NOT_ALLOWED = PublicError(405, "read_only", "Streams can only be read here.")
_OURS = 500
# A batch of an event stream has no more: that is what a reader that stands still holds.
_EVENT_BYTES = 32 * 1024
_EVENT_STREAM: Mapping[str, str] = {"Content-Type": "text/event-stream", **UNCOLLECTED}


@dataclass(frozen=True, slots=True)
class DurableRequest:
    """What is asked.

    Attributes:
        method: The method.
        name: The name of the stream.
        query: The names and values behind the question mark.
        if_none_match: The header of that name.
    """

    method: str
    name: str
    query: Sequence[tuple[str, str]] = ()
    if_none_match: str | None = None


@dataclass(frozen=True, slots=True)
class DurableAnswer:
    """What is answered.

    Attributes:
        status: The status.
        headers: The headers.
        body: The body.
        events: The body, if it is an event stream.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    events: AsyncGenerator[bytes] | None = None


class Stay:
    """How long a reader is waited for: until the server stops, or the reader leaves.

    Args:
        abort: Ends the connection at once, if the host can do that.

    Attributes:
        over: Whether nobody waits any more.
    """

    def __init__(self, abort: Callable[[], None] | None = None) -> None:
        self.over = False
        self._abort = abort
        self._timer: asyncio.TimerHandle | None = None
        self._wait: asyncio.Timeout | None = None

    def end(self) -> None:
        """Wait no more."""
        self.over = True
        if self._wait is not None:
            self._wait.reschedule(0)
            self._wait = None

    @contextlib.contextmanager
    def listed(self) -> Generator[None]:
        """End it also when the server stops; a reader that does not take what is on the way to it is left then."""
        with listed(self._close):
            try:
                yield
            finally:
                if self._timer is not None:
                    self._timer.cancel()

    async def wait(self, reader: DurableReader, seconds: float) -> None:
        """Wait for more of a stream. After the end the reader is of no use any more."""
        if self.over:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as self._wait:
                await reader.wait(seconds)
        self._wait = None

    def _close(self) -> None:
        self.end()
        if self._abort is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LAST_WRITE_SECONDS, self._abort)


class DurableServer:
    """What answers.

    Args:
        log: The log.
        content: Finds the content of a stream.
        long_poll: How long somebody waits, in seconds.
        sse_seconds: How long an event stream lasts.
        batch_bytes: How many bytes a batch has at most, roughly.
        cache_control: What is said of a batch that never changes.
    """

    def __init__(
        self,
        log: Log,
        content: Callable[[str], Content],
        *,
        long_poll: float,
        sse_seconds: float,
        batch_bytes: int,
        cache_control: str,
    ) -> None:
        self._log = log
        self._content = content
        self._long_poll = long_poll
        self._sse_seconds = sse_seconds
        self._batch_bytes = batch_bytes
        self._fixed = cache_control
        self._growing = "no-store" if "no-store" in cache_control else "private, no-cache"

    @asynccontextmanager
    async def answer(self, asked: DurableRequest, stay: Stay) -> AsyncGenerator[DurableAnswer]:
        """Answer a request; left, the stream is left.

        Args:
            asked: The request.
            stay: How long the reader is waited for.
        """
        async with AsyncExitStack() as stack:
            stack.enter_context(stay.listed())
            try:
                answer = await self._answer(asked, stay, stack)
            except BadQueryError as error:
                answer = _refused(PublicError(400, "bad_request", str(error)))
            except RxllmError as error:
                answer = _refused(_told(error))
            yield answer

    async def _answer(self, asked: DurableRequest, stay: Stay, stack: AsyncExitStack) -> DurableAnswer:
        if asked.method not in {"GET", "HEAD"}:
            return _without_stream(asked.method)
        query = Query.parse(asked.query if asked.method == "GET" else [("offset", "now")])
        most = min(self._batch_bytes, _EVENT_BYTES) if query.live == "sse" else self._batch_bytes
        way = following(self._log, asked.name, self._content(asked.name), query.offset, most)
        reader = await stack.enter_async_context(way)
        batch = await (reader.to_the_end() if query.offset is None else reader.batch())
        if asked.method == "HEAD":
            etag = _etag("-1", batch)
            return DurableAnswer(200, {**_headers(batch, reader.content), "ETag": etag, "Cache-Control": "no-store"})
        if query.live == "sse":
            return self._event_stream(reader, batch, query, stay)
        if query.live == "long-poll":
            batch = await self._polled(reader, batch, stay)
            if not batch.messages:
                return _without_news(batch, query)
        return self._read(reader.content, batch, query, asked.if_none_match)

    async def _polled(self, reader: DurableReader, batch: Batch, stay: Stay) -> Batch:
        """What comes, if there is nothing yet."""
        if batch.messages or batch.ending is not None:
            return batch
        await stay.wait(reader, self._long_poll)
        return batch if stay.over else await reader.batch()

    def _read(self, content: Content, batch: Batch, query: Query, if_none_match: str | None) -> DurableAnswer:
        headers = _headers(batch, content)
        if query.live:
            headers["Stream-Cursor"] = cursor_behind(query.cursor)
        body = content.body(batch.messages)
        if query.offset is None:
            return DurableAnswer(200, {**headers, "Cache-Control": "no-store"}, body)
        is_fixed = batch.ending is not None or not batch.up_to_date
        headers["ETag"] = etag = _etag(query.start, batch)
        headers["Cache-Control"] = self._fixed if is_fixed else self._growing
        if if_none_match is not None and _matches(if_none_match, etag):
            return DurableAnswer(304, headers)
        return DurableAnswer(200, headers, body)

    def _event_stream(self, reader: DurableReader, batch: Batch, query: Query, stay: Stay) -> DurableAnswer:
        headers = {**_ALWAYS, **_EVENT_STREAM}
        if not reader.content.is_text:
            headers["Stream-SSE-Data-Encoding"] = "base64"
        return DurableAnswer(200, headers, events=self._events(reader, batch, query.cursor, stay))

    async def _events(
        self, reader: DurableReader, batch: Batch, cursor: str | None, stay: Stay
    ) -> AsyncGenerator[bytes]:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._sse_seconds
        texts = WholeTexts(self._batch_bytes) if reader.content.is_text and not reader.content.is_json else None
        try:
            while True:
                if texts is not None:
                    batch = texts.whole(batch)
                event = (reader.content.event(batch.messages) if batch.messages else b"") + _control(batch, cursor)
                batch = replace(batch, messages=(), starts=())  # so much the less is held for one that stands still
                yield event
                left = until - loop.time()
                if batch.ending is not None or left <= 0:
                    return
                if batch.up_to_date:
                    await stay.wait(reader, min(left, self._long_poll))
                if stay.over:
                    return
                batch = await reader.batch()
        except RxllmError as error:
            # Who comes back is told: an event stream of this protocol has no word for it.
            _told(error)


def _without_stream(method: str) -> DurableAnswer:
    allow = {"Allow": _METHODS}
    return DurableAnswer(204, {**_ALWAYS, **allow}) if method == "OPTIONS" else _refused(_NOT_ALLOWED, allow)


def _without_news(batch: Batch, query: Query) -> DurableAnswer:
    headers = {**_headers(batch), "Stream-Cursor": cursor_behind(query.cursor), "Cache-Control": "no-store"}
    return DurableAnswer(204, headers)


def _headers(batch: Batch, content: Content | None = None) -> dict[str, str]:
    headers = {**_ALWAYS, "Stream-Next-Offset": str(batch.offset)}
    if content is not None:
        headers["Content-Type"] = content.type
    if batch.up_to_date:
        headers["Stream-Up-To-Date"] = "true"
    if batch.ending is not None:
        headers |= {"Stream-Closed": "true", "Stream-Ending": batch.ending}
    return headers


def _control(batch: Batch, cursor: str | None) -> bytes:
    said: dict[str, str | bool] = {"streamNextOffset": str(batch.offset)}
    if batch.ending is not None:
        said |= {"streamClosed": True, "streamEnding": batch.ending}
    else:
        said["streamCursor"] = cursor_behind(cursor)
        if batch.up_to_date:
            said["upToDate"] = True
    return b"event: control\ndata:%b\n\n" % encode(said)


def _etag(start: str, batch: Batch) -> str:
    """What tells a batch from all others of the stream, with all that is said of it."""
    state = "c" if batch.ending is not None else "u" if batch.up_to_date else "f"
    return f'"{start}:{batch.offset}:{state}"'


def _matches(if_none_match: str, etag: str) -> bool:
    sent = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return etag in sent or sent == ["*"]


def _told(error: RxllmError) -> PublicError:
    public = public_error(error)
    if public.status >= _OURS:
        logger.warning("a stream could not be read: {}: {}", type(error).__name__, public.code)
    return public


def _refused(error: PublicError, headers: Mapping[str, str] | None = None) -> DurableAnswer:
    body = encode({"code": error.code, "message": error.message})
    own = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return DurableAnswer(error.status, {**_ALWAYS, **own, **(headers or {})}, body)
