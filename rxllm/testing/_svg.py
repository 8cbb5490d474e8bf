"""A run as a picture: SVG, for pages and for people.

Rules:

1. What is drawn is what happened, at its time: one axis for all lines, so that what stands above each other happened at
   one time. What happens at one time on one line is stacked, the first on top. A long time in which nothing happens is
   cut short, and the cut is drawn.
2. A value is known by its label, or by its letter and the legend; colours only help.
3. It follows the theme of the page.
4. It depends on nothing: no script, no font, no identifier that another picture in the same page could have.
5. No text in it is trusted, and all of it is legible at its own size: it scrolls rather than shrinks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any, Literal
from xml.sax.saxutils import escape

from rxllm.testing._labels import cells, clipped, label_of, printable
from rxllm.testing._recordings import Completed, Event, Failed, Item, Window
from rxllm.testing._svg_axis import EDGE, PITCH, SMALL_CELL, Axis, duration
from rxllm.testing._svg_style import COLOURS, STYLE

__all__ = ["Band", "Line", "Picture", "draw_svg"]

NAMESPACE = "http://www.w3.org/2000/svg"

# Pixels.
WIDEST_PITCH = 60
NARROWEST = 316
MARBLE = 24
END = 12
STACKED = 28
CAPTION = 17
CELL = 7.3
HIGHEST_CHART = 70
HIGHEST_STEP = 14

LONGEST_LABEL = 6
"""Cells that a label may have to stand in its marble; a longer one stands in the legend."""

LEGEND_LINES = 3
"""Lines that an explanation may have."""

_BREAKS = re.compile(r"(?<=[ (,\[])|(?=\.)")


@dataclass(slots=True)
class Band:
    """A span of time in which a line stood still.

    Attributes:
        window: When.
        kind: Whether a producer was paused, or a consumer was busy.
        text: What to say of it.
    """

    window: Window
    kind: Literal["paused", "busy"]
    text: str


@dataclass(slots=True)
class Line:
    """What happened in one place.

    Attributes:
        name: What the place is called.
        events: What happened, in order.
        due: What should have; it is drawn where it did not happen at its time.
        windows: When somebody was subscribed; always, if there are none.
        bands: When it stood still.
    """

    name: str
    events: Sequence[Event[Any]]
    due: Sequence[Event[Any]] = ()
    windows: Sequence[Window] = ()
    bands: Sequence[Band] = ()


@dataclass(slots=True)
class Picture:
    """A run, ready to be drawn.

    Attributes:
        title: What it shows.
        text: The same as a text, for those who cannot see it.
        frame: Microseconds a frame.
        call: The operator, as it was called.
        sources: The lines above the operator.
        results: The lines below it.
        waiting: How many items waited in the operator, from which time on; nothing is drawn if it is empty.
        letters: The letters of the values.
    """

    title: str
    text: str
    frame: int
    call: str
    sources: Sequence[Line]
    results: Sequence[Line]
    waiting: Sequence[tuple[int, int]] = ()
    letters: Mapping[str, Any] = field(default_factory=dict[str, Any])


def draw_svg(picture: Picture) -> str:
    """Draw a picture: an ``svg`` element, to stand in a page or in a file of its own."""
    return _Drawing(picture).svg()


class _Drawing:
    """The elements of a picture, line by line, downwards."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._lines = [*picture.sources, *picture.results]
        # By labels: what is one text to the reader has one colour, whether it is in a chunk or by itself.
        self._colours: dict[str, int] = {}
        self._explained: dict[str, str] = {}
        self._failures: list[str] = []
        times = {time for line in self._lines for time in _times_of(line)} | {time for time, _ in picture.waiting}
        self._axis = Axis(times, picture.frame, self._pitch())
        self._right = max(self._axis.end + PITCH, NARROWEST - EDGE)
        self._width = self._right + EDGE - PITCH / 2
        self._y = 4.0
        self._elements: list[str] = []

    def svg(self) -> str:
        """All of it."""
        picture = self._picture
        for line in picture.sources:
            self._draw_line(line)
        self._draw_operator()
        for line in picture.results:
            self._draw_line(line)
        if picture.waiting:
            self._draw_waiting()
        self._draw_axis()
        self._draw_legend()
        width, height = _n(self._width), _n(self._y + 4)
        size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        return "\n".join(
            [
                f'<svg xmlns="{NAMESPACE}" class="rxllm-marbles" role="img" {size}>',
                f"<title>{escape(printable(picture.title))}</title>",
                f"<desc>{escape(_plain(picture.text))}</desc>",
                f"<style>{STYLE}</style>",
                *self._elements,
                "</svg>",
            ]
        )

    # Letters and labels

    def _letter_of(self, value: object) -> str:
        letters = self._picture.letters
        return next(letter for letter, meaning in letters.items() if meaning is value or meaning == value)

    def _inscription(self, value: object) -> str:
        """What stands in a marble."""
        label = label_of(value)
        return label if label and cells(label) <= LONGEST_LABEL else self._letter_of(value)

    def _pitch(self) -> float:
        """Pixels a frame: enough for the widest marbles that are neighbours."""
        needed = [float(PITCH)]
        for line in self._lines:
            widths: dict[int, float] = {}
            for event in line.events:
                width = self._width_of(event.value) if isinstance(event, Item) else END
                widths[event.time] = max(width, widths.get(event.time, 0))
            needed += [
                (widths[one] / 2 + widths[two] / 2 + 4) * self._picture.frame / (two - one)
                for one, two in pairwise(widths)
            ]
        return min(max(needed), WIDEST_PITCH)

    def _width_of(self, value: object) -> float:
        return max(MARBLE, cells(self._inscription(value)) * CELL + 12)

    # Lines

    def _draw_line(self, line: Line) -> None:
        self._draw_caption(line.name)
        middle = self._y + MARBLE / 2 + 4
        notes_free = EDGE + cells(line.name) * SMALL_CELL
        for band in line.bands:
            notes_free = self._draw_band(band, middle, notes_free)
        self._draw_track(line, middle)
        happened = [(event.time, _what(event)) for event in line.events]
        for event in line.due:
            if (event.time, _what(event)) not in happened:
                self._draw_due(event, middle)
        tallest = 1
        for _, events in _simultaneous(line.events):
            items = [event for event in events if isinstance(event, Item)]
            tallest = max(tallest, len(items))
            for event in events:
                if not isinstance(event, Item):
                    self._draw_end(event, middle, len(items), line.name)
            for place, item in enumerate(items):
                self._draw_item(item, middle + place * STACKED, line.name)
        self._y = middle + MARBLE / 2 + 8 + (tallest - 1) * STACKED

    def _draw_caption(self, text: str) -> None:
        self._add(f'<text class="caption" x="4" y="{_n(self._y + 11)}">{escape(printable(text))}</text>')
        self._y += CAPTION

    def _draw_track(self, line: Line, middle: float) -> None:
        end = next((event.time for event in line.events if not isinstance(event, Item)), None)
        windows = line.windows or [Window(0, end)]
        for window in windows:
            left = self._axis.x(window.start)
            if window.end is None:
                self._add(f'<path d="M{_n(left)} {_n(middle)}H{_n(self._right)}m-6-4l6 4l-6 4"/>')
                continue
            right = self._axis.x(window.end)
            self._add(f'<path d="M{_n(left)} {_n(middle)}H{_n(right)}"/>')
            if not any(event.time == window.end and not isinstance(event, Item) for event in line.events):
                self._add(
                    f'<g class="disposed" data-time="{window.end}"><title>disposed at {duration(window.end)}</title>'
                    f'<path d="M{_n(right)} {_n(middle)}m-4-7h4v14h-4"/></g>'
                )
                last = max((event.time for event in line.due), default=window.end)
                self._add(f'<path class="left" d="M{_n(right + 4)} {_n(middle)}H{_n(self._axis.x(last))}"/>')
        for x in self._axis.cuts:
            self._add(f'<path class="cut" d="M{_n(x - 6)} {_n(middle + 6)}l6-12m2 0l-6 12"/>')

    def _draw_band(self, band: Band, middle: float, notes_free: float) -> float:
        left = self._axis.x(band.window.start)
        right = self._right if band.window.end is None else self._axis.x(band.window.end)
        top = middle - MARBLE / 2 - 3
        height = MARBLE + 6
        end = "" if band.window.end is None else f' data-end="{band.window.end}"'
        self._add(
            f'<g class="{band.kind}" data-start="{band.window.start}"{end}>'
            f"<title>{escape(printable(band.text))}</title>"
            f'<rect x="{_n(left)}" y="{_n(top)}" width="{_n(right - left)}" height="{_n(height)}"/>'
            f'<path d="M{_n(left)} {_n(top)}v{_n(height)}M{_n(right)} {_n(top)}v{_n(height)}'
            f'{_hatching(left, right, top, height) if band.kind == "paused" else ""}"/></g>'
        )
        x = max(left, notes_free)
        if x + len(band.kind) * SMALL_CELL > max(right, self._next_note(left)):
            return notes_free
        self._add(f'<text class="note" x="{_n(x)}" y="{_n(self._y - 6)}">{band.kind}</text>')
        return x + (len(band.kind) + 1) * SMALL_CELL

    def _next_note(self, left: float) -> float:
        """How far a note may go over the edge of a band that is shorter."""
        return left + 8 * SMALL_CELL

    def _draw_item(self, item: Item[Any], middle: float, line: str) -> None:
        letter = self._letter_of(item.value)
        label = label_of(item.value)
        inscription = self._inscription(item.value)
        if inscription != label:
            self._explained[letter] = label
        colour = self._colours.setdefault(label, len(self._colours) % COLOURS)
        width = self._width_of(item.value)
        x = self._axis.x(item.time)
        place = f'x="{_n(x - width / 2)}" y="{_n(middle - MARBLE / 2)}"'
        self._add(
            f'<g class="item c{colour}" data-line={_attribute(line)} data-time="{item.time}">'
            f"<title>{escape(label)} at {duration(item.time)}</title>"
            f'<rect {place} width="{_n(width)}" height="{MARBLE}" rx="12"/>'
            f'<text x="{_n(x)}" y="{_n(middle + 4)}" text-anchor="middle">{escape(inscription)}</text></g>'
        )

    def _draw_end(self, event: Completed | Failed, middle: float, items: int, line: str) -> None:
        x = self._axis.x(event.time)
        where = f'data-line={_attribute(line)} data-time="{event.time}"'
        if isinstance(event, Completed):
            top = middle - MARBLE / 2 - 6
            height = MARBLE + 12 + max(items - 1, 0) * STACKED
            self._add(
                f'<g class="completed" {where}><title>completed at {duration(event.time)}</title>'
                f'<path d="M{_n(x)} {_n(top)}v{_n(height)}"/></g>'
            )
            return
        label = label_of(event.error)
        if label not in self._failures:
            self._failures.append(label)
        y = middle + items * STACKED
        self._add(
            f'<g class="failed" {where}><title>{escape(label)} at {duration(event.time)}</title>'
            f'<path d="M{_n(x - 7)} {_n(y - 7)}l14 14m0-14l-14 14"/></g>'
        )

    def _draw_due(self, event: Event[Any], middle: float) -> None:
        """What was due and came later, or never."""
        x = self._axis.x(event.time)
        shape = (
            f'<circle class="due" cx="{_n(x)}" cy="{_n(middle)}" r="7"/>'
            if isinstance(event, Item)
            else f'<path class="due" d="M{_n(x)} {_n(middle - 10)}v20"/>'
        )
        what = label_of(event.value) if isinstance(event, Item) else "the end"
        self._add(
            f'<g data-due="{event.time}"><title>{escape(what)} was due at {duration(event.time)}</title>{shape}</g>'
        )

    # What is not a line

    def _draw_operator(self) -> None:
        call = " ".join(self._picture.call.split())
        lines = _wrapped(printable(call), int((self._width - 28) / CELL))
        self._y += 4
        height = 17 * len(lines) + 11
        self._add(
            '<g class="operator">'
            f'<rect x="4" y="{_n(self._y)}" width="{_n(self._width - 8)}" height="{height}" rx="6"/>'
            + "".join(
                f'<text x="14" y="{_n(self._y + 18 + 17 * place)}">{escape(line)}</text>'
                for place, line in enumerate(lines)
            )
            + "</g>"
        )
        self._y += height + 6

    def _draw_waiting(self) -> None:
        self._draw_caption("items in the operator")
        changes = [(0, 0), *self._picture.waiting]
        most = max(depth for _, depth in changes)
        scale = min(HIGHEST_STEP, HIGHEST_CHART / max(most, 1))
        base = self._y + 14 + most * scale
        path = f"M{EDGE} {_n(base)}"
        for time, depth in changes:
            path += f"H{_n(self._axis.x(time))}V{_n(base - depth * scale)}"
        path += f"H{_n(self._right)}"
        self._add('<g class="waiting">')
        self._add(f'<path class="area" d="{path}V{_n(base)}Z"/>')
        self._add(f'<path d="M{EDGE} {_n(base)}H{_n(self._right)}"/><path class="depth" d="{path}"/>')
        for time, depth in self._picture.waiting:
            x, y = self._axis.x(time), base - depth * scale
            self._add(f'<text class="note" data-time="{time}" x="{_n(x + 3)}" y="{_n(y - 4)}">{depth}</text>')
        self._add("</g>")
        self._y = base + 6

    def _draw_axis(self) -> None:
        self._add('<g class="axis">')
        for x, label in self._axis.ticks():
            self._add(
                f'<path d="M{_n(x)} {_n(self._y + 2)}v5"/>'
                f'<text x="{_n(x)}" y="{_n(self._y + 19)}" text-anchor="middle">{label}</text>'
            )
        self._add("</g>")
        self._y += 30

    def _draw_legend(self) -> None:
        for letter, label in sorted(self._explained.items()):
            marble = f'<rect class="c{self._colours[label]}" x="4" y="{{y}}" width="20" height="20" rx="10"/>'
            mark = f'<text x="14" y="{{text}}" text-anchor="middle">{escape(letter)}</text>'
            self._explain(marble + mark, label or "(no text)")
        for label in self._failures:
            self._explain('<g class="failed"><path d="M8 {cross}l12 12m0-12l-12 12"/></g>', label)

    def _explain(self, mark: str, label: str) -> None:
        most = int((self._width - 40) / CELL)
        self._add(mark.format(y=_n(self._y), text=_n(self._y + 14), cross=_n(self._y + 4)))
        for line in _wrapped(clipped(label, LEGEND_LINES * most - most // 2), most):
            self._add(f'<text x="34" y="{_n(self._y + 14)}">{escape(line)}</text>')
            self._y += 17
        self._y += 7

    def _add(self, element: str) -> None:
        self._elements.append(element)


def _times_of(line: Line) -> Iterator[int]:
    """The times that a line needs a place for."""
    yield from (event.time for event in (*line.events, *line.due))
    for window in (*line.windows, *(band.window for band in line.bands)):
        yield window.start
        if window.end is not None:
            yield window.end


def _simultaneous(events: Iterable[Event[Any]]) -> Iterator[tuple[int, list[Event[Any]]]]:
    for time, group in groupby(events, key=lambda event: event.time):
        yield time, list(group)


def _what(event: Event[Any]) -> object:
    """What happened, whenever it did."""
    if isinstance(event, Item):
        return "item", event.value
    return type(event)


def _wrapped(text: str, most: int) -> list[str]:
    """Lines of at most so many cells, broken where a reader of code would; a longer word is cut."""
    lines = [""]
    for word in _BREAKS.split(text):
        for piece in [word] if cells(word) <= most else word:
            if cells(lines[-1] + piece.rstrip()) > most:
                lines.append("")
            lines[-1] += piece
    return [line.rstrip() for line in lines]


def _hatching(left: float, right: float, top: float, height: float) -> str:
    """Strokes from bottom to top, to the right, that end at the edges of a rectangle."""
    strokes = ""
    x = left - height + 8
    while x < right:
        lower, upper = max(x, left), min(x + height, right)
        strokes += f"M{_n(lower)} {_n(top + height - (lower - x))}L{_n(upper)} {_n(top + height - (upper - x))}"
        x += 8
    return strokes


def _plain(text: str) -> str:
    """A text of several lines of printable characters."""
    return "\n".join(map(printable, text.splitlines()))


def _attribute(text: str) -> str:
    return f'"{escape(printable(text), {chr(34): "&quot;"})}"'


def _n(number: float) -> str:
    """A number of pixels, as short as it can be."""
    return f"{number:.1f}".removesuffix(".0")
