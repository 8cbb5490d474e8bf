"""Which calls may be executed, and when.

Rules:

1. Arguments that parse are not finished: more of them may follow. A call is given away when its choice has ended.
2. Eagerly, it is given away as soon as its arguments have structurally closed and the next call of its choice has
   begun; never on the arguments alone.
3. A fragment that arrives for a call that was given away is an error.
4. A choice that ended in an error ended none of its calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators._tool_calls import MAX_TOOL_CALLS, GrowingCall, ToolCallFold
from rxllm.exceptions import ToolCallError
from rxllm.models import FinishReason, IncompleteToolCall, StreamChoice, StreamChunk, ToolCall

__all__ = ["ToolCallAccumulator"]


class ToolCallAccumulator:
    """The fold that gives away tool calls as they may be executed.

    Args:
        eager: Whether not to wait for the end of the choice: see the rules of this module.
        max_tool_calls: How many calls a choice may have.
    """

    __slots__ = ("_eager", "_failed", "_folds", "_log", "_max_tool_calls")

    def __init__(self, *, eager: bool = False, max_tool_calls: int = MAX_TOOL_CALLS) -> None:
        self._eager = eager
        self._max_tool_calls = max_tool_calls
        self._log = RepairLog()
        self._folds: dict[int, ToolCallFold] = {}
        self._failed: set[int] = set()

    def process_chunk(self, chunk: StreamChunk) -> Iterable[ToolCall]:
        """Take the next chunk.

        Args:
            chunk: The chunk; it has taken effect when this returns.

        Returns:
            The calls that may now be executed, arguments parsed. If one of them cannot be, those before it come
            first and then the iteration raises.

        Raises:
            ToolCallError: A fragment fits nowhere, or comes for a call that was given away; or, while iterating, a
                finished call has no name or arguments that are no JSON object.
            LimitExceededError: There are too many calls.
        """
        self._log.position += 1
        ready: list[GrowingCall] = []
        for choice in chunk.choices:
            if choice.delta.tool_calls:
                ready += self._add(choice)
            if choice.finish_reason:
                ready += self._end(choice)
        return self._emit(ready) if ready else ()

    def finish(self) -> Iterable[ToolCall]:
        """Take note that the stream ended in good order, so that all calls are finished.

        Returns:
            The calls not given away yet, like ``process_chunk``.
        """
        return self._emit(
            [call for index, fold in sorted(self._folds.items()) if index not in self._failed for call in _left(fold)]
        )

    def incomplete(self) -> list[IncompleteToolCall]:
        """What there is of the calls that were not given away."""
        return [call.state.incomplete() for _, fold in sorted(self._folds.items()) for call in _left(fold)]

    def _add(self, choice: StreamChoice) -> list[GrowingCall]:
        """Place the fragments of a choice; returns the calls that are ready before its end."""
        fold = self._folds.get(choice.index)
        if fold is None:
            fold = self._folds[choice.index] = ToolCallFold(choice.index, self._log, self._max_tool_calls)
        touched = fold.calls[-1:]
        touched += [call for each in choice.delta.tool_calls or () if (call := fold.add(each)) is not None]
        if not self._eager:
            return []
        last = fold.calls[-1] if fold.calls else None
        # Only what was touched, or was the last one until now, can have become ready.
        return [call for call in dict.fromkeys(touched) if call is not last and call.closed and not call.emitted]

    def _end(self, choice: StreamChoice) -> list[GrowingCall]:
        if choice.finish_reason == FinishReason.ERROR:
            self._failed.add(choice.index)
            return []
        fold = self._folds.get(choice.index)
        return [] if fold is None else _left(fold)

    def _emit(self, ready: Sequence[GrowingCall]) -> Iterable[ToolCall]:
        calls: list[ToolCall] = []
        for growing in ready:
            if growing.emitted:
                continue
            try:
                call = growing.state.tool_call(self._log)
                _check_arguments(call, growing)
            except ToolCallError as error:
                return _then_raise(calls, error)
            growing.emitted = True
            calls.append(call)
        return calls


def _left(fold: ToolCallFold) -> list[GrowingCall]:
    return [call for call in fold.ordered() if not call.emitted]


def _check_arguments(call: ToolCall, growing: GrowingCall) -> None:
    if call.type == "custom":
        return
    try:
        _ = call.function.parsed
    except ToolCallError as error:
        raise ToolCallError(str(error), choice=growing.choice, call_id=call.id, text=error.text) from None


def _then_raise(calls: list[ToolCall], error: ToolCallError) -> Iterator[ToolCall]:
    yield from calls
    raise error
