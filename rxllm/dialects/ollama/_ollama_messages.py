"""A conversation as Ollama's API wants it.

Rules:

1. An answer of the same server goes back by its parts: its calls as they came, its text, its thinking. Thinking has no
   signature, so that of a message made by hand goes along, too.
2. A result has the name of its tool. It is looked up by the identifier of the call, in the conversation before it.
3. Identifiers go back only where the server gave them.
4. A message has one text and any number of images, in base64. The server fetches nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rxllm.dialects._ported import at_home, ported
from rxllm.dialects.ollama._ollama_errors import NAME, unsupported
from rxllm.models import ChatRequest, Message, PartKind, Repair, Role, ToolCall, is_object, loads

_LOST = "lost-in-conversion"
_IMAGE = re.compile(r"data:image/[^;,]+((?:;[^;,]*)*),", re.IGNORECASE)
_ROLES: Mapping[str, str] = {Role.DEVELOPER: "system", **{role: str(role) for role in (Role.SYSTEM, Role.USER)}}
_UNREADABLE = "INVALID_JSON"


@dataclass(slots=True)
class Sent:
    """A conversation as it is sent.

    Attributes:
        messages: The messages.
        repairs: What is lost on the way.
    """

    messages: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    repairs: list[Repair] = field(default_factory=list[Repair])
    # The calls so far by their identifiers here: the name of the tool, and the identifier of the server.
    _calls: dict[str, tuple[str, str | None]] = field(default_factory=dict[str, tuple[str, str | None]])

    def add(self, place: int, message: Message, *, verbatim: bool) -> None:
        """Add a message.

        Raises:
            UnsupportedRequestError: It has what cannot be said.
        """
        if message.role == Role.ASSISTANT:
            self._note_calls(message, verbatim=verbatim)
            self.messages.append(_own(message) if verbatim else self._converted(place, message))
            return
        said: dict[str, Any] = {"role": _ROLES.get(message.role), **self._content(place, message)}
        if message.role == Role.TOOL:
            said |= self._result_of(message)
        elif said["role"] is None:
            raise unsupported("role", f"the role must be system, user, assistant or tool, not {str(message.role)!r}")
        elif message.name:
            self.repairs.append(Repair(_LOST, place, ["name"], None))
        self.messages.append(said)

    def _note_calls(self, message: Message, *, verbatim: bool) -> None:
        for call in message.tool_calls:
            self._calls[call.id] = (call.function.name, None)
        for part in message.parts if verbatim else ():
            given = None if part.block is None else part.block.get("id")
            if part.id in self._calls and isinstance(given, str) and given:
                self._calls[part.id] = (self._calls[part.id][0], given)

    def _result_of(self, message: Message) -> dict[str, Any]:
        """What says of which call a result is."""
        name, given = self._calls.get(message.tool_call_id or "", (message.name, None))
        if not name:
            raise unsupported("messages", "a result needs the name of its tool, and no earlier call has its identifier")
        return {"role": "tool", "tool_name": name, **({"tool_call_id": given} if given else {})}

    def _converted(self, place: int, message: Message) -> dict[str, Any]:
        """The text, the thinking and the calls of an answer."""
        for name in ("function_call", "audio"):
            if getattr(message, name) is not None:
                raise unsupported(name, "an earlier answer can only have text and tool_calls")
        made: dict[str, Any] = {"role": "assistant", **self._content(place, message)}
        made["content"] = "\n".join(filter(None, (made["content"], message.refusal)))
        if message.reasoning_text:
            made["thinking"] = message.reasoning_text
        if message.tool_calls:
            made["tool_calls"] = [{"function": _function(call)} for call in message.tool_calls]
        return made

    def _content(self, place: int, message: Message) -> dict[str, Any]:
        if not isinstance(message.content, list):
            return {"content": message.content or ""}
        texts: list[str] = []
        images: list[str] = []
        for part in message.content:
            if (text := _text_in(part)) is not None:
                texts.append(text)
            else:
                images.append(_image_in(part))
                if is_object(image := part.get("image_url")) and image.get("detail") not in {None, "auto"}:
                    self.repairs.append(Repair(_LOST, place, ["detail"], None))
        return {"content": "\n".join(texts), **({"images": images} if images else {})}


def sent_messages(request: ChatRequest, host: str) -> Sent:
    """The messages of a request as they are sent.

    Args:
        request: The request.
        host: Where it goes.

    Raises:
        UnsupportedRequestError: A message has what cannot be said.
    """
    conversation = ported(request.messages, at_home(NAME, host))
    sent = Sent()
    thought = str(PartKind.REASONING)
    for place, (message, verbatim) in enumerate(zip(conversation.messages, conversation.verbatim, strict=True)):
        if isinstance(message, Message):
            sent.add(place, message, verbatim=verbatim)
        else:
            sent.messages.append(message)
    for repair in conversation.repairs:
        # An answer of this server whose text was changed keeps its thinking.
        is_kept = "thinking" in sent.messages[repair.position]
        lost = [each for each in repair.before if not (is_kept and each == thought)]
        sent.repairs += [repair._replace(before=lost)] if lost else []
    return sent


def _own(message: Message) -> dict[str, Any]:
    """An answer of this server, by its parts."""
    blocks = [(part.kind, part.block) for part in message.parts if part.final and part.block is not None]
    made: dict[str, Any] = {"role": "assistant", "content": ""}
    for kind, block in blocks:
        if kind == PartKind.TOOL_CALL:
            made.setdefault("tool_calls", []).append(block)
        else:
            for name, text in block.items():
                made[name] = made.get(name, "") + text
    return made


def _function(call: ToolCall) -> dict[str, Any]:
    text = call.function.arguments
    try:
        # Some servers write nothing for no arguments.
        value = loads(text if text.strip() else "{}")
        json.dumps(value, allow_nan=False)
    except ValueError:
        value = None
    return {"name": call.function.name, "arguments": value if is_object(value) else {_UNREADABLE: text}}


def _text_in(part: Mapping[str, Any]) -> str | None:
    kind = part.get("type")
    text = part.get(kind) if kind in {"text", "refusal"} else None
    return text if isinstance(text, str) else None


def _image_in(part: Mapping[str, Any]) -> str:
    kind = part.get("type")
    inner = part.get(str(kind))
    fields = inner if is_object(inner) else {"url": inner}
    url = fields.get("url") if kind == "image_url" else fields.get("file_data") if kind == "file" else None
    head = _IMAGE.match(url) if isinstance(url, str) else None
    if head is None or ";base64" not in head[1].lower():
        raise unsupported(str(kind), "a message has text, and images as data: URLs in base64")
    return str(url)[head.end() :]
