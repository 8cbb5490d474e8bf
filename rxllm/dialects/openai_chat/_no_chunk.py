"""What an event is that has no choices.

Rules:

1. It is a chunk nonetheless if it has usage, or says that it has no choices; without a name of its own also if it has
   what the head of a chunk has.
2. It is an error if it says so. A text called ``message`` says so only in an object without name and ``type``: what
   tells of progress has one, too.
3. Whatever else a gateway puts between the chunks is nothing of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from rxllm.dialects._stream_error import has_words_of_error, is_failure
from rxllm.models import StreamChunk

KEEP_ALIVES = frozenset({"ping", "keepalive", "keep-alive", "heartbeat"})
_IDLE_WORDS = KEEP_ALIVES | {"done", "end", "eof", "ok", "null", "none", "undefined", "pong", "connected"}
_KINDS = ("chat.completion", "text_completion")
_CHUNK_FIELDS = ("id", "object", "created", "model", "service_tier", "system_fingerprint")

Verdict: TypeAlias = Literal["chunk", "placeholder", "error", "ping", "other"]


def judged(name: str, fields: Mapping[str, Any], chunk: StreamChunk) -> Verdict:
    """What an object without choices is.

    Args:
        name: The name of its event.
        fields: The object.
        chunk: What it is if it is a chunk.
    """
    if is_failure(name, fields):
        return "error"
    if chunk.usage is not None or "choices" in fields:
        return "chunk"
    if has_words_of_error(name, fields):
        return "error"
    kind = fields.get("type")
    if isinstance(kind, str) and kind in KEEP_ALIVES:
        return "ping"
    return "placeholder" if name == "message" and _is_head(fields) else "other"


def _is_head(fields: Mapping[str, Any]) -> bool:
    kind = fields.get("object") or _KINDS[0]
    return isinstance(kind, str) and kind.startswith(_KINDS) and any(name in fields for name in _CHUNK_FIELDS)


def is_idle(text: str) -> bool:
    """Whether a text in the place of an event is a word that says nothing: ``DONE``, ``null``, ``[END]``."""
    return text.strip("[]<>\"'").lower() in _IDLE_WORDS
