r"""Finds words in a text however they are spelled there: as they are, or escaped as URLs, JSON or HTML do it.

Rules:

1. Upper and lower case do not matter: media types, for one, are shown in lower case.
2. Escapes may stand for any character, be mixed, and be escaped themselves: ``%2F``, ``%252f``, ``\/``, ``\\u002F``,
   ``&#x2f;`` are all a slash.
3. Where a text was cut, at its end or before ``…``, the beginning of a word counts, too.

>>> text = r'no key a\u002fkey%2Dof me'
>>> [text[start:end] for start, end in find(text, ["a/key-of"])]
['a\\u002fkey%2Dof']
"""

from __future__ import annotations

import bisect
import html
import re
import string
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

Span: TypeAlias = tuple[int, int]

MAX_ESCAPED_CHARACTERS = 1024 * 1024
"""How much of a text with escapes is looked through: each of them takes a moment."""

SHORTEST_BEGINNING = 8
"""How much of a word has to be there where a text was cut."""

# No spelling of a character is longer than this, unless it was escaped very often.
_LONGEST_ESCAPE = 32
_MAX_CUTS = 100

# Backslashes are escaped by backslashes, percent signs as %25. A run of percent escapes is one, for a character may
# have several bytes.
_ESCAPE = re.compile(
    r"""\\+u(?:d[89ab][0-9a-f]{2}\\+ud[c-f][0-9a-f]{2} | [0-9a-f]{4})
      | \\+x[0-9a-f]{2}
      | \\+(?P<plain>[^\\ux]|\\)
      | (?:%(?:25)*[0-9a-f]{2})+
      | &(?:\#0*\d{1,6} | \#x0*[0-9a-f]{1,6} | amp | lt | gt | quot | apos);""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_BEGUN_ESCAPE = re.compile(
    r"""(?:\\+(?:u[0-9a-f]{0,3}(?:(?<=d[89ab])[0-9a-f]{2}\\*u?[0-9a-f]{0,3})? | x[0-9a-f]?)?
      | (?:%(?:25)*[89a-f][0-9a-f]){0,3}(?:%(?:25)*[0-9a-f]?)? | &(?:\#x?[0-9a-f]*|[a-z]{0,4}))\Z""",
    re.IGNORECASE | re.VERBOSE,
)
_HEX = re.compile(r"[ux]([0-9a-f]+)", re.IGNORECASE)
_CUT = re.compile(r"['\"]?(?:…|\.\.\.)|['\")\]}]{1,3}\Z")
_LOWER_CASE = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_LETTERS = re.compile(r"[A-Za-z0-9]+")


def find(text: str, words: Collection[str], *, was_cut: bool = True) -> list[Span]:
    """Where the words are, in whatever spelling; spans may overlap.

    Args:
        text: Where to look.
        words: What to look for, none of them empty.
        was_cut: Whether the text may have been cut.

    Returns:
        Start and end of each place, from the left. In a text of very many characters, some of them escaped, all behind
        the first million is taken for one place.
    """
    folded = _folded(text)
    if not any(_may_hold(folded, word) for word in words):
        return []
    spans = list(_find_plain(text, _with_plus(words), was_cut=was_cut))
    if _ESCAPE.search(text) is not None:
        unescaped = Unescaped(text[:MAX_ESCAPED_CHARACTERS])
        found = _find_plain(unescaped.text, _unescaped_too(words), was_cut=was_cut)
        spans += [unescaped.place_of(*span) for span in found]
        if len(text) > MAX_ESCAPED_CHARACTERS:
            spans.append((MAX_ESCAPED_CHARACTERS, len(text)))
    return sorted(spans)


def blot(text: str, spans: Iterable[Span], *, with_as_many: str = "") -> str:
    """The text with one ``…`` in the place of each span, or with as many of a character as the span has."""
    pieces: list[str] = []
    done = 0
    for start, end in spans:
        if end > done:
            if start >= done or not pieces:
                pieces += text[done:start], "" if with_as_many else "…"
            pieces.append(with_as_many * (end - max(start, done)))
            done = end
    return "".join([*pieces, text[done:]]) if pieces else text


def begun_at_end(text: str, words: Collection[str]) -> int:
    """How many characters at the end may be the beginning of a word, in whatever spelling."""
    tail = text[-_LONGEST_ESCAPE * max(map(len, words), default=0) :]
    unescaped = Unescaped(_without_begun_escape(tail))
    plain = _folded(unescaped.text)
    lengths = (overlap(plain, _folded(word), 1) for word in _unescaped_too(words))
    starts = [unescaped.place_of(len(plain) - length, len(plain))[0] for length in lengths if length]
    return len(tail) - min(starts, default=len(unescaped.source))


def _folded(text: str) -> str:
    """The text in lower case: letters of ASCII, for others may be as many letters more."""
    return text.translate(_LOWER_CASE)


def overlap(text: str, word: str, shortest: int) -> int:
    """How many characters the end of a text and the beginning of a word share; 0 for fewer than the shortest.

    The whole word does not count.
    """
    tail = text[-(len(word) - 1) :] if len(word) > 1 else ""
    start = tail.find(word[:shortest])
    while start >= 0 and not word.startswith(tail[start:]):
        start = tail.find(word[:shortest], start + 1)
    return len(tail) - start if start >= 0 else 0


def _without_begun_escape(text: str) -> str:
    escape = _BEGUN_ESCAPE.search(text, max(0, len(text) - _LONGEST_ESCAPE))
    return text if escape is None else text[: escape.start()]


def _unescaped_too(words: Iterable[str]) -> set[str]:
    """The words, and what they become without escapes: one may have in it what looks like an escape."""
    return _with_plus(words) | {Unescaped(word).text for word in words}


def _with_plus(words: Iterable[str]) -> set[str]:
    """The words, and as forms have them: a space is a plus sign there."""
    return {spelling for word in words for spelling in (word, word.replace(" ", "+"))}


def _may_hold(text: str, word: str) -> bool:
    """Whether a closer look is worth while: letters and digits are seldom escaped."""
    letters = max(_LETTERS.findall(word[:SHORTEST_BEGINNING]), key=len, default="")
    return _folded(letters) in text or "%" in text or r"\u00" in text or r"\x" in text or "&#" in text


def _find_plain(text: str, words: Iterable[str], *, was_cut: bool) -> Iterator[Span]:
    cuts: list[int] = []
    text = _folded(text)
    for word in map(_folded, words):
        start = text.find(word)
        while start >= 0:
            yield start, start + len(word)
            start = text.find(word, start + len(word))
        if was_cut and len(word) > SHORTEST_BEGINNING and word[:SHORTEST_BEGINNING] in text:
            cuts = cuts or [*(cut.start() for cut in islice(_CUT.finditer(text), _MAX_CUTS)), len(text)]
            for cut in cuts:
                rest = text[max(0, cut - len(word) - _LONGEST_ESCAPE) : cut]
                # An escape may have been cut, too.
                whole = _without_begun_escape(rest)
                if length := overlap(whole, word, SHORTEST_BEGINNING):
                    yield cut - len(rest) + len(whole) - length, cut


class Unescaped:
    """A text without escapes, which knows where each place of it comes from.

    Args:
        source: The text.

    Attributes:
        source: The same.
        text: What it stands for.
    """

    __slots__ = ("_pieces", "_starts", "source", "text")

    def __init__(self, source: str) -> None:
        self.source = source
        # Of each piece: where it begins in the source and in the text, and whether it is an escape.
        pieces: list[tuple[int, int, bool]] = [(0, 0, False)]
        texts: list[str] = []
        done = length = 0
        for escape in _ESCAPE.finditer(source):
            length += escape.start() - done
            meaning = _meaning_of(escape)
            texts += source[done : escape.start()], meaning
            pieces.append((escape.start(), length, True))
            length += len(meaning)
            done = escape.end()
            pieces.append((done, length, False))
        self._pieces = pieces
        self._starts = [start for _, start, _ in pieces]
        self.text = "".join([*texts, source[done:]])

    def place_of(self, start: int, end: int) -> Span:
        """Where what is between these places of ``text`` comes from; an escape is not divided."""
        first = bisect.bisect_right(self._starts, start) - 1
        last = bisect.bisect_left(self._starts, end) - 1
        return self._source_of(start, first, first), self._source_of(end, last, last + 1)

    def _source_of(self, place: int, piece: int, of_escape: int) -> int:
        source_start, start, is_escape = self._pieces[piece]
        return self._pieces[of_escape][0] if is_escape else source_start + place - start


def _meaning_of(escape: re.Match[str]) -> str:
    spelled = escape.group()
    if (plain := escape["plain"]) is not None:
        return plain
    if spelled[0] == "\\":
        units = [int(unit, 16).to_bytes(2, "little") for unit in _HEX.findall(spelled)]
        return b"".join(units).decode("utf-16-le", "replace")
    if spelled[0] == "%":
        return unquote_to_bytes(re.sub("%(?:25)+", "%", spelled)).decode(errors="replace")
    return html.unescape(spelled)
