"""What the calls of an answer gain while the model writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators.calls._call_state import answer_of
from rxllm.accumulators.calls._tool_calls import MAX_TOOL_CALLS, ToolCallFold
from rxllm.models import StreamChunk, ToolCallDelta


class ToolInput(NamedTuple):
    """What one fragment told of a call.

    Attributes:
        place: Which call, in the order in which they began.
        id: Its identifier, if that has come.
        name: The name of the tool, if that has come.
        text: What its input gained.
    """

    place: int
    id: str | None
    name: str | None
    text: str


class ToolInputs:
    """Tells which call each fragment of choice 0 belongs to, by the rules of ``_tool_calls``."""

    __slots__ = ("_calls", "_log", "_places", "_told")

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._log = RepairLog()
        self._calls: ToolCallFold | None = None
        self._places: dict[int, int] = {}
        self._told: dict[int, tuple[str, str]] = {}

    def add(self, chunk: StreamChunk) -> Iterator[ToolInput]:
        """Take a chunk; iterate over the result at once.

        Raises:
            ToolCallError: A fragment fits nowhere.
            LimitExceededError: There are too many calls.
        """
        if chunk.restarts:
            self._begin()
        for choice in chunk.choices:
            if choice.index == 0:
                for fragment in choice.delta.tool_calls or ():
                    yield from self._take(fragment, chunk)

    def _take(self, fragment: ToolCallDelta, chunk: StreamChunk) -> Iterator[ToolInput]:
        if self._calls is None:
            self._calls = ToolCallFold(0, self._log, MAX_TOOL_CALLS, answer_of(chunk))
        call = self._calls.add(fragment)
        if call is None:
            return
        place = self._places.setdefault(call.serial, len(self._places))
        known = (call.id, call.name)
        # Most fragments bring a piece of the input, some an identifier or a name, and some nothing at all.
        if self._calls.piece or self._told.get(place) != known:
            self._told[place] = known
            yield ToolInput(place, call.id or None, call.name or None, self._calls.piece)
