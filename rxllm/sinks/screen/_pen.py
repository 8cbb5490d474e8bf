"""One stream on a terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from rxllm.models import ApprovalRequested, StreamChunk, Timing
from rxllm.sinks._plain_text import require_shown
from rxllm.sinks.screen._answer import Answer, Shown
from rxllm.sinks.screen._owner import Owner
from rxllm.typing import Ending

# How long a display whose stream was left may take for its last words.
_PATIENCE_SECONDS = 0.5


class Pen:
    """The stream of a sink that draws.

    Args:
        file: Where to.
        timing: Tells how fast the answer came.

    Attributes:
        broken: Fails when the file cannot be written to any more.
    """

    def __init__(self, file: TextIO, timing: Callable[[], Timing] | None) -> None:
        loop = asyncio.get_running_loop()
        self.broken: asyncio.Future[None] = loop.create_future()
        self._timing = timing
        # The stream may have begun before this could.
        since = 0.0 if timing is None else timing().elapsed or 0.0
        self._answer = answer = Answer(time.monotonic() - since)
        self._owner = owner = Owner.of(file, self.broken, loop)
        owner.submit(lambda: owner.screen.answers.append(answer))

    async def write(self, items: Sequence[Shown], /) -> None:
        """Hand items over; wait only if the file blocks, and until a question can be read.

        Raises:
            TypeError: There is nothing to show of the class of one.
        """
        asks = False
        for item in items:
            if not isinstance(item, StreamChunk | str):
                require_shown(item)
                asks = asks or isinstance(item, ApprovalRequested)
        now = time.monotonic()

        def add() -> None:
            for item in items:
                self._answer.add(item, now)

        if self._owner.submit(add, len(items)) or asks:
            await self._owner.wait(drawn=asks)

    async def close(self, ending: Ending, /) -> None:
        """Have the end drawn."""
        now = time.monotonic()
        timing = None if self._timing is None else self._timing()
        self._owner.submit(lambda: self._answer.close(ending, now, timing))
        try:
            # The program may be ending: a terminal that blocks must not keep it.
            async with asyncio.timeout(_PATIENCE_SECONDS if ending.kind in {"cancelled", "stopped"} else None):
                await self._owner.wait(drawn=True)
        except TimeoutError:
            pass
        finally:
            self._owner.leave(self.broken)
            self.broken.cancel()
