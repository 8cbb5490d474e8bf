"""Wire formats without input or output: bytes in, events out, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports
from rxllm.wire._aws_frames import AWS_FRAMES as AWS_FRAMES
from rxllm.wire._aws_frames import MAX_HEADER_BYTES as MAX_HEADER_BYTES
from rxllm.wire._aws_frames import AWSFrame, AWSFrameDecoder
from rxllm.wire._aws_headers import HeaderValue
from rxllm.wire._encode import encode_comment, encode_sse
from rxllm.wire._encode_aws_frame import encode_aws_frame
from rxllm.wire._event import ServerSentEvent
from rxllm.wire._first_bytes import EVENT_STREAM as EVENT_STREAM
from rxllm.wire._first_bytes import WHITESPACE as WHITESPACE
from rxllm.wire._first_bytes import media_types as media_types
from rxllm.wire._first_bytes import starts_events as starts_events
from rxllm.wire._framing import BodyFraming as BodyFraming
from rxllm.wire._framing import Framing
from rxllm.wire._framing import framing_of as framing_of
from rxllm.wire._json_size import LARGE_JSON as LARGE_JSON
from rxllm.wire._json_size import check_json_size as check_json_size
from rxllm.wire._ndjson import NDJSONDecoder
from rxllm.wire._ndjson import is_json_object as is_json_object
from rxllm.wire._retry_after import retry_after_in as retry_after_in
from rxllm.wire._retry_after import retry_after_of as retry_after_of
from rxllm.wire._retryable import is_lasting as is_lasting
from rxllm.wire._retryable import is_retryable as is_retryable
from rxllm.wire._retryable import should_retry_of as should_retry_of
from rxllm.wire._signing import RequestSigner, UnsignedRequest
from rxllm.wire._sse import SSEDecoder, SSETextDecoder
from rxllm.wire._sse import feed as feed
from rxllm.wire._strays import Strays as Strays
from rxllm.wire._text_decoder import DEFAULT_MAX_EVENT_BYTES

if TYPE_CHECKING:
    from rxllm.wire._recording import *
else:
    __getattr__, __dir__ = lazy_exports(__name__, "_recording")

__all__ = [
    "DEFAULT_MAX_EVENT_BYTES",
    "AWSFrame",
    "AWSFrameDecoder",
    "Framing",
    "HeaderValue",
    "NDJSONDecoder",
    "RequestSigner",
    "SSEDecoder",
    "SSETextDecoder",
    "ServerSentEvent",
    "UnsignedRequest",
    "WireEnd",
    "WireEnding",
    "WireRead",
    "WireRecord",
    "WireRequest",
    "WireResponse",
    "WireTransport",
    "decode_record",
    "encode_aws_frame",
    "encode_comment",
    "encode_record",
    "encode_sse",
]
