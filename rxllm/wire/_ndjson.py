r"""Lines of JSON from bytes (https://github.com/ndjson/ndjson-spec, https://jsonlines.org), without input or output.

Rules:

1. A line ends in LF. A CR before it is no part of the line. Nothing else ends one: within a JSON text no line end can
   stand as it is.
2. A byte order mark is skipped at the start of the stream and nowhere else. Blank lines are passed over.
3. UTF-8 is decoded on whole lines only; what is invalid becomes U+FFFD.
4. What the end finds without a line end is a line if the stream ended in good order and it is a whole JSON text: some
   servers leave the last line end out. Otherwise it was cut, and is discarded.
5. Each byte is looked at a fixed number of times, however the stream is cut into reads.
6. What is kept of an unfinished line is bounded.
7. Whether a line is JSON is for whoever reads it to say, who can tell where it stood.
"""

from __future__ import annotations

import json
from typing import Any

from rxllm.exceptions import LimitExceededError
from rxllm.harmless import EXCERPT_LENGTH, excerpt
from rxllm.wire._json_size import check_json_size
from rxllm.wire._text_decoder import DEFAULT_MAX_EVENT_BYTES, TextDecoder


class NDJSONDecoder(TextDecoder[str]):
    r"""Turns the bytes of lines of JSON into the text of each line; the bytes may be split anywhere.

    >>> decoder = NDJSONDecoder()
    >>> decoder.feed(b'{"text":"Hel')
    []
    >>> decoder.feed(b'lo"}\r\n\n{"done":true}')
    ['{"text":"Hello"}']
    >>> decoder.close()
    ['{"done":true}']

    Args:
        max_event_bytes: The most bytes that one line may have. A longer line is a ``LimitExceededError``.

    Attributes:
        events: How many lines have come.
        discarded: How many bytes of an unfinished line were discarded at the end.
    """

    __slots__ = ("discarded",)

    events: int

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        super().__init__(max_event_bytes)
        self.discarded: int = 0

    def feed(self, data: bytes) -> list[str]:
        """Take the next bytes of the stream.

        Args:
            data: Any number of bytes, cut anywhere.

        Returns:
            The lines that are complete now, without line ends. If the bytes after them exceed the limit, the iterable
            raises ``LimitExceededError`` after the last line, so that no line is lost.

        Raises:
            LimitExceededError: The limit is exceeded, and no complete line came before that in ``data``. After this
                error nothing more can be read from this stream.
        """
        if self._error is not None:
            raise self._error
        if not self._started:
            data = self._skip_byte_order_mark(data)
        return self._take_all(data)

    def close(self, *, in_good_order: bool = True) -> list[str]:
        """Note that the stream has ended, and discard an unfinished line.

        Args:
            in_good_order: Whether the sender ended the stream; false if the connection was lost.

        Returns:
            The last line, if only its line end is missing; else nothing.
        """
        line = bytes(self._line)
        self._line.clear()
        if not line.strip() or self._error is not None:
            return []
        text = line.decode("utf-8", "replace").removesuffix("\r")
        if in_good_order and is_json(text):
            self.events += 1
            return [text]
        self.discarded = len(line)
        return []

    def _take(self, data: bytes) -> None:
        """Finish the open line, take the whole ones behind it, and leave the last one open."""
        if self._line:
            end = data.find(b"\n") + 1
            self._extend(data[: end - 1] if end else data)
            if not end:
                return
            self._take_lines(self._line)
            self._line.clear()
            data = data[end:]
        whole, end_of_line, rest = data.rpartition(b"\n")
        if end_of_line:
            self._take_lines(whole)
        self._line += rest

    def _take_lines(self, whole: bytes | bytearray) -> None:
        text = whole.decode("utf-8", "replace")
        if "\r" in text:
            text = f"{text}\n".replace("\r\n", "\n")
        self._ready += [line for line in text.split("\n") if line and not line.isspace()]

    def _extend(self, piece: bytes) -> None:
        if len(self._line) + len(piece) > self._limit:
            position = self.events + len(self._ready)
            start = bytes((self._line + piece[:EXCERPT_LENGTH])[:EXCERPT_LENGTH])
            raise LimitExceededError(
                f"line {position} exceeds max_event_bytes={self._limit}; it starts with {excerpt(start)}",
                limit="max_event_bytes",
                maximum=self._limit,
            )
        self._line += piece


def is_json(text: str | bytearray) -> bool:
    """Whether a text is JSON as a whole, and not too much of it."""
    try:
        check_json_size(text)
        json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError, LimitExceededError):
        return False
    return True


def is_json_object(text: str | bytearray) -> bool:
    """Whether a text is a JSON object as a whole."""
    start: Any = text[:1]
    return start in ("{", b"{") and is_json(text)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
