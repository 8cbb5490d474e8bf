"""What a reader of Durable Streams asks for."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from rxllm.serving._durable_offset import Offset

__all__ = ["BadQueryError", "Live", "Query", "cursor_behind"]

Live: TypeAlias = Literal["", "long-poll", "sse"]

_EPOCH = 1728432000
"""9 October 2024, from which the protocol counts."""

_INTERVAL: Final = 20
_LONGEST_DELAY: Final = 3600
_CURSOR_DIGITS = 15


class BadQueryError(ValueError):
    """A query is none of the protocol."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a reader asks for.

    Attributes:
        start: The offset as it was asked for, ``-1`` if it was not.
        offset: From where on; ``None`` for where the stream is now.
        live: How it wants what comes; ``""`` for not at all.
        cursor: The cursor it got last; ``None`` if it sent none.
    """

    start: str
    offset: Offset | None
    live: Live
    cursor: str | None

    @classmethod
    def parse(cls, pairs: Sequence[tuple[str, str]]) -> Query:
        """Read a query. What the protocol does not know is ignored.

        Raises:
            BadQueryError: It is none.
        """
        live = _one(pairs, "live") or ""
        if live not in {"", "long-poll", "sse"}:
            raise BadQueryError("live must be long-poll or sse")
        start = _one(pairs, "offset")
        if start is None:
            if live:
                raise BadQueryError("A live read needs an offset.")
            start = "-1"
        return cls(start, _offset(start), cast("Live", live), _one(pairs, "cursor"))


def cursor_behind(sent: str | None) -> str:
    """The cursor of an answer: the time, but never what the reader has, so that no cache is asked in circles."""
    now = int(time.time() - _EPOCH) // _INTERVAL
    if sent is None or not (sent.isascii() and sent.isdecimal() and len(sent) <= _CURSOR_DIGITS) or int(sent) < now:
        return str(now)
    return str(int(sent) + -(-random.randint(1, _LONGEST_DELAY) // _INTERVAL))  # noqa: S311 - no secret


def _one(pairs: Sequence[tuple[str, str]], name: str) -> str | None:
    values = [value for key, value in pairs if key == name]
    if len(values) > 1:
        raise BadQueryError(f"{name} is given more than once.")
    return values[0] if values else None


def _offset(text: str) -> Offset | None:
    if text == "now":
        return None
    if text == "-1":
        return Offset()
    try:
        return Offset.parse(text)
    except ValueError:
        raise BadQueryError("offset is not one that this server has given.") from None
