"""Bodies of answers, byte for byte: what the cases send."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rxllm.testing.conformance._case import Case, Expectation, ExpectedChoice, Failure, Whole
from rxllm.testing.conformance._results import CallResult
from rxllm.testing.script import Answer

__all__ = [
    "CALLED",
    "DONE",
    "IMPATIENT",
    "OPENING",
    "STOP",
    "called",
    "calls",
    "case",
    "chunk",
    "delta",
    "event",
    "fragment",
    "not_a_stream",
    "said",
]


def event(value: Any) -> bytes:
    """An event with JSON data."""
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def chunk(choices: list[dict[str, Any]] | None, **fields: Any) -> bytes:
    """A chunk with these choices."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": "scripted"}
    return event({**head, "choices": choices, **fields})


def delta(finish_reason: str | None = None, choice: int = 0, **fields: Any) -> bytes:
    """A chunk with this delta of one choice."""
    return chunk([{"index": choice, "delta": fields, "finish_reason": finish_reason}])


def calls(*fragments: dict[str, Any]) -> bytes:
    """A chunk with these fragments of tool calls."""
    return delta(tool_calls=list(fragments))


def fragment(arguments: Any = None, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """A fragment of a tool call; what is ``None`` is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**fields, **({"type": "function"} if fields.get("id") else {}), "function": function}


def not_a_stream(body: bytes, content_type: str) -> Answer:
    """An answer that is one body, and said to be of this media type."""
    return Answer((body,), content_type=content_type, framing="length")


OPENING = delta(role="assistant", content="")
DONE = b"data: [DONE]\n\n"
IMPATIENT = {"retry-after": "0", "retry-after-ms": "1"}
STOP = delta("stop") + DONE
CALLED = delta("tool_calls") + DONE


def said(text: str, **fields: Any) -> Whole:
    """The whole answer of one choice."""
    return Whole((ExpectedChoice(text=text, **fields),))


def called(*expected: tuple[str | None, str, str], or_failure: bool = False, **fields: Any) -> Whole:
    """The whole answer of one choice that calls tools: id, name and arguments of each."""
    made = tuple(CallResult(name, arguments, identifier) for identifier, name, arguments in expected)
    return Whole((ExpectedChoice(tool_calls=made, **fields),), or_failure=or_failure)


def case(
    id: str,
    title: str,
    body: bytes | Answer | Iterable[Answer],
    expected: Expectation | None = None,
    **options: Any,
) -> Case:
    """A case; without an expectation, the client has to raise. The options are further fields of it."""
    if isinstance(body, bytes):
        body = Answer((body,))
    answers = (body,) if isinstance(body, Answer) else tuple(body)
    return Case(id, title, answers, expected or Failure(), **options)
