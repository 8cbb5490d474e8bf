"""A bar chart as SVG, without a library: one bar a contender, and a line from its fastest run to its slowest."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from tests.benchmarks.figures import Figure

__all__ = ["bars"]

_WIDTH = 760
_LEFT = 230
_RIGHT = 130
_BARS = _WIDTH - _LEFT - _RIGHT
_BAR = 20
_GAP = 10
_TITLE = 34
_STYLE = (
    "text{font:13px sans-serif;fill:#333}.title{font-weight:bold}.value{fill:#666}.paper{fill:#fff}"
    ".break{stroke:#fff;stroke-width:3}.range{stroke:#333}.ours{fill:#2b6cb0}.others{fill:#b8c4d0}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.value{fill:#aaa}.paper{fill:#131416}"
    ".break{stroke:#131416}.range{stroke:#eee}.ours{fill:#4a90d9}.others{fill:#5b6672}}"
)
# How many times as long as the next a bar must be to be broken off.
_BROKEN_OFF = 2.5


def bars(tables: Mapping[str, Mapping[str, Figure]], ours: str) -> str:
    """Draw tables, one below the other, in light or dark colours as the reader has set.

    Args:
        tables: Figures by name, by title. Each table has its own scale, which begins at 0. A bar that would be several
            times as long as all the others is broken off, so that these can be told apart.
        ours: What the names begin with whose bars have another colour.

    Returns:
        The SVG document.
    """
    parts: list[str] = []
    top = 0
    for title, table in tables.items():
        parts.append(f'<text class="title" x="0" y="{top + 20}">{escape(title)}</text>')
        top += _TITLE
        scale = _BARS / _longest(table)
        for name, each in table.items():
            parts.append(_bar(name, each, top, scale, "ours" if name.startswith(ours) else "others"))
            top += _BAR + _GAP
        top += _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}">'
        f'<style>{_STYLE}</style><rect class="paper" width="100%" height="100%"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _longest(table: Mapping[str, Figure]) -> float:
    """The figure whose bar takes the whole width."""
    *others, largest = sorted(each.max for each in table.values())
    return others[-1] if others and largest > _BROKEN_OFF * others[-1] else largest


def _bar(name: str, figures: Figure, top: int, scale: float, kind: str) -> str:
    middle = top + _BAR / 2
    label = f'<text x="{_LEFT - 8}" y="{middle + 5}" text-anchor="end">{escape(name)}</text>'
    if figures.max * scale > _BARS + 1:
        end = float(_LEFT + _BARS)
        bar = f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{_BARS}" height="{_BAR}"/>' + "".join(
            f'<path class="break" d="M{end - back} {top + _BAR + 3}l8 -{_BAR + 6}"/>' for back in (34, 26)
        )
    else:
        end = _LEFT + figures.max * scale
        bar = (
            f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{figures.median * scale:.1f}" height="{_BAR}"/>'
            f'<path class="range" d="M{_LEFT + figures.min * scale:.1f} {middle}H{end:.1f}"/>'
        )
    return f'{label}{bar}<text class="value" x="{end + 8:.1f}" y="{middle + 5}">{figures.median:.3g}</text>'
