"""A sink in front of a store.

Rules:

1. One thread a sink, while it has open streams: the store blocks, and belongs to one thread.
2. A batch is numbered when it is stored. One that failed leaves no gap, and nothing is stored after it.
3. What the chunks amount to is stored with the ending.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from rxllm.accumulators import StreamAccumulator
from rxllm.exceptions import RxllmError, ToolCallError
from rxllm.models import StreamChunk
from rxllm.stores import EndRecord, ItemRecord, SlotsEncoder, Worker, Writer, encode_error, encode_item
from rxllm.typing import Ending, SinkStream


class StoreSink:
    """Records streams in a store, of which it needs nothing but its writing end.

    Args:
        open_writer: Opens the store; called in the thread in which it is then used.
        stream_id: Names each new stream; by default a random identifier.
    """

    def __init__(self, open_writer: Callable[[], Writer], *, stream_id: Callable[[], str] | None = None) -> None:
        self._open_writer = open_writer
        self._stream_id = stream_id or _random_id
        self._lock = threading.Lock()
        self._shared: _SharedWriter | None = None

    async def open(self) -> SinkStream[object]:
        """Begin a stream, opening the store if no other stream of this sink has."""
        shared = self._acquire()
        stream = _RecordedStream(self, shared, self._stream_id())
        try:
            await shared.worker.run(stream.begin)
        except BaseException:
            await self.release(shared)
            raise
        return stream

    async def release(self, shared: _SharedWriter) -> None:
        """Give the writer back; the last stream to do so closes the store."""
        with self._lock:
            shared.users -= 1
            if shared.users:
                return
            self._shared = None
        await shared.worker.stop(shared.close)

    def _acquire(self) -> _SharedWriter:
        with self._lock:
            if self._shared is None:
                self._shared = _SharedWriter(self._open_writer)
            self._shared.users += 1
            return self._shared


class _SharedWriter:
    """The writer that the open streams of a sink share, and its thread."""

    def __init__(self, open_writer: Callable[[], Writer]) -> None:
        self.worker: Worker = Worker()
        self.users = 0
        self._open_writer = open_writer
        self._writer: Writer | None = None

    def get(self) -> Writer:
        """The writer, opened when it is first needed; called in its thread."""
        if self._writer is None:
            self._writer = self._open_writer()
        return self._writer

    def close(self) -> None:
        """Close the writer, if it was ever opened; called in its thread."""
        if self._writer is not None:
            self._writer.close()


class _RecordedStream:
    """One stream being recorded. What has no underscore and is no coroutine runs in the thread."""

    def __init__(self, sink: StoreSink, shared: _SharedWriter, stream: str) -> None:
        self._sink = sink
        self._shared = shared
        self._stream = stream
        self._began = datetime.now(UTC)
        # The loop's clock is monotonic, and virtual where the loop's time is.
        self._started = asyncio.get_running_loop().time()
        self._items = 0
        self._failure: Exception | None = None
        self._answer = _Answer()
        self._slots = SlotsEncoder()

    async def write(self, items: Sequence[object], /) -> None:
        """Store a batch in one transaction."""
        await self._shared.worker.run(self.store, items, self._seconds())

    async def close(self, ending: Ending, /) -> None:
        """Store the ending; returning means that everything would survive a loss of power."""
        try:
            await self._shared.worker.run(self.end, ending, self._seconds())
        finally:
            await self._sink.release(self._shared)

    def begin(self) -> None:
        self._shared.get().begin(self._stream, self._began)

    def store(self, items: Sequence[object], seconds: float) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            self._shared.get().append(self._stream, self._records(items, seconds))
        except Exception as error:
            self._failure = error
            raise
        self._items += len(items)
        self._answer.add(items)

    def end(self, ending: Ending, seconds: float) -> None:
        if self._failure is not None and ending.kind == "completed":
            # Something is missing: this is no recording of a whole stream, whatever became of the stream.
            ending = Ending("failed", self._failure)
        completion = self._answer.completion(complete=ending.kind == "completed") if self._items else None
        end = EndRecord(seconds, self._items, ending.kind, encode_error(ending), completion)
        self._shared.get().end(self._stream, end)

    def _seconds(self) -> float:
        return asyncio.get_running_loop().time() - self._started

    def _records(self, items: Sequence[object], seconds: float) -> list[ItemRecord]:
        slots = self._slots.encode
        encoded = [(*encode_item(item), slots(item)) for item in items]
        return [ItemRecord(position, seconds, *each) for position, each in enumerate(encoded, self._items)]


class _Answer:
    """What the chunks of a stream amount to, as long as that can be said."""

    def __init__(self) -> None:
        self._accumulator: StreamAccumulator | None = StreamAccumulator()

    def add(self, items: Sequence[object]) -> None:
        """Take the items in, if they are chunks; there is no answer to other streams."""
        if self._accumulator is None:
            return
        chunks = [item for item in items if isinstance(item, StreamChunk)]
        if len(chunks) < len(items):
            self._accumulator = None
            return
        try:
            self._accumulator.add_all(chunks)
        except RxllmError:
            # That is for an accumulating operator to report. Here the items count, and they are stored.
            self._accumulator = None

    def completion(self, *, complete: bool) -> dict[str, Any] | None:
        """The answer, or what there is of it."""
        if self._accumulator is None:
            return None
        try:
            answer = self._accumulator.completion(ended=True) if complete else self._accumulator.partial()
        except ToolCallError:
            # A garbled call: what came of it is kept as an incomplete one.
            answer = self._accumulator.partial()
        return answer.model_dump()


def _random_id() -> str:
    return uuid.uuid4().hex
