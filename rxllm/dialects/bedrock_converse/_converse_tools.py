"""Tools and their choice, in the words of the Converse API.

Rules:

1. A conversation with calls has to come with tools. If the request has none, those that were called are declared, of
   whose input no more is known than that it is an object.
2. That no tool is to be called cannot be said but by leaving the tools out, which a conversation with calls forbids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rxllm.dialects.bedrock_converse._converse_errors import unsupported
from rxllm.models import ChatRequest, is_object

_CHOICES = {"required": "any", "any": "any"}
_OWN_CHOICES = frozenset({"auto", "any", "tool"})


def tool_config_of(request: ChatRequest, called: Iterable[str]) -> dict[str, Any] | None:
    """What a request says of tools; ``None`` if it has none.

    Args:
        request: The request.
        called: The names of the tools that the conversation has calls of.

    Raises:
        UnsupportedRequestError: It cannot be said.
    """
    called = sorted(set(called))
    if request.parallel_tool_calls is False:
        raise unsupported("parallel_tool_calls", "the model may call several tools in one answer")
    if request.tool_choice == "none":
        if called:
            raise unsupported("tool_choice", "a conversation with calls needs its tools, and then they may be called")
        return None
    tools = [tool_of(tool) for tool in request.tools or ()]
    if not tools:
        tools = [_spec({"name": name}) for name in called]
    if not tools:
        return None
    given = request.tool_choice
    if given is None or given == "auto":
        return {"tools": tools}
    return {"tools": tools, "toolChoice": _choice(given)}


def tool_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool. One that is not in OpenAI's words is one of the Converse API already.

    Raises:
        UnsupportedRequestError: It is a custom tool of OpenAI's, or takes no object.
    """
    function = tool.get("function")
    if is_object(function):
        return _spec(function)
    if "type" in tool:
        raise unsupported(
            "tools", f"a tool is a function, or a toolSpec or systemTool of its own, not {tool['type']!r}"
        )
    return {**tool}


def _spec(function: Mapping[str, Any]) -> dict[str, Any]:
    parameters = function.get("parameters")
    schema: dict[str, Any] = {"type": "object", **(parameters if is_object(parameters) else {"properties": {}})}
    if schema["type"] != "object":
        raise unsupported("tools", f"the parameters of a tool must be an object, not {schema['type']!r}")
    spec: dict[str, Any] = {"name": function.get("name")}
    if description := function.get("description"):
        spec["description"] = description
    spec["inputSchema"] = {"json": schema}
    if function.get("strict"):
        spec["strict"] = True
    return {"toolSpec": spec}


def _choice(given: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(given, str) and given in _CHOICES:
        return {_CHOICES[given]: {}}
    if is_object(given):
        function = given.get("function")
        if given.get("type") == "function" and is_object(function):
            return {"tool": {"name": function.get("name")}}
        if given.keys() <= _OWN_CHOICES:
            return {**given}
    raise unsupported("tool_choice", f"it must be auto, required, none or a function, not {given!r}")
