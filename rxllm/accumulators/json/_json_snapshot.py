"""A growing JSON value as it was at one time.

What is open cannot change but at its end, so a state of the whole is the innermost open container, how long it was, and
those around it. Taking one costs nothing; reading one copies what was open then.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rxllm.accumulators._text import Text
from rxllm.models import JSONChange, JSONKeys

_ABSENT = object()


class Members:
    """The members of an object: in the order in which they came, and as what they come to."""

    __slots__ = ("last", "pairs")

    def __init__(self) -> None:
        self.pairs: list[tuple[str, Any]] = []
        self.last: dict[str, Any] = {}

    def read(self, count: int) -> dict[str, Any]:
        """The object of the first ``count`` members."""
        # Unless a name came twice, copying is much faster than making the object anew.
        return self.last.copy() if count == len(self.pairs) else dict(self.pairs[:count])


class Level(NamedTuple):
    """An open container as it was at one time.

    Attributes:
        outer: The container that it is in, which does not change while it is open.
        path: Where it is.
        node: What it holds, as it goes on growing.
        size: How much that was.
        key: The name or number of the value under way.
    """

    outer: Level | None
    path: JSONKeys
    node: list[Any] | Members
    size: int
    key: str | int


class JSONSnapshot(NamedTuple):
    """A growing value as it was at one time.

    Attributes:
        level: The innermost container that was open.
        text: The string that was under way.
        length: How many fragments of it there were.
        value: The whole, if it was complete.
        closed: Whether it was.
    """

    level: Level | None
    text: Text | None
    length: int
    value: Any
    closed: bool

    def read(self, default: Any = None, length: int | None = None) -> Any:
        """The value as far as it had come.

        Args:
            default: What to return if nothing had come.
            length: How many fragments there were of the string under way, if it went on growing after this.
        """
        if self.closed:
            return self.value
        value = _ABSENT if self.text is None else self.text.read(self.length if length is None else length)
        level = self.level
        while level is not None:
            value = _copy(level, value)
            level = level.outer
        return default if value is _ABSENT else value

    def change(self, length: int) -> JSONChange:
        """What the string under way gained with the last of so many fragments."""
        return JSONChange(path_in(self.level), "" if self.text is None else self.text.fragments[length - 1])


def path_in(level: Level | None) -> JSONKeys:
    """Where the value under way in a container is."""
    return () if level is None else (*level.path, level.key)


def _copy(level: Level, value: Any) -> list[Any] | dict[str, Any]:
    """A container as it was, with the value that was under way in it."""
    if isinstance(level.node, list):
        elements = level.node[: level.size]
        if value is not _ABSENT:
            elements.append(value)
        return elements
    members = level.node.read(level.size)
    if value is not _ABSENT:
        members[str(level.key)] = value
    return members
