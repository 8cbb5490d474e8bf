"""How much a decoder may keep of an answer that goes on."""

from __future__ import annotations

from rxllm.exceptions import LimitExceededError

_MAX_KEPT = 256 * 1024 * 1024


class Kept:
    """Counts the characters that are kept.

    Args:
        whose: What has them, and that it has them, for the error: ``"the answer has"``.

    Attributes:
        size: How many there are.
    """

    __slots__ = ("_whose", "size")

    def __init__(self, whose: str) -> None:
        self.size: int = 0
        self._whose = whose

    def add(self, size: int) -> None:
        """Count more of them.

        Raises:
            LimitExceededError: There are too many.
        """
        self.size += size
        if self.size > _MAX_KEPT:
            raise LimitExceededError(
                f"{self._whose} more than {_MAX_KEPT} characters", limit="max_characters", maximum=_MAX_KEPT
            )
