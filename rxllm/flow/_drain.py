"""An observable that is written to a sink, and to nobody else.

Rules:

1. It runs to its end whoever looks: it is its own consumer.
2. What the sink has not taken yet waits in a queue of bounded size, and a full queue pauses the producer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from reactivex import Observable

from rxllm.exceptions import BufferOverflowError
from rxllm.flow._backlog import Backlog
from rxllm.flow._batches import Receiver
from rxllm.flow._consumer import consuming
from rxllm.flow._control import without_secrets
from rxllm.flow._mailbox import LoopScheduler
from rxllm.flow._sink_writer import SinkWriter
from rxllm.flow._stopping import stopping
from rxllm.flow._stream import subscribe_to
from rxllm.flow._watching import WatchedQueue, watcher
from rxllm.typing import Ending, SinkStream

T = TypeVar("T")


class Drain(Receiver[T]):
    """Writes what comes to a stream of a sink, to its end.

    Args:
        stream: The stream, which is open.
        size: How many items wait or are being written at most.
        end: Called with the ending when everything is written.

    Attributes:
        called: What whoever looks at it calls it.
    """

    called: str = "produce"

    def __init__(self, stream: SinkStream[T], size: int, end: Callable[[Ending], None]) -> None:
        self._backlog: Backlog[T] = Backlog(size, holder="produce")
        self._writer: SinkWriter[T] = SinkWriter(
            _Opened(stream), self._backlog, detach=False, leave=self.leave, end=end
        )

    @property
    def queue(self) -> WatchedQueue:
        """What has not been written."""
        return self._backlog

    @property
    def is_over(self) -> bool:
        """Whether everything is written."""
        return self._writer.detached

    def start(self, observable: Observable[T]) -> None:
        """Subscribe."""
        with consuming(self):
            if (who := watcher()) is not None:
                who.on_consumer(self)
            self._writer.start()
            try:
                subscribe_to(observable, self, LoopScheduler(self._writer.loop, self))
            except Exception as error:
                self.fail(error)

    def on_batch(self, items: Sequence[T]) -> int:
        """Take items for which there is room, and one if there is none: then the producer is paused."""
        if self._writer.ending is not None:
            return 0
        batch = without_secrets(items[: max(self._backlog.room, 1)])
        try:
            if self._backlog.room:
                self._backlog.extend(batch)
            else:
                self._backlog.push(batch[0])
        except BufferOverflowError as error:
            self.fail(error)
        self._writer.wake()
        return len(batch)

    def on_error(self, error: Exception) -> None:
        self._writer.end(Ending("failed", error))

    def on_completed(self) -> None:
        self._writer.end(Ending("stopped" if stopping() else "completed"))

    def fail(self, error: BaseException) -> None:
        """Hear of an error that had no other way."""
        self.leave()
        self.on_error(error if isinstance(error, Exception) else RuntimeError(f"the pipeline raised {error!r}"))

    def outlives(self, task: asyncio.Task[None]) -> None:
        """Nobody waits for that: to leave is no waiting."""


class _Opened(Generic[T]):
    """A sink whose stream is open already."""

    def __init__(self, stream: SinkStream[T]) -> None:
        self._stream = stream

    async def open(self) -> SinkStream[T]:
        return self._stream
