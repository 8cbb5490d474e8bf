"""How long a server asks to wait: headers of all kinds, by a clock that stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.wire import retry_after_in, retry_after_of

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "20s"}, 20.0),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after": "250ms"}, 0.25),
        # Dates, also those that have passed.
        ({"retry-after": "Wed, 21 Oct 2015 07:29:00 GMT"}, 60.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT"}, 0.0),
        ({"retry-after": "Wednesday, 21-Oct-15 07:29:00 GMT"}, 60.0),
        ({"retry-after": "2015-10-21T07:28:30Z"}, 30.0),
        ({"retry-after": "2015-10-21T07:28:30"}, 30.0),
        # Milliseconds, and names with a word before them.
        ({"retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": "3", "Retry-After-Ms": "2500"}, 2.5),
        ({"x-ms-retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"x-retry-after": "7"}, 7.0),
        ({"X-RateLimit-Retry-After-Seconds": "4"}, 4.0),
        ({"x-retry-after": "7", "retry-after": "5"}, 5.0),
        ({"retry-after": "soon", "x-retry-after": "7"}, 7.0),
        ({"retry-after-ms": "-1", "retry-after": "3"}, 3.0),
        # Garbage, less than nothing, without end.
        *(
            ({"retry-after": value}, None)
            for value in (
                *("", "soon", "-3", "-0.001", "+3", "inf", "-Infinity", "nan", "1e300", "1_000", "0x10", "٣", "3;"),
                *("9" * 12, "9" * 5000, "3 3", "1.2.3", "3x", "Wed, 99 Oct 2015 07:28:00 GMT"),
                *("Fri, 01 Jan 2200 00:00:00 GMT", "Wed, 21 Oct 2015 07:28:00 +999999999999"),
            )
        ),
        ({"x-retry-afterwards": "3", "no-retry": "4"}, None),
        ({}, None),
    ],
)
def test_what_the_headers_say(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_of(headers, NOW) == seconds


@given(
    st.sampled_from(["retry-after", "retry-after-ms", "x-ms-retry-after-ms"]),
    st.text("0123456789.smhinZTWed,Oct -+:GMT", max_size=40),
)
def test_whatever_they_say_it_is_a_time_or_nothing(name: str, value: str) -> None:
    for seconds in (retry_after_of({name: value}, NOW), retry_after_in(f"try again in {value}")):
        assert seconds is None or 0 <= seconds <= 101 * 366 * 24 * 3600
