r"""How much there is in a JSON text, before it is read.

What it costs to read a text, in time and memory, goes by how many values it has and not by its length: a list takes
three characters and twenty times as many bytes. A text of a few megabytes that is one string is nothing against it.

Rules:

1. Short texts are not looked at, and most long ones are told by counting a few characters.
2. Only what has many of them is looked at without its strings, in which the same characters mean nothing.
3. Whether it is JSON is not judged here.
"""

from __future__ import annotations

from rxllm.exceptions import LimitExceededError

LARGE_JSON = 64 * 1024
"""How many characters a text may have without being looked at."""

MAX_CONTAINERS = 125_000
"""How many lists and objects one text may have."""

MAX_FIELDS = 200_000
"""How many fields its objects may have together."""

MAX_VALUES = 500_000
"""How many values its lists and objects may have together."""

# More strings than that cannot stand in so many values.
_MAX_STRINGS = 2 * MAX_VALUES
# What has too much of something near its beginning is not looked at any further.
_BEGINNING = 2_000_000


def check_json_size(text: str | bytes | bytearray) -> None:
    """Check that there is not too much in a JSON text.

    Raises:
        LimitExceededError: There is.
    """
    if len(text) <= LARGE_JSON:
        return
    characters = text if isinstance(text, str) else text.decode("latin-1")
    _check(characters[:_BEGINNING])
    if len(characters) > _BEGINNING:
        _check(characters)


def _check(text: str) -> None:
    if _excess_in(text) is None:
        return
    bare = text.replace("\\\\", "").replace('\\"', "")
    pieces = bare.split('"', 2 * _MAX_STRINGS)
    excess = _excess_in("".join(pieces[::2])) if len(pieces) <= 2 * _MAX_STRINGS else ("values", MAX_VALUES)
    if excess is not None:
        what, maximum = excess
        raise LimitExceededError(
            f"JSON with more than {maximum} {what}", limit=f"max_{what.replace(' ', '_')}", maximum=maximum
        )


def _excess_in(text: str) -> tuple[str, int] | None:
    """What a text has too much of, if no bracket, colon or comma in it is part of a string."""
    if text.count("[") + text.count("{") > MAX_CONTAINERS:
        return "lists and objects", MAX_CONTAINERS
    if text.count(":") > MAX_FIELDS:
        return "fields", MAX_FIELDS
    return ("values", MAX_VALUES) if text.count(",") >= MAX_VALUES else None
