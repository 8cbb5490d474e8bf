"""What may be a secret, and where it must not go.

Any header but those of the protocol may carry a credential, and any part of a query. A redirect to another origin takes
none of them along; a message shows none, and neither does what a server echoes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TypeVar
from urllib.parse import quote, quote_plus

import aiohttp
from yarl import URL

from rxllm.harmless import EXCERPT_LENGTH, harmless

E = TypeVar("E", bound=Exception)

# A WebSocket begins with a request over HTTP.
ORIGIN_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

# Shorter values are words, not keys.
SHORTEST_SECRET = 8
_PROTOCOL_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "cache-control", "connection", "content-encoding", "content-length"),
        *("content-type", "host", "transfer-encoding", "upgrade", "user-agent"),
    }
)

# What need not be quoted in a query (RFC 3986, section 3.4) is often quoted all the same.
_QUERY = "/?:@!$'()*,"
_UNQUOTED = ("", "/", _QUERY, f"{_QUERY}=")


def _may_carry_credential(name: str) -> bool:
    lowered = name.lower()
    return lowered not in _PROTOCOL_HEADERS and not lowered.startswith("sec-websocket-")


class Headers(dict[str, str]):
    """Request headers whose ``repr`` shows no value that may be a secret: tracebacks may print local variables."""

    def __repr__(self) -> str:
        return repr({name: "…" if _may_carry_credential(name) else value for name, value in self.items()})

    @classmethod
    def of(cls, usual: Mapping[str, str], given: Mapping[str, str]) -> Headers:
        """The given headers, and the usual ones of other names: case does not matter (RFC 9110, section 5.1)."""
        names = {name.lower() for name in given}
        return cls({name: value for name, value in usual.items() if name.lower() not in names} | dict(given))


def _spellings(word: str) -> tuple[str, ...]:
    """A word as it is, and as it stands in URLs: some servers echo the one that was asked for, or make one."""
    return word, *(spell(word, safe=safe, errors="replace") for safe in _UNQUOTED for spell in (quote, quote_plus))


class Secrets:
    """What was sent and may be a credential; blots it out of what a server says, for some echo it.

    Args:
        *sent: Headers and queries.
    """

    def __init__(self, *sent: Mapping[str, str]) -> None:
        # As it was when it was sent.
        self._sent = [pair for fields in sent for pair in fields.items()]

    def add(self, sent: Mapping[str, str]) -> None:
        """What was sent besides: of a session's own, as a cookie of its jar, one learns with the answer."""
        self._sent += sent.items()
        vars(self).pop("words", None)

    @cached_property
    def words(self) -> list[str]:
        """What is blotted out, the longest first; found when the first error needs it, not for each request."""
        values = [value for name, value in self._sent if _may_carry_credential(name)]
        cookies = [value for name, value in self._sent if name.lower() == "cookie"]
        values += [pair.partition("=")[2] for cookie in cookies for pair in cookie.split("; ")]
        # Behind the scheme of an authorisation stands the key itself.
        words = {word for value in values for word in (value, value.rpartition(" ")[2]) if len(word) >= SHORTEST_SECRET}
        return sorted({spelling for word in words for spelling in _spellings(word)}, key=len, reverse=True)

    def __repr__(self) -> str:
        return f"Secrets({len(self.words)} of them)"

    def scrub(self, text: str) -> str:
        """The text without them, and without the beginning of one at its end, where a long text was cut."""
        for word in self.words:
            text = text.replace(word, "…")
            lengths = range(len(word) - 1, SHORTEST_SECRET - 1, -1)
            cut = next((length for length in lengths if text.endswith(word[:length])), 0)
            if cut:
                text = f"{text[:-cut]}…"
        return text

    def scrub_error(self, error: E) -> E:
        """The same error without them in its message and its attributes."""
        error.args = tuple(self.scrub(value) if isinstance(value, str) else value for value in error.args)
        for name, value in list(vars(error).items()):
            if isinstance(value, str):
                setattr(error, name, self.scrub(value))
        return error


def shown(url: URL) -> str:
    """The URL for a message: without user, password, query and fragment, which may hold a key."""
    return harmless(str(url.with_user(None).with_query(None).with_fragment(None)), EXCERPT_LENGTH)


def origin_of(url: URL) -> URL:
    """Scheme, host and port; a WebSocket has the origin of its handshake."""
    return url.origin().with_scheme(ORIGIN_SCHEMES[url.scheme])


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
