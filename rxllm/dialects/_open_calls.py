"""Whether the arguments of a call are under way in a stream.

Rules:

1. The question comes up once or twice a stream. Until then what came is kept as it is, and is looked at later.
2. It is enough to know it of the pieces under one index together: several calls under one index come one after another.
3. The input of a custom tool is any text, which has no end of its own. It counts as ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from rxllm.models import ToolCallDelta, is_open

_MOST_UNREAD = 1024

_Place = tuple[int, int | None]
"""Of which choice, and under which index."""


class OpenCalls:
    """The arguments of the calls of one stream."""

    __slots__ = ("_pieces", "_unread")

    def __init__(self) -> None:
        self._unread: list[tuple[int, Sequence[ToolCallDelta]]] = []
        self._pieces: dict[_Place, list[str]] = {}

    def add(self, choice: int, calls: Sequence[ToolCallDelta]) -> None:
        """Take what a choice gained."""
        self._unread.append((choice, calls))
        if len(self._unread) > _MOST_UNREAD:
            self._read()

    def __bool__(self) -> bool:
        """Whether some have begun and not ended."""
        self._read()
        for place, pieces in self._pieces.items():
            text = "".join(pieces)
            self._pieces[place] = [text]
            if is_open(text):
                return True
        return False

    def _read(self) -> None:
        for choice, calls in self._unread:
            for call in calls:
                function = call.function
                if function is not None and isinstance(function.arguments, str) and call.type != "custom":
                    self._pieces.setdefault((choice, call.index), []).append(function.arguments)
        self._unread.clear()
