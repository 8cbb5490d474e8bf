r"""JSON read while it grows.

Rules:

1. Each character is looked at once, whatever the fragmentation, and by compiled code: what is done in Python is
   done once a fragment or a token.
2. The grammar is that of RFC 8259, plus ``NaN``, ``Infinity`` and ``-Infinity``. An escaped surrogate pair that a
   fragment boundary separates is one character; a lone surrogate is U+FFFD (section 8.2 leaves that open). Of
   duplicate names the last counts (section 4 leaves that open). The value is the same as that of
   ``FunctionCall.parsed``.
3. What cannot be JSON any more is a ``DecodeError`` at once, with the position of the character.
4. A string is there as far as it has come. A number or a word is there when something follows it.
5. The value as it is now costs nothing to take: see ``_json_snapshot``.

Unlike ``JSONEndFold``, which finds the end of what may be no JSON, this judges.

>>> fold = JSONFold()
>>> for fragment in ('{"city": "Pa', 'ris", "days": [1', ', 2]}'):
...     changes = fold.add(fragment)
...     print(fold.snapshot().read(), fold.depth, fold.closed)
{'city': 'Pa'} 1 False
{'city': 'Paris', 'days': []} 2 False
{'city': 'Paris', 'days': [1, 2]} 0 True
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias, cast

from rxllm.accumulators._new_tuple import new_tuple
from rxllm.accumulators._text import Text
from rxllm.accumulators.json._json_snapshot import JSONSnapshot, Level, Members, path_in
from rxllm.exceptions import DecodeError, LimitExceededError
from rxllm.harmless import EXCERPT_LENGTH, excerpt
from rxllm.models import MAX_DEPTH, JSONChange, JSONKeys, loads, without_lone_surrogates

MAX_CHARACTERS = 256 * 1024 * 1024
"""How long a text may be by default."""

_MAX_SCALAR = 4300
"""How long a number may be, in characters: what ``int`` reads by default."""

# Possessive, so that a megabyte of escapes needs no megabytes to go back.
_STRING = re.compile(r'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_TOKEN = re.compile(r'[ \t\n\r]*+([{}\[\],:"]|[-+.0-9A-Za-z]++)?')
_SURROGATE = re.compile("[\ud800-\udfff]")
_STRUCTURE = frozenset('{}[],:"')
_DECODER = json.JSONDecoder()

_State: TypeAlias = "dict[str, Callable[[JSONFold, list[JSONChange]], None]]"
"""What may follow, and what it means."""


class JSONFold:
    """Parses one JSON text that comes in fragments.

    Args:
        object_only: Whether the text must be an object: anything else is an error at its first character.
        max_depth: How deep the text may be nested.
        max_characters: How many characters the text may have.

    Attributes:
        depth: How many containers are open.
        closed: Whether the value is complete.
        left: The text after the end of the value in the last fragment, if more may follow.
        length: How many characters have been read; if more may follow the value, up to the end of the value.
        path: The path of the last string value.
    """

    __slots__ = (
        *("_high", "_is_key", "_level", "_max_characters", "_max_depth", "_pieces", "_rest", "_state", "_string"),
        *("_value", "closed", "depth", "left", "length", "path"),
    )

    def __init__(
        self, *, object_only: bool = False, max_depth: int = MAX_DEPTH, max_characters: int = MAX_CHARACTERS
    ) -> None:
        self._max_depth = max_depth
        self._max_characters = max_characters
        self._state: _State = self._OBJECT if object_only else self._VALUE
        self._level: Level | None = None
        self._value: Any = None
        # The string under way, and the high surrogate at its end that waits for the low one.
        self._string: Text | None = None
        self._is_key = False
        # The fragments of that string, if it is a value and the next one may be added as it is.
        self._pieces: list[str] | None = None
        self._high = ""
        # What a fragment ended with that means nothing without the next one: an escape or a scalar.
        self._rest = ""
        self.depth: int = 0
        self.closed: bool = False
        self.left: str = ""
        self.length: int = 0
        self.path: JSONKeys = ()

    def add_piece(self, fragment: str) -> bool:
        """Take the next fragment if it is a piece of a string without escapes, as nearly all are.

        A test and an append, in 0.12 µs. To make the change and the list that ``add`` returns takes 0.24 more, and
        without this way it takes 0.7 in all.

        Returns:
            Whether it was such a piece, and the value at ``path`` gained it. If not, nothing was done: call ``add``.
        """
        pieces = self._pieces
        # Neither the end of the string nor an escape; nor control characters, which are errors, nor surrogates: none
        # of these is printable.
        if pieces is None or not fragment.isprintable() or '"' in fragment or "\\" in fragment or not fragment:
            return False
        length = self.length + len(fragment)
        if length > self._max_characters:
            return False
        self.length = length
        pieces.append(fragment)
        return True

    def add(self, fragment: str, *, more_may_follow: bool = False) -> list[JSONChange]:
        """Take the next fragment.

        Args:
            fragment: What the text gained.
            more_may_follow: Whether any text may follow the value; else only white space may.

        Returns:
            What the value gained.

        Raises:
            DecodeError: The text is not JSON.
            LimitExceededError: The text is too long or nested too deeply, or a number in it is too long.
        """
        if self.add_piece(fragment):
            return [new_tuple(JSONChange, (self.path, fragment, None, False))]
        self._pieces = None
        changes: list[JSONChange] = []
        if self._rest:
            fragment, self._rest = self._rest + fragment, ""
        at, end = 0, len(fragment)
        most = self._max_characters
        if self.length + end > most:
            raise _too_much(f"JSON text is longer than {most} characters", "max_characters", most)
        while at < end and not (more_may_follow and self.closed):
            at = (self._token if self._string is None else self._in_string)(fragment, at, changes)
        if self.closed:
            self.left = fragment[at:]
        self.length += at - len(self._rest)
        if self._string is not None and not (self._is_key or self._high or self._rest):
            self._pieces = self._string.fragments
        return changes

    def close(self, *, cut: bool = False) -> list[JSONChange]:
        """Note that the text has ended: this completes a text that is only a number or a word such as ``true``.

        Args:
            cut: Whether the text may have been cut before the value ended. If not, that is an error.

        Returns:
            What the value gained.

        Raises:
            DecodeError: The value has not ended, or the text ends with something that is neither a number nor a word.
        """
        changes = self.add(" ") if self._rest and self._string is None and not self.depth else []
        if not (cut or self.closed):
            raise self._error("the text ended before the value did", self._rest, 0)
        return changes

    grow = add_piece
    feed = add
    finish = close
    """The names that ``add_piece``, ``add`` and ``close`` had in 0.1."""

    def flush(self) -> list[JSONChange]:
        """The name that ``close(cut=True)`` had in 0.1."""
        return self.close(cut=True)

    def snapshot(self) -> JSONSnapshot:
        """Return the value as it is now."""
        text = None if self._is_key else self._string
        length = 0 if text is None else len(text.fragments)
        return new_tuple(JSONSnapshot, (self._level, text, length, self._value, self.closed))

    def _token(self, fragment: str, at: int, changes: list[JSONChange]) -> int:
        """Go on outside of strings, behind the next token; returns where to go on."""
        # Nearly all tokens are a character, with nothing before it: the regular expression would take 0.15 µs for it.
        act = self._state.get(fragment[at])
        if act is not None:
            act(self, changes)
            return at + 1
        match = _TOKEN.match(fragment, at)
        end = match.end() if match else at
        token = match[1] if match else None
        if token is None:
            if end < len(fragment):
                raise self._error("unexpected character", fragment, end)
            return end
        act = self._state.get(token)
        if act is not None:
            act(self, changes)
        elif token in _STRUCTURE or (self._state is not self._VALUE and self._state is not self._FIRST_ELEMENT):
            raise self._error("unexpected character", fragment, end - len(token))
        elif len(token) > _MAX_SCALAR:
            raise _too_much(f"a number is longer than {_MAX_SCALAR} characters", "max_number_length", _MAX_SCALAR)
        elif end == len(fragment):
            self._rest = token
        else:
            self._scalar(fragment, token, end, changes)
        return end

    def _scalar(self, fragment: str, token: str, end: int, changes: list[JSONChange]) -> None:
        try:
            value = loads(token)
        except ValueError:
            raise self._error("neither a number nor a word", fragment, end - len(token)) from None
        self._complete(value, changes, path_in(self._level))

    def _in_string(self, fragment: str, at: int, changes: list[JSONChange]) -> int:
        """Go on inside a string, to its end or that of the fragment; returns where to go on."""
        # Nearly all pieces up to a quotation mark stand for themselves, and that mark ends the string.
        end, stop = fragment.find('"', at), '"'
        piece = fragment[at:] if end < 0 else fragment[at:end]
        if self._high or "\\" in piece or not piece.isprintable():
            piece, end, stop = self._decoded(fragment, at)
        if piece and self._string is not None:
            self._string.fragments.append(piece)
            if not self._is_key:
                changes.append(new_tuple(JSONChange, (self.path, piece, None, False)))
        if end < 0:
            return len(fragment)
        if stop != '"':
            raise self._error("no escape" if stop == "\\" else "a control character in a string", fragment, end)
        self._end_string(changes)
        return end + 1

    def _decoded(self, fragment: str, at: int) -> tuple[str, int, str]:
        """What a piece of a string stands for, where it ends, -1 if the fragment does before it, and at what."""
        match = _STRING.match(fragment, at)
        end = match.end() if match else at
        piece, stop = fragment[at:end], fragment[end : end + 1]
        if "\\" in piece:
            piece = str(_DECODER.raw_decode(f'"{piece}"')[0])
        if self._high:
            piece, self._high = self._high + piece, ""
        if not piece.isascii() and _SURROGATE.search(piece):
            if stop != '"' and "\ud800" <= piece[-1] <= "\udbff":
                piece, self._high = piece[:-1], piece[-1]
            piece = without_lone_surrogates(piece)
        if stop == "\\" and _CUT_ESCAPE.fullmatch(fragment, end):
            self._rest, stop = fragment[end:], ""
        return piece, end if stop else -1, stop

    def _end_string(self, changes: list[JSONChange]) -> None:
        # Joined without being kept: whoever took a snapshot of it before reads that, if at all.
        text = "" if self._string is None else "".join(self._string.fragments)
        self._string = None
        if self._is_key:
            self._is_key = False
            outer, path, node, size, _ = cast("Level", self._level)  # only in an object a name is expected
            self._level = new_tuple(Level, (outer, path, node, size, text))
            self._state = self._COLON
        else:
            self._complete(text, changes, self.path)

    def _begin_string(self, _: list[JSONChange]) -> None:
        self._string = Text()
        self.path = path_in(self._level)

    def _begin_key(self, _: list[JSONChange]) -> None:
        self._string = Text()
        self._is_key = True

    def _begin_array(self, _: list[JSONChange]) -> None:
        self._begin([], 0, self._FIRST_ELEMENT)

    def _begin_object(self, _: list[JSONChange]) -> None:
        self._begin(Members(), "", self._FIRST_KEY)

    def _begin(self, node: list[Any] | Members, key: str | int, state: _State) -> None:
        if self.depth >= self._max_depth:
            raise _too_much(f"JSON is nested deeper than {self._max_depth} levels", "max_depth", self._max_depth)
        self._level = new_tuple(Level, (self._level, path_in(self._level), node, 0, key))
        self.depth += 1
        self._state = state

    def _end(self, changes: list[JSONChange]) -> None:
        # Only inside a container is its end expected.
        level = cast("Level", self._level)
        self._level = level.outer
        self.depth -= 1
        self._complete(level.node if isinstance(level.node, list) else level.node.last, changes, level.path)

    def _expect_key(self, _: list[JSONChange]) -> None:
        self._state = self._KEY

    def _expect_value(self, _: list[JSONChange]) -> None:
        self._state = self._VALUE

    def _complete(self, value: Any, changes: list[JSONChange], path: JSONKeys) -> None:
        """Put a value into the container that it is in."""
        level = self._level
        changes.append(new_tuple(JSONChange, (path, "", value, True)))
        if level is None:
            self._value = value
            self.closed = True
            self._state = self._NOTHING
            return
        outer, around, node, count, key = level
        count += 1
        if isinstance(node, list):
            node.append(value)
            self._level = new_tuple(Level, (outer, around, node, count, count))
            self._state = self._AFTER_ELEMENT
        else:
            node.pairs.append((str(key), value))
            node.last[str(key)] = value
            self._level = new_tuple(Level, (outer, around, node, count, ""))
            self._state = self._AFTER_MEMBER

    def _error(self, what: str, fragment: str, at: int) -> DecodeError:
        position = self.length + at
        return DecodeError(
            f"{what} at character {position} of JSON: {excerpt(fragment[at:])}",
            dialect="json",
            position=position,
            text=fragment[at : at + EXCERPT_LENGTH],
        )

    # The states of the grammar: which token may come, and what is done then. They stand behind what they name.
    _OBJECT: ClassVar[_State] = {"{": _begin_object}
    _VALUE: ClassVar[_State] = {**_OBJECT, "[": _begin_array, '"': _begin_string}
    _FIRST_ELEMENT: ClassVar[_State] = {**_VALUE, "]": _end}
    _AFTER_ELEMENT: ClassVar[_State] = {",": _expect_value, "]": _end}
    _KEY: ClassVar[_State] = {'"': _begin_key}
    _FIRST_KEY: ClassVar[_State] = {**_KEY, "}": _end}
    _COLON: ClassVar[_State] = {":": _expect_value}
    _AFTER_MEMBER: ClassVar[_State] = {",": _expect_key, "}": _end}
    _NOTHING: ClassVar[_State] = {}


def _too_much(message: str, limit: str, maximum: int) -> LimitExceededError:
    return LimitExceededError(message, limit=limit, maximum=maximum)
