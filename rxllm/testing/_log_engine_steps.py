"""The steps of which the cases for engines of logs are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from rxllm.exceptions import StreamTakenError
from rxllm.models import LogPosition
from rxllm.stores import (
    LOG_PAGE_ITEMS,
    EndRecord,
    ErrorRecord,
    ItemRecord,
    LogEngine,
    LogInfo,
    LogPage,
    LogReader,
    LogWriter,
)

E = TypeVar("E", bound=Exception)
T = TypeVar("T")

LEASE = 30.0
SHORT_LEASE = 0.5
PATIENCE = 10.0
PAGE_BYTES = 1024 * 1024

END = EndRecord(2.5, 3, "completed", None, {"choices": [{"message": {"role": "assistant", "content": "Hello"}}]})
FAILED = EndRecord(0.5, 0, "failed", ErrorRecord("ChunkTimeoutError", "late", {"seconds": 0.5}))

ODD_NAMES = (
    *("a", "A", " a", "a ", "a/b", "../a", "a:b", "a b", "a*", "[a]", "{a}", "a%00", "a\0b", "a\nb", "'", '"', "\\"),
    *("é", "e\u0301", "日本", "🧪", "\u202e", "-", "0", "NULL", "x" * 1000, "🧪" * 1000),
)


def same(found: object, due: object) -> None:
    """See that something is what it has to be."""
    if found != due:
        raise AssertionError(f"found {found!r}, and not {due!r}")


def holds(condition: object) -> None:
    """See that something is so."""
    if not condition:
        raise AssertionError("this does not hold")


def records(first: int, count: int, text: str = "item") -> list[ItemRecord]:
    """Items with numbers that follow one another."""
    return [ItemRecord(number, 0.25, "text", f"{text} {number}") for number in range(first, first + count)]


@asynccontextmanager
async def claimed(
    engine: LogEngine, name: str, *, lease: float = LEASE, take_over: bool = False
) -> AsyncGenerator[LogWriter]:
    """A writer of a stream, for as long as the block runs."""
    writer = await engine.claim(name, lease=lease, take_over=take_over)
    try:
        yield writer
    finally:
        await writer.release()


@asynccontextmanager
async def under_way(waiting: Coroutine[Any, Any, T]) -> AsyncGenerator[asyncio.Task[T]]:
    """What waits in a task of its own, and no longer than the block runs."""
    task = asyncio.create_task(waiting)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def following(
    engine: LogEngine, name: str, after: LogPosition | None = None, *, back: int = 0
) -> AsyncGenerator[LogReader]:
    """A reader of a stream, for as long as the block runs."""
    reader = await engine.follow(name, after, back=back)
    try:
        yield reader
    finally:
        await reader.close()


async def there(engine: LogEngine, name: str, after: LogPosition | None = None, *, back: int = 0) -> list[ItemRecord]:
    """All items that are there."""
    items: list[ItemRecord] = []
    async with following(engine, name, after, back=back) as reader:
        while (page := await reader.read(0, size=PAGE_BYTES)).items:
            holds(len(page.items) <= LOG_PAGE_ITEMS)
            items += page.items
    return items


async def texts(engine: LogEngine, name: str) -> list[Any]:
    """The values of all items that are there, which have to be numbered without gaps."""
    items = await there(engine, name)
    same([item.position for item in items], [*range(len(items))])
    return [item.value for item in items]


async def raised(kind: type[E], doing: Coroutine[Any, Any, object]) -> E:
    """The error that something has to raise."""
    # In a task of its own: an exception that passes the frames of a case hides lines of it from coverage.
    task = asyncio.ensure_future(doing)
    await asyncio.wait([task])
    error = task.exception()
    if not isinstance(error, kind):
        raise AssertionError(f"no {kind.__name__} was raised, but {error!r}")  # noqa: TRY004 - this is a test
    return error


async def next_page(reader: LogReader) -> LogPage:
    """The next page that has items or an ending."""
    page = LogPage()
    while not (page.items or page.end):
        page = await reader.read(LEASE, size=PAGE_BYTES)
    return page


async def info_of(engine: LogEngine, name: str) -> LogInfo:
    """What the log says of a stream."""
    (info,) = [info for info in await engine.streams() if info.stream == name]
    return info


async def until_dead(engine: LogEngine, name: str) -> None:
    """Wait until a reader sees that the writer is dead."""
    async with asyncio.timeout(PATIENCE), following(engine, name) as reader:
        while (page := await reader.read(PATIENCE, size=PAGE_BYTES)).items or page.lease > 0:
            pass


async def until_free(engine: LogEngine, name: str) -> None:
    """Wait until a stream can be claimed, and claim it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                writer = await engine.claim(name, lease=LEASE)
            except StreamTakenError:
                await asyncio.sleep(0)
            else:
                return await writer.release()
