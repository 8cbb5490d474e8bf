"""Where an item is in a stream of a log."""

from __future__ import annotations

from typing import NamedTuple, Self

from rxllm.exceptions import excerpt

# More than a number of ours ever has, and few enough for 64 bits, which is what stores have.
_MOST_DIGITS = 18


class LogPosition(NamedTuple):
    """The position of an item in a stream of a log. ``str`` gives ``epoch.number``; ``parse`` reads that text.

    Attributes:
        epoch: The number of the writer that wrote the item.
        number: The number of the item in the stream, from 0.

    Example:
        >>> str(LogPosition(epoch=3, number=17)), LogPosition.parse("3.17")
        ('3.17', LogPosition(epoch=3, number=17))
    """

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a position.

        Raises:
            ValueError: The text is not a position.
        """
        epoch, _, number = text.partition(".")
        if not all(part.isascii() and part.isdecimal() and len(part) <= _MOST_DIGITS for part in (epoch, number)):
            raise ValueError(f"{excerpt(text)} is not a position in a log: a position looks like '3.17'")
        return cls(int(epoch), int(number))
