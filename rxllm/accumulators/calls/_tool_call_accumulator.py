"""Which calls may be executed, and when.

Rules:

1. Arguments that parse are not finished: more of them may follow, and an error may follow the reason for the end. So
   calls are given away when the stream has ended, all together, and only if the answer is ``completed``.
2. Eagerly, a call is given away as soon as its arguments have structurally closed, and the next call of its choice has
   begun or the choice has completed; never on the arguments alone.
3. Eagerly, a call of which nothing but what may be a placeholder (``{}``) has come waits for the end of its choice.
4. A fragment that arrives for a call that was given away is an error, unless it says once more what was said.
5. Calls of an answer that was cut short, or whose end nobody understands, are an error.
6. One call that is garbled does not keep back the others. If its arguments are not a JSON object it is given away as it
   is, for it can be answered. A call that is none, without a name or with two values for arguments, is an error behind
   all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rxllm.accumulators._repairs import OnRepair
from rxllm.accumulators.calls._call_folds import CallFolds
from rxllm.accumulators.calls._growing_call import GrowingCall
from rxllm.accumulators.calls._tool_calls import MAX_TOOL_CALLS, ToolCallFold
from rxllm.exceptions import RepairError, RestartError, ToolCallError, TruncatedStreamError, excerpt, items_then
from rxllm.models import StreamChunk, ToolCall, ToolCallDelta, ending_of, is_reason


class ToolCallAccumulator(CallFolds):
    """Returns tool calls as soon as they may be executed: see ``operators.accumulate_tool_calls``.

    Args:
        eager: Whether to return a call before its choice has ended: see ``operators.accumulate_tool_calls``.
        max_tool_calls: How many calls a choice may have.
        strict: Whether to raise a ``RepairError`` instead of repairing what may be a guess (see ``rxllm.Repair``).
        on_repair: Called with each repair. ``rxllm.Repair`` has a table of their kinds.
    """

    __slots__ = ("_eager", "_has_emitted", "_last_choice", "_reasons")

    def __init__(
        self,
        *,
        eager: bool = False,
        max_tool_calls: int = MAX_TOOL_CALLS,
        strict: bool = False,
        on_repair: OnRepair | None = None,
    ) -> None:
        super().__init__(max_tool_calls=max_tool_calls, strict=strict, on_repair=on_repair)
        self._eager = eager
        # Why each choice ended, ``""`` if it has not; and which came last, so that few chunks need looking it up.
        self._reasons: dict[int, str] = {}
        self._last_choice: int | None = None
        self._has_emitted = False

    def add(self, chunk: StreamChunk) -> list[ToolCall]:
        """Take the next chunk; iterate over the result at once.

        Args:
            chunk: The chunk.

        Returns:
            The calls that may now be executed; none unless ``eager``. If calls come before an error, an iterable that
            gives them and then raises the error.

        Raises:
            ToolCallError: A fragment belongs to no call, or to a call that was already returned.
            RepairError: With ``strict``, something had to be repaired.
            MixedAnswersError: The chunk begins another answer.
            RestartError: The answer begins anew after calls of it were returned.
            LimitExceededError: There are too many calls.
        """
        self._log.position += 1
        if chunk.slots is not self._beginning.slots:
            self._take_slots(chunk)
        ready: list[GrowingCall] = []
        calls: list[ToolCall] = []
        try:
            for choice in chunk.choices:
                if choice.index != self._last_choice:
                    self._last_choice = choice.index
                    self._reasons.setdefault(choice.index, "")
                fragments = choice.delta.tool_calls
                if fragments:
                    fold = self._folds.get(choice.index) or self._begin(choice.index, chunk)
                    if self._eager:
                        ready += _add_eagerly(fold, fragments)
                    else:
                        for fragment in fragments:
                            fold.add(fragment)
                if choice.finish_reason and is_reason(choice.finish_reason):
                    ready += self._end(choice.index, choice.finish_reason)
            if ready:
                self._give_away(ready, calls)
        except Exception as error:  # noqa: BLE001 - raised behind the calls
            # Choices before that one may have ended.
            return items_then(calls or self._given_away(ready), error)
        return calls

    process_chunk = add
    """The name that ``add`` had in 0.1."""

    def _take_slots(self, chunk: StreamChunk) -> None:
        """Look at whether another answer begins."""
        if self._beginning.restarts(chunk, lambda: (self.incomplete(), [])):
            if self._has_emitted:
                raise RestartError("accumulate_tool_calls")
            self._folds.clear()
            self._reasons.clear()
            self._last_choice = None

    def close(self) -> list[ToolCall]:
        """Note that the stream ended in good order: all calls are finished.

        Iterate over the result at once.

        Returns:
            The calls that were not returned yet. If there are calls and an error, an iterable that gives the calls and
            then raises the error.

        Raises:
            ToolCallError: A call has no name, or two values as arguments. Or the arguments of a call that was already
                returned came again, but not completely.
            RepairError: With ``strict``, something had to be repaired.
            TruncatedStreamError: There are calls, and the answer is not ``completed``.
        """
        folds = [fold for _, fold in sorted(self._folds.items())]
        left = [call for fold in folds for call in fold.left()]
        if left:
            require_completed(self._reasons)
        calls: list[ToolCall] = []
        try:
            self._give_away(left, calls, at_end=True)
            for call in (call for fold in folds for call in fold.calls):
                call.check_late()
        except (RepairError, ToolCallError) as error:
            return items_then(calls, error)
        return calls

    finish = close
    """The name that ``close`` had in 0.1."""

    def _end(self, choice: int, reason: str) -> list[GrowingCall]:
        """Take note of why a choice ended; returns the calls that are ready for that."""
        self._reasons[choice] = reason
        if not self._eager or ending_of(reason) != "completed" or choice not in self._folds:
            return []
        # Others go on behind the reason, with some servers.
        return [call for call in self._folds[choice].left() if call.closed]

    def _given_away(self, ready: Sequence[GrowingCall]) -> list[ToolCall]:
        calls: list[ToolCall] = []
        self._give_away(ready, calls)
        return calls

    def _give_away(self, ready: Sequence[GrowingCall], calls: list[ToolCall], *, at_end: bool = False) -> None:
        """Give away what can be executed or answered.

        Args:
            ready: What might be.
            calls: Where to put it.
            at_end: Whether no more comes, so that a call which is none is an error.

        Raises:
            ToolCallError: About the first of these, behind all others.
            RepairError: With ``strict``, something had to be repaired.
        """
        garbled: list[ToolCallError] = []
        for each in dict.fromkeys(ready):
            try:
                calls.append(each.state.tool_call(self._log))
            except ToolCallError as error:
                garbled.append(error)
            else:
                each.emitted = self._has_emitted = True
        try:
            if at_end and garbled:
                raise garbled[0]
        finally:
            del garbled  # whose tracebacks hold this frame


def _add_eagerly(fold: ToolCallFold, fragments: Sequence[ToolCallDelta]) -> list[GrowingCall]:
    """Place the fragments of a choice; returns the calls that are ready before its end."""
    touched = fold.calls[-1:]
    touched += [call for each in fragments if (call := fold.add(each)) is not None]
    last = fold.calls[-1] if fold.calls else None
    # Only what was touched, or was the last one until now, can have become ready.
    others = [call for call in dict.fromkeys(touched) if call is not last]
    return [call for call in others if not call.emitted and call.closed and not call.says_nothing]


def require_completed(reasons: Mapping[int, str | None]) -> None:
    """Check that the calls of an answer may be executed.

    Args:
        reasons: Why each choice ended, blank if it did not say.

    Raises:
        TruncatedStreamError: The answer is not ``completed``.
    """
    bad = {index: reason for index, reason in reasons.items() if not reason or ending_of(reason) != "completed"}
    if not bad:
        return
    said = ", ".join(excerpt(reason) if reason else "no finish_reason" for reason in bad.values())
    raise TruncatedStreamError(
        f"the answer was cut, or may have been cut ({said}): none of its tool calls is run",
        unfinished=tuple(sorted(bad)),
    )
