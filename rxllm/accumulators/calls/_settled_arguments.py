"""What the text of a call's arguments comes to.

Rules:

1. Arguments are one JSON object. What says nothing and stands before it (``{}``, ``null``, an empty string) is a
   placeholder. If nothing else comes, the arguments are the empty object.
2. The same object again, in whatever format, is a repetition. Another value behind it is an error: two calls in one.
3. An object that is encoded twice, so that the text is a string, is decoded.
4. What the model garbled stays as it is: who reads the arguments is told.
5. How the text was cut into fragments changes nothing.

>>> settle('{}{"q": 1}').text, settle('{"q": 1}{"q":1}').text, settle('"{}"').text, settle("null").text
('{"q": 1}', '{"q": 1}', '{}', '{}')
>>> settle('{"q": 1}{"q": 2}').is_one
False
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import dropwhile
from typing import Any, NamedTuple

from rxllm.models import is_list, is_object, without_lone_surrogates

PLACEHOLDER = "arguments-placeholder"
REPEATED = "arguments-repeated"
DECODED = "arguments-decoded"
_EMPTY = "arguments-empty"

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*+")
_NOTHING = r'(?:\{\s*+\}|null|"")\s*+'
_PLACEHOLDERS = re.compile(rf'\s*+(?:{_NOTHING})+(?=[{{"])')
_LONGEST_PLACEHOLDER = 1000
_ONLY_NOTHING = re.compile(rf"\s*+(?:{_NOTHING})*+")


class Settled(NamedTuple):
    """What arguments come to.

    Attributes:
        text: The arguments.
        kinds: What was put right in them: kinds of ``rxllm.Repair``.
        is_one: Whether they are one value; the text of several is as it came.
    """

    text: str
    kinds: tuple[str, ...] = ()
    is_one: bool = True


class _Value(NamedTuple):
    """One of the values in a text: the text of it, once it was decoded, and what it stands for."""

    text: str
    value: Any
    is_decoded: bool = False

    @property
    def says_nothing(self) -> bool:
        return self.value is None or (is_object(self.value) and not self.value)


def settle(text: str) -> Settled:
    """What the whole text of the arguments comes to: see the rules of this module."""
    values = list(_values(text))
    said = list(dropwhile(lambda each: each.says_nothing, values))
    if not said:
        return _settle_nothing(text, values)
    first, *more = said
    if not is_object(first.value):
        return Settled(text, is_one=not _begins_anew(more))
    if not all(each.text == first.text or is_same(first.value, each.value) for each in more):
        return Settled(text, is_one=not _begins_anew(more))
    dropped = len(values) - len(said), len(more), first.is_decoded
    kinds = tuple(kind for kind, count in zip((PLACEHOLDER, REPEATED, DECODED), dropped, strict=True) if count)
    return Settled(first.text if kinds else text, kinds)


def _settle_nothing(text: str, values: list[_Value]) -> Settled:
    """What it comes to if all that stands in it says nothing."""
    if not any(is_object(each.value) for each in values):
        return Settled("{}", (_EMPTY,))
    if len(values) == 1 and not values[0].is_decoded:
        return Settled(text)
    return Settled("{}", (PLACEHOLDER if len(values) > 1 else DECODED,))


def _begins_anew(more: list[_Value]) -> bool:
    """Whether another object, list or text begins behind a first value; otherwise that is a mistake of the model."""
    return bool(more) and more[0].text[:1] in {"{", "[", '"'}


def _values(text: str) -> Iterator[_Value]:
    """The values in a text, one behind the other; what is not JSON is the last one."""
    at = _end_of_space(text, 0)
    while at < len(text):
        value, end = _read(text, at)
        yield _decoded(text[at:end], value)
        at = _end_of_space(text, end)


class _Garbled:
    """What a text stands for that is not JSON: the same as nothing else."""


def _read(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return _Garbled(), len(text)


def _decoded(text: str, value: Any) -> _Value:
    """A value, or what is encoded in it if it is a string."""
    if not isinstance(value, str):
        return _Value(text, value)
    inner = without_lone_surrogates(value)
    start = _end_of_space(inner, 0)
    if start == len(inner):
        return _Value(inner, None)
    found, end = _read(inner, start)
    if _end_of_space(inner, end) < len(inner):
        return _Value(text, value)
    said = _decoded(inner, found)
    return said._replace(is_decoded=True) if said.says_nothing or is_object(said.value) else _Value(text, value)


def _end_of_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def without_placeholders(text: str) -> str:
    """The start of arguments, without the placeholders before it if something has come behind them."""
    match = _PLACEHOLDERS.match(text)
    return text[match.end() :] if match else text


class Placeholders:
    """The fold of what stands before arguments; sees each character a bounded number of times.

    Attributes:
        is_blank: Whether nothing but white space has come.
        unsaid: What has come behind all placeholders that were whole; of a long text the start.
    """

    __slots__ = ("is_blank", "unsaid")

    def __init__(self) -> None:
        self.is_blank = True
        self.unsaid = ""

    def add(self, text: str) -> None:
        """Go on with the next piece."""
        self.is_blank = self.is_blank and not text.strip()
        if len(self.unsaid) < _LONGEST_PLACEHOLDER:
            grown = self.unsaid + text
            match = _ONLY_NOTHING.match(grown)
            self.unsaid = grown[match.end() if match else 0 :]


def says_nothing(text: str) -> bool:
    """Whether arguments have said nothing so far."""
    return _ONLY_NOTHING.fullmatch(text) is not None


def is_same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: the order of members, and how a number is written, is no matter."""
    try:
        return _is_same(one, other)
    except RecursionError:
        return False


def _is_same(one: Any, other: Any) -> bool:
    if is_object(one) and is_object(other):
        return one.keys() == other.keys() and all(_is_same(value, other[name]) for name, value in one.items())
    if is_list(one) and is_list(other):
        return len(one) == len(other) and all(map(_is_same, one, other))
    # In Python 1 is True.
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)
