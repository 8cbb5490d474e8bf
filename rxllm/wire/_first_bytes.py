"""What a body is by its first bytes, where its media type does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rxllm.wire._text_decoder import BYTE_ORDER_MARK

EVENT_STREAM = "text/event-stream"
"""The media type of server-sent events."""

WHITESPACE = b" \t\r\n"
"""What may stand before a JSON text, and before the first event."""


# A comment, a field of an event, or an object in a field that some servers report errors in.
_EVENT = re.compile(rb"(?:\xef\xbb\xbf)?\s*+(?::|(?:data|event|id|retry)[:\r\n]|error:\s*+\{)")
_BEGINNINGS = (b"data", b"event", b"id", b"retry", b"error: {")


def media_types(headers: Iterable[str]) -> list[str]:
    """The media types in the lines of a Content-Type, without parameters: some servers send two, or two lines.

    >>> media_types(["application/json, Text/Event-Stream; charset=utf-8"])
    ['application/json', 'text/event-stream']
    """
    parts = (part.partition(";")[0].strip().lower() for line in headers for part in line.split(","))
    return [part for part in parts if part]


def starts_events(start: bytes | bytearray) -> bool | None:
    r"""Whether a body that starts like this is an event stream; ``None`` if more of it has to be seen.

    >>> starts_events(b"\n: ping"), starts_events(b"data: {"), starts_events(b"{"), starts_events(b"dat")
    (True, True, False, None)
    """
    if _EVENT.match(start):
        return True
    text = start.removeprefix(BYTE_ORDER_MARK).lstrip(WHITESPACE)
    undecided = not text or BYTE_ORDER_MARK.startswith(start) or any(each.startswith(text) for each in _BEGINNINGS)
    return None if undecided else False
