"""A request as Cohere's Chat API wants it.

Rules:

1. Most fields are those of chat completions. What has no translation is an error, unless it asks for what is so anyway.
   All other fields go into the body as they are.
2. An answer of the same server goes back with its calls and what the model planned or thought before them. Beside calls
   there is no text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.dialects._ported import ported
from rxllm.dialects.cohere._cohere_errors import NAME, unsupported_by_cohere
from rxllm.models import ChatRequest, Message, Origin, PartKind, Repair, Role, ToolCall, is_object

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
_BUDGETS: Mapping[str, int | None] = {"minimal": 512, "low": 1024, "medium": 8192, "high": None, "xhigh": None}
_LOST = "lost-in-conversion"
_PLAN = "tool_plan"


def body_for_cohere(request: ChatRequest) -> dict[str, Any]:
    """The body, without the conversation.

    Raises:
        UnsupportedRequestError: It asks for what cannot be said.
    """
    for name, harmless in _UNSAID.items():
        value = getattr(request, name)
        if value is not None and value not in harmless:
            raise unsupported_by_cohere(name, "the Chat API has nothing like it")
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
        raise unsupported_by_cohere("reasoning_effort", f"it is none or one of {', '.join(_BUDGETS)}, not {effort!r}")
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
        raise unsupported_by_cohere("response_format", "it is text, json_object, or json_schema with a schema")
    return {"type": "json_object", "json_schema": dict(schema)}


def _tools_of(request: ChatRequest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    tools: list[dict[str, Any]] = []
    for tool in request.tools or ():
        function = tool.get("function")
        if not is_object(function):
            raise unsupported_by_cohere("tools", f"a tool is a function, not {tool.get('type')!r}")
        if function.get("strict"):
            found["strict_tools"] = True
        tools.append({**tool, "function": {name: function[name] for name in function if name != "strict"}})
    if tools:
        found["tools"] = tools
    choice = request.tool_choice
    if choice is not None and choice != "auto":
        if not isinstance(choice, str) or choice not in _CHOICES:
            raise unsupported_by_cohere("tool_choice", f"it is auto, required or none, not {choice!r}")
        found["tool_choice"] = _CHOICES[choice]
    return found


def messages_for_cohere(
    request: ChatRequest, host: str, *, send_plan: bool
) -> tuple[list[Mapping[str, Any]], tuple[Repair, ...]]:
    """The conversation of a request as it is sent, and what is lost on the way.

    Args:
        request: The request.
        host: Where it goes.
        send_plan: Whether what the model planned before a call goes along.

    Raises:
        UnsupportedRequestError: A message has what cannot be said.
    """

    def is_home(origin: Origin) -> bool:
        return origin.dialect == NAME and origin.host == host

    conversation = ported(request.messages, is_home)
    repairs = list(conversation.repairs)
    sent: list[Mapping[str, Any]] = []
    for place, (message, verbatim) in enumerate(zip(conversation.messages, conversation.verbatim, strict=True)):
        if not isinstance(message, Message):
            sent.append(message)
            continue
        if message.name:
            repairs.append(Repair(_LOST, place, ["name"], None))
        if message.role == Role.ASSISTANT:
            said, lost = _answer(message, verbatim=verbatim, send_plan=send_plan)
            sent.append(said)
            repairs += [Repair(_LOST, place, lost, None)] if lost else []
        elif message.role == Role.TOOL:
            if not message.tool_call_id:
                raise unsupported_by_cohere("messages", "a result has no tool_call_id")
            sent.append({"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text})
        elif message.role in (Role.SYSTEM, Role.DEVELOPER, Role.USER):
            role = "user" if message.role == Role.USER else "system"
            sent.append({"role": role, "content": _content_of(message.content)})
        else:
            said_role = f"a message is of system, user, assistant or tool, not of {str(message.role)!r}"
            raise unsupported_by_cohere("role", said_role)
    return sent, tuple(repairs)


def _answer(message: Message, *, verbatim: bool, send_plan: bool) -> tuple[dict[str, Any], list[str]]:
    """An earlier answer, and what of it is lost."""
    for name in ("function_call", "audio"):
        if getattr(message, name) is not None:
            raise unsupported_by_cohere(name, "an earlier answer has text and tool_calls")
    said: dict[str, Any] = {"role": "assistant"}
    lost: list[str] = []
    blocks = [dict(part.block) for part in message.parts if part.final and part.block is not None] if verbatim else []
    content = [block for block in blocks if block.get("type") in {"text", "thinking"}]
    if not message.tool_calls:
        said["content"] = content or message.text
        return said, lost
    said["tool_calls"] = [_call_of(call) for call in message.tool_calls]
    plan = "".join(block[_PLAN] for block in blocks if _PLAN in block) or message.text
    thinking = [block for block in content if block.get("type") == "thinking"]
    if thinking:
        said["content"] = thinking
    elif plan and send_plan:
        said[_PLAN] = plan
    if plan and _PLAN not in said:
        lost.append(str(PartKind.TEXT))
    return said, lost


def _call_of(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _content_of(content: str | list[dict[str, Any]] | None) -> str | list[dict[str, Any]]:
    if content is None or isinstance(content, str):
        return content or ""
    for part in content:
        if part.get("type") not in {"text", "image_url", "document"}:
            raise unsupported_by_cohere(str(part.get("type")), "its models take text and images")
    return [{**part} for part in content]
