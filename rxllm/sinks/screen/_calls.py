"""Calls of tools: how they are written, run, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from rxllm.harmless import harmless
from rxllm.models import (
    ApprovalGiven,
    ApprovalRequested,
    Approved,
    ToolCall,
    ToolCallEvent,
    ToolInputDelta,
    ToolResultEvent,
)
from rxllm.sinks.screen._cells import cells, cut, cut_front
from rxllm.sinks.screen._rows import BAD, BOLD, DIM, GOOD, NOTE, Row, Span, indented, row, wrapped
from rxllm.sinks.screen._words import arguments_line, one_line, seconds

CallEvent: TypeAlias = ToolInputDelta | ToolCallEvent | ApprovalRequested | ApprovalGiven | ToolResultEvent

_NAME = 60
# Of arguments that grow only the end is shown, as far as it has room in a row.
_GROWING = 1_000
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TURNS_PER_SECOND = 10
ASKS = "?"


def spinner(now: float) -> str:
    """The picture of something that goes on."""
    return _SPINNER[int(now * _TURNS_PER_SECOND) % len(_SPINNER)]


@dataclass
class _Draft:
    """A call that the model is writing."""

    name: str = ""
    text: str = ""

    def add(self, event: ToolInputDelta) -> None:
        self.name = event.name or self.name
        self.text = (self.text + event.text)[-_GROWING:]


@dataclass(eq=False)
class _Running:
    """A call that is being run, or waits for that."""

    call: ToolCall
    since: float
    asking: bool = False
    refused: bool = False


class Calls:
    """The calls of one round.

    ``add`` and ``close`` give the rows that are final.
    """

    def __init__(self) -> None:
        self._drafts: dict[int, _Draft] = {}
        self._running: list[_Running] = []

    @property
    def question(self) -> object | None:
        """What somebody is being asked, another object for each question."""
        return next((running for running in self._running if running.asking), None)

    def add(self, event: CallEvent, now: float) -> Iterator[CallRow]:
        """Take note of an event."""
        if isinstance(event, ToolInputDelta):
            self._drafts.setdefault(event.index, _Draft()).add(event)
        elif isinstance(event, ToolCallEvent):
            self._drafts.clear()  # all of them are whole by now
            self._running.append(_Running(event.call, now))
        elif isinstance(event, ApprovalRequested):
            self._of(event.call, now).asking = True
            yield _of_call(ASKS, NOTE, event.call, "may it run?")
        elif isinstance(event, ApprovalGiven):
            yield from self._decided(event, now)
        else:
            yield from self._result(event, now)

    def _decided(self, event: ApprovalGiven, now: float) -> Iterator[CallRow]:
        running = self._of(event.call, now)
        running.asking, running.since = False, now
        if not isinstance(event.decision, Approved):
            running.refused = True
            yield CallRow("", BAD, f"refused: {one_line(event.decision.reason)}")
        elif event.decision.arguments is None:
            yield CallRow("", GOOD, "approved")
        else:
            yield CallRow("", GOOD, f"approved with {arguments_line(event.decision.arguments)}")

    def _result(self, event: ToolResultEvent, now: float) -> Iterator[CallRow]:
        result = event.result
        running = self._of(result.call, now)
        self._running.remove(running)
        if running.refused:
            return  # that was said, and why
        took = seconds(now - running.since)
        failed = result.error is not None
        yield _of_call("✗" if failed else "✓", BAD if failed else GOOD, result.call, took)
        if result.content.strip():
            yield CallRow("", BAD if failed else DIM, f"→ {one_line(result.content.strip())}")

    def _of(self, call: ToolCall, now: float) -> _Running:
        """The entry of a call. Several may have one identifier, and one that was stored is another object."""
        found = [each for each in self._running if each.call is call] or [
            each for each in self._running if each.call == call
        ]
        if not found:
            found = [_Running(call, now)]
            self._running += found
        return found[0]

    def close(self) -> Iterator[CallRow]:
        """What was never run: calls that came whole or not, and whose results nobody told."""
        for draft in self._drafts.values():
            yield _of_draft("→", DIM, draft)
        for running in self._running:
            yield _of_call("→", DIM, running.call)
        self._drafts.clear()
        self._running.clear()

    def live(self, width: int, now: float) -> Iterator[Row]:
        """The rows of what goes on."""
        for draft in self._drafts.values():
            yield _of_draft(spinner(now), NOTE, draft).row(width)
        for running in self._running:
            yield _of_call(spinner(now), NOTE, running.call, seconds(now - running.since)).row(width)


@dataclass
class CallRow:
    """A row about a call: of the call itself, or of what becomes of it.

    Attributes:
        mark: What stands in front.
        style: The style of the mark, or of the text.
        text: What is said of the call.
        name: The name of the tool; ``""`` if the row is about the call above.
        arguments: What it is called with.
        growing: Whether of long arguments the end is shown.
    """

    mark: str
    style: str
    text: str = ""
    name: str = ""
    arguments: str = ""
    growing: bool = False

    def rows(self, width: int) -> list[Row]:
        """Where somebody is asked, all that they decide about; else one row."""
        if self.mark != ASKS or cells(f"? {self.name} {self.arguments} {self.text}") <= width:
            return [self.row(width)]
        head = CallRow(self.mark, self.style, self.text, self.name).row(width)
        return [head, *indented(wrapped([Span(self.arguments, DIM)], width - 2), Span("  "))]

    def row(self, width: int) -> Row:
        """The row on a screen of so many columns."""
        if not self.name:
            return row(Span("  "), Span(cut(self.text, width - 2), self.style))
        name = cut(self.name, max(1, width - 2))
        behind = f" {self.text}" if self.text else ""
        room = width - 3 - cells(name) - cells(behind)
        spans = [Span(self.mark, self.style), Span(" "), Span(name, BOLD)]
        if room > 1 and self.arguments:
            spans += [Span(" "), Span((cut_front if self.growing else cut)(self.arguments, room), DIM)]
        if room >= 0:
            spans.append(Span(behind, self.style if self.mark == ASKS else DIM))
        return row(*spans)


def _of_draft(mark: str, style: str, draft: _Draft) -> CallRow:
    name = harmless(draft.name, _NAME) or "…"
    return CallRow(mark, style, name=name, arguments=one_line(draft.text), growing=True)


def _of_call(mark: str, style: str, call: ToolCall, text: str = "") -> CallRow:
    function = call.function
    return CallRow(mark, style, text, harmless(function.name, _NAME) or "…", arguments_line(function.arguments))
