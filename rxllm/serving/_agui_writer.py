"""Writes one run of AG-UI: see ``_agui``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from rxllm.exceptions import RestartError
from rxllm.serving import _agui_events as events
from rxllm.serving import _told as told
from rxllm.serving._agui_events import AGUIEvent
from rxllm.serving._agui_usage import RunUsage
from rxllm.serving._event_stream import data, encode
from rxllm.serving._narrated_writer import NarratedWriter
from rxllm.serving._narrator import Narrator
from rxllm.serving._protocol import ServedEnd
from rxllm.serving._tool_failures import told_failure

_CUT = ("cut", "The answer was cut in the middle of a call.")
_ANSWER: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "editedArgs": {"type": "object"},
        "reason": {"type": "string"},
    },
    "required": ["approved"],
}
"""What an interrupt wants to know, as pydantic-ai has it, too."""


@dataclass(slots=True)
class _Calls:
    """What is known of the calls of a run, by their identifiers.

    Attributes:
        names: The tools.
        unsaid: Those of whose arguments nothing was told.
        cut: Those of the last step that were cut.
        pending: Those that nobody has answered.
        asked: Those that somebody is asked about.
    """

    names: dict[str, str] = field(default_factory=dict[str, str])
    unsaid: set[str] = field(default_factory=set[str])
    cut: list[str] = field(default_factory=list[str])
    pending: dict[str, None] = field(default_factory=dict[str, None])
    asked: dict[str, None] = field(default_factory=dict[str, None])


class AGUIWriter(NarratedWriter):
    """Writes one answer.

    Args:
        start: The first event.
        taken: Identifiers that no call gets.
        tells_usage: Whether tokens are told.
    """

    def __init__(self, start: events.RunStarted, *, taken: Iterable[str], tells_usage: bool) -> None:
        super().__init__(Narrator(taken), self._tellers())
        self._start = start
        self._tells_usage = tells_usage
        self._ids = 0
        self._usage = RunUsage()
        self._step: str | None = None
        self._model: str | None = None
        self._has_told = False
        # The message of the assistant that goes on, and which one has an open text.
        self._message: str | None = None
        self._text: str | None = None
        self._reasoning = ""
        self._calls = _Calls()
        self._sources: str | None = None

    def begin(self) -> bytes:
        """The event ``RUN_STARTED``."""
        return data(self._start)

    def end(self, end: ServedEnd, /) -> bytes:
        """The events at the end."""
        self.over = True
        frames = [self._unsent]
        if end.error is not None:
            self._tell(self._narrator.cut(), frames)
            last = self._error(end.error.code, end.error.message)
        elif end.kind == "stopped" or self._narrator.stopped:
            self._tell(self._narrator.cut(), frames)
            frames += map(data, self._closed())
            last = self._finished({"type": "cancelled"})
        else:
            self._tell(self._narrator.close(), frames)
            last = self._error(*_CUT) if self._calls.cut else self._finished(self._outcome())
        frames += map(data, self._text_closed())
        return b"".join([*frames, data(last)])

    def _id(self) -> str:
        self._ids += 1
        return f"{self._start.run_id}-{self._ids}"

    # The end.

    def _closed(self) -> Iterator[AGUIEvent]:
        """End what is open: else a client takes no end but an error."""
        yield from self._text_closed()
        yield from map(events.ToolCallEnd, self._calls.cut)
        self._calls.cut.clear()
        yield from self._step_closed()

    def _outcome(self) -> dict[str, Any]:
        if self._calls.asked:
            return {"type": "interrupt", "interrupts": [self._interrupt(call) for call in self._calls.asked]}
        pending = {"pendingToolCallIds": [*self._calls.pending]} if self._calls.pending else {}
        return {"type": "success", **pending}

    def _interrupt(self, call: str) -> dict[str, Any]:
        said = {"message": f"May {self._calls.names[call]} be run?", "responseSchema": _ANSWER}
        return {"id": f"{call}-approval", "reason": "tool_call", "toolCallId": call, **said}

    def _finished(self, outcome: dict[str, Any]) -> AGUIEvent:
        return events.RunFinished(self._start.thread_id, self._start.run_id, outcome, self._told_usage())

    def _error(self, code: str, message: str) -> AGUIEvent:
        return events.RunError(message, code, self._told_usage())

    def _told_usage(self) -> list[dict[str, Any]] | None:
        return self._usage.told() if self._tells_usage else None

    # Steps.

    def _step_start(self, start: told.StepStart) -> Iterator[AGUIEvent]:
        # A call that was cut in a step before is of no interest any more.
        yield from self._closed()
        self._step, self._has_told = f"step-{start.number}", False
        self._model = start.model or (None if start.stream is None else start.stream.model)
        self._message = None
        yield events.StepStarted(self._step)

    def _step_end(self, end: told.StepEnd) -> Iterator[AGUIEvent]:
        yield from self._text_closed()
        self._usage.add(self._model, end.usage)
        yield from self._step_closed()

    def _restart(self, restart: told.Restart) -> Iterator[AGUIEvent]:
        if self._has_told or restart.takes_all:
            raise RestartError("an AG-UI run")
        return self._step_closed()

    def _step_closed(self) -> Iterator[AGUIEvent]:
        if (step := self._step) is not None:
            self._step = None
            yield events.StepFinished(step)

    # Texts.

    def _text_start(self, start: told.TextStart) -> Iterator[AGUIEvent]:
        self._has_told = True
        if start.kind == "reasoning":
            yield from self._text_closed()
            self._message, self._reasoning = None, self._id()
            yield events.ReasoningStart(self._reasoning)
            yield events.ReasoningMessageStart(self._reasoning, "reasoning")
        elif self._text is None:
            self._text = self._message = self._id()
            yield events.TextMessageStart(self._text, "assistant")

    def _text_piece(self, piece: told.TextPiece) -> Iterator[AGUIEvent]:
        if piece.kind == "reasoning":
            yield events.ReasoningMessageContent(self._reasoning, piece.text)
        else:
            yield events.TextMessageContent(self._text or "", piece.text)

    def _text_end(self, end: told.TextEnd) -> Iterator[AGUIEvent]:
        if end.kind == "reasoning":
            yield events.ReasoningMessageEnd(self._reasoning)
            yield events.ReasoningEnd(self._reasoning)

    def _text_closed(self) -> Iterator[AGUIEvent]:
        """End the text that was told last: another one right behind it would have gone on with it."""
        if (text := self._text) is not None:
            self._text = None
            yield events.TextMessageEnd(text)

    # Calls.

    def _input_start(self, start: told.InputStart) -> Iterator[AGUIEvent]:
        self._has_told = True
        yield from self._text_closed()
        parent = self._message = self._message or self._id()
        self._calls.names[start.id] = start.name
        self._calls.unsaid.add(start.id)
        yield events.ToolCallStart(start.id, start.name, parent)

    def _input_piece(self, piece: told.InputPiece) -> Iterator[AGUIEvent]:
        self._calls.unsaid.discard(piece.id)
        yield events.ToolCallArgs(piece.id, piece.text)

    def _input_ready(self, ready: told.InputReady) -> Iterator[AGUIEvent]:
        if not ready.whole and not ready.by_server:
            self._calls.cut.append(ready.id)
            return
        if ready.id in self._calls.unsaid:
            yield events.ToolCallArgs(ready.id, ready.text or ("" if ready.is_text else "{}"))
        if not ready.by_server:
            self._calls.pending[ready.id] = None
        yield events.ToolCallEnd(ready.id)

    def _approval(self, approval: told.Approval) -> Iterator[AGUIEvent]:
        value: dict[str, Any] = {"toolCallId": approval.id, "toolCallName": self._calls.names[approval.id]}
        if approval.approved is None:
            self._calls.asked[approval.id] = None
            yield events.Custom("approval_requested", value)
        else:
            self._calls.asked.pop(approval.id, None)
            reason = {} if approval.reason is None else {"reason": approval.reason}
            yield events.Custom("approval_given", {**value, "approved": approval.approved, **reason})

    def _output(self, output: told.Output) -> Iterator[AGUIEvent]:
        self._calls.pending.pop(output.id, None)
        self._message = None
        content = output.content
        if output.error is not None and not output.refused:
            content = told_failure(output.error)
        text = content if isinstance(content, str) else encode(content).decode()
        yield from self._text_closed()
        yield events.ToolCallResult(self._id(), output.id, text, "tool")

    # What else there is.

    def _source(self, source: told.Source) -> Iterator[AGUIEvent]:
        self._has_told = True
        fields = {"id": source.id, "url": source.url, "title": source.title, "filename": source.filename}
        said = {name: value for name, value in fields.items() if value is not None}
        if self._sources is None:
            self._sources = self._id()
            yield events.ActivitySnapshot(self._sources, "sources", {"sources": [said]})
        else:
            patch = [{"op": "add", "path": "/sources/-", "value": said}]
            yield events.ActivityDelta(self._sources, "sources", patch)

    def _picture(self, picture: told.Picture) -> Iterator[AGUIEvent]:
        self._has_told = True
        yield events.ActivitySnapshot(self._id(), "file", {"url": picture.url, "mediaType": picture.media_type})

    @staticmethod
    @cache
    def _tellers() -> Mapping[type, Callable[[AGUIWriter, Any], Iterable[AGUIEvent]]]:
        """How each class is told. The functions are no answer's own: methods that it kept would be a cycle."""
        return {
            told.StepStart: AGUIWriter._step_start,
            told.StepEnd: AGUIWriter._step_end,
            told.Restart: AGUIWriter._restart,
            told.TextStart: AGUIWriter._text_start,
            told.TextPiece: AGUIWriter._text_piece,
            told.TextEnd: AGUIWriter._text_end,
            told.InputStart: AGUIWriter._input_start,
            told.InputPiece: AGUIWriter._input_piece,
            told.InputReady: AGUIWriter._input_ready,
            told.Approval: AGUIWriter._approval,
            told.Output: AGUIWriter._output,
            told.Source: AGUIWriter._source,
            told.Picture: AGUIWriter._picture,
        }
