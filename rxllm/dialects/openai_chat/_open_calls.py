"""Whether the arguments of a call are under way in a stream.

Rules:

1. The question comes up once or twice a stream. Until then the pieces are kept as they are, and nothing else of the
   chunks: those would be a lot of memory.
2. It is enough to know it of the pieces under one index together: several calls under one index come one after another.
3. The input of a custom tool is any text, which has no end of its own. It counts as ended.
"""

from __future__ import annotations

from rxllm.models import StreamChoice, is_open

_Place = tuple[int, int | None]
"""Of which choice, and under which index."""


class OpenCalls:
    """The arguments of the calls of one stream."""

    __slots__ = ("_at", "_choice", "_index", "_pieces")

    def __init__(self) -> None:
        self._pieces: dict[_Place, list[str]] = {}
        # Where the last piece was put: nearly always the next one goes there, too.
        self._choice: int | None = None
        self._index: int | None = None
        self._at: list[str] = []

    def add(self, choice: StreamChoice) -> None:
        """Take what a choice gained, calls among it."""
        for call in choice.delta.tool_calls or ():
            function = call.function
            if function is None or call.type == "custom":
                continue
            if call.index != self._index or choice.index != self._choice:
                self._choice, self._index = place = choice.index, call.index
                self._at = self._pieces.setdefault(place, [])
            if isinstance(function.arguments, str):
                self._at.append(function.arguments)

    def __bool__(self) -> bool:
        """Whether some have begun and not ended."""
        for pieces in self._pieces.values():
            pieces[:] = ["".join(pieces)]
            if is_open(pieces[0]):
                return True
        return False
