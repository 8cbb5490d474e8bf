"""``decode_aws_frames``."""

from __future__ import annotations

from collections.abc import Iterable

from rxllm.flow import FanOut, Operation, check_count, operate
from rxllm.typing import OperatorFunction
from rxllm.wire import DEFAULT_MAX_EVENT_BYTES, AWSFrame, AWSFrameDecoder


def decode_aws_frames(*, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> OperatorFunction[bytes, AWSFrame]:
    r"""Decode the bytes of an event stream of AWS, for transports of your own (``application/vnd.amazon.eventstream``).

    ::

        source  --a-b-c---|
                decode_aws_frames()
        result  ----x-(yz)|

        a=encode_aws_frame({}, b"1")[:9] b=encode_aws_frame({}, b"1")[9:]
        c=encode_aws_frame({}, b"2") + encode_aws_frame({}, b"3")
        x=AWSFrame({}, b"1") y=AWSFrame({}, b"2") z=AWSFrame({}, b"3")

    Emits each frame as soon as all its bytes are there and its checksums are right; the bytes may be split anywhere.
    While a consumer below holds a pause, the frames of one item of bytes wait here.

    Args:
        max_event_bytes: The most bytes that one frame may have. Its headers may have 128 KiB.

    Returns:
        An operator from ``bytes`` to ``AWSFrame``.

    Raises:
        DecodeError: As ``on_error``: a checksum, a length or a header is wrong. The frames before it were emitted.
        LimitExceededError: As ``on_error``: a frame is larger than ``max_event_bytes``, or its headers are too large.
        StreamInterruptedError: As ``on_error``: the source ended within a frame.
        ValueError: At once: ``max_event_bytes`` is less than 1.
        TypeError: At once: ``max_event_bytes`` is not a whole number.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> from rxllm.wire import encode_aws_frame
        >>> frame = encode_aws_frame({":event-type": "messageStart"}, b'{"role": "assistant"}')
        >>> rxllm.run(reactivex.of(frame[:20], frame[20:]).pipe(ops.decode_aws_frames()))
        AWSFrame(headers={':event-type': 'messageStart'}, payload=b'{"role": "assistant"}')

    See also:
        ``decode_sse``, ``parse``
    """
    check_count("max_event_bytes", max_event_bytes)
    return operate(_Decoder, max_event_bytes)


class _Decoder(Operation[bytes, AWSFrame]):
    called = "decode_aws_frames"
    takes = (bytes,)

    def __init__(self, out: FanOut[AWSFrame], max_event_bytes: int) -> None:
        super().__init__(out)
        self._decoder = AWSFrameDecoder(max_event_bytes=max_event_bytes)

    def on_item(self, item: bytes, /) -> Iterable[AWSFrame]:
        return self._decoder.feed(item)

    def on_end(self) -> Iterable[AWSFrame]:
        self._decoder.close()
        return ()
