"""Whether to leave a server alone.

Rules:

1. A few failures in a row open the breaker: for a while nobody is let through.
2. After that one is let through, the probe. If it succeeds the breaker closes; if it fails it stays open for a while
   again.
3. A server that asks for a rest gets it, whatever came before.
"""

from __future__ import annotations

# A server may ask for years. After this, in seconds, it is asked again.
_LONGEST_REST = 3600.0


class Breaker:
    """What is known of one server.

    Args:
        threshold: How many failures in a row open it.
        rest: For how many seconds.

    Attributes:
        failures: How many failures there were since the last success.
        resting_until: Until when nobody is let through.
    """

    def __init__(self, threshold: int, rest: float) -> None:
        self._threshold = threshold
        self._rest = rest
        self.failures: int = 0
        self.resting_until: float = 0.0
        self._probing = False

    def lets_through(self, now: float) -> bool:
        """Whether a request may go there now."""
        return now >= self.resting_until and not self._probing

    def began(self) -> bool:
        """Take note of a request; returns whether it is the probe, as it is if the breaker was open."""
        self._probing = self.failures >= self._threshold
        return self._probing

    def succeeded(self) -> None:
        """Take note of an answer."""
        self.failures = 0
        self._probing = False

    def failed(self, now: float, retry_after: float | None) -> None:
        """Take note of a failure, and of how long the server wants to be left alone."""
        self.failures += 1
        if retry_after is not None:
            self.resting_until = now + min(retry_after, _LONGEST_REST)
        elif self.failures >= self._threshold:
            self.resting_until = now + self._rest

    def probed(self) -> None:
        """Take note that the probe is over, in whatever way."""
        self._probing = False
