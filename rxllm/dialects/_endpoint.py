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
    """Where a dialect is at home.

    A key of the environment goes there, to the base URL of the same environment, and to this machine.

    Args:
        base_url: The base URL, if none is given; ``None`` where it has to be given.
        base_url_variable: The variable of the environment that has another one.
        key_variable: The variable of the environment that has the key; ``None`` where none is needed.
        hint: How else the base URL is found, for the error that it is missing.
    """

    base_url: str | None
    base_url_variable: str | None = None
    key_variable: str | None = None
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a request goes.

    Args:
        base_url: The base URL. The whole address of the endpoint will do.
        key: The key, empty if there is none.
    """

    base_url: str = field(repr=False)
    key: SecretStr = field(default_factory=lambda: SecretStr(""))

    @property
    def host(self) -> str:
        """The host, as ``Origin.host`` has it: with its port, if that is not the usual one."""
        parts = urlsplit(self.base_url)
        host, port = parts.hostname or "", parts.port
        return host if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{port}"

    def url(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """The address of something below the base URL.

        What the base URL has of the path already, all of it or the version at its beginning, is not added once more. A
        query of the base URL stays, and what it names counts.

        Args:
            path: What is asked for, beginning with a slash.
            query: What stands behind the question mark, by name.

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
    """A request as it is sent. Its ``repr``, which tracebacks may show, says nothing of the key.

    Args:
        url: The address.
        body: The body, as a JSON object; over a WebSocket the first frame.
        headers: The headers, those with the key among them.
        public_headers: The names of headers that hold no secret, as the version of a protocol. What stands in any
            other is taken out of errors, and a redirect to another server does not take it along.
        method: The method of HTTP.
        framing: How the body of the answer is framed: what the decoder gets, and what ``Accept`` asks for.
        end_marker: The data of the event behind which nothing follows; ``None`` if there is none.
        repairs: What was left out that the other side need not know: see the kinds of ``rxllm.Repair``.
        reader: What reads the answer, if not the dialect as it is: one that knows more of it.
        sign: What signs it, when it is sent; the headers that it gives are added. A redirect to another server does not
            take them along.
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
