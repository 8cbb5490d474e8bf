"""Wire formats without input or output: bytes in, events out, and back."""

from rxllm.wire._encode import encode_comment, encode_sse
from rxllm.wire._event import ServerSentEvent
from rxllm.wire._sse import DEFAULT_MAX_EVENT_BYTES, SSEDecoder

__all__ = ["DEFAULT_MAX_EVENT_BYTES", "SSEDecoder", "ServerSentEvent", "encode_comment", "encode_sse"]
