"""What an answer of the Gemini API cost.

Rules:

1. Counts are absolute, and each event may correct them. Thoughts stand beside the candidates, and what tools brought
   stands beside the prompt; ours have them within.
2. Nearly every event tells the usage, and to read it costs more than all the rest of an event. So it is read when
   something else is read in full, every sixty-fourth time, and when an answer ends, however it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rxllm.dialects._counts import sum_of
from rxllm.models import Slots, StreamChunk, Usage, is_object, make

NO_USAGE = msgspec.Raw(b"")
"""What stands for the usage where an event has none."""

_READ_EVERY = 64
_MOST = 2**63
_USED = Slots(replaces_usage=True)
_decode = msgspec.json.Decoder().decode


class UsageSoFar:
    """What the events said of the usage."""

    __slots__ = ("_said", "_unread")

    def __init__(self) -> None:
        self._said: msgspec.Raw = NO_USAGE
        self._unread = 0

    def take(self, said: msgspec.Raw) -> Usage | None:
        """Take what an event says.

        Returns:
            The usage, if it is time to read it.
        """
        if said:
            self._said = said
            self._unread += 1
            if self._unread >= _READ_EVERY:
                return self.read()
        return None

    def read(self) -> Usage | None:
        """What was said last; ``None`` if that was read, or counts nothing."""
        said, self._said, self._unread = self._said, NO_USAGE, 0
        if not said:
            return None
        try:
            return usage_of_metadata(_decode(said))
        except msgspec.MsgspecError:
            return None

    def replace(self, metadata: object) -> Usage | None:
        """Take what an event says that was read in full; ``None`` if it counts nothing."""
        usage = usage_of_metadata(metadata)
        if usage is not None:
            self._said, self._unread = NO_USAGE, 0
        return usage


def with_usage(chunk: StreamChunk, usage: Usage) -> StreamChunk:
    """A chunk that tells it, too: it replaces what was told before."""
    said: StreamChunk = make(
        StreamChunk,
        id=chunk.id,
        model=chunk.model,
        created=chunk.created,
        choices=chunk.choices,
        usage=usage,
        slots=_USED,
        event_text=chunk.event_text,
    )
    return said


def usage_of_metadata(said: object) -> Usage | None:
    """The usage; ``None`` if nothing is counted.

    >>> usage_of_metadata({"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}).completion_tokens
    5
    """
    if not is_object(said):
        return None
    thoughts = _count(said, "thoughtsTokenCount")
    prompt = sum_of(_count(said, "promptTokenCount"), _count(said, "toolUsePromptTokenCount"))
    completion = sum_of(_count(said, "candidatesTokenCount"), thoughts)
    total = _count(said, "totalTokenCount")
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    if prompt is None and completion is None and total is None:
        return None
    fields: dict[str, Any] = {**said, "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    if (cached := _count(said, "cachedContentTokenCount")) is not None:
        fields["prompt_tokens_details"] = {"cached_tokens": cached}
    if thoughts is not None:
        fields["completion_tokens_details"] = {"reasoning_tokens": thoughts}
    return Usage.model_validate(fields)


def _count(said: Mapping[str, Any], name: str) -> int | None:
    value = said.get(name)
    return value if type(value) is int and 0 <= value < _MOST else None
