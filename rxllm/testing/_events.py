"""What a diagram and its legend say: events and windows.

An item without a legend stands for itself. With a legend, each item must be in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from rxllm.testing._diagrams import RESERVED, DiagramError, parse
from rxllm.testing._recordings import Completed, Event, ExpectedError, Failed, Item, MarbleError, Window

__all__ = ["events_of", "meanings_of", "windows_of"]

T = TypeVar("T")


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
