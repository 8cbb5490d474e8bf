"""Tables."""

from __future__ import annotations

from collections.abc import Sequence

from rxllm.sinks.screen._cells import cells, is_certain
from rxllm.sinks.screen._rows import BOLD, DIM, EMPTY, Row, Span, column, indented, painted, row, wrapped

_LEAST = 6
_BETWEEN = " │ "
_RULE = "─┼─"

Cell = Sequence[Span]


def table_rows(lines: Sequence[Sequence[Cell]], alignments: Sequence[str], width: int) -> list[Row]:
    """The rows of a table.

    Args:
        lines: Its rows, the heads first, each with a cell for each column.
        alignments: For each column ``"left"``, ``"right"``, ``"center"`` or ``""``.
        width: How many columns the screen has.
    """
    room = width - len(_BETWEEN) * (len(alignments) - 1)
    if room < _LEAST * len(alignments):
        return _records(lines, width)
    widths = _widths([[_cells_of(cell) for cell in line] for line in lines], room)
    rows: list[Row] = []
    for place, line in enumerate(lines):
        rows += _line(line, alignments, widths)
        if not place:
            rows.append(row(Span(_RULE.join("─" * size for size in widths), DIM)))
    return rows


def _cells_of(cell: Cell) -> int:
    return sum(cells(text) for text, _ in cell)


def _widths(sizes: Sequence[Sequence[int]], room: int) -> list[int]:
    """How wide the columns are: as wide as they want to be, and the widest less where that has no room."""
    widths = [min(room, max((1, *column))) for column in zip(*sizes, strict=True)]
    for _ in range(sum(widths) - room):
        widths[widths.index(max(widths))] -= 1
    return widths


def _line(line: Sequence[Cell], alignments: Sequence[str], widths: Sequence[int]) -> list[Row]:
    """A row of the table, which is as high as its highest cell."""
    blocks = [wrapped(cell, size) for cell, size in zip(line, widths, strict=True)]
    return [
        _side_by_side([block[height] if height < len(block) else EMPTY for block in blocks], alignments, widths)
        for height in range(max(map(len, blocks)))
    ]


def _side_by_side(columns: Sequence[Row], alignments: Sequence[str], widths: Sequence[int]) -> Row:
    shown, taken = "", 0
    for cell, alignment, size in zip(columns, alignments, widths, strict=True):
        if taken:
            shown += painted(_BETWEEN, DIM)
            taken += len(_BETWEEN)
        spare = size - cell.cells
        before = {"right": spare, "center": spare // 2}.get(alignment, 0)
        taken += size
        shown += " " * before + cell.text
        # Where terminals do not agree how far that went, the next column is gone to.
        shown += " " * (spare - before) if is_certain(cell.text) else column(taken + 1)
    return Row(shown.rstrip(" "), taken)


def _records(lines: Sequence[Sequence[Cell]], width: int) -> list[Row]:
    """The rows of a table that has no room: each as a list of its cells."""
    rows: list[Row] = []
    heads = lines[0]
    for line in lines[1:]:
        for place, (head, cell) in enumerate(zip(heads, line, strict=True)):
            front = Span("  " if place else "• ", DIM)
            rows += indented(wrapped([*head, Span(": ", BOLD), *cell], width - 2), front, Span("  "))
    return rows or wrapped([span for head in heads for span in (*head, Span(" "))], width)
