"""What the headers of an answer tell of rate limits, in OpenAI's words, which most compatible servers use.

``x-ratelimit-remaining-requests``, ``x-ratelimit-remaining-tokens``, and for each when it is full again:
``x-ratelimit-reset-requests: 1m3.5s``, ``6ms``, ``20`` (seconds).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

_PART = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 64


class Remaining(NamedTuple):
    """How much of a limit is left.

    Attributes:
        amount: The amount that is left.
        seconds: In how many seconds the full amount is available again.
    """

    amount: float
    seconds: float


class RateLimits(NamedTuple):
    """The limits that a server reported; ``None`` for those it did not report.

    Attributes:
        requests: Requests that are left.
        tokens: Tokens that are left.
    """

    requests: Remaining | None = None
    tokens: Remaining | None = None


def rate_limits_of(headers: Mapping[str, str]) -> RateLimits:
    """Read the headers.

    >>> rate_limits_of({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m3s"}).requests
    Remaining(amount=0.0, seconds=63.0)
    """
    return RateLimits(_remaining(headers, "requests"), _remaining(headers, "tokens"))


def _remaining(headers: Mapping[str, str], what: str) -> Remaining | None:
    count = _duration(headers.get(f"x-ratelimit-remaining-{what}", ""))
    seconds = _duration(headers.get(f"x-ratelimit-reset-{what}", ""))
    return None if count is None or seconds is None else Remaining(count, seconds)


def _duration(text: str) -> float | None:
    """A number of seconds, or with units; ``None`` if it is none."""
    text = text.strip()
    if not text or len(text) > _LONGEST or not re.fullmatch(f"(?:{_PART.pattern})+", text, re.ASCII):
        return None
    total = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    return total if math.isfinite(total) else None
