"""Wire formats without input or output: bytes in, events out, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports
from rxllm.wire._encode import encode_comment, encode_sse
from rxllm.wire._event import ServerSentEvent
from rxllm.wire._sse import DEFAULT_MAX_EVENT_BYTES, SSEDecoder, SSETextDecoder

if TYPE_CHECKING:
    from rxllm.wire._recording import *
else:
    __getattr__, __dir__ = lazy_exports(__name__, "_recording")

__all__ = [
    "DEFAULT_MAX_EVENT_BYTES",
    "SSEDecoder",
    "SSETextDecoder",
    "ServerSentEvent",
    "WireEnd",
    "WireEnding",
    "WireRead",
    "WireRecord",
    "WireRequest",
    "WireResponse",
    "WireTransport",
    "decode_record",
    "encode_comment",
    "encode_record",
    "encode_sse",
]
