"""Arguments of a call that come in pieces, each with the path of what it belongs to.

Rules:

1. A piece is ``{"jsonPath", "stringValue" | "numberValue" | "boolValue" | "nullValue", "willContinue"}``. A string that
   goes on gains the next piece of its path; any other value is there at once.
2. A path is ``$``, names with dots before them or in brackets, and numbers in brackets. What is missing on the way is
   made: an object for a name, a list for a number.
3. Lists are filled in order, and no place in one is left out, so nothing is made of a large number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from rxllm.exceptions import excerpt
from rxllm.models import is_list, is_object

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_ESCAPED = re.compile(r"\\(.)")
_MAX_DEPTH = 100
_VALUES = ("stringValue", "numberValue", "boolValue")


class PartialArguments:
    """The arguments of one call, while they come.

    Attributes:
        value: What there is of them.
    """

    def __init__(self) -> None:
        self.value: dict[str, Any] = {}

    def add(self, piece: Mapping[str, Any]) -> None:
        """Take a piece.

        Raises:
            ValueError: It fits nowhere.
        """
        path = piece.get("jsonPath")
        steps = _steps(path) if isinstance(path, str) else []
        if not steps:
            raise ValueError(f"a piece of arguments has no path: {excerpt(str(path))}")
        holder: Any = self.value
        for step, following in pairwise(steps):
            holder = _entered(holder, step, following)
        _put(holder, steps[-1], _value_of(piece))


def _steps(path: str) -> list[str | int]:
    if not path.startswith("$"):
        return []
    steps: list[str | int] = []
    at = 1
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
    found = next((piece[name] for name in _VALUES if piece.get(name) is not None), None)
    if isinstance(found, float) and found.is_integer():
        return int(found)
    return found


def _entered(holder: Any, step: str | int, following: str | int) -> Any:
    """What is at a step, made if it is missing."""
    new: Any = [] if isinstance(following, int) else {}
    inner = _at(holder, step)
    if inner is None:
        _put(holder, step, new)
        inner = new
    return inner


def _at(holder: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return holder[step] if is_list(holder) and step < len(holder) else None
    return holder.get(step) if is_object(holder) else None


def _put(holder: Any, step: str | int, value: Any) -> None:
    before = _at(holder, step)
    if isinstance(before, str) and isinstance(value, str):
        value = before + value
    if isinstance(step, int) and isinstance(holder, list):
        if step < len(holder):  # pyright: ignore[reportUnknownArgumentType]
            holder[step] = value
        elif step == len(holder):  # pyright: ignore[reportUnknownArgumentType]
            holder.append(value)  # pyright: ignore[reportUnknownMemberType]
        else:
            raise ValueError(f"a piece of arguments is for place {step} of a list that has {len(holder)}")  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(step, str) and isinstance(holder, dict):
        holder[step] = value
    else:
        raise ValueError(f"a piece of arguments is for {excerpt(str(step))} of what has no such place")  # noqa: TRY004 - the piece is wrong
