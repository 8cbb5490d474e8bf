"""The decoder of frames of AWS: cut anywhere, with anything wrong, and beside that of botocore."""

from __future__ import annotations

import contextlib
import importlib
import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.exceptions import DecodeError, LimitExceededError, StreamInterruptedError
from rxllm.wire import MAX_HEADER_BYTES, AWSFrame, AWSFrameDecoder, encode_aws_frame

# It has no types.
EventStreamBuffer: Any = importlib.import_module("botocore.eventstream").EventStreamBuffer

NOON = datetime(2026, 11, 27, 12, 0, 0, 250000, tzinfo=UTC)
HEADERS: dict[str, Any] = {
    "true": True,
    "false": False,
    "byte": -128,
    "short": 300,
    "integer": -70_000,
    "long": 1 << 40,
    "bytes": b"\0\xff",
    ":event-type": "contentBlockDelta ü",
    "timestamp": NOON,
    "identifier": UUID(int=7),
    "empty": "",
}
FRAMES = [
    AWSFrame({":event-type": "messageStart"}, b'{"role":"assistant"}'),
    AWSFrame(HEADERS, b""),
    AWSFrame({}, b"\0" * 40),
    AWSFrame({":event-type": "messageStart"}, b"{}"),
]
ENCODED = [encode_aws_frame(*frame) for frame in FRAMES]
STREAM = b"".join(ENCODED)


def decode(reads: Iterable[bytes], **limits: int) -> list[AWSFrame]:
    decoder = AWSFrameDecoder(**limits)
    frames = [frame for read in reads for frame in decoder.feed(read)]
    decoder.close()
    assert decoder.frames == len(frames)
    return frames


def botocore_reads(stream: bytes) -> list[Any]:
    """What botocore makes of a stream. A timestamp is a number of milliseconds there, an identifier its bytes."""
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    return [AWSFrame(message.headers, message.payload) for message in buffer]


def as_botocore(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return value.bytes if isinstance(value, UUID) else value


def assert_botocore_reads_the_same(frames: list[AWSFrame]) -> None:
    stream = b"".join(encode_aws_frame(*frame) for frame in frames)
    expected = [
        AWSFrame({name: as_botocore(each) for name, each in frame.headers.items()}, frame.payload) for frame in frames
    ]
    assert botocore_reads(stream) == expected


def test_frames_are_what_was_encoded_and_what_botocore_reads() -> None:
    assert decode([STREAM]) == FRAMES
    assert_botocore_reads_the_same(FRAMES)
    assert [frame.data for frame in FRAMES] == [frame.payload for frame in FRAMES]
    assert [type(value) for value in decode([STREAM])[1].headers.values()] == [type(each) for each in HEADERS.values()]


@pytest.mark.parametrize("place", range(len(STREAM) + 1))
def test_a_stream_may_be_cut_at_each_byte(place: int) -> None:
    assert decode([STREAM[:place], STREAM[place:]]) == FRAMES


def test_a_stream_may_come_byte_by_byte_with_nothing_in_between() -> None:
    assert decode(piece for byte in STREAM for piece in (bytes([byte]), b"")) == FRAMES


NAMES = st.text(max_size=40).filter(lambda name: len(name.encode()) < 256)
VALUES = (
    st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.binary(max_size=300)
    | st.text(max_size=100)
    | st.uuids()
    | st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000))
)
SOME_FRAMES = st.lists(
    st.builds(AWSFrame, st.dictionaries(NAMES, VALUES, max_size=12), st.binary(max_size=300)), max_size=5
)


@given(SOME_FRAMES, st.data())
def test_any_frames_come_out_of_any_reads(frames: list[AWSFrame], data: st.DataObject) -> None:
    stream = b"".join(encode_aws_frame(*frame) for frame in frames)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reads = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]

    assert decode(reads) == frames
    assert_botocore_reads_the_same(frames)


SOME_HEADERS = st.dictionaries(NAMES, VALUES, max_size=3)


def fault_in(decoder: AWSFrameDecoder, reads: list[bytes], frames: list[AWSFrame]) -> str:
    """Read until something is wrong; returns what, without where."""
    try:
        read_all(decoder, reads, frames)
    except DecodeError as error:
        return str(error).partition(" is not a frame of an event stream of AWS: ")[2].partition(";")[0]
    return ""


@given(st.lists(st.tuples(SOME_HEADERS, st.integers(0, 20)), min_size=1, max_size=3), st.data())
def test_a_frame_is_read_alike_whether_or_not_one_came_before_with_its_headers_and_length(
    heads: list[tuple[dict[str, Any], int]], data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(st.sampled_from(heads), min_size=1, max_size=12))
    frames = [AWSFrame(headers, data.draw(st.binary(min_size=size, max_size=size))) for headers, size in drawn]
    encoded = [bytearray(encode_aws_frame(*frame)) for frame in frames]
    wrong = data.draw(st.integers(0, len(encoded)))
    if wrong < len(encoded):
        encoded[wrong][data.draw(st.integers(0, len(encoded[wrong]) - 1))] ^= data.draw(st.integers(1, 255))
    stream = b"".join(encoded)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    decoder, read = AWSFrameDecoder(), list[AWSFrame]()

    fault = fault_in(decoder, [stream[start:end] for start, end in pairwise([0, *places, len(stream)])], read)

    assert read == frames[:wrong]
    assert decoder.frames == wrong
    assert fault == fault_in(AWSFrameDecoder(), [bytes(each) for each in encoded[wrong:]], [])
    assert bool(fault) == (wrong < len(encoded))


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_whatever_comes_is_frames_or_a_typed_error(reads: list[bytes]) -> None:
    with contextlib.suppress(DecodeError, LimitExceededError, StreamInterruptedError):
        decode(reads)


@pytest.mark.parametrize("place", range(len(ENCODED[1])))
@pytest.mark.parametrize("before", [0, 1], ids=["another before it", "its like before it"])
def test_a_wrong_byte_anywhere_is_an_error_behind_the_frames_before_it(place: int, before: int) -> None:
    wrong = bytearray(ENCODED[1])
    wrong[place] ^= 0x41
    stream = ENCODED[before] + wrong + ENCODED[2]
    for reads in ([stream], [stream[start : start + 1] for start in range(len(stream))]):
        frames: list[AWSFrame] = []
        with pytest.raises(DecodeError, match=rf"frame 1 \(at byte {len(ENCODED[before])}\)") as caught:
            read_all(AWSFrameDecoder(), reads, frames)
        assert frames == [FRAMES[before]]
        assert caught.value.position == 1
        assert caught.value.dialect == "aws-event-stream"


def read_all(decoder: AWSFrameDecoder, reads: list[bytes], frames: list[AWSFrame]) -> None:
    for read in reads:
        frames += decoder.feed(read)


@pytest.mark.parametrize("place", range(1, len(ENCODED[1])))
def test_a_stream_that_ends_within_a_frame_was_cut(place: int) -> None:
    decoder = AWSFrameDecoder()
    assert decoder.feed(ENCODED[0] + ENCODED[1][:place]) == FRAMES[:1]

    with pytest.raises(StreamInterruptedError, match=rf"within frame 1 \(at byte .*: only {place} bytes") as caught:
        decoder.close()
    assert caught.value.events == 1
    decoder.close()


def test_nothing_is_read_behind_what_is_wrong() -> None:
    decoder = AWSFrameDecoder()
    with pytest.raises(DecodeError) as first:
        decoder.feed(b'{"message": "\x1b[31mno frame"}')
    with pytest.raises(DecodeError) as second:
        decoder.feed(ENCODED[0])

    assert second.value is first.value
    assert 'starts with \'{"message": "␛[31mno frame"}\'' in str(first.value)
    assert first.value.text == '{"message": "\x1b[31mno frame"}'
    decoder.close()


def frame_of(headers: bytes, payload: bytes = b"", *, total: int | None = None, size: int | None = None) -> bytes:
    """A frame with right checksums, whatever is in it."""
    lengths = struct.pack(
        ">II",
        len(headers) + len(payload) + 16 if total is None else total,
        len(headers) if size is None else size,
    )
    body = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return body + struct.pack(">I", crc32(body))


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        (b"\x01", "end within a header"),
        (b"\x01a", "end within a header"),
        (b"\x01a\x02", "end within a header"),
        (b"\x01a\x07\0", "end within a header"),
        (b"\x01a\x07\0\x05abcd", "end within a header"),
        (b"\x01a\x09" + bytes(15), "end within a header"),
        (b"\x01a\x0a", "10 is not a type"),
        (b"\x01a\xff", "255 is not a type"),
        (b"\x01a\0\x01a\x01", "a name comes twice"),
        (b"\x01\xff\0", "a name is not UTF-8"),
        (b"\x01a\x07\0\x01\xff", "a text is not UTF-8"),
        (b"\x01a\x08" + b"\x7f" * 8, "out of range"),
    ],
)
def test_headers_that_are_malformed(headers: bytes, fault: str) -> None:
    with pytest.raises(DecodeError, match=f"frame 0 .* headers are malformed: .*{fault}"):
        decode([frame_of(headers)])


@pytest.mark.parametrize(("total", "size"), [(15, 0), (0, 0), (16, 1), (20, 5), (20, 0xFFFFFFFF)])
def test_lengths_that_contradict_each_other(total: int, size: int) -> None:
    with pytest.raises(DecodeError, match="its lengths contradict each other"):
        decode([frame_of(b"", total=total, size=size)])


def test_a_frame_that_is_too_large_is_an_error_as_soon_as_its_length_is_known() -> None:
    frame = encode_aws_frame({}, bytes(84))
    assert len(decode([frame], max_event_bytes=100)) == 1

    decoder = AWSFrameDecoder(max_event_bytes=99)
    assert decoder.feed(frame[:11]) == []
    with pytest.raises(LimitExceededError, match=r"frame 0 \(at byte 0\) exceeds max_event_bytes=99") as caught:
        decoder.feed(frame[11:12])
    assert (caught.value.limit, caught.value.maximum) == ("max_event_bytes", 99)
    with pytest.raises(ValueError, match="max_event_bytes must be positive"):
        AWSFrameDecoder(max_event_bytes=0)


def test_headers_have_a_limit_of_their_own() -> None:
    most = b"\x01a\x06" + struct.pack(">H", 65_530) + bytes(65_530)
    most += b"\x01b\x06" + struct.pack(">H", 60_000) + bytes(60_000)
    most += b"\x01c\x06" + struct.pack(">H", MAX_HEADER_BYTES - len(most) - 5) + bytes(MAX_HEADER_BYTES - len(most) - 5)
    assert len(decode([frame_of(most)])) == 1

    with pytest.raises(LimitExceededError, match=f"exceeds max_header_bytes={MAX_HEADER_BYTES}"):
        decode([frame_of(most + b"\x01d\0")])


@pytest.mark.parametrize("like", [0, 3], ids=["of its length", "of another"])
def test_headers_of_one_frame_are_not_those_of_another(like: int) -> None:
    decoder = AWSFrameDecoder()
    for encoded in (ENCODED[0], ENCODED[like], ENCODED[like]):
        (frame,) = decoder.feed(encoded)
        assert frame.headers == {":event-type": "messageStart"}
        assert isinstance(frame.headers, dict)
        frame.headers["more"] = "than came"


def test_many_heads_are_read_one_by_one_and_few_of_them_are_kept() -> None:
    frames = [AWSFrame({"number": number}, b"") for number in range(100)]
    frames += [AWSFrame({}, bytes(size)) for size in range(400)]
    assert decode([b"".join(encode_aws_frame(*frame) for frame in [*frames, *frames])]) == [*frames, *frames]


@pytest.mark.parametrize(
    "headers",
    [
        {"n" * 256: 1},
        {"text": "t" * 65_536},
        {"bytes": bytes(65_536)},
        {"number": 1 << 63},
        {"time": NOON.replace(tzinfo=None)},
    ],
    ids=["name", "text", "bytes", "number", "time"],
)
def test_what_no_frame_can_have_is_an_error_of_who_encodes_it(headers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a header is too large|time zone"):
        encode_aws_frame(headers)
