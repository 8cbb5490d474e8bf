"""Choices of which the server left out the index."""

from __future__ import annotations

from itertools import count

from rxllm.models import StreamChoice, StreamChunk, loads


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
