"""A text of an item, as far as it came.

Rules:

1. It is known by its length and its last piece: enough to tell what a whole one adds to it, and no second copy of the
   answer.
2. What is called with is kept: it has to be what the server says it is, or the call is not run.
"""

from __future__ import annotations

from dataclasses import dataclass

from rxllm.dialects.openai_responses._response_events import MalformedEventError, TextOf
from rxllm.exceptions import excerpt
from rxllm.models import DeltaPart, loads


@dataclass(slots=True, eq=False)
class Grown:
    """A text of an item, as far as it came.

    Attributes:
        of: Which text.
        sub: Which of several.
        part: What the deltas of it say that they belong to: one object for all of them.
        call: The number of the call that it is of, if it is of one.
        length: How many characters came.
        last: The last piece that was not empty.
        pieces: All of them, of what is called with: that has to be what the server says it is.
        half: Half of a character that a server has cut in two.
        is_whole: Whether the server said all of it.
    """

    of: TextOf
    sub: int | None
    part: DeltaPart
    call: int | None
    length: int = 0
    last: str = ""
    pieces: list[str] | None = None
    half: str = ""
    is_whole: bool = False

    def grow(self, piece: str) -> None:
        """Take a piece."""
        if piece:
            self.length += len(piece)
            self.last = piece
            if self.pieces is not None:
                self.pieces.append(piece)

    def rest_of(self, whole: str) -> str:
        """Take a whole text; returns what was missing.

        Raises:
            MalformedEventError: It is what is called with, and the pieces were something else.
        """
        rest = self._missing_in(whole) or ("\ufffd" if self.half else "")
        self.half = ""
        self.grow(rest)
        if self.pieces and not _is_said_by(whole, said := "".join(self.pieces)):
            raise MalformedEventError(f"a call should have {excerpt(whole)}, and its pieces were {excerpt(said)}")
        return rest

    def _missing_in(self, whole: str) -> str:
        # It adds nothing if it is another text.
        before = whole[: self.length]
        return whole[self.length :] if len(before) == self.length and before.endswith(self.last) else ""


def _is_said_by(whole: str, said: str) -> bool:
    """Whether what a call has is what its pieces said; a placeholder or a repetition before it does not count."""
    if said.endswith(whole) and said.removesuffix(whole).strip() in ("", "{}", "null", whole):
        return True
    try:
        return bool(loads(said) == loads(whole))
    except ValueError:
        return False
