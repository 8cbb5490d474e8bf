"""What of a chunk is something of an answer: the one place that knows.

Rules:

1. Text, reasoning, a refusal, a piece of a call, an image or the like, a finish reason and usage are something.
2. What is empty where those belong is nothing: ``""``, ``[{}]``, a call without a name and arguments, counts of 0.
3. Nothing else is: a role, identifiers, padding, log probabilities, fields that no struct declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from rxllm.models._json import is_list, is_object

if TYPE_CHECKING:
    from rxllm.models._chunk import Delta, FunctionCallDelta, ToolCallDelta
    from rxllm.models._usage import Usage

_KINDS_OF_TEXT = frozenset({"text", "output_text", "thinking", "reasoning"})


def says_more(delta: Delta) -> bool:
    """Whether a delta says something of an answer besides its text."""
    if delta.reasoning_content or delta.reasoning or delta.refusal or delta.annotations or delta.images or delta.blocks:
        return True
    if delta.part is not None and delta.part.text:
        return True
    if delta.tool_calls and any(map(_says_call, delta.tool_calls)):
        return True
    if _says_function(delta.function_call) or delta.reasoning_details or _has_values(delta.audio):
        return True
    return delta.extra is not None and (delta.reasoning_text is not None or _has_block(delta.extra))


def _says_call(call: ToolCallDelta) -> bool:
    return bool(call.id or _says_function(call.function) or _has_values(call.custom))


def _says_function(function: FunctionCallDelta | None) -> bool:
    return function is not None and bool(function.name or function.arguments)


def _has_block(extra: Mapping[str, Any]) -> bool:
    """Whether there is a content part that is not a text: the texts are elsewhere."""
    parts = extra.get("content_parts")
    return any(
        is_object(part) and part.get("type", "text") not in _KINDS_OF_TEXT for part in (parts if is_list(parts) else ())
    )


def _has_values(value: object) -> bool:
    """Whether there is anything in a JSON value."""
    return any(map(_has_values, value.values())) if is_object(value) else bool(value)


def has_counts(usage: Usage) -> bool:
    """Whether there is a number in it that is not 0."""
    return _has_counts(usage.model_dump())


def _has_counts(value: object) -> bool:
    if is_object(value):
        return any(map(_has_counts, value.values()))
    if is_list(value):
        return any(map(_has_counts, value))
    return isinstance(value, int | float) and not isinstance(value, bool) and cast("float", value) != 0
