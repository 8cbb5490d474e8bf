"""The decoder of lines of JSON: its rules, and a naive reference that Hypothesis compares it with."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rxllm.exceptions import LimitExceededError
from rxllm.wire import NDJSONDecoder, framing_of


def decode(reads: list[bytes], *, in_good_order: bool = True) -> list[str]:
    decoder = NDJSONDecoder()
    lines = [line for data in reads for line in decoder.feed(data)]
    lines += decoder.close(in_good_order=in_good_order)
    assert decoder.events == len(lines)
    return lines


def naive(raw: bytes) -> list[str]:
    """The rules read aloud, over the whole text."""
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, last = text.split("\n")
    found = [line.removesuffix("\r") for line in lines if line.strip()]
    try:
        json.loads(last.removesuffix("\r"))
    except ValueError:
        return found
    return [*found, last.removesuffix("\r")]


def cut(raw: bytes, points: list[int]) -> list[bytes]:
    """Split at the given points, taken modulo the length; equal points give empty reads."""
    places = [0, *sorted(point % (len(raw) + 1) for point in points), len(raw)]
    return [raw[a:b] for a, b in pairwise(places)]


def bytewise(raw: bytes) -> list[bytes]:
    return [raw[i : i + 1] for i in range(len(raw))]


BODIES = {
    "lines": b'{"a":1}\n{"a":2}\n',
    "crlf": b'{"a":1}\r\n{"a":2}\r\n',
    "blank lines": b'\n\r\n{"a":1}\n\n \t\n\r\n{"a":2}\n\n',
    "a byte order mark": b'\xef\xbb\xbf{"a":1}\n\xef\xbb\xbf{"a":2}\n',
    "no last line end": b'{"a":1}\n{"a":2}',
    "a carriage return for the last line end": b'{"a":1}\n{"a":2}\r',
    "a last line that is cut": b'{"a":1}\n{"a":',
    "a last line that is cut in a character": '{"a":"ö'.encode()[:-1],
    "characters of every length": '{"a":"aö€𝄞"}\n"𝄞"\n'.encode(),
    "line ends that are none of JSON": '{"a":"\u2028\u2029\x85\x0b\x0c\x1c"}\n{}\n'.encode(),
    "a carriage return within": b'{"a":\r1}\n{"a":2}\n',
    "no UTF-8": b'{"a":"\xff\xc3"}\n',
    "no JSON": b"<html>\n</html>\n",
    "nothing": b"",
    "a byte order mark alone": b"\xef\xbb\xbf",
    "a part of one": b"\xef\xbb",
    "any JSON": b'1\n"x"\nnull\n[1]\ntrue',
    "no number of JSON": b"1\nNaN",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_however_it_is_cut_the_lines_are_the_same(body: bytes) -> None:
    expected = [] if body == BODIES["a part of one"] else naive(body)
    if body == BODIES["no number of JSON"]:
        expected = ["1"]
    assert decode([body]) == expected
    assert decode(bytewise(body)) == expected
    for place in range(len(body)):
        assert decode([body[:place], b"", body[place:]]) == expected


PIECES = st.sampled_from(
    [b'{"a":1}', b'"\xc3\xb6"', b"\n", b"\r\n", b"\r", b" ", b"\xef\xbb\xbf", b"\xff", b"{", b"12"]
)
BYTES = st.lists(PIECES, max_size=12).map(b"".join) | st.binary(max_size=30)


@given(BYTES, st.lists(st.integers(0, 1_000), max_size=8))
@example(b"\r\n\r\n", [1, 3])
def test_it_gives_what_the_naive_reference_gives(body: bytes, points: list[int]) -> None:
    if re.search(rb"[^\x00-\x7f]\Z|NaN|Infinity", body):
        body += b"\n"
    assert decode(cut(body, points)) == [line for line in naive(body) if not line.isspace()]


@pytest.mark.parametrize("reads", [[b'{"a":1}\n{"a":2}'], bytewise(b'{"a":1}\n{"a":2}')])
def test_of_a_stream_that_was_lost_a_last_line_without_its_end_is_discarded(reads: list[bytes]) -> None:
    assert decode(reads, in_good_order=False) == ['{"a":1}']


def test_it_says_how_much_it_discards() -> None:
    decoder = NDJSONDecoder()
    assert decoder.feed(b'{"a":1}\n{"a"') == ['{"a":1}']
    assert (decoder.close(), decoder.discarded, decoder.close()) == ([], 4, [])


def test_a_last_line_that_is_nested_without_end_is_none() -> None:
    decoder = NDJSONDecoder()
    decoder.feed(b"[" * 200_000)
    assert (decoder.close(), decoder.discarded) == ([], 200_000)


@pytest.mark.parametrize("read", [1, 3, 7, 100])
def test_a_line_that_is_too_long_is_an_error_and_those_before_it_are_there(read: int) -> None:
    decoder = NDJSONDecoder(max_event_bytes=10)
    body = b'{"a":1}\n1234567890\n{"text":"Hello"}\n'
    lines: list[str] = []
    with pytest.raises(LimitExceededError, match=r"line 2 exceeds max_event_bytes=10; it starts with '\{") as e:
        for start in range(0, len(body), read):
            for line in decoder.feed(body[start : start + read]):
                lines.append(line)  # noqa: PERF402 - those before the error
    assert lines == ['{"a":1}', "1234567890"]
    assert (e.value.limit, e.value.maximum) == ("max_event_bytes", 10)
    with pytest.raises(LimitExceededError):
        decoder.feed(b"{}\n")
    assert decoder.close() == []


def test_the_first_line_of_all_may_be_too_long() -> None:
    with pytest.raises(LimitExceededError, match="line 0 exceeds"):
        NDJSONDecoder(max_event_bytes=2).feed(b"123")


def test_a_limit_is_positive() -> None:
    with pytest.raises(ValueError, match="max_event_bytes must be positive, not 0"):
        NDJSONDecoder(max_event_bytes=0)


def test_a_framing_has_a_name() -> None:
    assert framing_of("ndjson").media_types[0] == "application/x-ndjson"
    with pytest.raises(ValueError, match="unknown framing 'lines'; there are: sse, ndjson"):
        framing_of("lines")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="unknown framing"):
        framing_of([])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
