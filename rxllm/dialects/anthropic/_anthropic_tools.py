"""Tools and their choice, in the words of the Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.dialects.anthropic._anthropic_errors import unsupported
from rxllm.models import ChatRequest, is_object

_CHOICES = {"auto": "auto", "required": "any", "any": "any", "none": "none"}
_OWN_CHOICES = frozenset({"auto", "any", "none", "tool"})
FORCED = frozenset({"any", "tool"})
"""The types of a choice that make the model call a tool."""


def tool_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool. One that is not in OpenAI's words is one of Anthropic's already.

    Raises:
        UnsupportedRequestError: It is a custom tool of OpenAI's, or takes no object.
    """
    function = tool.get("function")
    if not is_object(function):
        if tool.get("type") == "custom" and "custom" in tool:
            raise unsupported("tools", "the input of a tool must be an object, not any text")
        return {**tool}
    parameters = function.get("parameters")
    schema: dict[str, Any] = {"type": "object", **(parameters if is_object(parameters) else {"properties": {}})}
    if schema["type"] != "object":
        raise unsupported("tools", f"the parameters of a tool must be an object, not {schema['type']!r}")
    rest = {name: value for name, value in function.items() if name not in {"parameters", "strict"}}
    made = {**rest, "input_schema": schema}
    if function.get("strict"):
        made["strict"] = True
    return {**made, **{name: value for name, value in tool.items() if name not in {"type", "function"}}}


def tool_choice_of(request: ChatRequest) -> dict[str, Any] | None:
    """The choice of a request; ``None`` if it leaves the choice to the model, as it is anyway.

    Raises:
        UnsupportedRequestError: It cannot be said.
    """
    given = request.tool_choice
    choice = None if given is None else _choice(given)
    if not request.tools and (choice is None or choice["type"] not in FORCED):
        # Without tools no choice is allowed.
        return None
    if request.parallel_tool_calls is False and (choice is None or choice["type"] != "none"):
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return choice


def _choice(given: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(given, str):
        if given in _CHOICES:
            return {"type": _CHOICES[given]}
        raise unsupported("tool_choice", f"it must be auto, required, none or a function, not {given!r}")
    function = given.get("function")
    if given.get("type") == "function" and is_object(function):
        return {"type": "tool", "name": function.get("name")}
    if given.get("type") in _OWN_CHOICES:
        return {**given}
    raise unsupported("tool_choice", f"it must be auto, required, none or a function, not {given.get('type')!r}")
