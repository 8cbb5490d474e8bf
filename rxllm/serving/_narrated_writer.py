"""Writes what a narrator tells of a stream, each thing as a protocol has it: what writers for interfaces share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rxllm.serving._event_stream import data
from rxllm.serving._narrator import Narrator
from rxllm.serving._told import Told


class NarratedWriter:
    """Writes one answer; how it begins and ends is the protocol's.

    Args:
        narrator: Tells of the items.
        tellers: What the protocol makes of each class of what is told: a function of the writer and of that. They are
            no answer's own, for methods that it kept would be a cycle.

    Attributes:
        over: Whether the end is told.
    """

    def __init__(self, narrator: Narrator, tellers: Mapping[type, Callable[[Any, Any], Iterable[Any]]]) -> None:
        self.over: bool = False
        self._narrator = narrator
        # What was told before an item that could not be.
        self._unsent = b""
        self._by_class = tellers

    def write(self, items: Sequence[Any], /) -> bytes:
        """The frames of items."""
        frames: list[bytes] = []
        try:
            for item in items:
                self._tell(self._narrator.add(item), frames)
        except Exception:
            self._unsent = b"".join(frames)
            raise
        return b"".join(frames)

    def _tell(self, all_told: Iterable[Told], frames: list[bytes]) -> None:
        for each in all_told:
            frames += map(data, self._by_class[type(each)](self, each))
