"""A request as the Gemini API wants it, but for the conversation.

Rules:

1. The fields of ``ChatRequest`` are translated. What has no translation is an error, unless it asks for what is so
   anyway.
2. All other fields go into the body as they are. What they say of ``generationConfig``, ``tools`` and ``toolConfig`` is
   put together with what is made of the declared ones, and counts before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rxllm.dialects.gemini._gemini_errors import unsupported_by_gemini
from rxllm.models import ChatRequest, is_list, is_object

_UNSAID: Mapping[str, tuple[Any, ...]] = {
    "logit_bias": ({},),
    "verbosity": (),
    "user": (),
    "metadata": ({},),
    "store": (False,),
    "service_tier": ("auto", "default"),
    "prediction": (),
    "parallel_tool_calls": (True,),
}
_SAID: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "topP",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
_MODES = {"auto": "AUTO", "required": "ANY", "any": "ANY", "none": "NONE"}
_BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 32768}
_LEVELS = {"minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
_VERSION = re.compile(r"gemini-(\d+)")
_WITH_LEVELS = 3
_SOUND = {None, "pcm16"}


def generation_of(model: str) -> int | None:
    """Which generation of Gemini a model is of, by its name; ``None`` if it is none.

    >>> generation_of("models/gemini-2.5-flash"), generation_of("gemma-3-27b-it")
    (2, None)
    """
    found = _VERSION.search(model)
    return None if found is None else int(found[1])


def body_of_request(request: ChatRequest) -> dict[str, Any]:
    """The body, without the conversation.

    Raises:
        UnsupportedRequestError: It asks for what cannot be said.
    """
    unsupported_by_gemini.check_unsaid(request, _UNSAID, "the Gemini API has no such parameter")
    extra = dict(request.model_extra or {})
    body: dict[str, Any] = {}
    if config := _config_of(request):
        body["generationConfig"] = config
    if tools := _tools_of(request):
        body["tools"] = tools
    if choice := _choice_of(request):
        body["toolConfig"] = {"functionCallingConfig": choice}
    for name in ("generationConfig", "toolConfig"):
        own = extra.get(name)
        if is_object(own):
            extra[name] = {**body.get(name, {}), **own}
    return {**body, **extra}


def _config_of(request: ChatRequest) -> dict[str, Any]:
    config = {theirs: value for ours, theirs in _SAID.items() if (value := getattr(request, ours)) is not None}
    limit = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    if limit is not None:
        config["maxOutputTokens"] = limit
    if request.stop:
        config["stopSequences"] = [request.stop] if isinstance(request.stop, str) else [*request.stop]
    if request.modalities is not None:
        config["responseModalities"] = [each.upper() for each in request.modalities]
    if request.audio is not None:
        config["speechConfig"] = _speech_of(request.audio)
    if request.reasoning_effort is not None:
        config["thinkingConfig"] = _thinking_of(request.model, request.reasoning_effort)
    return {**config, **_form_of(request)}


def _speech_of(audio: Mapping[str, Any]) -> dict[str, Any]:
    if audio.get("format") not in _SOUND:
        raise unsupported_by_gemini("audio", "its sound is pcm16")
    return {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": audio.get("voice")}}}


def _thinking_of(model: str, effort: str) -> dict[str, Any]:
    generation = generation_of(model)
    has_levels = generation is not None and generation >= _WITH_LEVELS
    known = _LEVELS if has_levels else _BUDGETS
    if effort not in known:
        raise unsupported_by_gemini(
            "reasoning_effort", f"for {model} it must be one of {', '.join(known)}, not {effort!r}"
        )
    if has_levels:
        return {"includeThoughts": True, "thinkingLevel": _LEVELS[effort]}
    return {"includeThoughts": effort != "none", "thinkingBudget": _BUDGETS[effort]}


def _form_of(request: ChatRequest) -> dict[str, Any]:
    form = request.response_format
    if form is None or form.get("type") == "text":
        return {}
    if form.get("type") == "json_object":
        return {"responseMimeType": "application/json"}
    inner = form.get("json_schema")
    schema = inner.get("schema") if is_object(inner) else None
    if form.get("type") != "json_schema" or not is_object(schema):
        raise unsupported_by_gemini("response_format", "it must be text, json_object, or json_schema with a schema")
    return {"responseMimeType": "application/json", "responseJsonSchema": dict(schema)}


def _tools_of(request: ChatRequest) -> list[dict[str, Any]]:
    declared: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for tool in request.tools or ():
        function = tool.get("function")
        if is_object(function):
            declared.append(_declared(function))
        elif tool.get("type") == "custom":
            raise unsupported_by_gemini("tools", "the input of a tool must be an object, not any text")
        elif is_list(own := tool.get("functionDeclarations")):
            declared += own
            others += [rest] if (rest := {key: tool[key] for key in tool if key != "functionDeclarations"}) else []
        else:
            others.append({**tool})
    return [*([{"functionDeclarations": declared}] if declared else []), *others]


def _declared(function: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in function.items() if name not in {"parameters", "strict"}}
    parameters = function.get("parameters")
    # An object without properties is refused.
    if is_object(parameters) and (parameters.get("properties") or parameters.get("type") != "object"):
        rest["parametersJsonSchema"] = dict(parameters)
    return rest


def _choice_of(request: ChatRequest) -> dict[str, Any]:
    given = request.tool_choice
    if given is None:
        return {}
    if isinstance(given, str):
        if given not in _MODES:
            raise unsupported_by_gemini("tool_choice", f"it must be auto, required, none or a function, not {given!r}")
        return {"mode": _MODES[given]}
    if "mode" in given:
        return {**given}
    function = given.get("function")
    if given.get("type") == "function" and is_object(function):
        return {"mode": "ANY", "allowedFunctionNames": [function.get("name")]}
    allowed = given.get("allowed_tools")
    if is_object(allowed) and is_list(tools := allowed.get("tools")):
        names = [named.get("name") for each in tools if is_object(each) and is_object(named := each.get("function"))]
        mode = _MODES.get(str(allowed.get("mode")), "AUTO")
        # The names of what may be called count in this mode only.
        return {"mode": "ANY" if mode == "ANY" else "VALIDATED", "allowedFunctionNames": names}
    raise unsupported_by_gemini(
        "tool_choice", f"it must be auto, required, none or a function, not {given.get('type')!r}"
    )
