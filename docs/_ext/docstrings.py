"""Docstrings as they are meant, where the tools of the documentation would read something else into them.

- ``Whether it is over: nothing follows.`` is a sentence. Napoleon takes what stands before a colon for a type, in the
  docstring of a property or of a value, and in the section on what a function returns.
- The fields of a named tuple stand in its text. Python's own docstrings for them say nothing.
- Between a parameter and its description Sphinx writes two hyphens. What makes a dash of them changes quotes, too.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.typing import ExtensionMetadata

_WITHOUT_PARAMETERS = {"attribute", "data", "property"}
_SECTIONS = {"Returns:", "Yields:"}


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register what is in here."""
    app.setup_extension("sphinx.ext.autodoc")
    # Before napoleon.
    app.connect("autodoc-process-docstring", _name_no_types, priority=400)
    app.connect("autodoc-skip-member", _skip_fields_of_tuples)
    app.add_post_transform(Dashes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class Dashes(SphinxPostTransform):
    """Writes a dash where Sphinx has written two hyphens."""

    default_priority = 500

    def run(self, **kwargs: Any) -> None:
        """Go through one page."""
        del kwargs
        for text in list(self.document.findall(nodes.Text)):
            if text == " -- ":
                text.parent.replace(text, nodes.Text(" – "))  # noqa: RUF001 - as the typesetter has it


def _name_no_types(_: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Put an empty type in front of sentences with a colon: types stand in the signature."""
    del name, thing, options
    places = [number + 1 for number, line in enumerate(lines[:-1]) if line.strip() in _SECTIONS]
    if what in _WITHOUT_PARAMETERS and lines:
        places.append(0)
    for place in places:
        sentence = lines[place].lstrip()
        lines[place] = lines[place].removesuffix(sentence) + (f": {sentence}" if ":" in sentence else sentence)


def _skip_fields_of_tuples(_: Sphinx, what: str, name: str, thing: Any, *_and_more: Any) -> bool | None:
    del what, name
    return True if str(getattr(thing, "__doc__", "")).startswith("Alias for field number") else None
