"""What the headers of an answer tell of Anthropic's rate limits.

``anthropic-ratelimit-requests-remaining: 49``, ``anthropic-ratelimit-requests-reset: 2026-11-27T16:47:03Z``, and the
same for ``tokens``, ``input-tokens`` and ``output-tokens``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from rxllm.dialects._rate_limits import RateLimits, Remaining

_LONGEST = 64


def rate_limits_of_anthropic(headers: Mapping[str, str]) -> RateLimits:
    """Read the headers, their names in lower case."""
    now = datetime.now(UTC)
    tokens = [_remaining(headers, name, now) for name in ("tokens", "input-tokens")]
    return RateLimits(_remaining(headers, "requests", now), next((each for each in tokens if each is not None), None))


def _remaining(headers: Mapping[str, str], what: str, now: datetime) -> Remaining | None:
    amount = _number(headers.get(f"anthropic-ratelimit-{what}-remaining", ""))
    reset = _time(headers.get(f"anthropic-ratelimit-{what}-reset", ""))
    if amount is None or reset is None:
        return None
    return Remaining(amount, max(0.0, (reset - now).total_seconds()))


def _number(text: str) -> float | None:
    try:
        number = float(text[:_LONGEST])
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _time(text: str) -> datetime | None:
    """A time as RFC 3339 has it; one without a zone is UTC."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
