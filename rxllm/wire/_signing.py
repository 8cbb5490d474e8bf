"""A request that is about to be sent, for whoever signs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, repr=False)
class UnsignedRequest:
    """A request exactly as it will be sent. Its ``repr`` shows nothing of it, because it may hold a key.

    Attributes:
        method: The HTTP method.
        url: The URL, in the spelling that is sent.
        headers: The headers, without those that the transport adds: ``Host``, ``Content-Length``, ``User-Agent`` and
            the like.
        body: The bytes of the body; empty if there is none.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


RequestSigner: TypeAlias = Callable[[UnsignedRequest], Mapping[str, str] | Awaitable[Mapping[str, str]]]
"""A function that signs requests. It returns the headers to add, or an awaitable of them. It is called for each try."""
