"""Tool calls, each with what its arguments come to while they grow.

Rules:

1. A fragment is placed by the same fold as everywhere (``_tool_calls``), and its piece of the arguments goes through
   one JSON fold a call.
2. Arguments that cannot become a JSON object any more are an error at that character. The input of a custom tool is
   any text.
3. A chunk that nobody has read stays so if all it may hold is text, or another piece for the call of the one before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from rxllm.accumulators._growing_call import GrowingCall
from rxllm.accumulators._json_fold import JSONFold
from rxllm.accumulators._json_snapshot import JSONSnapshot
from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators._text import NOWHERE, Text
from rxllm.accumulators._tool_calls import MAX_TOOL_CALLS, ToolCallFold
from rxllm.exceptions import DecodeError, ToolCallError
from rxllm.models import IncompleteToolCall, JSONChange, Repair, StreamChunk, ToolCallDelta
from rxllm.models._progress import JSONKeys
from rxllm.models._unread import Shape, UnreadChunk, known_of

__all__ = ["WatchedCall", "WatchedCalls", "then_raise"]

T = TypeVar("T")


class _Input:
    """The input of a custom tool: text, read as if it were a string of JSON. It is rare, so nothing is put off."""

    __slots__ = ("_text",)
    path: JSONKeys = ()

    def __init__(self) -> None:
        self._text = Text()

    def grow(self, _: str) -> bool:
        return False

    def feed(self, fragment: str) -> list[JSONChange]:
        self._text.fragments.append(fragment)
        return [JSONChange((), fragment)]

    def snapshot(self) -> JSONSnapshot:
        return JSONSnapshot(None, self._text, len(self._text), None, closed=False)


class WatchedCall:
    """A call, and what its arguments come to.

    Attributes:
        call: The call.
        fold: What reads the arguments.
        grow: Goes on with the arguments if a string of them grows and that is all: see ``JSONFold.grow``.
        value: What the arguments were at the last ``note``.
    """

    __slots__ = ("call", "fold", "grow", "value")

    def __init__(self, call: GrowingCall) -> None:
        self.call = call
        self.fold = _Input() if call.type == "custom" else JSONFold(object_only=True)
        self.grow: Callable[[str], bool] = self.fold.grow
        self.value = self.fold.snapshot()

    def note(self) -> None:
        """Note in ``value`` what the arguments are now."""
        self.value = self.fold.snapshot()

    def feed(self, piece: str) -> list[JSONChange]:
        """Go on with the arguments where ``grow`` does not: see ``JSONFold.feed``.

        Raises:
            ToolCallError: They cannot become a JSON object any more.
        """
        try:
            return self.fold.feed(piece)
        except DecodeError as error:
            call = self.call
            raise ToolCallError(
                f"the arguments of {call.name!r} are no JSON object: {error}",
                choice=call.choice,
                call_id=call.id or None,
                text=call.text.read(),
            ) from error


class WatchedCalls(ABC, Generic[T]):
    """The fold that tells of calls while they grow: what there is to tell of a fragment, ``_report`` says.

    Args:
        max_tool_calls: How many calls a choice may have.
        strict: Whether to raise a ``RepairError`` instead of putting something right.
        on_repair: Called with each thing that was put right: see the table of kinds of ``rxllm.Repair``.
    """

    __slots__ = ("_current", "_folds", "_grow", "_log", "_max_tool_calls", "_shape", "_watched")
    _current: WatchedCall

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
        self._watched: dict[GrowingCall, WatchedCall] = {}
        # What the last chunk has in common with those that nobody need read. If it has anything: the call that their
        # arguments go to, and what takes them there.
        self._shape: Shape | None = None
        self._grow = NOWHERE

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

    def process_chunk(self, chunk: StreamChunk) -> Iterable[T]:
        """Take the next chunk; iterate over the result at once.

        Args:
            chunk: The chunk.

        Returns:
            What there is to tell, a list. If there is something to tell before an error, an iterable that raises it.

        Raises:
            ToolCallError: A fragment fits nowhere, or the arguments of a call cannot become a JSON object any more.
            RepairError: ``strict``, and something had to be put right.
            LimitExceededError: There are too many calls, or arguments are too deep or too long.
        """
        self._log.position += 1
        found: list[T] = []
        known = known_of(chunk) if type(chunk) is UnreadChunk else None
        try:
            if known is None or not known.shape.grows:
                self._take(chunk, found)
            elif known.shape is self._shape:
                self._grow(known.text)
                self._report(self._current, known.text, found)
            elif known.shape.grows == "arguments":
                self._take(chunk, found)
                self._expect(known.shape)
        except Exception as error:
            if not found:
                raise
            return then_raise(found, error)
        return found

    def incomplete(self) -> list[IncompleteToolCall]:
        """What there is of the calls."""
        return [call.state.incomplete() for _, fold in sorted(self._folds.items()) for call in fold.ordered()]

    def _take(self, chunk: StreamChunk, found: list[T]) -> None:
        """Take a chunk in full."""
        self._shape = None
        for choice in chunk.choices:
            # The fields of a model are read from where they are: an attribute takes twice as long.
            fields = choice.__dict__
            fragments: list[ToolCallDelta] | None = fields["delta"].tool_calls
            if fragments:
                fold = self._folds.get(fields["index"]) or self._begin(fields["index"])
                for fragment in fragments:
                    call = fold.add(fragment)
                    if call is not None:
                        self._report(self._watched.get(call) or self._watch(call), fold.piece, found)

    def _begin(self, choice: int) -> ToolCallFold:
        fold = self._folds[choice] = ToolCallFold(choice, self._log, self._max_tool_calls)
        return fold

    def _watch(self, call: GrowingCall) -> WatchedCall:
        watched = self._watched[call] = WatchedCall(call)
        return watched

    def _expect(self, shape: Shape) -> None:
        """Take nothing but the arguments of the chunks that follow and are like the one that was just taken in full."""
        call = self._folds[shape.choice].expected
        if call is not None:
            self._shape = shape
            self._current = self._watched[call]
            self._grow = call.append


def then_raise(found: Sequence[T], error: Exception) -> Iterator[T]:
    """What was found before an error, and then that."""
    yield from found
    raise error
