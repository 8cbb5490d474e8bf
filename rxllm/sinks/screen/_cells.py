"""How many columns a text takes.

Terminals disagree about emoji that are put together and about new characters. What counts here is the most that any of
them takes, so that a row never goes on in the next one: then it is certain how far up a row is.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import get_character_cell_size

_TAB = "    "
# Characters newer than somebody's table: Tangut and Khitan, pictures, ideographs.
_WIDE = ((0x17000, 0x18FFF), (0x1F000, 0x1FAFF), (0x20000, 0x3FFFD))
# Makes a picture of the character in front of it, and with that a wide one, or takes a column where nobody knows it.
_PICTURE = "\ufe0f"
_SOFT_HYPHEN = "\u00ad"
# What has no column anywhere. Vowel signs that stand beside their letter, as in Devanagari, have one on some terminals.
_NO_COLUMN = {"Mn", "Me", "Cf"}
_JOINER = "\u200d"
# Two of these are a flag.
_FLAG_LETTERS = ("\U0001f1e6", "\U0001f1ff")
# What else belongs to the character in front of it: vowels and ends of Hangul, colours of skin, tags.
_BELONGING = (
    ("\u1160", "\u11ff"),
    ("\ud7b0", "\ud7fb"),
    ("\U0001f3fb", "\U0001f3ff"),
    ("\U000e0020", "\U000e007f"),
)


@lru_cache(maxsize=4096)
def _cells_of(character: str) -> int:
    if character in {_PICTURE, _SOFT_HYPHEN}:
        return 1
    if any(first <= ord(character) <= last for first, last in _WIDE):
        return 2
    size: int = get_character_cell_size(character)
    if unicodedata.category(character) in _NO_COLUMN:
        return size
    return max(size, 2 if unicodedata.east_asian_width(character) in "WF" else 1)


def cells(text: str) -> int:
    """How many columns a text without line ends takes at most."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def is_certain(text: str) -> bool:
    """Whether all terminals agree how many columns the text takes."""
    return text.isascii() or all(character < "\u0300" and character != _SOFT_HYPHEN for character in text)


def head(text: str, room: int) -> int:
    """How many characters of a text have room in so many columns: one at least, and what belongs together stays so.

    What has no room by itself is cut nevertheless.
    """
    taken = 0
    for place, character in enumerate(text):
        taken += _cells_of(character)
        if taken > room and place:
            start = place
            while is_within(text, start):
                start -= 1
            return start or place
    return len(text)


def is_within(text: str, place: int) -> bool:
    """Whether what stands at a place of a text belongs to what is in front of it."""
    if not 0 < place < len(text):
        return False
    character = text[place]
    if _JOINER in text[place - 1 : place + 1] or unicodedata.category(character).startswith("M"):
        return True
    if any(first <= character <= last for first, last in _BELONGING):
        return True
    start = place
    while start >= 0 and _FLAG_LETTERS[0] <= text[start] <= _FLAG_LETTERS[1]:
        start -= 1
    return (place - start) % 2 == 0 and start < place


def cut(text: str, room: int) -> str:
    """A text, or its start with an ellipsis if it takes more than so many columns."""
    return text if cells(text) <= room else text[: head(text, max(1, room - 1))] + "…"


def cut_front(text: str, room: int) -> str:
    """A text, or its end behind an ellipsis."""
    return text if cells(text) <= room else "…" + text[::-1][: head(text[::-1], max(1, room - 1))][::-1]


def without_tabs(text: str) -> str:
    """A text whose tabs are blanks."""
    return text.replace("\t", _TAB)
