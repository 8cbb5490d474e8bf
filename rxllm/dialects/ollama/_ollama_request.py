"""A request as Ollama's API wants it.

Rules:

1. The fields of ``ChatRequest`` are translated. What has no translation is an error, unless it asks for what is so
   anyway: one answer, a model that chooses whether to call a tool.
2. All other fields go into the body as they are, and count before what is made of the declared ones; those of
   ``options`` one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.dialects.ollama._ollama_errors import unsupported
from rxllm.models import ChatRequest, is_object

_OPTIONS = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")
_EFFORTS: Mapping[str, bool | str] = {
    "none": False,
    "minimal": "low",
    **{word: word for word in ("low", "medium", "high", "max")},
}
# Fields without translation, and what they may be nonetheless, for it changes nothing.
_UNSAID: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logit_bias": ({},),
    "parallel_tool_calls": (True,),
    "verbosity": (),
    "user": (),
    "metadata": ({},),
    "store": (False,),
    "service_tier": ("auto", "default"),
    "prediction": (),
    "modalities": (["text"], ("text",)),
    "audio": (),
}


def body_of(request: ChatRequest) -> dict[str, Any]:
    """The body, without the conversation.

    Raises:
        UnsupportedRequestError: It asks for what cannot be said.
    """
    unsupported.check_unsaid(request, _UNSAID, "its API has no such parameter")
    extra = dict(request.model_extra or {})
    body: dict[str, Any] = {"model": request.model}
    if tools := _tools_of(request):
        body["tools"] = tools
    if (form := _format_of(request.response_format)) is not None:
        body["format"] = form
    if (effort := request.reasoning_effort) is not None and "think" not in extra:
        body["think"] = _think_of(effort)
    for name in ("logprobs", "top_logprobs"):
        if (value := getattr(request, name)) is not None:
            body[name] = value
    options = _options_of(request)
    own = extra.pop("options", None)
    if own is not None and not is_object(own):
        raise unsupported("options", "they must be an object")
    if options or own:
        body["options"] = {**options, **(own or {})}
    return {**body, **extra, "stream": True}


def _tools_of(request: ChatRequest) -> list[dict[str, Any]]:
    choice = request.tool_choice
    if choice not in {None, "auto", "none"} if isinstance(choice, str | None) else True:
        raise unsupported("tool_choice", "no model can be forced to call a tool: it must be auto or none")
    tools = [dict(tool) for tool in request.tools or ()]
    for tool in tools:
        if not is_object(tool.get("function")):
            raise unsupported("tools", f"a tool is a function, not {tool.get('type')!r}")
    # Without tools no model calls one.
    return [] if choice == "none" else tools


def _format_of(form: Mapping[str, Any] | None) -> Any:
    kind = None if form is None else form.get("type")
    if form is None or kind == "text":
        return None
    if kind == "json_object":
        return "json"
    inner = form.get("json_schema")
    schema = inner.get("schema") if is_object(inner) else None
    if kind != "json_schema" or not is_object(schema):
        raise unsupported("response_format", "it must be text, a json_object, or JSON with a schema")
    return schema


def _think_of(effort: str) -> bool | str:
    if effort not in _EFFORTS:
        raise unsupported("reasoning_effort", f"it must be one of {', '.join(_EFFORTS)}, not {effort!r}")
    return _EFFORTS[effort]


def _options_of(request: ChatRequest) -> dict[str, Any]:
    options = {name: value for name in _OPTIONS if (value := getattr(request, name)) is not None}
    limit = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    if limit is not None:
        options["num_predict"] = limit
    if request.stop:
        options["stop"] = [request.stop] if isinstance(request.stop, str) else [*request.stop]
    return options
