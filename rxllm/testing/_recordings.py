"""What happened in a run, and whether it is what a diagram says.

Rules:

1. A recording is compared event by event, at exact times; its drawing is for people.
2. Items compare by ``==``. Errors compare by type, by ``args``, and by each attribute that the expected one has; an
   exception type expects that type, whatever it says.
3. An item without a legend stands for itself. With a legend, each item must be in it.
4. A failure shows both diagrams, one above the other, and what their letters mean.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from rxllm.testing._diagrams import RESERVED, DiagramError, Mark, draw, parse, span

__all__ = [
    "Completed",
    "Event",
    "ExpectedError",
    "Failed",
    "Hold",
    "Item",
    "MarbleError",
    "Recording",
    "Window",
    "assert_marbles",
    "assert_pauses",
    "assert_subscriptions",
    "events_of",
    "meanings_of",
    "windows_of",
]

T = TypeVar("T")

ExpectedError: TypeAlias = Exception | type[Exception]
"""An error, or the type of one."""


class MarbleError(Exception):
    """What ``#`` stands for when nothing else is given."""


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
        error: What with; a type in an expectation that leaves the rest open.
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
        end: Its end; ``None`` if it had none when the run was over.
    """

    start: int
    end: int | None = None


@dataclass(slots=True)
class Hold(Window):
    """A pause that one holder held.

    Attributes:
        holder: Who.
    """

    holder: object = None


@dataclass(slots=True)
class Recording(Generic[T]):
    """What a subscriber got. As a string, it is a diagram and a legend.

    Attributes:
        frame: Microseconds a frame, for drawing.
        events: What happened, in order; times count from the beginning of the run.
    """

    frame: int
    events: list[Event[T]] = field(default_factory=list[Event[T]])

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
        """Whether it completed."""
        return any(isinstance(event, Completed) for event in self.events)

    @property
    def error(self) -> ExpectedError | None:
        """What it failed with."""
        return next((event.error for event in self.events if isinstance(event, Failed)), None)

    def __str__(self) -> str:
        letters = _Letters[T]({})
        return "\n".join([letters.draw(self.events, self.frame), *letters.legend(letters.used)])


class _Letters(Generic[T]):
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


def meanings_of(legend: Mapping[str, T] | None, letters: Mapping[str, T]) -> dict[str, T]:
    """A legend in one piece.

    Raises:
        TypeError: A name that is no letter, and probably a misspelled argument.
    """
    for name in letters:
        if len(name) != 1:
            raise TypeError(f"{name!r} is neither an argument nor a letter")
    return {**(legend or {}), **letters}


def events_of(
    diagram: str, frame: int, legend: Mapping[str, T] | None, error: ExpectedError | None
) -> list[Event[Any]]:
    """The events that a diagram describes.

    Args:
        diagram: The diagram; ``^`` in it is time zero.
        frame: Microseconds a frame.
        legend: What the letters mean; ``None`` or an empty one lets them stand for themselves.
        error: What ``#`` means.

    Raises:
        DiagramError: A letter that is not in the legend, something after the end, a sign that does not belong here.
    """
    marks = parse(diagram, frame)
    zero = next((mark.time for mark in marks if mark.symbol == "^"), 0)
    events: list[Event[Any]] = []
    for time, symbol in marks:
        if symbol == "^":
            continue
        if events and not isinstance(events[-1], Item):
            raise DiagramError(f"{symbol!r} comes after the end", diagram, diagram.rindex(symbol))
        events.append(_event(symbol, time - zero, diagram, legend, error))
    return events


def _event(
    symbol: str, time: int, diagram: str, legend: Mapping[str, T] | None, error: ExpectedError | None
) -> Event[Any]:
    if symbol == "|":
        return Completed(time)
    if symbol == "#":
        return Failed(time, MarbleError("#") if error is None else error)
    if symbol in RESERVED:
        raise DiagramError(f"{symbol!r} does not belong here", diagram, diagram.index(symbol))
    if legend and symbol not in legend:
        raise DiagramError(f"{symbol!r} is not in the legend", diagram, diagram.index(symbol))
    return Item(time, legend[symbol] if legend else symbol)


def windows_of(diagram: str, frame: int, opening: str, closing: str) -> list[Window]:
    """The spans of time that a diagram such as ``--[---]-[--]`` or ``--^---!`` describes.

    Raises:
        DiagramError: A sign that does not belong here, or in this order.
    """
    windows: list[Window] = []
    for time, symbol in parse(diagram, frame):
        open_window = windows[-1] if windows and windows[-1].end is None else None
        if symbol == opening and open_window is None:
            windows.append(Window(time))
        elif symbol == closing and open_window is not None:
            open_window.end = time
        else:
            raise DiagramError(f"{symbol!r} does not belong here", diagram, diagram.rindex(symbol))
    return windows


def assert_marbles(
    actual: Recording[Any],
    expected: str,
    legend: Mapping[str, Any] | None = None,
    /,
    *,
    error: ExpectedError | None = None,
    **letters: Any,
) -> None:
    """Fail unless a run went as a diagram says.

    >>> recording = Recording(10_000, [Item(20_000, "Hel"), Completed(30_000)])
    >>> assert_marbles(recording, "--a|", a="Hel")

    Args:
        actual: What happened.
        expected: What should have, with the frame of the recording.
        legend: What the letters mean.
        error: What ``#`` means: an error that must have the same type, arguments and attributes, or a type.
        letters: More of the legend.

    Raises:
        AssertionError: It did not; the message shows both diagrams.
    """
    meanings = meanings_of(legend, letters)
    wanted = events_of(expected, actual.frame, meanings, error)
    if len(wanted) == len(actual.events) and all(map(_same, wanted, actual.events)):
        return
    names = _Letters[Any](meanings)
    diagrams = [names.draw(events, actual.frame) for events in (wanted, actual.events)]
    meaning = names.legend(names.used)
    for who, events in (("expected", wanted), ("actual", actual.events)):
        meaning += [f"# {who} = {_describe(event.error)}" for event in events if isinstance(event, Failed)]
    message = f"the marbles differ from {_first_difference(wanted, actual.events)} on"
    raise AssertionError(_two_diagrams(message, actual.frame, diagrams, meaning))


def _first_difference(wanted: Sequence[Event[Any]], actual: Sequence[Event[Any]]) -> str:
    same = next((i for i, pair in enumerate(zip(wanted, actual, strict=False)) if not _same(*pair)), None)
    place = min(len(wanted), len(actual)) if same is None else same
    return span(min(events[place].time for events in (wanted, actual) if place < len(events)))


def _same(wanted: Event[Any], actual: Event[Any]) -> bool:
    if isinstance(wanted, Failed) and isinstance(actual, Failed):
        return wanted.time == actual.time and _same_error(wanted.error, actual.error)
    return wanted == actual


def _same_error(wanted: ExpectedError, actual: ExpectedError) -> bool:
    if isinstance(wanted, type):
        return type(actual) is wanted
    return (
        type(wanted) is type(actual)
        and wanted.args == actual.args
        and all(name in vars(actual) and vars(actual)[name] == value for name, value in vars(wanted).items())
    )


def _describe(error: ExpectedError) -> str:
    attributes = "" if isinstance(error, type) else "".join(f", {k}={v!r}" for k, v in vars(error).items())
    return repr(error) + attributes


def _two_diagrams(message: str, frame: int, diagrams: Sequence[str], legend: Sequence[str] = ()) -> str:
    lines = [f"{message} (a frame is {span(frame)})"]
    lines += [f"{name:<10}{diagram}" for name, diagram in zip(("expected", "actual"), diagrams, strict=True)]
    return "\n".join([*lines, *(f"  {line}" for line in legend)])


class _Observed(Protocol):
    """What has windows: a marble source."""

    @property
    def frame(self) -> int:
        """Microseconds a frame."""
        ...

    @property
    def subscriptions(self) -> Sequence[Window]:
        """When it was subscribed to."""
        ...

    @property
    def pauses(self) -> Sequence[Window]:
        """When it was paused."""
        ...


def assert_subscriptions(source: _Observed, *expected: str) -> None:
    """Fail unless a source was subscribed to as the diagrams say, one diagram a subscription: ``--^---!``.

    Args:
        source: A source of ``Marbles``.
        expected: When it should have been, in order; ``^--`` without ``!`` for never disposed.

    Raises:
        AssertionError: It was not; the message shows both.
    """
    wanted = [window for diagram in expected for window in windows_of(diagram, source.frame, "^", "!")]
    if not _same_windows(wanted, source.subscriptions):
        frame = source.frame
        below = "\n" + " " * len("expected  ")
        drawn = [
            below.join(_draw_windows([window], frame, "^", "!") for window in windows) or "(none)"
            for windows in (wanted, source.subscriptions)
        ]
        raise AssertionError(_two_diagrams("the subscriptions differ", frame, drawn))


def assert_pauses(source: _Observed, expected: str) -> None:
    """Fail unless a source was paused as a diagram says: ``--[---]-[-]``. Who held the pauses does not matter.

    Args:
        source: A source of ``Marbles``.
        expected: When it should have been; a ``[`` without ``]`` for a pause that never ended.

    Raises:
        AssertionError: It was not; the message shows both.
    """
    wanted = windows_of(expected, source.frame, "[", "]")
    # A pause that ended when it began held nothing back.
    actual = [pause for pause in source.pauses if pause.start != pause.end]
    if not _same_windows(wanted, actual):
        drawn = [_draw_windows(windows, source.frame, "[", "]") or "(none)" for windows in (wanted, actual)]
        raise AssertionError(_two_diagrams("the pauses differ", source.frame, drawn))


def _same_windows(wanted: Sequence[Window], actual: Sequence[Window]) -> bool:
    return [(window.start, window.end) for window in wanted] == [(window.start, window.end) for window in actual]


def _draw_windows(windows: Sequence[Window], frame: int, opening: str, closing: str) -> str:
    edges = [edge for window in windows for edge in ((window.start, opening), (window.end, closing))]
    return draw([Mark(time, symbol) for time, symbol in edges if time is not None], frame)
