"""Producing into a log: who runs, who ends, and who may write."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex import operators as rx_ops

import rxllm
from rxllm import Ending, LogPosition, SQLiteLog
from rxllm import operators as ops
from rxllm.exceptions import (
    APIStreamError,
    BufferOverflowError,
    ClaimLostError,
    LimitExceededError,
    LogUnavailableError,
    NoRunningLoopError,
    RecordingError,
    RxllmError,
    StreamCancelledError,
    StreamTakenError,
    UnknownStreamError,
)
from rxllm.stores import Cancellation, EndRecord, ItemRecord, LogEngine, LogWriter, SQLiteWriter
from rxllm.stores._log_sink import LogSink, LogStream
from rxllm.stores._sqlite_schema import open_to_write
from rxllm.testing import ScriptedServer, finish_chunk, script, text_chunk
from tests.stores.places import Place

PATIENCE = 20.0


@pytest.fixture
def log(tmp_path: Path) -> SQLiteLog:
    return SQLiteLog(tmp_path / "log.db")


async def read(log: rxllm.Log, name: str) -> list[Any]:
    return [item async for item in rxllm.from_log(log, name)]


async def read_to_the_error(log: rxllm.Log, name: str) -> tuple[list[Any], Exception | None]:
    """The items that come before the error, and that."""
    items: list[Any] = []
    stream = rxllm.from_log(log, name).pipe(rx_ops.do_action(items.append))
    try:
        await stream
    except RxllmError as error:
        return items, error
    return items, None


async def counting(until: int = 10**9) -> AsyncIterator[int]:
    for number in range(until):
        yield number
        await asyncio.sleep(0)


async def test_a_pipeline_runs_to_its_end_though_nobody_reads(log: SQLiteLog) -> None:
    production = log.produce("monday", reactivex.of("Hel", "lo"))
    assert (production.name, production.position, production.ending, production.done) == ("monday", None, None, False)
    epoch = await production.claimed()
    assert await production == Ending("completed")
    assert (production.position, production.ending) == (LogPosition(epoch, 1), Ending("completed"))
    assert production.done
    assert await production == Ending("completed"), "as often as one likes"
    assert await read(log, "monday") == ["Hel", "lo"]


async def test_what_was_just_begun_can_be_followed_and_cancelled_at_once(log: SQLiteLog) -> None:
    production = log.produce("monday", reactivex.of("a"))
    assert await read(log, "monday") == ["a"]
    assert await production == Ending("completed")
    production = log.produce("tuesday", reactivex.never())
    assert await log.cancel("tuesday")
    assert (await production).kind == "cancelled"
    taken = log.produce("monday", reactivex.of("b"))
    assert await read(log, "monday") == ["a"]
    with pytest.raises(StreamTakenError):
        await taken


async def test_what_another_loop_begins_is_not_waited_for(log: SQLiteLog) -> None:
    production = log.produce("monday", reactivex.of("a"))

    def elsewhere() -> None:
        with pytest.raises(UnknownStreamError):
            rxllm.run(rxllm.from_log(log, "monday"))

    # This loop has no turn meanwhile.
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert await production == Ending("completed")


async def test_nobody_is_told_of_a_stream_that_failed_when_nobody_waited(log: SQLiteLog) -> None:
    heard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    await log.produce("monday", reactivex.empty())
    production = log.produce("monday", reactivex.empty())

    async def wait() -> None:
        await production

    waiting = [asyncio.create_task(wait()), asyncio.create_task(production.claimed())]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await production.settled()
    assert production.done
    gc.collect()
    assert heard == []


async def test_it_goes_on_when_whoever_waits_for_it_leaves(log: SQLiteLog) -> None:
    subject: Subject[str] = Subject()
    production = log.produce("monday", subject)
    await production.claimed()

    async def wait() -> None:
        await production

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    subject.on_next("still here")
    subject.on_completed()
    assert await production == Ending("completed")
    assert await read(log, "monday") == ["still here"]


async def test_nothing_is_asked_for_before_the_stream_is_claimed(log: SQLiteLog) -> None:
    subscribed: list[str] = []

    def pipeline(name: str) -> Observable[int]:
        return rxllm.from_async_iterable(counting).pipe(rx_ops.do_action(lambda _: subscribed.append(name)))

    first = log.produce("monday", pipeline("first"))
    await first.claimed()
    second = log.produce("monday", pipeline("second"))
    with pytest.raises(StreamTakenError, match="has a writer, which counts as alive for") as caught:
        await second.claimed()
    with pytest.raises(StreamTakenError):
        await second
    assert (caught.value.name, caught.value.ended) == ("monday", False)
    assert (second.position, second.ending, second.done) == (None, None, True)
    first.cancel()
    await first
    assert "second" not in subscribed


async def test_a_failure_is_recorded_and_not_raised_where_it_was_produced(log: SQLiteLog) -> None:
    error = APIStreamError("overloaded", type="overloaded_error", retryable=True)
    production = log.produce("monday", reactivex.concat(reactivex.of("Hel"), reactivex.throw(error)))
    assert await production == Ending("failed", error)
    items, found = await read_to_the_error(log, "monday")
    assert items == ["Hel"]
    assert isinstance(found, APIStreamError)
    assert (str(found), found.type, found.retryable) == ("overloaded", "overloaded_error", True)


async def test_a_stream_that_is_stopped_ends_as_stopped(log: SQLiteLog) -> None:
    signal: Subject[int] = Subject()
    production = log.produce("monday", rxllm.from_async_iterable(counting).pipe(ops.stop_when(signal)))
    await production.claimed()
    async for number in rxllm.from_log(log, "monday"):
        if number == 3:
            signal.on_next(1)
    assert await production == Ending("stopped")


async def test_what_a_pipeline_raises_when_it_is_subscribed_to_ends_the_stream(log: SQLiteLog) -> None:
    def subscribe(*_: object) -> Any:
        raise ZeroDivisionError("at once")

    production = log.produce("monday", Observable(subscribe))
    ending = await production
    assert ending.kind == "failed"
    assert isinstance(ending.error, ZeroDivisionError)


async def test_an_observable_of_another_class_that_raises_ends_the_stream(log: SQLiteLog) -> None:
    class Broken(Observable[int]):
        def subscribe(self, *_: object, **__: object) -> Any:
            raise ZeroDivisionError("at once")

    ending = await log.produce("monday", Broken())
    assert isinstance(ending.error, ZeroDivisionError)


async def test_what_is_no_exception_of_python_ends_the_stream_too(log: SQLiteLog) -> None:
    class Interrupt(BaseException):
        pass

    def interrupt(_: int) -> None:
        raise Interrupt

    pipeline = rxllm.from_async_iterable(lambda: counting(5)).pipe(rx_ops.map(interrupt))
    production = log.produce("monday", pipeline)
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait([asyncio.ensure_future(production.claimed())])
        ending = await production
    assert ending.kind == "failed"


async def test_a_slow_log_pauses_the_source(log: SQLiteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    made = stored = most = 0

    async def items() -> AsyncIterator[int]:
        nonlocal made
        for number in range(500):
            made += 1
            yield number

    claim = log.engine.claim

    async def slow_claim(*args: Any, **kwargs: Any) -> LogWriter:
        writer = await claim(*args, **kwargs)
        append = writer.append

        async def slow_append(records: Any) -> None:
            nonlocal stored, most
            for _ in range(20):
                await asyncio.sleep(0)
            most = max(most, made - stored)
            await append(records)
            stored += len(records)

        monkeypatch.setattr(writer, "append", slow_append)
        return writer

    monkeypatch.setattr(log.engine, "claim", slow_claim)
    await log.produce("monday", rxllm.from_async_iterable(items), buffer_size=8)
    assert stored == 500
    assert most <= 8 + 1
    assert await read(log, "monday") == [*range(500)]


async def test_what_comes_all_at_once_and_cannot_be_paused_fails(log: SQLiteLog) -> None:
    def subscribe(observer: Any, _: object) -> Any:
        for number in range(10_000):
            observer.on_next(number)

    ending = await log.produce("monday", Observable(subscribe))
    assert isinstance(ending.error, BufferOverflowError)
    assert (await log.list())[0].items == 256


async def test_what_cannot_be_paused_fails_instead_of_growing(log: SQLiteLog) -> None:
    subject: Subject[int] = Subject()
    production = log.produce("monday", subject, buffer_size=4)
    await production.claimed()
    for number in range(50):
        subject.on_next(number)
    ending = await production
    assert isinstance(ending.error, BufferOverflowError)
    with pytest.raises(BufferOverflowError):
        await read(log, "monday")


async def test_an_item_that_cannot_be_recorded_fails_the_stream(log: SQLiteLog) -> None:
    ending = await log.produce("monday", reactivex.of("good", {1, 2}, "more"))
    assert isinstance(ending.error, TypeError)
    items, found = await read_to_the_error(log, "monday")
    assert items == ["good"]
    assert isinstance(found, RecordingError)
    assert "TypeError: a set cannot be recorded" in str(found)


async def test_an_item_that_is_too_large_fails_the_stream_and_what_came_before_is_there(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db", max_item_bytes=1000)
    ending = await log.produce("monday", reactivex.of("a", "x" * 900, "x" * 1001, "b"))
    assert isinstance(ending.error, LimitExceededError)
    assert (ending.error.limit, ending.error.maximum) == ("max_item_bytes", 1000)
    items, found = await read_to_the_error(log, "monday")
    assert items == ["a", "x" * 900]
    assert isinstance(found, LimitExceededError)
    assert "item 2 of the stream 'monday' has 1003 bytes; the log takes at most 1000" in str(found)


async def test_it_is_bytes_that_count_and_not_characters(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db", max_item_bytes=1000)
    ending = await log.produce("monday", reactivex.of("日" * 300, "日" * 400))
    assert "item 1 of the stream 'monday' has 1202 bytes; the log takes at most 1000" in str(ending.error)
    (info,) = await log.list()
    assert (info.items, info.bytes) == (1, 902)


async def test_an_error_that_cannot_say_anything_is_an_ending_all_the_same(log: SQLiteLog) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise LookupError

    ending = await log.produce("monday", reactivex.throw(MuteError()))
    assert isinstance(ending.error, MuteError)
    with pytest.raises(RecordingError, match=r"MuteError: \(its text failed with LookupError\)"):
        await read(log, "monday")


async def test_a_stream_is_cancelled_by_its_production(log: SQLiteLog) -> None:
    production = log.produce("monday", rxllm.from_async_iterable(counting))
    await production.claimed()
    production.cancel("enough")
    ending = await production
    assert ending.kind == "cancelled"
    with pytest.raises(StreamCancelledError, match=r"'monday' was cancelled by .*: 'enough'") as caught:
        await read(log, "monday")
    assert caught.value.reason == "enough"
    production.cancel("again")


async def test_a_production_that_is_cancelled_before_it_has_the_stream(log: SQLiteLog) -> None:
    production = log.produce("monday", rxllm.from_async_iterable(counting))
    production.cancel()
    assert (await production).kind == "cancelled"


async def test_a_cancel_that_is_wrong_leaves_the_stream_to_one_that_is_right(log: SQLiteLog) -> None:
    production = log.produce("monday", reactivex.never())
    await production.claimed()
    wrong: Any = 5
    with pytest.raises(TypeError, match="reason must be str, not int"):
        await log.cancel("monday", wrong)
    with pytest.raises(TypeError, match="by must be str, not int"):
        await log.cancel("monday", by=wrong)
    with pytest.raises(TypeError, match="reason must be str, not int"):
        production.cancel(wrong)
    async with asyncio.timeout(PATIENCE):
        assert await log.cancel("monday", "enough", by="Anna")
        await production
    with pytest.raises(StreamCancelledError, match="cancelled by 'Anna': 'enough'"):
        await read(log, "monday")


async def test_a_cancel_closes_the_upstream_and_says_who(log: SQLiteLog) -> None:
    async with (
        ScriptedServer([script.text("Hel"), script.stall()]) as server,
        rxllm.LLMClient(base_url=server.base_url) as client,
        asyncio.timeout(PATIENCE),
    ):
        request = rxllm.ChatRequest(model="any", messages=[rxllm.Message.user("Hello")])
        production = log.produce("monday", client.chat_stream(request))
        await production.claimed()
        async for chunk in rxllm.from_log(log, "monday"):
            if chunk.text:
                break
        assert await SQLiteLog(log.path).cancel("monday", "a person had enough", by="Anna")
        assert (await production).kind == "cancelled"
    with pytest.raises(StreamCancelledError) as caught:
        await read(log, "monday")
    assert (caught.value.reason, caught.value.by) == ("a person had enough", "Anna")
    assert not await log.cancel("monday", "again")
    with pytest.raises(UnknownStreamError):
        await log.cancel("tuesday")


async def test_a_cancel_ends_a_stream_whose_writer_is_dead(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db", lease=0.05)
    writer = await log.engine.claim("monday", lease=0.05)
    await writer.release()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(rxllm.StreamInterruptedError):
            await read(log, "monday")
    assert await log.cancel("monday", "nobody writes it")
    with pytest.raises(StreamCancelledError, match="nobody writes it"):
        await read(log, "monday")


async def test_a_cancel_keeps_a_stream_that_is_too_old(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db", lease=0.05, keep_for=0)
    async with asyncio.timeout(PATIENCE):
        stream = await log.sink("monday").open()
        await stream.write(["a"])
        await stream.release()
        with pytest.raises(rxllm.StreamInterruptedError):
            await read(log, "monday")
        assert await log.cancel("monday", "nobody writes it")
    items, error = await read_to_the_error(log, "monday")
    assert items == ["a"]
    assert isinstance(error, StreamCancelledError)


async def test_what_is_asked_of_a_file_that_there_is_not_makes_none(log: SQLiteLog) -> None:
    with pytest.raises(UnknownStreamError, match="no such file") as caught:
        await log.cancel("monday")
    assert caught.value.name == "monday"
    assert await log.expire(0) == []
    assert not log.path.exists()


async def test_no_epoch_is_given_twice_however_the_clock_goes(log: SQLiteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    epochs: list[int] = []
    for change in (0, 0, -5, -5, 5_000):
        monkeypatch.setattr("rxllm.stores._sqlite_claim.time.time_ns", lambda change=change: now + change * 1_000_000)
        production = log.produce("monday", reactivex.of("a"))
        epochs.append(await production.claimed())
        await production
        assert await log.expire(0) == ["monday"]
    assert epochs == sorted({*epochs})


@pytest.mark.parametrize("version", [3, 4])
async def test_no_epoch_is_given_twice_by_another_process_whatever_its_clock_says(
    version: int, log: SQLiteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[int] = []
    for name, removed in (("monday", True), ("tuesday", False), ("monday", False)):
        production = log.produce(name, reactivex.of("a"))
        epochs.append(await production.claimed())
        await production
        if removed:
            assert await log.expire(0) == [name]
        # Of what this process has given, another one knows but what is in the file.
        monkeypatch.setattr("rxllm.stores._sqlite_claim._given", [0])
        monkeypatch.setattr("rxllm.stores._sqlite_claim.time.time_ns", lambda: 0)
        if version == 3 and not removed:
            with closing(sqlite3.connect(log.path)) as connection:
                connection.executescript("DROP TABLE epochs; PRAGMA user_version = 3")
    assert epochs == sorted({*epochs})


@pytest.mark.parametrize("ended", [False, True])
async def test_a_cancel_while_another_writer_claims_the_stream(
    ended: bool, log: SQLiteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await log.engine.claim("monday", lease=30)
    if ended:
        await writer.end(EndRecord(0.0, 0, "completed"))
    await writer.release()

    async def dead(*_: object) -> bool:
        return False

    monkeypatch.setattr(log.engine, "cancel", dead)
    assert await log.cancel("monday") is not ended


@pytest.mark.parametrize("then", ["goes on", "has ended", "is gone"])
async def test_a_cancel_whose_own_claim_is_lost_looks_again(
    then: str, log: SQLiteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await log.engine.claim("monday", lease=1e-9)).release()
    claim = log.engine.claim

    async def claim_and_lose_it(stream: str, *, lease: float, take_over: bool = False) -> LogWriter:
        monkeypatch.undo()
        writer = await claim(stream, lease=lease, take_over=take_over)
        other = await claim(stream, lease=1e-9 if then == "is gone" else lease, take_over=True)
        if then == "has ended":
            await other.end(EndRecord(0.0, 0, "completed"))
        await other.release()
        if then == "is gone":
            assert await log.expire(0) == ["monday"]
        return writer

    monkeypatch.setattr(log.engine, "claim", claim_and_lose_it)
    if then == "is gone":
        with pytest.raises(UnknownStreamError):
            await log.cancel("monday")
    else:
        assert await log.cancel("monday") is (then == "goes on")


async def test_whoever_takes_over_ends_the_former_production(log: SQLiteLog) -> None:
    former = log.produce("monday", rxllm.from_async_iterable(counting))
    await former.claimed()
    production = log.produce("monday", reactivex.of("new"), take_over=True)
    assert await production == Ending("completed")
    with pytest.raises(ClaimLostError, match=r"'monday'.* (has ended|has claimed it)") as caught:
        async with asyncio.timeout(PATIENCE):
            await former
    assert caught.value.name == "monday"
    assert former.ending is None
    items = [item async for item in rxllm.from_log(log, "monday", with_positions=True)]
    assert [item.position.number for item in items] == [*range(len(items))]
    assert (items[-1].item, items[-1].restarts) == ("new", len(items) > 1)


async def test_a_silent_production_learns_by_its_signs_that_it_was_replaced(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db", lease=0.1)
    left = asyncio.Event()
    former = log.produce("monday", reactivex.never().pipe(rx_ops.finally_action(left.set)))
    await former.claimed()
    writer = await log.engine.claim("monday", lease=30, take_over=True)
    async with asyncio.timeout(PATIENCE):
        await left.wait()
        with pytest.raises(ClaimLostError):
            await former
    await writer.release()


async def test_a_chunk_of_a_new_writer_restarts_the_answer(log: SQLiteLog) -> None:
    subject: Subject[rxllm.StreamChunk] = Subject()
    former = log.produce("monday", subject)
    await former.claimed()
    subject.on_next(text_chunk("It was "))
    async for _ in rxllm.from_log(log, "monday"):
        break
    await log.produce("monday", reactivex.of(text_chunk("Ten"), finish_chunk()), take_over=True)
    with pytest.raises(ClaimLostError):
        await former
    chunks = await read(log, "monday")
    assert [(chunk.text, chunk.restarts) for chunk in chunks] == [("It was ", False), ("Ten", True), ("", False)]
    answer = await rxllm.from_log(log, "monday").pipe(ops.accumulate())
    assert answer.text == "Ten"
    recorded = await rxllm.from_recording(log.path, stream="monday").pipe(ops.accumulate())
    assert recorded.text == "Ten"


async def test_the_events_of_a_conversation_restart_with_an_event_of_their_own(log: SQLiteLog) -> None:
    writer = await log.engine.claim("monday", lease=30)
    await writer.append([ItemRecord(0, 0.0, "text", "a")])
    await writer.release()
    event = rxllm.TextDelta(round=1, text="Ten")
    production = log.produce("monday", reactivex.of(event), take_over=True)
    assert await production == Ending("completed")
    assert production.position is not None
    assert production.position.number == 2
    items = [item async for item in rxllm.from_log(log, "monday", with_positions=True)]
    assert [(item.item, item.restarts) for item in items] == [
        ("a", False),
        (rxllm.Restarted(round=1), True),
        (event, False),
    ]


@pytest.mark.parametrize("how", ["log", "production"])
async def test_who_stopped_a_stream_and_why_is_harmless_in_the_message(how: str, log: SQLiteLog) -> None:
    reason, by = "\x1b[2Jgone\r\n\u202egnp.exe", "\x07 \u2066somebody\n"
    production = log.produce("mon\x1bday", reactivex.never())
    await production.claimed()
    if how == "log":
        await log.cancel("mon\x1bday", reason, by=by)
    else:
        production.cancel(reason)
    errors = [(await production).error, (await read_to_the_error(log, "mon\x1bday"))[1]]
    for error in errors:
        assert isinstance(error, StreamCancelledError)
        shown = f"{error} {error!r} {error.message}"
        assert shown.isprintable()
        assert "gone" in shown
        assert error.reason == reason
        assert how == "production" or error.by == by


async def test_a_pipeline_with_a_consumer_of_its_own_is_written_by_a_tee(log: SQLiteLog) -> None:
    items = [item async for item in rxllm.from_async_iterable(lambda: counting(5)).pipe(ops.tee_to(log.sink("tee")))]
    assert items == await read(log, "tee") == [*range(5)]
    with pytest.raises(StreamTakenError):
        await reactivex.of(1).pipe(ops.tee_to(log.sink("tee")))


class Opened:
    """A sink that says when it is open, and when it is closed."""

    def __init__(self, sink: LogSink) -> None:
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        self._sink = sink

    async def open(self) -> Closing:
        stream = Closing(await self._sink.open(), self.closed)
        self.opened.set()
        return stream


class Closing:
    """A stream that says when it is closed: its readers may know before."""

    def __init__(self, stream: LogStream, closed: asyncio.Event) -> None:
        self.broken = stream.broken
        self.write = stream.write
        self._stream = stream
        self._closed = closed

    async def close(self, ending: Ending, /) -> None:
        await self._stream.close(ending)
        self._closed.set()


async def test_a_cancel_reaches_a_tee(log: SQLiteLog) -> None:
    left = asyncio.Event()
    sink = Opened(log.sink("tee"))
    pipeline = reactivex.never().pipe(rx_ops.finally_action(left.set), ops.tee_to(sink))

    async def consume() -> None:
        await pipeline

    consuming = asyncio.create_task(consume())
    async with asyncio.timeout(PATIENCE):
        await sink.opened.wait()
        await log.cancel("tee", "enough", by="Anna")
        with pytest.raises(StreamCancelledError, match="by 'Anna': 'enough'"):
            await consuming
        await left.wait()
    with pytest.raises(StreamCancelledError):
        await read(log, "tee")


async def test_a_tee_whose_consumer_leaves_ends_its_stream(log: SQLiteLog) -> None:
    sink = Opened(log.sink("tee"))
    async for number in rxllm.from_async_iterable(counting).pipe(ops.tee_to(sink)):
        if number == 3:
            break
    async with asyncio.timeout(PATIENCE):
        await sink.opened.wait()
        with pytest.raises(StreamCancelledError, match="the pipeline was left"):
            await read(log, "tee")
        await sink.closed.wait()


async def test_a_tee_that_detaches_goes_on_without_the_log(log: SQLiteLog) -> None:
    pipeline = rxllm.from_async_iterable(lambda: counting(3)).pipe(ops.tee_to(log.sink("tee"), on_error="detach"))
    await log.produce("tee", reactivex.empty())
    assert [number async for number in pipeline] == [0, 1, 2]


class FailingWriter:
    """A writer whose log is out of reach for some calls."""

    def __init__(self, writer: LogWriter, failures: int) -> None:
        self.epoch, self.next, self.began = writer.epoch, writer.next, writer.began
        self.writer = writer
        self.failures = failures

    async def append(self, items: Any) -> None:
        await self.writer.append(items)
        self.fail()

    async def beat(self) -> None:
        raise LogUnavailableError("away")

    async def cancelled(self) -> Cancellation:
        return await self.writer.cancelled()

    async def end(self, end: EndRecord) -> None:
        self.fail()
        await self.writer.end(end)

    async def release(self) -> None:
        await self.writer.release()

    def fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise LogUnavailableError("away")


def failing(
    log: SQLiteLog, failures: int, monkeypatch: pytest.MonkeyPatch, kind: type[FailingWriter] = FailingWriter
) -> None:
    claim: Callable[..., Any] = log.engine.claim

    async def claim_one(*args: Any, **kwargs: Any) -> LogWriter:
        return kind(await claim(*args, **kwargs), failures)

    monkeypatch.setattr(log.engine, "claim", claim_one)


async def test_a_batch_whose_answer_was_lost_is_there_once(log: SQLiteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(log, 1, monkeypatch)
    ending = await log.produce("monday", reactivex.of("a", "b"))
    assert isinstance(ending.error, LogUnavailableError)
    with pytest.raises(LogUnavailableError, match="away"):
        await read(log, "monday")
    assert (await log.list())[0].items == 2


async def test_an_ending_that_cannot_be_written_is_raised(log: SQLiteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(log, 9, monkeypatch)
    production = log.produce("monday", reactivex.of("a", "b"))
    with pytest.raises(LogUnavailableError, match="away"):
        await production
    assert (production.ending, production.done) == (None, True)


async def test_signs_that_do_not_come_through_end_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = SQLiteLog(tmp_path / "log.db", lease=0.01)
    signs: asyncio.Queue[None] = asyncio.Queue()

    class SilentWriter(FailingWriter):
        async def beat(self) -> None:
            signs.put_nowait(None)
            await super().beat()

    failing(log, 0, monkeypatch, SilentWriter)
    subject: Subject[str] = Subject()
    production = log.produce("monday", subject)
    for _ in range(3):
        await signs.get()
    subject.on_next("a")
    subject.on_completed()
    assert await production == Ending("completed")


class LateWriter(FailingWriter):
    """A writer that is not told at once that it was replaced."""

    async def beat(self) -> None:
        await self.writer.beat()

    async def cancelled(self) -> Cancellation:
        return await asyncio.Future[Cancellation]()


class FarWriter(FailingWriter):
    """A writer that cannot ask, at first, whether it is to stop."""

    asked = False

    async def cancelled(self) -> Cancellation:
        if not self.asked:
            self.asked = True
            raise LogUnavailableError("away")
        return await self.writer.cancelled()


@pytest.mark.parametrize("wanted", [False, True])
async def test_a_claim_that_is_cancelled_while_its_transaction_runs_is_given_back(wanted: bool, log: SQLiteLog) -> None:
    await log.produce("another", reactivex.empty())
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        claiming = asyncio.create_task(log.engine.claim("monday", lease=3600))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if not wanted:
            claiming.cancel()
            await asyncio.wait([claiming])
            assert claiming.cancelled(), "it does not wait for the transaction"
        before = asyncio.all_tasks()
        other.execute("ROLLBACK")
    await asyncio.wait(before - {asyncio.current_task()})
    (_, info) = await log.list()
    assert (info.stream, info.alive) == ("monday", wanted)
    if wanted:
        await claiming.result().release()
    else:
        assert await log.produce("monday", reactivex.of("a")) == Ending("completed")


async def test_a_claim_that_is_cancelled_and_then_fails_is_nobodys(log: SQLiteLog) -> None:
    heard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    writer = await log.engine.claim("monday", lease=30)

    async def claim_and_leave(turns: int) -> None:
        claiming = asyncio.create_task(log.engine.claim("monday", lease=30))
        for _ in range(turns):
            await asyncio.sleep(0)
        claiming.cancel()
        await asyncio.wait([claiming])
        assert claiming.cancelled() or isinstance(claiming.exception(), StreamTakenError)

    for turns in range(100):
        await claim_and_leave(turns)
    await log.list()
    await writer.release()
    gc.collect()
    assert heard == []


def test_a_program_that_ends_while_it_claims_leaves_nothing(
    log: SQLiteLog, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    claim = SQLiteWriter.claim

    def wait(*args: Any, **kwargs: Any) -> Any:
        gate.wait()
        return claim(*args, **kwargs)

    monkeypatch.setattr(SQLiteWriter, "claim", wait)

    async def main() -> None:
        log.produce("monday", reactivex.never())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(gate.set)

    asyncio.run(main())
    gc.collect()
    assert capfd.readouterr().err == ""


async def test_the_signs_tell_that_a_stream_was_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = SQLiteLog(tmp_path / "log.db", lease=0.05)
    other = SQLiteLog(log.path)
    failing(log, 0, monkeypatch, LateWriter)
    former = log.produce("monday", reactivex.never())
    await former.claimed()
    await other.produce("monday", reactivex.of("a"), take_over=True)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ClaimLostError):
            await former


async def test_whether_to_stop_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = SQLiteLog(tmp_path / "log.db", lease=0.05)
    failing(log, 0, monkeypatch, FarWriter)
    production = log.produce("monday", reactivex.never())
    await production.claimed()
    async with asyncio.timeout(PATIENCE):
        assert await SQLiteLog(log.path).cancel("monday")
        assert (await production).kind == "cancelled"


async def test_a_stream_that_is_let_go_of_has_no_ending(log: SQLiteLog) -> None:
    stream = await log.sink("monday").open()
    await stream.write(["a"])
    await stream.release()
    assert [(info.items, info.ending) for info in await log.list()] == [(1, None)]


async def test_a_task_that_is_cancelled_while_it_writes_loses_nothing(log: SQLiteLog) -> None:
    stream = await log.sink("monday").open()
    writing = asyncio.create_task(stream.write(["a", "b"]))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await stream.write(["c"])
    await stream.close(Ending("completed"))
    assert await read(log, "monday") == ["a", "b", "c"]


async def test_a_batch_that_is_too_large_is_cut_and_none_of_it_is_lost_by_a_cancel(
    log: SQLiteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await log.sink("monday").open()
    add = SQLiteWriter.add

    def one_at_a_time(self: SQLiteWriter, batches: Any, most: int | None = None) -> list[Exception | None]:
        if len(batches[0][1]) > 1:
            return [LimitExceededError("too much", limit="max_item_bytes", maximum=1)]
        writing.cancel()
        return add(self, batches, most)

    monkeypatch.setattr(SQLiteWriter, "add", one_at_a_time)
    writing = asyncio.create_task(stream.write(["a", "b", "c", "d"]))
    with pytest.raises(asyncio.CancelledError):
        await writing
    await stream.close(Ending("completed"))
    assert await read(log, "monday") == ["a", "b", "c", "d"]


async def test_a_stream_whose_closing_is_cancelled_lets_go_of_the_file(log: SQLiteLog) -> None:
    stream = await log.sink("monday").open()
    closing_it = asyncio.create_task(stream.close(Ending("completed")))
    await asyncio.sleep(0)
    closing_it.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing_it
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("rxllm-store")] == []


async def test_what_went_wrong_before_is_no_whole_stream(log: SQLiteLog) -> None:
    stream = await log.sink("monday").open()
    with pytest.raises(TypeError):
        await stream.write([{1}])
    await stream.close(Ending("completed"))
    assert stream.recorded is not None
    assert stream.recorded.kind == "failed"


async def test_a_file_that_another_process_holds(log: SQLiteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    await log.produce("monday", reactivex.of("a"))
    monkeypatch.setattr("rxllm.stores._sqlite_schema.BUSY_SECONDS", 0.0)
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailableError, match="database is locked: another process holds it") as caught:
            await log.produce("tuesday", reactivex.of("a"))
        assert caught.value.retryable
        assert await read(log, "monday") == ["a"], "readers are not concerned"
        other.execute("ROLLBACK")


async def test_a_disk_that_is_full(log: SQLiteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_small(path: Path) -> sqlite3.Connection:
        connection = open_to_write(path)
        connection.execute("PRAGMA max_page_count = 20")
        return connection

    monkeypatch.setattr("rxllm.stores._sqlite.open_to_write", open_small)
    subject: Subject[str] = Subject()
    production = log.produce("monday", subject)
    await production.claimed()
    subject.on_next("a")
    async for _ in rxllm.from_log(log, "monday"):
        break
    subject.on_next("x" * 1_000_000)
    ending = await production
    assert isinstance(ending.error, RecordingError)
    items, found = await read_to_the_error(log, "monday")
    assert items == ["a"]
    assert isinstance(found, RecordingError)
    assert "database or disk is full" in str(found)


async def test_a_place_where_nothing_can_be_written(place: Place) -> None:
    path = place.path / "log.db"
    await SQLiteLog(path).produce("monday", reactivex.of("a"))
    place.lock()
    log = SQLiteLog(path)
    assert await read(log, "monday") == ["a"]
    for doing in (log.produce("tuesday", reactivex.of("a")), log.cancel("monday"), log.expire(0)):
        with pytest.raises(RecordingError, match=r"readonly database|unable to open"):
            await doing
    with pytest.raises(RecordingError, match="unable to open"):
        await SQLiteLog(place.path / "other.db").produce("monday", reactivex.of("a"))


async def test_a_file_that_is_deleted_while_it_is_written_to(log: SQLiteLog) -> None:
    subject: Subject[str] = Subject()
    production = log.produce("monday", subject)
    await production.claimed()
    log.path.unlink()
    subject.on_next("a")
    with pytest.raises(RecordingError, match="the file was deleted or moved while it was written to"):
        await production


async def test_streams_are_removed_when_others_are_claimed(tmp_path: Path) -> None:
    by_age = SQLiteLog(tmp_path / "log.db", keep_for=timedelta(0))
    await by_age.produce("monday", reactivex.of("a"))
    await by_age.produce("tuesday", reactivex.of("a"))
    assert [info.stream for info in await by_age.list()] == ["tuesday"]
    by_size = SQLiteLog(tmp_path / "log.db", keep_bytes=25)
    for name in ("wednesday", "thursday", "friday"):
        await by_size.produce(name, reactivex.of("0123456789"))
    assert [info.stream for info in await by_size.list()] == ["wednesday", "thursday", "friday"]
    await by_size.produce("saturday", reactivex.of("a"))
    assert [info.stream for info in await by_size.list()] == ["thursday", "friday", "saturday"]
    assert {*await by_size.expire(0)} == {"thursday", "friday", "saturday"}
    assert await by_size.expire(timedelta(days=1)) == []


def test_a_loop_has_to_run(log: SQLiteLog) -> None:
    with pytest.raises(NoRunningLoopError, match=r"produce\(\) needs a running event loop"):
        log.produce("monday", reactivex.of("a"))


async def test_a_claim_that_is_cancelled_with_the_program(log: SQLiteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    async def claim(*_: object, **__: object) -> LogWriter:
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        await asyncio.sleep(0)
        raise AssertionError

    monkeypatch.setattr(log.engine, "claim", claim)
    production = log.produce("monday", reactivex.of("a"))
    with pytest.raises(asyncio.CancelledError):
        await production
    assert production.done


WRONG: dict[str, tuple[Callable[[SQLiteLog], object], type[Exception], str]] = {
    "an empty name": (lambda log: log.sink(""), ValueError, "must have 1 to 1000 characters, not 0"),
    "a long name": (lambda log: log.sink("x" * 1001), ValueError, "not 1001"),
    "half a character": (lambda log: log.sink("ab\ud83d"), ValueError, "half of a surrogate pair at 2"),
    "no name": (lambda log: log.sink(5), TypeError, "the name of a stream must be str, not int"),  # type: ignore[arg-type]
    "no pipeline": (lambda log: log.produce("a", [1]), TypeError, "pipeline must be Observable, not list"),  # type: ignore[arg-type]
    "no buffer": (lambda log: log.produce("a", reactivex.of(1), buffer_size=0), ValueError, "buffer_size"),
    "no lease": (lambda log: SQLiteLog(log.path, lease=0), ValueError, "lease must be positive"),
    "a negative age": (lambda log: SQLiteLog(log.path, keep_for=-1), ValueError, "keep_for must be at least 0"),
    "no bytes": (lambda log: SQLiteLog(log.path, keep_bytes=0), ValueError, "keep_bytes must be at least 1"),
    "no item": (lambda log: SQLiteLog(log.path, max_item_bytes=0), ValueError, "max_item_bytes must be at least 1"),
    "a lease beyond any": (lambda log: SQLiteLog(log.path, lease=10**400), ValueError, "that a float can hold"),
    "no age": (lambda log: SQLiteLog(log.path, keep_for="1"), TypeError, "keep_for must be a number of seconds"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_mistake_is_told_where_it_stands(what: str, log: SQLiteLog) -> None:
    call, kind, message = WRONG[what]
    with pytest.raises(kind, match=message):
        call(log)


async def test_an_engine_of_ones_own(log: SQLiteLog) -> None:
    engine: LogEngine = log.engine
    own = rxllm.Log(engine, lease=5)
    await own.produce("monday", reactivex.of("a"))
    assert await read(own, "monday") == ["a"]
    assert ItemRecord(0, 0.0, "text", "a").epoch == 0
