"""``from_log``: a stream of a log, while it is written and later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar, overload

from rxllm.exceptions import RecordingError, StreamCancelledError, StreamInterruptedError, as_cause, excerpt
from rxllm.flow import Emitter, Stream, begin_source, check_kind, mark_stopped
from rxllm.models import LogPosition
from rxllm.sources._log_snapshot import LogItem, Snapshot
from rxllm.stores import (
    CONTEXT_ITEMS,
    LOG_PAGE_ITEMS,
    EndRecord,
    ItemRecord,
    Log,
    LogReader,
    SlotsDecoder,
    check_name,
    decode_error,
    decode_item,
)

T = TypeVar("T")

# What a reader that stands still holds, in bytes of what is stored.
_PAGE_BYTES = 32 * 1024
# From how many bytes on an item is large: of such as these, a full page has fewer than the most that it may have.
_HEAVY = _PAGE_BYTES // LOG_PAGE_ITEMS
# How long is waited for an item at a time, in seconds.
_LONGEST_WAIT = 30.0


class LogStream(Stream[T]):
    """A stream of a log, as ``from_log`` gives it: it can be followed from another position, too.

    Attributes:
        log: The log.
        name: The name of the stream in it.
    """

    def __init__(
        self, log: Log, name: str, after: LogPosition | None, *, with_positions: bool, snapshot: bool = False
    ) -> None:
        async def produce(emitter: Emitter[Any]) -> None:
            emitter.flow.lingers = True  # what came behind an error is there, or the stream ends
            await log.settle(name)
            reader = await log.engine.follow(name, after, back=CONTEXT_ITEMS)
            try:
                follower = _Follower(name, after, reader, emitter, with_positions=with_positions)
                await follower.follow(snapshot=snapshot)
            finally:
                await reader.close()

        super().__init__(begin_source, produce)
        self.log = log
        self.name = name
        self._after = after

    def with_positions(self, after: LogPosition | None = None) -> LogStream[LogItem[Any]]:
        """The same stream, each item with its position.

        Args:
            after: From where on; by default from where on this one is.

        Raises:
            ValueError: ``after`` is not a position.
        """
        position = self._after if after is None else _checked(after)
        return LogStream(self.log, self.name, position, with_positions=True)


@overload
def from_log(
    log: Log,
    name: str,
    *,
    after: LogPosition | str | None = None,
    with_positions: Literal[False] = False,
    snapshot: bool = False,
) -> LogStream[Any]: ...


@overload
def from_log(
    log: Log,
    name: str,
    *,
    after: LogPosition | str | None = None,
    with_positions: Literal[True],
    snapshot: bool = False,
) -> LogStream[LogItem[Any]]: ...


def from_log(
    log: Log,
    name: str,
    *,
    after: LogPosition | str | None = None,
    with_positions: bool = False,
    snapshot: bool = False,
) -> LogStream[Any]:
    """Follow a stream of a log: first the items that are there, then those that come, until the recorded ending.

    If ``produce`` of the same object has just been called for this stream, the stream need not exist yet.

    Cold, and flow-controlled: while a consumer holds a pause, nothing is read, and at most one page of 64 items is
    held. If the stream failed, this one fails with the same type, message and attributes.

    If a writer died and another one began the answer anew, the first chunk of the new writer has ``restarts``. An item
    of another class cannot say so: for these, look at ``LogItem.restarts``.

    Args:
        log: The log.
        name: The name of the stream.
        after: The position of the last item that you have, as a ``LogPosition`` or as its text. Items behind it are
            given. By default all items are.
        with_positions: Whether to give each item as a ``LogItem``, which says where it is.
        snapshot: Whether to join the items that are there already: into one chunk that adds up to the same as all of
            them, or into one text. If there are several answers, each becomes one item. Later items come one by one.

    Returns:
        The items; with ``with_positions`` each in a ``LogItem``.

    Raises:
        UnknownStreamError: As ``on_error``, like all but the last two: the log has no such stream, or it was removed.
        PositionError: ``after`` is beyond the last item, or of another epoch.
        StreamInterruptedError: The writer is dead. Its ``position`` is that of the last item; go on from there.
        StreamCancelledError: Somebody stopped the stream; the error says who.
        RxllmError: What the stream failed with.
        RecordingError: The log cannot be read, or the stream failed with an error that is none of this library's.
        TypeError: With ``snapshot``: an item is neither a chunk nor a text. At once: ``name`` or ``after`` is no text.
        ValueError: At once: ``after`` is not a position, or ``name`` is empty or too long.

    Example:
        >>> import asyncio, pathlib, reactivex, rxllm, tempfile
        >>> async def main():
        ...     log = rxllm.SQLiteLog(pathlib.Path(tempfile.mkdtemp(), "log.db"))
        ...     await log.produce("monday", reactivex.of("Hel", "lo"))
        ...     first, second = [each async for each in rxllm.from_log(log, "monday", with_positions=True)]
        ...     print(await rxllm.from_log(log, "monday", after=first.position))
        >>> asyncio.run(main())
        lo

    See also:
        ``SQLiteLog``, ``from_recording``
    """
    check_name(name)
    position = None if after is None else _checked(after)

    return LogStream(log, name, position, with_positions=with_positions, snapshot=snapshot)


def _checked(after: LogPosition | str) -> LogPosition:
    if not isinstance(after, str):
        check_kind("after", after, LogPosition, "as str(item.position) gives it")
    # Anybody can make one of any numbers. Those that no item ever has are no position in either form.
    return LogPosition.parse(str(after))


class _Follower:
    """Follows a stream once."""

    def __init__(
        self, name: str, after: LogPosition | None, reader: LogReader, emitter: Emitter[Any], *, with_positions: bool
    ) -> None:
        self._name = name
        self._known = -1 if after is None else after.number
        self._last = after
        self._next = max(self._known + 1 - CONTEXT_ITEMS, 0)
        self._epoch = 0
        self._reader = reader
        self._emitter = emitter
        self._with_positions = with_positions
        self._slots = SlotsDecoder()

    async def follow(self, *, snapshot: bool) -> None:
        """Emit the items, and end as the stream does."""
        wait = 0.0
        if snapshot:
            await self._emit_snapshot()
        while True:
            await self._emitter.ready()
            page = await self._reader.read(wait, size=_PAGE_BYTES)
            if page.items:
                self._emitter.flow.heavy = page.bytes > _HEAVY * len(page.items)
                items, error = self._decode(page.items, with_positions=self._with_positions)
                await self._emitter.emit(items)
                if error is not None:
                    raise error
                # Whoever takes the items does so before the next ones are asked for, which takes a while.
                await self._emitter.breathe()
            elif page.end is not None:
                return self._finish(page.end)
            elif page.lease <= 0:
                raise self._interrupted()
            else:
                wait = min(page.lease, _LONGEST_WAIT)

    async def _emit_snapshot(self) -> None:
        fold = Snapshot()
        while (page := await self._reader.read(0, size=_PAGE_BYTES)).items:
            items, error = self._decode(page.items, with_positions=True)
            for each in items:
                fold.add(each)
            if error is not None:
                raise error
        for each in fold.close():
            await self._emitter.emit([each if self._with_positions else each.item])

    def _decode(
        self, records: Sequence[ItemRecord], *, with_positions: bool
    ) -> tuple[list[Any], RecordingError | None]:
        """The items that are not known yet, as far as they are good, and the error about the first that is not."""
        items: list[Any] = []
        last: ItemRecord | None = None
        failure: RecordingError | None = None
        try:
            for record in records:
                self._require_next(record.position)
                if record.epoch != self._epoch:
                    self._epoch, self._slots = record.epoch, SlotsDecoder()
                is_known = record.position <= self._known
                # What is known may say of which request the chunks are that come.
                if is_known and not record.slots:
                    continue
                item = self._decode_one(record)
                if not is_known:
                    last = record
                    items.append(_log_item(record, item) if with_positions else item)
        except RecordingError as error:
            failure = error.with_traceback(None)
        if last is not None:
            self._last = LogPosition(last.epoch, last.position)
        return items, failure

    def _require_next(self, found: int) -> None:
        if found != self._next:
            due = f"number {self._next} was due, number {found} is there"
            raise RecordingError(f"items of the stream {excerpt(self._name)} are missing: {due}")
        self._next = found + 1

    def _decode_one(self, record: ItemRecord) -> Any:
        try:
            item = decode_item(record.kind, record.value)
            self._slots.restore(item, record.slots)
        except (TypeError, ValueError) as error:
            message = (
                f"item {record.position} of the stream {excerpt(self._name)} is not of kind {record.kind}: {error}"
            )
            raise RecordingError(message) from as_cause(error)
        return item

    def _interrupted(self) -> StreamInterruptedError:
        where = "it has written nothing" if self._last is None else f"its last item is {self._last}"
        message = f"the writer of the stream {excerpt(self._name)} is dead: {where}"
        error = StreamInterruptedError(message, events=self._emitter.count)
        error.position = self._last
        return error

    def _finish(self, end: EndRecord) -> None:
        """End as the stream did."""
        self._require_next(end.items)
        if end.error is not None:
            raise decode_error(end.error)
        if end.kind == "stopped":
            mark_stopped()
        elif end.kind != "completed":
            raise StreamCancelledError(f"the stream {excerpt(self._name)} was cancelled: its consumer left")


def _log_item(record: ItemRecord, item: Any) -> LogItem[Any]:
    position = LogPosition(record.epoch, record.position)
    return LogItem(position, item, bool(record.slots and record.slots.get("restarts")))
