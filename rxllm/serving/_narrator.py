"""From the items of a pipeline to what there is to tell: see ``_told``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, cast

from rxllm.accumulators import PartsAccumulator, usage_after
from rxllm.models import (
    ApprovalGiven,
    ApprovalRequested,
    Approved,
    ChatCompleted,
    Message,
    OpenFinishReason,
    PartDelta,
    PartEnd,
    PartEvent,
    PartKind,
    ReasoningDelta,
    Restarted,
    RoundCompleted,
    Stopped,
    StreamChoice,
    StreamChunk,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    ToolInputDelta,
    ToolResultEvent,
    Usage,
    is_reason,
)
from rxllm.serving._provider_tools import custom_calls, part_of_provider
from rxllm.serving._references import References, pictures
from rxllm.serving._step import GrowingInput, Names, Step
from rxllm.serving._text_alone import text_alone
from rxllm.serving._told import Approval, Output, Restart, StepEnd, StepStart, TextKind, Told
from rxllm.sources import LogItem

_TEXTS: Mapping[str, TextKind] = {PartKind.TEXT: "text", PartKind.REFUSAL: "text", PartKind.REASONING: "reasoning"}
_INPUTS: Mapping[str, bool] = {PartKind.TOOL_CALL: False, PartKind.SERVER_TOOL: True}


class Narrator:
    """Tells of one stream.

    Args:
        taken: Identifiers that no call gets.

    Attributes:
        stopped: Whether the items say that it was stopped.
        reason: Why the last answer ended, as far as that is known.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.stopped = False
        self.reason: OpenFinishReason | None = None
        self._names = Names(taken)
        self._references = References()
        self._step: Step | None = None
        self._number = 0
        # Whether a step has ended.
        self._has_ended = False
        self._parts = PartsAccumulator()
        self._says_text = False
        self._usage: Usage | None = None
        # Of the calls of the answer those whose input is a text, by their identifiers.
        self._custom: set[str] = set()
        # The calls of earlier steps, by the identifiers that the model gave.
        self._former: dict[str, GrowingInput] = {}
        self._by_class = self._tellers()

    def add(self, item: object) -> Iterator[Told]:
        """Tell of an item; iterate over the result at once. Behind ``Stopped`` there is nothing more to tell.

        Raises:
            TypeError: It is nothing that can be told.
            RxllmError: It belongs to no answer: see ``operators.parts``.
        """
        if isinstance(item, LogItem):
            placed = cast("LogItem[object]", item)
            # A chunk says itself what does not count.
            if placed.restarts and not isinstance(placed.item, StreamChunk):
                yield from self._restart_all()
            item = placed.item
        tell = self._by_class.get(type(item))
        if tell is None:
            raise TypeError(
                f"chunks, events of a conversation and texts can be served, not {type(item).__name__}: "
                "serve what chat_stream() or chat_with_tools() gives"
            )
        if not self.stopped:
            yield from tell(self, item)

    def close(self) -> Iterator[Told]:
        """Tell that the stream ended in good order: what is open ends."""
        if (step := self._step) is not None:
            yield from self._told_parts(step, self._parts.close())
            yield from self._end_step(self.reason, self._usage)

    def cut(self) -> Iterator[Told]:
        """Tell that the stream failed: what is open ends as cut."""
        if (step := self._step) is not None:
            self._step = None
            yield from step.end()
            self._former |= step.calls()
            self._references.keep()

    # Chunks.

    def _chunk(self, chunk: StreamChunk) -> Iterator[Told]:
        if self._says_text and (text := text_alone(chunk)) is not None and chunk.choices[0].delta.part is None:
            piece = None if self._step is None else self._step.piece(text)
            if piece is not None:
                yield piece
                return
        if chunk.restarts:
            yield from self._restart(None if chunk.stream is None else chunk.stream.attempt)
        elif chunk.begins and self._step is not None:
            yield from self.close()
        step = self._step
        if step is None:
            step, start = self._begin_step()
            yield start._replace(id=chunk.id, model=chunk.model, stream=chunk.stream)
        own = [choice for choice in chunk.choices if choice.index == 0]
        for choice in own:
            if choice.delta.tool_calls:
                self._custom.update(custom_calls(choice.delta.tool_calls))
        yield from self._told_parts(step, self._parts.add(chunk))
        for choice in own:
            yield from self._beside_parts(choice)
        self._usage, _ = usage_after(self._usage, chunk)

    def _beside_parts(self, choice: StreamChoice) -> Iterator[Told]:
        """Take what is in no part."""
        if choice.finish_reason and is_reason(choice.finish_reason):
            self.reason = choice.finish_reason
        if choice.delta.annotations:
            yield from self._references.sources(choice.delta.annotations)
        if choice.delta.images:
            yield from pictures(choice.delta.images)

    def _told_parts(self, step: Step, events: Iterable[PartEvent]) -> Iterator[Told]:
        for event in events:
            if event.choice:
                continue
            if isinstance(event, PartDelta):
                yield from self._part_delta(step, event)
            elif isinstance(event, PartEnd):
                yield from self._part_end(step, event)
            elif event.kind in _INPUTS:
                yield from step.grow(event.index, event.id, event.name, "", by_server=_INPUTS[event.kind])

    def _part_delta(self, step: Step, event: PartDelta) -> Iterator[Told]:
        # A refusal is told as a text, and yet another part than the text behind it.
        self._says_text = event.kind == PartKind.TEXT
        if event.kind in _TEXTS:
            yield from step.say(_TEXTS[event.kind], event.text)
        elif event.kind in _INPUTS:
            yield from step.grow(event.index, None, None, event.text, by_server=_INPUTS[event.kind])

    def _part_end(self, step: Step, event: PartEnd) -> Iterator[Told]:
        part = event.part
        if part.kind in _TEXTS:
            yield from step.end_text()
        elif part.kind == PartKind.TOOL_CALL:
            given = part.id or ""
            is_text = given in self._custom
            yield from step.ready(part.index, given, part.name or "", part.text, whole=part.final, is_text=is_text)
        else:
            yield from part_of_provider(step, part, part.index)

    # Events of a conversation.

    def _in_round(self, number: int, told: Iterable[Told]) -> Iterator[Told]:
        if self._step is not None and number != self._number:
            yield from self._end_step(None, None)
        if self._step is None:
            yield self._begin_step(number)[1]
        yield from told

    def _say(self, kind: TextKind, text: str) -> Iterator[Told]:
        if self._step is None:
            step, start = self._begin_step()
            yield start
        else:
            step = self._step
        if text:
            yield from step.say(kind, text)

    def _input(self, event: ToolInputDelta) -> Iterator[Told]:
        yield from self._in_round(event.round, ())
        yield from self._current.grow(event.index, event.id, event.name, event.text)

    def _call(self, event: ToolCallEvent) -> Iterator[Told]:
        yield from self._in_round(event.round, ())
        yield from self._ready(event.call)

    def _ready(self, call: ToolCall) -> Iterator[Told]:
        step, name, text = self._current, call.function.name, call.function.arguments
        yield from step.ready(step.key_of(call.id, name, text), call.id, name, text, is_text=call.type == "custom")

    def _ask(self, event: ApprovalRequested) -> Iterator[Told]:
        yield from self._known(event.round, event.call)
        yield Approval(self._called(event.call).id)

    def _decide(self, event: ApprovalGiven) -> Iterator[Told]:
        yield from self._known(event.round, event.call)
        decision = event.decision
        reason = None if isinstance(decision, Approved) else decision.reason
        yield Approval(self._called(event.call).id, isinstance(decision, Approved), reason)

    def _result(self, event: ToolResultEvent) -> Iterator[Told]:
        result = event.result
        yield from self._known(event.round, result.call)
        call = self._called(result.call, is_repeated=result.error == "duplicate")
        call.has_outcome = True
        yield from self._current.end_text()
        yield Output(call.id, result.content, error=result.error, refused=result.error == "refused")

    def _known(self, number: int, call: ToolCall) -> Iterator[Told]:
        """Tell of a call that something is told of, unless it was told."""
        yield from self._in_round(number, ())
        found = self._current.called(call.id)
        yield from self._ready(call) if found is None or not found.ready else ()

    def _called(self, call: ToolCall, *, is_repeated: bool = False) -> GrowingInput:
        found = self._current.called(call.id, is_repeated=is_repeated)
        assert found is not None  # noqa: S101 - it was told
        return found

    def _round(self, event: RoundCompleted) -> Iterator[Told]:
        yield from self._in_round(event.round, ())
        completion = event.completion
        yield from self._shown(completion.message)
        reason = next((each.finish_reason for each in completion.choices if each.index == 0), None)
        yield from self._end_step(reason, completion.usage)

    def _shown(self, message: Message) -> Iterator[Told]:
        """Tell what of an answer no event has told."""
        if message.refusal:
            yield from self._current.say("text", message.refusal)
        yield from self._current.end_text()
        yield from self._references.sources(message.annotations or ())
        yield from pictures((message.model_extra or {}).get("images") or ())
        for part in message.parts or ():
            # Not those of calls, which are counted by themselves here.
            yield from part_of_provider(self._current, part, ~part.index)

    def _stop(self, _: Stopped) -> Iterator[Told]:
        self.stopped = True
        yield from self.cut()

    # Steps.

    @property
    def _current(self) -> Step:
        step = self._step
        assert step is not None  # noqa: S101 - a round has begun
        return step

    def _begin_step(self, number: int | None = None) -> tuple[Step, StepStart]:
        self._number = self._number + 1 if number is None else number
        self._step = step = Step(self._names, self._former)
        self.reason = None
        return step, StepStart(self._number)

    def _end_step(self, reason: OpenFinishReason | None, usage: Usage | None) -> Iterator[Told]:
        yield from self.cut()
        self.reason = reason
        self._forget_answer()
        self._has_ended = True
        yield StepEnd(reason, usage)

    def _forget_answer(self) -> None:
        self._parts, self._usage = PartsAccumulator(), None
        self._custom.clear()

    def _restart(self, attempt: int | None, number: int | None = None) -> Iterator[Told]:
        """Take back the present step, unless another number is said; nothing was told of any other."""
        if self._step is not None and number in (None, self._number):
            # First it is told: a protocol that has no word for it ends what is open.
            yield Restart(attempt)
            self._take_back()

    def _restart_all(self) -> Iterator[Told]:
        """Take back everything, if something was told."""
        if self._number:
            yield Restart(takes_all=self._has_ended)
            self._take_back()
            self._number, self._has_ended = 0, False
            self._former.clear()
            self._references = References()

    def _take_back(self) -> None:
        self._forget_answer()
        self._step, self.reason = None, None
        self._number -= 1
        self._references.take_back()

    @staticmethod
    @cache
    def _tellers() -> Mapping[type, Callable[[Narrator, Any], Iterable[Told]]]:
        """How each class is told. The functions are no answer's own: methods that it kept would be a cycle."""
        return {
            StreamChunk: Narrator._chunk,
            str: lambda self, text: self._say("text", text),
            TextDelta: lambda self, event: self._in_round(event.round, self._say("text", event.text)),
            ReasoningDelta: lambda self, event: self._in_round(event.round, self._say("reasoning", event.text)),
            Restarted: lambda self, event: self._restart(event.attempt, event.round),
            ToolInputDelta: Narrator._input,
            ToolCallEvent: Narrator._call,
            ApprovalRequested: Narrator._ask,
            ApprovalGiven: Narrator._decide,
            ToolResultEvent: Narrator._result,
            RoundCompleted: Narrator._round,
            Stopped: Narrator._stop,
            ChatCompleted: lambda _, __: (),
        }
