"""A log: streams that outlive the connection, the process and, with an engine for it, the machine."""

from __future__ import annotations

import builtins
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from reactivex import Observable

from rxllm.exceptions import StreamTakenError
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
        TypeError: It is no text.
        ValueError: It is empty, too long, or has half of a pair of surrogates.
    """
    check_kind("the name of a stream", name, str)
    text = str(name)
    if not 0 < len(text) <= _LONGEST_NAME:
        raise ValueError(f"the name of a stream must have 1 to {_LONGEST_NAME} characters, not {len(text)}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the name of a stream has no character at {error.start}, but half of one") from None


class Log:
    """Named streams of items that any process can follow, from whatever position, while they are written and later.

    Args:
        engine: What keeps them.
        lease: For how many seconds a writer counts as alive after it last gave a sign. It gives three in that time.
            When it is over, readers are told that the writer is dead, and another one may go on.
        keep_for: Streams that nobody wrote to for so long are removed when another is claimed, in seconds or as a
            ``timedelta``; by default they are kept for ever.
        keep_bytes: If all streams together have more bytes when another is claimed, those are removed that nobody wrote
            to for the longest time. A stream whose writer is alive is never removed, by neither.

    Raises:
        TypeError: A number is none.
        ValueError: It is not positive.
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
        """Run a pipeline to its end, whoever reads it or leaves, and write its items to a stream.

        Returns at once; the stream is claimed, and then the pipeline is subscribed to, in the running loop. If a former
        writer of the stream has died, its first item is a restart.

        Args:
            name: The name of the stream.
            pipeline: What to run: an observable of what can be recorded, chunks for example.
            take_over: Whether to take the stream from a writer that is alive.
            buffer_size: How many items may wait for the log; then the source is paused.

        Returns:
            What can be awaited, looked at and cancelled. Nobody has to keep it.

        Raises:
            NoRunningLoopError: No event loop runs in this thread.
            TypeError: ``name`` is no text, or ``pipeline`` no observable.
            ValueError: ``name`` is empty or longer than 1,000 characters, or ``buffer_size`` is less than 1.
        """
        check_kind("pipeline", pipeline, Observable)
        check_count("buffer_size", buffer_size)
        production = Production(name, self.sink(name, take_over=take_over), pipeline, buffer_size)
        self._claiming[production] = name
        production.when_claimed(self._claiming.pop)
        return production

    def sink(self, name: str, *, take_over: bool = False) -> LogSink:
        """A sink for ``operators.tee_to``: it writes the items of a pipeline that has a consumer of its own.

        It claims the stream when the pipeline is subscribed to, so one sink serves one subscription. When its consumer
        leaves, the stream ends as cancelled.

        Args:
            name: The name of the stream.
            take_over: Whether to take the stream from a writer that is alive.

        Raises:
            TypeError: ``name`` is no text.
            ValueError: It is empty or longer than 1,000 characters.
        """
        check_name(name)
        return LogSink(self, name, take_over=take_over)

    async def cancel(self, name: str, reason: str = "", *, by: str | None = None) -> bool:
        """Stop a stream, whichever process writes it: its upstream connection is closed, and the stream ends.

        If its writer is dead, the ending is written here.

        Args:
            name: The name of the stream.
            reason: Why, for the readers.
            by: Who wants it; by default this process, as ``host:pid``.

        Returns:
            Whether it is stopped by this; ``False`` if it had ended before.

        Raises:
            UnknownStreamError: There is no such stream.
            RecordingError: The log cannot be read.
        """
        check_name(name)
        by = this_process() if by is None else by
        await self.settle(name)
        if await self.engine.cancel(name, Cancellation(reason, by)):
            return True
        return await self._end_cancelled(name, reason, by)

    async def list(self) -> builtins.list[LogInfo]:
        """All streams, in the order in which they began.

        Raises:
            RecordingError: The log cannot be read.
        """
        return await self.engine.streams()

    async def expire(self, older_than: float | timedelta) -> builtins.list[str]:
        """Remove streams that nobody wrote to for so long. One whose writer is alive stays.

        Args:
            older_than: For how long, in seconds or as a ``timedelta``.

        Returns:
            The names of what was removed.

        Raises:
            RecordingError: The log cannot be written to.
        """
        return await self.engine.expire(older_than=_seconds("older_than", older_than))

    async def settle(self, name: str) -> None:
        """Wait until what this object is about to produce under a name has its stream, or cannot have it."""
        for production in [each for each, named in self._claiming.items() if named == name]:
            await production.settled()

    async def retain(self) -> None:
        """Remove what is too old, and what is too much."""
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

    The file may be that of a ``SQLiteSink``, too: what one wrote, the other reads. A file of an older version is read
    as it is; the first writer makes the present version of it.

    Args:
        path: The file; made by the first writer. Its folder must be on a disk of this machine, not of another.
        lease: As for ``Log``, like the next two.
        keep_for: How long streams are kept.
        keep_bytes: How many bytes are kept.
        max_item_bytes: How large an item may be; a larger one fails its stream with ``LimitExceededError``.

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
