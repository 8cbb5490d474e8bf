"""One answer, or one conversation, as it is shown: what is final of it, and what is not yet.

Foreign text is made harmless where it comes in. What shows a row from there on only adds sequences of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal, TypeAlias

from rxllm.accumulators import ChatDeltas
from rxllm.exceptions import RxllmError
from rxllm.harmless import PrintableText, message_of
from rxllm.models import (
    ChatCompleted,
    ChatCompletion,
    ChatEvent,
    ReasoningDelta,
    Restarted,
    RoundCompleted,
    Stopped,
    StreamChunk,
    TextDelta,
    Timing,
    Usage,
    ending_of,
    is_reason,
    total_of,
)
from rxllm.sinks.screen._blocks import Blocks
from rxllm.sinks.screen._calls import Calls, spinner
from rxllm.sinks.screen._cells import cells, cut, cut_front
from rxllm.sinks.screen._markdown import rows_of
from rxllm.sinks.screen._rows import BAD, DIM, EMPTY, NOTE, Row, Span, row, wrapped
from rxllm.sinks.screen._thoughts import Reasoning
from rxllm.sinks.screen._words import one_line, seconds, summary, together
from rxllm.typing import Ending
from rxllm.wire import AWSFrame, ServerSentEvent

Shown: TypeAlias = StreamChunk | ServerSentEvent | AWSFrame | str | ChatEvent
_Part: TypeAlias = Literal["text", "reasoning", "calls", "note"]

_ANEW = "the answer begins anew: what stands above does not count"
_LAST_WORDS = 200


class Answer:
    """What one stream shows.

    Args:
        now: When it was subscribed to, in seconds since any moment.

    Attributes:
        ended: Whether nothing more comes.
        size: How many characters came since something was last taken.
    """

    def __init__(self, now: float) -> None:
        self.ended = False
        self.size = 0
        self._since = self._begun_at = now
        # After how many seconds there was something to read that counts.
        self._first: float | None = None
        self._part: _Part | None = None
        self._printable = PrintableText()
        self._blocks = Blocks()
        self._reasoning = Reasoning(now)
        self._calls = Calls()
        self._deltas: ChatDeltas | None = ChatDeltas(0)
        # Blanks that a text would begin with: there may be none.
        self._lead: str = ""
        self._last_words: str = ""
        # What makes the rows that are final, for a screen of so many columns.
        self._final: list[Callable[[int], list[Row]]] = []
        # Whether anything is final; whether the next part is to stand apart from that.
        self._begun = self._gap = False
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._rounds: list[ChatCompletion] = []

    @property
    def moves(self) -> bool:
        """Whether it looks different a moment later, also if nothing comes."""
        return not (self.ended or self._part == "text")

    @property
    def question(self) -> object | None:
        """What somebody is being asked about one of its calls, another object for each question."""
        return self._calls.question

    def add(self, item: Shown, now: float) -> None:
        """Take what came."""
        if isinstance(item, StreamChunk):
            self._chunk(item, now)
        elif isinstance(item, str):
            self._add_text(item, now)
        elif isinstance(item, ServerSentEvent):
            self._add_text(item.data, now)
        elif isinstance(item, AWSFrame):
            self._add_text(item.payload.decode(errors="replace"), now)
        else:
            self._event(item, now)

    def take(self, width: int) -> list[Row]:
        """Take the rows that are final: each is given once."""
        if self._part == "text":
            self._take_blocks()
        final, self._final = self._final, []
        self.size = 0
        return [each for rows in final for each in rows(width)]

    def live(self, width: int, now: float) -> list[Row]:
        """The rows of what is not final."""
        match self._part:
            case "text":
                rows = [each for block in self._blocks.rest() for each in rows_of(block, width)]
            case "reasoning":
                rows = self._reasoning.live(width, now)
            case "calls":
                rows = list(self._calls.live(width, now))
            case _:
                waiting = f"waiting {seconds(now - self._since)}"
                rows = [row(Span(f"{spinner(now)} ", NOTE), Span(cut(waiting, width - 2), DIM))]
        return [EMPTY, *rows] if rows and self._gap else rows

    def status(self, width: int, now: float) -> Row:
        """A row that stands for all of it."""
        words = one_line(" ".join(self._last_words.split()))
        name = cut("another answer: " if words else "another answer", width - 2)
        room = width - 2 - cells(name)
        return row(Span(f"{spinner(now)} ", NOTE), Span(f"{name}{cut_front(words, room) if room > 1 else ''}", DIM))

    def close(self, ending: Ending, now: float, timing: Timing | None = None) -> None:
        """Take note of the end."""
        self._end_part(now)
        if ending.error is not None:
            said = one_line(f"{type(ending.error).__name__}: {message_of(ending.error)}")
            self._note(f"✗ {said}", BAD, now)
        elif ending.kind != "completed":
            self._note("■ stopped", NOTE, now)
        elif self._reason is not None and ending_of(self._reason) != "completed":
            self._note(f"■ ended with: {one_line(self._reason)}", NOTE, now)
        if figures := summary(together(timing, self._rounds), self._usage, self._first, len(self._rounds)):
            self._note(figures, DIM, now)
        self.ended = True

    def _chunk(self, chunk: StreamChunk, now: float) -> None:
        if chunk.usage is not None:
            self._usage = chunk.usage
        for choice in chunk.choices:
            if choice.index == 0 and is_reason(choice.finish_reason):
                self._reason = choice.finish_reason
            if choice.index == 0 and choice.delta.refusal:
                self._add_text(choice.delta.refusal, now)
        if self._deltas is None:
            self._add_text(chunk.text, now)
            return
        try:
            for event in self._deltas.add(chunk):
                self._event(event, now)
        except RxllmError:
            # Whoever folds the calls says what is wrong with them.
            self._deltas = None

    def _event(self, event: ChatEvent, now: float) -> None:
        match event:
            case TextDelta():
                self._add_text(event.text, now)
            case ReasoningDelta():
                self._add_reasoning(event.text, now)
            case Restarted():
                self._restart(event.attempt, now)
            case RoundCompleted():
                self._rounds.append(event.completion.model_copy(update={"choices": []}))
                self._usage = total_of([self._usage, event.completion.usage])
                self._end_part(now)
            case ChatCompleted():
                self._reason = next((choice.finish_reason for choice in event.completion.choices), None)
            case Stopped():
                self._end_part(now)
            case _:
                self._begin("calls", now)
                self._add_all(each.rows for each in self._calls.add(event, now))

    def _add_text(self, text: str, now: float) -> None:
        if self._part != "text":
            text = self._lead + text
            if not text.strip():
                self._lead = text
                return
            self._begin("text", now)
            self._printable, self._blocks = PrintableText(), Blocks()
        self.size += len(text)
        self._last_words = (self._last_words + text)[-_LAST_WORDS:]
        self._blocks.add(self._printable.add(text))

    def _add_reasoning(self, text: str, now: float) -> None:
        if self._part != "reasoning":
            if not text.strip():
                return
            self._begin("reasoning", now)
            self._printable, self._reasoning = PrintableText(), Reasoning(now)
        self._reasoning.add(self._printable.add(text))

    def _begin(self, part: _Part, now: float) -> None:
        """Go on with a part of this kind, a new one if it is another."""
        if part != self._part:
            self._end_part(now)
            self._part, self._gap = part, self._begun
            if self._first is None and part != "note":
                self._first = now - self._begun_at

    def _end_part(self, now: float) -> None:
        """What came until now is final."""
        match self._part:
            case "text":
                self._blocks.add(self._printable.close())
                self._take_blocks(closed=True)
            case "reasoning":
                folded = self._reasoning.folded(now)
                self._add_final(lambda width: [row(Span(cut(folded, width), DIM))])
            case "calls":
                self._add_all(each.rows for each in self._calls.close())
            case _:
                pass
        self._part, self._lead, self._since = None, "", now

    def _restart(self, attempt: int | None, now: float) -> None:
        """What is not final goes."""
        self._part = self._first = None
        self._calls, self._deltas = Calls(), ChatDeltas(0)
        which = "" if attempt is None else f" (attempt {attempt})"
        self._note(f"↻ {_ANEW}{which}", NOTE, now)

    def _note(self, text: str, style: str, now: float) -> None:
        self._begin("note", now)
        self._add_final(lambda width: wrapped([Span(text, style)], width))

    def _take_blocks(self, *, closed: bool = False) -> None:
        for block in self._blocks.final(closed=closed):
            self._add_final(partial(rows_of, block))

    def _add_all(self, makers: Iterable[Callable[[int], list[Row]]]) -> None:
        for rows in makers:
            self._add_final(rows)

    def _add_final(self, rows: Callable[[int], list[Row]]) -> None:
        if self._gap:
            self._final.append(_gap)
            self._gap = False
        self._begun = True
        self._final.append(rows)


def _gap(_: int) -> list[Row]:
    return [EMPTY]
