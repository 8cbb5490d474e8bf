r"""Where a JSON value ends, found while it grows.

Rules:

1. Only structure is looked at: brackets, strings and escapes. Whether the text is JSON is not judged here.
2. Each character is looked at once, whatever the fragmentation.
3. A value is closed when the bracket or string that began it has ended. A bare number or word never is: more of
   it could follow.

>>> scan = JSONEndFold()
>>> for fragment in ('{"a": "}', '\\', '""}', ' {'):
...     _ = scan.add(fragment)
...     print(scan.closed)
False
False
True
True
"""

from __future__ import annotations

import re

import msgspec

_STRUCTURE = re.compile(r'["{}\[\]]')
_STRING_END = re.compile(r'["\\]')


class JSONEndFold:
    """The scan of one growing text.

    Attributes:
        depth: How many brackets are open.
        closed: Whether the value has ended.
    """

    __slots__ = ("_escaped", "_in_string", "closed", "depth")

    def __init__(self) -> None:
        self.depth = 0
        self.closed = False
        self._in_string = False
        self._escaped = False

    @property
    def opened(self) -> bool:
        """Whether a bracket or a string has begun and not ended."""
        return self.depth > 0 or self._in_string

    @property
    def in_string(self) -> bool:
        """Whether a string has begun and not ended."""
        return self._in_string

    def add(self, fragment: str, at: int = 0) -> int:
        """Go on with the next fragment.

        Args:
            fragment: The fragment.
            at: Where to begin in it.

        Returns:
            Where the value ended in it: what comes after that is not looked at.
        """
        while at < len(fragment) and not self.closed:
            at = self._in(fragment, at) if self._in_string else self._out(fragment, at)
        return at

    def _in(self, fragment: str, at: int) -> int:
        """Go on inside a string, to its end or behind an escape; returns where to go on."""
        if self._escaped:
            self._escaped = False
            return at + 1
        match = _STRING_END.search(fragment, at)
        if match is None:
            return len(fragment)
        if match[0] == "\\":
            self._escaped = True
        else:
            self._in_string = False
            self.closed = self.depth == 0
        return match.end()

    def _out(self, fragment: str, at: int) -> int:
        """Go on outside of strings, behind the next character of structure; returns where to go on."""
        match = _STRUCTURE.search(fragment, at)
        if match is None:
            return len(fragment)
        if match[0] == '"':
            self._in_string = True
        elif match[0] in "{[":
            self.depth += 1
        else:
            self.depth -= 1
            self.closed = self.depth <= 0
        return match.end()


def is_open(text: str) -> bool:
    """Whether the last value in a text has begun and not ended. A bare number or word counts as one that has.

    >>> is_open('{"a": 1'), is_open('{}{"a"'), is_open('{"a": 1}'), is_open("null"), is_open("")
    (True, True, False, False, False)
    """
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _has_open_end(text)
    return False


def _has_open_end(text: str) -> bool:
    """The same of a text that is not JSON, or several values, one behind the other."""
    at = 0
    while at < len(text):
        scan = JSONEndFold()
        at = scan.add(text, at)
        if not scan.closed:
            return scan.opened
    return False
