"""What the server sends: one answer of a given number of content chunks, rendered before anybody measures.

The chunks have the fields that a provider sends; those of OpenAI are about 320 bytes each with their framing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = [
    "BLOCK_BYTES",
    "CONTENT",
    "KINDS",
    "answer",
    "chunk",
    "digest",
    "event",
    "events",
    "events_of_tool_call",
    "text",
]

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


_OF_THE_CHOICE = frozenset({"native_finish_reason", "content_filter_results"})


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **fields: Any) -> bytes:
    """The JSON text of a chunk with one choice, and with other fields of its own."""
    of_choice = {name: value for name, value in fields.items() if name in _OF_THE_CHOICE}
    others = {name: value for name, value in fields.items() if name not in _OF_THE_CHOICE}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason, **of_choice}
    return _json({**_HEAD, "choices": [choice], "usage": None, **others})


def event(data: bytes) -> bytes:
    """The server-sent event of some data."""
    return b"data: " + data + b"\n\n"


def _of_openai(piece: str, number: int) -> bytes:
    # A padding that hides how long the text is.
    return chunk({"content": piece}, obfuscation="aB3dE5gH7"[number % 9 :])


def _of_openrouter(piece: str, number: int) -> bytes:
    del number
    delta: dict[str, Any] = {"role": "assistant", "content": piece, "reasoning": None, "reasoning_details": []}
    return chunk(delta, native_finish_reason=None, provider="OpenAI")


def _reasoning_of_openrouter(piece: str, number: int) -> bytes:
    del number
    details = [{"type": "reasoning.text", "text": piece, "format": "unknown", "index": 0}]
    delta = {"role": "assistant", "content": "", "reasoning": piece, "reasoning_details": details}
    return chunk(delta, native_finish_reason=None, provider="OpenAI")


def _of_azure(piece: str, number: int) -> bytes:
    del number
    found = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
    return chunk({"content": piece}, content_filter_results=found)


def _with_an_undeclared_field(piece: str, number: int) -> bytes:
    return chunk({"content": piece}, trace={"span": number % 7, "sampled": True})


KINDS: dict[str, tuple[Callable[[str, int], bytes], ...]] = {
    "openai": (_of_openai,),
    # The first two thirds of it are reasoning, which is not part of the text.
    "openrouter": (_reasoning_of_openrouter, _reasoning_of_openrouter, _of_openrouter),
    "azure": (_of_azure,),
    "undeclared": (_with_an_undeclared_field,),
}
"""How a chunk of the text is written, by who sends it; where it is several, one after the other for a while."""


@cache
def answer(kind: str, count: int) -> tuple[bytes, ...]:
    """An answer of so many chunks, as a provider sends it: role, content, reason for the end, usage, ``[DONE]``."""
    if kind == "tools":
        return events_of_tool_call(3 * count)
    kinds = KINDS[kind]
    return (
        event(chunk({"role": "assistant", "content": "", "refusal": None})),
        *(
            event(kinds[number * len(kinds) // count](CONTENT[number % len(CONTENT)], number))
            for number in range(count)
        ),
        *_end(count, "stop"),
    )


def events(count: int) -> tuple[bytes, ...]:
    """An answer as OpenAI sends it."""
    return answer("openai", count)


@cache
def events_of_tool_call(size: int, fragment: int = 3) -> tuple[bytes, ...]:
    """An answer that is one tool call, its arguments of about ``size`` characters cut into fragments."""
    arguments = _arguments(size)
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "write", "arguments": ""}}
    return (
        event(chunk({"role": "assistant", "content": None, "tool_calls": [first]})),
        *(event(_fragment(arguments[start : start + fragment], start)) for start in range(0, len(arguments), fragment)),
        *_end(size, "tool_calls"),
    )


@cache
def text(kind: str, count: int) -> str:
    """What there is to read in that answer: its content, or the arguments of its call."""
    if kind == "tools":
        return _arguments(3 * count)
    kinds = KINDS[kind]
    return "".join(
        CONTENT[number % len(CONTENT)]
        for number in range(count)
        if kinds[number * len(kinds) // count] is not _reasoning_of_openrouter
    )


def digest(answer: str) -> str:
    """What answers are compared by."""
    return hashlib.sha256(answer.encode()).hexdigest()


def _fragment(piece: str, number: int) -> bytes:
    delta = {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
    return chunk(delta, obfuscation="aB3dE5gH7"[number % 9 :])


def _arguments(size: int) -> str:
    return json.dumps({"text": "lorem ipsum " * (size // 12)})


def _end(tokens: int, reason: str) -> tuple[bytes, ...]:
    usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": tokens + 10}
    return (
        event(chunk({}, reason)),
        event(_json({**_HEAD, "choices": [], "usage": usage})),
        event(b"[DONE]"),
    )


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
