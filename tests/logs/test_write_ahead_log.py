"""How large the write-ahead log beside a database becomes while others read."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import rxllm
from rxllm.stores import ItemRecord

ITEM = "x" * 500_000
MEGABYTES = 1024 * 1024
# From 8 MiB on it is emptied; the item that makes it so large is in it, too.
MOST = 9 * MEGABYTES


@contextmanager
def always_reading(path: Path) -> Generator[None]:
    """Somebody always has a transaction open, each a short one: the next begins before the one before ends."""
    stop = threading.Event()

    def read() -> None:
        one, other = (sqlite3.connect(path, isolation_level=None) for _ in range(2))
        begin(one)
        while not stop.is_set():
            begin(other)
            one.execute("COMMIT")
            one, other = other, one
        one.close()
        other.close()

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def begin(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("SELECT COUNT(*) FROM streams").fetchone()


async def sizes(path: Path, items: range) -> list[int]:
    """How large the log is after each of so many items."""
    found: list[int] = []
    writer = await rxllm.SQLiteLog(path).engine.claim("monday", lease=30, take_over=True)
    for number in items:
        await writer.append([ItemRecord(number, 0.0, "text", ITEM)])
        found.append(path.with_name(f"{path.name}-wal").stat().st_size)
    await writer.release()
    return found


async def test_it_stays_small_while_somebody_always_reads(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await sizes(path, range(1))
    with always_reading(path):
        assert max(await sizes(path, range(1, 120))) < MOST


async def test_whoever_reads_for_long_is_not_waited_for_and_it_is_emptied_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await sizes(path, range(1))
    stands = sqlite3.connect(path, isolation_level=None)
    begin(stands)
    grown = await sizes(path, range(1, 41))
    assert max(grown) > 18 * MEGABYTES
    stands.execute("COMMIT")
    assert min(await sizes(path, range(41, 60))) < MEGABYTES
    stands.close()
    read = await rxllm.SQLiteLog(path).engine.follow("monday", None)
    count = 0
    while items := (await read.read(0, size=MEGABYTES)).items:
        count += len(items)
    await read.close()
    assert count == 60
