"""One answer a fold.

Rules:

1. The first chunk of an answer says so (``begins``). A fold that meets a second beginning fails, for two answers glued
   together are none.
2. If the chunk ``restarts``, what came before does not count: the fold drops it, or fails if it has emitted what
   cannot be taken back.
3. Chunks made by hand say nothing of that, and are taken as they come.
"""

from __future__ import annotations

from collections.abc import Callable

from rxllm.exceptions import MixedAnswersError
from rxllm.models import Slots, StreamChunk


class Beginning:
    """Whether the answer of one fold has begun.

    Attributes:
        slots: Those of the last chunk, if they hold for all of its stream. A chunk that has the very same says nothing
            new here.
    """

    __slots__ = ("_has_begun", "slots")

    def __init__(self) -> None:
        self.slots: Slots | None = None
        self._has_begun = False

    def restarts(self, chunk: StreamChunk, partials: Callable[[], tuple[object, object]]) -> bool:
        """Take note of a chunk.

        Args:
            chunk: The chunk; only needed if its slots are not those of the one before.
            partials: What there is of the answer so far, and of the one that the chunk begins.

        Returns:
            Whether the answer begins anew with it.

        Raises:
            MixedAnswersError: It begins a second answer.
        """
        slots = chunk.slots
        # What is said of one chunk alone is looked at each time.
        self.slots = slots if slots is None or slots.is_plain else None
        if slots is None or not (slots.begins or slots.restarts):
            return False
        if slots.begins and self._has_begun and not slots.restarts:
            raise MixedAnswersError(
                "a second answer came after the first, and cannot be joined with it: accumulate each one separately",
                partials=partials(),
            )
        self._has_begun = True
        return slots.restarts
