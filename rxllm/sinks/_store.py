"""A sink in front of a store.

Rules:

1. One thread a sink, while it has open streams: the store blocks, and belongs to one thread.
2. A batch is numbered when it is stored. One that failed leaves no gap, and nothing is stored after it.
3. What the chunks amount to is stored with the ending.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from rxllm.stores import Recorder, Shared, Use, Writer
from rxllm.typing import Ending, SinkStream


class StoreSink:
    """Records streams in a store; it only needs the writer of that store.

    Args:
        open_writer: Opens the store. It is called in the thread that then uses the store.
        stream_id: Names each new stream; by default a random identifier.
    """

    def __init__(self, open_writer: Callable[[], Writer], *, stream_id: Callable[[], str] | None = None) -> None:
        self._stream_id = stream_id or _random_id
        self._shared: Shared[Writer] = Shared(open_writer)

    async def open(self) -> SinkStream[object]:
        """Begin a stream, opening the store if no other stream of this sink has."""
        used = self._shared.acquire()
        stream = _RecordedStream(self._shared, used, self._stream_id())
        try:
            await used.run(stream.begin)
        except BaseException:
            await self._shared.release(used)
            raise
        return stream


class _RecordedStream:
    """One stream being recorded. What has no underscore and is no coroutine runs in the thread."""

    def __init__(self, shared: Shared[Writer], used: Use[Writer], stream: str) -> None:
        self._shared = shared
        self._used = used
        self._stream = stream
        self._began = datetime.now(UTC)
        # The loop's clock is monotonic, and virtual where the loop's time is.
        self._started = asyncio.get_running_loop().time()
        self._failure: Exception | None = None
        self._recorder = Recorder()

    async def write(self, items: Sequence[object], /) -> None:
        """Store a batch in one transaction."""
        await self._used.run(self.store, items, self._seconds())

    async def close(self, ending: Ending, /) -> None:
        """Store the ending; returning means that everything would survive a loss of power."""
        try:
            await self._used.run(self.end, ending, self._seconds())
        finally:
            await self._shared.release(self._used)

    def begin(self, writer: Writer) -> None:
        writer.begin(self._stream, self._began)

    def store(self, writer: Writer, items: Sequence[object], seconds: float) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            writer.append(self._stream, [*self._recorder.records(items, seconds)])
        except Exception as error:
            self._failure = error
            raise
        self._recorder.stored(items)

    def end(self, writer: Writer, ending: Ending, seconds: float) -> None:
        if self._failure is not None and ending.kind == "completed":
            # Something is missing: this is not a recording of a whole stream, whatever became of the stream.
            ending = Ending("failed", self._failure)
        writer.end(self._stream, self._recorder.end(ending, seconds))

    def _seconds(self) -> float:
        return asyncio.get_running_loop().time() - self._started


def _random_id() -> str:
    return uuid.uuid4().hex
