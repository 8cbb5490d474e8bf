"""``decode_sse``."""

from __future__ import annotations

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxllm.exceptions import LimitExceededError
from rxllm.operators._emission import FanOut
from rxllm.typing import OperatorFunction
from rxllm.wire import DEFAULT_MAX_EVENT_BYTES, ServerSentEvent, SSEDecoder

__all__ = ["decode_sse"]


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

    def decode_sse_(source: Observable[bytes]) -> Observable[ServerSentEvent]:
        def subscribe(
            observer: abc.ObserverBase[ServerSentEvent], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            decoder = SSEDecoder(max_event_bytes=max_event_bytes)
            rest = FanOut(observer)

            def on_next(block: bytes) -> None:
                try:
                    events = decoder.feed(block)
                except LimitExceededError as error:
                    rest.end(error)
                    return
                if events.__class__ is list:
                    rest.emit(events)
                    return
                # Events, and then the error that iterating over them raises.
                before: list[ServerSentEvent] = []
                try:
                    before.extend(events)
                except LimitExceededError as error:
                    rest.emit(before)
                    rest.end(error)

            return CompositeDisposable(
                source.subscribe(on_next, rest.end, rest.end, scheduler=scheduler), Disposable(rest.dispose)
            )

        return Observable(subscribe)

    return decode_sse_
