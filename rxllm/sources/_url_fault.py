"""What is wrong with a URL, in words that show nothing of it that may be a key."""

from __future__ import annotations

import re

from yarl import URL

from rxllm.sources._credentials import ORIGIN_SCHEMES
from rxllm.sources._shown_path import looks_like_key

_IN_A_LOGIN = "each of : / ? # [ ] @ % in user and password as %3A, %2F, …"
HOW_TO_WRITE_A_PROXY = f"write http://user:password@host:port or https://…, and {_IN_A_LOGIN}"
"""What to do about the URL of a proxy that cannot be used."""

# A host that may be shown, for it is no key: a name with a dot, or localhost, or one with a port. And is there more?
_HOST = re.compile(
    r"/{0,2}((?:[a-z0-9-]+\.)+[a-z0-9-]+(?::\d+)?|localhost(?::\d+)?|[a-z0-9-]+:\d+)(/|$)", re.IGNORECASE
)
_LOCAL = re.compile(r"localhost\b|127\.|10\.|192\.168\.|0\.0\.0\.0|[a-z0-9-]+:\d", re.IGNORECASE)


def fault_of(url: str) -> str:
    """Say what is wrong with a URL: ``""`` if it can be requested.

    >>> fault_of("localhost:8080/v1")
    "it has no scheme: did you mean 'http://localhost:8080/…'?"
    """
    if not url.strip():
        return "it is empty"
    try:
        parsed = URL(url)
        scheme, host = parsed.scheme, parsed.host
    except ValueError:  # whose text is the URL, with the query
        scheme, host = url.partition("://")[0].lower(), None
    if scheme in ORIGIN_SCHEMES:
        advice = f": write {_IN_A_LOGIN}" if "@" in url else ""
        return "" if host else f"it has no host that can be read{advice}"
    if "://" in url:
        return "its scheme is none of http, https, ws and wss"
    shown = _HOST.match(url)
    if shown is None or "@" in url or looks_like_key(shown[1]):
        return "it has no scheme: begin it with https:// or http://"
    secure = "http" if _LOCAL.match(shown[1]) else "https"
    return f"it has no scheme: did you mean '{secure}://{shown[1]}{'/…' if shown[2] else ''}'?"
