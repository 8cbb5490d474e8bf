"""What may be a secret, and where it must not go.

Any header but those of the protocol may carry a credential, and so may any part of a query, a sub-protocol, and what
stands before the host of a URL, that of a proxy included. A redirect to another origin takes none of them along; a
message shows none, and neither does what a server echoes.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar, cast

import aiohttp
from yarl import URL

from rxllm.harmless import EXCERPT_LENGTH, harmless
from rxllm.sources._aiohttp_internals import proxy_of
from rxllm.sources._harmless_errors import make_harmless, scrubbed
from rxllm.sources._shown_path import keys_in, shown_path
from rxllm.sources._spellings import blot, find
from rxllm.wire import AWSFrame, ServerSentEvent

Item = TypeVar("Item")
E = TypeVar("E", bound=Exception)

_AS_IT_CAME = frozenset({ServerSentEvent, AWSFrame, str})

# A WebSocket begins with a request over HTTP.
ORIGIN_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

# Shorter values are words, not keys.
SHORTEST_SECRET = 8
SHORTEST_PASSWORD = 4
_PROTOCOL_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "cache-control", "connection", "content-encoding", "content-length"),
        *("content-type", "host", "transfer-encoding", "upgrade", "user-agent"),
    }
)

_PROTOCOLS = "sec-websocket-protocol"
_LOGINS = frozenset({"authorization", "proxy-authorization", "cookie"})
_LINE_BREAKS = frozenset("\r\n\0")
_BETWEEN = re.compile(r"[\s,;\"]+|(?<=\w)=(?=[^=])")


def _may_carry_credential(name: str, public: Container[str] = ()) -> bool:
    lowered = name.lower()
    if lowered in _PROTOCOL_HEADERS or lowered in public:
        return False
    # A key may be a sub-protocol: a browser has no other place for it.
    return lowered == _PROTOCOLS or not lowered.startswith("sec-websocket-")


class Headers(dict[str, str]):
    """Request headers whose ``repr`` shows no value that may be a secret: tracebacks may print local variables.

    Attributes:
        public: The names, in lower case, of those that are known to carry no credential, as the version of a protocol.
    """

    public: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return repr({name: "…" if _may_carry_credential(name, self.public) else value for name, value in self.items()})

    @classmethod
    def of(cls, usual: Mapping[str, str], given: Mapping[str, Any], public: Iterable[str] = ()) -> Headers:
        """The given headers, and the usual ones of other names: case does not matter (RFC 9110, section 5.1).

        What is given as bytes is text of ISO 8859-1, as it was in the older specification. What is public stays so.
        """
        own = {_text_of(name): _text_of(value) for name, value in given.items()}
        names = {name.lower() for name in own}
        headers = cls({name: value for name, value in usual.items() if name.lower() not in names} | own)
        known = (each.public for each in (usual, given) if isinstance(each, Headers))
        headers.public = frozenset(name.lower() for name in public).union(*known)
        return headers

    def check(self) -> str:
        """What is wrong with them, if something is: without the value, which may be a key."""
        for name, value in cast("Mapping[str, Any]", self).items():
            if not isinstance(value, str):
                return f"the value of the header {name!r} is no text, but of the type {type(value).__name__}"
            if not value.isprintable() and not _LINE_BREAKS.isdisjoint(value):
                return f"the value of the header {name!r} has a line break in it"
        return ""


def _text_of(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value


class Secrets:
    """What was sent and may be a credential; blots it out of what a server says, for some echo it.

    Args:
        *sent: Headers and queries.
        public: The names of headers that carry none: see ``Headers.public``.
    """

    def __init__(self, *sent: Mapping[str, str], public: frozenset[str] = frozenset()) -> None:
        # As it was when it was sent.
        self._sent = [pair for fields in sent for pair in fields.items()]
        self._public = public
        self._urls: list[URL] = []
        self._passwords: list[str] = []

    def add(self, sent: Mapping[str, str]) -> None:
        """What was sent besides: of a session's own, as a cookie of its jar, one learns with the answer."""
        self._sent += sent.items()
        vars(self).pop("words", None)

    def add_url(self, url: URL | None) -> None:
        """What is in a URL, that of a proxy for one: user and password, query, fragment, a key in the path."""
        if url is not None:
            self._urls.append(url)
            vars(self).pop("words", None)

    def add_login(self, login: tuple[str, ...]) -> None:
        """A user and a password, and what else there is behind them."""
        user, password, *_ = login
        # As it stands in the header, too (RFC 7617, section 2).
        self._passwords += password, b64encode(f"{user}:{password}".encode()).decode()
        vars(self).pop("words", None)

    @cached_property
    def words(self) -> list[str]:
        """What is blotted out, the longest first; found when the first error needs it, not for each request."""
        sent = [pair for pair in self._sent if _may_carry_credential(pair[0], self._public)]
        values = {word for name, value in sent for word in _words_of(name, value)}
        values |= {word for url in self._urls for word in _words_in(url)}
        words = {word for word in values if len(word) >= SHORTEST_SECRET}
        passwords = {*self._passwords, *(word for url in self._urls for word in _passwords_in(url))}
        passwords |= {password for name, value in self._sent for password in _passwords_of(name, value)}
        words |= {word for word in passwords if len(word) >= SHORTEST_PASSWORD}
        return sorted(words, key=len, reverse=True)

    def __repr__(self) -> str:
        return f"Secrets({len(self.words)} of them)"

    def scrub(self, text: str) -> str:
        """The text without them, and without the beginning of one where a long text was cut."""
        return blot(text, find(text, self.words))

    def scrub_value(self, value: Any) -> Any:
        """A plain value without them, in whatever text within."""
        return scrubbed(value, self.scrub)

    def scrub_error(self, error: E) -> E:
        """The same error without them: in its message, its attributes, its notes, its causes and their tracebacks."""
        make_harmless(error, self.scrub)
        return error

    def scrub_items(self, items: Sequence[Item]) -> Sequence[Item]:
        """Events and frames as they came, without them; chunks and texts as they are."""
        if type(items[0]) not in _AS_IT_CAME:
            return items
        return [cast("Item", self._scrubbed(item)) for item in items]

    def _scrubbed(self, item: object) -> object:
        scrub = self.scrub
        if isinstance(item, ServerSentEvent):
            return item._replace(data=scrub(item.data), event=scrub(item.event), id=scrub(item.id))
        if isinstance(item, AWSFrame):
            # What is no UTF-8 stays what it is.
            payload = scrub(item.payload.decode(errors="surrogateescape")).encode(errors="surrogateescape")
            headers = {name: scrub(value) if isinstance(value, str) else value for name, value in item.headers.items()}
            return AWSFrame(headers, payload)
        # A frame of a WebSocket; any other text may be that of the answer.
        return scrub(item) if isinstance(item, str) and item.startswith("{") else item


def _words_of(name: str, value: str) -> Iterator[str]:
    value = str(value).strip()
    yield value
    # Behind the scheme of an authorisation stands the key itself.
    yield value.rpartition(" ")[2]
    lowered = name.lower()
    if lowered in _LOGINS:
        yield from _BETWEEN.split(value)
    if lowered == _PROTOCOLS:
        for protocol in re.split(r"[\s,]+", value):
            yield protocol
            # As in "openai-insecure-api-key.sk-…".
            yield protocol.partition(".")[2]


def _passwords_of(name: str, value: str) -> Iterator[str]:
    scheme, _, login = str(value).partition(" ")
    if name.lower() in _LOGINS and scheme.lower() == "basic":
        try:
            yield b64decode(login).decode(errors="replace").partition(":")[2]
        except ValueError:
            return


def _words_in(url: URL) -> Iterator[str]:
    yield from url.query.values()
    for pair in url.raw_query_string.split("&"):
        name, _, value = pair.partition("=")
        yield value or name
    yield from (url.fragment, url.user or "")
    yield from keys_in(url.path)


def _passwords_in(url: URL) -> Iterable[str]:
    if not url.password:
        return ()
    login = f"{url.user or ''}:{url.password}"
    return url.password, url.raw_password or "", b64encode(login.encode()).decode()


def note_sent(secrets: Secrets, session: aiohttp.ClientSession, url: URL, proxy: URL | None) -> None:
    """Note what a request sends besides its headers, as far as it is known before it is sent."""
    secrets.add(session.headers)
    session_proxy, proxy_login = proxy_of(session)
    for each in (url, proxy, session_proxy):
        secrets.add_url(each)
    for login in (session.auth, proxy_login):
        if login is not None:
            secrets.add_login(login)
    if len(session.cookie_jar):
        cookies = session.cookie_jar.filter_cookies(url).values()
        secrets.add({"cookie": "; ".join(f"{morsel.key}={morsel.value}" for morsel in cookies)})


def shown(url: URL) -> str:
    """The URL for a message: without user, password, query and fragment, and of the path what can be no key."""
    origin = url.origin() if url.scheme and url.host else ""
    return harmless(f"{origin}{shown_path(url.raw_path)}", EXCERPT_LENGTH)


def origin_of(url: URL) -> URL:
    """Scheme, host and port; a WebSocket has the origin of its handshake."""
    return url.origin().with_scheme(ORIGIN_SCHEMES[url.scheme])


def drop_credentials(origin: URL, public: frozenset[str]) -> aiohttp.ClientMiddlewareType:
    """Make a middleware that strips every header that may be a credential from requests to another origin.

    It sees the finished request, so that headers, cookies and authorisation of the session are covered too.
    """

    async def middleware(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if origin_of(request.url) != origin:
            for name in [name for name in request.headers if _may_carry_credential(name, public)]:
                del request.headers[name]
        return await handler(request)

    return middleware
