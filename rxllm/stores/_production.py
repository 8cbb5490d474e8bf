"""A pipeline that runs to its end, whoever reads what it produces.

Rules:

1. The stream is claimed before the pipeline is subscribed to: what cannot be written is not asked for.
2. What the log has not taken yet waits, and a full queue pauses the source.
3. The pipeline is left at once when the stream is cancelled or the claim is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, cast

from reactivex import Observable

from rxllm.exceptions import RecordingError
from rxllm.flow import Drain, check_kind, outcome_of, outside_of_emissions, running_loop, start_task
from rxllm.logs import logger
from rxllm.models import LogPosition
from rxllm.stores._log_sink import LogSink, LogStream, this_process
from rxllm.typing import Ending

__all__ = ["Production"]

# The event loop itself keeps only weak references to tasks, and nobody may wait for these.
_running: set[asyncio.Task[None]] = set()


class Production:
    """A pipeline that is being written to a log: what ``Log.produce`` returns.

    ``await production`` waits for the end and returns the ``Ending`` that was recorded. If the pipeline failed,
    ``Ending.error`` has the error; it is not raised. An error of the log is raised.

    Raises:
        StreamTakenError: When it is awaited: the stream has a writer that is alive, or has ended.
        ClaimLostError: When it is awaited: another writer has claimed the stream meanwhile.
        RecordingError: When it is awaited: the log could not be written.

    Attributes:
        name: The name of the stream.
    """

    def __init__(self, name: str, sink: LogSink, pipeline: Observable[Any], buffer_size: int) -> None:
        self.name = name
        self._sink = sink
        self._pipeline: Observable[Any] | None = pipeline
        self._reason: str | None = None
        self._size = buffer_size
        loop = running_loop("produce()")
        self._claimed: asyncio.Future[LogStream] = loop.create_future()
        self._ended: asyncio.Future[Ending] = loop.create_future()
        self._stream: LogStream | None = None
        task = start_task(loop, self._run(), outside_of_emissions())
        _running.add(task)
        task.add_done_callback(_running.discard)

    def __await__(self) -> Generator[Any, None, Ending]:
        return outcome_of(self._ended).__await__()

    async def claimed(self) -> int:
        """Wait until the stream is claimed, and return the epoch. From then on the stream can be followed.

        Raises:
            StreamTakenError: The stream has a writer that is alive, or has ended.
        """
        return (await outcome_of(self._claimed)).epoch

    def when_claimed(self, call: Callable[[Production], object]) -> None:
        """Call a function when the stream is claimed, or when that has failed."""
        self._claimed.add_done_callback(lambda _: call(self))

    async def settled(self) -> None:
        """Wait until the stream is claimed or cannot be claimed, in the loop in which ``produce`` was called."""
        if self._claimed.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([self._claimed])

    @property
    def position(self) -> LogPosition | None:
        """The position of the last item that the log has taken from this pipeline; ``None`` if there is none."""
        return None if self._stream is None else self._stream.position

    @property
    def ending(self) -> Ending | None:
        """How the stream ended; ``None`` while it goes on, and if its ending could not be recorded."""
        return None if self._stream is None else self._stream.recorded

    @property
    def done(self) -> bool:
        """Whether it is over, whatever the outcome."""
        return self._ended.done()

    def cancel(self, reason: str = "") -> None:
        """Leave the pipeline, and record that this process cancelled the stream.

        Args:
            reason: The reason, for the readers.

        Raises:
            TypeError: ``reason`` is no text.
        """
        check_kind("reason", reason, str)
        self._reason = reason
        if self._stream is not None:
            self._stream.cancel(reason, this_process())

    async def _run(self) -> None:
        try:
            self._stream = stream = await self._sink.open()
        except asyncio.CancelledError:
            self._claimed.cancel()
            self._ended.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            self._fail(error)
            return
        self._claimed.set_result(stream)
        pipeline, self._pipeline = self._pipeline, None
        if self._reason is not None:
            self.cancel(self._reason)
        Drain(stream, self._size, self._end).start(cast("Observable[Any]", pipeline))

    def _end(self, ending: Ending) -> None:
        stream = cast("LogStream", self._stream)
        if stream.recorded is not None:
            self._ended.set_result(stream.recorded)
        else:
            self._fail(stream.failure or ending.error or RecordingError("the ending could not be recorded"))

    def _fail(self, error: Exception) -> None:
        logger.warning("could not write a stream of a log: {}", type(error).__name__)
        for future in (self._claimed, self._ended):
            if not future.done():
                future.set_exception(error)
                future.exception()  # the log line is for those who do not wait
