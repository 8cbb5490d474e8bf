"""The boundary to aiohttp: connecting, redirects, status, and the translation of its errors.

Rules:

1. Foreign exceptions end here; what leaves is an ``RxllmError``.
2. Any header of the caller may be a credential. A redirect to another origin carries only the ones of the
   protocol; an error message carries none, and no query string.
3. What a server says in an error is read up to ``MAX_ERROR_BYTES`` and for ``ERROR_BODY_SECONDS``.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any, TypeAlias
from urllib.parse import urljoin
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.typedefs import StrOrURL
from yarl import URL

from rxllm.exceptions import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    excerpt,
)

__all__ = [
    "CONNECT_SECONDS",
    "Headers",
    "SessionLike",
    "Ssl",
    "connecting",
    "drop_credentials",
    "environment_proxy",
    "fail_when_closed",
    "open_response",
    "open_session",
    "origin_of",
    "parse_url",
    "request_id",
    "require_event_stream",
    "retry_after",
    "shown",
    "use_session",
]

SessionLike: TypeAlias = aiohttp.ClientSession | Callable[[], aiohttp.ClientSession | None]
"""A session, or a function that returns one, or ``None``, when the request is sent; it is not closed by us."""

Ssl: TypeAlias = "bool | aiohttp.Fingerprint | Any"
"""What aiohttp takes for ``ssl``: ``True``, ``False`` (no verification), a fingerprint or an ``ssl.SSLContext``."""

MAX_ERROR_BYTES = 16 * 1024
ERROR_BODY_SECONDS = 5.0
MAX_REDIRECTS = 5
CONNECT_SECONDS = 30.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BECOMES_GET = frozenset({301, 302, 303})
# A WebSocket begins with a request over HTTP.
_ORIGIN_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-ms-request-id", "x-correlation-id", "cf-ray")
# Fields of the protocol itself; everything else may carry a credential.
_PROTOCOL_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)


def _may_carry_credential(name: str) -> bool:
    lowered = name.lower()
    return lowered not in _PROTOCOL_HEADERS and not lowered.startswith("sec-websocket-")


class Headers(dict[str, str]):
    """Request headers whose ``repr`` shows no value that may be a secret: tracebacks may print local variables."""

    def __repr__(self) -> str:
        return repr({name: "…" if _may_carry_credential(name) else value for name, value in self.items()})

    @classmethod
    def of(cls, usual: Mapping[str, str], given: Mapping[str, str]) -> Headers:
        """The given headers, and the usual ones of other names; case does not matter in them (RFC 9110, section 5.1)."""
        names = {name.lower() for name in given}
        return cls({name: value for name, value in usual.items() if name.lower() not in names} | dict(given))

    def scrub(self, text: str) -> str:
        """Blot out of a server's text what we sent as a credential: some echo it."""
        for name, value in self.items():
            if _may_carry_credential(name):
                for secret in {value, value.rpartition(" ")[2]}:
                    if len(secret) >= 8:  # noqa: PLR2004 - shorter ones are words, not keys
                        text = text.replace(secret, "…")
        return text


def shown(url: URL) -> str:
    """The URL for a message: without user, password, query and fragment, which may hold a key."""
    return str(url.with_user(None).with_query(None).with_fragment(None))


@contextlib.asynccontextmanager
async def use_session(session: SessionLike | None) -> AsyncGenerator[aiohttp.ClientSession]:
    """The caller's session, left open, or one of our own for this stream."""
    given = session() if callable(session) else session
    if given is not None:
        yield given
    else:
        async with open_session() as own:
            yield own


def open_session() -> aiohttp.ClientSession:
    """A session of our own.

    It takes any number of connections, for a stream holds one for as long as it lasts. It does not trust the environment:
    of that, aiohttp would take credentials (``~/.netrc``), too.
    """
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


def environment_proxy(url: URL) -> str | None:
    """The proxy that the environment names for this URL (``HTTPS_PROXY``, ``NO_PROXY``, …)."""
    return None if proxy_bypass(url.host or "") else getproxies().get(_ORIGIN_SCHEMES.get(url.scheme, ""))


def parse_url(url: StrOrURL, *, base: str = "") -> URL:
    """The URL, which is one that can be requested; a reference is relative to ``base``.

    Raises:
        APIConnectionError: It has no host, or a scheme other than http, https, ws and wss.
    """
    try:
        parsed = URL(urljoin(base, str(url)))
        if parsed.scheme in _ORIGIN_SCHEMES and parsed.host:
            return parsed
    except ValueError:
        pass  # its text is the URL, with the query
    raise APIConnectionError("the URL is none that can be requested")


def origin_of(url: URL) -> URL:
    """Scheme, host and port; a WebSocket has the origin of its handshake."""
    return url.origin().with_scheme(_ORIGIN_SCHEMES[url.scheme])


@contextlib.contextmanager
def connecting(url: URL) -> Generator[None]:
    """Translate what goes wrong before there is an answer."""
    try:
        yield
    except aiohttp.ClientResponseError as error:
        # It holds the request with its headers, and its text is the URL with the query.
        reason = excerpt(error.message)
    except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
        # A ValueError is about a header, a RuntimeError about a closed session.
        reason = str(error) or type(error).__name__
        raise APIConnectionError(f"no answer from {shown(url)}: {reason}") from error
    else:
        return
    raise APIConnectionError(f"no answer from {shown(url)}: {reason}")


def drop_credentials(origin: URL) -> aiohttp.ClientMiddlewareType:
    """Make a middleware that strips every header that may be a credential from requests to another origin.

    It sees the finished request, so that headers, cookies and authorisation of the session are covered too.
    """

    async def middleware(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if origin_of(request.url) != origin:
            for name in [name for name in request.headers if _may_carry_credential(name)]:
                del request.headers[name]
        return await handler(request)

    return middleware


async def open_response(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    headers: Headers,
    body: bytes | None,
    **options: Any,
) -> aiohttp.ClientResponse:
    """Send a request and follow redirects; the caller closes the response.

    Raises:
        APIConnectionError: No answer, or too many redirects.
        APIStatusError: An answer with a status of 400 or more, or a redirect that leads nowhere.
    """
    target = url
    for _ in range(MAX_REDIRECTS + 1):
        if origin_of(target) != origin_of(url):
            options["middlewares"] = (drop_credentials(origin_of(url)),)
        with connecting(target):
            response = await session.request(
                method, target, headers=headers, data=body, allow_redirects=False, **options
            )
        location = response.headers.get("Location")
        if response.status not in _REDIRECTS or location is None:
            return await _raise_for_status(response, headers)
        response.release()
        target = parse_url(location, base=str(target))
        if response.status in _BECOMES_GET and method != "HEAD":
            method, body = "GET", None
    raise APIConnectionError(f"more than {MAX_REDIRECTS} redirects from {shown(url)}")


async def _raise_for_status(response: aiohttp.ClientResponse, headers: Headers) -> aiohttp.ClientResponse:
    if response.status < 300:  # noqa: PLR2004 - the class of success
        return response
    body = await _error_body(response, headers)
    message = f"{response.status} {response.reason or ''}".strip()
    raise APIStatusError(
        f"{message} from {shown(response.url)}: {excerpt(body)}",
        status=response.status,
        body=body,
        request_id=request_id(response.headers),
        retry_after=retry_after(response.headers),
    )


def fail_when_closed(response: aiohttp.ClientResponse) -> None:
    """Let the reader of a body learn that its connection was closed on our side, with the session for example.

    aiohttp tells it only what the other side does; it would wait for ever.
    """
    connection, content = response.connection, response.content
    # A protocol is a queue, too: empty ones are false.
    if connection is None or connection.protocol is None or (closed := connection.protocol.closed) is None:
        return

    def fail(closed: asyncio.Future[None]) -> None:
        closed.exception()  # known from elsewhere, if there is one
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientConnectionError("the connection was closed"))

    closed.add_done_callback(fail)


async def require_event_stream(response: aiohttp.ClientResponse, headers: Headers) -> None:
    """Check the media type of a successful answer.

    Raises:
        APIResponseError: It is given, and not ``text/event-stream``.
    """
    if "Content-Type" not in response.headers or response.content_type == "text/event-stream":
        return
    body = await _error_body(response, headers)
    raise APIResponseError(
        f"{shown(response.url)} answered {response.status} with {response.content_type} "
        f"instead of text/event-stream: {excerpt(body)}",
        status=response.status,
        content_type=response.content_type,
        body=body,
        request_id=request_id(response.headers),
    )


async def _error_body(response: aiohttp.ClientResponse, headers: Headers) -> str:
    """The start of a body that nobody asked for; what is missing of it is no error of its own."""
    body = bytearray()
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(ERROR_BODY_SECONDS):
            while len(body) < MAX_ERROR_BYTES and (block := await response.content.read(MAX_ERROR_BYTES - len(body))):
                body += block
    response.close()
    return headers.scrub(body.decode(errors="replace"))


def request_id(headers: Mapping[str, str]) -> str | None:
    return next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds: ``Retry-After`` is a number or a date (RFC 9110, section 10.2.3); some send milliseconds apart."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            return max(0.0, float(headers[name]) * unit)
    with contextlib.suppress(KeyError, ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    return None
