"""Signatures as they are written, not as Python keeps them.

- Of ``Annotated[X, …]`` the reader wants ``X``: what else is in it is for pydantic, and the text says it.
- A default that a factory makes is ``...``, and a type variable its name. (Sphinx cannot read a signature with
  ``<factory>`` or ``~typing.~P`` in it, and then leaves out the links.)
- A protocol is not called, and ``**extra_data`` of a model is how pydantic writes that further fields are kept.
- A JSON value, which is written out to a bounded depth for the decoder, is ``Any``.
- Where a thing is defined is no name of it: ``rxllm.models._repair.Repair`` is ``Repair``.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.typing import ExtensionMetadata

_ANNOTATED = re.compile(r"(?:~?\w+\.)?\bAnnotated\[")
_DEFINED_IN = re.compile(r"\brxllm(?:\.\w+)*?\._\w+\.")
_VARIABLE = re.compile(r"~(?:typing\.)?~?(?=[A-Z]\b)")
_EXTRA_DATA = re.compile(r", \*\*extra_data: ~?(?:typing\.)?Any")
_SCALAR = "str | int | float | bool | None"
_OPENING, _CLOSING = "([{", ")]}"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register what is in here."""
    app.connect("autodoc-process-signature", _simplify)
    # Behind napoleon, which writes the types of attributes into the text.
    app.connect("autodoc-process-docstring", _simplify_types, priority=600)
    app.add_post_transform(ShortenNames)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class ShortenNames(SphinxPostTransform):
    """Leaves out where a thing is defined, in signatures, values of aliases, and types of attributes."""

    default_priority = 4

    def run(self, **kwargs: Any) -> None:
        """Go through one page."""
        del kwargs
        for part in self.document.findall(
            lambda node: isinstance(node, (addnodes.desc_signature, addnodes.literal_emphasis, nodes.emphasis))
        ):
            for text in list(part.findall(nodes.Text)):
                shortened = _DEFINED_IN.sub("", _without_annotated(text.astext()))
                if shortened != text.astext():
                    text.parent.replace(text, nodes.Text(shortened))
        for paragraph in self.document.findall(nodes.paragraph):
            if paragraph.astext().startswith("alias of Annotated["):
                _unwrap(paragraph)


def _unwrap(paragraph: nodes.paragraph) -> None:
    """Leave of ``alias of Annotated[X, …]`` only ``X``, links and all."""
    annotated, bracket, *_, last = paragraph.children[1:]
    paragraph.remove(annotated)
    paragraph.remove(bracket)
    paragraph.replace(last, nodes.Text(last.astext().partition(", FieldInfo(")[0]))


def _simplify(*event: Any) -> tuple[str | None, str | None]:
    """The signature and what is returned, as they are to be shown."""
    _app, _what, _name, subject, _options, signature, returned = event
    if getattr(subject, "_is_protocol", False):
        return "", None
    if signature is not None:
        signature = _EXTRA_DATA.sub("", _without_annotated(signature)).replace("<factory>", "...")
        signature = _with_any(_VARIABLE.sub("", signature))
    return signature, returned and _without_annotated(returned)


def _simplify_types(*event: Any) -> None:
    """Shorten the types in the text of an object, in place."""
    lines: list[str] = event[-1]
    lines[:] = [_with_any(line) for line in lines]


def _with_any(text: str) -> str:
    """The text with ``Any`` for each JSON value, from the innermost ones outwards."""
    text = text.replace(f"{_SCALAR} | list[{_SCALAR}] | dict[str, {_SCALAR}]", "Any")
    while (nested := f"{_SCALAR} | list[Any] | dict[str, Any]") in text:
        text = text.replace(nested, "Any")
    return text


def _without_annotated(text: str) -> str:
    """The text with ``X`` for each ``Annotated[X, …]``, however many stand within each other."""
    while found := _ANNOTATED.search(text):
        comma = _end_of_part(text, found.end(), ",")
        end = _end_of_part(text, comma, "]")
        text = text[: found.start()] + text[found.end() : comma] + text[end + 1 :]
    return text


def _end_of_part(text: str, start: int, end: str) -> int:
    """Where a character stands that is not within brackets that open behind the start."""
    depth = 0
    for place in range(start, len(text)):
        if depth == 0 and text[place] == end:
            return place
        depth += (text[place] in _OPENING) - (text[place] in _CLOSING)
    raise ValueError(f"no {end!r} behind character {start} of {text!r}")
