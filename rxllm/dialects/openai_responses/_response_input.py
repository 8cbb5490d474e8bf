"""The conversation as items: what goes back as it came, and what is converted.

Rules:

1. An answer goes back as the items that it came in, in their order, if nothing of it was changed: with their
   identifiers, with what is encrypted in them, and with the tools of the server.
2. Reasoning goes directly before what it led to, both or neither: a server refuses one without the other. So reasoning
   that led to nothing is left out, and an answer that cannot go back whole is converted: its text, then its calls.
3. A text that was cut goes back as what it says. An item that was cut does not.
4. Reasoning that the server is not to have stored goes back only if it says something by itself.
5. A dictionary that has a type and no role is an item already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rxllm.dialects._ported import Ported
from rxllm.dialects.openai_responses._response_content import answered, content_of, unsupported
from rxllm.models import Message, MessageLike, MessagePart, PartKind, Repair, Role, ToolCall, is_object

Item: TypeAlias = Mapping[str, Any]

# What the server says of an item and does not take back.
_NOT_TAKEN = {"custom_tool_call": "status"}
# The items that are calls, and whether one is of a custom tool.
_CALLS = {"function_call": False, "custom_tool_call": True}
# Any other name may be an alias, as that of a deployment, and says nothing.
_FAMILY = re.compile(r"(?:gpt-|grok-|o)\d+")


@dataclass(slots=True)
class ResponseInput:
    """The conversation as items.

    Args:
        model: The model that is asked.
        is_stored: Whether the server has what it said before.

    Attributes:
        items: The items.
        repairs: What is lost.
    """

    model: str
    is_stored: bool
    items: list[Item] = field(default_factory=list[Item])
    repairs: list[Repair] = field(default_factory=list[Repair])
    # The calls of custom tools, by their identifiers: the last one that has it counts.
    _custom: set[str] = field(default_factory=set[str])

    def _note_calls(self, message: MessageLike) -> None:
        for call_id, is_custom in _calls_in(message):
            self._note(call_id, is_custom=is_custom)

    def _note(self, call_id: object, *, is_custom: bool) -> None:
        """Note which kind of call has an identifier."""
        (self._custom.add if is_custom else self._custom.discard)(str(call_id))

    def take(self, conversation: Ported, begin: int = 0) -> None:
        """Take a conversation.

        Args:
            conversation: The conversation.
            begin: Where that begins which the server does not have. There may be calls before it.

        Raises:
            UnsupportedRequestError: There is in one message what cannot be said.
        """
        self.repairs += [each for each in conversation.repairs if each.position >= begin]
        for place, (message, verbatim) in enumerate(zip(conversation.messages, conversation.verbatim, strict=True)):
            if place < begin:
                self._note_calls(message)
            elif not isinstance(message, Message):
                self._take_item(message)
            elif "type" in (message.model_extra or {}) and "role" not in message.model_fields_set:
                self._take_item(message.model_dump(mode="json", exclude_unset=True))
            else:
                self._take_message(place, message, verbatim=verbatim)

    def _take_item(self, item: Item) -> None:
        """Take what is an item already."""
        self._note_calls(item)
        self.items.append(item)

    def _take_message(self, place: int, message: Message, *, verbatim: bool) -> None:
        if message.name:
            self._lose(place, "name")
        if message.role == Role.TOOL:
            self.items.append(self._result(message))
        elif message.role != Role.ASSISTANT:
            self._take_input(message)
        elif verbatim and self._goes_back(message):
            self._take_back(place, message.parts)
        else:
            if verbatim:
                kinds = {str(part.kind) for part in message.parts} - {PartKind.TEXT, PartKind.TOOL_CALL}
                self._lose(place, *sorted(kinds))
            elif message.reasoning_text and not message.parts:
                # It was made by hand, or comes from elsewhere without a word of where.
                self._lose(place, PartKind.REASONING)
            self.items += self._converted(message)

    def _take_input(self, message: Message) -> None:
        if message.role not in (Role.USER, Role.SYSTEM, Role.DEVELOPER):
            raise unsupported(f"a message of the role {str(message.role)!r} cannot be sent", "messages")
        self.items.append({"type": "message", "role": str(message.role), "content": content_of(message.content)})

    def _goes_back(self, message: Message) -> bool:
        """Whether an answer can go back in its own items: see rule 2."""
        asked, answered = _family(self.model), _family((message.origin and message.origin.model) or "")
        reasoned = any(part.kind == PartKind.REASONING for part in message.parts)
        return not (reasoned and asked and answered and asked != answered)

    def _take_back(self, place: int, parts: Sequence[MessagePart]) -> None:
        """Take an answer in its own items."""
        # Reasoning waits for what it led to.
        waiting: list[Item] = []
        is_lost = False
        for part in parts:
            block = part.block if part.final else None
            if part.kind == PartKind.REASONING:
                is_lost = is_lost or block is None or not self._says_something(block)
                waiting += [] if block is None or not self._says_something(block) else [block]
            elif block is None:
                is_lost = is_lost or bool(waiting)
                waiting = []
            else:
                self.items += [*waiting, self._own(block)]
                waiting = []
        if is_lost or waiting:
            self._lose(place, PartKind.REASONING)

    def _says_something(self, block: Item) -> bool:
        return self.is_stored or bool(block.get("encrypted_content") or block.get("content"))

    def _own(self, block: Item) -> Item:
        """An item as the server takes it back."""
        kind = str(block.get("type"))
        if kind in _CALLS:
            self._note(block.get("call_id"), is_custom=_CALLS[kind])
        without = _NOT_TAKEN.get(kind)
        return {name: value for name, value in block.items() if name != without}

    def _converted(self, message: Message) -> Iterator[Item]:
        """An answer as its text and its calls."""
        if message.function_call is not None:
            raise unsupported("a function_call, of the older protocol, cannot be sent", "messages")
        spoken = (message.audio or {}).get("transcript")
        content = answered(message.content or spoken)
        if message.refusal:
            content.append({"type": "refusal", "refusal": message.refusal})
        if content:
            yield {"type": "message", "role": "assistant", "content": content}
        for call in message.tool_calls:
            yield self._call(call)

    def _call(self, call: ToolCall) -> Item:
        name, arguments = call.function.name, call.function.arguments
        self._note(call.id, is_custom=call.type == "custom")
        if call.type == "custom":
            return {"type": "custom_tool_call", "call_id": call.id, "name": name, "input": arguments}
        return {"type": "function_call", "call_id": call.id, "name": name, "arguments": arguments}

    def _result(self, message: Message) -> Item:
        kind = "custom_tool_call_output" if message.tool_call_id in self._custom else "function_call_output"
        return {"type": kind, "call_id": message.tool_call_id, "output": content_of(message.content)}

    def _lose(self, place: int, *what: str) -> None:
        self.repairs.append(Repair("lost-in-conversion", place, [*what], None))


def _calls_in(message: MessageLike) -> Iterator[tuple[str, bool]]:
    """The calls in a message, or the one that an item is: their identifiers, and whether they are of custom tools."""
    if isinstance(message, Message):
        yield from ((call.id, call.type == "custom") for call in message.tool_calls)
    elif (kind := str(message.get("type"))) in _CALLS:
        yield str(message.get("call_id")), _CALLS[kind]


def _family(model: str) -> str | None:
    """The family of a model: of ``openai/gpt-5.1-mini`` that is ``gpt-5``; ``None`` if it has none.

    >>> _family("gpt-5-mini-2025-08-07"), _family("o4-mini"), _family("my-deployment")
    ('gpt-5', 'o4', None)
    """
    found = _FAMILY.match(model.rpartition("/")[2].lower())
    return None if found is None else found[0]


def since(given: Sequence[MessageLike], response_id: object) -> int:
    """The place behind the answer with an identifier; 0 if it is not among the messages."""
    for place in reversed(range(len(given))):
        message = given[place]
        origin = message.origin if isinstance(message, Message) else message.get("origin")
        found = origin.get("id") if is_object(origin) else getattr(origin, "id", None)
        if found is not None and found == response_id:
            return place + 1
    return 0
