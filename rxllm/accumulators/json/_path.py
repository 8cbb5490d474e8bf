"""Paths into JSON, and what is found under them while it grows.

A path is a subset of JSONPath (RFC 9535): names, numbers of elements and ``*``. ``$`` for the whole may stand before
it. ``edits[*].text``, ``$.edits[*].text`` and ``$['edits'][*]['text']`` are the same.

>>> JSONPath("edits[*].text").matches(("edits", 3, "text"))
True
>>> JSONPath("$").matches(())
True
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from rxllm.models import JSONKeys

# RFC 9535, sections 2.3 and 2.5.1: shorthand names, names in brackets, wildcards, indexes.
_STEP = re.compile(r"""\.?([^\W\d]\w*|\*)|\[(?:(\*)|(0|[1-9]\d*)|'([^'\\]*)'|"([^"\\]*)")\]""")


class JSONPath:
    """A path, ready to be compared.

    Args:
        pattern: The path.

    Attributes:
        into_array: Whether it begins with an element.
        pattern: The path as it was given.

    Raises:
        ValueError: It is none, or more than is known here.
    """

    __slots__ = ("_fixed", "_length", "_pick", "into_array", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        steps = _steps(pattern)
        self.into_array = bool(steps) and not isinstance(steps[0], str)
        self._length = len(steps)
        places = [place for place, step in enumerate(steps) if step is not None]
        self._pick: Callable[[Sequence[Any]], Any] = itemgetter(*places) if places else itemgetter(slice(0))
        self._fixed = self._pick(tuple(steps))

    def matches(self, path: JSONKeys) -> bool:
        """Whether a value is under this path."""
        return len(path) == self._length and self._pick(path) == self._fixed


class PathFilter:
    """Several paths over one text: which of them each change is under.

    Args:
        paths: The paths.

    Attributes:
        path: Of which value that was asked last.
        found: What the answer was.
    """

    __slots__ = ("_paths", "found", "path")

    def __init__(self, paths: Sequence[JSONPath]) -> None:
        self._paths = paths
        self.path: JSONKeys | None = None
        self.found: list[str] = []

    def patterns(self, path: JSONKeys) -> list[str]:
        """The paths that a value is under, in the order in which they were given."""
        # The pieces of a string have one path object: a long string is compared once.
        if path is not self.path:
            self.path = path
            self.found = [each.pattern for each in self._paths if each.matches(path)]
        return self.found


def _steps(pattern: str) -> list[str | int | None]:
    at = int(pattern.startswith("$"))
    steps: list[str | int | None] = []
    while at < len(pattern):
        match = _STEP.match(pattern, at)
        # Only at the very beginning a name needs no dot.
        if match is None or (at > 0 and pattern[at] not in ".["):
            raise ValueError(f"not a path, or an unsupported kind of path, at {at}: {pattern!r}")
        name, star, number, single, double = match.groups()
        if name == "*" or star:
            steps.append(None)
        elif number:
            steps.append(int(number))
        else:
            steps.append(next(each for each in (name, single, double) if each is not None))
        at = match.end()
    if not steps and pattern != "$":
        raise ValueError("a path must name something; $ is the whole JSON")
    return steps
