"""How much is kept: characters in a value of JSON, fields in an object."""

from __future__ import annotations

from typing import Any, cast

from rxllm.exceptions import LimitExceededError
from rxllm.models._json import is_list

__all__ = ["MAX_FIELDS", "check_fields", "size_of"]

MAX_FIELDS = 1000
"""How many fields that no model names one object may have, so that copying them is no matter."""


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


def check_fields(count: int) -> None:
    """See that an object has not too many fields.

    Raises:
        LimitExceededError: It has.
    """
    if count > MAX_FIELDS:
        raise LimitExceededError(
            f"an object has more than {MAX_FIELDS} fields that are unknown", limit="MAX_FIELDS", maximum=MAX_FIELDS
        )
