"""What the fields of an event of Cohere's Chat API hold, whatever a server wrote into them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rxllm.models import is_list, is_object


def as_object(value: object) -> Mapping[str, Any]:
    """The object; an empty one if it is none."""
    return value if is_object(value) else {}


def as_list(value: object) -> list[Any]:
    """The list; an empty one if it is none."""
    return [*value] if is_list(value) else []


def as_text(value: object) -> str:
    """The text; an empty one if it is none."""
    return value if isinstance(value, str) else ""


def message_in(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The piece of the message that an event has."""
    return as_object(as_object(fields.get("delta")).get("message"))


def call_in(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The call, or the piece of one, that an event has.

    Raises:
        ValueError: It has none.
    """
    call = message_in(fields).get("tool_calls")
    if not is_object(call):
        raise ValueError("it has no call")
    return call


def arguments_in(function: Mapping[str, Any]) -> str:
    """The arguments of a function, as JSON; some servers send them as an object."""
    value = function.get("arguments")
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def index_in(fields: Mapping[str, Any]) -> int:
    """The index of what an event is about; 0 if that is not said.

    Raises:
        ValueError: It is not an index.
    """
    index = fields.get("index", 0)
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise ValueError("it has no valid index")
    return index
