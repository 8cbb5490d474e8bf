"""How much there is in a value of JSON."""

from __future__ import annotations

from typing import Any, cast

__all__ = ["size_of"]


def size_of(value: object) -> int:
    """How many characters a value keeps, those of names included; what is no text counts as one.

    >>> size_of({"text": ["ab", None, 5]})
    8
    """
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(size_of, cast("list[Any]", value)))
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return sum(map(len, members)) + sum(map(size_of, members.values()))
    return 1
