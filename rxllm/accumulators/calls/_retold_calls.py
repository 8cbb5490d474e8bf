"""The calls of one choice, told once more for a client that adds up what it is told, and looks at nothing twice.

Rules:

1. Calls are numbered from 0 in the order in which they began, and are told in that order. The first piece of each has
   its identifier, its name and its kind; they come in no other.
2. A call is told from its first argument on, for until then its name may grow, and what came may be a placeholder.
3. Behind arguments that have closed nothing is told until it is known what they come to: at the next call, or at the
   end. The last piece of them waits for that, too.
4. Without an identifier of its own a call waits for the end, and gets the one that it has in the completion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators.calls._call_state import answer_of
from rxllm.accumulators.calls._growing_call import GrowingCall
from rxllm.accumulators.calls._settled_arguments import without_placeholders
from rxllm.accumulators.calls._tool_calls import MAX_TOOL_CALLS, ToolCallFold
from rxllm.models import StreamChunk, ToolCallDelta

_Piece = dict[str, Any]
_CUSTOM = "custom"


@dataclass(slots=True, eq=False)
class _Told:
    """What was told of a call.

    Attributes:
        place: Its number; ``None`` as long as nothing was told.
        sent: What was told of its arguments.
        held: What was not.
        holds: Whether nothing more is told before the end of the call.
        extra: What was told of what a provider sent with it.
    """

    place: int | None = None
    sent: list[str] = field(default_factory=list[str])
    held: list[str] = field(default_factory=list[str])
    holds: bool = False
    extra: dict[str, Any] = field(default_factory=dict[str, Any])


class RetoldCalls:
    """The calls of one choice as pieces for a client: see the rules of this module.

    Args:
        choice: The index of the choice.
        chunk: Its first chunk with a call.
    """

    __slots__ = ("_calls", "_last", "_log", "_places", "_told")

    def __init__(self, choice: int, chunk: StreamChunk) -> None:
        self._log = RepairLog()
        self._calls = ToolCallFold(choice, self._log, MAX_TOOL_CALLS, answer_of(chunk))
        self._told: dict[GrowingCall, _Told] = {}
        self._last: GrowingCall | None = None
        self._places = 0

    def add(self, fragments: Iterable[ToolCallDelta]) -> list[dict[str, Any]]:
        """Take the fragments of a chunk.

        Returns:
            What to tell, for each call one piece at most.

        Raises:
            ToolCallError: A fragment fits nowhere, or a call before it is garbled.
            LimitExceededError: There are too many calls.
        """
        pieces: list[_Piece] = []
        for fragment in fragments:
            call = self._calls.add(fragment)
            if call is not None:
                if call not in self._told:
                    pieces += self._end_before(call)
                    self._told[call] = _Told()
                pieces += self._grow(call, self._told[call])
        return _joined(pieces) if pieces[1:] else pieces

    def close(self, *, whole: bool) -> list[dict[str, Any]]:
        """Take note of the end.

        Args:
            whole: Whether the calls are finished; else what there is of them is told as it is.

        Returns:
            What was not told yet.

        Raises:
            ToolCallError: ``whole``, and a call has no name, or several values for arguments.
        """
        pieces: list[_Piece] = []
        for call in self._calls.calls:
            if not call.emitted:
                pieces += self._end(call, self._told[call]) if whole else self._cut(call, self._told[call])
        return _joined(pieces)

    def _grow(self, call: GrowingCall, told: _Told) -> Iterator[_Piece]:
        """Tell what a call has gained, if that may be told by now."""
        if call.emitted:
            return  # what comes now is said once more
        is_custom = call.type == _CUSTOM
        if told.place is None:
            if not self._may_begin(call) or (not is_custom and call.says_nothing):
                return
            text = call.text.read()
            told.held.append(text if is_custom else without_placeholders(text))
            # What is encoded twice is known by its end only.
            told.holds = not is_custom and not told.held[0].lstrip().startswith("{")
        elif self._calls.piece:
            told.held.append(self._calls.piece)
        told.holds = told.holds or (not is_custom and call.closed)
        if not told.holds:
            yield from self._tell(call, told, call.id, "".join(told.held))

    def _end_before(self, call: GrowingCall) -> Iterator[_Piece]:
        """Tell the end of the call before this one, if it has come."""
        last, self._last = self._last, call
        is_whole = last is not None and last.type != _CUSTOM and last.closed and not last.says_nothing
        if last is not None and is_whole and self._may_begin(last):
            yield from self._end(last, self._told[last])
            last.emitted = True

    def _end(self, call: GrowingCall, told: _Told) -> Iterator[_Piece]:
        state = call.state
        whole = state.tool_call(self._log)
        text = state.text.read() if call.type == _CUSTOM else whole.function.arguments
        sent = "".join(told.sent)
        rest = text[len(sent) :] if text.startswith(sent) else "".join(told.held)
        yield from self._tell(call, told, whole.id, rest)

    def _cut(self, call: GrowingCall, told: _Told) -> Iterator[_Piece]:
        if told.place is not None:
            yield from self._tell(call, told, call.id, "".join(told.held))
        elif _is_known(call):
            yield from self._tell(call, told, call.id, without_placeholders(call.text.read()))

    def _may_begin(self, call: GrowingCall) -> bool:
        """Whether a call was told, or can be, and so all before it."""
        return all(self._told[each].place is not None or _is_known(each) for each in self._until(call))

    def _before(self, call: GrowingCall) -> Iterator[_Piece]:
        """Tell that the calls before one have begun."""
        for each in self._until(call):
            told = self._told[each]
            if each is not call and told.place is None and _is_known(each):
                yield self._piece(each, told, each.id, "", {})

    def _until(self, call: GrowingCall) -> list[GrowingCall]:
        """The calls before one, and that one."""
        calls = self._calls.calls
        return calls[: calls.index(call) + 1]

    def _tell(self, call: GrowingCall, told: _Told, call_id: str, text: str) -> Iterator[_Piece]:
        """Tell of a call what is new."""
        if told.place is None:
            yield from self._before(call)
        told.held.clear()
        more = {name: value for name, value in call.extra.items() if name not in told.extra}
        if told.place is None or text or more:
            yield self._piece(call, told, call_id, text, more)

    def _piece(self, call: GrowingCall, told: _Told, call_id: str, text: str, more: dict[str, Any]) -> _Piece:
        is_custom = call.type == _CUSTOM
        inner: dict[str, Any] = {"input" if is_custom else "arguments": text}
        head: dict[str, Any] = {}
        if told.place is None:
            told.place, self._places = self._places, self._places + 1
            head = {"id": call_id, "type": call.type or "function"}
            inner = {**({} if is_custom else call.function_extra), "name": call.name, **inner}
        told.extra.update(more)
        told.sent.append(text)
        return {"index": told.place, **more, **head, _CUSTOM if is_custom else "function": inner}


def _is_known(call: GrowingCall) -> bool:
    """Whether it has all that a call is begun with."""
    return bool(call.id and call.name and not call.is_second)


def _joined(pieces: Iterable[_Piece]) -> list[_Piece]:
    """Pieces of the same call as one: not all clients take two of them in one chunk."""
    found: dict[int, _Piece] = {}
    for piece in pieces:
        there = found.setdefault(piece["index"], piece)
        if there is not piece:
            for kind, text in (("function", "arguments"), (_CUSTOM, "input")):
                if kind in piece:
                    there[kind][text] += piece[kind][text]
            found[piece["index"]] = {**piece, **there}
    return list(found.values())
