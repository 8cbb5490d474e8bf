"""What was said, in the JSON of the conventions: messages that have parts.

Rules:

1. Texts, reasoning, calls and results are told. Of files and pictures it is told that there was one, and where it is
   if it has an address; the bytes are not.
2. Each text is bounded, and so is the number of messages: the last ones count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from rxllm.exceptions import ToolCallError
from rxllm.models import ChatCompletion, FunctionCall, Message, is_list, is_object

MOST_CHARACTERS = 32_768
MOST_MESSAGES = 1_000

Parts = list[dict[str, Any]]


def as_text(value: object) -> str:
    """JSON as text; lone surrogates are replaced."""
    return to_json(value, inf_nan_mode="constants", serialize_unknown=True).decode()


def input_messages(messages: Sequence[Message | Mapping[str, Any]]) -> str:
    """The conversation so far."""
    return as_text([_message(_as_sent(message)) for message in messages[-MOST_MESSAGES:]])


def output_messages(completion: ChatCompletion) -> str:
    """The answers."""
    told: list[dict[str, Any]] = []
    for choice in completion.choices:
        message = _message(_as_sent(choice.message))
        for call in choice.incomplete_tool_calls:
            message["parts"].append(_call(call.id, call.name or "", call.arguments))
        reason = choice.finish_reason
        told.append({**message, "finish_reason": "error" if reason is None else str(reason)})
    return as_text(told)


def tool_definitions(tools: Sequence[Mapping[str, Any]]) -> str:
    """The tools that the model may call."""
    return bounded(as_text([{"type": "function", **_function(tool)} for tool in tools]))


def bounded(text: str) -> str:
    """A text, or the beginning of one that is too long."""
    left = len(text) - MOST_CHARACTERS
    text = text if left <= 0 else f"{text[:MOST_CHARACTERS]}… ({left} more)"
    return text.encode(errors="replace").decode()


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = tool.get("function")
    return inner if is_object(inner) else tool


def _as_sent(message: Message | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(message, Message):
        return message
    sent = message.to_wire()
    if (reasoning := message.reasoning_text) is not None:
        sent["reasoning"] = reasoning
    return sent


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role = str(message.get("role") or "user")
    named = {"name": message["name"]} if isinstance(message.get("name"), str) else {}
    content = message.get("content")
    if role == "tool":
        said = bounded(content) if isinstance(content, str) else content
        parts: Parts = [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": said}]
        return {"role": role, "parts": parts, **named}
    reasoning = message.get("reasoning") or message.get("reasoning_content")
    parts = [{"type": "reasoning", "content": bounded(reasoning)}] if isinstance(reasoning, str) and reasoning else []
    parts += _content(content)
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        parts.append({"type": "refusal", "content": bounded(refusal)})
    parts += _calls(message.get("tool_calls"))
    return {"role": role, "parts": parts, **named}


def _content(content: object) -> Iterable[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "content": bounded(content)}] if content else []
    return [_part(part) for part in content if is_object(part)] if is_list(content) else []


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(part.get("type") or "text")
    if isinstance(text := part.get("text"), str):
        return {"type": "text", "content": bounded(text)}
    inner = part.get(kind)
    url = inner.get("url") if is_object(inner) else None
    if isinstance(url, str) and not url.startswith("data:"):
        return {"type": "uri", "modality": kind.partition("_")[0], "uri": bounded(url)}
    return {"type": kind}


def _calls(calls: object) -> Iterable[dict[str, Any]]:
    for call in calls if is_list(calls) else ():
        function = call.get("function") if is_object(call) else None
        if is_object(call) and is_object(function):
            yield _call(call.get("id"), str(function.get("name", "")), function.get("arguments"))


def _call(id: object, name: str, arguments: object) -> dict[str, Any]:
    said = _parsed(arguments) if isinstance(arguments, str) else arguments
    return {"type": "tool_call", "id": id, "name": name, "arguments": said}


def _parsed(arguments: str) -> object:
    """The arguments as an object, or their text if they are none, or too long."""
    if len(arguments) > MOST_CHARACTERS:
        return bounded(arguments)
    try:
        return FunctionCall(name="", arguments=arguments).parsed
    except ToolCallError:
        return bounded(arguments)
