"""A request as the Messages API wants it.

Rules:

1. The fields of ``ChatRequest`` are translated. What has no translation is an error, unless it asks for what is so
   anyway: one answer, no log probabilities, a penalty of 0.
2. All other fields go into the body as they are, and count before what is made of the declared ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.dialects.anthropic._anthropic_errors import unsupported
from rxllm.dialects.anthropic._anthropic_thinking import put_effort
from rxllm.dialects.anthropic._anthropic_tools import tool_choice_of, tool_of
from rxllm.models import ChatRequest, is_list, is_object

_WITHOUT_SAMPLING = "2026-10-21"
_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
# Fields without translation, and what they may be nonetheless, for it changes nothing.
_UNSAID: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "seed": (),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "verbosity": (),
    "store": (False,),
    "prediction": (),
    "modalities": (["text"], ("text",)),
    "audio": (),
}


def body_of(request: ChatRequest, version: str, max_tokens: int) -> dict[str, Any]:
    """The body, without the conversation.

    Args:
        request: The request.
        version: The version of the API.
        max_tokens: How many tokens the answer may have if the request does not say.

    Raises:
        UnsupportedRequestError: It asks for what cannot be said.
    """
    unsupported.check_unsaid(request, _UNSAID, "the Messages API has no such parameter")
    extra = dict(request.model_extra or {})
    body: dict[str, Any] = {"model": request.model}
    limit = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    body["max_tokens"] = max_tokens if limit is None else limit
    if request.stop:
        body["stop_sequences"] = [request.stop] if isinstance(request.stop, str) else [*request.stop]
    _put_sampling(request, version, body)
    _put_tools(request, body)
    output = _output_of(request)
    if user := _metadata_of(request):
        body["metadata"] = user
    if request.service_tier is not None:
        if request.service_tier not in _TIERS:
            raise unsupported("service_tier", f"it must be one of {', '.join(_TIERS)}, not {request.service_tier!r}")
        body["service_tier"] = _TIERS[request.service_tier]
    put_effort(request, body, output, given=extra.get("thinking"), has_limit=limit is not None)
    own_output = extra.pop("output_config", None)
    if is_object(own_output) or output:
        body["output_config"] = {**output, **(own_output if is_object(own_output) else {})}
    return {**body, **extra, "stream": True}


def _put_sampling(request: ChatRequest, version: str, body: dict[str, Any]) -> None:
    for name in ("temperature", "top_p"):
        value: float | None = getattr(request, name)
        if value is None:
            continue
        if version >= _WITHOUT_SAMPLING:
            raise unsupported(name, f"version {version} has no sampling parameters")
        if not 0 <= value <= 1:
            raise unsupported(name, f"it must be from 0 to 1, not {value:g}")
        body[name] = value


def _put_tools(request: ChatRequest, body: dict[str, Any]) -> None:
    if request.tools:
        body["tools"] = [tool_of(tool) for tool in request.tools]
    choice = tool_choice_of(request)
    if choice is not None:
        body["tool_choice"] = choice


def _output_of(request: ChatRequest) -> dict[str, Any]:
    form = request.response_format
    if form is None or form.get("type") == "text":
        return {}
    inner = form.get("json_schema")
    schema = inner.get("schema") if is_object(inner) else None
    if form.get("type") != "json_schema" or not is_object(schema):
        raise unsupported("response_format", "it must be text, or JSON with a schema: {'type': 'json_schema', …}")
    return {"format": {"type": "json_schema", "schema": _closed(schema)}}


def _closed(schema: Any) -> Any:
    """A schema that says of each object that it has no other properties, which the server wants to be said."""
    if is_list(schema):
        return [_closed(each) for each in schema]
    if not is_object(schema):
        return schema
    fields = {name: _closed(value) for name, value in schema.items()}
    if fields.get("type") == "object" and is_object(fields.get("properties")):
        fields.setdefault("additionalProperties", False)
    return fields


def _metadata_of(request: ChatRequest) -> dict[str, str]:
    metadata = dict(request.metadata or {})
    if others := sorted(metadata.keys() - {"user_id"}):
        raise unsupported("metadata", f"it can only have user_id, not {', '.join(others)}")
    if request.user is not None:
        if metadata.get("user_id", request.user) != request.user:
            raise unsupported("user", "metadata has another user_id")
        metadata["user_id"] = request.user
    return metadata
