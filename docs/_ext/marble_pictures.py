"""Marble diagrams as pictures, drawn from their runs while the pages are built.

- In the docstring of an operator, the picture comes above the text of its diagram.
- The directive ``marbles`` holds a diagram in the syntax of ``rxllm.testing.check_marbles``, for other pages; or it
  names an operator and shows the first picture of that.

A diagram that lies is a warning, and warnings fail the build; the picture shows what happens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from rxllm import operators
from rxllm.testing import check_marbles, draw_marbles

OPERATORS = "rxllm.operators."
logger = logging.getLogger(__name__)

RESULT = re.compile(r"\s+result\s\s")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register what is in here."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_directive("marbles", MarblesDirective)
    # Before napoleon, which turns the sections into fields.
    app.connect("autodoc-process-docstring", _add_pictures, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class MarblesDirective(SphinxDirective):
    """A diagram and its picture, or the picture of an operator."""

    has_content = True
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes that take its place."""
        if self.arguments:
            return [_node(_pictures(self.arguments[0])[0])]
        text = "\n".join(self.content)

        def diagram() -> None:
            """Have a docstring, as an operator has."""

        diagram.__name__ = "an example"
        diagram.__doc__ = "\n\n::\n\n" + "\n".join(f"    {line}" for line in self.content)
        return [*map(_node, _checked_pictures(diagram)), nodes.literal_block(text, text, language="text")]


def _add_pictures(app: Sphinx, what: str, name: str, *documented: Any) -> None:
    """Put the pictures of an operator into its docstring."""
    del app
    _, _, lines = documented
    if what != "function" or not name.startswith(OPERATORS):
        return
    pictures = iter(_pictures(name.removeprefix(OPERATORS)))
    lines[:] = [drawn for place, line in enumerate(lines) for drawn in _drawn(line, lines[place + 1 :], pictures)]


def _drawn(line: str, rest: list[str], pictures: Iterator[str]) -> list[str]:
    """A line of a docstring, and if a diagram begins below it, the picture."""
    if not line.endswith("::") or line.startswith(" ") or not _begins_diagram(rest):
        return [line]
    return [
        *([line.removesuffix(":"), ""] if line != "::" else []),
        ".. raw:: html",
        "",
        # In one line: what is in an indented block of several would have to be indented, too.
        "   " + _scrolling(next(pictures)).replace("\n", " "),
        "",
        ".. code-block:: text",
    ]


def _begins_diagram(rest: list[str]) -> bool:
    """Whether the indented block at the beginning of some lines has a row ``result``."""
    for line in rest:
        if line and not line.startswith(" "):
            return False
        if RESULT.match(line):
            return True
    return False


@cache
def _pictures(name: str) -> list[str]:
    return _checked_pictures(getattr(operators, name))


def _checked_pictures(operator: Callable[..., Any]) -> list[str]:
    try:
        check_marbles(operator)
    except AssertionError as error:
        logger.warning("%s", error)
    return draw_marbles(operator)


def _node(picture: str) -> nodes.raw:
    return nodes.raw("", _scrolling(picture), format="html")


def _scrolling(picture: str) -> str:
    """A picture in a box that scrolls where the window is narrower, also from the keyboard."""
    return f'<div class="marbles" style="overflow-x:auto;margin:1em 0" tabindex="0">{picture}</div>'
