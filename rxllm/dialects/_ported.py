"""A conversation on its way to a provider: what goes back as it came, and what is converted.

Rules:

1. An answer goes back in the provider's own words if it came from there, the same dialect at the same host, and nobody
   changed its content or its calls since.
2. Any other answer is converted: text and calls stay. Reasoning, tools of the other server, signatures and identifiers
   are of no use elsewhere, and are dropped, with a repair. What nobody can say for sure is left for the dialect to say
   or to refuse, as a call of the older protocol.
3. Its calls get new identifiers, which depend on their place in the conversation alone, and so do their results. Those
   of messages made by hand stay as they are. A result belongs to the last call before it that has its identifier.
4. A dictionary with a role is a message in OpenAI's words, and so is one with the parts or the origin of an answer.
   What is none is passed on as it is. Where dictionaries are sent as they are, those that were messages of ours are
   read all the same: they have fields that are for no server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from rxllm.models import (
    JOINED,
    REASONING_FIELDS,
    FunctionCall,
    Message,
    MessageLike,
    Origin,
    PartKind,
    Repair,
    Role,
    ToolCall,
    is_list,
    is_object,
    set_aside,
)

_LOST = "lost-in-conversion"
_OF_AN_ANSWER = frozenset({"parts", "origin"})
_OF_OURS = frozenset({*_OF_AN_ANSWER, "is_error"})
_SAID = frozenset[str]({PartKind.TEXT, PartKind.REFUSAL, PartKind.TOOL_CALL})
# These are told of as reasoning, or are in the content.
_TOLD_OTHERWISE = frozenset({*REASONING_FIELDS, JOINED, "content_parts"})
_CUSTOM = "custom"


@dataclass(slots=True)
class Ported:
    """A conversation as a dialect is to say it.

    Attributes:
        messages: The messages; a dictionary that is not a message is left as it is.
        verbatim: For each of them whether it goes back by its parts.
        repairs: What is lost on the way.
    """

    messages: list[MessageLike] = field(default_factory=list[MessageLike])
    verbatim: list[bool] = field(default_factory=list[bool])
    repairs: list[Repair] = field(default_factory=list[Repair])


def at_home(dialect: str, host: str) -> Callable[[Origin], bool]:
    """What says whether an answer came from this host, in this dialect."""
    return lambda origin: origin.dialect == dialect and origin.host == host


def ported(
    messages: Iterable[MessageLike], is_home: Callable[[Origin], bool], *, reads_dictionaries: bool = True
) -> Ported:
    """Get a conversation ready for a provider.

    Args:
        messages: The messages.
        is_home: Whether an answer of this origin came from that provider.
        reads_dictionaries: Whether a dictionary that is a message becomes one.
    """
    read = [_message_of(each, reads_dictionaries=reads_dictionaries) for each in messages]
    names = _Names({call_id for each in read for call_id in _ids_in(each)})
    result = Ported()
    for place, message in enumerate(read):
        if not isinstance(message, Message):
            result.messages.append(names.kept(message))
            result.verbatim.append(False)
            continue
        origin = message.origin
        is_own = origin is None or message.role != Role.ASSISTANT or is_home(origin)
        verbatim = origin is not None and is_own and bool(message.parts) and message.is_as_it_came
        if not verbatim and (lost := _lost_of(message, is_own=is_own)):
            result.repairs.append(Repair(_LOST, place, lost, None))
        result.messages.append(names.kept(message) if is_own else _converted(message, names))
        result.verbatim.append(verbatim)
    return result


def _message_of(message: MessageLike, *, reads_dictionaries: bool) -> MessageLike:
    # Stored without what is so by default, a message has no role.
    if isinstance(message, Message) or ("role" not in message and _OF_AN_ANSWER.isdisjoint(message)):
        return message
    if not reads_dictionaries and _OF_OURS.isdisjoint(message):
        return message
    try:
        return Message.model_validate(message)
    except ValidationError:
        return message


def _ids_in(message: MessageLike) -> Iterable[str]:
    """The identifiers of the calls in a message."""
    if isinstance(message, Message):
        return [call.id for call in message.tool_calls]
    calls: Any = message.get("tool_calls")
    return [str(call.get("id")) for call in calls if is_object(call)] if is_list(calls) else []


@dataclass(slots=True)
class _Names:
    """The identifiers that calls get.

    Args:
        taken: Those of all calls of the conversation.
    """

    taken: set[str]
    _given: int = 0
    # By what a call had: what it has now, and those behind it of the same answer that had the same.
    _new: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def kept(self, message: MessageLike) -> MessageLike:
        """The message, whose calls keep theirs; the result of another call under what that has now."""
        for call_id in _ids_in(message):
            self._new.pop(call_id, None)
        of = message.tool_call_id if isinstance(message, Message) else message.get("tool_call_id")
        new = self._new.get(of) if isinstance(of, str) else None
        if not new:
            return message
        changed = {"tool_call_id": new.pop(0) if len(new) > 1 else new[0]}
        return message.model_copy(update=changed) if isinstance(message, Message) else {**message, **changed}

    def renewed(self, calls: Iterable[ToolCall]) -> list[ToolCall]:
        """The calls of one answer of another provider, with what anybody knows of them."""
        calls = list(calls)
        for call in calls:
            self._new[call.id] = []
        return [self._renewed(call) for call in calls]

    def _renewed(self, call: ToolCall) -> ToolCall:
        self._given += 1
        # Nine letters and digits: the strictest server wants as many.
        while (new := f"call{self._given:05d}") in self.taken:
            self._given += 1
        self._new[call.id].append(new)
        custom = {_CUSTOM: extra[_CUSTOM]} if _CUSTOM in (extra := call.model_extra or {}) else {}
        function = FunctionCall(name=call.function.name, arguments=call.function.arguments)
        return ToolCall.model_validate({**custom, "id": new, "type": call.type, "function": function})


def _converted(message: Message, names: _Names) -> Message:
    """Text and calls of an answer of another provider."""
    spoken = None if message.audio is None else message.audio.get("transcript")
    return Message(
        role=message.role,
        content=message.content or (spoken if isinstance(spoken, str) else message.content),
        name=message.name,
        refusal=message.refusal,
        tool_calls=names.renewed(message.tool_calls),
        function_call=message.function_call,
    )


def _lost_of(message: Message, *, is_own: bool) -> list[str]:
    """What of an answer does not go along when it is converted: kinds of parts, and names of fields."""
    if message.role != Role.ASSISTANT:
        return []
    lost = {str(part.kind) for part in message.parts} - _SAID
    if not is_own:
        lost |= {str(PartKind.REASONING)} if message.reasoning_text else set[str]()
        lost |= {name for name in ("audio", "annotations") if getattr(message, name)}
        lost |= _extras_of(message) - _TOLD_OTHERWISE
        lost |= {name for call in message.tool_calls for name in _extras_of(call) - {_CUSTOM}}
    return sorted(lost)


def _extras_of(model: Message | ToolCall) -> set[str]:
    """The names of what only its provider knows, but for originals of what was put right."""
    return {name for name in model.model_extra or () if not name.endswith(set_aside(""))}
