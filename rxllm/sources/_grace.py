"""How long a source waits for the end of an answer that is whole already.

Rules:

1. An answer is whole when whoever decodes it says so (``FlowControl.decoder``). What may still come is usage, the end
   marker and the end of the transport, and some servers and proxies send none of them.
2. The time begins when that is first noticed, and what arrives meanwhile, pings for example, does not prolong it. The
   time that a consumer pauses does not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from rxllm.flow import FlowControl

R = TypeVar("R")

GRACE_SECONDS = 1.0
END_OF_BODY_SECONDS = 0.1
"""How long the end of the transport is waited for behind the end marker of an answer that is whole."""


class Grace:
    """The time that a source has left for what comes behind a whole answer.

    Args:
        seconds: How long it is.
        flow: That of the source.

    Attributes:
        seconds: How long it is.
    """

    __slots__ = ("_deadline", "_flow", "seconds")

    def __init__(self, seconds: float, flow: FlowControl) -> None:
        self.seconds = seconds
        self._flow = flow
        self._deadline: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the answer is whole."""
        decoder = self._flow.decoder
        return decoder is not None and decoder.finished

    @property
    def is_due(self) -> bool:
        """Whether nothing is missing at the end marker: the answer is whole, or nobody says whether it is."""
        decoder = self._flow.decoder
        return decoder is None or decoder.finished

    async def within(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Await something in the time that is left.

        Raises:
            TimeoutError: None is left.
        """
        now = asyncio.get_running_loop().time() - self._flow.paused_time
        if self._deadline is None:
            self._deadline = now + self.seconds
        try:
            async with asyncio.timeout(max(0.0, self._deadline - now)):
                return await coroutine
        except TimeoutError:
            raise TimeoutError(f"nothing that ends it came within {self.seconds:g} s of a whole answer") from None
