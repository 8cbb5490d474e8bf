"""``from_recording`` and ``list_recordings``: what a sink recorded, again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from reactivex import abc

from rxllm.exceptions import RecordingError, StreamInterruptedError, as_cause, excerpt
from rxllm.flow import Clock, Emitter, Stream, check_positive, clock_of, mark_stopped, task_source
from rxllm.stores import (
    EndRecord,
    ItemRecord,
    RecordingInfo,
    SlotsDecoder,
    Worker,
    decode_error,
    decode_item,
    open_reader,
)

Timing: TypeAlias = Literal["none", "recorded"]
Attempts: TypeAlias = Literal["last", "all"]


def list_recordings(path: str | os.PathLike[str]) -> list[RecordingInfo]:
    """List the streams in a file that a sink wrote.

    This reads the file in the calling thread; of JSON lines it reads all.

    Args:
        path: The file, of ``SQLiteSink`` or ``JSONLinesSink``.

    Returns:
        Identifier, beginning, number of items and ending of each stream, in the order in which they began.

    Raises:
        RecordingError: There is no such file, or it is something else.
    """
    with closing(open_reader(path)) as reader:
        return reader.recordings()


def from_recording(
    path: str | os.PathLike[str],
    *,
    stream: str | None = None,
    timing: Timing = "none",
    speed: float = 1.0,
    attempts: Attempts = "last",
    scheduler: abc.SchedulerBase | None = None,
) -> Stream[Any]:
    """Play a recorded stream again: the same items, and the same ending.

    Cold, and flow-controlled: while a consumer holds a pause, nothing is read. The file is read in a thread, in batches
    of some hundred items. A stream that failed fails again, with the same type, message and attributes. One that was
    cut, because its consumer left or its process was killed, ends in a ``StreamInterruptedError``: it is never
    taken for a whole one.

    Args:
        path: The file, of ``SQLiteSink`` or ``JSONLinesSink``; its first bytes tell which.
        stream: Which stream, by its identifier; by default the one that began last. See ``list_recordings``.
        timing: ``"none"`` for full speed, ``"recorded"`` to deliver each item as long after the subscription as it was
            written after the beginning. What a pause has delayed comes at once, as it would from a server.
        speed: How many times faster than recorded.
        attempts: Of an answer that began anew (``StreamChunk.restarts``), ``"last"`` plays what counts, from there on;
            ``"all"`` plays what was given up before, too.
        scheduler: Whose time it is; by default that of the subscription, else of the running loop.

    Returns:
        The items, as the sink got them.

    Raises:
        RecordingError: As ``on_error``, like all but the last: there is no such file or stream, it is something else,
            items are missing, or the stream failed with an error that is none of this library's.
        StreamInterruptedError: The recorded stream was cut.
        RxllmError: What the recorded stream failed with.
        ValueError: At once, like the last: ``timing`` or ``attempts`` is none of those, or ``speed`` is not positive.
        TypeError: ``speed`` is no number.

    Example:
        >>> import pathlib, reactivex, rxllm, tempfile
        >>> from rxllm import operators as ops
        >>> path = pathlib.Path(tempfile.mkdtemp(), "chats.db")
        >>> answer = reactivex.of("Hel", "lo").pipe(ops.tee_to(rxllm.sinks.SQLiteSink(path)))
        >>> rxllm.run(answer)
        'lo'
        >>> rxllm.run(rxllm.from_recording(path, timing="recorded", speed=10))
        'lo'
    """
    if timing not in {"none", "recorded"}:
        raise ValueError(f"timing must be 'none' or 'recorded', not {timing!r}")
    if attempts not in {"last", "all"}:
        raise ValueError(f"attempts must be 'last' or 'all', not {attempts!r}")
    check_positive("speed", speed)

    async def produce(emitter: Emitter[Any]) -> None:
        pace = Pace(clock_of(scheduler, emitter.scheduler), speed) if timing == "recorded" else None
        await _Player(path, pace, emitter, attempts).play(stream)

    return task_source(produce)


# Some hundred years: what is for ever for us is still a time for every clock.
_LONGEST_WAIT = float(2**32)


class Pace:
    """Waits until it is time, as recorded."""

    def __init__(self, clock: Clock, speed: float) -> None:
        self._clock = clock
        self._speed = speed
        self._started = clock.now()

    def skip(self, seconds: float) -> None:
        """Leave out so many recorded seconds."""
        self._started -= seconds / self._speed

    async def wait(self, seconds: float) -> None:
        """Wait until so many recorded seconds have passed since the beginning."""
        delay = self._started + seconds / self._speed - self._clock.now()
        if delay <= 0:
            return
        loop = asyncio.get_running_loop()
        due = asyncio.Event()

        def act() -> None:
            # The scheduler may be one that acts in a thread of its own.
            loop.call_soon_threadsafe(due.set)

        timer = self._clock.call_later(min(delay, _LONGEST_WAIT), act)
        try:
            await due.wait()
        finally:
            timer.dispose()


@dataclass
class _Player:
    """Plays one stream once.

    Attributes:
        opened: What the thread has opened. It is found here also when the wait for it was cancelled.
        position: That of the next item.
    """

    path: str | os.PathLike[str]
    pace: Pace | None
    emitter: Emitter[Any]
    attempts: Attempts
    worker: Worker = field(default_factory=Worker)
    opened: ExitStack = field(default_factory=ExitStack)
    slots: SlotsDecoder = field(default_factory=SlotsDecoder)
    position: int = 0

    async def play(self, stream: str | None) -> None:
        """Emit the items, and end as the recorded stream did."""
        self.emitter.flow.lingers = True  # what came behind an error is there, or the recording ends
        try:
            records = await self.worker.run(self._open, stream)
            end = await self._emit_items(records)
        finally:
            await self.worker.stop(self.opened.close)
        await _finish(end, self.pace, self.emitter)

    def _open(self, stream: str | None) -> Iterator[Sequence[ItemRecord] | EndRecord]:
        reader = self.opened.enter_context(closing(open_reader(self.path)))
        name = _find(self.path, reader.recordings(), stream)
        self.position = 0 if self.attempts == "all" else reader.began_anew(name)
        return reader.read(name, self.position)

    async def _emit_items(self, records: Iterator[Sequence[ItemRecord] | EndRecord]) -> EndRecord | None:
        """Emit the items, and return the ending."""
        is_first = True
        while True:
            await self.emitter.ready()
            batch = await self.worker.run(next, records, None)
            if batch is None:
                return None
            if isinstance(batch, EndRecord):
                self._require_position(batch.items)
                return batch
            if self.pace is not None and is_first and self.position and batch:
                self.pace.skip(batch[0].seconds)
            is_first = False
            items, error = await self.worker.run(self._decode, batch)
            await self._emit(batch, items)
            if error is not None:
                raise error

    async def _emit(self, records: Sequence[ItemRecord], items: list[Any]) -> None:
        if self.pace is None:
            await self.emitter.emit(items)
            return
        for record, item in zip(records, items, strict=False):
            await self.pace.wait(record.seconds)
            await self.emitter.emit((item,))

    def _decode(self, records: Sequence[ItemRecord]) -> tuple[list[Any], RecordingError | None]:
        """The items, as far as they are good, and the error about the first that is not."""
        items: list[Any] = []
        try:
            for record in records:
                self._require_position(record.position)
                self.position += 1
                items.append(self._decode_one(record))
        except RecordingError as error:
            return items, error.with_traceback(None)
        return items, None

    def _require_position(self, found: int) -> None:
        if found != self.position:
            raise RecordingError(
                f"{self.path}: items are missing: number {self.position} was due, number {found} is there"
            )

    def _decode_one(self, record: ItemRecord) -> Any:
        try:
            item = decode_item(record.kind, record.value)
            self.slots.restore(item, record.slots)
        except (TypeError, ValueError) as error:
            message = f"{self.path}: item {record.position} is not of kind {record.kind}: {error}"
            raise RecordingError(message) from as_cause(error)
        return item


def _find(path: str | os.PathLike[str], recordings: list[RecordingInfo], stream: str | None) -> str:
    if not recordings:
        raise RecordingError(f"{path}: no stream was recorded")
    if stream is None:
        return recordings[-1].stream
    if any(info.stream == stream for info in recordings):
        return stream
    last = recordings[-1].stream
    raise RecordingError(f"{path}: no stream {excerpt(stream)}; the last of {len(recordings)} is {excerpt(last)}")


async def _finish(end: EndRecord | None, pace: Pace | None, emitter: Emitter[Any]) -> None:
    """End as the recorded stream did."""
    count = emitter.count
    if end is None:
        raise StreamInterruptedError(
            f"the recording stops after {count} items: its process was killed, or is still writing", events=count
        )
    if pace is not None:
        await pace.wait(end.seconds)
    if end.error is not None:
        raise decode_error(end.error)
    if end.kind == "stopped":
        mark_stopped()
    elif end.kind != "completed":
        raise StreamInterruptedError(f"the recorded stream was cancelled after {count} items", events=count)
