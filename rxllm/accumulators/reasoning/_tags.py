"""Pairs of tags, and where one of them stands in a text that grows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias, cast

TagPair: TypeAlias = tuple[str, str]
"""What opens a part and what closes it."""

_NAME = re.compile(r"[^\s<>/]+")
LONGEST_TAG = 100
_MOST_PAIRS = 32


def pairs_of(tag: str, tags: TagPair | Iterable[TagPair] | None) -> tuple[TagPair, ...]:
    """The pairs that were asked for: those of ``tags``, or that of the name ``tag``.

    Raises:
        ValueError: There are none, or one is not a pair, or which tag a text holds would depend on how it is cut.
    """
    if tags is None:
        if not _NAME.fullmatch(tag):
            raise ValueError(f"{tag!r} is not a name of a tag")
        return ((f"<{tag}>", f"</{tag}>"),)
    pairs = tuple(cast("Iterable[TagPair]", (tags,) if _is_pair(tags) else tags))
    if not 0 < len(pairs) <= _MOST_PAIRS or not all(map(_is_pair, pairs)):
        raise ValueError(f"tags must be one to {_MOST_PAIRS} pairs of an opening and a closing tag, not {tags!r}")
    for side in zip(*pairs, strict=True):
        _check(side)
    return pairs


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and [type(each) for each in cast("tuple[object, ...]", value)] == [str, str]


def _check(side: tuple[str, ...]) -> None:
    for tag in side:
        if not 0 < len(tag) <= LONGEST_TAG or tag != tag.strip():
            raise ValueError(f"{tag!r} is not a tag: it is empty, too long, or has white space around it")
        if any(tag in other for other in side if other != tag):
            raise ValueError(f"the tag {tag!r} is a part of another one")


class TagSet:
    """The tags that are looked for at one time.

    Args:
        tags: What they are.

    Attributes:
        start: The character that all of them begin with; ``""``, which each text has in it, if there are several.
    """

    __slots__ = ("_longest", "_pattern", "_tags", "start")

    def __init__(self, tags: Iterable[str]) -> None:
        self._tags = tuple(dict.fromkeys(tags))
        self._pattern = re.compile("|".join(map(re.escape, self._tags)))
        self._longest = max(map(len, self._tags))
        starts = {tag[0] for tag in self._tags}
        self.start = starts.pop() if len(starts) == 1 else ""

    def find(self, text: str, at: int) -> re.Match[str] | None:
        """The first tag from a place on."""
        return self._pattern.search(text, at)

    def at(self, text: str, at: int) -> re.Match[str] | None:
        """The tag at a place."""
        return self._pattern.match(text, at)

    def may_become(self, text: str) -> bool:
        """Whether a text is the beginning of a tag."""
        return any(tag.startswith(text) for tag in self._tags)

    def place_of_beginning(self, text: str, at: int) -> int:
        """Where from a place on the longest end of a text begins that may become a tag; the text's end if none does."""
        places = range(max(at, len(text) - self._longest + 1), len(text))
        return next((place for place in places if self.may_become(text[place:])), len(text))


class Tags:
    """The pairs of tags that a text may have.

    Args:
        pairs: What they are.

    Attributes:
        opening: Those that open a part.
        closing: Those that close one.
    """

    __slots__ = ("_closing", "closing", "opening")

    def __init__(self, pairs: Sequence[TagPair]) -> None:
        self.opening = TagSet(opening for opening, _ in pairs)
        self.closing = TagSet(closing for _, closing in pairs)
        self._closing = {
            opening: TagSet(closing for other, closing in pairs if other == opening) for opening, _ in pairs
        }

    def closing_of(self, opening: str) -> TagSet:
        """Those that close a part that this one opened."""
        return self._closing[opening]
