"""Text that grows by fragments.

Rules:

1. Fragments are kept as they are and joined when the text is read.
2. The text at any earlier time can be read later: it is named by how many fragments it had.
3. What was joined once is not joined again: reading a text that has grown costs what it grew, and one copy.
4. Any thread may read. Whoever reads takes what was joined away meanwhile; who finds it gone joins anew.
"""

from __future__ import annotations


class Text:
    """A growing text.

    Attributes:
        fragments: The fragments; append to it, and do nothing else with it.
    """

    __slots__ = ("_joined", "fragments")

    def __init__(self) -> None:
        self.fragments: list[str] = []
        # The text of how many fragments, or nothing while a reader has it.
        self._joined = [(0, "")]

    def __len__(self) -> int:
        """How many fragments there are: the name of the text as it is now."""
        return len(self.fragments)

    def read(self, count: int | None = None) -> str:
        """The text of the first ``count`` fragments, of all by default."""
        if count is None:
            count = len(self.fragments)
        try:
            at, joined = self._joined.pop()
        except IndexError:
            at, joined = 0, ""
        if count < at:
            self._joined = [(at, joined)]
            return "".join(self.fragments[:count])
        if count > at:
            # With no other reference to the text, CPython appends in place: a reader that keeps no copy costs none.
            joined += "".join(self.fragments[at:count])
        self._joined = [(count, joined)]
        return joined
