r"""Text in which a part stands between tags, taken apart while it grows.

Rules:

1. ``<tag>`` begins such a part and ``</tag>`` ends it, exactly these characters. Within a part ``<tag>`` is text,
   outside ``</tag>`` is.
2. A part that is never closed goes on to the end.
3. The end of a fragment that may be the beginning of the next tag is held back, and nothing else: at most the tag but
   for one character.
4. Whatever the fragmentation, the two texts are the same, and no character is lost.

>>> text = TaggedText("think")
>>> for fragment in ("<thi", "nk>Hm.</think", ">Yes: 1 <", " 2"):
...     print(text.add(fragment))
Parted(outside='', inside='')
Parted(outside='', inside='Hm.')
Parted(outside='Yes: 1 ', inside='')
Parted(outside='< 2', inside='')
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TAG = re.compile(r"[^\s<>/]+")


class Parted(NamedTuple):
    """Text, taken apart.

    Attributes:
        outside: What stands outside of the tags.
        inside: What stands between them.
    """

    outside: str
    inside: str


class TaggedText:
    """One growing text.

    Args:
        tag: The name in the tags.
        inside: Whether it begins between the tags, the first of which it lacks then.

    Raises:
        ValueError: ``tag`` is empty or has white space, ``<``, ``>`` or ``/`` in it.

    Attributes:
        held: The end of the text so far, if it may be the beginning of a tag.
        inside: Whether the text stands between the tags.
    """

    __slots__ = ("_tags", "held", "inside")

    def __init__(self, tag: str, *, inside: bool = False) -> None:
        if not _TAG.fullmatch(tag):
            raise ValueError(f"{tag!r} is no name of a tag")
        self._tags = (f"<{tag}>", f"</{tag}>")
        self.inside: bool = inside
        self.held: str = ""

    def add(self, fragment: str) -> Parted:
        """Take the next fragment; returns what is certain by now."""
        if not self.held and "<" not in fragment:
            return Parted("", fragment) if self.inside else Parted(fragment, "")
        parts: tuple[list[str], list[str]] = ([], [])
        text = self.held + fragment
        at = 0
        while (found := text.find(self._tags[self.inside], at)) >= 0:
            parts[self.inside].append(text[at:found])
            at = found + len(self._tags[self.inside])
            self.inside = not self.inside
        self.held = _beginning_of(self._tags[self.inside], text[at:])
        parts[self.inside].append(text[at : len(text) - len(self.held)])
        return Parted("".join(parts[0]), "".join(parts[1]))

    def close(self) -> Parted:
        """Take note that the text has ended; returns what was held back."""
        held, self.held = self.held, ""
        return Parted("", held) if self.inside else Parted(held, "")

    feed = add
    flush = close
    """The names that ``add`` and ``close`` had in 0.1."""


def _beginning_of(tag: str, text: str) -> str:
    """The longest end of a text that is the beginning of a tag, but not the whole of it."""
    # A tag has one "<", its first character: so there is one place where it can begin.
    start = text.rfind("<", -len(tag))
    return text[start:] if start >= 0 and tag.startswith(text[start:]) else ""
