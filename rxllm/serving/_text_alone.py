"""The commonest chunk of all: a piece of text, and nothing else. It is told without looking further."""

from __future__ import annotations

from rxllm.models import StreamChunk

__all__ = ["text_alone"]


def text_alone(item: object) -> str | None:
    """The text of a chunk that says nothing else and belongs to choice 0; ``None`` of anything else."""
    if type(item) is not StreamChunk or len(item.choices) != 1 or item.usage is not None:
        return None
    slots = item.slots
    if slots is not None and (slots.begins or slots.restarts):
        return None
    choice = item.choices[0]
    delta = choice.delta
    if choice.index or choice.finish_reason or delta.tool_calls or delta.function_call or delta.refusal or delta.blocks:
        return None
    if delta.reasoning_content or delta.reasoning or delta.reasoning_details or delta.extra:
        return None
    if delta.annotations or delta.images:
        return None
    return delta.content or None
