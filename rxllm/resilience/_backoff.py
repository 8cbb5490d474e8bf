"""How long to wait before another try.

Rules:

1. What the server asks for wins. If that is more than the longest wait, there is no other try.
2. Otherwise the wait is drawn between zero and a bound that doubles with each failure ("full jitter"): those whom one
   fault has hit at the same time do not come back at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from rxllm.exceptions import RxllmError


class Retry(NamedTuple):
    """Another try that is going to be made: what ``on_retry`` of ``operators.retry_with_backoff`` gets.

    Attributes:
        attempt: Which try failed, counted from 1.
        error: The error of that try.
        seconds: How long it waits before the next one.
    """

    attempt: int
    error: Exception
    seconds: float


def is_retryable(error: Exception) -> bool:
    """Whether the same request may succeed another time: ``RxllmError.retryable``, and other losses and time-outs.

    >>> is_retryable(TimeoutError()), is_retryable(ValueError())
    (True, False)
    """
    return error.retryable if isinstance(error, RxllmError) else isinstance(error, (ConnectionError, TimeoutError))


@dataclass(frozen=True)
class Backoff:
    """How long to wait before each try.

    Attributes:
        initial: The bound of the first wait, in seconds.
        maximum: The longest wait.
        jitter: Which part of its bound a wait takes, from 0 to 1.
    """

    initial: float
    maximum: float
    jitter: Callable[[], float]

    def __post_init__(self) -> None:
        if not (0 <= self.initial <= self.maximum < math.inf):
            raise ValueError(
                f"initial and maximum are seconds, 0 <= initial <= maximum, not {self.initial} and {self.maximum}"
            )

    def seconds(self, failures: int, error: Exception) -> float | None:
        """How long to wait after so many failures, the last of which is given; ``None`` if that is too long."""
        asked: float | None = getattr(error, "retry_after", None)
        if asked is not None:
            return asked if asked <= self.maximum else None
        # The doubling ends before the number gets too large for a float.
        return self.jitter() * min(self.maximum, self.initial * 2.0 ** min(failures - 1, 1000))
