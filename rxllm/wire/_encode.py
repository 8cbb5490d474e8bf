"""Server-sent events to bytes: the other direction, for servers and recordings.

What was encoded decodes to the same event, except for what the format cannot say:

- CR and CRLF within the data come back as LF, since each of them ends a ``data`` line.
- An event without an ID keeps the ID of the event before it, since IDs stay until another one comes.
- Lone surrogates become U+FFFD, as in the "UTF-8 encode" of WHATWG Encoding.
"""

from __future__ import annotations

import re

from rxllm.wire._event import ServerSentEvent

_LINE_END = re.compile("\r\n|\r|\n")


def encode_sse(event: ServerSentEvent) -> bytes:
    r"""Encode one event, with the blank line that dispatches it.

    >>> encode_sse(ServerSentEvent("two\nlines", event="note", id="7"))
    b'event: note\nid: 7\ndata: two\ndata: lines\n\n'

    Args:
        event: The event. Fields with the default value (``"message"``, no ID, no ``retry``) are left out.

    Returns:
        The lines of the event, in UTF-8.

    Raises:
        ValueError: The type or the ID has a line end, the ID has a NUL, or ``retry`` is negative: a decoder would not
            read the same event.
    """
    lines: list[str] = []
    if event.event not in ("message", ""):
        lines.append(f"event: {_one_line('event', event.event)}")
    if event.id:
        lines.append(f"id: {_one_line('id', event.id)}")
    if event.retry is not None:
        if event.retry < 0:
            raise ValueError(f"retry is a number of milliseconds, not {event.retry}")
        lines.append(f"retry: {event.retry}")
    lines += [f"data: {line}" for line in _LINE_END.split(event.data)]
    return _utf8("\n".join(lines) + "\n\n")


def encode_comment(text: str) -> bytes:
    r"""Encode a comment. Servers send comments to keep a connection alive.

    >>> encode_comment("ping")
    b': ping\n\n'

    Args:
        text: The text; several lines become several comments.

    Returns:
        The comment lines and a blank line, in UTF-8. Send them between events, not within one.
    """
    return _utf8("\n".join(f": {line}" for line in _LINE_END.split(text)) + "\n\n")


def _one_line(field: str, value: str) -> str:
    if _LINE_END.search(value) or (field == "id" and "\0" in value):
        raise ValueError(f"{field} cannot hold {value!r}")
    return value


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Through UTF-16, halves of a pair that do meet become the character that they are.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
