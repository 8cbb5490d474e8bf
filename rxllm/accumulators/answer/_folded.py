"""The chunks of an answer, as far as it has come, as one chunk that adds up to the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rxllm.accumulators.answer._conflation import Conflation
from rxllm.accumulators.answer._merged_usage import usage_after
from rxllm.models import Repair, Slots, StreamChoice, StreamChunk, Usage, rest_of

_OF_A_CHUNK = ("id", "object", "created", "model", "service_tier", "system_fingerprint")


class Folded:
    """One chunk of many: its text is joined, and what else they hold stands one behind the other in its choices."""

    def __init__(self) -> None:
        self._chunks: list[StreamChunk | Conflation[StreamChunk]] = []

    def add(self, chunk: StreamChunk) -> None:
        """Take a chunk in; one that restarts the answer takes back what came before."""
        if chunk.restarts:
            self._chunks.clear()
        last = self._chunks[-1] if self._chunks else None
        if isinstance(last, Conflation) and last.add(chunk):
            return
        if isinstance(last, StreamChunk) and (run := Conflation(last)).add(chunk):
            self._chunks[-1] = run
        else:
            self._chunks.append(chunk)

    def close(self) -> StreamChunk:
        """The one chunk."""
        chunks = [each.close() if isinstance(each, Conflation) else each for each in self._chunks]
        if len(chunks) == 1:
            return chunks[0]
        repeated: dict[str, Any] = {}
        choices: list[StreamChoice] = []
        usage: Usage | None = None
        for chunk in chunks:
            repeated |= {name: value for name in _OF_A_CHUNK if (value := getattr(chunk, name)) is not None}
            repeated |= rest_of(chunk)
            choices += chunk.choices
            usage, _ = usage_after(usage, chunk)
        update = {**repeated, "choices": tuple(choices), "usage": usage, "slots": _slots(chunks), "event_text": None}
        return chunks[0].model_copy(update=update)


def _slots(chunks: Sequence[StreamChunk]) -> Slots:
    first = chunks[0]
    repairs: list[Repair] = [repair for chunk in chunks for repair in chunk.repairs]
    replaces = any(chunk.slots is not None and chunk.slots.replaces_usage for chunk in chunks)
    return (first.slots or Slots()).with_(repairs=tuple(repairs), replaces_usage=replaces)
