"""How long a server asks to wait before another try.

Rules:

1. It is in seconds, whatever the server's unit: a number with or without a unit, or a date (RFC 9110, section
   10.2.3), of which one that has passed is 0.
2. Gateways put a word of their own in front of the name: ``x-ms-retry-after-ms``. The header with the finest unit
   counts, then the one with the plain name.
3. What is no such thing says nothing: garbage, less than nothing, more than a century.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from datetime import UTC, datetime

_CENTURY_SECONDS = 100 * 366 * 24 * 3600.0
_LONGEST_VALUE = 64
_FLAGS = re.ASCII | re.IGNORECASE
_HEADER = re.compile(r"(?:.*[-_])?retry[-_]after(?:[-_](ms|milliseconds|s|secs?|seconds))?", _FLAGS)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"\d{1,12}(?:\.\d{1,12})? ?(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)\b"
_COMPACT_PART = r"\d{1,12}(?:\.\d{1,12})?(?:ms|s|m|h)"
_DURATION = re.compile(rf"(?:{_COMPACT_PART})+|{_PART}", _FLAGS)
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{0,12})?", _FLAGS)
_PIECE = re.compile(r"(\d+(?:\.\d+)?) ?([a-z]+)", _FLAGS)
_ASKED = re.compile(
    rf"\b(?:try(?:ing)? again|retry(?:ing)?) (?:in|after) (?P<words>(?:{_COMPACT_PART})+\b|{_PART})"
    r"|\bretry[-_]?(?:after|delay)(?P<unit>[-_]?(?:ms|seconds))?[\"']? ?[:=] ?[\"']?(?P<field>\d[hms\d.]{0,63})(?!\w)",
    _FLAGS,
)


def retry_after_of(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that the headers of an answer ask to wait; ``None`` if they do not.

    >>> retry_after_of({"X-MS-Retry-After-Ms": "1500"}, now=0.0)
    1.5

    Args:
        headers: The headers.
        now: The time, in seconds of Unix time.
    """
    found: list[tuple[float, bool, float]] = []
    for name, value in headers.items():
        named = _HEADER.fullmatch(name)
        if named is None:
            continue
        unit = _unit(named[1] or "s")
        seconds = _seconds_in(value.strip(), unit, now)
        if seconds is not None:
            found.append((unit, not name.lower().startswith("retry"), seconds))
    return min(found)[2] if found else None


def retry_after_in(text: str) -> float | None:
    """The seconds that the text of an error asks to wait, in words or in a field; ``None`` if it does not.

    >>> retry_after_in("Rate limit reached. Please try again in 350ms."), retry_after_in('{"retryDelay": "20s"}')
    (0.35, 20.0)
    """
    found = _ASKED.search(text)
    if found is None:
        return None
    if found["words"]:
        return _bounded(_duration(found["words"]))
    return _seconds_in(found["field"].rstrip("."), _unit((found["unit"] or "s").strip("-_")), 0.0)


def _unit(word: str) -> float:
    word = word.lower()
    return 0.001 if word.startswith(("ms", "mil")) else _UNITS[word[0]]


def _seconds_in(value: str, unit: float, now: float) -> float | None:
    if len(value) > _LONGEST_VALUE:
        return None
    if _NUMBER.fullmatch(value):
        return _bounded(float(value) * unit)
    if _DURATION.fullmatch(value):
        return _bounded(_duration(value))
    date = _date(value)
    return None if date is None else _bounded(max(0.0, date.timestamp() - now))


def _duration(text: str) -> float:
    return sum(float(number) * _unit(unit) for number, unit in _PIECE.findall(text))


def _date(value: str) -> datetime | None:
    """A date of HTTP, or of RFC 3339; without a zone it is of UTC."""
    for read in (email.utils.parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(value)
        except (ValueError, OverflowError):
            continue
        return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return None


def _bounded(seconds: float) -> float | None:
    return round(seconds, 6) if seconds <= _CENTURY_SECONDS else None
