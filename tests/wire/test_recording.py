"""The lines of a wire recording."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.wire import (
    WireEnd,
    WireRead,
    WireRecord,
    WireRequest,
    WireResponse,
    WireTransport,
    decode_record,
    encode_record,
)

REQUEST = WireRequest("sse", "POST", "https://host/v1/chat", "2025-01-31T12:00:00.000+00:00")


@given(st.binary(), st.floats(0, 1e6))
def test_every_byte_of_a_read_is_kept_exactly(data: bytes, at: float) -> None:
    line = encode_record(WireRead(at, data))

    assert decode_record(line) == WireRead(round(at, 6), data)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


@given(st.text(st.characters(codec="utf-8")) | st.binary())
def test_frames_are_text_or_binary(data: str | bytes) -> None:
    read = WireRead(0.5, data)

    assert decode_record(encode_record(read, "websocket"), "websocket") == read


def test_what_is_text_can_be_read_in_the_file() -> None:
    assert json.loads(encode_record(WireRead(0.25, "data: schön\r\n\n".encode()))) == {
        "record": "read",
        "at": 0.25,
        "text": "data: schön\r\n\n",
    }
    assert "schön" in encode_record(WireRead(0.25, "schön".encode())).decode()
    assert json.loads(encode_record(WireRead(0.25, "ö".encode()[:1])))["base64"] == "ww=="


@pytest.mark.parametrize(
    "record",
    [
        REQUEST,
        WireResponse(0.183204, 200, {"content-type": "text/event-stream"}),
        WireEnd(1.5, "eof"),
        WireEnd(1.5, "closed", code=1000, reason="enough"),
        WireEnd(1.5, "lost", error="ClientPayloadError", reset=True),
        WireEnd(0, "left", error="LimitExceededError"),
        WireEnd(0, "limit"),
    ],
    ids=repr,
)
def test_records_come_back_as_they_were(record: WireRecord) -> None:
    assert decode_record(encode_record(record)) == record


def test_names_of_headers_may_be_spelt_as_http_allows() -> None:
    record = decode_record(b'{"record":"response","at":0.1,"status":200,"headers":{"Content-Type":"text/html"}}')

    assert record == WireResponse(0.1, 200, {"content-type": "text/html"})


def test_what_is_as_usual_of_an_ending_is_left_out() -> None:
    assert encode_record(WireEnd(1.2083471, "eof")) == b'{"record":"end","at":1.208347,"ending":"eof"}\n'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "Expecting value"),
        (b"\xff\xfe", "decode byte 0xff"),
        (b"[1]", "not a JSON object"),
        (b"{}", "not a record"),
        (b'{"record":"else"}', "not a record"),
        (b'{"record":"request","version":2}', "version 2 of the format; this version of rxllm reads 1"),
        (b'{"record":"request","version":1}', "lacks a field"),
        (b'{"record":"request","version":1,"transport":"fax","method":"","url":"","began":""}', "no transport 'fax'"),
        (b'{"record":"request","version":1,"transport":[],"method":"","url":"","began":""}', "no transport"),
        (b'{"record":"request","transport":"sse","method":"","url":"","began":""}', "lacks a field"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"record":"response","at":0,"status":"200","headers":{}}', "status is '200'"),
        (b'{"record":"response","at":0,"status":7,"headers":{}}', "status is 7"),
        (b'{"record":"response","at":0,"status":200,"headers":[]}', "headers that are not texts"),
        (b'{"record":"response","at":0,"status":200,"headers":{"a":1}}', "headers that are not texts"),
        (b'{"record":"read","at":0}', "lacks a field"),
        (b'{"record":"read","at":0,"base64":"!"}', "base64"),
        (b'{"record":"read","at":0,"text":"\\ud800"}', "surrogates not allowed"),
        (b'{"record":"read","at":-1,"text":""}', "at is -1"),
        (b'{"record":"read","at":true,"text":""}', "at is True"),
        (b'{"record":"read","at":"0","text":""}', "at is '0'"),
        (b'{"record":"read","at":NaN,"text":""}', "NaN is not JSON"),
        (b'{"record":"read","at":1e999,"text":""}', "at is inf"),
        (b'{"record":"read","at":1' + b"0" * 400 + b',"text":""}', "at is 10"),
        (b'{"record":"end","at":0,"ending":"happy"}', "no ending 'happy'"),
        (b'{"record":"end","at":0,"ending":{}}', "no ending"),
        (b'{"record":"end","at":0,"ending":"lost","reset":1}', "reset is 1"),
        (b'{"record":"end","at":0,"ending":"lost","error":null}', "error is None"),
        (b'{"record":"end","at":0,"ending":"closed","code":true}', "code is True"),
        (b'{"record":"end","at":0,"ending":"closed","code":65536}', "code is 65536"),
    ],
    ids=lambda value: value[:80].decode("latin-1") if isinstance(value, bytes) else "",
)
@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_line_that_is_none_says_why(line: bytes, reason: str, transport: WireTransport) -> None:
    with pytest.raises(ValueError, match=reason):
        decode_record(line, transport)


@pytest.mark.parametrize("at", [1e300, float("nan"), float("inf"), -0.5, 2.0**36])
def test_a_time_that_is_none_is_not_written(at: float) -> None:
    records: list[WireRecord] = [WireRead(at, b""), WireEnd(at, "eof"), WireResponse(at, 200)]
    for record in records:
        with pytest.raises(ValueError, match="not a number of seconds"):
            encode_record(record)


@pytest.mark.parametrize(
    "field",
    ['"at":%s' % ("1" * 5000), '"at":%s' % ("1" * 4000), '"at":"%s"' % ("x" * 100_000), '"at":1e300', '"at":NaN'],
)
def test_a_time_that_is_none_is_not_read(field: str) -> None:
    with pytest.raises(ValueError, match=r"at is|limit|not JSON") as caught:
        decode_record(b'{"record":"read",%b,"text":""}' % field.encode())
    assert len(str(caught.value)) < 300
