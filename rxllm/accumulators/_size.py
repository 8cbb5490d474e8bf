"""How much there is in a value of JSON."""

from __future__ import annotations

from typing import Any, cast

from rxllm.models._json import is_list

__all__ = ["size_of"]


def size_of(value: object) -> int:
    """How many characters a value keeps, those of names included; what is no text counts as one.

    >>> size_of({"text": ["ab", None, 5]})
    8
    """
    if isinstance(value, str):
        return len(value)
    if is_list(value):
        return sum(size_of(each) for each in value)
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return sum(len(name) + size_of(member) for name, member in members.items())
    return 1
