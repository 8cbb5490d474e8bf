"""How much of what could be tried is tried: a part, or five times as much if ``RXLLM_FULL`` is in the environment."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["FULL", "times"]

FULL: Final = bool(os.environ.get("RXLLM_FULL"))


def times(count: int) -> int:
    """How many to try where usually so many are."""
    return 5 * count if FULL else count
