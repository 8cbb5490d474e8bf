"""The headers of a frame of AWS: name, type and value, one behind the other.

A name is one byte of length and UTF-8. Of the ten types two have no value, and those of bytes and text begin with two
bytes of length. Numbers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, TypeAlias
from uuid import UUID

HeaderValue: TypeAlias = bool | int | bytes | str | datetime | UUID
"""The value of a header: all ten types, of which four are whole numbers."""

TRUE, FALSE, BYTE, SHORT, INTEGER, LONG, BYTES, STRING, TIMESTAMP, IDENTIFIER = range(10)
"""The types, as they are numbered on the wire."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""What timestamps count from, in milliseconds."""

_LENGTH = struct.Struct(">H")
_NUMBERS: Mapping[int, struct.Struct] = MappingProxyType(
    {BYTE: struct.Struct(">b"), SHORT: struct.Struct(">h"), INTEGER: struct.Struct(">i"), LONG: struct.Struct(">q")}
)
_MILLISECONDS = _NUMBERS[LONG]
_IDENTIFIER_BYTES = 16


def headers_in(data: bytes) -> dict[str, HeaderValue]:
    """Read the headers of a frame.

    Args:
        data: All of them.

    Raises:
        ValueError: They are malformed, or a name comes twice.
    """
    headers: dict[str, HeaderValue] = {}
    start = 0
    while start < len(data):
        end = start + 1 + data[start]
        name = _text(_cut(data, start + 1, end), "a name")
        if name in headers:
            raise ValueError("a name comes twice")
        (kind,) = _cut(data, end, end + 1)
        headers[name], start = _value(data, end + 1, kind)
    return headers


def _value(data: bytes, start: int, kind: int) -> tuple[HeaderValue, int]:
    """The value that begins there, and where it ends."""
    if kind in _FLAGS:
        return _FLAGS[kind], start
    if kind in {BYTES, STRING}:
        length = _LENGTH.unpack(_cut(data, start, start + _LENGTH.size))[0]
        start += _LENGTH.size
    elif kind in _SIZES:
        length = _SIZES[kind]
    else:
        raise ValueError(f"{kind} is not a type of a value")
    value = _cut(data, start, start + length)
    return _READ[kind](value), start + length


def _cut(data: bytes, start: int, end: int) -> bytes:
    if end > len(data):
        raise ValueError("they end within a header")
    return data[start:end]


def _text(data: bytes, what: str = "a text") -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{what} is not UTF-8") from None


def _number(form: struct.Struct) -> Callable[[bytes], Any]:
    return lambda data: form.unpack(data)[0]


def _timestamp(data: bytes) -> datetime:
    milliseconds: int = _MILLISECONDS.unpack(data)[0]
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise ValueError("a timestamp is out of range") from None


_FLAGS: Mapping[int, bool] = MappingProxyType({TRUE: True, FALSE: False})
_SIZES: Mapping[int, int] = MappingProxyType(
    {**{kind: form.size for kind, form in _NUMBERS.items()}, TIMESTAMP: 8, IDENTIFIER: _IDENTIFIER_BYTES}
)
_READ: Mapping[int, Callable[[bytes], Any]] = MappingProxyType(
    {
        **{kind: _number(form) for kind, form in _NUMBERS.items()},
        BYTES: bytes,
        STRING: _text,
        TIMESTAMP: _timestamp,
        IDENTIFIER: lambda data: UUID(bytes=data),
    }
)
