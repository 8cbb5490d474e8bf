"""The event-stream decoder: published cases, our own, and a naive reference that Hypothesis compares it with."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.exceptions import LimitExceededError
from rxllm.wire import ServerSentEvent, SSEDecoder, feed


@dataclass
class Decoded:
    """What a decoder made of a whole stream."""

    events: list[ServerSentEvent]
    comments: int = 0
    last_event_id: str = ""
    reconnection_time: int | None = None


def decode(reads: list[bytes]) -> Decoded:
    decoder = SSEDecoder()
    events = [event for data in reads for event in decoder.feed(data)]
    assert decoder.events == len(events)
    decoder.close()
    return Decoded(events, decoder.comments, decoder.last_event_id, decoder.reconnection_time)


def naive(raw: bytes) -> Decoded:
    """The specification read aloud, over the whole text."""
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.split("\r\n|\r|\n", text)[:-1]
    result = Decoded([])
    buffer, event_type, event_id, retry = "", "", "", None
    for line in lines:
        if line == "":
            result.last_event_id = event_id
            if buffer != "":
                result.events.append(ServerSentEvent(buffer[:-1], event_type or "message", event_id, retry))
            buffer, event_type, retry = "", "", None
            continue
        if line.startswith(":"):
            result.comments += 1
            continue
        name, value = line.split(":", 1) if ":" in line else (line, "")
        value = value.removeprefix(" ")
        if name == "data":
            buffer += value + "\n"
        elif name == "event":
            event_type = value
        elif name == "id" and "\0" not in value:
            event_id = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            result.reconnection_time = retry = int(value)
    return result


def bytewise(raw: bytes) -> list[bytes]:
    return [raw[i : i + 1] for i in range(len(raw))]


def cut(raw: bytes, points: list[int]) -> list[bytes]:
    """Split at the given points, taken modulo the length; equal points give empty reads."""
    places = [0, *sorted(point % (len(raw) + 1) for point in points), len(raw)]
    return [raw[a:b] for a, b in pairwise(places)]


cuts = st.lists(st.integers(min_value=0, max_value=10_000), max_size=12)


# The published cases -------------------------------------------------------------------------------------------------


@dataclass
class Case:
    name: str
    raw: bytes
    chunks: list[bytes]
    expected: list[ServerSentEvent]
    retry: int | None
    event_id: str = field(default="")


def published_cases() -> Iterator[Case]:
    corpus = os.environ.get("RXLLM_CORPUS")
    path = os.environ.get("RXLLM_SSE_CASES") or (corpus and str(Path(corpus).parent / "sse_cases.json"))
    if not path or not Path(path).is_file():
        return
    for case in json.loads(Path(path).read_text(encoding="utf-8")):
        raw = base64.b64decode(case["input_b64"])
        expected: list[dict[str, Any]] = case["expected"]
        yield Case(
            name=case["name"],
            raw=raw,
            chunks=[base64.b64decode(chunk) for chunk in case.get("chunks_b64", [])] or [raw],
            expected=[ServerSentEvent(each["data"], each["event"], each["id"], each["retry"]) for each in expected],
            retry=case["final_retry"],
            event_id=case["final_last_event_id"],
        )


CASES = list(published_cases())

# The recorded value is the last event ID *buffer*: this stream ends in an unfinished block with an `id` field. By the
# specification the last event ID *string* is set on dispatch only, and its own test asserts that it stays "".
FINAL_ID_OF_UNFINISHED_BLOCK = {"wpt-format-data-before-final-empty-line": ""}

needs_cases = pytest.mark.skipif(not CASES, reason="neither RXLLM_SSE_CASES nor RXLLM_CORPUS leads to sse_cases.json")


@needs_cases
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_published_case(case: Case) -> None:
    final_id = FINAL_ID_OF_UNFINISHED_BLOCK.get(case.name, case.event_id)
    for reads in ([case.raw], bytewise(case.raw), case.chunks):
        result = decode(reads)
        assert result.events == case.expected
        assert result.reconnection_time == case.retry
        assert result.last_event_id == final_id


@needs_cases
@given(st.data())
def test_published_case_at_any_split(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(CASES))
    assert decode(cut(case.raw, data.draw(cuts))).events == case.expected


# Our own cases -------------------------------------------------------------------------------------------------------


def message(data: str, event_id: str = "", retry: int | None = None) -> ServerSentEvent:
    return ServerSentEvent(data, "message", event_id, retry)


OWN_CASES: list[tuple[str, bytes, list[ServerSentEvent]]] = [
    ("nothing", b"", []),
    ("only a mark", b"\xef\xbb\xbf", []),
    ("half a mark is text", b"\xef\xbbdata: x\n\n", []),
    ("mark", b"\xef\xbb\xbfdata: x\n\n", [message("x")]),
    ("mark twice", b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\ndata: y\n\n", [message("y")]),
    ("mark later", b"data: x\n\n\xef\xbb\xbfdata: y\n\n", [message("x")]),
    ("mark within data", "data: \ufeffx\n\n".encode(), [message("\ufeffx")]),
    ("several in one read", b"data: a\n\ndata: b\n\ndata: c\n\n", [message("a"), message("b"), message("c")]),
    ("many blank lines", b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [message("a"), message("b")]),
    ("lf, cr and crlf", b"data: a\n\ndata: b\r\rdata: c\r\n\r\n", [message("a"), message("b"), message("c")]),
    ("crlf then lf", b"data: a\r\n\ndata: b\n\r\n", [message("a"), message("b")]),
    ("blank line by cr, then lf", b"data: a\r\r\ndata: b\n\n", [message("a"), message("b")]),
    ("two lines", b"data: a\ndata: b\n\n", [message("a\nb")]),
    ("payload that looks like a field", b"data: data: x\n\n", [message("data: x")]),
    ("space", b"data:x\n\ndata: x\n\ndata:  x\n\ndata:\tx\n\n", [message(t) for t in ("x", "x", " x", "\tx")]),
    ("no colon", b"data\n\n", [message("")]),
    ("no colon twice", b"data\ndata\n\n", [message("\n")]),
    ("empty data", b"data:\n\ndata: \n\n", [message(""), message("")]),
    ("field names are exact", b"Data: x\n\n data: x\n\ndata : x\n\ndatax: x\n\n", []),
    ("unknown field", b"foo: bar\ndata: x\n\n", [message("x")]),
    ("comment between data lines", b"data: a\n: c\ndata: b\n\n", [message("a\nb")]),
    ("comment alone", b": OPENROUTER PROCESSING\n\n", []),
    ("type", b"event: t\ndata: x\n\ndata: y\n\n", [ServerSentEvent("x", "t"), message("y")]),
    (
        "types, each with its line of data",
        b"event: a\ndata: 1\n\nevent: b\ndata:  2\n\nevent: \ndata: \n\nevent: c\ndata: 3\n\n",
        [ServerSentEvent("1", "a"), ServerSentEvent(" 2", "b"), message(""), ServerSentEvent("3", "c")],
    ),
    (
        "types, and then something else",
        b"event: a\ndata: 1\n\nevent: b\nid: 7\ndata: 2\n\nevent: c\ndata: 3\n\nevent: d\ndata: 4\ndata: 5\n\n",
        [ServerSentEvent("1", "a"), *(ServerSentEvent(*each, "7") for each in (("2", "b"), ("3", "c"), ("4\n5", "d")))],
    ),
    ("type behind an unknown field", b"foo: bar\n\nevent: t\ndata: x\n\n", [ServerSentEvent("x", "t")]),
    ("type without data is forgotten", b"event: t\n\ndata: y\n\n", [message("y")]),
    ("last type counts", b"event: t\nevent\ndata: y\n\n", [message("y")]),
    ("id stays", b"id: 7\ndata: x\n\ndata: y\n\n", [message("x", "7"), message("y", "7")]),
    ("id without data stays too", b"id: 7\n: c\n\ndata: y\n\n", [message("y", "7")]),
    ("id is taken back", b"id: 7\ndata: x\n\nid\ndata: y\n\n", [message("x", "7"), message("y")]),
    ("id with NUL", b"id: 7\ndata: x\n\nid: 8\0\ndata: y\n\n", [message("x", "7"), message("y", "7")]),
    ("retry", b"retry: 30\ndata: x\n\ndata: y\n\n", [message("x", retry=30), message("y")]),
    ("retry alone", b"retry: 3000\n\n", []),
    ("retry -5", b"retry: -5\ndata: x\n\n", [message("x")]),
    ("retry 1_000", b"retry: 1_000\ndata: x\n\n", [message("x")]),
    ("retry +5", b"retry: +5\ndata: x\n\n", [message("x")]),
    ("retry with spaces", b"retry:  5\ndata: x\n\n", [message("x")]),
    ("retry empty", b"retry:\ndata: x\n\n", [message("x")]),
    ("retry in Arabic digits", "retry: ٣\ndata: x\n\n".encode(), [message("x")]),
    ("retry superscript", "retry: ²\ndata: x\n\n".encode(), [message("x")]),
    ("retry beyond any clock", b"retry: " + b"9" * 5000 + b"\ndata: x\n\n", [message("x")]),
    ("unfinished", b"data: a\n\ndata: b\n", [message("a")]),
    ("unfinished line", b"data: a\n\ndata: b", [message("a")]),
    ("other line ends are text", "data: a\u2028b\u0085c\vd\n\n".encode(), [message("a\u2028b\u0085c\vd")]),
    ("characters of all lengths", "data: é€😀\n\n".encode(), [message("é€😀")]),
    ("invalid UTF-8", b"data: a\xffb\n\n", [message("a\ufffdb")]),
    ("cut character before a line end", b"data: a\xe2\x82\n\n", [message("a\ufffd")]),
    ("encoded surrogate", b"data: \xed\xa0\x80\n\n", [message("\ufffd" * 3)]),
    ("invalid name", b"da\xffta: a\n\n", []),
    ("NUL in data", b"data: a\0b\n\n", [message("a\0b")]),
    ("no stream at all", b'{"error": "no"}\n', []),
]


@pytest.mark.parametrize(("raw", "expected"), [case[1:] for case in OWN_CASES], ids=[case[0] for case in OWN_CASES])
def test_own_case_whole_and_at_each_split(raw: bytes, expected: list[ServerSentEvent]) -> None:
    assert decode([raw]).events == expected
    assert decode(bytewise(raw)).events == expected
    if len(raw) < 100:
        for place in range(len(raw)):
            assert decode([raw[:place], raw[place:]]).events == expected


def test_an_event_comes_with_the_carriage_return_that_ends_it() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: x\r\n\r") == [message("x")]
    assert decoder.feed(b"") == []
    assert decoder.feed(b"\ndata: y\n\n") == [message("y")]


def test_last_event_id_is_set_on_dispatch_and_reconnection_time_at_once() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"id: 7\nretry: 5\n")
    assert decoder.last_event_id == ""
    assert decoder.reconnection_time == 5
    decoder.feed(b"\n")
    assert decoder.last_event_id == "7"


def test_comments_are_counted() -> None:
    assert decode([b": a\n:\n\ndata: x\n: b\n\n:", b"c\n: unfinished"]).comments == 4


@pytest.mark.parametrize(
    ("raw", "discarded"),
    [(b"data: x\n\n", 0), (b"", 0), (b"data: x\n\ndata: y\nda", 10), (b"data: x\n\ndat", 3), (b"event: x\n", 0)],
)
def test_close_says_how_much_is_discarded(raw: bytes, discarded: int) -> None:
    decoder = SSEDecoder()
    decoder.feed(raw)
    assert decoder.close() == discarded
    assert decoder.close() == 0


# The naive reference -------------------------------------------------------------------------------------------------

PIECES = [
    b"data",
    b"event",
    b"id",
    b"retry",
    b":",
    b": ",
    b" ",
    b"\n",
    b"\n\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"x",
    b"12",
    b"data: {}\n\n",
    b"error: boom\n",
    b'error: {"a": 1}\n\n',
    b'{"a": 1}\n',
    b"error",
    b"data: a\ndata: b\n\n",
    b"event: a\ndata: b\n\n",
    b"event: a\ndata: ",
    b"event: ",
    b"\n\ndata: ",
    "é€😀\u2028".encode(),
    b"\xe2\x82",
    b"\xef\xbb\xbf",
]
soup = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), max_size=40).map(b"".join)


@given(soup, cuts)
def test_any_bytes_give_what_the_specification_says(raw: bytes, points: list[int]) -> None:
    expected = naive(raw)
    assert decode([raw]) == expected
    assert decode(bytewise(raw)) == expected
    assert decode(cut(raw, points)) == expected


# The limit -----------------------------------------------------------------------------------------------------------


def feed_all(decoder: SSEDecoder, reads: list[bytes]) -> tuple[list[ServerSentEvent], LimitExceededError | None]:
    events: list[ServerSentEvent] = []
    try:
        for data in reads:
            events.extend(decoder.feed(data))
    except LimitExceededError as error:
        return events, error
    return events, None


LIMIT = 40
LARGE_EVENTS: list[tuple[str, bytes]] = [
    ("line", b"data: " + b"y" * 60 + b"\n\n"),
    ("one byte too many", b"data: " + b"y" * 35 + b"\n\n"),
    ("lines", b"data: yyyyy\n" * 6 + b"\n"),
    ("empty lines", b"data\n" * 20 + b"\n"),
    ("comment", b": " + b"y" * 60 + b"\n\n"),
    ("unknown field", b"y" * 60 + b"\n\n"),
    ("id", b"id: " + b"y" * 60 + b"\n\n"),
    ("never ends", b"data: " + b"y" * 60),
]


@pytest.mark.parametrize("large", [case[1] for case in LARGE_EVENTS], ids=[case[0] for case in LARGE_EVENTS])
def test_large_event_fails_after_the_events_before_it(large: bytes) -> None:
    raw = b"data: a\n\ndata: b\n\n" + large + b"data: c\n\n"
    for reads in ([raw], bytewise(raw), cut(raw, [20, 40]), cut(raw, [19, 21])):
        decoder = SSEDecoder(max_event_bytes=LIMIT)
        events, error = feed_all(decoder, reads)
        assert events == [message("a"), message("b")]
        assert error is not None
        assert (error.limit, error.maximum) == ("max_event_bytes", LIMIT)
        assert str(error).startswith("event 2 exceeds max_event_bytes=40")
        with pytest.raises(LimitExceededError):
            decoder.feed(b"data: d\n\n")


def test_the_events_before_a_large_one_can_be_looked_at_first() -> None:
    events = SSEDecoder(max_event_bytes=LIMIT).feed(b"data: a\n\ndata: " + b"y" * 60)
    assert len(events) == 1
    assert events[-1].data == "a"
    with pytest.raises(LimitExceededError):
        list(events)


def test_the_error_shows_the_start_of_the_event() -> None:
    _, error = feed_all(SSEDecoder(max_event_bytes=LIMIT), [b"data: first\ndata: second", b" and more than enough"])
    assert "starts with 'first'" in str(error)
    _, error = feed_all(SSEDecoder(max_event_bytes=LIMIT), [b"data: only", b" and much more than is allowed here"])
    assert "starts with 'data: only'" in str(error)


@pytest.mark.parametrize(
    "raw",
    [
        b"data: " + b"y" * 34 + b"\n\n",
        (b": " + b"y" * 30 + b"\n") * 5 + b"data: x\n\n",
        b"data: yyyyyyyy\n\n" * 20,
        b"data: yy\r\n" * 4 + b"\r\n",
    ],
    ids=["exactly", "comments are not kept", "many events", "carriage returns do not count"],
)
def test_what_stays_within_the_limit_passes(raw: bytes) -> None:
    for reads in ([raw], bytewise(raw), cut(raw, [7, 30])):
        events, error = feed_all(SSEDecoder(max_event_bytes=LIMIT), reads)
        assert error is None
        assert events == naive(raw).events


@given(soup, cuts, st.integers(min_value=1, max_value=30))
def test_the_limit_does_not_depend_on_the_fragmentation(raw: bytes, points: list[int], limit: int) -> None:
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    whole = feed_all(SSEDecoder(max_event_bytes=limit), [raw])
    for reads in (bytewise(raw), cut(raw, points)):
        events, error = feed_all(SSEDecoder(max_event_bytes=limit), reads)
        assert (events, str(error)[:30]) == (whole[0], str(whole[1])[:30])


# Lines that belong to no event ---------------------------------------------------------------------------------------


def with_errors(raw: bytes, points: list[int]) -> tuple[list[ServerSentEvent], SSEDecoder]:
    decoder = SSEDecoder()
    bounds = [0, *sorted(min(point, len(raw)) for point in points), len(raw)]
    return [event for start, end in pairwise(bounds) for event in feed(decoder, raw[start:end])], decoder


@given(soup, cuts)
def test_errors_beside_the_events_come_in_their_place_however_the_stream_is_cut(raw: bytes, points: list[int]) -> None:
    events, decoder = with_errors(raw, points)
    whole, _ = with_errors(raw, [])
    plain = SSEDecoder().feed(raw)

    assert events == whole
    assert decoder.events == len(plain)
    # Without those that the specification does not know, they are what the specification says.
    assert [event for event in events if event in plain or event.event != "error"] == plain


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"data: 1\n\nerror: a\n\ndata: 2\n\nerror: b\n\n", ["1", "a", "2", "b"]),
        (b"error: a\ndata: 1\n\n", ["a", "1"]),
        (b"data: 1\nerror: a\n\ndata: 2\n\n", ["a", "1", "2"]),
        (b"event: x\nerror: a\n\n", ["a"]),
        (b'error: {"a":\n 1}\n\n', ['{"a":\n 1}']),
        (b'error: {"a":\n 1}\ndata: 1\n\n', ['{"a":\n 1}', "1"]),
        (b"foo\ndata: 1\n\nerror: a\n\n", ["1", "a"]),
        (b"error: null\nerror:\nerror\nerror: false\nerrors: x\nError: y\n\n", []),
    ],
)
def test_a_line_of_a_field_called_error(raw: bytes, expected: list[str]) -> None:
    for size in (0, len(raw)):
        assert [event.data for event in with_errors(raw, list(range(size)))[0]] == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'data: 1\n\n{"error": "a"}\n\ndata: 2\n\n', ["1", '{"error": "a"}', "2"]),
        (b'data: 1\n\n{"error": "a"}\ndata: 2\n\n', ["1", '{"error": "a"}', "2"]),
        (b'data: 1\n{"error": "a"}\n\ndata: 2\n\n', ['{"error": "a"}', "1", "2"]),
        (b'{"error": "a"}\n\nerror: b\n\n{"error": "c"}\n\n', ['{"error": "a"}', "b", '{"error": "c"}']),
        (b'foo\n{"error": "a"}\n{"error": "b"}\n\n', ['{"error": "a"}', '{"error": "b"}']),
        (b'data: 1\n\n{\n "error":\n {"a": 1}\n}\n\ndata: 2\n\n', ["1", '{\n "error":\n {"a": 1}\n}', "2"]),
        (b'data: 1\n\n[{\n "error": "\xc3\xb6"}\n]\n\ndata: 2\n\n', ["1", '{"error": "\u00f6"}', "2"]),
        (b'[{"error": "a"}, 1, {"error": "b"}]\n\n', ['{"error": "a"}']),
        (b'{"error": null}\n{"error": {}}\n{"error":\n["error"]\n"error"\n{"a": "error"}\n\n', []),
    ],
)
def test_an_object_with_an_error_on_lines_of_its_own(raw: bytes, expected: list[str]) -> None:
    for size in (0, len(raw)):
        assert [event.data for event in with_errors(raw, list(range(size)))[0]] == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"data: 1\n\n", None),
        (b"data: 1\n\ndat", None),
        (b"dat", None),
        (b"data: 1\nfoo: x\n\n", []),
        (b"foo\n", []),
        (b'{"a":\r\n\r\n1}', [ServerSentEvent('{"a":\n1}')]),
        (b'x\n{"a": 1}\n[1]\n{"b": 2}', [ServerSentEvent('{"a": 1}'), ServerSentEvent('{"b": 2}')]),
        (b'x\nerror: {\n"a": 1}', [ServerSentEvent('{\n"a": 1}', "error")]),
        (b'error: a\n{"a": 1}\n', []),
        (b"error: a", [ServerSentEvent("a", "error")]),
        (b'[\n{"a": 1}\n,\n\n{"b": 2}\n]', []),
        (b'[{"error": "a"\n}]', [ServerSentEvent('{"error": "a"}')]),
        (b'{"a":' + b"[" * 100_000, []),
    ],
)
def test_what_stands_in_the_place_of_events_at_the_end(raw: bytes, expected: list[ServerSentEvent] | None) -> None:
    _, decoder = with_errors(raw, [])
    decoder.close()

    assert (decoder.strays and decoder.strays.at_end()) == expected


def test_what_is_remembered_is_bounded() -> None:
    decoder = SSEDecoder(max_event_bytes=10)
    for number in range(1_000):
        assert feed(decoder, b"foo: %d\ndata: 1\n\n" % (number % 10)) == [ServerSentEvent("1")]
    for number in range(10):
        feed(decoder, b"foo: %d\n\n" % number)
    decoder.close()

    assert decoder.strays is not None
    assert decoder.strays.text == "foo: 0"


def test_a_limit_must_leave_room() -> None:
    with pytest.raises(ValueError, match="max_event_bytes must be positive"):
        SSEDecoder(max_event_bytes=0)


def test_a_line_of_megabytes_in_small_reads() -> None:
    # Quadratic work would be 8 GB of copying here: this is seen without a clock.
    size = 4 * 1024 * 1024
    raw = b"data: " + b"x" * size + b"\n\n"
    decoder = SSEDecoder()
    events = [event for start in range(0, len(raw), 1024) for event in decoder.feed(raw[start : start + 1024])]
    assert [len(event.data) for event in events] == [size]
