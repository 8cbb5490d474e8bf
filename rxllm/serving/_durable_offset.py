"""Where a reader of Durable Streams is."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from rxllm.exceptions import excerpt
from rxllm.models import LogPosition

__all__ = ["Offset"]

_FORM = re.compile(r"([0-9]{16})_([0-9]{1,19})(_end)?")


class Offset(NamedTuple):
    """Where a reader is: behind an item. Its texts sort as they stand in the stream.

    Attributes:
        after: The position of the item; ``None`` before the first.
        told: Whether the reader knows how the stream ended, too: that stands behind all items.
    """

    after: LogPosition | None = None
    told: bool = False

    def __str__(self) -> str:
        count, epoch = (0, 0) if self.after is None else (self.after.number + 1, self.after.epoch)
        # How many items there are before decides; there is but one epoch for each number.
        return f"{count:016d}_{epoch}{'_end' if self.told else ''}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an offset.

        Raises:
            ValueError: The text is none.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{excerpt(text)} is not an offset")
        count, epoch, told = found.groups()
        return cls(LogPosition(int(epoch), int(count) - 1) if int(count) else None, told is not None)
