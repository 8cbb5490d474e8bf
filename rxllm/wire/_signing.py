"""A request that is about to be sent, for whoever signs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, repr=False)
class UnsignedRequest:
    """A request exactly as it is going to be sent. Its ``repr`` shows nothing of it, for it may hold a key.

    Attributes:
        method: The method of HTTP.
        url: The address, in the spelling that is sent.
        headers: The headers, but for those that the transport adds: ``Host``, ``Content-Length``, ``User-Agent`` and
            the like.
        body: The bytes of the body; empty if there is none.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


RequestSigner: TypeAlias = Callable[[UnsignedRequest], Mapping[str, str] | Awaitable[Mapping[str, str]]]
"""What signs requests: returns the headers to add, at once or to be awaited. It is called anew for each try."""
