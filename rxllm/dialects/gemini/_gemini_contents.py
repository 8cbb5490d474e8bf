"""A conversation as the Gemini API wants it.

Rules:

1. An answer of the same server goes back by its parts, in their order and unchanged, with the signatures on the very
   parts that they came on. Another generation of models cannot read them: then they are left out.
2. A result is told by the name of its tool, and by the identifier only if the server gave one to the call. All results
   of a turn are in one content.
3. Newer models want a signature on the first call of a turn. Where there is none, for the call was made elsewhere, it
   says that it is not to be checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rxllm.dialects._ported import at_home, ported
from rxllm.dialects.gemini._gemini_errors import NAME, unsupported_by_gemini
from rxllm.dialects.gemini._gemini_parts import parts_of
from rxllm.dialects.gemini._gemini_request import generation_of
from rxllm.models import (
    ChatRequest,
    Message,
    MessageLike,
    PartKind,
    Repair,
    Role,
    ToolCall,
    is_list,
    is_object,
    loads,
)

_LOST = "lost-in-conversion"
_SIGNED_SINCE = 3
_WORDED = "(as it is)"
_OF_A_MESSAGE = frozenset({"content", "origin"})
_SIGNATURE = "thoughtSignature"
_UNCHECKED = "skip_thought_signature_validator"


@dataclass(slots=True)
class SentContents:
    """A conversation as it is sent.

    Attributes:
        contents: The contents.
        system: What the system says, as parts.
        repairs: What is lost on the way.
    """

    contents: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    system: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    repairs: list[Repair] = field(default_factory=list[Repair])
    _results: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    # By the identifier of a call: the name of its tool, and the identifier that the server gave.
    _calls: dict[str, tuple[str, str | None]] = field(default_factory=dict[str, tuple[str, str | None]])

    def lose(self, place: int, what: str) -> None:
        """Take note of what is lost of a message: a kind of parts, or a field."""
        self.repairs.append(Repair(_LOST, place, [what], None))

    def say(self, role: str, parts: list[dict[str, Any]]) -> None:
        """Add a content, unless there is nothing in it."""
        self.end_turn()
        if parts:
            self.contents.append({"role": role, "parts": parts})

    def say_as_it_is(self, content: Mapping[str, Any]) -> None:
        """Add what somebody else worded."""
        self.end_turn()
        self.contents.append(content)

    def called(self, call: ToolCall, own_id: str | None) -> None:
        """Take note of a call, for its result."""
        self._calls[call.id] = call.function.name, own_id

    def result(self, message: Message) -> None:
        """Add the result of a call."""
        found = self._calls.get(message.tool_call_id or "")
        name, own_id = (message.name, None) if found is None else found
        if not name:
            raise unsupported_by_gemini("messages", "a result needs an earlier call, or the name of its tool")
        said = {"name": name, "response": _response_of(message), **_seen_in(message)}
        self._results.append({"functionResponse": {**({"id": own_id} if own_id else {}), **said}})

    def end_turn(self) -> None:
        """Have all results of the turn said."""
        if self._results:
            self.contents.append({"role": "user", "parts": self._results})
            self._results = []


def sent_contents(request: ChatRequest, host: str) -> SentContents:
    """The conversation of a request as it is sent.

    Args:
        request: The request.
        host: Where it goes.

    Raises:
        UnsupportedRequestError: A message has what cannot be said.
    """
    conversation = ported([_set_apart(each) for each in request.messages], at_home(NAME, host))
    sent = SentContents(repairs=conversation.repairs)
    for place, (message, verbatim) in enumerate(zip(conversation.messages, conversation.verbatim, strict=True)):
        if not isinstance(message, Message):
            sent.say_as_it_is(message.get(_WORDED, message))
        elif message.role == Role.ASSISTANT:
            worded = _own if verbatim else _converted
            sent.say("model", worded(message, request, place, sent))
        else:
            _say(message, place, sent)
    sent.end_turn()
    return sent


def _say(message: Message, place: int, sent: SentContents) -> None:
    """Say what is not an answer."""
    if message.name and message.role != Role.TOOL:
        sent.lose(place, "name")
    if message.role in (Role.SYSTEM, Role.DEVELOPER):
        sent.system += parts_of(message.content)
    elif message.role == Role.TOOL:
        sent.result(message)
    elif message.role == Role.USER:
        sent.say("user", parts_of(message.content))
    else:
        said = f"the role must be system, user, assistant or tool, not {str(message.role)!r}"
        raise unsupported_by_gemini("role", said)


def _set_apart(message: MessageLike) -> MessageLike:
    """A message; one in Gemini's own words, whose parts are not parts of an answer of ours, within another object."""
    if isinstance(message, Message) or not _OF_A_MESSAGE.isdisjoint(message):
        return message
    parts = message.get("parts")
    is_worded = is_list(parts) and not any(is_object(part) and "kind" in part for part in parts)
    return {_WORDED: message} if is_worded else message


def _own(message: Message, request: ChatRequest, place: int, sent: SentContents) -> list[dict[str, Any]]:
    """The parts of an answer of this server."""
    own_ids = {part.id: _own_id(part.block) for part in message.parts if part.kind == PartKind.TOOL_CALL}
    for call in message.tool_calls:
        sent.called(call, own_ids.get(call.id))
    blocks = [dict(part.block) for part in message.parts if part.final and part.block is not None]
    origin = message.origin
    known = None if origin is None or origin.model is None else generation_of(origin.model)
    wanted = generation_of(request.model)
    if known is None or wanted is None or known == wanted:
        return blocks
    kept = [{key: block[key] for key in block if key != _SIGNATURE} for block in blocks if not block.get("thought")]
    if kept != blocks:
        sent.lose(place, str(PartKind.REASONING))
    return _signed([block for block in kept if block != {"text": ""}], request)


def _own_id(block: Mapping[str, Any] | None) -> str | None:
    call = None if block is None else block.get("functionCall")
    found = call.get("id") if is_object(call) else None
    return found if isinstance(found, str) else None


def _converted(message: Message, request: ChatRequest, place: int, sent: SentContents) -> list[dict[str, Any]]:
    """The text and the calls of an answer."""
    for name in ("function_call", "audio"):
        if getattr(message, name) is not None:
            raise unsupported_by_gemini(name, "an earlier answer can only have text and tool_calls")
    if message.name:
        sent.lose(place, "name")
    if message.reasoning_text and not message.parts:
        # It was made by hand, or comes from elsewhere without a word of where: nothing has signed it.
        sent.lose(place, str(PartKind.REASONING))
    calls: list[dict[str, Any]] = []
    for call in message.tool_calls:
        sent.called(call, None)
        calls.append({"functionCall": {"name": call.function.name, "args": _arguments_of(call)}})
    refusal = [{"text": message.refusal}] if message.refusal else []
    return [*parts_of(message.content), *refusal, *_signed(calls, request)]


def _signed(parts: list[dict[str, Any]], request: ChatRequest) -> list[dict[str, Any]]:
    """The parts, with a signature on the first call if the model wants one."""
    generation = generation_of(request.model)
    first = next((place for place, part in enumerate(parts) if "functionCall" in part), None)
    if first is None or generation is None or generation < _SIGNED_SINCE:
        return parts
    return [{**part, _SIGNATURE: _UNCHECKED} if place == first else part for place, part in enumerate(parts)]


def _arguments_of(call: ToolCall) -> Mapping[str, Any]:
    text = call.function.arguments
    try:
        value: Any = loads(text) if text.strip() else {}
    except ValueError:
        value = None
    return value if is_object(value) else {"INVALID_JSON": text}


def _response_of(message: Message) -> Mapping[str, Any]:
    text = message.text
    if message.is_error:
        return {"error": text}
    try:
        return _as_object(loads(text))
    except ValueError:
        return {"result": text}


def _seen_in(message: Message) -> Mapping[str, Any]:
    """What a result has besides its text: images and the like."""
    content = message.content if is_list(message.content) else []
    parts = [part for part in parts_of(content) if "text" not in part]
    return {"parts": parts} if parts else {}


def _as_object(value: object) -> Mapping[str, Any]:
    return value if is_object(value) else {"result": value}
