"""What stands on a terminal that several answers share.

Rules:

1. What is final is written once and scrolls like any text. Below it stands what is not: that is drawn again, never more
   of it than the screen has rows. The cursor rests in the first column of the row below.
2. The first answer has the screen. Of each of the others there is one row; it is written as a whole, in a frame,
   when it has ended, or when the first one has. So no answer waits for another, and none are mixed.
3. While somebody is asked whether a call may run, the screen is theirs: the question stands there, in the row below it
   they are asked and answer, and nothing is drawn.
4. Each drawing is one write, marked as one (mode 2026), so that nobody sees half of it. No row is written again that
   stands there as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rxllm.sinks.screen._answer import Answer
from rxllm.sinks.screen._rows import DIM, EMPTY, Row, Span, indented, row

FRAME_SECONDS = 1 / 15
# How often a picture of something that goes on changes.
_TURN_SECONDS = 0.1
# Drawing takes a fraction of the time that is at most this; it happens twice a second all the same.
_SHARE = 1 / 250
_LATEST_SECONDS = 0.5
# An answer that waits with more characters is written before its end.
_MOST_WAITING = 1 << 20
_FRAME = 2
# With less columns, or less rows, only what is final is drawn: nobody could go back to the rest.
_NARROWEST = 8
_LOWEST = 2


class Pace:
    """When to draw. All times are in seconds since any moment.

    Attributes:
        is_late: Whether there is something that was not drawn: then what comes besides need not be told.
    """

    def __init__(self) -> None:
        self.is_late = False
        self._due: float | None = None
        self._earliest = float("-inf")

    def changed(self, now: float) -> None:
        """Take note that there is something to draw."""
        if not self.is_late:
            self.is_late = True
            self._due = max(now, self._earliest)

    def is_due(self, now: float) -> bool:
        """Whether to draw now."""
        return self._due is not None and now >= self._due

    def patience(self, now: float) -> float | None:
        """In how many seconds to draw; ``None`` if there is nothing to draw."""
        return None if self._due is None else max(0.0, self._due - now)

    def drawn(self, now: float, cost: float, *, moves: bool) -> None:
        """Take note of a drawing.

        Args:
            now: When it was.
            cost: How many seconds it took.
            moves: Whether it looks different a moment later.
        """
        pause = min(max(FRAME_SECONDS, cost / _SHARE), _LATEST_SECONDS)
        self.is_late = False
        self._earliest = now + pause
        self._due = now + max(pause, _TURN_SECONDS) if moves else None


class Screen:
    """The answers on a terminal.

    Args:
        size: Tells how many columns and rows it has.
        live: Whether what is not final is drawn, which needs a terminal.
        reflows: Whether the terminal breaks its rows anew when it becomes narrower.
    """

    def __init__(self, size: Callable[[], tuple[int, int]], *, live: bool, reflows: bool) -> None:
        self.answers: list[Answer] = []
        self._size = size
        self._live = live
        self._reflows = reflows
        self._drawn: list[Row] = []
        self._width = 0
        self._questions: list[object] = []

    @property
    def moves(self) -> bool:
        """Whether it looks different a moment later, also if nothing comes."""
        return self._live and not self._questions and any(answer.moves for answer in self.answers)

    def draw(self, now: float) -> str:
        """What is to be written now; ``""`` if nothing is."""
        if self._is_theirs():
            return ""
        columns, lines = self._size()
        width = max(1, columns - 1)  # some terminals have their own mind about the last column
        final = list(self._final(width))
        if not self._live:
            return "".join([f"{text}\n" for text, _ in final])
        has_room = columns >= _NARROWEST and lines >= _LOWEST and not self._questions
        live = list(self._rows(width, now))[1 - lines :] if has_room else []
        same = 0
        if not final and columns == self._width:
            same = _same(self._drawn, live)
            if same == len(self._drawn) == len(live):
                return ""
        up = min(self._height(self._drawn[same:], columns), lines - 1)
        self._drawn, self._width = live, columns
        above = f"\x1b[{up}A\r" if up else "\r"
        rows = "".join([f"\x1b[K{text}\n" for text, _ in (*final, *live[same:])])
        return f"\x1b[?2026h{above}{rows}\x1b[J\x1b[?2026l"

    def _is_theirs(self) -> bool:
        """Whether the questions that are open stand there already."""
        before = self._questions
        self._questions = [each for answer in self.answers if (each := answer.question) is not None]
        too_much = any(answer.size > _MOST_WAITING for answer in self.answers)
        return self._live and bool(before) and self._questions == before and not too_much

    def _height(self, rows: Sequence[Row], columns: int) -> int:
        """How many rows of the screen these take by now."""
        if not self._reflows or columns >= self._width:
            return len(rows)
        return sum(max(1, -(-taken // columns)) for _, taken in rows)

    def _final(self, width: int) -> Iterator[Row]:
        """The rows that are final."""
        while self.answers:
            yield from self.answers[0].take(width)
            if not self.answers[0].ended:
                break
            del self.answers[0]
            if self.answers:
                yield EMPTY
        for answer in self.answers[1:]:
            if answer.ended or answer.question is not None or answer.size > _MOST_WAITING:
                yield from _framed(answer.take(width - _FRAME), width)
        self.answers[1:] = [answer for answer in self.answers[1:] if not answer.ended]

    def _rows(self, width: int, now: float) -> Iterator[Row]:
        """The rows that are not final."""
        for place, answer in enumerate(self.answers):
            if place:
                yield answer.status(width, now)
            else:
                yield from answer.live(width, now)


def _same(old: Sequence[Row], new: Sequence[Row]) -> int:
    """How many rows at the beginning are the same."""
    for place, (before, now) in enumerate(zip(old, new, strict=False)):
        if before != now:
            return place
    return min(len(old), len(new))


def _framed(rows: Sequence[Row], width: int) -> Iterator[Row]:
    bar = Span("│ ", DIM)
    yield row(Span("╭─ another answer"[:width], DIM))
    yield from indented(rows, bar, bar)
    yield row(Span("╰─"[:width], DIM))
