"""What a dialect is: the way from a request to what is sent, and from a provider's events to chunks.

Rules:

1. A dialect is a value and has no state; each subscription gets a decoder of its own, which has.
2. A decoder takes the items of a transport one at a time, and says when the answer is over (``done``). What
   arrives after that is ignored.
3. A transport that ended in good order says so with ``close``; whether the answer was whole then is for the
   decoder to judge. A transport that failed calls it only if the answer was ``finished``: then nothing is missing.
4. Nothing outside this package knows the name of a provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

from rxllm.dialects._endpoint import Endpoint, Home, WireRequest
from rxllm.dialects._rate_limits import RateLimits
from rxllm.exceptions import APIStatusError
from rxllm.models import ChatRequest, StreamChunk
from rxllm.wire import AWSFrame, ServerSentEvent

WireItem: TypeAlias = ServerSentEvent | AWSFrame | str | bytes
"""What transports deliver: an event of an event stream, the text of a line of JSON, or a frame: of AWS, or of a
WebSocket.
"""


class StreamDecoder(Protocol):
    """The decoder of one stream."""

    @property
    def done(self) -> bool:
        """Whether the stream has said that it is over."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the answer is whole, although the stream has not said that it is over.

        Each choice has ended, and the arguments of every call are closed. Usage may still follow, so the source waits a
        moment.
        """
        ...

    def decode(self, event: WireItem, /) -> Iterable[StreamChunk]:
        """Turn an item into chunks: none, one or several.

        Iterate over the result at once. It may give good chunks and then raise.

        Args:
            event: The item that arrived.

        Returns:
            The chunks.

        Raises:
            APIStreamError: The item reports an error of the server.
            DecodeError: The dialect does not know such an item.
        """
        ...

    def close(self) -> Iterable[StreamChunk]:
        """Note that the transport ended in good order. Iterate over the result at once.

        Returns:
            Chunks that could not be made before the end: usually none; none if ``done``.

        Raises:
            TruncatedStreamError: The answer is not whole.
            EmptyStreamError: There was no answer.
        """
        ...


@runtime_checkable
class BodyDecoder(Protocol):
    """A ``StreamDecoder`` that can also read an answer that is not a stream: some servers ignore ``stream``."""

    def decode_body(self, body: str, /) -> Iterable[StreamChunk]:
        """Read the body of a successful answer that is not a stream.

        Args:
            body: The body, or the start of one that is not a JSON object or array.

        Returns:
            The chunks of a whole answer; none if the body is something else, such as a web page or an error.

        Raises:
            DecodeError: It is the answer of another protocol.
        """
        ...


@runtime_checkable
class RateLimitReader(Protocol):
    """A ``Dialect`` that knows the headers about rate limits. For other dialects, the headers of OpenAI are read."""

    def rate_limits(self, headers: Mapping[str, str], /) -> RateLimits:
        """Read ``StreamInfo.rate_limits``."""
        ...


@runtime_checkable
class RetryJudge(Protocol):
    """A ``Dialect`` that decides by itself which refusals are worth another try, not by the status alone."""

    def is_retryable(self, error: APIStatusError, /) -> bool:
        """Whether the same request may succeed later."""
        ...


@runtime_checkable
class WebSocketDialect(Protocol):
    """A ``Dialect`` that also works over WebSockets."""

    def websocket_request(self, request: ChatRequest, endpoint: Endpoint, /) -> WireRequest:
        """Return the request to send: the URL, and the first frame as the body.

        Raises:
            UnsupportedRequestError: The API has no form for something in the request.
        """
        ...


class Reader(Protocol):
    """The reading half of a dialect, which ``operators.parse`` needs."""

    @property
    def name(self) -> str:
        """The name it is chosen by."""
        ...

    def decoder(self) -> StreamDecoder:
        """A decoder for one stream."""
        ...


class Dialect(Reader, Protocol):
    """How a family of providers talks. It is a value: it has no state."""

    @property
    def home(self) -> Home:
        """The base URL, and the environment variables for it and for the key."""
        ...

    def http_request(self, request: ChatRequest, endpoint: Endpoint, /) -> WireRequest:
        """What is sent, so that the server streams the answer.

        Raises:
            UnsupportedRequestError: The API has no form for something in the request.
        """
        ...
