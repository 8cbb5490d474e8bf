"""Frames of AWS to bytes: for servers, and for tests of what reads them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID
from zlib import crc32

from rxllm.wire._aws_headers import (
    BYTE,
    BYTES,
    EPOCH,
    FALSE,
    IDENTIFIER,
    INTEGER,
    LONG,
    SHORT,
    STRING,
    TIMESTAMP,
    TRUE,
    HeaderValue,
)

_NUMBERS = ((BYTE, ">Bb"), (SHORT, ">Bh"), (INTEGER, ">Bi"), (LONG, ">Bq"))


def encode_aws_frame(headers: Mapping[str, HeaderValue], payload: bytes = b"") -> bytes:
    r"""Encode a frame of ``application/vnd.amazon.eventstream``.

    >>> encode_aws_frame({}, b"{}")
    b'\x00\x00\x00\x12\x00\x00\x00\x00\x7f\x02\x1b\x8b{}/\x92a\xfa'

    Args:
        headers: The headers. A whole number gets the shortest type that fits; a ``datetime`` is encoded in
            milliseconds.
        payload: The content of the frame.

    Returns:
        The frame, with its checksums.

    Raises:
        ValueError: A name is longer than 255 bytes, a value longer than 65,535, a number longer than 64 bits, or a
            ``datetime`` has no time zone.
    """
    try:
        encoded = b"".join(_name(name) + _value(value) for name, value in headers.items())
    except struct.error as problem:
        raise ValueError(f"a header is too large: {problem}") from problem
    lengths = struct.pack(">II", len(encoded) + len(payload) + 16, len(encoded))
    body = b"".join((lengths, struct.pack(">I", crc32(lengths)), encoded, payload))
    return body + struct.pack(">I", crc32(body))


def _name(name: str) -> bytes:
    encoded = name.encode()
    return struct.pack(">B", len(encoded)) + encoded


def _value(value: HeaderValue) -> bytes:
    if isinstance(value, bool):
        return bytes((TRUE if value else FALSE,))
    if isinstance(value, int):
        bits = value.bit_length() + 1
        kind, form = next((each for each in _NUMBERS if bits <= 8 * (struct.calcsize(each[1]) - 1)), _NUMBERS[-1])
        return struct.pack(form, kind, value)
    if isinstance(value, UUID):
        return bytes((IDENTIFIER,)) + value.bytes
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a timestamp needs a time zone")
        return struct.pack(">Bq", TIMESTAMP, (value - EPOCH) // timedelta(milliseconds=1))
    kind, data = (STRING, value.encode()) if isinstance(value, str) else (BYTES, value)
    return struct.pack(">BH", kind, len(data)) + data
