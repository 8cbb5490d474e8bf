"""Frames of an event stream, and JSON that is safe in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rxllm.models import scrub

__all__ = ["COMMENT", "UNCOLLECTED", "data", "encode", "frame"]

COMMENT = b": \n"
"""Keeps a connection alive. It is not a block of its own: some clients take an empty block for an event."""

UNCOLLECTED: Mapping[str, str] = {
    "Cache-Control": "no-cache, no-transform",
    # nginx and those who follow it collect an answer unless they are told not to.
    "X-Accel-Buffering": "no",
}
"""Headers by which nobody on the way keeps, changes or collects an event stream."""

_encode = msgspec.json.Encoder(enc_hook=str).encode


def encode(value: Any) -> bytes:
    """A JSON text in one line."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        # Half a character that a text of the application has.
        return _encode(scrub(msgspec.to_builtins(value)))


def frame(data: bytes, *, event: bytes = b"", id: bytes = b"") -> bytes:
    """One event.

    Args:
        data: What it says; one line.
        event: Its type.
        id: Its identifier; both are ours, and are one line.
    """
    head = (b"id: %b\n" % id if id else b"") + (b"event: %b\n" % event if event else b"")
    return b"%bdata: %b\n\n" % (head, data)


def data(value: Any, /) -> bytes:
    """A frame with nothing but a JSON value."""
    return b"data: %b\n\n" % encode(value)
