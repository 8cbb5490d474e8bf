"""Marble diagrams as text: what they mean, and how a run is drawn.

Rules (those of RxJS, with a few more):

- One character is one frame, so that what stands in one column happens at one time. Spaces are not characters: they
  align, and mean nothing.
- ``-`` a frame in which nothing happens; any letter or digit an item; ``|`` completion; ``#`` an error.
- ``(ab|)`` several at one time, that of the bracket. The characters after it are at *their* frames: the group and its
  brackets take as many frames as they have characters.
- `` 500ms `` between spaces, a span of time that passes (``us``, ``ms``, ``s``, ``m``); `` @500ms `` goes on at that
  time, also to what happens soon after a group.
- ``^`` subscription and ``!`` disposal, a frame each; in a hot source, ``^`` is time zero.
- ``[`` the beginning of a pause and ``]`` its end, a frame each.

A time is a whole number of microseconds. What ``draw`` draws, ``parse`` reads back to the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

__all__ = ["DiagramError", "Mark", "columns", "draw", "microseconds", "parse", "span"]

RESERVED = frozenset("-()|#^![]@")
"""The characters that are not items."""

_SPAN = re.compile(r"(?<!\S)(?P<at>@?)(?P<number>\d+(?:\.\d+)?)(?P<unit>us|ms|s|m)(?!\S)")
_TOKEN = re.compile(rf"{_SPAN.pattern}|\((?P<group>[^()]*)\)|(?P<symbol>[^()])", re.DOTALL)
_UNITS = {"us": Decimal(1), "ms": Decimal(1_000), "s": Decimal(1_000_000), "m": Decimal(60_000_000)}
_LONGEST_DASHES = 40


class DiagramError(ValueError):
    """A diagram that has no meaning.

    Args:
        message: What is wrong.
        diagram: The diagram.
        position: The place of the mistake, counted from 0.
    """

    def __init__(self, message: str, diagram: str, position: int) -> None:
        super().__init__(f"{message}\n  {diagram}\n  {' ' * position}^ here")


class Mark(NamedTuple):
    """Something that happens.

    Attributes:
        time: When, in microseconds.
        symbol: What: one character of the diagram.
    """

    time: int
    symbol: str


def microseconds(seconds: float) -> int:
    """The microseconds that a time has.

    >>> microseconds(0.1 + 0.2)
    300000
    """
    return round(seconds * 1_000_000)


def parse(diagram: str, frame: int) -> list[Mark]:
    """Read a diagram.

    >>> parse("-a (b|)", 10)
    [Mark(time=10, symbol='a'), Mark(time=20, symbol='b'), Mark(time=20, symbol='|')]

    Args:
        diagram: The diagram, as the module describes it.
        frame: Microseconds a frame.

    Returns:
        What happens, in order.

    Raises:
        DiagramError: A bracket without its other half, an empty group, a span within one, a step back in time.
    """
    marks: list[Mark] = []
    now = 0
    position = 0
    while position < len(diagram):
        token = _TOKEN.match(diagram, position)
        if token is None:
            raise DiagramError("a bracket without its other half", diagram, position)
        if token["unit"]:
            now = (0 if token["at"] else now) + _time(token)
        elif token["group"] is not None:
            symbols = _grouped(token)
            marks += [Mark(now, symbol) for symbol in symbols]
            now += frame * (len(symbols) + 2)
        elif not token["symbol"].isspace():
            if token["symbol"] != "-":
                marks.append(Mark(now, token["symbol"]))
            now += frame
        if marks and now < marks[-1].time:
            raise DiagramError("a step back in time", diagram, position)
        position = token.end()
    return marks


def columns(diagram: str) -> list[int]:
    """Where the marks of a diagram stand in it, those of ``parse`` in their order.

    >>> columns("-a (b|)")
    [1, 4, 5]
    """
    places: list[int] = []
    for token in _TOKEN.finditer(diagram):
        if not token["unit"]:
            places += [
                place for place in range(*token.span()) if diagram[place] not in "-()" and not diagram[place].isspace()
            ]
    return places


def _time(token: re.Match[str]) -> int:
    time = Decimal(token["number"]) * _UNITS[token["unit"]]
    if time != int(time):
        raise DiagramError("a microsecond is the shortest time", token.string, token.start())
    return int(time)


def _grouped(token: re.Match[str]) -> str:
    symbols = "".join(token["group"].split())
    if not symbols:
        raise DiagramError("an empty group", token.string, token.start())
    if "-" in symbols or _SPAN.search(token[0]):
        raise DiagramError("time does not pass within a group", token.string, token.start())
    return symbols


def draw(marks: Iterable[Mark], frame: int) -> str:
    """Draw what happens; the inverse of ``parse``.

    >>> draw([Mark(20, "a"), Mark(30, "b"), Mark(30, "|"), Mark(40, "c")], 10)
    '--a(b|) @40us c'

    Args:
        marks: What happens, in order, at times from 0 on.
        frame: Microseconds a frame.

    Returns:
        A diagram.
    """
    marks = list(marks)
    diagram = _draw(marks, frame, digits_apart=False)
    # A digit, a unit and no more between spaces would be read as a span of time.
    return diagram if parse(diagram, frame) == marks else _draw(marks, frame, digits_apart=True)


def _draw(marks: list[Mark], frame: int, *, digits_apart: bool) -> str:
    diagram = ""
    now = 0
    for time, group in groupby(marks, key=lambda mark: mark.time):
        symbols = "".join(mark.symbol for mark in group)
        if len(symbols) > 1 or (digits_apart and symbols.isdecimal()):
            symbols = f"({symbols})"
        diagram += _passing(now, time, frame) + symbols
        now = time + frame * len(symbols)
    return diagram.strip()


def _passing(now: int, time: int, frame: int) -> str:
    frames, rest = divmod(time - now, frame)
    if frames < 0:
        return f" @{span(time)} "
    if rest or frames > _LONGEST_DASHES:
        return f" {span(time - now)} "
    return "-" * frames


def span(time: int) -> str:
    """A time in the unit that suits it.

    >>> span(1_500_000), span(2_000_000), span(10)
    ('1500ms', '2s', '10us')
    """
    unit = next(unit for unit in ("s", "ms", "us") if time % _UNITS[unit] == 0)
    return f"{time // int(_UNITS[unit])}{unit}"
