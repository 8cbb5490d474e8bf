"""What a client returned, in one shape.

Rules:

1. ``str`` is the text of choice 0 and nothing more.
2. A ``ChatResult`` is itself.
3. Anything else is read as OpenAI's chat completion, be it a mapping or an object with attributes:
   ``choices[].message`` with ``content``, ``tool_calls``, ``refusal`` and the reasoning in whichever field, and
   ``usage`` (https://platform.openai.com/docs/api-reference/chat/object). ``None`` and a missing field are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, cast

__all__ = ["ALL_FIELDS", "CallResult", "ChatResult", "ChoiceResult", "ResultField", "read_result"]

ResultField: TypeAlias = Literal[
    "text", "reasoning", "refusal", "tool_calls", "finish_reason", "logprobs", "extra", "choices", "usage"
]
"""What a client may tell of an answer."""

ALL_FIELDS: frozenset[ResultField] = frozenset(
    {"text", "reasoning", "refusal", "tool_calls", "finish_reason", "logprobs", "extra", "choices", "usage"}
)
"""All that a result can say."""

_REASONING = ("reasoning_text", "reasoning_content", "reasoning", "thinking")


@dataclass(frozen=True, slots=True)
class CallResult:
    """A tool call as a client gave it.

    Attributes:
        name: The name of the function.
        arguments: Its arguments as JSON text.
        id: The identifier, if there is one.
        extra: Further fields of the call.
    """

    name: str
    arguments: str
    id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        return f"{self.id or '?'} {self.name}({self.arguments})"


@dataclass(frozen=True, slots=True)
class ChoiceResult:
    """One of the parallel answers.

    Attributes:
        index: Which of them.
        text: The text.
        reasoning: The reasoning.
        refusal: The text in which the model declines.
        tool_calls: The calls, in order.
        finish_reason: Why it ended.
        logprobs: The tokens of which log probabilities came.
        extra: Further fields of the message.
    """

    index: int = 0
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[CallResult, ...] = ()
    finish_reason: str | None = None
    logprobs: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ChatResult:
    """The answer as a client returned it.

    If a client has its own type of answer, convert it to this type. Leave out of ``reports`` what the client cannot
    tell by design; then it is not checked.

    Attributes:
        choices: The answers, usually one.
        usage: The counts of tokens, by OpenAI's names.
        reports: The fields that the client can tell. Without ``"choices"``, only the first answer is checked.
    """

    choices: tuple[ChoiceResult, ...] = (ChoiceResult(),)
    usage: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reports: frozenset[ResultField] = ALL_FIELDS

    @classmethod
    def of(cls, text: str, *, reports: Iterable[ResultField] = ("text",), **fields: Any) -> ChatResult:
        """Make the result of a client that knows only one answer.

        Args:
            text: The text.
            reports: What the client tells.
            **fields: Further fields of ``ChoiceResult``.

        >>> ChatResult.of("It is late.").choices[0].text
        'It is late.'
        """
        return cls((ChoiceResult(text=text, **fields),), reports=frozenset(reports))


def read_result(result: object) -> ChatResult:
    """What a client returned, in one shape.

    Args:
        result: See the rules of this module.

    Raises:
        ValueError: It is nothing of that, or a field has a type that the shape does not allow.
    """
    match result:
        case ChatResult():
            return _checked(result)
        case str():
            return ChatResult.of(result)
        case _:
            choices = _list_of(result, "choices")
            if choices is None:
                raise ValueError(f"a {type(result).__name__} is not a chat completion")
            read = sorted((_choice(each, number) for number, each in enumerate(choices)), key=lambda each: each.index)
            return ChatResult(tuple(read), _plain(_get(result, "usage")))


def _checked(result: ChatResult) -> ChatResult:
    """The result with strings for texts: it may be made of what some library leaked."""
    return replace(result, choices=tuple(map(_checked_choice, result.choices)))


def _checked_choice(choice: ChoiceResult) -> ChoiceResult:
    return replace(
        choice,
        text=_text(choice.text, "text"),
        reasoning=_text(choice.reasoning, "reasoning"),
        refusal=_text(choice.refusal, "refusal"),
        tool_calls=tuple(map(_checked_call, choice.tool_calls)),
    )


def _checked_call(call: CallResult) -> CallResult:
    return replace(call, name=_text(call.name, "a call's name"), arguments=_text(call.arguments, "a call's arguments"))


def _choice(choice: object, number: int) -> ChoiceResult:
    message = _get(choice, "message")
    content = _get(message, "content")
    index: object = _get(choice, "index")
    reason = _get(choice, "finish_reason")
    tokens = _list_of(_get(choice, "logprobs"), "content") or []
    return ChoiceResult(
        index=index if isinstance(index, int) else number,
        text=_parts(content, {"text"}),
        reasoning=_reasoning(message, content),
        refusal=_text(_get(message, "refusal"), "refusal"),
        tool_calls=tuple(_call(each) for each in _list_of(message, "tool_calls") or []),
        # An enumeration of strings prints as its name.
        finish_reason=None if reason is None else str(getattr(reason, "value", reason)),
        logprobs=tuple(str(_get(each, "token")) for each in tokens),
        extra=_plain(message),
    )


def _call(call: object) -> CallResult:
    function = _get(call, "function")
    identifier = _get(call, "id")
    return CallResult(
        name=_text(_get(function, "name"), "a call's name"),
        arguments=_text(_get(function, "arguments"), "a call's arguments"),
        id=_text(identifier, "a call's id") or None,
        extra=_plain(call),
    )


def _reasoning(message: object, content: object) -> str:
    named = [_get(message, name) for name in _REASONING]
    texts = [each for each in named if isinstance(each, str) and each]
    return texts[0] if texts else _parts(content, {"thinking"})


def _parts(content: object, kinds: set[str]) -> str:
    """The text of content, which is a string or a list of parts, each with a text or with parts of its own."""
    if isinstance(content, list):
        parts = cast("list[object]", content)
        chosen = [part for part in parts if _get(part, "type") in kinds]
        inner = [_get(part, "thinking") if "thinking" in kinds else _get(part, "text") for part in chosen]
        return "".join(_parts(each, {"text"}) for each in inner)
    return _text(content, "content") if "text" in kinds else ""


def _text(value: Any, what: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise ValueError(f"{what} is a {type(value).__name__}, not a string: {value!r}")


def _get(value: object, name: str) -> Any:
    """A field of a mapping or an attribute of an object; ``None`` if there is none."""
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value).get(name)
    return getattr(value, name, None)


def _list_of(value: object, name: str) -> list[object] | None:
    items = _get(value, name)
    return list(cast("Iterable[object]", items)) if isinstance(items, list | tuple) else None


def _plain(value: object) -> dict[str, Any]:
    """A mapping, or the fields of an object, as a dictionary."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    declared: dict[str, Any] = getattr(value, "__dict__", {})
    # What pydantic models were given besides the fields they declare.
    undeclared: Any = getattr(value, "model_extra", None)
    return declared | undeclared if undeclared else declared
