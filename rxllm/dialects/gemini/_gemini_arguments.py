"""Arguments of a call that come in pieces, each with the path of what it belongs to.

Rules:

1. A piece is ``{"jsonPath", "stringValue" | "numberValue" | "boolValue" | "nullValue", "willContinue"}``. A string
   gains the next string of its path; any other value is there at once. A piece without a value says nothing.
2. A path is ``$``, names with dots before them or in brackets, and numbers in brackets. What is missing on the way is
   made: an object for a name, a list for a number.
3. Lists are filled in order, and no place in one is left out, so nothing is made of a large number.
4. A string is put together at the end, so that many pieces of one cost no more than their text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

from rxllm.exceptions import excerpt
from rxllm.models import is_list, is_object

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_ESCAPED = re.compile(r"\\(.)")
_MAX_DEPTH = 100
_NOTHING = object()


class _Pieces(list[str]):
    """A string that may go on."""


class PartialArguments:
    """The arguments of one call, while they come.

    Args:
        given: What came of them at once.
    """

    __slots__ = ("_root",)

    def __init__(self, given: object) -> None:
        self._root: dict[str, Any] = dict(given) if is_object(given) else {}

    @property
    def value(self) -> dict[str, Any]:
        """What there is of them."""
        return cast("dict[str, Any]", _joined(self._root))

    def add(self, piece: Mapping[str, Any]) -> None:
        """Take a piece.

        Raises:
            ValueError: It fits nowhere.
        """
        path = piece.get("jsonPath")
        steps = _steps(path) if isinstance(path, str) else []
        if not steps:
            raise ValueError(f"a piece of arguments has no path: {excerpt(str(path))}")
        value = _value_of(piece)
        if value is _NOTHING:
            return
        holder: Any = self._root
        for step, following in pairwise(steps):
            holder = _entered(holder, step, following)
        _put(holder, steps[-1], value)


def _steps(path: str) -> list[str | int]:
    """The steps of a path; none if it is not one."""
    steps: list[str | int] = []
    at = 1 if path.startswith("$") else len(path) + 1
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or len(steps) >= _MAX_DEPTH:
            return []
        name, number, single, double = found.groups()
        quoted = single if single is not None else double
        steps.append(int(number) if number is not None else name or _ESCAPED.sub(r"\1", quoted or ""))
        at = found.end()
    return steps


def _value_of(piece: Mapping[str, Any]) -> Any:
    if isinstance(text := piece.get("stringValue"), str):
        return _Pieces([text])
    number = piece.get("numberValue")
    if isinstance(number, int | float):
        return int(number) if isinstance(number, float) and number.is_integer() else number
    if isinstance(truth := piece.get("boolValue"), bool):
        return truth
    return None if "nullValue" in piece else _NOTHING


def _entered(holder: Any, step: str | int, following: str | int) -> Any:
    """What is at a step, made if it is missing."""
    inner = _at(holder, step)
    if inner is None:
        inner = cast("Any", [] if isinstance(following, int) else {})
        _put(holder, step, inner)
    return inner


def _at(holder: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return holder[step] if _is_list(holder) and step < len(holder) else None
    return holder.get(step) if is_object(holder) else None


def _put(holder: Any, step: str | int, value: Any) -> None:
    before = _at(holder, step)
    if isinstance(before, _Pieces) and isinstance(value, _Pieces):
        before += value
    elif isinstance(step, str) and is_object(holder):
        cast("dict[str, Any]", holder)[step] = value
    elif isinstance(step, int) and _is_list(holder) and step <= len(holder):
        # One more, or another value in its place.
        holder[step : step + 1] = [value]
    else:
        raise ValueError(f"a piece of arguments is for {excerpt(str(step))} of what has no such place")


def _is_list(value: Any) -> bool:
    return is_list(value) and not isinstance(value, _Pieces)


def _joined(value: Any) -> Any:
    """A value with its strings put together."""
    if isinstance(value, _Pieces):
        return "".join(value)
    if is_object(value):
        return {name: _joined(each) for name, each in value.items()}
    return [_joined(each) for each in value] if is_list(value) else value
