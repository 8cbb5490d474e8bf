"""What a successful answer is, where its media type does not say that it is framed as asked, or says other things, too.

Rules:

1. The first bytes decide, be the media type what it may.
2. A body that is one JSON object or array may be an answer that was not streamed. It is read as a whole, for a decoder
   to look at. Of others there is the start, as of the body of an error.
3. Nobody waits for the end of a body that is no answer: of lines of JSON the first is enough.
4. Each byte is looked at a fixed number of times, and the event loop gets a turn after each read.
"""

from __future__ import annotations

import asyncio
import time

import aiohttp

from rxllm.exceptions import APIResponseError, UnreadBody, as_cause
from rxllm.models import StreamInfo
from rxllm.sources import _http
from rxllm.sources._credentials import Secrets
from rxllm.wire import WHITESPACE, BodyFraming, is_json_object, media_types


async def start_of_stream(
    response: aiohttp.ClientResponse, secrets: Secrets, stream: StreamInfo, max_bytes: int, framing: BodyFraming
) -> bytes:
    """Look whether the body is framed as asked.

    Args:
        response: The answer.
        secrets: What it may echo.
        stream: What counts the bytes.
        max_bytes: The most bytes that an item, or a JSON text, may have.
        framing: How it was to be framed.

    Returns:
        What had to be read of the body for that; nothing if its media type told.

    Raises:
        APIResponseError: It is not.
        StreamInterruptedError: The connection was lost before the body began.
    """
    types = media_types(response.headers.getall("Content-Type", ()))
    if framing.is_said_by(types):
        return b""
    start = bytearray()
    beginning = framing.beginning()
    ended = False
    # What is larger than an item may be is for the decoder to refuse.
    while (fits := beginning.look(start, ended=ended)) is None and not ended and len(start) <= max_bytes:
        block = await _read(response)
        ended = not block
        start += block
        blank = len(start) - len(start.lstrip(WHITESPACE))
        stream.received(blank, time.time())
        del start[:blank], block
        await asyncio.sleep(0)
    if fits or (fits is None and (not ended or framing.may_be(types, start))):
        return bytes(start)
    raise await _read_on(response, secrets, stream, start, max_bytes, framing)


def refuse_body(
    response: aiohttp.ClientResponse, secrets: Secrets, stream: StreamInfo, body: str, framing: BodyFraming
) -> None:
    """Refuse a body that was to be a stream, had no item, and had something else in it.

    Raises:
        APIResponseError: Always.
    """
    raise _refusal(response, secrets, stream, body, framing)


def _refusal(
    response: aiohttp.ClientResponse, secrets: Secrets, stream: StreamInfo, body: str, framing: BodyFraming
) -> APIResponseError:
    # Before it is in lower case, which would hide an echo.
    types = media_types(map(secrets.scrub, response.headers.getall("Content-Type", ())))
    content_type = ", ".join(types)
    what = framing.instead(types)
    shown = secrets.scrub(body[: _http.MAX_ERROR_BYTES])
    error = _http.no_event_stream(response, what, content_type, shown, secrets)
    error.unread = UnreadBody(body, stream, secrets)
    return error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.content.read(_http.MAX_ERROR_BYTES)
    except (aiohttp.ClientError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise _http.lost(response.url, 0, "events", reason) from as_cause(error.with_traceback(None))


async def _read_on(  # noqa: PLR0917 - what was found out until then
    response: aiohttp.ClientResponse,
    secrets: Secrets,
    stream: StreamInfo,
    body: bytearray,
    max_bytes: int,
    framing: BodyFraming,
) -> APIResponseError:
    """Read the body on from its start, of JSON for as long as something comes; returns the error about it.

    The start is used up: what may hold the echo of a key is in no variable where the error is raised.
    """
    is_json = body.startswith((b"{", b"["))
    most = max_bytes if is_json else _http.MAX_ERROR_BYTES
    lines = _Lines(body)
    async with _http.error_body(response) as limit:
        while len(body) < most and not lines.has_second:
            block = await response.content.read(min(_http.MAX_ERROR_BYTES, most - len(body)))
            if not block:
                break
            body += block
            if is_json:
                limit.reschedule(asyncio.get_running_loop().time() + _http.ERROR_BODY_SECONDS)
                lines.look(body)
            await asyncio.sleep(0)
    stream.received(len(body), time.time())
    error = _refusal(response, secrets, stream, body.decode(errors="replace"), framing)
    body.clear()
    return error


class _Lines:
    """Whether the first line of a body is a JSON object by itself, and something comes behind it.

    Attributes:
        has_second: Whether that is so.
    """

    def __init__(self, body: bytearray) -> None:
        self.has_second = False
        self._is_object: bool | None = None
        self._seen = 0
        self.look(body)

    def look(self, body: bytearray) -> None:
        """Look at what is new of the body."""
        if self._is_object is None and (end := body.find(b"\n", self._seen)) >= 0:
            self._is_object = is_json_object(body[:end])
            self._seen = end
        if self._is_object and body[self._seen :].strip():
            self.has_second = True
        self._seen = len(body)
