"""A request as Cohere's Chat API wants it.

Rules:

1. Most fields are those of chat completions. What has no translation is an error, unless it asks for what is so anyway.
2. All other fields go into the body as they are, and count before what is made of the declared ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.dialects.cohere._cohere_errors import unsupported_by_cohere
from rxllm.models import ChatRequest, is_object

_UNSAID: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logit_bias": ({},),
    "top_logprobs": (0,),
    "verbosity": (),
    "user": (),
    "metadata": ({},),
    "store": (False,),
    "service_tier": ("auto", "default"),
    "prediction": (),
    "modalities": (["text"], ("text",)),
    "audio": (),
    "parallel_tool_calls": (True,),
}
_SAID: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "p",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logprobs": "logprobs",
}
_CHOICES = {"required": "REQUIRED", "any": "REQUIRED", "none": "NONE"}
# How many tokens it may think for; without a number as many as it likes.
_BUDGETS: Mapping[str, int | None] = {
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    **dict.fromkeys(("high", "xhigh", "max")),
}


def body_for_cohere(request: ChatRequest) -> dict[str, Any]:
    """The body, without the conversation.

    Raises:
        UnsupportedRequestError: It asks for what cannot be said.
    """
    unsupported_by_cohere.check_unsaid(request, _UNSAID, "the Chat API has no such parameter")
    body: dict[str, Any] = {"model": request.model}
    body |= {theirs: value for ours, theirs in _SAID.items() if (value := getattr(request, ours)) is not None}
    limit = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    if limit is not None:
        body["max_tokens"] = limit
    if request.stop:
        body["stop_sequences"] = [request.stop] if isinstance(request.stop, str) else [*request.stop]
    if request.reasoning_effort is not None:
        body["thinking"] = _thinking_of(request.reasoning_effort)
    if form := _form_of(request):
        body["response_format"] = form
    return {**body, **_tools_of(request), **(request.model_extra or {}), "stream": True}


def _thinking_of(effort: str) -> dict[str, Any]:
    if effort == "none":
        return {"type": "disabled"}
    if effort not in _BUDGETS:
        raise unsupported_by_cohere(
            "reasoning_effort", f"it must be none or one of {', '.join(_BUDGETS)}, not {effort!r}"
        )
    budget = _BUDGETS[effort]
    return {"type": "enabled", **({} if budget is None else {"token_budget": budget})}


def _form_of(request: ChatRequest) -> dict[str, Any]:
    form = request.response_format
    if form is None or form.get("type") == "text":
        return {}
    if form.get("type") == "json_object":
        return dict(form)
    inner = form.get("json_schema")
    schema = inner.get("schema") if is_object(inner) else None
    if form.get("type") != "json_schema" or not is_object(schema):
        raise unsupported_by_cohere("response_format", "it must be text, json_object, or json_schema with a schema")
    return {"type": "json_object", "json_schema": dict(schema)}


def _tools_of(request: ChatRequest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    tools: list[dict[str, Any]] = []
    strict: set[bool] = set()
    for tool in request.tools or ():
        function = tool.get("function")
        if not is_object(function):
            raise unsupported_by_cohere("tools", f"a tool is a function, not {tool.get('type')!r}")
        strict.add(bool(function.get("strict")))
        tools.append({**tool, "function": {name: function[name] for name in function if name != "strict"}})
    if len(strict) > 1 and "strict_tools" not in (request.model_extra or {}):
        raise unsupported_by_cohere("tools", "either all of them must be strict, or none")
    if tools:
        found["tools"] = tools
    if True in strict:
        found["strict_tools"] = True
    choice = request.tool_choice
    if choice is not None and choice != "auto":
        if not isinstance(choice, str) or choice not in _CHOICES:
            raise unsupported_by_cohere("tool_choice", f"it must be auto, required or none, not {choice!r}")
        found["tool_choice"] = _CHOICES[choice]
    return found
