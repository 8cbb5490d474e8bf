"""What a model thinks, while it does: its last rows, and one row when it is done."""

from __future__ import annotations

from rxllm.sinks.screen._calls import spinner
from rxllm.sinks.screen._cells import cut
from rxllm.sinks.screen._rows import DIM, ITALIC, NOTE, Row, Span, both, indented, row, wrapped
from rxllm.sinks.screen._words import seconds

_ROWS = 6
# What is wrapped at each drawing, at most.
_KEPT = 1_500


class Reasoning:
    """Reasoning that grows.

    Args:
        now: When it began.
    """

    def __init__(self, now: float) -> None:
        self._since = now
        self._length = 0
        self._end = ""

    def add(self, text: str) -> None:
        """Let it grow."""
        self._length += len(text)
        self._end = (self._end + text)[-_KEPT:]

    def live(self, width: int, now: float) -> list[Row]:
        """Its last rows."""
        style = both(DIM, ITALIC)
        lines = self._end.split("\n")
        rows = [each for line in lines if line.strip() for each in wrapped([Span(line, style)], width - 2)]
        head = row(Span(f"{spinner(now)} ", NOTE), Span(cut(f"reasoning {seconds(now - self._since)}", width - 2), DIM))
        return [head, *indented(rows[-_ROWS:], Span("  "))]

    def folded(self, now: float) -> str:
        """The words that are left of it."""
        return f"∴ reasoned for {seconds(now - self._since)}, {self._length:,} characters"
