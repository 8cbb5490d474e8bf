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
from collections.abc import Sequence

from rxllm.models import JSONChange
from rxllm.models._progress import JSONKeys

__all__ = ["JSONPath", "PathFilter"]

# RFC 9535, sections 2.3 and 2.5.1: shorthand names, names in brackets, wildcards, indexes.
_STEP = re.compile(r"""\.?([^\W\d]\w*|\*)|\[(?:(\*)|(0|[1-9]\d*)|'([^'\\]*)'|"([^"\\]*)")\]""")


class JSONPath:
    """A path, ready to be compared.

    Args:
        pattern: The path.

    Attributes:
        pattern: The path as it was given.

    Raises:
        ValueError: It is none, or more than is known here.
    """

    __slots__ = ("_steps", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._steps: tuple[str | int | None, ...] = tuple(_steps(pattern))

    @property
    def into_array(self) -> bool:
        """Whether it begins with an element."""
        return bool(self._steps) and not isinstance(self._steps[0], str)

    def matches(self, path: JSONKeys) -> bool:
        """Whether a value is under this path."""
        return len(path) == len(self._steps) and all(
            step is None or step == key for step, key in zip(self._steps, path, strict=True)
        )


class PathFilter:
    """Several paths over one text: which of them each change is under.

    Args:
        paths: The paths.
    """

    __slots__ = ("_found", "_path", "_paths")

    def __init__(self, paths: Sequence[JSONPath]) -> None:
        self._paths = paths
        self._path: JSONKeys | None = None
        self._found: list[str] = []

    def patterns(self, change: JSONChange) -> list[str]:
        """The paths that a change is under, in the order in which they were given."""
        # The deltas of a string have one path object: a long string is compared once.
        if change.path is not self._path:
            self._path = change.path
            self._found = [path.pattern for path in self._paths if path.matches(change.path)]
        return self._found


def _steps(pattern: str) -> list[str | int | None]:
    at = int(pattern.startswith("$"))
    steps: list[str | int | None] = []
    while at < len(pattern):
        match = _STEP.match(pattern, at)
        # Only at the very beginning a name needs no dot.
        if match is None or (at > 0 and pattern[at] not in ".["):
            raise ValueError(f"no path, or one of a kind that is not known, at {at}: {pattern!r}")
        name, star, number, single, double = match.groups()
        if name == "*" or star:
            steps.append(None)
        elif number:
            steps.append(int(number))
        else:
            steps.append(next(each for each in (name, single, double) if each is not None))
        at = match.end()
    if not steps and pattern != "$":
        raise ValueError("a path names something; $ is the whole")
    return steps
