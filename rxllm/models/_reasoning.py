"""Where servers put the reasoning.

Nobody agreed on a field. This is the one place that knows them all, for deltas and messages alike; the first that has
a text counts: ``reasoning_content``, ``reasoning``, ``reasoning_text``, ``thinking``, content parts of type
``thinking``, ``reasoning_details``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from rxllm.models._json import is_list, is_object

JOINED = "reasoning_joined"
"""The extra field of a message whose deltas spelled the reasoning in different ways: all of it, in order."""

REASONING_FIELDS = frozenset({"reasoning_content", "reasoning", "reasoning_text", "thinking", "reasoning_details"})
"""The fields of a message that hold reasoning and nothing else."""

_THINKING = frozenset({"thinking", "reasoning"})


def find_reasoning(
    content: str | None, reasoning: str | None, extra: Mapping[str, Any] | None, details: object = None
) -> tuple[str, str]:
    """Find the reasoning in a delta or message.

    Args:
        content: Its ``reasoning_content``.
        reasoning: Its ``reasoning``.
        extra: Its other fields.
        details: Its ``reasoning_details``, if they are none of the other fields.

    Returns:
        The name of the field and the text; both are empty if there is none.
    """
    if not extra:
        if details and not (content or reasoning):
            return "reasoning_details", "".join(texts_of(details))
        return ("reasoning_content", content) if content else ("reasoning", reasoning) if reasoning else ("", "")
    candidates: tuple[tuple[str, Any], ...] = (
        (JOINED, extra.get(JOINED)),
        ("reasoning_content", content),
        ("reasoning", reasoning),
        ("reasoning_text", extra.get("reasoning_text")),
        ("thinking", extra.get("thinking")),
        ("content_parts", "".join(_thoughts(extra.get("content_parts")))),
        ("reasoning_details", "".join(texts_of(details or extra.get("reasoning_details")))),
    )
    return next(((name, text) for name, text in candidates if text and isinstance(text, str)), ("", ""))


def texts_of(value: Any) -> Iterator[str]:
    """The texts in reasoning that is not a string: a list of parts, or a part, of whatever type."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for part in cast("list[Any]", value):
            yield from texts_of(part)
    elif is_object(value):
        inner = (value.get(name) for name in ("thinking", "reasoning", "text", "summary"))
        yield from texts_of(next((each for each in inner if each is not None), None))


def _thoughts(parts: Any) -> Iterator[str]:
    """The texts of the parts of type ``thinking`` among content parts."""
    for part in parts if is_list(parts) else [parts]:
        if is_object(part) and is_thinking(part):
            yield from texts_of(part)


def is_thinking(part: Mapping[str, Any]) -> bool:
    """Whether a content part is reasoning."""
    kind = part.get("type")
    return isinstance(kind, str) and kind in _THINKING
