"""Tool calls, each with what its arguments come to while they grow.

Rules:

1. A fragment is placed by the same fold as everywhere (``_tool_calls``), and read by a ``WatchedCall``.
2. What was told of an answer that begins anew cannot be taken back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from rxllm.accumulators._repairs import OnRepair
from rxllm.accumulators.calls._call_folds import CallFolds
from rxllm.accumulators.calls._growing_call import GrowingCall
from rxllm.accumulators.calls._tool_calls import MAX_TOOL_CALLS
from rxllm.accumulators.calls._watched_call import WatchedCall
from rxllm.exceptions import RestartError, items_then
from rxllm.models import StreamChunk

T = TypeVar("T")


class WatchedCallsFold(CallFolds, ABC, Generic[T]):
    """The fold that tells of calls while they grow: what there is to tell of a fragment, ``_report`` says.

    Args:
        max_tool_calls: How many calls a choice may have.
        strict: Whether to raise a ``RepairError`` instead of putting something right.
        on_repair: Called with each thing that was put right: see the table of kinds of ``rxllm.Repair``.
    """

    __slots__ = ("_watched",)
    _name = ""
    """What the operator is called, for errors."""

    def __init__(
        self, *, max_tool_calls: int = MAX_TOOL_CALLS, strict: bool = False, on_repair: OnRepair | None = None
    ) -> None:
        super().__init__(max_tool_calls=max_tool_calls, strict=strict, on_repair=on_repair)
        self._watched: dict[GrowingCall, WatchedCall] = {}

    @abstractmethod
    def _report(self, watched: WatchedCall, piece: str, found: list[T]) -> None:
        """Tell what a fragment gave.

        Args:
            watched: The call.
            piece: What its arguments gained.
            found: Where to put it.

        Raises:
            ToolCallError: The arguments cannot become a JSON object any more.
        """

    def close(self) -> Sequence[T]:
        """Take note that the stream ended, which tells nothing new."""
        return ()

    def add(self, chunk: StreamChunk) -> Iterable[T]:
        """Take the next chunk; iterate over the result at once.

        Args:
            chunk: The chunk.

        Returns:
            What there is to tell, a list. If there is something to tell before an error, an iterable that raises it.

        Raises:
            ToolCallError: A fragment fits nowhere, or the arguments of a call cannot become a JSON object any more.
            RepairError: ``strict``, and something had to be put right.
            MixedAnswersError: The chunk begins another answer.
            RestartError: The answer begins anew, and something was told of it.
            LimitExceededError: There are too many calls, or arguments are too deep or too long.
        """
        self._log.position += 1
        if chunk.slots is not self._beginning.slots:
            restarts = self._beginning.restarts(chunk, lambda: (self.incomplete(), []))
            if restarts and self._watched:
                raise RestartError(self._name)
        found: list[T] = []
        try:
            self._take(chunk, found)
        except Exception as error:  # noqa: BLE001 - raised behind what was found
            return items_then(found, error)
        return found

    process_chunk = add
    """The name that ``add`` had in 0.1."""

    def _take(self, chunk: StreamChunk, found: list[T]) -> None:
        for choice in chunk.choices:
            fragments = choice.delta.tool_calls
            if fragments:
                fold = self._folds.get(choice.index) or self._begin(choice.index, chunk)
                for fragment in fragments:
                    call = fold.add(fragment)
                    if call is not None:
                        self._report(self._watched.get(call) or self._watch(call), fold.piece, found)

    def _watch(self, call: GrowingCall) -> WatchedCall:
        watched = self._watched[call] = WatchedCall(call, self._log)
        return watched
