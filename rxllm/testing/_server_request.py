"""What a scripted server reports of one request, while it answers it and afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = ["Leaving", "ReceivedRequest", "Signal"]

Leaving: TypeAlias = Literal["close frame", "fin", "reset"]
"""How a peer leaves: with a WebSocket's close frame, by closing the connection, or by resetting it."""


class Signal:
    """Wakes those who wait for a condition whenever it may have become true."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def fire(self) -> None:
        """Let all who wait look again."""
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; at once if it does."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()


@dataclass(eq=False)
class ReceivedRequest:
    """One request, or one WebSocket, and the course of its answer.

    Attributes:
        number: The number of the request, from 0. The header ``x-request-id`` of the answer is ``req-`` and this
            number; in Anthropic's dialect the header is ``request-id``.
        connection: The number of its connection, from 0.
        method: The HTTP method.
        path: The path, without the query.
        query: The query, without the question mark.
        headers: The headers; names in lower case, repeated ones joined by a comma.
        body: The body; over a WebSocket, the first message.
        frames: The messages received over a WebSocket, the first one included.
        received_at: When the request had come (over a WebSocket, its first message), in seconds on the clock of the
            event loop.
        bytes_written: How many bytes of the answer's body the kernel has taken, including the transfer coding.
        chunks_written: How many events the kernel has taken.
        finished: An event, set when the script has come to its end, also if that end is a cut.
        peer_left: An event, set when the peer closed, reset, or sent a close frame before the script came to its end.
            Closing only one direction counts, too.
        peer_left_at: When the peer left, in seconds on the clock of the event loop.
        peer_left_by: How the peer left: ``"fin"``, ``"reset"``, or over a WebSocket ``"close frame"``.
        blocked: An event, set while the kernel takes no more, because its buffers for this connection are full, here
            and at the peer. A fast writer is blocked now and then; see ``writes_stopped``.
    """

    number: int
    connection: int
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    frames: list[str | bytes] = field(default_factory=list[str | bytes])
    received_at: float = 0.0
    bytes_written: int = 0
    chunks_written: int = 0
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    peer_left: asyncio.Event = field(default_factory=asyncio.Event)
    peer_left_at: float | None = None
    peer_left_by: Leaving | None = None
    blocked: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: Signal = field(default_factory=Signal, repr=False)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def ended(self) -> bool:
        """Whether the answer is over: the script came to its end, or the peer left."""
        return self.finished.is_set() or self.peer_left.is_set()

    async def writes_stopped(self, *, turns: int = 1000) -> None:
        """Wait until backpressure has reached this server and its writes have stopped.

        This means that they were blocked for ``turns`` turns of the event loop in a row. A client in the same loop that
        still reads does so within a few turns.

        Args:
            turns: How many turns; a thousand take about ten milliseconds.

        Raises:
            AssertionError: The answer ended instead.
        """
        blocked_for = 0
        while blocked_for < turns:
            await self._changed.until(lambda: self.blocked.is_set() or self.ended)
            if self.ended:
                raise AssertionError(f"the answer ended after {self.bytes_written} bytes; its writes did not stop")
            await asyncio.sleep(0)
            blocked_for = blocked_for + 1 if self.blocked.is_set() else 0

    def set_blocked(self, blocked: bool) -> None:  # noqa: FBT001 - called with the transport's state
        """Note that the kernel takes no more, or takes more again."""
        if blocked:
            self.blocked.set()
        else:
            self.blocked.clear()
        self._changed.fire()

    def finish(self) -> None:
        """Note that the script came to its end."""
        self.finished.set()
        self._changed.fire()

    def leave(self, at: float, by: Leaving) -> None:
        """Note that the peer left."""
        self.peer_left_at = at
        self.peer_left_by = by
        self.peer_left.set()
        self._changed.fire()
