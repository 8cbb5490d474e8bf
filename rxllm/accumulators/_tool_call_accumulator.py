"""Which calls may be executed, and when.

Rules:

1. Arguments that parse are not finished: more of them may follow. A call is given away when its choice has ended.
2. Eagerly, it is given away as soon as its arguments have structurally closed and the next call of its choice has
   begun; never on the arguments alone.
3. A fragment that arrives for a call that was given away is an error.
4. A choice that ended in an error ended none of its calls.
5. In a choice that was cut (by a limit of length or a filter), arguments that have not closed are an error.
6. Calls that are good are given away before an error about another one is raised.
"""

from __future__ import annotations

from collections.abc import Sequence

from rxllm.accumulators._growing_call import GrowingCall
from rxllm.accumulators._repairs import OnRepair, RepairLog
from rxllm.accumulators._text import NOWHERE
from rxllm.accumulators._tool_calls import MAX_TOOL_CALLS, ToolCallFold
from rxllm.exceptions import RepairError, ToolCallError, excerpt
from rxllm.models import FinishReason, IncompleteToolCall, StreamChoice, StreamChunk, ToolCall, ToolCallDelta
from rxllm.models._unread import Shape, UnreadChunk, known_of

__all__ = ["ToolCallAccumulator"]

_CUTS = frozenset({FinishReason.LENGTH, FinishReason.CONTENT_FILTER})


class ToolCallAccumulator:
    """The fold that gives away tool calls as they may be executed.

    Args:
        eager: Whether not to wait for the end of the choice: see the rules of this module.
        max_tool_calls: How many calls a choice may have.
        strict: Whether to raise a ``RepairError`` instead of putting something right.
        on_repair: Called with each thing that was put right: see the table of kinds of ``rxllm.Repair``.
    """

    __slots__ = ("_cut", "_eager", "_error", "_failed", "_folds", "_grow", "_log", "_max_tool_calls", "_shape")

    def __init__(
        self,
        *,
        eager: bool = False,
        max_tool_calls: int = MAX_TOOL_CALLS,
        strict: bool = False,
        on_repair: OnRepair | None = None,
    ) -> None:
        self._eager = eager
        self._max_tool_calls = max_tool_calls
        self._log = RepairLog(strict=strict, on_repair=on_repair)
        self._folds: dict[int, ToolCallFold] = {}
        self._failed: set[int] = set()
        self._cut: set[int] = set()
        self._error: RepairError | ToolCallError | None = None
        # What the last chunk with a call has in common with those that nobody need read, and what takes their texts.
        self._shape: Shape | None = None
        self._grow = NOWHERE

    def process_chunk(self, chunk: StreamChunk) -> list[ToolCall]:
        """Take the next chunk.

        Args:
            chunk: The chunk.

        Returns:
            The calls that may now be executed; their arguments have been seen to be a JSON object.

        Raises:
            ToolCallError: A fragment fits nowhere, or comes for a call that was given away; or a finished call has
                no name or arguments that are no JSON object. If calls before that one were good, those are returned
                and the error is raised by the next ``process_chunk`` or ``finish``.
            RepairError: ``strict``, and something had to be put right; as above.
            LimitExceededError: There are too many calls.
        """
        if self._error is not None:
            self._raise_pending()
        self._log.position += 1
        known = known_of(chunk) if type(chunk) is UnreadChunk else None
        if known is None or not known.shape.grows:
            return self._take(chunk)
        shape = known.shape
        if shape is self._shape:
            self._grow(known.text)
            return []
        if shape.grows != "arguments":
            return []  # text is no call and no end
        ready = self._take(chunk)
        self._expect(shape)
        return ready

    def _take(self, chunk: StreamChunk) -> list[ToolCall]:
        """Take a chunk in full."""
        self._shape = None
        ready: list[GrowingCall] = []
        try:
            for choice in chunk.choices:
                # The fields of a model are read from where they are: an attribute takes twice as long.
                fields = choice.__dict__
                fragments: list[ToolCallDelta] | None = fields["delta"].tool_calls
                if fragments:
                    fold = self._folds.get(fields["index"]) or self._begin(fields["index"])
                    if self._eager:
                        ready += _add_eagerly(fold, fragments)
                    else:
                        for fragment in fragments:
                            fold.add(fragment)
                if fields["finish_reason"]:
                    ready += self._end(choice)
        except (RepairError, ToolCallError) as error:
            # Choices before that one may have ended.
            self._error = error
        return self._emit(ready) if ready or self._error is not None else []

    def _expect(self, shape: Shape) -> None:
        """Take nothing but the arguments of the chunks that follow and are like the one that was just taken in full.

        Above an empty ``map`` a fragment takes 0.3 µs so, and took 7.9 when it had to be read for it.
        """
        fold = self._folds[shape.choice]
        call = fold.expected
        # Eagerly, all but the last call may be closed by a fragment, and are ready then.
        if call is not None and (not self._eager or call is fold.calls[-1]):
            self._shape = shape
            self._grow = call.append

    def finish(self) -> list[ToolCall]:
        """Take note that the stream ended in good order, so that all calls are finished.

        Returns:
            The calls not given away yet.

        Raises:
            ToolCallError: See ``process_chunk``; here none is given away if one is garbled.
        """
        self._raise_pending()
        growing, calls = self._check(
            [call for index, fold in sorted(self._folds.items()) if index not in self._failed for call in _left(fold)]
        )
        self._raise_pending()
        for each in growing:
            each.emitted = True
        return calls

    def incomplete(self) -> list[IncompleteToolCall]:
        """What there is of the calls that were not given away."""
        return [call.state.incomplete() for _, fold in sorted(self._folds.items()) for call in _left(fold)]

    def _begin(self, choice: int) -> ToolCallFold:
        fold = self._folds[choice] = ToolCallFold(choice, self._log, self._max_tool_calls)
        return fold

    def _end(self, choice: StreamChoice) -> list[GrowingCall]:
        if choice.finish_reason == FinishReason.ERROR:
            self._failed.add(choice.index)
            return []
        if choice.finish_reason in _CUTS:
            self._cut.add(choice.index)
        fold = self._folds.get(choice.index)
        return [] if fold is None else _left(fold)

    def _emit(self, ready: Sequence[GrowingCall]) -> list[ToolCall]:
        """Give away what is good; raise if nothing is."""
        growing, calls = self._check(ready)
        if not calls:
            self._raise_pending()
        for each in growing:
            each.emitted = True
        return calls

    def _raise_pending(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _check(self, ready: Sequence[GrowingCall]) -> tuple[list[GrowingCall], list[ToolCall]]:
        """The calls up to the first one that is garbled; the error about that is left for later."""
        growing = [call for call in dict.fromkeys(ready) if not call.emitted]
        calls: list[ToolCall] = []
        for each in growing:
            try:
                calls.append(_executable(each, self._log, cut=each.choice in self._cut))
            except (RepairError, ToolCallError) as error:
                self._error = error
                break
        return growing[: len(calls)], calls


def _add_eagerly(fold: ToolCallFold, fragments: Sequence[ToolCallDelta]) -> list[GrowingCall]:
    """Place the fragments of a choice; returns the calls that are ready before its end."""
    touched = fold.calls[-1:]
    touched += [call for each in fragments if (call := fold.add(each)) is not None]
    last = fold.calls[-1] if fold.calls else None
    # Only what was touched, or was the last one until now, can have become ready.
    return [call for call in dict.fromkeys(touched) if call is not last and call.closed and not call.emitted]


def _left(fold: ToolCallFold) -> list[GrowingCall]:
    return [call for call in fold.ordered() if not call.emitted]


def _executable(growing: GrowingCall, log: RepairLog, *, cut: bool) -> ToolCall:
    if cut and not growing.closed:
        # Open arguments are found out below. Those that had not begun would pass for none.
        begun = growing.state.incomplete()
        raise ToolCallError(
            f"the answer was cut before the arguments of {begun.name!r} were whole",
            choice=growing.choice,
            call_id=begun.id,
            text=excerpt(begun.arguments),
        )
    call = growing.state.tool_call(log)
    try:
        # The input of a custom tool is any text; all other arguments are JSON objects.
        _ = call.type == "custom" or call.function.parsed
    except ToolCallError as error:
        raise ToolCallError(str(error), choice=growing.choice, call_id=call.id, text=error.text) from None
    return call
