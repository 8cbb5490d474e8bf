"""How long a source waits for the end of an answer that is whole already.

Rules:

1. An answer is whole when whoever decodes it says so (``FlowControl.decoder``). What may still come is usage, the end
   marker and the end of the transport, and some servers and proxies send none of them.
2. The time begins when that is first noticed, and what arrives meanwhile, pings for example, does not prolong it. The
   time that a consumer pauses does not count.
3. Behind an error in the stream some servers say what the answer cost. For that the source waits, too, but much less.
4. What has arrived when the time is over is still read, for as long again at most: there may be no end of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from rxllm.flow import FlowControl

Read = TypeVar("Read")

GRACE_SECONDS = 1.0
END_OF_BODY_SECONDS = 0.1
"""How long the end of the transport is waited for behind the end marker of an answer that is whole, and usage behind an
error."""


def is_end_marker(text: str, end_marker: str | None) -> bool:
    """Whether an event is the end marker; spaces around it do not count, nor does ``data:`` said once more.

    >>> is_end_marker("data: [DONE] ", "[DONE]"), is_end_marker("not [DONE]", "[DONE]")
    (True, False)
    """
    if end_marker is None or end_marker not in text:
        return False
    before, _, behind = text.rpartition(end_marker)
    return not behind.strip() and not before.replace("data:", "").strip()


class Grace:
    """The time that a source has left for what comes behind a whole answer.

    Args:
        seconds: How long it is.
        flow: That of the source.
        closed: What becomes of the connection, if that is known.

    Attributes:
        seconds: How long it is.
        closed: What becomes of the connection.
    """

    __slots__ = ("_deadline", "_flow", "closed", "seconds")

    def __init__(self, seconds: float, flow: FlowControl, closed: asyncio.Future[None] | None = None) -> None:
        self.seconds = seconds
        self.closed = closed
        self._flow = flow
        flow.lingers = True
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

    async def within(self, coroutine: Coroutine[Any, Any, Read]) -> Read:
        """Await something in the time that is left.

        Raises:
            TimeoutError: None is left.
        """
        now = asyncio.get_running_loop().time() - self._flow.paused_time
        seconds = min(self.seconds, END_OF_BODY_SECONDS) if self._flow.failed else self.seconds
        if self._deadline is None:
            self._deadline = now + seconds
        if now > self._deadline + seconds:
            coroutine.close()
            raise self._over()
        try:
            async with asyncio.timeout(max(0.0, self._deadline - now)):
                return await coroutine
        except TimeoutError:
            raise self._over() from None

    def _over(self) -> TimeoutError:
        return TimeoutError(f"nothing that ends it came within {self.seconds:g} s of a whole answer")
