"""The boundary to aiohttp: connecting, redirects, status, and the translation of its errors.

Rules:

1. Foreign exceptions end here; what leaves is an ``RxllmError``.
2. No error shows what may be a secret, and no redirect takes it to another origin: see ``_credentials``.
3. What a server says in an error is read up to ``MAX_ERROR_BYTES`` and for ``ERROR_BODY_SECONDS``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from http import HTTPStatus
from typing import Any, Literal, TypeAlias
from urllib.parse import urljoin
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.typedefs import StrOrURL
from yarl import URL

from rxllm.exceptions import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    StreamInterruptedError,
    excerpt,
)
from rxllm.harmless import EXCERPT_LENGTH, harmless
from rxllm.logs import logger
from rxllm.models import StreamInfo
from rxllm.sources._aiohttp_internals import CutResponse, close_pooled, close_response
from rxllm.sources._credentials import ORIGIN_SCHEMES, Headers, Secrets, drop_credentials, origin_of, shown
from rxllm.sources._sending import send
from rxllm.sources._url_fault import HOW_TO_WRITE_A_PROXY, fault_of
from rxllm.wire import is_lasting, retry_after_in, retry_after_of, should_retry_of

SessionLike: TypeAlias = aiohttp.ClientSession | Callable[[], aiohttp.ClientSession | None]
"""A session, or a function that returns one, or ``None``, when the request is sent; it is not closed by us."""

Ssl: TypeAlias = "bool | aiohttp.Fingerprint | Any"
"""What aiohttp takes for ``ssl``: ``True``, ``False`` (no verification), a fingerprint or an ``ssl.SSLContext``."""

MAX_ERROR_BYTES = 16 * 1024
ERROR_BODY_SECONDS = 5.0
MAX_REDIRECTS = 5
CONNECT_SECONDS = 30.0

_MAX_HEAD_LINE_BYTES = 64 * 1024
_MAX_HEADERS = 512
_USUAL_REASON = "OK"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BECOMES_GET = frozenset({301, 302, 303})
_REQUEST_ID_HEADERS = (
    *("x-request-id", "request-id", "x-ms-request-id", "x-amzn-requestid", "x-correlation-id", "cf-ray"),
)
_session_takes: Mapping[str, Any] = aiohttp.ClientSession.__init__.__kwdefaults__ or {}
SESSION_OPTIONS: dict[str, Any] = {
    name: option
    for name, option in {
        "response_class": CutResponse,
        "max_line_size": _MAX_HEAD_LINE_BYTES,
        "max_field_size": _MAX_HEAD_LINE_BYTES,
        "max_headers": _MAX_HEADERS,
    }.items()
    if name in _session_takes
}
"""Options of a session of our own. Older versions of aiohttp do not count headers."""


def use_session(session: SessionLike | None) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
    """The caller's session, left open, or one of our own for this stream."""
    given = session() if callable(session) else session
    return open_session() if given is None else contextlib.nullcontext(given)


def open_session() -> aiohttp.ClientSession:
    """A session of our own.

    It takes any number of connections, for a stream holds one for as long as it lasts. It does not trust the
    environment: of that, aiohttp would take credentials (``~/.netrc``), too.
    """
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), **SESSION_OPTIONS)


def environment_proxy(url: URL) -> str | None:
    """The proxy that the environment names for this URL (``HTTPS_PROXY``, ``NO_PROXY``, …)."""
    return None if proxy_bypass(url.host or "") else getproxies().get(ORIGIN_SCHEMES.get(url.scheme, ""))


def parse_proxy(proxy: StrOrURL | None) -> URL | None:
    """The URL of a proxy; ``http://`` may be missing, as other programs have it.

    Raises:
        APIConnectionError: It is none that can be used. The error does not show it, for it may have a password.
    """
    if proxy is None:
        return None
    text = str(proxy)
    try:
        parsed = URL(text if "://" in text else f"http://{text}")
        usable = parsed.host and parsed.path in {"", "/"} and not (parsed.raw_query_string or parsed.fragment)
    except ValueError:
        pass  # its text is what was given
    else:
        if usable and parsed.scheme in {"http", "https"}:
            return parsed
    raise APIConnectionError(f"the URL of the proxy is none that can be used: {HOW_TO_WRITE_A_PROXY}")


def parse_url(url: StrOrURL, *, base: str = "") -> URL:
    """The URL, which is one that can be requested; a reference is relative to ``base``.

    Raises:
        APIConnectionError: It has no host, or a scheme other than http, https, ws and wss.
    """
    try:
        parsed = URL(urljoin(base, str(url)))
        # What cannot be seen is no part of a name; it would be shown by whatever fails to connect.
        if parsed.scheme in ORIGIN_SCHEMES and parsed.host and str(parsed.raw_host).isprintable():
            return parsed
    except ValueError:
        pass  # its text is the URL, with the query
    raise APIConnectionError(f"the URL is none that can be requested: {fault_of(str(url)) or 'it cannot be read'}")


async def open_response(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    headers: Headers,
    secrets: Secrets,
    body: bytes | None,
    answered: Callable[[aiohttp.ClientResponse], None] | None = None,
    **options: Any,
) -> aiohttp.ClientResponse:
    """Send a request and follow redirects; the caller closes the response.

    ``answered`` sees the last answer, before anything of its body is read.

    Raises:
        APIConnectionError: No answer, or too many redirects.
        APIStatusError: An answer with a status of 400 or more, or a redirect that leads nowhere.
    """
    if problem := headers.check():
        raise APIConnectionError(f"no request to {shown(url)}: {problem}")
    target = url
    for _ in range(MAX_REDIRECTS + 1):
        if origin_of(target) != origin_of(url):
            options["middlewares"] = (drop_credentials(origin_of(url), headers.public),)
        response = await send(session, method, target, body, headers, secrets, options)
        secrets.add(response.request_info.headers)
        reason = response.reason or ""
        if reason != _USUAL_REASON:
            # What logs show of an answer has it, too.
            reason = secrets.scrub(reason)
            response.reason = harmless(reason, EXCERPT_LENGTH)
        location = response.headers.get("Location")
        if response.status not in _REDIRECTS or location is None:
            if answered is not None:
                answered(response)
            return await _raise_for_status(session, response, reason, secrets)
        response.release()
        target = parse_url(location, base=str(target))
        secrets.add_url(target)
        if response.status in _BECOMES_GET and method != "HEAD":
            method, body = "GET", None
    raise APIConnectionError(f"more than {MAX_REDIRECTS} redirects from {shown(url)}")


async def _raise_for_status(
    session: aiohttp.ClientSession, response: aiohttp.ClientResponse, reason: str, secrets: Secrets
) -> aiohttp.ClientResponse:
    if response.status < HTTPStatus.MULTIPLE_CHOICES:
        return response
    body = secrets.scrub(await _error_body(response))
    close_pooled(session.connector, response)
    message = f"{response.status} {reason[:EXCERPT_LENGTH]}".strip()
    message = secrets.scrub(f"{message} from {shown(response.url)}: {excerpt(body)}")
    raise refusal(message, response.status, response.headers, secrets, body=body)


def fail_when_closed(response: aiohttp.ClientResponse) -> asyncio.Future[None] | None:
    """Let the reader of a body learn that its connection was closed on our side, with the session for example.

    aiohttp tells it only what the other side does; it would wait for ever.

    Returns:
        What becomes of the connection, if there still is one.
    """
    connection, content = response.connection, response.content
    # A protocol is a queue, too: empty ones are false.
    if connection is None or connection.protocol is None or (closed := connection.protocol.closed) is None:
        return None
    closed.add_done_callback(partial(_fail, content))
    return closed


def check_end(response: aiohttp.ClientResponse, closed: asyncio.Future[None] | None) -> None:
    """Check, once a body has ended, that it was not a reset that ended it.

    Where the end of the connection is that of the body, aiohttp takes any end for a good one.

    Raises:
        aiohttp.ClientError: It was.
    """
    ends_with_connection = response.headers.keys().isdisjoint({"Content-Length", "Transfer-Encoding"})
    if ends_with_connection and closed is not None and closed.done() and (error := closed.exception()) is not None:
        raise error


def _fail(content: aiohttp.StreamReader, closed: asyncio.Future[None]) -> None:
    closed.exception()  # known from elsewhere, if there is one
    if not content.is_eof() and content.exception() is None:
        content.set_exception(aiohttp.ClientConnectionError("the connection was closed"))


def no_event_stream(
    response: aiohttp.ClientResponse, what: str, content_type: str, body: str, secrets: Secrets
) -> APIResponseError:
    """The error about a successful answer that is no event stream; its body is shown."""
    message = f"{shown(response.url)} answered {response.status} with {what}: {excerpt(body)}"
    identifier = _request_id(response.headers, secrets)
    return APIResponseError(
        message, status=response.status, content_type=content_type, body=body, request_id=identifier
    )


def refusal(
    message: str, status: int, headers: Mapping[str, str], secrets: Secrets, *, body: str = "", content_type: str = ""
) -> APIStatusError | APIResponseError:
    """The error about an answer that is not the stream that was asked for."""
    identifier = _request_id(headers, secrets)
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return APIResponseError(message, status=status, content_type=content_type, body=body, request_id=identifier)
    retry = retry_after_of(headers, time.time())
    if retry is None:
        retry = retry_after_in(body)
    error = APIStatusError(message, status=status, body=body, request_id=identifier, retry_after=retry)
    asked = should_retry_of(headers)
    error.retryable = error.retryable and not is_lasting(body) if asked is None else asked
    return error


def lost(url: URL, count: int, what: Literal["events", "frames"], reason: str) -> StreamInterruptedError:
    """The error about a connection that was lost, or ended as none should, after so many events or frames."""
    return StreamInterruptedError(
        f"the connection to {shown(url)} was lost after {count} {what}: {reason}", events=count
    )


async def _error_body(response: aiohttp.ClientResponse) -> str:
    """The start of a body that nobody asked for; what is missing of it is no error of its own."""
    body = bytearray()
    fail_when_closed(response)
    async with error_body(response):
        while len(body) < MAX_ERROR_BYTES and (block := await response.content.read(MAX_ERROR_BYTES - len(body))):
            body += block
    return body.decode(errors="replace")


@contextlib.asynccontextmanager
async def error_body(response: aiohttp.ClientResponse) -> AsyncGenerator[asyncio.Timeout]:
    """Read a body that nobody asked for, for so long; what is missing of it is no error of its own."""
    try:
        async with asyncio.timeout(ERROR_BODY_SECONDS) as limit:
            yield limit
    except (TimeoutError, aiohttp.ClientError, OSError):
        logger.debug("the body of an error was not complete")
    finally:
        close_response(response)


def _request_id(headers: Mapping[str, str], secrets: Secrets) -> str | None:
    return next((secrets.scrub(headers[name]) for name in _REQUEST_ID_HEADERS if name in headers), None)


def info_of(url: URL, headers: Mapping[str, str], requested_at: float, secrets: Secrets) -> StreamInfo:
    """What is known of a stream by the head of its answer.

    Args:
        url: Where the answer came from.
        headers: Its headers.
        requested_at: When the request was sent, in seconds of Unix time.
        secrets: What some servers echo.
    """
    limits = {name.lower(): secrets.scrub(value) for name, value in headers.items() if _tells_of_limits(name.lower())}
    return StreamInfo(
        host=url.raw_host if url.is_default_port() else f"{url.raw_host}:{url.port}",
        request_id=_request_id(headers, secrets),
        rate_limits=limits,
        requested_at=requested_at,
    )


def _tells_of_limits(name: str) -> bool:
    return "ratelimit" in name or "rate-limit" in name or "retry-after" in name
