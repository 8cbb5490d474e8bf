"""``decode_aws_frames`` in virtual time: reads in, frames out, and where errors come."""

from __future__ import annotations

from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm.exceptions import DecodeError, LimitExceededError, StreamInterruptedError
from rxllm.testing import Marbles, assert_marbles, assert_pauses
from rxllm.wire import AWSFrame, encode_aws_frame

# A frame of the marbles is 10 ms.

ONE, TWO, THREE = (encode_aws_frame({}, payload) for payload in (b"1", b"2", b"3"))


def payload_of(frame: AWSFrame) -> str:
    return frame.payload.decode()


PAYLOAD = rx_ops.map(payload_of)


def test_a_frame_is_there_when_its_last_byte_is() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-b-c-|", a=ONE[:5], b=ONE[5:] + TWO + THREE[:9], c=THREE[9:])

    assert_marbles(marbles.run(source.pipe(ops.decode_aws_frames(), PAYLOAD)), "---(12) @50ms 3-|")


def test_the_frames_of_a_block_wait_while_the_consumer_pauses_and_the_end_behind_them() -> None:
    marbles = Marbles()
    source = marbles.cold("-a|", a=ONE + TWO + THREE)

    recording = marbles.run(source.pipe(ops.decode_aws_frames(), PAYLOAD), takes=2)

    assert_marbles(recording, "-1-2-3-|")
    assert_pauses(source, "-[-(][) @50ms (][) @70ms ]")


def test_a_frame_that_is_wrong_is_an_error_behind_those_before_it() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-b-|", a=ONE + TWO[:-1] + b"x" + THREE, b=THREE)

    assert_marbles(marbles.run(source.pipe(ops.decode_aws_frames(), PAYLOAD)), "-(1#)", error=DecodeError)


def test_a_frame_that_is_too_large_is_an_error_behind_those_before_it() -> None:
    marbles = Marbles()
    source = marbles.cold("-a|", a=ONE + encode_aws_frame({}, bytes(90)))

    recording = marbles.run(source.pipe(ops.decode_aws_frames(max_event_bytes=99), PAYLOAD))

    assert_marbles(recording, "-(1#)", error=LimitExceededError)


def test_an_end_within_a_frame_is_an_error() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-|", a=ONE + TWO[:9])

    assert_marbles(marbles.run(source.pipe(ops.decode_aws_frames(), PAYLOAD)), "-1-#", error=StreamInterruptedError)


def test_an_end_between_two_frames_is_none() -> None:
    marbles = Marbles()

    assert_marbles(marbles.run(marbles.cold("-a-|", a=ONE).pipe(ops.decode_aws_frames(), PAYLOAD)), "-1-|")
