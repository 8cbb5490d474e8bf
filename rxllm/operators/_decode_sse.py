"""``decode_sse``."""

from __future__ import annotations

from collections.abc import Sequence

from reactivex import abc

from rxllm.exceptions import LimitExceededError
from rxllm.operators._emission import Expander
from rxllm.operators._stage import Operated, batching, each
from rxllm.typing import OperatorFunction
from rxllm.wire import DEFAULT_MAX_EVENT_BYTES, ServerSentEvent, SSEDecoder, SSETextDecoder


def decode_sse(*, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> OperatorFunction[bytes, ServerSentEvent]:
    r"""Decode the bytes of an event stream, for transports of your own (WHATWG HTML, section 9.2.6).

    ::

        source  --a-b-c---|
                decode_sse()
        result  ----x-(yz)|

        a=b"data: He" b=b"llo\n\nda" c=b"ta: 1\n\ndata: 2\n\ndata: cut off"
        x=ServerSentEvent("Hello") y=ServerSentEvent("1") z=ServerSentEvent("2")

    Emits each event as soon as its blank line is there, however the bytes are cut. While a consumer below holds a
    pause, the events of a block wait here. An event that the end finds unfinished is discarded, as the
    specification says.

    Args:
        max_event_bytes: The most bytes that one event may have.

    Returns:
        An operator from ``bytes`` to ``ServerSentEvent``.

    Raises:
        LimitExceededError: As ``on_error``: an event is larger than ``max_event_bytes``. The events before it were
            emitted.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> rxllm.run(reactivex.of(b"data: Hel", b"lo\n\n").pipe(ops.decode_sse()))
        ServerSentEvent(data='Hello', event='message', id='', retry=None)

    See also:
        ``rxllm.from_sse``, ``parse``
    """
    return lambda source: Operated(source, _Decoding, max_event_bytes)


class _Decoding(Expander[bytes, ServerSentEvent]):
    """One subscription. The events of a block go on together."""

    def __init__(self, observer: abc.ObserverBase[ServerSentEvent], max_event_bytes: int) -> None:
        super().__init__(observer)
        decoder = SSETextDecoder if batching(observer).takes_texts else SSEDecoder
        self._feed = decoder(max_event_bytes=max_event_bytes).feed

    def on_next(self, value: bytes) -> None:
        try:
            events = self._feed(value)
        except LimitExceededError as error:
            self._results.end(error)
            return
        if events.__class__ is list:
            if events:
                self._emit(events)
            return
        # Events, and then the error that iterating over them raises.
        before: list[ServerSentEvent] = []
        try:
            before.extend(events)
        except LimitExceededError as error:
            self._emit(before)
            self._results.end(error)

    def on_batch(self, items: Sequence[bytes]) -> int:
        return each(self.on_next, items, lambda: self._left)
