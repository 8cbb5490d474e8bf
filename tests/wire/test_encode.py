"""The event-stream encoder, against the decoder."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.wire import ServerSentEvent, SSEDecoder, encode_comment, encode_sse

texts = st.text(st.characters(exclude_categories=["Cs"]))
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1)
events = st.builds(ServerSentEvent, texts, names, names, st.none() | st.integers(min_value=0))


def decode(raw: bytes, size: int) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    reads = [raw[i : i + size] for i in range(0, len(raw), size)]
    return [event for data in reads for event in decoder.feed(data)]


@given(st.lists(events, max_size=5), st.integers(min_value=1, max_value=40))
def test_encoded_events_decode_to_the_same(written: list[ServerSentEvent], size: int) -> None:
    raw = b"".join(encode_comment("between") + encode_sse(event) for event in written)
    expected = [event._replace(data=re.sub("\r\n|\r", "\n", event.data)) for event in written]
    assert decode(raw, size) == expected


def test_fields_that_say_nothing_are_left_out() -> None:
    assert encode_sse(ServerSentEvent("x")) == b"data: x\n\n"
    assert encode_sse(ServerSentEvent("x", event="")) == b"data: x\n\n"
    assert encode_sse(ServerSentEvent("")) == b"data: \n\n"


def test_each_line_end_makes_a_data_line() -> None:
    assert encode_sse(ServerSentEvent("a\nb\rc\r\nd")) == b"data: a\ndata: b\ndata: c\ndata: d\n\n"


def test_an_event_without_id_keeps_the_one_before() -> None:
    raw = encode_sse(ServerSentEvent("x", id="7")) + encode_sse(ServerSentEvent("y"))
    assert [event.id for event in decode(raw, 99)] == ["7", "7"]


@pytest.mark.parametrize(
    "event",
    [
        ServerSentEvent("x", event="a\nb"),
        ServerSentEvent("x", id="a\rb"),
        ServerSentEvent("x", id="a\0b"),
        ServerSentEvent("x", retry=-1),
    ],
)
def test_what_a_decoder_would_read_differently_is_refused(event: ServerSentEvent) -> None:
    with pytest.raises(ValueError, match=r"cannot hold|milliseconds"):
        encode_sse(event)


def test_lone_surrogates_are_replaced() -> None:
    assert encode_sse(ServerSentEvent("a\ud800b\ud83d\ude00")) == "data: a\ufffdb😀\n\n".encode()


def test_comments_dispatch_nothing() -> None:
    assert encode_comment("two\nlines") == b": two\n: lines\n\n"
    assert decode(encode_comment("") + encode_comment("data: x\r\rdata: y"), 3) == []
