"""A bar chart as SVG, without a library: one bar a contender, and a line from its fastest run to its slowest."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from tests.benchmarks.figures import Figure

__all__ = ["bars"]

_WIDTH = 760
_LEFT = 230
_RIGHT = 130
_BAR = 20
_GAP = 10
_TITLE = 34
_STYLE = "text{font:13px sans-serif;fill:#333}.title{font-weight:bold}.value{fill:#666}"
_OURS = "#2b6cb0"
_OTHERS = "#b8c4d0"


def bars(tables: Mapping[str, Mapping[str, Figure]], ours: str) -> str:
    """Draw tables, one below the other.

    Args:
        tables: Figures by name, by title. Each table has its own scale, which begins at 0.
        ours: The name whose bar has another colour.

    Returns:
        The SVG document.
    """
    parts: list[str] = []
    top = 0
    for title, table in tables.items():
        parts.append(f'<text class="title" x="0" y="{top + 20}">{escape(title)}</text>')
        top += _TITLE
        scale = (_WIDTH - _LEFT - _RIGHT) / max(each.max for each in table.values())
        for name, each in table.items():
            parts.append(_bar(name, each, top, scale, _OURS if name == ours else _OTHERS))
            top += _BAR + _GAP
        top += _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _bar(name: str, figures: Figure, top: int, scale: float, colour: str) -> str:
    middle = top + _BAR / 2
    end = _LEFT + figures.max * scale
    return (
        f'<text x="{_LEFT - 8}" y="{middle + 5}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{_LEFT}" y="{top}" width="{figures.median * scale:.1f}" height="{_BAR}" fill="{colour}"/>'
        f'<line x1="{_LEFT + figures.min * scale:.1f}" x2="{end:.1f}" y1="{middle}" y2="{middle}" stroke="#333"/>'
        f'<text class="value" x="{end + 8:.1f}" y="{middle + 5}">{figures.median:.3g}</text>'
    )
