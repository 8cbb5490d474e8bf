"""Tool calls as they grow, for who watches.

Rules:

1. A fragment is placed by the same fold as everywhere (``_tool_calls``), and its piece of the arguments goes through
   one JSON fold a call.
2. Nothing that is given away here can be executed.
3. Arguments that cannot become a JSON object any more are an error at that character. The input of a custom tool is
   any text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rxllm.accumulators._json_fold import JSONFold, JSONSnapshot
from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators._text import Text
from rxllm.accumulators._tool_calls import MAX_TOOL_CALLS, GrowingCall, ToolCallFold
from rxllm.exceptions import DecodeError, ToolCallError
from rxllm.models import IncompleteToolCall, JSONChange, Repair, StreamChunk, ToolCallProgress
from rxllm.models._unread import is_plain_text

__all__ = ["ToolCallProgressAccumulator"]


class _Input:
    """The input of a custom tool: text, read as if it were a string of JSON."""

    __slots__ = ("_text",)

    def __init__(self) -> None:
        self._text = Text()

    def feed(self, fragment: str) -> list[JSONChange]:
        self._text.fragments.append(fragment)
        return [JSONChange((), fragment)]

    def snapshot(self) -> JSONSnapshot:
        return JSONSnapshot(None, self._text, len(self._text), None, closed=False)


class _Watched:
    """A call, and how much of its arguments has been read."""

    __slots__ = ("call", "fold", "read")

    def __init__(self, call: GrowingCall) -> None:
        self.call = call
        self.fold = _Input() if call.type == "custom" else JSONFold(object_only=True)
        self.read = 0

    def changes(self) -> list[JSONChange]:
        """What the call gained since the last time."""
        fragments = self.call.text.fragments
        # There is one fragment more, or none: this is called for each.
        if self.read == len(fragments):
            return []
        self.read += 1
        return self.fold.feed(fragments[-1])


class ToolCallProgressAccumulator:
    """The fold that shows tool calls while they grow.

    Args:
        max_tool_calls: How many calls a choice may have.
        strict: Whether to raise a ``RepairError`` instead of putting something right.
        on_repair: Called with each thing that was put right: see the table of kinds of ``rxllm.Repair``.
    """

    __slots__ = ("_folds", "_log", "_max_tool_calls", "_watched")

    def __init__(
        self,
        *,
        max_tool_calls: int = MAX_TOOL_CALLS,
        strict: bool = False,
        on_repair: Callable[[Repair], None] | None = None,
    ) -> None:
        self._max_tool_calls = max_tool_calls
        self._log = RepairLog(strict=strict, on_repair=on_repair)
        self._folds: dict[int, ToolCallFold] = {}
        self._watched: dict[GrowingCall, _Watched] = {}

    def process_chunk(self, chunk: StreamChunk) -> Iterator[ToolCallProgress]:
        """Take the next chunk; iterate over the result at once.

        Args:
            chunk: The chunk.

        Yields:
            The calls that gained something, one item a fragment.

        Raises:
            ToolCallError: A fragment fits nowhere, or the arguments of a call cannot become a JSON object any more.
            RepairError: ``strict``, and something had to be put right.
            LimitExceededError: There are too many calls, or arguments are too deep or too long.
        """
        for watched, changes in self._advance(chunk):
            yield ToolCallProgress(watched.call.state, watched.fold.snapshot(), tuple(changes))

    def changes(self, chunk: StreamChunk) -> Iterator[tuple[GrowingCall, list[JSONChange]]]:
        """Take the next chunk, as ``process_chunk`` does, for those who look at nothing but what changed.

        Yields:
            The calls that gained something, and what.

        Raises:
            ToolCallError: As ``process_chunk``, like all of these.
            RepairError: ``strict``.
            LimitExceededError: There is too much of something.
        """
        for watched, changes in self._advance(chunk):
            yield watched.call, changes

    def incomplete(self) -> list[IncompleteToolCall]:
        """What there is of the calls."""
        return [call.state.incomplete() for _, fold in sorted(self._folds.items()) for call in fold.ordered()]

    def _advance(self, chunk: StreamChunk) -> Iterator[tuple[_Watched, list[JSONChange]]]:
        self._log.position += 1
        if is_plain_text(chunk):
            return
        for choice in chunk.choices:
            if choice.delta.tool_calls:
                fold = self._folds.get(choice.index)
                if fold is None:
                    fold = self._folds[choice.index] = ToolCallFold(choice.index, self._log, self._max_tool_calls)
                for fragment in choice.delta.tool_calls:
                    call = fold.add(fragment)
                    if call is not None:
                        watched = self._watched.get(call)
                        if watched is None:
                            watched = self._watched[call] = _Watched(call)
                        try:
                            changes = watched.changes()
                        except DecodeError as error:
                            raise _no_object(call, error) from error
                        yield watched, changes


def _no_object(call: GrowingCall, error: Exception) -> ToolCallError:
    return ToolCallError(
        f"the arguments of {call.name!r} are no JSON object: {error}",
        choice=call.choice,
        call_id=call.id or None,
        text=call.text.read(),
    )
