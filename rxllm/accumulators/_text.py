"""Text that grows by fragments.

Rules:

1. Fragments are kept as they are and joined when the text is read.
2. The text at any earlier time can be read later: it is named by how many fragments it had.
3. What was joined once is not joined again: reading a text that has grown costs what it grew, and one copy.
"""

from __future__ import annotations

__all__ = ["Text"]


class Text:
    """A growing text.

    Attributes:
        fragments: The fragments; append to it, and do nothing else with it.
    """

    __slots__ = ("_joined", "_joined_count", "fragments")

    def __init__(self) -> None:
        self.fragments: list[str] = []
        self._joined = ""
        self._joined_count = 0

    def __len__(self) -> int:
        """How many fragments there are: the name of the text as it is now."""
        return len(self.fragments)

    def read(self, count: int | None = None) -> str:
        """The text of the first ``count`` fragments, of all by default."""
        if count is None:
            count = len(self.fragments)
        if count < self._joined_count:
            return "".join(self.fragments[:count])
        if count > self._joined_count:
            # With no other reference to the text, CPython appends in place: a reader that keeps no copy costs none.
            joined, self._joined = self._joined, ""
            joined += "".join(self.fragments[self._joined_count : count])
            self._joined = joined
            self._joined_count = count
        return self._joined
