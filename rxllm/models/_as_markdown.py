"""Foreign text as Markdown for a notebook, where Markdown may hold HTML, and pictures that are fetched from anywhere.

Rules:

1. HTML becomes text, and a picture a link to it. Neither is looked for in code.
2. Code is what every reader of Markdown takes for it: between fences that begin their lines, or between marks within a
   line and a cell. Of other code the signs of HTML are written as entities, which can be seen there.
3. Behind a mark that nothing closes in its cell, up to the end of the paragraph, what looks like code may be none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rxllm.harmless import harmless, printable

_opening = re.compile(r"(`{3,})[^`]*\Z|(~{3,}).*\Z").match
_code = re.compile(r"(?<![`\\])(`+)(?!`)[^|]*?(?<!`)\1(?!`)")
_ENTITIES = (("<", "&lt;"), ("![", "&#33;["))
_LONGEST = 2_000


def as_markdown(text: str) -> str:
    """A foreign text that may be shown as Markdown.

    >>> as_markdown("A <b>bold</b> ![picture](https://example.org/p.png) and `a<b`.")
    'A &lt;b>bold&lt;/b> &#33;[picture](https://example.org/p.png) and `a<b`.'
    """
    return "\n".join(_lines(printable(text).split("\n")))


def as_code(text: str) -> str:
    """The start of a foreign text as code within a line.

    >>> as_code("a`b")
    '`` a`b ``'
    """
    shown = harmless(text, _LONGEST).replace("|", "¦")
    marks = "`" * (1 + max((len(found) for found in re.findall("`+", shown)), default=0))
    blank = " " if "`" in shown or not shown.strip() else ""
    return f"{marks}{blank}{shown}{blank}{marks}"


def _lines(lines: list[str]) -> Iterator[str]:
    closing: re.Pattern[str] | None = None
    is_open = False  # whether a mark of code waits for another one
    for line in lines:
        if closing is not None:
            yield line
            closing = None if closing.match(line) else closing
        elif found := _opening(line):
            marks = found[1] or found[2]
            yield marks + _without_html(line[len(marks) :])
            closing = re.compile(rf" {{0,3}}{marks}{marks[0]}*[ \t]*\Z")
            is_open = False
        else:
            is_open = is_open and bool(line.strip(" \t"))
            code = 0 if is_open else _end_of_code(line)
            yield _with_code(line[:code]) + _without_html(line[code:])
            is_open = is_open or "`" in line[code:]


def _end_of_code(line: str) -> int:
    """Up to where each mark of code has the one that closes it."""
    end = 0
    for found in _code.finditer(line):
        if "`" in line[end : found.start()]:
            break
        end = found.end()
    return end


def _with_code(text: str) -> str:
    shown, end = "", 0
    for found in _code.finditer(text):
        shown += _without_html(text[end : found.start()]) + found[0]
        end = found.end()
    return shown + _without_html(text[end:])


def _without_html(text: str) -> str:
    for sign, entity in _ENTITIES:
        text = text.replace(sign, entity)
    return text
