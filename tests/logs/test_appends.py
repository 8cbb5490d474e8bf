"""Batches of many streams in one transaction."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from rxllm import SQLiteLog
from rxllm.exceptions import ClaimLostError, RecordingError
from rxllm.stores import ItemRecord, SQLiteWriter, Use
from rxllm.stores._appends import Appends
from rxllm.stores._sqlite_claim import Claim
from rxllm.stores._sqlite_schema import open_to_write

PATIENCE = 20.0


def record(number: int, text: str = "a") -> ItemRecord:
    return ItemRecord(number, 0.0, "text", text)


async def test_each_batch_succeeds_or_fails_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transactions: list[int] = []
    add = SQLiteWriter.add

    def counted(self: SQLiteWriter, batches: Sequence[Any], most: int | None = None) -> Any:
        transactions.append(len(batches))
        return add(self, batches, most)

    monkeypatch.setattr(SQLiteWriter, "add", counted)
    engine = SQLiteLog(tmp_path / "log.db").engine
    writers = [await engine.claim(f"stream {number}", lease=30) for number in range(20)]
    later = await engine.claim("stream 3", lease=30, take_over=True)
    outcomes = await asyncio.gather(*[writer.append([record(0)]) for writer in writers], return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 3 + [ClaimLostError] + [type(None)] * 16
    assert sum(transactions) == 20
    assert len(transactions) <= 3
    assert [info.items for info in await engine.streams()] == [1] * 3 + [0] + [1] * 16
    for writer in [*writers, later]:
        await writer.release()


async def test_a_batch_for_which_there_is_no_room_takes_no_other_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_small(path: Path) -> sqlite3.Connection:
        connection = open_to_write(path)
        connection.execute("PRAGMA max_page_count = 30")
        return connection

    monkeypatch.setattr("rxllm.stores._sqlite.open_to_write", open_small)
    engine = SQLiteLog(tmp_path / "log.db").engine
    writers = [await engine.claim(f"stream {number}", lease=30) for number in range(4)]
    texts = ["a", "b", "x" * 1_000_000, "d"]
    outcomes = await asyncio.gather(
        *[writer.append([record(0, text)]) for writer, text in zip(writers, texts, strict=True)],
        return_exceptions=True,
    )
    assert [isinstance(outcome, RecordingError) for outcome in outcomes] == [False, False, True, False]
    assert [info.items for info in await engine.streams()] == [1, 1, 0, 1]
    for writer in writers:
        await writer.release()


class Held:
    """A thread that runs what it was given when the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.functions: list[Callable[[Any], None]] = []

    async def run(self, function: Callable[[Any], None]) -> None:
        self.functions.append(function)
        self.begun.set()
        await asyncio.Event().wait()


class Writer:
    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.batches = 0

    def add(self, batches: Sequence[Any], most: int | None) -> list[None]:
        assert most == 5
        if self.failure is not None:
            raise self.failure
        self.batches += len(batches)
        return [None] * len(batches)


def claim() -> Claim:
    return Claim(1, "monday", 1, 0, datetime.now(UTC))


async def begun(appends: Appends, held: Held, count: int) -> list[asyncio.Task[None]]:
    tasks = [
        asyncio.create_task(appends.add(cast("Use[SQLiteWriter]", held), claim(), [record(0)])) for _ in range(count)
    ]
    async with asyncio.timeout(PATIENCE):
        await held.begun.wait()
    return tasks


async def test_whoever_stops_waiting_takes_nothing_back() -> None:
    stored: list[str] = []
    appends, held, writer = Appends(5, stored.append), Held(), Writer()
    first, second, third = await begun(appends, held, 3)
    await asyncio.sleep(0)
    for task in (first, second):
        task.cancel()
    await asyncio.wait([first, second])
    held.functions[0](writer)
    await third
    assert (writer.batches, stored, len(held.functions)) == (3, ["monday"] * 3, 1)


async def test_what_fails_as_a_whole_is_raised_in_each() -> None:
    stored: list[str] = []
    appends, held = Appends(5, stored.append), Held()
    first, second = await begun(appends, held, 2)
    held.functions[0](Writer(ZeroDivisionError("no")))
    with pytest.raises(ZeroDivisionError):
        await second
    first.cancel()
    await asyncio.wait([first])
    assert stored == []


async def test_nobody_is_told_of_a_batch_that_failed_when_nobody_waited() -> None:
    heard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    appends, held = Appends(5, lambda _: None), Held()
    waiting = await begun(appends, held, 2)
    assert all(task.cancel() for task in waiting)
    await asyncio.wait(waiting)
    held.functions.pop()(Writer(ZeroDivisionError("no")))
    await asyncio.sleep(0)
    waiting.clear()
    gc.collect()
    assert heard == []


def test_a_loop_that_is_gone_is_told_nothing() -> None:
    appends, writer = Appends(5, lambda _: None), Writer()

    async def leave() -> Held:
        held = Held()
        (task,) = await begun(appends, held, 1)
        task.cancel()
        await asyncio.wait([task])
        return held

    held = asyncio.run(leave())
    held.functions[0](writer)
    assert writer.batches == 1
