"""A log: streams that outlive the connection, the process and, with an engine for it, the machine."""

from __future__ import annotations

import builtins
import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from reactivex import Observable

from rxllm.exceptions import ClaimLostError, StreamTakenError
from rxllm.flow import check_count, check_kind, check_seconds
from rxllm.stores._log_engine import Cancellation, LogEngine, LogInfo
from rxllm.stores._log_sink import LogSink, this_process
from rxllm.stores._production import Production
from rxllm.stores._sqlite_log import SQLiteEngine
from rxllm.typing import Ending

__all__ = ["Log", "SQLiteLog", "check_name"]

_LONGEST_NAME = 1000


def check_name(name: object) -> None:
    """Check the name of a stream.

    Raises:
        TypeError: It is not a text.
        ValueError: It is empty, too long, or has half of a pair of surrogates.
    """
    check_kind("the name of a stream", name, str)
    text = str(name)
    if not 0 < len(text) <= _LONGEST_NAME:
        raise ValueError(f"the name of a stream must have 1 to {_LONGEST_NAME} characters, not {len(text)}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the name of a stream has half of a surrogate pair at {error.start}") from None


class Log:
    """A log has named streams of items. Any process can follow a stream from any position, while it is written and
    later.

    Args:
        engine: The engine, which keeps the streams.
        lease: For how many seconds a writer counts as alive after its last sign of life. It gives three signs in that
            time. When the lease is over, readers learn that the writer is dead, and another writer may go on.
        keep_for: How long a stream is kept after its last write, in seconds or as a ``timedelta``. Older ones are
            removed when another stream is claimed. By default streams are kept for ever.
        keep_bytes: The most bytes that all streams together may have. If they have more when another stream is claimed,
            those with the oldest last write are removed. Neither limit removes a stream whose writer is alive.

    Raises:
        TypeError: An argument that must be a number is something else.
        ValueError: A number is not positive.
    """

    def __init__(
        self,
        engine: LogEngine,
        *,
        lease: float = 10.0,
        keep_for: float | timedelta | None = None,
        keep_bytes: int | None = None,
    ) -> None:
        check_seconds("lease", lease)
        if keep_bytes is not None:
            check_count("keep_bytes", keep_bytes)
        self.engine = engine
        self.lease = lease
        self._keep_for = None if keep_for is None else _seconds("keep_for", keep_for)
        self._keep_bytes = keep_bytes
        self._claiming: dict[Production, str] = {}

    def produce(
        self, name: str, pipeline: Observable[Any], *, take_over: bool = False, buffer_size: int = 256
    ) -> Production:
        """Run a pipeline to its end and write its items to a stream, also if no reader stays.

        Returns at once. The running loop then claims the stream and subscribes to the pipeline. If an earlier writer of
        the stream has died, the first item tells readers that the answer begins anew.

        Args:
            name: The name of the stream.
            pipeline: The observable to run. Its items must be recordable, as chunks are.
            take_over: Whether to take the stream from a writer that is alive.
            buffer_size: How many items may wait for the log before the source is paused.

        Returns:
            A ``Production``, to be awaited, inspected or cancelled. You do not have to keep it.

        Raises:
            NoRunningLoopError: No event loop runs in this thread.
            TypeError: ``name`` is not a text, or ``pipeline`` is not an observable.
            ValueError: ``name`` is empty or longer than 1,000 characters, or ``buffer_size`` is less than 1.
        """
        check_kind("pipeline", pipeline, Observable)
        check_count("buffer_size", buffer_size)
        production = Production(name, self.sink(name, take_over=take_over), pipeline, buffer_size)
        self._claiming[production] = name
        production.when_claimed(self._claiming.pop)
        return production

    def sink(self, name: str, *, take_over: bool = False) -> LogSink:
        """Make a sink for ``operators.tee_to`` that writes the items of a pipeline with another consumer.

        The sink claims the stream when the pipeline is subscribed to, so a sink serves one subscription. When the
        consumer of the pipeline leaves, the stream ends as cancelled.

        Args:
            name: The name of the stream.
            take_over: Whether to take the stream from a writer that is alive.

        Raises:
            TypeError: ``name`` is not a text.
            ValueError: ``name`` is empty or longer than 1,000 characters.
        """
        check_name(name)
        return LogSink(self, name, take_over=take_over)

    async def cancel(self, name: str, reason: str = "", *, by: str | None = None) -> bool:
        """Stop a stream, from any process: its writer closes its upstream connection, and the stream ends.

        If the writer is dead, this method writes the ending itself.

        Args:
            name: The name of the stream.
            reason: The reason, for the readers.
            by: Who cancels the stream, for the readers; by default this process, as ``host:pid``.

        Returns:
            ``True`` if this call stops the stream; ``False`` if it had already ended.

        Raises:
            UnknownStreamError: The log has no stream of that name.
            RecordingError: The log cannot be read.
            TypeError: An argument is no text.
            ValueError: ``name`` is empty or longer than 1,000 characters.
        """
        check_name(name)
        check_kind("reason", reason, str)
        by = this_process() if by is None else by
        check_kind("by", by, str)
        await self.settle(name)
        while not await self.engine.cancel(name, Cancellation(reason, by)):
            with suppress(ClaimLostError):  # somebody else has claimed it meanwhile, or removed it
                return await self._end_cancelled(name, reason, by)
        return True

    async def list(self) -> builtins.list[LogInfo]:
        """All streams, in the order in which they began.

        Raises:
            RecordingError: The log cannot be read.
        """
        return await self.engine.streams()

    async def expire(self, older_than: float | timedelta) -> builtins.list[str]:
        """Remove streams whose last write is too old. A stream whose writer is alive stays.

        Args:
            older_than: The age of the last write, in seconds or as a ``timedelta``.

        Returns:
            The names of the streams that were removed.

        Raises:
            RecordingError: The log cannot be written to.
        """
        return await self.engine.expire(older_than=_seconds("older_than", older_than))

    async def settle(self, name: str) -> None:
        """Wait until ``produce`` of this object has claimed the stream of a name, or has failed to claim it."""
        for production in [each for each, named in self._claiming.items() if named == name]:
            await production.settled()

    async def retain(self) -> None:
        """Remove streams that are too old, or that exceed ``keep_bytes``."""
        if self._keep_for is not None or self._keep_bytes is not None:
            await self.engine.expire(older_than=self._keep_for, keep_bytes=self._keep_bytes)

    async def _end_cancelled(self, name: str, reason: str, by: str) -> bool:
        try:
            # Nothing is removed before: it might be this very stream.
            stream = await self.sink(name).open(retain=False)
        except StreamTakenError as taken:
            # Ended meanwhile; or claimed anew, and the new writer finds that it is to stop.
            return not taken.ended
        stream.cancel(reason, by)
        await stream.close(Ending("cancelled"))
        return True


class SQLiteLog(Log):
    """A log in a SQLite database, for all processes of one machine.

    A ``SQLiteSink`` may use the same file, and each reads what the other wrote. A file of an older version can be read
    as it is; the first writer converts it to the present version.

    Args:
        path: The file; made by the first writer. It must be on a disk of this machine, not on a network drive.
        lease: As for ``Log``.
        keep_for: As for ``Log``.
        keep_bytes: As for ``Log``.
        max_item_bytes: The most bytes that one item may have. A larger item fails its stream with
            ``LimitExceededError``.

    Attributes:
        path: The file.

    Example:
        >>> import asyncio, pathlib, reactivex, rxllm, tempfile
        >>> async def main():
        ...     log = rxllm.SQLiteLog(pathlib.Path(tempfile.mkdtemp(), "log.db"))
        ...     production = log.produce("monday", reactivex.of("Hel", "lo"))
        ...     await production.claimed()
        ...     print([text async for text in rxllm.from_log(log, "monday")], (await production).kind)
        >>> asyncio.run(main())
        ['Hel', 'lo'] completed

    See also:
        ``rxllm.from_log``, ``rxllm.sinks.SQLiteSink``
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        lease: float = 10.0,
        keep_for: float | timedelta | None = None,
        keep_bytes: int | None = None,
        max_item_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        check_count("max_item_bytes", max_item_bytes)
        self.path: Path = Path(path)
        engine = SQLiteEngine(path, max_item_bytes=max_item_bytes)
        super().__init__(engine, lease=lease, keep_for=keep_for, keep_bytes=keep_bytes)


def _seconds(name: str, given: float | timedelta) -> float:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    check_seconds(name, seconds, zero=True)
    return seconds
