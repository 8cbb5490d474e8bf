r"""Frames of AWS from bytes (``application/vnd.amazon.eventstream``), without input or output.

A frame is its length, that of its headers and a checksum of both, 4 bytes each; headers; payload; and a checksum of all
of it.

Rules:

1. Lengths count only when their checksum is right, so that no wrong one is waited for or kept. Headers and payload
   count only when that of the frame is right.
2. Nothing can be read behind a frame that is wrong, for nobody knows where the next one begins. Those before it are
   given first.
3. Each byte is looked at a fixed number of times, however the stream is cut into reads.
4. What is kept of an unfinished frame is bounded, and so are its headers.
5. A stream that ends within a frame was cut.

The headers of nearly all frames of an answer are the same bytes, and so are the lengths of many. What such a head says
is remembered by its bytes, and so is its checksum, which goes on from there over the payload. A frame whose head is new
is read in full, and so is one that is not whole or is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias
from zlib import crc32

from rxllm.exceptions import DecodeError, ItemsThenError, LimitExceededError, StreamInterruptedError
from rxllm.harmless import EXCERPT_LENGTH, excerpt
from rxllm.wire._aws_headers import HeaderValue, headers_in
from rxllm.wire._text_decoder import DEFAULT_MAX_EVENT_BYTES

AWS_FRAMES = "application/vnd.amazon.eventstream"
"""The media type of a stream of them."""

_NAME = "aws-event-stream"

MAX_HEADER_BYTES = 128 * 1024
"""The most bytes that the headers of one frame may have."""

_PRELUDE = struct.Struct(">III")
_NUMBER = struct.Struct(">I")
_LEAST = _PRELUDE.size + _NUMBER.size
# How many headers are kept that were read, how many heads, and how long the headers may be.
_MOST_KNOWN = 16
_MOST_HEADS = 128
_LONGEST_KNOWN = 512


class AWSFrame(NamedTuple):
    """A frame of an event stream of AWS.

    Attributes:
        headers: The headers by name. Numbers are ``int``, timestamps ``datetime`` in UTC, identifiers ``UUID``.
        payload: The content, usually JSON.
    """

    headers: Mapping[str, HeaderValue]
    payload: bytes

    @property
    def data(self) -> bytes:
        """The payload, with the same attribute name as in ``ServerSentEvent``."""
        return self.payload


# As for server-sent events: the constructor of a NamedTuple takes twice as long.
_new_frame = tuple[Any, ...].__new__

# What a head says: how long its frame is, the headers, and the checksum up to there.
_Head: TypeAlias = tuple[int, dict[str, HeaderValue], int]


class AWSFrameDecoder:
    r"""Turns the bytes of an event stream of AWS into frames; the bytes may be split anywhere.

    >>> decoder = AWSFrameDecoder()
    >>> decoder.feed(b"\0\0\0\x12\0\0\0\0\x7f\x02\x1b\x8b")
    []
    >>> decoder.feed(b"{}/\x92a\xfa")
    [AWSFrame(headers={}, payload=b'{}')]

    Args:
        max_event_bytes: The most bytes that one frame may have. A larger frame is a ``LimitExceededError`` as soon as
            its length is known.

    Attributes:
        frames: How many frames have come.
    """

    __slots__ = ("_buffer", "_error", "_heads", "_known", "_limit", "_need", "_offset", "frames")

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        if max_event_bytes < 1:
            raise ValueError(f"max_event_bytes must be positive, not {max_event_bytes}")
        self.frames: int = 0
        self._limit = max_event_bytes
        self._error: Exception | None = None
        # The frame under way, how many bytes there have to be before it is looked at again, and where it begins.
        self._buffer = bytearray()
        self._need = _PRELUDE.size
        self._offset = 0
        self._known: dict[bytes, dict[str, HeaderValue]] = {}
        self._heads: dict[bytes, _Head] = {}

    def feed(self, data: bytes) -> list[AWSFrame]:
        """Take the next bytes of the stream.

        Args:
            data: Any number of bytes, cut anywhere.

        Returns:
            The frames that are complete now. If the bytes after them are wrong, the iterable raises the error after the
            last frame, so that no frame is lost.

        Raises:
            DecodeError: A checksum, a length or a header is wrong, and no complete frame came before it in ``data``.
                After such an error nothing more can be read from this stream.
            LimitExceededError: In the same way: a frame is too large, or its headers are.
        """
        if self._error is not None:
            raise self._error
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._need:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        frames: list[AWSFrame] = []
        try:
            start = self._take(data, frames)
        except (DecodeError, LimitExceededError) as error:
            self._error = error
            if not frames:
                raise
            return ItemsThenError(frames, error)
        self._buffer += data[start:] if start else data
        return frames

    @property
    def pending(self) -> int:
        """How many bytes have come of the frame that is not complete."""
        return len(self._buffer)

    def close(self) -> None:
        """Say that the stream has ended.

        Raises:
            StreamInterruptedError: The stream ended within a frame.
        """
        if self._buffer:
            size = f"{len(self._buffer)} bytes" + (f" of {self._need}" if self._need > _PRELUDE.size else "")
            self._buffer.clear()
            message = f"the stream ended within {self._place}: only {size} had come"
            raise StreamInterruptedError(message, events=self.frames)

    def _take(self, data: bytes, frames: list[AWSFrame]) -> int:
        """Take the frames that are whole; returns where the one begins that is not."""
        self._need = _PRELUDE.size
        heads, before, offset = self._heads, self.frames, self._offset
        start, size = 0, len(data)
        while size - start >= _PRELUDE.size:
            body = start + _PRELUDE.size + _NUMBER.unpack_from(data, start + 4)[0]
            head = heads.get(data[start:body])
            if head is not None:
                total, headers, checksum = head
                end = start + total
                payload = data[body : end - 4]
                # If some of the frame is missing, so is the checksum at its end.
                if end <= size and crc32(payload, checksum) == _NUMBER.unpack_from(data, end - 4)[0]:
                    frames.append(_new_frame(AWSFrame, (headers.copy(), payload)))
                    start = end
                    continue
            self.frames, self._offset = before + len(frames), offset + start
            end = self._take_in_full(data, start, frames)
            if not end:
                return start
            start = end
        self.frames, self._offset = before + len(frames), offset + start
        return start

    def _take_in_full(self, data: bytes, start: int, frames: list[AWSFrame]) -> int:
        """Take the frame that begins there; returns where it ends, and 0 if it is not whole."""
        total: int
        total, header_bytes, checksum = _PRELUDE.unpack_from(data, start)
        if crc32(data[start : start + 8]) != checksum or total < _LEAST or header_bytes > total - _LEAST:
            raise self._malformed(data, start, _fault_of(data, start))
        if total > self._limit or header_bytes > MAX_HEADER_BYTES:
            raise self._too_large(data, start, total)
        end = start + total
        if end > len(data):
            self._need = total
            return 0
        if crc32(data[start : end - 4]) != _NUMBER.unpack_from(data, end - 4)[0]:
            raise self._malformed(data, start, "its checksum is wrong")
        body = start + _PRELUDE.size + header_bytes
        encoded = data[start + _PRELUDE.size : body]
        headers = self._known.get(encoded) or self._read_headers(data, start, encoded)
        if len(self._heads) < _MOST_HEADS and header_bytes <= _LONGEST_KNOWN:
            head = data[start:body]
            self._heads[head] = (total, headers, crc32(head))
        frames.append(_new_frame(AWSFrame, (headers.copy(), data[body : end - 4])))
        return end

    def _read_headers(self, data: bytes, start: int, encoded: bytes) -> dict[str, HeaderValue]:
        try:
            headers = headers_in(encoded)
        except ValueError as problem:
            raise self._malformed(data, start, f"its headers are malformed: {problem}") from None
        if len(self._known) < _MOST_KNOWN and len(encoded) <= _LONGEST_KNOWN:
            self._known[encoded] = headers
        return headers

    def _malformed(self, data: bytes, start: int, fault: str) -> DecodeError:
        text = data[start : start + EXCERPT_LENGTH]
        return DecodeError(
            f"{self._place} is not a frame of an event stream of AWS: {fault}; it starts with {excerpt(text)}",
            dialect=_NAME,
            position=self.frames,
            text=text.decode(errors="replace"),
        )

    def _too_large(self, data: bytes, start: int, total: int) -> LimitExceededError:
        name, maximum = ("max_event_bytes", self._limit)
        if total <= self._limit:
            name, maximum = ("max_header_bytes", MAX_HEADER_BYTES)
        shown = excerpt(data[start : start + EXCERPT_LENGTH])
        message = f"{self._place} exceeds {name}={maximum}; it starts with {shown}"
        return LimitExceededError(message, limit=name, maximum=maximum)

    @property
    def _place(self) -> str:
        return f"frame {self.frames} (at byte {self._offset})"


def starts_aws_frame(start: bytes | bytearray) -> bool | None:
    """Whether a body that starts like this has frames; ``None`` if more of it has to be seen."""
    if len(start) < _PRELUDE.size:
        return None
    return bool(crc32(start[:8]) == _PRELUDE.unpack_from(start)[2])


def _fault_of(data: bytes, start: int) -> str:
    if crc32(data[start : start + 8]) != _PRELUDE.unpack_from(data, start)[2]:
        return "the checksum of its lengths is wrong"
    return "its lengths contradict each other"
