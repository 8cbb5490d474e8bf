"""``decode_sse``."""

from __future__ import annotations

from collections.abc import Iterable

from rxllm.flow import FanOut, Operation, check_count, operate
from rxllm.typing import OperatorFunction
from rxllm.wire import DEFAULT_MAX_EVENT_BYTES, ServerSentEvent, SSEDecoder, SSETextDecoder, feed


def decode_sse(*, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> OperatorFunction[bytes, ServerSentEvent]:
    r"""Decode the bytes of an event stream, for transports of your own (WHATWG HTML, section 9.2.6).

    ::

        source  --a-b-c---|
                decode_sse()
        result  ----x-(yz)|

        a=b"data: He" b=b"llo\n\nda" c=b"ta: 1\n\ndata: 2\n\ndata: cut off"
        x=ServerSentEvent("Hello") y=ServerSentEvent("1") z=ServerSentEvent("2")

    Emits each event as soon as its blank line is there; the bytes may be split anywhere. While a consumer below holds a
    pause, the events of one item of bytes wait here. If the source ends within an event, that event is discarded, as
    the specification says. A line ``error: …``, and a JSON object in the place of events, are emitted as events,
    because servers report errors in this way.

    Args:
        max_event_bytes: The most bytes that one event may have.

    Returns:
        An operator from ``bytes`` to ``ServerSentEvent``.

    Raises:
        LimitExceededError: As ``on_error``: an event is larger than ``max_event_bytes``. The events before it were
            emitted.
        ValueError: At once: ``max_event_bytes`` is less than 1.
        TypeError: At once: ``max_event_bytes`` is not a whole number.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> rxllm.run(reactivex.of(b"data: Hel", b"lo\n\n").pipe(ops.decode_sse()))
        ServerSentEvent(data='Hello', event='message', id='', retry=None)

    See also:
        ``rxllm.from_sse``, ``decode_ndjson``, ``parse``
    """
    check_count("max_event_bytes", max_event_bytes)
    return operate(_Decoder, max_event_bytes)


class _Decoder(Operation[bytes, ServerSentEvent]):
    called = "decode_sse"
    takes = (bytes,)

    def __init__(self, out: FanOut[ServerSentEvent], max_event_bytes: int) -> None:
        super().__init__(out)
        decoder = SSETextDecoder if out.takes_texts else SSEDecoder
        self._decoder = decoder(max_event_bytes=max_event_bytes)

    def on_item(self, item: bytes, /) -> Iterable[ServerSentEvent]:
        return feed(self._decoder, item)

    def on_end(self) -> Iterable[ServerSentEvent]:
        self._decoder.close()
        return () if self._decoder.strays is None else self._decoder.strays.at_end()
