"""What is written of a stream besides its items as they are: their numbers and times, and what they amount to.

Recordings and logs have this in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rxllm.accumulators import StreamAccumulator
from rxllm.exceptions import RxllmError, ToolCallError
from rxllm.models import Restarted, StreamChunk, is_chat_event, marked
from rxllm.stores._error_records import encode_error
from rxllm.stores._records import EndRecord, ItemRecord, encode_item
from rxllm.stores._slots import SlotsEncoder
from rxllm.typing import Ending

__all__ = ["CONTEXT_ITEMS", "Recorder"]

CONTEXT_ITEMS = 64
"""Within how many items of a log it is told again which request the chunks belong to: a reader may begin anywhere."""


class Recorder:
    """Makes records of the items of one stream.

    Args:
        first: The number of the first item.
        restarts: Whether the first item begins anew what is there already.
        tell_again: Whether to tell what a reader has to know that begins in the middle.
    """

    def __init__(self, first: int = 0, *, restarts: bool = False, tell_again: bool = False) -> None:
        self.next: int = first
        self._first = first
        self._restarts = restarts
        self._tell_again = tell_again
        self._answer = _Answer()
        self._slots = SlotsEncoder()

    def marked(self, items: Sequence[object]) -> Sequence[object]:
        """The next items; the first ones say that they begin anew, if they do and can."""
        if not (self._restarts and self.next == self._first and items):
            return items
        first = items[0]
        if isinstance(first, StreamChunk):
            return [marked(first, begins=True, restarts=True), *items[1:]]
        if is_chat_event(first):
            return [Restarted(round=first.round), *items]
        return items

    def records(self, items: Sequence[object], seconds: float) -> Iterator[ItemRecord]:
        """The records of the next items, one by one. Call ``stored`` when they are.

        Args:
            items: The items.
            seconds: The time since the stream began.

        Raises:
            TypeError: An item cannot be recorded.
        """
        return (self._record(number, seconds, item) for number, item in enumerate(items, self.next))

    def stored(self, items: Sequence[object]) -> None:
        """Count items that are stored."""
        self.next += len(items)
        self._answer.add(items)

    def end(self, ending: Ending, seconds: float) -> EndRecord:
        """The record of the ending."""
        has_items = self.next > self._first
        completion = self._answer.completion(complete=ending.kind == "completed") if has_items else None
        return EndRecord(seconds, self.next, ending.kind, encode_error(ending), completion)

    def _record(self, number: int, seconds: float, item: object) -> ItemRecord:
        again = self._tell_again and number % CONTEXT_ITEMS == 0
        slots = self._slots.encode(item, again=again)
        if self._restarts and number == self._first:
            slots = {**(slots or {}), "restarts": True}
        return ItemRecord(number, seconds, *encode_item(item), slots)


class _Answer:
    """What the chunks of a stream amount to, as long as that can be said."""

    def __init__(self) -> None:
        self._accumulator: StreamAccumulator | None = StreamAccumulator()

    def add(self, items: Sequence[object]) -> None:
        """Take the items in, if they are chunks; there is no answer to other streams."""
        if self._accumulator is None:
            return
        chunks = [item for item in items if isinstance(item, StreamChunk)]
        if len(chunks) < len(items):
            self._accumulator = None
            return
        try:
            self._accumulator.add_all(chunks)
        except RxllmError:
            # That is for an accumulating operator to report. Here the items count, and they are stored.
            self._accumulator = None

    def completion(self, *, complete: bool) -> dict[str, Any] | None:
        """The answer, or what there is of it."""
        if self._accumulator is None:
            return None
        try:
            answer = self._accumulator.completion(ended=True) if complete else self._accumulator.partial()
        except ToolCallError:
            # A garbled call: what came of it is kept as an incomplete one.
            answer = self._accumulator.partial()
        return answer.model_dump()
