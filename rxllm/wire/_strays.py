"""Lines that belong to no event: the specification ignores them, and some servers say in them what went wrong.

Rules:

1. The decoder ignores them as well. It remembers them for whoever asks.
2. A line of a field called ``error`` is an event of that name, from where it stood.
3. A JSON object that has an ``error``, on a line of its own or on all lines up to a blank one, is an event without a
   name, from where it stood: whether it is an error is for the dialect to say. So is one within a list.
4. When nothing more comes, any JSON object is one: all lines together, or each that is one. A list of objects is a body
   that is not a stream of events, and none of its lines is one.
5. What else stands in the lines of an event is forgotten. What is remembered is bounded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from rxllm.wire._event import ServerSentEvent
from rxllm.wire._json_size import check_json_size

_ERROR = "error:"
_NO_ERRORS = frozenset({"", "null", "none", "false", "{}", '""'})
_MAX_EVENTS = 100
# So many are remembered, and so many of them are looked at one by one: a line takes more memory than its characters.
_MOST_LINES = 100_000
_MAX_LINES = 10_000


class Strays:
    """The lines of one stream that are of no field.

    Args:
        max_characters: How much of them is remembered.
    """

    __slots__ = ("_found", "_has_told", "_of_events", "_room", "_start", "lines")

    def __init__(self, max_characters: int) -> None:
        self.lines: list[str] = []
        self._room = max_characters
        # Where the lines begin that may belong to an event, and how many events had come before the first of them.
        self._of_events = 0
        self._start = 0
        # The events that lines have become, each with how many had come before it.
        self._found: list[tuple[int, ServerSentEvent]] = []
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
        if self._room < 0 or len(self.lines) >= _MOST_LINES:
            return
        self._start = position
        self.lines.append(line)
        if (value := _error_in(line)) is not None:
            self._found.append((position, ServerSentEvent(value, "error")))

    def settle(self, *, is_event: bool) -> None:
        """Take note of a blank line: whether what came before it was an event."""
        block = self.lines[self._of_events :]
        self._found += [(self._start, event) for event in _events_in(block, _says_error)]
        if is_event:
            self._room += sum(len(line) + 1 for line in block)
            del self.lines[self._of_events :]
        self._of_events = len(self.lines)

    def put_errors(self, events: list[Any], position: int) -> None:
        """Put the errors that have come since the last call among the events of the same read.

        Args:
            events: The events.
            position: How many events have come, these among them.
        """
        first = position - len(events)
        for inserted, (place, event) in enumerate(self._found):
            events.insert(max(place - first, 0) + inserted, event)
            self._has_told = True
        self._found.clear()

    def at_end(self) -> list[ServerSentEvent]:
        """The events that the lines are, when nothing more comes."""
        found: list[Any] = []
        self.put_errors(found, 0)
        return found if self._has_told else _events_in(self.lines, _is_object)[:_MAX_EVENTS]


def _events_in(lines: list[str], counts: Callable[[str], bool]) -> list[ServerSentEvent]:
    """The events that several lines are together, or each that counts is."""
    text = "\n".join(lines)
    start = 0 if text.startswith(_ERROR) else text.find(f"\n{_ERROR}") + 1
    value = text[start + len(_ERROR) :].strip()
    # One on a single line was told when it came.
    if text.startswith(_ERROR, start) and "\n" in value and _is_object(value):
        return [ServerSentEvent(value, "error")]
    if counts(text):
        return [ServerSentEvent(text)]
    if (listed := _list_in(text)) is not None:
        texts = (json.dumps(each, ensure_ascii=False) for each in listed)
        return [ServerSentEvent(each) for each in texts if _says_error(each)][:1]
    return [ServerSentEvent(line) for line in lines[:_MAX_LINES] if counts(line)]


def _error_in(line: str) -> str | None:
    """What a line of a field called ``error`` says; ``None`` if it says nothing, or goes on in the next line."""
    if not line.startswith(_ERROR):
        return None
    value = line[len(_ERROR) :].strip()
    goes_on = value.startswith("{") and not _is_object(value)
    return None if goes_on or value.lower() in _NO_ERRORS else value


def _says_error(text: str) -> bool:
    # Most lines are not worth to be parsed.
    return '"error"' in text and bool((_object_in(text) or {}).get("error"))


def _is_object(text: str) -> bool:
    return _object_in(text) is not None


def _object_in(text: str) -> dict[str, Any] | None:
    return cast("dict[str, Any] | None", _value_in(text, "{"))


def _list_in(text: str) -> list[Any] | None:
    return cast("list[Any] | None", _value_in(text, "["))


def _value_in(text: str, start: str) -> Any:
    """The JSON value that a text is, if it begins like this."""
    if not text.lstrip().startswith(start):
        return None
    try:
        check_json_size(text)
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
