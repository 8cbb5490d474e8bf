"""What happens in a run: events, windows, and what a subscriber got.

Times are whole microseconds from the beginning of the run. A recording is compared event by event, at exact times; its
drawing is for people.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Generic, TypeAlias, TypeVar

from rxllm.testing._diagrams import RESERVED, Mark, draw

__all__ = [
    "Completed",
    "Event",
    "ExpectedError",
    "Failed",
    "Hold",
    "Item",
    "Letters",
    "MarbleError",
    "Recording",
    "Window",
    "draw_windows",
]

T = TypeVar("T")

ExpectedError: TypeAlias = Exception | type[Exception]
"""An error, or the type of one."""


class MarbleError(Exception):
    """The error that ``#`` stands for by default."""


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """An item was emitted.

    Attributes:
        time: When, in microseconds.
        value: The item.
    """

    time: int
    value: T


@dataclass(frozen=True, slots=True)
class Failed:
    """The observable failed.

    Attributes:
        time: When, in microseconds.
        error: The error; in an expectation also a type, if only the type matters.
    """

    time: int
    error: ExpectedError


@dataclass(frozen=True, slots=True)
class Completed:
    """The observable completed.

    Attributes:
        time: When, in microseconds.
    """

    time: int


Event: TypeAlias = Item[T] | Failed | Completed
"""Something that an observable emitted."""


@dataclass(slots=True)
class Window:
    """A span of time: a subscription, or a pause.

    Attributes:
        start: Its beginning, in microseconds.
        end: Its end; ``None`` if it was still open at the end of the run.
    """

    start: int
    end: int | None = None


@dataclass(slots=True)
class Hold(Window):
    """A pause that one holder held.

    Attributes:
        holder: The holder.
    """

    holder: object = None


@dataclass(slots=True)
class Recording(Generic[T]):
    """The events that a subscriber got. As a string, it is a diagram and a legend.

    Attributes:
        frame: The microseconds of a frame, for drawing.
        events: What happened, in order; times count from the beginning of the run.
        pauses: When the subscriber took nothing, according to its diagram.
    """

    frame: int
    events: list[Event[T]] = field(default_factory=list[Event[T]])
    pauses: list[Window] = field(default_factory=list[Window])

    @property
    def items(self) -> list[T]:
        """The items, in order."""
        return [event.value for event in self.events if isinstance(event, Item)]

    @property
    def times(self) -> list[float]:
        """When each item came, in seconds."""
        return [event.time / 1_000_000 for event in self.events if isinstance(event, Item)]

    @property
    def completed(self) -> bool:
        """Whether the observable completed."""
        return any(isinstance(event, Completed) for event in self.events)

    @property
    def error(self) -> ExpectedError | None:
        """The error that it failed with."""
        return next((event.error for event in self.events if isinstance(event, Failed)), None)

    def __str__(self) -> str:
        letters = Letters[T]({})
        return "\n".join([letters.draw(self.events, self.frame), *letters.legend(letters.used)])


class Letters(Generic[T]):
    """The letters that values are drawn with: those of a legend, themselves, or others that are free."""

    def __init__(self, legend: Mapping[str, T]) -> None:
        self._meanings: dict[str, Any] = dict(legend)
        self.used: dict[str, Any] = {}

    def draw(self, events: Sequence[Event[T]], frame: int) -> str:
        return draw([Mark(event.time, self._symbol(event)) for event in events], frame)

    def _symbol(self, event: Event[T]) -> str:
        if isinstance(event, Completed):
            return "|"
        if isinstance(event, Failed):
            return "#"
        letter = next((letter for letter, value in self._meanings.items() if value == event.value), None)
        if letter is None:
            letter = self._new_letter(event.value)
            self._meanings[letter] = event.value
        self.used[letter] = event.value
        return letter

    def _new_letter(self, value: object) -> str:
        if isinstance(value, str) and len(value) == 1 and not value.isspace() and value not in RESERVED:
            own = [value]
        else:
            own = []
        # After the alphabet there is room in Unicode: a recording may have more items than there are letters.
        further = (chr(code) for code in range(0x3B1, 0x11_0000))
        return next(
            letter
            for letter in chain(own, string.ascii_uppercase, string.ascii_lowercase, further)
            if letter not in self._meanings
        )

    @staticmethod
    def legend(letters: Mapping[str, object]) -> list[str]:
        """A line for each letter that does not stand for itself."""
        return [f"{letter} = {value!r}" for letter, value in letters.items() if value != letter]


def draw_windows(windows: Sequence[Window], frame: int, opening: str, closing: str) -> str:
    edges = [edge for window in windows for edge in ((window.start, opening), (window.end, closing))]
    return draw([Mark(time, symbol) for time, symbol in edges if time is not None], frame)
