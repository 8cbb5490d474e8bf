"""A conversation as the Converse API wants it.

Rules:

1. An answer of the same server goes back by its blocks, in their order and unchanged. A text that was cut goes as a
   text; nothing else that was cut does, nor does an empty text, which the server refuses.
2. Signatures are of use to the model that made them. If another one is asked, reasoning is left out of such an answer.
3. User and assistant take turns: what one says in several messages is one. The results of a turn come first in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rxllm.dialects._ported import at_home, ported
from rxllm.dialects._tool_input import input_in
from rxllm.dialects.bedrock_converse._converse_blocks import UNREADABLE
from rxllm.dialects.bedrock_converse._converse_content import Blocks, text_blocks
from rxllm.dialects.bedrock_converse._converse_errors import NAME, unsupported
from rxllm.dialects.bedrock_converse._converse_pieces import INPUT, REASONING
from rxllm.models import ChatRequest, Message, MessagePart, PartKind, Repair, Role, ToolCall, is_list, is_object

_SYSTEM = (Role.SYSTEM, Role.DEVELOPER)
_RESULT = "toolResult"
# Before the vendor stands where the model may run.
_MODEL = re.compile(r"(?:(?:global|us|us-gov|eu|apac|jp|au|ca|sa|me|af)\.)?([a-z0-9-]+\.[a-z0-9].*)")
_SUFFIXES = re.compile(r"(?:-20\d{6}|-v\d+(?::\d+)*|:.*)$")


@dataclass(slots=True)
class Sent:
    """A conversation as it is sent.

    Attributes:
        messages: The messages.
        system: What the system says, as blocks.
        called: The names of the tools that were called.
        repairs: What is lost on the way.
    """

    messages: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    system: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    called: list[str] = field(default_factory=list[str])
    repairs: list[Repair] = field(default_factory=list[Repair])
    # The message that goes on.
    _role: str = ""
    _content: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def say(self, role: str, content: list[dict[str, Any]]) -> None:
        """Add what somebody says, to the message before if that is of the same."""
        if role != self._role:
            self.end_turn()
        self._role = role
        self._content += content

    def say_as_it_is(self, message: Mapping[str, Any]) -> None:
        """Add what somebody else worded."""
        self.end_turn()
        self.messages.append(message)
        content = message.get("content")
        self._note_calls(content if is_list(content) else [])

    def end_turn(self) -> None:
        """Have all of the turn said, unless there is nothing in it."""
        if self._content:
            content = sorted(self._content, key=lambda block: _RESULT not in block)
            self.messages.append({"role": self._role, "content": content if self._role == "user" else self._content})
            self._note_calls(self._content)
        self._role, self._content = "", []

    def _note_calls(self, content: Iterable[Any]) -> None:
        for block in filter(is_object, content):
            call = block.get(INPUT)
            name = call.get("name") if is_object(call) else None
            self.called += [name] if isinstance(name, str) else []


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
        if not isinstance(message, Message):
            sent.say_as_it_is(message)
            continue
        if message.name:
            blocks.lose("name")
        if message.role in _SYSTEM:
            sent.system += blocks.of(message.content)
        elif message.role == Role.TOOL:
            sent.say("user", [_result(message, blocks)])
        elif message.role == Role.ASSISTANT:
            sent.say("assistant", _own(message, request.model, blocks) if verbatim else _converted(message, blocks))
        elif message.role == Role.USER:
            sent.say("user", blocks.of(message.content))
        else:
            raise unsupported("role", f"the role must be system, user, assistant or tool, not {str(message.role)!r}")
    sent.end_turn()
    return sent


def _own(message: Message, model: str, blocks: Blocks) -> list[dict[str, Any]]:
    """The blocks of an answer of this server."""
    content = [block for part in message.parts for block in _block_of(part)]
    wanted = family_of(model)
    made_by = message.origin.model if message.origin is not None else None
    known = None if made_by is None else family_of(made_by)
    if wanted is None or known in {None, wanted}:
        return content
    kept = [block for block in content if REASONING not in block]
    if len(kept) != len(content):
        blocks.lose(str(PartKind.REASONING))
    return kept


def _block_of(part: MessagePart) -> Iterable[dict[str, Any]]:
    if part.final and part.block is not None:
        text = part.block.get("text")
        return () if isinstance(text, str) and not text.strip() else (part.block,)
    return text_blocks(part.text) if part.kind == PartKind.TEXT else ()


def family_of(model: str) -> str | None:
    """A model without region, date and version; ``None`` if its name does not tell, as that of a profile of one's own.

    >>> family_of("us.anthropic.claude-sonnet-4-5-20250929-v1:0"), family_of("arn:aws:bedrock:…:provisioned-model/x")
    ('anthropic.claude-sonnet-4-5', None)
    """
    found = _MODEL.fullmatch(model.lower().rpartition("/")[2])
    if found is None:
        return None
    name, before = found[1], ""
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
        blocks.lose(str(PartKind.REASONING))
    return [*blocks.of(message.content), *text_blocks(message.refusal or ""), *map(_call, message.tool_calls)]


def _call(call: ToolCall) -> dict[str, Any]:
    text = call.function.arguments
    # Some servers write nothing for no arguments.
    value = input_in(text if text.strip() else "{}")
    made = {UNREADABLE: text} if value is None else value
    return {INPUT: {"toolUseId": call.id, "name": call.function.name, "input": made}}


def _result(message: Message, blocks: Blocks) -> dict[str, Any]:
    if not message.tool_call_id:
        raise unsupported("messages", "a result needs a tool_call_id")
    result: dict[str, Any] = {"toolUseId": message.tool_call_id, "content": blocks.of(message.content)}
    if message.is_error:
        result["status"] = "error"
    return {_RESULT: result}
