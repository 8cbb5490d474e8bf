"""What the arguments of one call come to while they grow: as ``_arguments`` has it, without waiting for the end.

Rules:

1. A call's arguments go through one JSON fold. What stands behind a placeholder goes through another one; then the
   first does not count.
2. A repetition is read beside the arguments, and changes nothing. If it comes to something else, that is an error.
3. Arguments that are encoded twice are decoded on the way.
4. Arguments that cannot become a JSON object any more are an error at that character. The input of a custom tool is
   any text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators._text import Text
from rxllm.accumulators.calls._growing_call import GrowingCall
from rxllm.accumulators.calls._settled_arguments import DECODED, PLACEHOLDER, REPEATED, is_same
from rxllm.accumulators.json._json_fold import JSONFold
from rxllm.accumulators.json._json_snapshot import JSONSnapshot
from rxllm.exceptions import DecodeError, ToolCallError, excerpt
from rxllm.models import JSONChange, JSONKeys

_NULL = "null"
_NOTHING_YET = JSONSnapshot(None, None, 0, None, closed=False)


class _ValueFold(Protocol):
    """What reads one value of the arguments, as ``JSONFold`` does."""

    @property
    def closed(self) -> bool: ...
    @property
    def left(self) -> str: ...
    @property
    def path(self) -> JSONKeys: ...
    def add_piece(self, fragment: str, /) -> bool: ...
    def add(self, fragment: str, /, *, more_may_follow: bool = False) -> list[JSONChange]: ...
    def snapshot(self) -> JSONSnapshot: ...


class _InputFold:
    """The input of a custom tool: text, read as if it were a string of JSON. It is rare, so nothing is put off."""

    __slots__ = ("_text",)
    path: JSONKeys = ()
    closed = False
    left = ""

    def __init__(self) -> None:
        self._text = Text()

    def add_piece(self, _: str) -> bool:
        return False

    def add(self, fragment: str, *, more_may_follow: bool = False) -> list[JSONChange]:  # noqa: ARG002 - any text does
        self._text.fragments.append(fragment)
        return [JSONChange((), fragment)]

    def snapshot(self) -> JSONSnapshot:
        return JSONSnapshot(None, self._text, len(self._text), None, closed=False)


class _NullFold:
    """The word ``null``, which tells nothing."""

    __slots__ = ("_word", "left")
    path: JSONKeys = ()

    def __init__(self) -> None:
        self._word = ""
        self.left = ""

    @property
    def closed(self) -> bool:
        """Whether all of it has come."""
        return self._word == _NULL

    def add_piece(self, _: str) -> bool:
        return False

    def add(self, fragment: str, *, more_may_follow: bool = False) -> list[JSONChange]:  # noqa: ARG002 - it always may
        text = (self._word + fragment).lstrip()
        self._word, self.left = text[: len(_NULL)], text[len(_NULL) :]
        if not _NULL.startswith(self._word):
            raise DecodeError(f"no word of JSON: {excerpt(text)}", dialect="json", position=0, text=text)
        return []

    def snapshot(self) -> JSONSnapshot:
        return _NOTHING_YET


class _EncodedFold:
    """A value that is encoded once more, as a string. It is rare, too."""

    __slots__ = ("_inner", "_outer")
    path: JSONKeys = ()

    def __init__(self) -> None:
        self._outer = JSONFold()
        self._inner: _ValueFold | None = None

    @property
    def closed(self) -> bool:
        """Whether the string has ended."""
        return self._outer.closed

    @property
    def left(self) -> str:
        """What came behind it."""
        return self._outer.left

    def add_piece(self, _: str) -> bool:
        return False

    def add(self, fragment: str, *, more_may_follow: bool = False) -> list[JSONChange]:
        changes: list[JSONChange] = []
        for change in self._outer.add(fragment, more_may_follow=more_may_follow):
            # What a string gains stands before its end.
            piece = " " if change.complete else change.delta
            if self._inner is None and piece.strip():
                self._inner = _fold_of(piece)
            changes += [] if self._inner is None else self._inner.add(piece)
            if change.complete and not (self._inner is None or self._inner.closed):
                raise DecodeError(
                    "the text in a string ended before the object in it did", dialect="json", position=0, text=fragment
                )
        return changes

    def snapshot(self) -> JSONSnapshot:
        return _NOTHING_YET if self._inner is None else self._inner.snapshot()


def _fold_of(text: str) -> _ValueFold:
    """What reads the value that begins with a text which is not blank."""
    start = text.lstrip()[0]
    return _EncodedFold() if start == '"' else _NullFold() if start == "n" else JSONFold(object_only=True)


class WatchedCall:
    """A call, and what its arguments come to.

    Attributes:
        call: The call.
        fold: What reads the arguments.
        add_piece: Goes on with the arguments if a string of them grows and that is all: see ``JSONFold.add_piece``.
        value: What the arguments were at the last ``note``.
    """

    __slots__ = ("_again", "_has_begun", "_log", "add_piece", "call", "fold", "value")

    def __init__(self, call: GrowingCall, log: RepairLog) -> None:
        self.call = call
        self.fold: _ValueFold = _InputFold() if call.type == "custom" else JSONFold(object_only=True)
        self.add_piece: Callable[[str], bool] = self.fold.add_piece
        self.value = self.fold.snapshot()
        self._log = log
        self._has_begun = call.type == "custom"
        # What reads a repetition.
        self._again: _ValueFold | None = None

    def note(self) -> None:
        """Note in ``value`` what the arguments are now."""
        self.value = self.fold.snapshot()

    def add(self, piece: str) -> list[JSONChange]:
        """Go on with the arguments where ``add_piece`` does not: see ``JSONFold.add``.

        Raises:
            ToolCallError: They cannot become a JSON object any more.
            RepairError: Something had to be put right, and that is an error.
        """
        try:
            if self._has_begun and self._again is None:
                changes = self.fold.add(piece, more_may_follow=True)
                return changes + self._go_on(self.fold.left) if self.fold.closed else changes
            return self._go_on(piece)
        except DecodeError as error:
            raise self._error(str(error)) from error

    def _go_on(self, text: str) -> list[JSONChange]:
        """Go on where the arguments have not begun, or an object has ended."""
        changes: list[JSONChange] = []
        while text.strip():
            if self._again is not None:
                text = self._repeat(self._again, text)
            elif self._has_begun and not _says_nothing(self.fold):
                self._again = _fold_of(text)
            else:
                if self._has_begun:
                    self._note(PLACEHOLDER)
                self._has_begun = True
                self.fold = _fold_of(text)
                self.add_piece = self.fold.add_piece
                changes += self.fold.add(text, more_may_follow=True)
                text = self.fold.left if self.fold.closed else ""
        if isinstance(self.fold, _EncodedFold) and self.fold.closed:
            self._note(DECODED)
        return changes

    def _repeat(self, again: _ValueFold, text: str) -> str:
        """Go on with a repetition; returns what comes behind it."""
        again.add(text, more_may_follow=True)
        if not again.closed:
            return ""
        self._again = None
        if not is_same(self.fold.snapshot().value, again.snapshot().value):
            raise self._error("there is more than one value")
        self._note(REPEATED)
        return again.left

    def _note(self, kind: str) -> None:
        self._log.add(kind, (self.call.choice, self.call.serial), self.call.text.read(), None)

    def _error(self, problem: str) -> ToolCallError:
        call = self.call
        return ToolCallError(
            f"the arguments of {call.name!r} are not a JSON object: {problem}",
            choice=call.choice,
            call_id=call.id or None,
            text=call.text.read(),
        )


def _says_nothing(fold: _ValueFold) -> bool:
    """Whether a value that has ended may be a placeholder."""
    return not fold.snapshot().value
