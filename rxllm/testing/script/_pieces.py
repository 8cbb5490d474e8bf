"""What a script says of an answer, apart from any provider's words.

Rules:

1. Steps have the shape of OpenAI's chat completions, whatever the dialect of the server. Here they are taken apart.
2. Fields that are mere form, such as ``id`` and ``created``, say nothing. What has no meaning here is an error: it is
   never left out silently.
3. An event without a name that is a chunk, an error object or ``[DONE]`` is read as such. Any other event goes out as
   it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from rxllm.testing.script._steps import Block, Chunk, Comment, Event, Frame, Raw

__all__ = [
    "CallPiece",
    "Counts",
    "Done",
    "Failed",
    "Finish",
    "Opened",
    "Piece",
    "TextKind",
    "TextPiece",
    "pieces_of",
    "unsayable",
]

TextKind: TypeAlias = Literal["text", "reasoning", "refusal"]
"""The kinds of text in an answer."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer begins."""


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A piece of a text, which is not empty."""

    kind: TextKind
    text: str


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a tool call; what is ``None`` was not said."""

    index: int
    id: str | None
    name: str | None
    arguments: str | None


@dataclass(frozen=True, slots=True)
class Finish:
    """The model has ended: the word for it, as chat completions have it or as the provider does."""

    reason: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of tokens, with those of the cache in ``prompt`` and those of the reasoning in ``completion``."""

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """An error of the server."""

    message: str
    type: str
    code: str | int | None


@dataclass(frozen=True, slots=True)
class Done:
    """The stream is over."""


Piece: TypeAlias = Opened | TextPiece | CallPiece | Block | Finish | Counts | Failed | Done
"""Something that a script says."""

_FORM = {"id", "object", "created", "model", "system_fingerprint", "service_tier"}
_TEXTS: tuple[tuple[str, TextKind], ...] = (
    ("reasoning_content", "reasoning"),
    ("content", "text"),
    ("refusal", "refusal"),
)


def unsayable(dialect: str, what: str) -> ValueError:
    """The error for what a dialect cannot express.

    >>> unsayable("anthropic", "a second choice")
    ValueError('anthropic cannot send a second choice; script.Event and script.raw send anything as it is')
    """
    return ValueError(f"{dialect} cannot send {what}; script.Event and script.raw send anything as it is")


def pieces_of(step: Block | Chunk | Comment | Event | Frame | Raw, dialect: str) -> list[Piece] | None:
    """What a step says, in order; ``None`` if it goes out as it is.

    Args:
        step: The step.
        dialect: The dialect that it has to be said in, for the error.

    Raises:
        ValueError: It says what only chat completions can.
    """
    match step:
        case Block():
            return [step]
        case Chunk(payload):
            return list(_of_chunk(payload, dialect))
        case Event(data, None, None, None):
            return _of_data(data, dialect)
        case _:
            return None


def _of_data(data: str, dialect: str) -> list[Piece] | None:
    if data == "[DONE]":
        return [Done()]
    try:
        value: Any = json.loads(data)
    except ValueError:
        return None
    match value:
        case {"object": "chat.completion.chunk"}:
            return list(_of_chunk(value, dialect))
        case {"error": {"message": str(), "type": str()}} if value.keys() == {"error"}:
            error = value["error"]
            return [Failed(error["message"], error["type"], error.get("code"))]
        case _:
            return None


def _of_chunk(payload: Mapping[str, Any], dialect: str) -> Iterator[Piece]:
    _refuse_others(payload, {*_FORM, "choices", "usage"}, "a chunk", dialect)
    for choice in payload.get("choices") or ():
        yield from _of_choice(choice, dialect)
    if usage := payload.get("usage"):
        yield _counts(usage, dialect)


def _of_choice(choice: Mapping[str, Any], dialect: str) -> Iterator[Piece]:
    _refuse_others(choice, {"index", "delta", "finish_reason"}, "a choice", dialect)
    if choice.get("index"):
        raise unsayable(dialect, f"choice {choice['index']}")
    yield from _of_delta(_fields(choice, "delta"), dialect)
    if reason := choice.get("finish_reason"):
        yield Finish(reason)


def _of_delta(delta: Mapping[str, Any], dialect: str) -> Iterator[Piece]:
    _refuse_others(delta, {"role", "tool_calls", *(name for name, _ in _TEXTS)}, "a delta", dialect)
    if role := delta.get("role"):
        if role != "assistant":
            raise unsayable(dialect, f"an answer of the role {role!r}")
        yield Opened()
    for name, kind in _TEXTS:
        text = delta.get(name) or ""
        if not isinstance(text, str):
            raise unsayable(dialect, f"{name!r} that is a {type(text).__name__}")
        if text:
            yield TextPiece(kind, text)
    for fragment in delta.get("tool_calls") or ():
        yield _call(fragment, dialect)


def _call(fragment: Mapping[str, Any], dialect: str) -> CallPiece:
    _refuse_others(fragment, {"index", "id", "type", "function"}, "a tool call", dialect)
    function = _fields(fragment, "function")
    _refuse_others(function, {"name", "arguments"}, "a function", dialect)
    arguments = function.get("arguments")
    if not isinstance(arguments, str | None):
        raise unsayable(dialect, f"arguments that are a {type(arguments).__name__}")
    return CallPiece(fragment.get("index", 0), fragment.get("id"), function.get("name"), arguments)


def _counts(usage: Mapping[str, Any], dialect: str) -> Counts:
    totals = {"prompt_tokens", "completion_tokens", "total_tokens"}
    details = {"prompt_tokens_details", "completion_tokens_details"}
    _refuse_others(usage, totals | details, "usage", dialect)
    prompt, completion = _fields(usage, "prompt_tokens_details"), _fields(usage, "completion_tokens_details")
    _refuse_others(prompt, {"cached_tokens"}, "prompt_tokens_details", dialect)
    _refuse_others(completion, {"reasoning_tokens"}, "completion_tokens_details", dialect)
    return Counts(
        prompt=usage.get("prompt_tokens") or 0,
        completion=usage.get("completion_tokens") or 0,
        cached=prompt.get("cached_tokens") or 0,
        reasoning=completion.get("reasoning_tokens") or 0,
    )


def _fields(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return value.get(name) or {}


def _refuse_others(value: Mapping[str, Any], known: set[str], of: str, dialect: str) -> None:
    others = [name for name, content in value.items() if content is not None and name not in known]
    if others:
        raise unsayable(dialect, f"{', '.join(map(repr, others))} of {of}")
