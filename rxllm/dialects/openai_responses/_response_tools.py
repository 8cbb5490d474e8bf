"""Tools, the choice of one, and the form of the answer: from the words of chat completions to those of Responses.

Rules:

1. Here a function is flat, and one that does not say whether it is strict would be. So it is said: it is not.
2. What is not a function and no custom tool of chat completions is the provider's own, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from rxllm.models import is_list, is_object

Fields: TypeAlias = Mapping[str, Any]

_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


def tool(said: Fields) -> Fields:
    """A tool.

    >>> tool({"type": "function", "function": {"name": "now"}})
    {'type': 'function', 'parameters': {'type': 'object', 'properties': {}}, 'strict': False, 'name': 'now'}
    """
    kind = said.get("type")
    inner = said.get(str(kind))
    if kind == "function" and is_object(inner):
        given = {name: value for name, value in inner.items() if value is not None}
        return {"type": kind, "parameters": _NO_PARAMETERS, "strict": False, **given}
    if kind == "custom" and is_object(inner):
        return {"type": kind, **inner, **_format(inner.get("format"))}
    return said


def _format(said: Any) -> dict[str, Any]:
    """The format of a custom tool's input: a grammar is flat here."""
    inner = said.get("grammar") if is_object(said) else None
    return {"format": {"type": "grammar", **inner}} if is_object(inner) else {}


def tool_choice(said: Any) -> Any:
    """Which tool the model has to call.

    >>> tool_choice({"type": "function", "function": {"name": "now"}})
    {'type': 'function', 'name': 'now'}
    """
    kind = said.get("type") if is_object(said) else None
    inner = said.get(str(kind)) if is_object(said) else None
    if not is_object(inner):
        return said
    flat = {"type": kind, **inner}
    if kind == "allowed_tools" and is_list(allowed := inner.get("tools")):
        flat["tools"] = [tool_choice(each) for each in allowed]
    return flat


def text_format(said: Fields) -> dict[str, Any]:
    """The form of the answer.

    >>> text_format({"type": "json_schema", "json_schema": {"name": "joke", "schema": {"type": "object"}}})
    {'type': 'json_schema', 'name': 'joke', 'schema': {'type': 'object'}}
    """
    inner = said.get("json_schema")
    return {"type": "json_schema", "name": "answer", **inner} if is_object(inner) else {**said}
