"""The parts of one choice, told while they grow.

Rules:

1. Where the dialect says which part a delta belongs to, that is the part: see ``_parts_fold``. It ends with its block.
2. Elsewhere parts are found: reasoning, text, refusal, and each call, in the order in which they begin. A text ends
   where another part begins, so one that goes on behind a call is another part. A call ends with the answer, since
   pieces of it may come as long as that goes on.
3. A part that says more after its end begins once more, and has nothing of what was told. A later block is not told.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators.answer._parts_fold import MAX_PARTS, WITHOUT_CONTENT
from rxllm.accumulators.answer._told_part import ToldPart
from rxllm.accumulators.calls._fragments import text_of_arguments
from rxllm.accumulators.calls._tool_calls import ToolCallFold
from rxllm.exceptions import LimitExceededError
from rxllm.models import (
    Delta,
    DeltaBlock,
    DeltaPart,
    FunctionCallDelta,
    MessagePart,
    PartDelta,
    PartEnd,
    PartEvent,
    PartKind,
    PartStart,
    StreamChoice,
    ToolCallDelta,
    ending_of,
    is_reason,
)


@dataclass(slots=True, eq=False)
class ChoiceParts:
    """The parts of one choice.

    Args:
        choice: Its index.
        log: Where repairs are noted.
        calls: Its calls.
    """

    choice: int
    log: RepairLog
    calls: ToolCallFold
    _parts: dict[int, ToldPart] = field(default_factory=dict[int, ToldPart])
    _by_call: dict[int, ToldPart] = field(default_factory=dict[int, ToldPart])
    # The one call of the older protocol.
    _function: ToldPart | None = None
    # Whether the dialect says which part is which.
    _are_named: bool = False
    _current: ToldPart | None = None
    # Whose the content is that comes, where parts are named.
    _speaker: ToldPart | None = None
    _reason: str = ""

    def add(self, choice: StreamChoice) -> Iterator[PartEvent]:
        """Tell what a choice gained.

        Raises:
            ToolCallError: A fragment of a call fits nowhere.
            LimitExceededError: There are too many parts or calls.
        """
        delta = choice.delta
        if delta.part is not None:
            yield from self._go_on(delta.part)
        yield from self._texts_of(delta)
        for fragment in delta.tool_calls or ():
            yield from self._call(fragment)
        if delta.function_call is not None:
            yield from self._call_function(delta.function_call)
        for block in delta.blocks or ():
            yield from self._finish(block)
        if choice.finish_reason and is_reason(choice.finish_reason):
            self._reason = choice.finish_reason

    def close(self) -> Iterator[PartEvent]:
        """End what is open: the answer has ended in good order."""
        is_whole = not self._reason or ending_of(self._reason) in {"completed", "unknown"}
        for part in self._open():
            # A part that the dialect did not finish was cut, and so is a call if the answer was.
            yield self._end(part, is_final=not self._are_named and (is_whole or part.kind != PartKind.TOOL_CALL))

    def open(self) -> list[MessagePart]:
        """What there is of the parts that have not ended."""
        return [part.built(self.log, is_final=False) for part in self._open()]

    def _open(self) -> list[ToldPart]:
        return [part for _, part in sorted(self._parts.items()) if part.is_open]

    def _go_on(self, named: DeltaPart) -> Iterator[PartEvent]:
        self._are_named = True
        part = self._parts.get(named.index)
        is_new = part is None
        part = self._current = part or self._new(named.index)
        part.describe(named)
        if is_new:
            yield from self._started(part)
        speaker = self._speaker
        if speaker is None or part.kind not in WITHOUT_CONTENT or speaker.kind in WITHOUT_CONTENT:
            self._speaker = part
        if named.text:
            yield from self._started(part)
            yield self._said(part, part.kind, named.text)

    def _texts_of(self, delta: Delta) -> Iterator[PartEvent]:
        if text := delta.reasoning_text:
            yield from self._say(PartKind.REASONING, text)
        if delta.content:
            yield from self._say(PartKind.TEXT, delta.content)
        if delta.refusal:
            yield from self._say(PartKind.REFUSAL, delta.refusal)

    def _say(self, kind: PartKind, text: str) -> Iterator[PartEvent]:
        part = self._current
        if self._are_named:
            part = self._speaker if kind == PartKind.TEXT else part
        elif part is None or part.kind != kind:
            part = yield from self._found(kind)
        if part is not None:
            yield from self._started(part)
            yield self._said(part, kind, text)

    def _call(self, fragment: ToolCallDelta) -> Iterator[PartEvent]:
        call = self.calls.add(fragment)
        part = None if call is None else self._by_call.get(call.serial)
        if part is None and call is not None:
            if not self._are_named:
                part = yield from self._found(PartKind.TOOL_CALL, call.id, call.name)
            elif (current := self._current) and current.kind == PartKind.TOOL_CALL and current.call is None:
                part = current
            else:
                # A call that is in no part.
                return
            part.call = call
            self._by_call[call.serial] = part
        if part is not None and (piece := self.calls.piece):
            yield from self._started(part)
            yield self._said(part, PartKind.TOOL_CALL, piece)

    def _call_function(self, fragment: FunctionCallDelta) -> Iterator[PartEvent]:
        part = self._function
        if part is None:
            part = self._function = yield from self._found(PartKind.TOOL_CALL, "", fragment.name)
        part.name = part.name or fragment.name
        if piece := text_of_arguments(fragment.arguments, self.choice, self.log):
            yield self._said(part, PartKind.TOOL_CALL, piece)

    def _finish(self, block: DeltaBlock) -> Iterator[PartEvent]:
        self._are_named = True
        part = self._parts.get(block.index)
        if part is None:
            part = self._new(block.index)
            yield from self._started(part)
        if part.is_open and part.finish(block):
            yield self._end(part)

    def _found(self, kind: PartKind, call_id: str = "", name: str | None = "") -> Generator[PartEvent, None, ToldPart]:
        """Begin a part that no dialect names; what is said of a text ends with that."""
        if (current := self._current) is not None and current.kind != PartKind.TOOL_CALL and current.is_open:
            yield self._end(current, is_final=True)
        part = self._current = self._new(len(self._parts))
        part.kind, part.id, part.name = kind, call_id or None, name or None
        yield from self._started(part)
        return part

    def _new(self, index: int) -> ToldPart:
        if len(self._parts) >= MAX_PARTS:
            raise LimitExceededError(
                f"the answer has more than {MAX_PARTS} parts", limit="max_parts", maximum=MAX_PARTS
            )
        part = self._parts[index] = ToldPart(index)
        return part

    def _started(self, part: ToldPart) -> Iterator[PartEvent]:
        """Tell that a part begins, unless it is open."""
        if not part.is_open:
            part.is_open = True
            yield PartStart(choice=self.choice, index=part.index, kind=part.kind, id=part.id, name=part.name)

    def _said(self, part: ToldPart, kind: str, text: str) -> PartDelta:
        part.take(kind, text)
        return PartDelta(choice=self.choice, index=part.index, kind=kind, text=text)

    def _end(self, part: ToldPart, *, is_final: bool | None = None) -> PartEnd:
        ended = part.built(self.log, is_final=is_final)
        part.forget()
        return PartEnd(choice=self.choice, index=part.index, part=ended)
