"""What the server sends: one answer of a given number of content chunks, rendered before anybody measures.

The chunks have the fields that OpenAI sends, about 290 bytes each with their framing.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

__all__ = ["BLOCK_BYTES", "CONTENT", "chunk", "digest", "event", "events", "events_of_tool_call", "text", "variant"]

BLOCK_BYTES = 64 * 1024
CONTENT = (" the", " quick", " brown", " fox", ",", " jumps", " over", " größere", " Hunde", ".\n")

_HEAD = {
    "id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012",
    "object": "chat.completion.chunk",
    "created": 1735689600,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "system_fingerprint": "fp_0aa8d3e20b",
}


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **fields: Any) -> bytes:
    """The JSON text of a chunk with one choice, and with other fields of its own."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _json({**_HEAD, "choices": [choice], "usage": None, **fields})


def event(data: bytes) -> bytes:
    """The server-sent event of some data."""
    return b"data: " + data + b"\n\n"


@cache
def events(count: int) -> tuple[bytes, ...]:
    """An answer of so many content chunks: role, content, reason for the end, usage, ``[DONE]``."""
    pieces = [event(chunk({"content": piece})) for piece in CONTENT]
    return (
        event(chunk({"role": "assistant", "content": "", "refusal": None})),
        *(pieces[number % len(pieces)] for number in range(count)),
        *_end(count, "stop"),
    )


@cache
def variant(kind: str, count: int) -> tuple[bytes, ...]:
    """The same answer otherwise: ``"obfuscated"`` as OpenAI pads it, ``"unlike"`` with a number that always changes."""
    first, *content = events(count)[: count + 1]
    for number in range(count):
        own: dict[str, Any] = (
            {"obfuscation": "aB3dE5gH7"[number % 9 :]} if kind == "obfuscated" else {"created": 1735689600 + number}
        )
        content[number] = event(chunk({"content": CONTENT[number % len(CONTENT)]}, **own))
    return (first, *content, *events(count)[count + 1 :])


@cache
def events_of_tool_call(size: int, fragment: int = 3) -> tuple[bytes, ...]:
    """An answer that is one tool call, its arguments of about ``size`` characters cut into fragments."""
    arguments = json.dumps({"text": "lorem ipsum " * (size // 12)})
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "write", "arguments": ""}}
    return (
        event(chunk({"role": "assistant", "content": None, "tool_calls": [first]})),
        *(
            event(chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[start : start + fragment]}}]}))
            for start in range(0, len(arguments), fragment)
        ),
        *_end(size, "tool_calls"),
    )


def text(count: int) -> str:
    """The text of that answer."""
    return "".join(CONTENT[number % len(CONTENT)] for number in range(count))


def digest(answer: str) -> str:
    """What answers are compared by."""
    return hashlib.sha256(answer.encode()).hexdigest()


def _end(tokens: int, reason: str) -> tuple[bytes, ...]:
    usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": tokens + 10}
    return (
        event(chunk({}, reason)),
        event(_json({**_HEAD, "choices": [], "usage": usage})),
        event(b"[DONE]"),
    )


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
