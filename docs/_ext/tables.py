"""Tables that can be read on a phone.

- Code in a table, and in the heading of a column, may break where a person would break it: behind a dot, a slash, an
  underscore and the like, and between the words of ``TruncatedStreamError``. Copied, it is still whole.
- Where the texts of a table with several columns are too long for a phone, it gets the class ``rows``, and each cell
  the name of its column. ``rxllm.css`` shows these on a narrow window, with the cells of a row below each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.typing import ExtensionMetadata

BREAKS = re.compile(r"(?<=\w[._/=,])(?=\w)|(?<=[(/:@\]])(?=\w)|(?<=[a-z])(?=[A-Z][a-z])|(?<=\w)(?=[(\[])")
COLUMNS = range(3, 9)
"""How many columns can stand below each other: two fit, and more than these are figures to compare."""
MOST_CHARACTERS = 100
"""How long the longest texts of all columns may be together: more is hard to read beside each other on a phone."""


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register what is in here."""
    app.add_post_transform(ReadableTables)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class ReadableTables(SphinxPostTransform):
    """Changes the tables of a page, when all names in them are links."""

    default_priority = 500
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Go through one page."""
        del kwargs
        for table in self.document.findall(nodes.table):
            rows = [list(row.findall(nodes.entry)) for row in table.findall(nodes.row)]
            if _is_long(rows):
                table["classes"].append("rows")
                _name_columns(rows)
            for part in [*table.findall(nodes.literal), *_headings(table)]:
                part[:] = list(_breakable(part.astext()))


def _headings(table: nodes.table) -> Iterator[nodes.TextElement]:
    """The headings of columns that are nothing but text: they may have names of code in them."""
    for head in table.findall(nodes.thead):
        for text in head.findall(nodes.paragraph):
            if all(isinstance(child, nodes.Text) for child in text):
                yield text


def _breakable(code: str) -> Iterator[nodes.Node]:
    for number, piece in enumerate(BREAKS.split(code)):
        if number:
            yield nodes.raw("", "<wbr>", format="html")
        yield nodes.Text(piece)


def _is_long(rows: list[list[nodes.entry]]) -> bool:
    longest = [max(len(cell.astext()) for cell in column) for column in zip(*rows[1:], strict=False)]
    return len(longest) in COLUMNS and sum(longest) > MOST_CHARACTERS


def _name_columns(rows: list[list[nodes.entry]]) -> None:
    head, *body = rows
    for row in body:
        for name, cell in zip(head[1:], row[1:], strict=True):
            first = next(iter(cell.children), None)
            if isinstance(first, nodes.TextElement):
                first.insert(0, nodes.inline("", f"{name.astext()}: ", classes=["column"]))
