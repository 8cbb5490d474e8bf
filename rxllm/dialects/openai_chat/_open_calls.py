"""Whether the arguments of a call are under way in a stream.

Rules:

1. The question comes up once or twice a stream. Until then what came is kept as it is, and is looked at later.
2. It is enough to know it of the pieces under one index together: several calls under one index come one after another.
3. The input of a custom tool is any text, which has no end of its own. It counts as ended.
"""

from __future__ import annotations

from rxllm.models import StreamChoice, is_open

# So few that reading them is no pause of the stream, and that they are no memory worth a word.
_MOST_UNREAD = 1024

_Place = tuple[int, int | None]
"""Of which choice, and under which index."""


class OpenCalls:
    """The arguments of the calls of one stream."""

    __slots__ = ("_pieces", "_unread")

    def __init__(self) -> None:
        self._unread: list[StreamChoice] = []
        self._pieces: dict[_Place, list[str]] = {}

    def add(self, choice: StreamChoice) -> None:
        """Take what a choice gained, calls among it."""
        self._unread.append(choice)
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
        for choice in self._unread:
            for call in choice.delta.tool_calls or ():
                function = call.function
                if function is not None and isinstance(function.arguments, str) and call.type != "custom":
                    self._pieces.setdefault((choice.index, call.index), []).append(function.arguments)
        self._unread.clear()
