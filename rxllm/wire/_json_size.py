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

MAX_CONTAINERS = 150_000
"""How many lists and objects one text may have."""

MAX_STRINGS = 300_000
"""How many strings, the names of fields among them."""

MAX_VALUES = 1_000_000
"""How many values in lists and fields of objects."""


def check_json_size(text: str | bytes | bytearray) -> None:
    """Check that there is not too much in a JSON text.

    Raises:
        LimitExceededError: There is.
    """
    if len(text) <= LARGE_JSON:
        return
    characters = text if isinstance(text, str) else text.decode("latin-1")
    if _is_little(characters, characters.count('"')):
        return
    bare = characters.replace("\\\\", "").replace('\\"', "")
    quotes = bare.count('"')
    if quotes > 2 * MAX_STRINGS:
        raise _excess("strings", MAX_STRINGS)
    outside = "".join(bare.split('"')[::2])
    if _containers_in(outside) > MAX_CONTAINERS:
        raise _excess("lists and objects", MAX_CONTAINERS)
    if outside.count(",") >= MAX_VALUES:
        raise _excess("values", MAX_VALUES)


def _is_little(text: str, quotes: int) -> bool:
    return quotes <= 2 * MAX_STRINGS and _containers_in(text) <= MAX_CONTAINERS and text.count(",") < MAX_VALUES


def _containers_in(text: str) -> int:
    return text.count("[") + text.count("{")


def _excess(what: str, maximum: int) -> LimitExceededError:
    return LimitExceededError(
        f"JSON with more than {maximum} {what}", limit=f"max_{what.replace(' ', '_')}", maximum=maximum
    )
