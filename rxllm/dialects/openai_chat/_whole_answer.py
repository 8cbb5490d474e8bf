"""A chat completion that was not streamed, as the one chunk that says all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.dialects._stream_error import is_error
from rxllm.models import StreamChunk, is_list, is_object, loads, read_json


def as_chunk(body: str) -> StreamChunk | None:
    """The chunk.

    Args:
        body: The body of the answer, a JSON text.

    Returns:
        The chunk; ``None`` if the body is something else, as the object of an error.
    """
    try:
        fields = loads(body)
        if not is_object(fields) or is_error(fields):
            return None
        choices = fields.get("choices")
        if not is_list(choices) or not choices or not all(map(_is_whole, choices)):
            return None
        return read_json(StreamChunk, {**fields, "choices": [_as_streamed(choice) for choice in choices]})
    except ValueError:
        return None


def _is_whole(choice: Any) -> bool:
    return is_object(choice) and (is_object(choice.get("message")) or isinstance(choice.get("text"), str))


def _as_streamed(choice: Mapping[str, Any]) -> dict[str, Any]:
    """A choice with a delta. The calls of a message have no index: their place is one."""
    fields = dict(choice)
    delta = dict(fields.pop("message", None) or {"content": fields.pop("text", None)})
    calls = delta.get("tool_calls")
    if is_list(calls):
        delta["tool_calls"] = [
            {"index": place, **call} if is_object(call) else call for place, call in enumerate(calls)
        ]
    return {**fields, "delta": delta}
