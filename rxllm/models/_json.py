r"""JSON as it is found in answers.

Rules:

1. The fast parsers come first. They refuse a lone surrogate (``"\ud800"``, an emoji cut in two), which RFC 8259
   section 8.2 leaves open; then the standard library's reads it and the surrogate becomes U+FFFD, so that
   nothing that is read here fails to be encoded later.
2. ``NaN``, ``Infinity`` and ``-Infinity`` are read as floats. Of duplicate keys the last counts.
3. A value nested deeper than ``MAX_DEPTH`` is a ``LimitExceededError``, whichever parser saw it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeGuard

import msgspec
from pydantic_core import from_json

from rxllm.exceptions import LimitExceededError

MAX_DEPTH = 200
"""How deep a value may be nested; the compiled parser has the same bound."""


def is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value is a JSON object."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a value is a JSON array."""
    return isinstance(value, list)


def is_deep(text: str | bytes) -> bool:
    """Whether a text may be nested deeper than ``MAX_DEPTH``."""
    # Each level is two characters at least, and most chunks are shorter than that.
    if len(text) <= 2 * MAX_DEPTH:
        return False
    if isinstance(text, str):
        return text.count("[") + text.count("{") > MAX_DEPTH
    return text.count(b"[") + text.count(b"{") > MAX_DEPTH


def loads(text: str | bytes) -> Any:
    """Read a JSON text.

    Raises:
        LimitExceededError: It is nested too deep.
        ValueError: It is not JSON.
    """
    if not is_deep(text):
        try:
            return msgspec.json.decode(text)
        except (msgspec.MsgspecError, ValueError):
            pass  # the others read more
    try:
        return from_json(text)
    except (ValueError, TypeError):  # a TypeError: half a surrogate pair stands in the text as it is
        return scrub(loads_unscrubbed(text))


def loads_unscrubbed(text: str | bytes) -> Any:
    """Read a JSON text, lone surrogates and all: to be scrubbed, which also sees to the depth.

    Raises:
        LimitExceededError: It is nested much too deep.
        ValueError: It is not JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise _too_deep() from None


def scrub(value: Any) -> Any:
    """A JSON value with U+FFFD for each lone surrogate in it.

    Raises:
        LimitExceededError: It is nested too deep.
    """
    return _scrub(value, MAX_DEPTH)


def _scrub(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return without_lone_surrogates(value)
    if depth == 0 and (is_list(value) or is_object(value)):
        raise _too_deep()
    if is_list(value):
        return [_scrub(element, depth - 1) for element in value]
    if is_object(value):
        return {without_lone_surrogates(name): _scrub(member, depth - 1) for name, member in value.items()}
    return value


def _too_deep() -> LimitExceededError:
    return LimitExceededError(f"JSON is nested deeper than {MAX_DEPTH} levels", limit="max_depth", maximum=MAX_DEPTH)


def without_lone_surrogates(text: str) -> str:
    """The text with U+FFFD for each lone surrogate, and one character for each pair."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
