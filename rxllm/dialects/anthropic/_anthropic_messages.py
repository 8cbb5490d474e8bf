"""A conversation as the Messages API wants it.

Rules:

1. An answer of the same server goes back by its blocks, in their order and unchanged. A text that was cut goes as a
   text; nothing else that was cut does.
2. Signatures are of use to the model that made them. If another one is asked, reasoning is left out of such an answer.
3. The results of a turn are in one message of the user, and the first thing in it.
4. A container that an answer came from goes at the top level of the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rxllm.dialects._ported import at_home, ported
from rxllm.dialects._tool_input import input_in
from rxllm.dialects.anthropic._anthropic_blocks import UNREADABLE
from rxllm.dialects.anthropic._anthropic_content import Blocks, text_blocks
from rxllm.dialects.anthropic._anthropic_errors import NAME, unsupported
from rxllm.models import (
    ChatRequest,
    Message,
    MessagePart,
    PartKind,
    Repair,
    Role,
    ToolCall,
    is_object,
)

_LOST = "lost-in-conversion"
_FAMILY = re.compile(r"claude-.+")
_SUFFIXES = re.compile(r"(?:[-@](?:20\d{6}|latest|0)|-v\d+(?::\d+)?|:.*)$")
_THINKING = frozenset({"thinking", "redacted_thinking"})
_SYSTEM = (Role.SYSTEM, Role.DEVELOPER)


@dataclass(slots=True)
class Sent:
    """A conversation as it is sent.

    Attributes:
        messages: The messages.
        system: What the system says, as blocks.
        container: The identifier of the container of the last answer that had one.
        repairs: What is lost on the way.
    """

    messages: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    system: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    container: str | None = None
    repairs: list[Repair] = field(default_factory=list[Repair])
    # Of the turn of the user that goes on: its results, and what else it has.
    _results: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _others: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    def say(self, role: str, content: list[dict[str, Any]]) -> None:
        """Add a message, unless there is nothing in it."""
        if role != Role.ASSISTANT:
            if content:
                self._others.append({"role": role, "content": content})
            return
        self.end_turn()
        if content:
            self.messages.append({"role": role, "content": content})

    def say_as_it_is(self, message: Mapping[str, Any]) -> None:
        """Add what somebody else worded."""
        self.end_turn()
        self.messages.append(message)

    def result(self, block: dict[str, Any]) -> None:
        """Add the result of a call."""
        self._results.append(block)

    def end_turn(self) -> None:
        """Have all of the user's turn said."""
        if self._results:
            self.messages.append({"role": "user", "content": self._results})
            self._results = []
        self.messages += self._others
        self._others = []


def sent_messages(request: ChatRequest, host: str) -> Sent:
    """The messages of a request as they are sent.

    Args:
        request: The request.
        host: Where it goes.

    Raises:
        UnsupportedRequestError: A message has what cannot be said.
    """
    conversation = ported(request.messages, at_home(NAME, host))
    sent = Sent(repairs=conversation.repairs)
    for place, (message, verbatim) in enumerate(zip(conversation.messages, conversation.verbatim, strict=True)):
        blocks = Blocks(place, sent.repairs)
        if isinstance(message, Message) and message.name:
            sent.repairs.append(Repair(_LOST, place, ["name"], None))
        if not isinstance(message, Message):
            sent.say_as_it_is(message)
        elif message.role in _SYSTEM:
            sent.system += blocks.of(message.content)
        elif message.role == Role.TOOL:
            sent.result(_result(message, blocks))
        elif message.role == Role.ASSISTANT:
            sent.say("assistant", _own(message, request.model, blocks) if verbatim else _converted(message, blocks))
            sent.container = _container_of(message) or sent.container
        elif message.role == Role.USER:
            sent.say("user", blocks.of(message.content))
        else:
            raise unsupported("role", f"the role must be system, user, assistant or tool, not {str(message.role)!r}")
    sent.end_turn()
    return sent


def _own(message: Message, model: str, blocks: Blocks) -> list[dict[str, Any]]:
    """The blocks of an answer of this server."""
    content = [block for part in message.parts for block in _block_of(part)]
    if _is_of(message, model):
        return content
    kept = [block for block in content if block.get("type") not in _THINKING]
    if len(kept) != len(content):
        blocks.repairs.append(Repair(_LOST, blocks.place, [str(PartKind.REASONING)], None))
    return kept


def _block_of(part: MessagePart) -> Iterable[dict[str, Any]]:
    if part.final and part.block is not None:
        # The server gives empty texts, and refuses them.
        return () if part.block.get("type") == "text" and not part.block.get("text") else (part.block,)
    return text_blocks(part.text) if part.kind == PartKind.TEXT else ()


def _is_of(message: Message, model: str) -> bool:
    """Whether an answer is of the model that is asked, as far as their names tell."""
    wanted = _family_of(model)
    origin = message.origin
    known = {None if origin is None or origin.model is None else _family_of(origin.model)}
    # Several models may have written it, one after the other.
    for block in (part.block or {} for part in message.parts):
        for other in (block.get("from"), block.get("to")):
            if is_object(other) and isinstance(name := other.get("model"), str):
                known.add(_family_of(name))
    return wanted is None or None in known or wanted in known


def _family_of(model: str) -> str | None:
    """A model without the date of its version, or what a gateway puts around it; ``None`` for any other name.

    >>> _family_of("anthropic/claude-sonnet-4.5"), _family_of("claude-sonnet-4-5@20250929")
    ('claude-sonnet-4-5', 'claude-sonnet-4-5')
    """
    found = _FAMILY.search(model.lower().replace(".", "-"))
    if found is None:
        return None
    name, before = found[0], ""
    while name != before:
        name, before = _SUFFIXES.sub("", name), name
    return name


def _converted(message: Message, blocks: Blocks) -> list[dict[str, Any]]:
    """The text and the calls of an answer."""
    for name in ("function_call", "audio"):
        if getattr(message, name) is not None:
            raise unsupported(name, "an earlier answer can only have text and tool_calls")
    if message.reasoning_text and not message.parts:
        # It was made by hand, or comes from elsewhere without a word of where: nothing has signed it.
        blocks.repairs.append(Repair(_LOST, blocks.place, [str(PartKind.REASONING)], None))
    return [*blocks.of(message.content), *text_blocks(message.refusal or ""), *map(_call, message.tool_calls)]


def _call(call: ToolCall) -> dict[str, Any]:
    text = call.function.arguments
    # Some servers write nothing for no arguments.
    value = input_in(text if text.strip() else "{}")
    if value is None:
        value = {UNREADABLE: text}
    return {"type": "tool_use", "id": call.id, "name": call.function.name, "input": value}


def _result(message: Message, blocks: Blocks) -> dict[str, Any]:
    if not message.tool_call_id:
        raise unsupported("messages", "a result needs a tool_call_id")
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    content = message.content if isinstance(message.content, str) else blocks.of(message.content)
    if content:
        block["content"] = content
    if message.is_error:
        block["is_error"] = True
    return block


def _container_of(message: Message) -> str | None:
    container = message.model_extra.get("container") if message.model_extra else None
    found = container.get("id") if is_object(container) else None
    return found if isinstance(found, str) else None
