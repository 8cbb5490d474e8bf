"""Where a request goes, and what it is.

Rules:

1. A dialect makes the whole request: address, headers with the key in them, body. A client adds what its user gave it
   and sends it.
2. The key stays a ``SecretStr`` until it is in a header. No ``repr`` shows it, nor a base URL, which may hold another.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from pydantic import SecretStr

from rxllm.models import Repair
from rxllm.wire import Framing, RequestSigner

if TYPE_CHECKING:
    from rxllm.dialects._dialect import Reader

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_VERSION = re.compile(r"v\d+[a-z0-9]*")


@dataclass(frozen=True, kw_only=True)
class Home:
    """The base URL of a provider, and the environment variables for it and for the key.

    A key from the environment is sent only there, to the base URL from the environment, and to this machine.

    Args:
        base_url: The base URL if the user gives none; ``None`` if the user has to give one.
        base_url_variable: The environment variable that may have another base URL.
        key_variable: The environment variable that has the key; ``None`` if no key is needed.
        hint: Another way to set the base URL, for the error message when it is missing.
    """

    base_url: str | None
    base_url_variable: str | None = None
    key_variable: str | None = None
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The server that a request goes to.

    Args:
        base_url: The base URL, or the whole URL of the endpoint.
        key: The key, empty if there is none.
    """

    base_url: str = field(repr=False)
    key: SecretStr = field(default_factory=lambda: SecretStr(""))

    @property
    def host(self) -> str:
        """The host in the form of ``Origin.host``: with its port, if that is not the default one."""
        parts = urlsplit(self.base_url)
        host, port = parts.hostname or "", parts.port
        return host if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{port}"

    def url(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """Return the URL of a path below the base URL.

        If the base URL has the path already, or the version at its beginning, that is not added again. A query of the
        base URL stays, and wins over ``query``.

        Args:
            path: The path, beginning with a slash.
            query: The values of the query, by name.

        >>> Endpoint(base_url="https://host/v1?api-version=1").url("/v1/messages")
        'https://host/v1/messages?api-version=1'
        """
        parts = urlsplit(self.base_url)
        named = dict(parse_qsl(parts.query, keep_blank_values=True))
        added = urlencode({name: value for name, value in (query or {}).items() if name not in named})
        whole = _joined(parts.path.rstrip("/"), path)
        return SplitResult(parts.scheme, parts.netloc, whole, "&".join(filter(None, (parts.query, added))), "").geturl()


def _joined(base: str, path: str) -> str:
    if base.endswith(path):
        return base
    version = path.split("/")[1]
    if _VERSION.fullmatch(version) and base.endswith(f"/{version}"):
        return base + path.removeprefix(f"/{version}")
    return base + path


@dataclass(frozen=True, kw_only=True, repr=False)
class WireRequest:
    """A request as it is sent. Its ``repr``, which tracebacks may show, does not contain the key.

    Args:
        url: The URL.
        body: The body, as a JSON object; over a WebSocket the first frame.
        headers: The headers, including those with the key.
        public_headers: The names of headers that hold no secret, such as the version of an API. The values of all
            others are blotted out of errors, and are not sent when a server redirects to another one.
        method: The HTTP method.
        framing: How the body of the answer is framed: what the decoder gets, and what ``Accept`` asks for.
        end_marker: The data of the last event of a stream; ``None`` if there is no such event.
        repairs: The losses in the conversion that do not matter to the answer: see the kinds of ``rxllm.Repair``.
        reader: The reader of the answer, if it is not the dialect itself.
        sign: Signs the request when it is sent; the headers that it returns are added. They are not sent when a server
            redirects to another one.
    """

    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    public_headers: Collection[str] = ()
    method: str = "POST"
    framing: Framing = "sse"
    end_marker: str | None = None
    repairs: tuple[Repair, ...] = ()
    reader: Reader | None = None
    sign: RequestSigner | None = None


def bearer(key: SecretStr) -> dict[str, str]:
    """The usual header with a key; none without one."""
    value = key.get_secret_value()
    return {"Authorization": f"Bearer {value}"} if value else {}
