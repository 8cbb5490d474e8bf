"""Lines that belong to no event: the specification ignores them, and some servers say in them what went wrong.

Rules:

1. The decoder ignores them as well. It remembers them for whoever asks.
2. A line of a field called ``error`` is an event of that name, from where it stood.
3. When nothing more comes, what is a JSON object is an event without a name: all lines together, or each that is one.
4. What else stands in the lines of an event is forgotten. What is remembered is bounded.
"""

from __future__ import annotations

import json
from typing import Any

from rxllm.wire._event import ServerSentEvent

_ERROR = "error:"
_NO_ERRORS = frozenset({"", "null", "none", "false", "{}", '""'})
_MAX_EVENTS = 100


class Strays:
    """The lines of one stream that are of no field.

    Args:
        max_characters: How much of them is remembered.
    """

    __slots__ = ("_has_told", "_looked_at", "_of_events", "_positions", "_room", "lines")

    def __init__(self, max_characters: int) -> None:
        self.lines: list[str] = []
        # How many events had come before each.
        self._positions: list[int] = []
        self._room = max_characters
        self._of_events = 0
        self._looked_at = 0
        # Whether a line of a field called ``error`` has become an event.
        self._has_told = False

    @property
    def text(self) -> str:
        """All of them."""
        return "\n".join(self.lines)

    def add(self, line: str, position: int) -> None:
        """Remember a line, if there is room.

        Args:
            line: The line.
            position: How many events have come.
        """
        self._room -= len(line) + 1
        if self._room >= 0:
            self.lines.append(line)
            self._positions.append(position)

    def settle(self, *, is_event: bool) -> None:
        """Take note of a blank line: whether what came before it was an event."""
        if is_event:
            lines, positions = self.lines[self._of_events :], self._positions[self._of_events :]
            del self.lines[self._of_events :], self._positions[self._of_events :]
            for line, position in zip(lines, positions, strict=True):
                self._room += len(line) + 1
                if line.startswith(_ERROR):
                    self.add(line, position)
        self._of_events = len(self.lines)

    def put_errors(self, events: list[Any], position: int) -> None:
        """Put the errors that have come since the last call among the events of the same read.

        Args:
            events: The events.
            position: How many events have come, these among them.
        """
        first = position - len(events)
        for index in range(self._looked_at, len(self.lines)):
            if (value := _error_in(self.lines[index])) is not None:
                events.insert(max(self._positions[index] - first, 0), ServerSentEvent(value, "error"))
                first -= 1
                self._has_told = True
        self._looked_at = len(self.lines)

    def at_end(self) -> list[ServerSentEvent]:
        """The events that the lines are, when nothing more comes."""
        found: list[Any] = []
        self.put_errors(found, 0)
        if self._has_told:
            return found
        text = self.text
        start = 0 if text.startswith(_ERROR) else text.find(f"\n{_ERROR}") + 1
        if text.startswith(_ERROR, start) and _is_object(value := text[start + len(_ERROR) :]):
            # On several lines.
            return [ServerSentEvent(value.strip(), "error")]
        if _is_object(text):
            return [ServerSentEvent(text)]
        return [ServerSentEvent(line) for line in self.lines[:_MAX_EVENTS] if _is_object(line)]


def _error_in(line: str) -> str | None:
    """What a line of a field called ``error`` says; ``None`` if it says nothing, or goes on in the next line."""
    if not line.startswith(_ERROR):
        return None
    value = line[len(_ERROR) :].strip()
    goes_on = value.startswith("{") and not _is_object(value)
    return None if goes_on or value.lower() in _NO_ERRORS else value


def _is_object(text: str) -> bool:
    if not text.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
