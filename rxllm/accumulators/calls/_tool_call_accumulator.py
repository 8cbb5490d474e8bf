"""Which calls may be executed, and when.

Rules:

1. Arguments that parse are not finished: more of them may follow, and an error may follow the reason for the end. So
   calls are given away when the stream has ended, all together, and only if the answer is ``completed``.
2. Eagerly, a call is given away as soon as its arguments have structurally closed, and the next call of its choice has
   begun or the choice has completed; never on the arguments alone.
3. A fragment that arrives for a call that was given away is an error.
4. Calls of an answer that was cut short, or whose end nobody understands, are an error.
5. Eagerly, calls that are good are given away before an error about another one is raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rxllm.accumulators._repairs import OnRepair, RepairLog
from rxllm.accumulators.calls._call_folds import CallFolds
from rxllm.accumulators.calls._growing_call import GrowingCall
from rxllm.accumulators.calls._tool_calls import MAX_TOOL_CALLS, ToolCallFold
from rxllm.exceptions import RepairError, RestartError, ToolCallError, TruncatedStreamError, excerpt
from rxllm.models import StreamChunk, ToolCall, ToolCallDelta, ending_of, is_reason


class ToolCallAccumulator(CallFolds):
    """The fold that gives away tool calls as they may be executed.

    Args:
        eager: Whether not to wait for the end of the choice: see the rules of this module.
        max_tool_calls: How many calls a choice may have.
        strict: Whether to raise a ``RepairError`` instead of putting something right.
        on_repair: Called with each thing that was put right: see the table of kinds of ``rxllm.Repair``.
    """

    __slots__ = ("_eager", "_error", "_has_emitted", "_last_choice", "_reasons")

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
        self._error: RepairError | ToolCallError | None = None
        self._has_emitted = False

    def add(self, chunk: StreamChunk) -> list[ToolCall]:
        """Take the next chunk.

        Args:
            chunk: The chunk.

        Returns:
            The calls that may now be executed, none unless ``eager``; their arguments have been seen to be a JSON
            object.

        Raises:
            ToolCallError: A fragment fits nowhere, or comes for a call that was given away; or a finished call has
                no name or arguments that are no JSON object. If calls before that one were good, those are returned
                and the error is raised by the next ``add`` or ``close``.
            RepairError: ``strict``, and something had to be put right; as above.
            MixedAnswersError: The chunk begins another answer.
            RestartError: The answer begins anew, and calls of it were given away.
            LimitExceededError: There are too many calls.
        """
        if self._error is not None:
            self._raise_pending()
        self._log.position += 1
        if chunk.slots is not self._beginning.slots:
            self._take_slots(chunk)
        ready: list[GrowingCall] = []
        try:
            for choice in chunk.choices:
                if choice.index != self._last_choice:
                    self._last_choice = choice.index
                    self._reasons.setdefault(choice.index, "")
                fragments = choice.delta.tool_calls
                if fragments:
                    fold = self._folds.get(choice.index) or self._begin(choice.index)
                    if self._eager:
                        ready += _add_eagerly(fold, fragments)
                    else:
                        for fragment in fragments:
                            fold.add(fragment)
                if choice.finish_reason and is_reason(choice.finish_reason):
                    ready += self._end(choice.index, choice.finish_reason)
        except (RepairError, ToolCallError) as error:
            # Choices before that one may have ended.
            self._error = error
        return self._emit(ready) if ready or self._error is not None else []

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
        """Take note that the stream ended in good order, so that all calls are finished.

        Returns:
            The calls not given away yet.

        Raises:
            ToolCallError: See ``add``; here none is given away if one is garbled.
            TruncatedStreamError: There are calls, and the answer is not ``completed``.
        """
        self._raise_pending()
        left = [call for _, fold in sorted(self._folds.items()) for call in fold.left()]
        if left:
            require_completed(self._reasons)
        growing, calls = self._check(left)
        self._raise_pending()
        for each in growing:
            each.emitted = True
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

    def _emit(self, ready: Sequence[GrowingCall]) -> list[ToolCall]:
        """Give away what is good; raise if nothing is."""
        growing, calls = self._check(ready)
        if not calls:
            self._raise_pending()
        for each in growing:
            each.emitted = self._has_emitted = True
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
                calls.append(_executable(each, self._log))
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


def _executable(growing: GrowingCall, log: RepairLog) -> ToolCall:
    call = growing.state.tool_call(log)
    try:
        # The input of a custom tool is any text; all other arguments are JSON objects.
        _ = call.type == "custom" or call.function.parsed
    except ToolCallError as error:
        raise ToolCallError(str(error), choice=growing.choice, call_id=call.id, text=error.text) from None
    return call


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
        f"the answer with its tool calls was cut, or may have been ({said}): none of them is run",
        unfinished=tuple(sorted(bad)),
    )
