"""Bodies of answers in dialects whose events are named by their type."""

from __future__ import annotations

from typing import Any

from rxllm.testing.conformance._case import Case, Expectation
from rxllm.testing.conformance._wire import case, event
from rxllm.testing.script import Answer, ScriptDialect

__all__ = ["CHAT_BODY", "Payload", "dialect_case", "named"]

Payload = dict[str, Any]

_CHAT_CHOICES: tuple[Payload, ...] = (
    {"index": 0, "delta": {"role": "assistant", "content": "It is late."}, "finish_reason": None},
    {"index": 0, "delta": {}, "finish_reason": "stop"},
)
CHAT_BODY = b"".join(
    event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}) for choice in _CHAT_CHOICES
)


def named(*payloads: Payload) -> bytes:
    """Events that are named by their type."""
    return b"".join(f"event: {payload['type']}\n".encode() + event(payload) for payload in payloads)


def dialect_case(
    dialect: ScriptDialect, id: str, title: str, body: bytes | Answer, expected: Expectation | None, **options: Any
) -> Case:
    """A case of a dialect; the title begins with its name."""
    return case(id, f"{dialect}: {title}", body, expected, dialect=dialect, **options)
