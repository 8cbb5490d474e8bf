"""A conversation as Cohere's Chat API wants it.

Rules:

1. An answer of the same server goes back by its parts: its thinking, its text, its calls, what the model planned before
   them, and what each of these cites.
2. Beside calls there is no text, but what the model thought or else planned. The text of another answer goes as that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rxllm.dialects._ported import at_home, ported
from rxllm.dialects.cohere._cohere_errors import NAME, unsupported_by_cohere
from rxllm.dialects.cohere._cohere_parts import CITATIONS, PLAN
from rxllm.models import ChatRequest, Message, PartKind, Repair, Role, ToolCall

_LOST = "lost-in-conversion"
_CUSTOM = "custom"
_TEXT, _REASONING = str(PartKind.TEXT), str(PartKind.REASONING)
_ROLES: Mapping[str, str] = {Role.DEVELOPER: "system", **{role: str(role) for role in (Role.SYSTEM, Role.USER)}}


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
    conversation = ported(request.messages, at_home(NAME, host))
    repairs = list(conversation.repairs)
    sent: list[Mapping[str, Any]] = []
    for place, (message, verbatim) in enumerate(zip(conversation.messages, conversation.verbatim, strict=True)):
        if not isinstance(message, Message):
            sent.append(message)
            continue
        lost = ["name"] if message.name else []
        if message.role != Role.ASSISTANT:
            sent.append(_said(message))
        else:
            say = _own if verbatim else _converted
            sent.append(say(message, lost, send_plan=send_plan))
        repairs += [Repair(_LOST, place, lost, None)] if lost else []
    return sent, tuple(repairs)


def _said(message: Message) -> dict[str, Any]:
    """A message of anybody but the model."""
    if message.role == Role.TOOL:
        if not message.tool_call_id:
            raise unsupported_by_cohere("messages", "a result needs the tool_call_id of its call")
        content = _content_of(message, {"text", "document"})
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": content}
    if message.role not in _ROLES:
        said = f"the role must be system, user, assistant or tool, not {str(message.role)!r}"
        raise unsupported_by_cohere("role", said)
    return {"role": _ROLES[message.role], "content": _content_of(message, {"text", "image_url"})}


def _own(message: Message, lost: list[str], *, send_plan: bool) -> dict[str, Any]:
    """An answer of this server, by its parts; what of them is lost is added to what is."""
    blocks = [part.block for part in message.parts if part.final and part.block is not None]
    plans = [block for block in blocks if PLAN in block]
    contents = [block for block in blocks if block.get("type") in {"text", "thinking"}]
    said: dict[str, Any] = {"role": "assistant"}
    if message.tool_calls:
        said["tool_calls"] = [_call_of(call) for call in message.tool_calls]
        thinking = [block for block in contents if block["type"] == "thinking"]
        lost += [_TEXT] if len(thinking) < len(contents) else []
        contents = thinking
    if not (send_plan and message.tool_calls) or contents:
        lost += [_REASONING] if plans else []
        plans = []
    if plans:
        said[PLAN] = "".join(block[PLAN] for block in plans)
    if contents or not message.tool_calls:
        said["content"] = [{name: block[name] for name in block if name != CITATIONS} for block in contents] or ""
    if citations := [citation for block in (*plans, *contents) for citation in block.get(CITATIONS, ())]:
        said[CITATIONS] = citations
    return said


def _converted(message: Message, lost: list[str], *, send_plan: bool) -> dict[str, Any]:
    """The text and the calls of any other answer."""
    for name in ("function_call", "audio"):
        if getattr(message, name) is not None:
            raise unsupported_by_cohere(name, "an earlier answer can only have text and tool_calls")
    content = _content_of(message, {"text"})
    if message.refusal:
        content = "\n".join(filter(None, (message.text, message.refusal)))
    if not message.tool_calls:
        return {"role": "assistant", "content": content}
    said: dict[str, Any] = {"role": "assistant", "tool_calls": [_call_of(call) for call in message.tool_calls]}
    if content and send_plan:
        said[PLAN] = content if isinstance(content, str) else message.text
    elif content:
        lost.append(_TEXT)
    return said


def _call_of(call: ToolCall) -> dict[str, Any]:
    if _CUSTOM in (call.model_extra or {}):
        raise unsupported_by_cohere("tool_calls", "a call must be a call of a function")
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _content_of(message: Message, kinds: Collection[str]) -> str | list[dict[str, Any]]:
    if not isinstance(message.content, list):
        return message.content or ""
    for part in message.content:
        if part.get("type") not in kinds:
            said = f"a message of {message.role} has {' and '.join(sorted(kinds))}"
            raise unsupported_by_cohere(str(part.get("type")), said)
    return [{**part} for part in message.content]
