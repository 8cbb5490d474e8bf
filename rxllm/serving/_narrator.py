"""From the items of a pipeline to what there is to tell: see ``_told``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

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
    PartStart,
    ReasoningDelta,
    Restarted,
    RoundCompleted,
    Stopped,
    StreamChunk,
    TextDelta,
    ToolCallEvent,
    ToolInputDelta,
    ToolResultEvent,
    Usage,
    is_reason,
)
from rxllm.serving._references import References, picture_of_block, pictures
from rxllm.serving._step import Names, Step
from rxllm.serving._told import Approval, Output, Restart, StepEnd, StepStart, TextKind, Told

_TEXTS: Mapping[str, TextKind] = {PartKind.TEXT: "text", PartKind.REFUSAL: "text", PartKind.REASONING: "reasoning"}
_INPUTS: Mapping[str, bool] = {PartKind.TOOL_CALL: False, PartKind.SERVER_TOOL: True}


class Narrator:
    """Tells of one stream.

    Attributes:
        stopped: Whether the items say that it was stopped.
        reason: Why the last answer ended, as far as that is known.
    """

    def __init__(self) -> None:
        self.stopped = False
        self.reason: OpenFinishReason | None = None
        self._names = Names()
        self._references = References()
        self._step: Step | None = None
        self._number = 0
        self._parts = PartsAccumulator()
        self._usage: Usage | None = None
        self._has_told = False
        self._by_class: Mapping[type, Callable[[Any], Iterable[Told]]] = {
            StreamChunk: self._chunk,
            str: partial(self._say, "text"),
            TextDelta: lambda event: self._in_round(event.round, self._say("text", event.text)),
            ReasoningDelta: lambda event: self._in_round(event.round, self._say("reasoning", event.text)),
            Restarted: lambda event: self._restart(event.attempt),
            ToolInputDelta: self._input,
            ToolCallEvent: self._call,
            ApprovalRequested: self._ask,
            ApprovalGiven: self._decide,
            ToolResultEvent: self._result,
            RoundCompleted: self._round,
            Stopped: self._stop,
            ChatCompleted: lambda _: (),
        }
        self._by_part: Mapping[type, Callable[[Step, Any], Iterator[Told]]] = {
            PartStart: self._part_start,
            PartDelta: self._part_delta,
            PartEnd: self._part_end,
        }

    def add(self, item: object) -> Iterator[Told]:
        """Tell of an item; iterate over the result at once.

        Raises:
            TypeError: It is nothing that can be told.
            RxllmError: It belongs to no answer: see ``operators.parts``.
        """
        tell = self._by_class.get(type(item))
        if tell is None:
            raise TypeError(
                f"chunks, events of a conversation and texts can be served, not {type(item).__name__}: "
                "serve what chat_stream() or chat_with_tools() gives"
            )
        for told in tell(item):
            self._has_told = True
            yield told

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

    # Chunks.

    def _chunk(self, chunk: StreamChunk) -> Iterator[Told]:
        if chunk.restarts:
            yield from self._restart(None if chunk.stream is None else chunk.stream.attempt)
        elif chunk.begins and self._step is not None:
            yield from self.close()
        step = self._step
        if step is None:
            step, start = self._begin_step()
            yield start._replace(id=chunk.id, model=chunk.model, stream=chunk.stream)
        yield from self._told_parts(step, self._parts.add(chunk))
        for choice in chunk.choices:
            if choice.index == 0:
                if choice.finish_reason and is_reason(choice.finish_reason):
                    self.reason = choice.finish_reason
                yield from self._references.sources(choice.delta.annotations or ())
                yield from pictures(choice.delta.images or ())
        self._usage, _ = usage_after(self._usage, chunk)

    def _told_parts(self, step: Step, events: Iterable[PartEvent]) -> Iterator[Told]:
        for event in events:
            if event.choice == 0:
                yield from self._by_part[type(event)](step, event)

    def _part_start(self, step: Step, event: PartStart) -> Iterator[Told]:
        if event.kind in _INPUTS:
            yield from step.grow(event.index, event.id, event.name, "", by_server=_INPUTS[event.kind])

    def _part_delta(self, step: Step, event: PartDelta) -> Iterator[Told]:
        if event.kind in _TEXTS:
            yield from step.say(_TEXTS[event.kind], event.text)
        elif event.kind in _INPUTS:
            yield from step.grow(event.index, None, None, event.text, by_server=_INPUTS[event.kind])

    def _part_end(self, step: Step, event: PartEnd) -> Iterator[Told]:
        part = event.part
        if part.kind in _TEXTS:
            yield from step.end_text()
        elif part.kind in _INPUTS:
            yield from step.ready(part.index, part.id or "", part.name or "", part.text, whole=part.final)
        elif part.kind == PartKind.SERVER_RESULT:
            if (known := step.id_of(part.id or "")) is not None:
                yield Output(known, part.block, by_server=True)
        elif part.kind == PartKind.IMAGE:
            yield from picture_of_block(part.block)

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
        call = event.call
        key = self._current.key_of(call.id)
        yield from self._current.ready(key, call.id, call.function.name, call.function.arguments)

    def _ask(self, event: ApprovalRequested) -> Iterator[Told]:
        if (known := self._known(event.call.id)) is not None:
            yield Approval(known)

    def _decide(self, event: ApprovalGiven) -> Iterator[Told]:
        if (known := self._known(event.call.id)) is not None:
            decision = event.decision
            approved = isinstance(decision, Approved)
            yield Approval(known, approved, None if isinstance(decision, Approved) else decision.reason)

    def _result(self, event: ToolResultEvent) -> Iterator[Told]:
        result = event.result
        if (known := self._known(result.call.id)) is not None:
            yield Output(known, result.content, error=result.error, refused=result.error == "refused")

    def _round(self, event: RoundCompleted) -> Iterator[Told]:
        yield from self._in_round(event.round, ())
        completion = event.completion
        yield from self._shown(completion.message)
        reason = next((each.finish_reason for each in completion.choices if each.index == 0), None)
        yield from self._end_step(reason, completion.usage)

    def _shown(self, message: Message) -> Iterator[Told]:
        yield from self._references.sources(message.annotations or ())
        yield from pictures((message.model_extra or {}).get("images") or ())
        for part in message.parts or ():
            if part.kind == PartKind.IMAGE:
                yield from picture_of_block(part.block)

    def _stop(self, _: Stopped) -> Iterator[Told]:
        self.stopped = True
        yield from self.cut()

    # Steps.

    @property
    def _current(self) -> Step:
        step = self._step
        assert step is not None  # noqa: S101 - a round has begun
        return step

    def _known(self, given: str) -> str | None:
        return None if self._step is None else self._step.id_of(given)

    def _begin_step(self, number: int | None = None) -> tuple[Step, StepStart]:
        self._number = self._number + 1 if number is None else number
        self._step = step = Step(self._names)
        return step, StepStart(self._number)

    def _end_step(self, reason: OpenFinishReason | None, usage: Usage | None) -> Iterator[Told]:
        yield from self.cut()
        self.reason = reason
        self._parts, self._usage = PartsAccumulator(), None
        yield StepEnd(reason, usage)

    def _restart(self, attempt: int | None) -> Iterator[Told]:
        """Take back the step, if something was told of it."""
        self._parts, self._usage, self.reason = PartsAccumulator(), None, None
        if self._step is not None:
            self._step = None
            yield Restart(attempt)
