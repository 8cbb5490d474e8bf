"""A stream of a log that is being written.

Rules:

1. Opening it claims the stream. From then on it gives signs of life, whatever the items do.
2. Whoever wants the stream to stop, or claims it meanwhile, breaks this: ``broken`` fails, and whoever writes leaves
   what it writes from at once.
3. Of a batch that somebody stopped waiting for nobody knows whether it is there. It is sent again before anything else:
   an engine takes it once.
4. After a claim was lost nothing is written, and no ending.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rxllm.exceptions import (
    ClaimLostError,
    LimitExceededError,
    LogUnavailableError,
    RecordingError,
    StreamCancelledError,
    excerpt,
)
from rxllm.models import LogPosition
from rxllm.stores._log_engine import LogWriter
from rxllm.stores._recorder import Recorder
from rxllm.stores._records import ItemRecord
from rxllm.typing import Ending

if TYPE_CHECKING:
    from rxllm.stores._log import Log

__all__ = ["LogSink", "LogStream", "cancelled_error", "this_process"]

# How often a writer gives a sign in the time of its lease.
_BEATS = 3


def this_process() -> str:
    """Who this is, for whoever reads of it elsewhere."""
    return f"{socket.gethostname()}:{os.getpid()}"


def cancelled_error(name: str, reason: str, by: str) -> StreamCancelledError:
    """What the readers of a stream get that was stopped."""
    why = f": {excerpt(reason)}" if reason else ""
    return StreamCancelledError(f"the stream {excerpt(name)} was cancelled by {excerpt(by)}{why}", reason=reason, by=by)


class LogSink:
    """Writes one stream of a log, for ``tee_to``.

    Args:
        log: The log.
        name: The name of the stream.
        take_over: Whether to take it from a writer that is alive.
    """

    def __init__(self, log: Log, name: str, *, take_over: bool) -> None:
        self._log = log
        self._name = name
        self._take_over = take_over

    async def open(self, *, retain: bool = True) -> LogStream:
        """Claim the stream.

        Args:
            retain: Whether to remove before what the log is not to keep.

        Raises:
            StreamTakenError: It has a writer that is alive, or it has ended.
        """
        log = self._log
        if retain:
            await log.retain()
        writer = await log.engine.claim(self._name, lease=log.lease, take_over=self._take_over)
        return LogStream(self._name, writer, log.lease)


class LogStream:
    """One stream being written.

    Args:
        name: Its name.
        writer: The right to write it.
        lease: The lease of that, in seconds.

    Attributes:
        broken: Fails when nothing more can be written.
        position: The position of the last item; ``None`` if this writer has written none.
        recorded: How the stream ended, once that is recorded.
    """

    def __init__(self, name: str, writer: LogWriter, lease: float) -> None:
        loop = asyncio.get_running_loop()
        self.broken: asyncio.Future[None] = loop.create_future()
        self.position: LogPosition | None = None
        self.recorded: Ending | None = None
        self.epoch = writer.epoch
        self._name = name
        self._writer = writer
        self._lease = lease
        # Of two clocks that differ the stream may have begun in the future.
        self._began = loop.time() - max(time.time() - writer.began.timestamp(), 0.0)
        self._recorder = Recorder(writer.next, restarts=writer.next > 0, tell_again=True)
        self._last_sign = loop.time()
        self._pending: list[tuple[Sequence[object], list[ItemRecord]]] = []
        self._tasks = [asyncio.create_task(self._give_signs()), asyncio.create_task(self._watch())]

    async def write(self, items: Sequence[object], /) -> None:
        """Add a batch, up to the first item that cannot be recorded."""
        await self._settle()
        items = self._recorder.marked(items)
        records: list[ItemRecord] = []
        failure: Exception | None = None
        try:
            for record in self._recorder.records(items, self._seconds()):
                records.append(record)  # noqa: PERF402 - what is good stays
        except Exception as error:  # noqa: BLE001 - raised behind what is good
            failure = error
        if records:
            self._pending.append((items, records))
            await self._settle()
        if failure is not None:
            self._break(failure)
            raise failure

    async def close(self, ending: Ending, /) -> None:
        """Record the ending, unless the claim was lost."""
        try:
            await self._fall_silent()
            if not isinstance(self.failure, ClaimLostError):
                await self._end(ending)
        finally:
            await self._writer.release()

    async def release(self) -> None:
        """Let go of the stream without an ending, as if this process were killed: for tests."""
        await self._fall_silent()
        await self._writer.release()

    def cancel(self, reason: str, by: str) -> None:
        """Stop: whoever writes leaves what it writes from."""
        self._break(cancelled_error(self._name, reason, by))

    async def _fall_silent(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def failure(self) -> Exception | None:
        """Why nothing more can be written, if that is so."""
        return cast("Exception | None", self.broken.exception()) if self.broken.done() else None

    def _break(self, error: Exception) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)
            self.broken.exception()  # whoever writes asks for it; nobody has to

    async def _settle(self) -> None:
        """Add the batches of which it is not known that they are there."""
        while self._pending:
            items, records = self._pending[0]
            try:
                await self._writer.append(records)
            except Exception as error:
                if isinstance(error, LimitExceededError) and len(records) > 1:
                    half = len(records) // 2  # what is good comes first; or all of it, if only the batch was too large
                    self._pending[:1] = [(items[:half], records[:half]), (items[half:], records[half:])]
                    continue
                if not isinstance(error, LogUnavailableError):
                    self._pending.clear()
                self._break(error)
                raise
            del self._pending[0]
            self._last_sign = asyncio.get_running_loop().time()
            self._recorder.stored(items[: len(records)])
            self.position = LogPosition(self.epoch, self._recorder.next - 1)

    async def _end(self, ending: Ending) -> None:
        try:
            await self._settle()
            ending = self._true_ending(ending)
            await self._writer.end(self._recorder.end(ending, self._seconds()))
        except RecordingError as error:
            self._break(error)
            raise
        self.recorded = ending

    def _true_ending(self, ending: Ending) -> Ending:
        failure = self.failure
        if isinstance(failure, StreamCancelledError):
            return Ending("cancelled", failure)
        if failure is not None and ending.kind == "completed":
            # Something is missing, whatever became of what was written from.
            return Ending("failed", failure)
        if ending.kind == "cancelled" and ending.error is None:
            return Ending("cancelled", cancelled_error(self._name, "the pipeline was left", this_process()))
        return ending

    async def _give_signs(self) -> None:
        while not self.broken.done():
            # A batch is a sign, too.
            left = self._last_sign + self._lease / _BEATS - asyncio.get_running_loop().time()
            if left > 0:
                await asyncio.sleep(left)
            else:
                await self._give_a_sign()

    async def _give_a_sign(self) -> None:
        self._last_sign = asyncio.get_running_loop().time()
        try:
            await self._writer.beat()
        except ClaimLostError as error:
            self._break(error)
        except RecordingError:
            pass  # the next batch will tell, unless the log is there again by then

    async def _watch(self) -> None:
        while not self.broken.done():
            try:
                self.cancel(*await self._writer.cancelled())
            except ClaimLostError as error:
                self._break(error)
            except RecordingError:
                await asyncio.sleep(self._lease / _BEATS)  # as above

    def _seconds(self) -> float:
        return max(asyncio.get_running_loop().time() - self._began, 0.0)
