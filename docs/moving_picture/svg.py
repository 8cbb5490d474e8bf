"""A terminal as an SVG picture that moves.

It moves by CSS alone: without scripts, it can be the source of an ``<img>``, on GitHub as well. Each word knows from
when to when it is seen. What cannot move, and readers who want nothing to, get the last frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TypeAlias
from xml.sax.saxutils import escape

from docs.moving_picture.frames import Frame, Piece

# A column and a row, in pixels, and where in a row letters stand.
CELL, LINE, BASE = 8.4, 17, 13
_LEFT, _TOP, _BOTTOM = 18, 44, 2
# How long the last frame is seen before all begins anew.
_REST = 6.0

Interval: TypeAlias = tuple[float, float | None]

# The colours of the terminal, on a light background and on a dark one.
_COLOURS = {
    "paper": ("#ffffff", "#0d1117"),
    "edge": ("#d1d9e0", "#3d444d"),
    "ink": ("#1f2328", "#e6edf3"),
    "black": ("#1f2328", "#e6edf3"),
    "red": ("#cf222e", "#ff7b72"),
    "green": ("#1a7f37", "#3fb950"),
    "brown": ("#9a6700", "#d29922"),
    "blue": ("#0969da", "#79c0ff"),
    "magenta": ("#8250df", "#d2a8ff"),
    "cyan": ("#1b7c83", "#56d4dd"),
    "white": ("#1f2328", "#e6edf3"),
}
_STYLES = """\
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:var(--ink)}
.bold{font-weight:700}.italic{font-style:italic}.under{text-decoration:underline}.through{text-decoration:line-through}
.dim{opacity:.66}.gone{visibility:hidden}.window{fill:var(--paper);stroke:var(--edge)}.bar{stroke:var(--edge)}
.title{text-anchor:middle;font-size:12px;opacity:.66}"""


def svg(frames: Iterable[tuple[float, Frame]], columns: int, lines: int, title: str) -> str:
    """The picture.

    Args:
        frames: What is seen, and since when, the first one since 0.
        columns: How many the terminal has.
        lines: How many rows it has.
        title: What stands above, and is read out where the picture cannot be seen.
    """
    shown = list(frames)
    length = shown[-1][0] + _REST
    groups = sorted(_intervals(shown).items(), key=lambda group: (group[0][0], group[0][1] or length))
    width, height = round(columns * CELL + 2 * _LEFT), lines * LINE + _TOP + _BOTTOM
    size = f'width="{width}" height="{height}"'
    styles = sorted({name for pieces in _intervals(shown).values() for each in pieces for name in each.style.split()})
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size}>',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLES}",
            *_palette(styles),
            "@media (prefers-reduced-motion:no-preference){",
            *_keyframes([interval for interval, _ in groups], length),
            "}</style>",
            *_window(width, height, title),
            f'<g transform="translate({_LEFT} {_TOP})">',
            *(_group(number, interval, pieces) for number, (interval, pieces) in enumerate(groups)),
            "</g>",
            "</svg>",
            "",
        ]
    )


def _intervals(shown: Sequence[tuple[float, Frame]]) -> Mapping[Interval, list[Piece]]:
    """The pieces, by when they are seen; what is seen at the end has no end."""
    since: dict[Piece, float] = {}
    found: dict[Interval, list[Piece]] = {}
    for seconds, frame in shown:
        for piece in [each for each in since if each not in frame]:
            found.setdefault((since.pop(piece), seconds), []).append(piece)
        for piece in frame:
            since.setdefault(piece, seconds)
    for piece, seconds in since.items():
        found.setdefault((seconds, None), []).append(piece)
    return {interval: sorted(pieces) for interval, pieces in found.items()}


def _palette(styles: Sequence[str]) -> Iterator[str]:
    for place, query in enumerate(("", "@media (prefers-color-scheme:dark)")):
        names = ["paper", "edge", "ink", *(style for style in styles if style in _COLOURS)]
        rule = ":root{" + ";".join(f"--{name}:{_COLOURS[name][place]}" for name in names) + "}"
        yield f"{query}{{{rule}}}" if query else rule
    yield "".join(f".{style}{{fill:var(--{style})}}" for style in styles if style in _COLOURS)


def _keyframes(intervals: Sequence[Interval], length: float) -> Iterator[str]:
    for number, (start, end) in enumerate(intervals):
        if (start, end) == (0.0, None):
            continue
        steps = [(0.0, "hidden"), (start, "visible"), *([] if end is None else [(end, "hidden")])]
        rules = "".join(f"{_percent(at / length)}{{visibility:{seen}}}" for at, seen in steps[start == 0.0 :])
        yield f"@keyframes k{number}{{{rules}}}.k{number}{{animation:k{number} {_number(length)}s step-end infinite}}"


def _window(width: int, height: int, title: str) -> Iterator[str]:
    yield f'<rect class="window" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>'
    yield f'<path class="bar" d="M1 30.5H{width - 1}"/>'
    for place, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        yield f'<circle cx="{18 + 18 * place}" cy="15.5" r="5.5" fill="{colour}"/>'
    yield f'<text class="title" x="{width / 2:g}" y="20">{escape(title)}</text>'


def _group(number: int, interval: Interval, pieces: Sequence[Piece]) -> str:
    classes = [f"k{number}"] if interval != (0.0, None) else []
    if interval[1] is not None:
        classes.append("gone")
    texts = (
        f'<g transform="translate(0 {line * LINE})">{"".join(map(_text, group))}</g>'
        for line, group in groupby(pieces, lambda piece: piece.line)
    )
    return f'<g class="{" ".join(classes)}">{"".join(texts)}</g>'


def _text(piece: Piece) -> str:
    style = f' class="{piece.style}"' if piece.style else ""
    length = f' textLength="{_number(piece.cells * CELL)}"' if piece.cells > 1 else ""
    return f'<text x="{_number(piece.column * CELL)}" y="{BASE:g}"{length}{style}>{escape(piece.text)}</text>'


def _percent(share: float) -> str:
    return f"{_number(100 * share)}%"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
