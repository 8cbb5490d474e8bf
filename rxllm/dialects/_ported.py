"""A conversation on its way to a provider: what goes back as it came, and what is converted.

Rules:

1. An answer goes back in the provider's own words if it came from there, the same dialect at the same host, and nobody
   changed its content or its calls since.
2. Any other answer is converted: text and calls stay. Reasoning, tools of the other server, signatures and identifiers
   are of no use elsewhere, and are dropped, with a repair.
3. Its calls get new identifiers, which depend on their place in the conversation alone, and so do their results. Those
   of messages made by hand stay as they are.
4. A dictionary with a role is a message in OpenAI's words. What is none is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from rxllm.models import Message, MessageLike, Origin, PartKind, Repair, Role

_LOST = "lost-in-conversion"


@dataclass(slots=True)
class Ported:
    """A conversation as a dialect is to say it.

    Attributes:
        messages: The messages; a dictionary that is no message is left as it is.
        verbatim: For each of them whether it goes back by its parts.
        repairs: What is lost on the way.
    """

    messages: list[MessageLike] = field(default_factory=list[MessageLike])
    verbatim: list[bool] = field(default_factory=list[bool])
    repairs: list[Repair] = field(default_factory=list[Repair])


def ported(
    messages: Iterable[MessageLike], is_home: Callable[[Origin], bool], *, reads_dictionaries: bool = True
) -> Ported:
    """Get a conversation ready for a provider.

    Args:
        messages: The messages.
        is_home: Whether an answer of this origin came from that provider.
        reads_dictionaries: Whether a dictionary that is a message becomes one.
    """
    read = [_message_of(each) if reads_dictionaries else each for each in messages]
    taken = {call.id for each in read if isinstance(each, Message) for call in each.tool_calls}
    result = Ported()
    renamed: dict[str, str] = {}
    for place, message in enumerate(read):
        if not isinstance(message, Message):
            new_id = renamed.get(str(message.get("tool_call_id")))
            result.messages.append(message if new_id is None else {**message, "tool_call_id": new_id})
            result.verbatim.append(False)
            continue
        is_own = message.origin is None or is_home(message.origin)
        verbatim = message.origin is not None and is_own and bool(message.parts) and message.is_as_it_came
        new = _with_result_of(message, renamed) if is_own else _converted(message, renamed, taken)
        if not verbatim and (lost := _lost_of(message, is_own=is_own)):
            result.repairs.append(Repair(_LOST, place, lost, None))
        result.messages.append(new)
        result.verbatim.append(verbatim)
    return result


def _message_of(message: MessageLike) -> MessageLike:
    if isinstance(message, Message) or "role" not in message:
        return message
    try:
        return Message.model_validate(message)
    except ValidationError:
        return message


def _with_result_of(message: Message, renamed: Mapping[str, str]) -> Message:
    """The message, the result of a call under the identifier that the call has now."""
    new = renamed.get(message.tool_call_id or "")
    return message if new is None else message.model_copy(update={"tool_call_id": new})


def _converted(message: Message, renamed: dict[str, str], taken: set[str]) -> Message:
    """Text and calls of an answer of another provider."""
    calls = [call.model_copy(update={"id": _new_id(call.id, renamed, taken)}) for call in message.tool_calls]
    plain = [type(call)(id=call.id, type=call.type, function=call.function) for call in calls]
    return Message(
        role=message.role, content=message.content, name=message.name, refusal=message.refusal, tool_calls=plain
    )


def _new_id(old: str, renamed: dict[str, str], taken: set[str]) -> str:
    """An identifier of nine letters and digits, which is as long as the strictest server wants it."""
    number = len(renamed) + 1
    while (new := f"call{number:05d}") in taken:
        number += 1
    taken.add(new)
    renamed[old] = new
    return new


def _lost_of(message: Message, *, is_own: bool) -> list[str]:
    """What of an answer does not go along when it is converted, by kind."""
    kinds = {str(part.kind) for part in message.parts} - {PartKind.TEXT, PartKind.TOOL_CALL}
    if message.reasoning_text and not is_own:
        kinds.add(PartKind.REASONING)
    return sorted(kinds) if message.role == Role.ASSISTANT else []
