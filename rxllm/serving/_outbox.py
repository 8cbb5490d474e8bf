"""What waits to be written to a client.

Rules:

1. An item becomes frames when it comes. What waits is bytes, and those that are being written count as waiting. At
   ``MOST_BYTES`` the provider is paused; at half of it, it is resumed.
2. Nothing else is done for an item. The task that writes is woken once for all that came at a time, and writes that in
   one piece.
3. An error before anything was told is kept: it is the status of the answer. A later one is told to the client.
4. One timer looks after silence, however much is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from rxllm.exceptions import BufferOverflowError
from rxllm.flow import Awaited, Pauses
from rxllm.serving._event_stream import COMMENT
from rxllm.serving._public_error import ClosingError
from rxllm.serving._telling import Telling

MOST_BYTES = 64 * 1024
"""How much waits, and is written at a time; the last frame may go beyond it."""

# Of a producer that cannot be paused.
_MOST_EXCESS = 1024 * 1024


class Outbox(Awaited[Any]):
    """The observer of a pipeline that is served: keeps what its items become, for the task that writes.

    Args:
        telling: How they are told.

    Attributes:
        gone: Whether the client has left.
        size: How many bytes wait, and are being written, until the provider is paused.
        unit: What is counted.
    """

    called = "serving"
    size: int = MOST_BYTES
    unit: ClassVar[str] = "bytes"

    def __init__(self, telling: Telling) -> None:
        super().__init__()
        self.gone: bool = False
        self._telling = telling
        self._frames: list[bytes] = []
        self._bytes = 0
        self._pauses = Pauses("serving")
        self._is_answered = False
        self._is_quiet = True
        self._timer: asyncio.TimerHandle | None = None

    @property
    def queue(self) -> Outbox:
        return self

    @property
    def waiting(self) -> int:
        """How many bytes wait, or are being written."""
        return self._bytes

    @property
    def holder(self) -> Pauses:
        """Who pauses the provider."""
        return self._pauses

    @property
    def is_due(self) -> bool:
        return self.ended or bool(self._frames)

    def on_batch(self, items: Sequence[Any]) -> int:
        size = self._bytes
        if self.ended or self._is_too_much(size):
            return 0
        frames, tell = self._frames, self._telling.item
        if not self._telling.has_begun:
            frames.append(self._telling.begin())
        taken, error = 0, None
        for item in items:
            taken += 1
            try:
                told = tell(item)
            except Exception as reason:  # noqa: BLE001 - told to the client
                error = reason
                break
            frames.append(told)
            size += len(told)
            if size >= MOST_BYTES:
                self._pauses.hold()
                break
        self._bytes = size
        self._is_answered = self._is_answered or error is None or taken > 1
        if error is not None or self._telling.over:
            self.end(error)
            self.dispose()
        else:
            self.wake()
        return taken

    def end(self, error: BaseException | None) -> None:
        """Note the end; the first one counts. It is told, unless it is the status."""
        if self.ended:
            return
        try:
            if error is None:
                self._frames.append(self._telling.completed(stopped=self.stopped))
            elif self._is_answered:
                self._frames.append(self._telling.failed(error))
                error = None
        except Exception as fault:  # noqa: BLE001 - of the protocol; the server is told, behind what was written
            error = fault
        super().end(error)

    def close(self) -> None:
        """End it, because the server stops."""
        self.end(ClosingError())
        self.dispose()

    def abandon(self) -> None:
        """Leave the pipeline, because the client has left."""
        self.gone = True
        self._frames.clear()
        super().end(None)
        self.dispose()

    def answer(self, heartbeat: float) -> None:
        """Begin the body: from here on everything is told to the client.

        Args:
            heartbeat: After how many seconds of silence at most there is a comment.
        """
        self._is_answered = True
        if (error := self.error) is not None:
            self.error = None
            self._frames.append(self._telling.failed(error))
        elif not any(self._frames):
            self._frames.append(self._telling.begin() or COMMENT)
        if not self.ended:
            self._beat(heartbeat / 2)

    async def block(self) -> bytes:
        """What is to be written next, in whole frames; nothing at the end. The former block was written.

        Raises:
            Exception: The protocol could not tell the end.
        """
        frames = self._frames
        while True:
            self._bytes = sum(map(len, frames))
            if self._pauses and self._bytes <= MOST_BYTES // 2:
                self._pauses.release()
            if not frames:
                if self.error is not None:
                    raise self.error
                if self.ended:
                    return b""
                await self.wait()
            # Another thread may add to them meanwhile.
            count = len(frames)
            block = b"".join(frames[:count])
            del frames[:count]
            if block:
                self._is_quiet = False
                return block

    def dispose(self) -> None:
        self.leave()
        self._pauses.release()
        if self._timer is not None:
            self._timer.cancel()

    def _is_too_much(self, size: int) -> bool:
        """Whether so much waits that the producer is none that is paused; the answer has failed then."""
        if size <= _MOST_EXCESS:
            return False
        self.end(
            BufferOverflowError(
                f"{size} bytes wait for a client and the producer goes on: it is not an rxllm source, or an operator "
                "with a timer or thread of its own stands between. Bound it by a lossy buffer_with_backpressure",
                size=size,
            )
        )
        self.dispose()
        return True

    def _beat(self, seconds: float) -> None:
        """Look after silence from time to time."""
        if self._is_quiet and self.waiter is not None:
            self._frames.append(COMMENT)
            self.wake()
        self._is_quiet = True
        self._timer = asyncio.get_running_loop().call_later(seconds, self._beat, seconds)
