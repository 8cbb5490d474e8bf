"""A request as the Converse API wants it.

Rules:

1. The fields of ``ChatRequest`` are translated. What has no translation is an error, unless it asks for what is so
   anyway: one answer, no log probabilities, a penalty of 0.
2. All other fields go into the body as they are, and count before what is made of the declared ones; of
   ``inferenceConfig``, ``toolConfig``, ``outputConfig`` and ``requestMetadata`` member by member.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rxllm.dialects.bedrock_converse._converse_errors import unsupported
from rxllm.dialects.bedrock_converse._converse_messages import Sent
from rxllm.dialects.bedrock_converse._converse_tools import tool_config_of
from rxllm.models import ChatRequest, is_list, is_object

_TIERS = frozenset({"default", "flex", "priority", "reserved"})
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


def body_of(request: ChatRequest, sent: Sent) -> dict[str, Any]:
    """The body.

    Args:
        request: The request.
        sent: Its conversation.

    Raises:
        UnsupportedRequestError: It asks for what cannot be said.
    """
    unsupported.check_unsaid(
        request,
        _UNSAID,
        "the Converse API has no such parameter; a model's own words go into additionalModelRequestFields",
    )
    extra = dict(request.model_extra or {})
    made: dict[str, Any] = {
        "inferenceConfig": _inference_of(request),
        "toolConfig": tool_config_of(request, sent.called),
        "outputConfig": _output_of(request),
        "requestMetadata": _metadata_of(request),
    }
    body: dict[str, Any] = {"messages": sent.messages}
    own = extra.pop("system", None)
    if system := [*(own if is_list(own) else [{"text": own}] if isinstance(own, str) else []), *sent.system]:
        body["system"] = system
    for name, ours in made.items():
        theirs = extra.pop(name, None)
        if ours or theirs:
            body[name] = {**(ours or {}), **theirs} if is_object(theirs) else theirs or ours
    if request.service_tier not in {None, "auto"}:
        if request.service_tier not in _TIERS:
            raise unsupported("service_tier", f"it must be auto or one of {', '.join(sorted(_TIERS))}")
        body["serviceTier"] = {"type": request.service_tier}
    return {**body, **extra}


def _inference_of(request: ChatRequest) -> dict[str, Any]:
    limit = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    made: dict[str, Any] = {} if limit is None else {"maxTokens": limit}
    for ours, theirs in (("temperature", "temperature"), ("top_p", "topP")):
        value: float | None = getattr(request, ours)
        if value is None:
            continue
        if not 0 <= value <= 1:
            raise unsupported(ours, f"it must be from 0 to 1, not {value:g}")
        made[theirs] = value
    if request.stop:
        made["stopSequences"] = [request.stop] if isinstance(request.stop, str) else [*request.stop]
    return made


def _output_of(request: ChatRequest) -> dict[str, Any]:
    effort = request.reasoning_effort
    if effort == "none":
        raise unsupported(
            "reasoning_effort", "to turn thinking off, use the model's own fields in additionalModelRequestFields"
        )
    made: dict[str, Any] = {} if effort is None else {"effort": effort}
    form = request.response_format
    if form is None or form.get("type") == "text":
        return made
    inner = form.get("json_schema")
    schema = inner.get("schema") if is_object(inner) else None
    if form.get("type") != "json_schema" or not is_object(inner) or not is_object(schema):
        raise unsupported("response_format", "it must be text, or JSON with a schema: {'type': 'json_schema', …}")
    named = {name: value for name in ("name", "description") if isinstance(value := inner.get(name), str)}
    structure = {"jsonSchema": {**named, "schema": json.dumps(schema, ensure_ascii=False)}}
    return {**made, "textFormat": {"type": "json_schema", "structure": structure}}


def _metadata_of(request: ChatRequest) -> dict[str, str]:
    metadata = dict(request.metadata or {})
    if request.user is not None:
        if metadata.get("user", request.user) != request.user:
            raise unsupported("user", "metadata has another user")
        metadata["user"] = request.user
    return metadata
