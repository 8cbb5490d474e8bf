"""Arguments that come for a call that was given away.

Some servers send all of a call's arguments once more at the end. The same ones are no matter; any others are an error,
for what was given away cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Callable

from rxllm.models import JSONEndFold


class LateArguments:
    """The fold of what comes late for one call.

    Args:
        repeats: Whether arguments are once more those that it was given away with.

    Attributes:
        text: What has come of a repetition that is under way.
    """

    __slots__ = ("_pieces", "_repeats", "_scan")

    def __init__(self, repeats: Callable[[str], bool]) -> None:
        self._repeats = repeats
        self._pieces: list[str] = []
        self._scan = JSONEndFold()

    @property
    def text(self) -> str:
        """What has come of a repetition that is under way."""
        return "".join(self._pieces)

    def add(self, piece: str) -> bool:
        """Take a piece; returns whether all of it may be a repetition."""
        while piece.strip():
            if not self._pieces and piece.lstrip()[0] not in {"{", '"'}:
                return False
            end = self._scan.add(piece)
            self._pieces.append(piece[:end])
            if not self._scan.closed:
                return True
            if not self._repeats(self.text):
                return False
            self._pieces.clear()
            self._scan = JSONEndFold()
            piece = piece[end:]
        self._pieces += [piece] if self._pieces else []
        return True
