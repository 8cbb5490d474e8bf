"""What some servers send in another place than a chunk of chat completions has it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any, cast

from rxllm.models import Delta, StreamChoice, StreamChunk, Usage, is_object, loads


def spoken_in(extra: Mapping[str, Any]) -> tuple[str, str, Delta] | None:
    """What a choice says without a delta: in which field, the kind of that repair, and the delta that it is.

    Raises:
        ValueError: The message is none.
    """
    if is_object(message := extra.get("message")):
        return "message", "message-as-delta", Delta.model_validate(message)
    if isinstance(text := extra.get("text"), str):
        return "text", "text-as-delta", Delta(content=text)
    return None


def numbered(data: str | bytes, chunk: StreamChunk) -> StreamChunk:
    """Give choices without an index the one of their place, or the first that is free if another choice has that."""
    indexes = [choice.index for choice in chunk.choices]
    if len({*indexes}) == len(indexes) and 0 not in indexes[1:]:
        return chunk
    # Whether an index is 0, or is not mentioned, the choice does not tell.
    raw = [each for each in loads(data)["choices"] if each is not None]
    has_own = [
        each.get("index") is not None and "index_original" not in choice.model_extra
        for each, choice in zip(raw, chunk.choices, strict=True)
    ]
    taken = {choice.index for choice, own in zip(chunk.choices, has_own, strict=True) if own}
    free = (index for index in count() if index not in taken)
    choices: list[StreamChoice] = []
    for place, (choice, own) in enumerate(zip(chunk.choices, has_own, strict=True)):
        index = choice.index if own else next(free) if place in taken else place
        taken.add(index)
        choices.append(choice.model_copy(update={"index": index}))
    return chunk.model_copy(update={"choices": choices})


def usage_of_failure(value: Any) -> tuple[StreamChunk, ...]:
    """The usage that stands in an error object or beside it, in a chunk of its own; nothing if there is none."""
    if not is_object(value):
        return ()
    chunks = (with_usage(StreamChunk(), fields) for fields in (value, value.get("error")))
    return tuple(chunk for chunk in chunks if chunk.usage is not None)


def with_usage(chunk: StreamChunk, fields: Any) -> StreamChunk:
    """The chunk with the usage that stands in an object within it, if it does."""
    if not isinstance(fields, dict) or not cast("dict[str, Any]", fields).get("usage"):
        return chunk
    usage: Usage | None = StreamChunk.from_wire({"usage": fields["usage"]}).usage
    return chunk.model_copy(update={"usage": usage})
