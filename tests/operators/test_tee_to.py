"""``tee_to``: the sink's side of a stream, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import reactivex
from loguru import logger
from reactivex import Observable, abc
from reactivex import operators as rx_ops
from reactivex.disposable import Disposable

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import BufferOverflowError, NoRunningLoopError, StreamInterruptedError
from rxllm.flow import FlowControl
from rxllm.testing import Marbles, assert_marbles, assert_pauses, assert_subscriptions, run_virtual
from rxllm.typing import Ending

# A frame is 10 ms.


class Store:
    """A sink that notes what it is told, takes its time, and fails where it is asked to."""

    def __init__(self, *, write: float = 0, close: float = 0, failing: str = "") -> None:
        self.batches: list[list[Any]] = []
        self.ending: Ending | None = None
        self.opened = 0
        self._write = write
        self._close = close
        self._failing = failing

    @property
    def items(self) -> list[Any]:
        return [item for batch in self.batches for item in batch]

    def _fail(self, where: str) -> None:
        if self._failing == where:
            raise OSError(f"{where} failed")

    async def open(self) -> Store:
        self._fail("open")
        self.opened += 1
        return self

    async def write(self, items: Sequence[Any], /) -> None:
        if self._write:
            await asyncio.sleep(self._write)
        self._fail("write")
        self.batches.append(list(items))

    async def close(self, ending: Ending, /) -> None:
        await asyncio.sleep(self._close)
        self.ending = ending
        self._fail("close")


def test_items_pass_at_once_and_the_sink_gets_what_gathers_in_batches() -> None:
    marbles = Marbles()
    store = Store(write=0.03)

    recording = marbles.run(marbles.cold("-abcd-----|").pipe(ops.tee_to(store)))

    assert_marbles(recording, "-abcd-----|")
    assert store.batches == [["a"], ["b", "c", "d"]]
    assert store.ending == Ending("completed")


def test_completion_waits_until_everything_is_stored() -> None:
    marbles = Marbles()
    store = Store(write=0.03, close=0.02)

    assert_marbles(marbles.run(marbles.cold("-a|").pipe(ops.tee_to(store))), "-a----|")
    assert store.items == ["a"]


def test_an_error_waits_until_everything_is_stored_and_is_stored_itself() -> None:
    marbles = Marbles()
    store = Store(write=0.03, close=0.02)
    error = ConnectionError("lost")

    assert_marbles(marbles.run(marbles.cold("-a#", error=error).pipe(ops.tee_to(store))), "-a----#", error=error)
    assert store.items == ["a"]
    assert store.ending == Ending("failed", error)


def test_a_stream_that_is_disposed_is_stored_as_far_as_it_came_and_marked() -> None:
    marbles = Marbles()
    store = Store(write=0.03)

    recording = marbles.run(marbles.cold("-abcdef|").pipe(ops.tee_to(store)), subscribed="^-- 5ms !")

    assert_marbles(recording, "-abc")
    assert store.items == ["a", "b", "c"]
    assert store.ending == Ending("cancelled")


def test_a_full_queue_pauses_the_producer_until_half_of_it_is_written() -> None:
    marbles = Marbles()
    store = Store(write=0.05)
    source = marbles.cold("-abcdef|")

    recording = marbles.run(source.pipe(ops.tee_to(store, buffer_size=4)))

    # a is written from 10 to 60 ms, b to d from there to 110 ms.
    assert_pauses(source, "----[------]")
    assert_marbles(recording, "-abcd @110ms (ef) @160ms |")
    assert store.items == list("abcdef")


def test_a_sink_that_stands_still_pauses_the_producer() -> None:
    marbles = Marbles()
    source = marbles.cold("-abcdef|")

    recording = marbles.run(source.pipe(ops.tee_to(Store(write=1), buffer_size=2)), subscribed="^ 500ms !")

    assert_marbles(recording, "-ab")


def test_dropping_loses_items_of_the_sink_only() -> None:
    marbles = Marbles()
    oldest, newest = Store(write=0.1), Store(write=0.1)
    source = marbles.cold("-abcdef-|")

    recording = marbles.run(
        source.pipe(
            ops.tee_to(oldest, buffer_size=3, overflow="drop_oldest"),
            ops.tee_to(newest, buffer_size=3, overflow="drop_newest"),
        )
    )

    assert recording.items == list("abcdef")
    assert oldest.batches == [["a"], ["e", "f"]]
    assert newest.batches == [["a"], ["b", "c"]]
    for store in (oldest, newest):
        assert store.ending is not None
        assert str(store.ending.error) == "3 items were dropped"
    assert_pauses(source, "")


def test_when_all_there_is_room_for_is_being_written_the_newest_is_dropped_either_way() -> None:
    marbles = Marbles()
    store = Store(write=0.1)

    marbles.run(marbles.cold("-abc|").pipe(ops.tee_to(store, buffer_size=1, overflow="drop_oldest")))

    assert store.items == ["a"]


def test_conflating_keeps_the_text() -> None:
    marbles = Marbles()
    store = Store(write=0.1)
    source = marbles.chunks("-abcdef-|")

    marbles.run(source.pipe(ops.tee_to(store, buffer_size=3, overflow="conflate")))

    assert [chunk.choices[0].delta.content for chunk in store.items] == ["a", "bcdef"]
    assert_pauses(source, "")


def test_a_full_queue_with_nobody_to_pause_fails_the_stream_and_keeps_what_there_is() -> None:
    marbles = Marbles()
    store = Store(write=0.05)
    source = marbles.hot("-abcdef|")

    recording = marbles.run(source.pipe(ops.tee_to(store, buffer_size=2)))

    assert_marbles(recording, "-ab @110ms #", error=BufferOverflowError)
    assert store.items == ["a", "b"]
    assert store.ending is not None
    assert isinstance(store.ending.error, BufferOverflowError)


def test_after_an_overflow_nothing_more_is_passed_or_stored() -> None:
    """A source that emits all it has while it is subscribed to cannot be stopped."""
    marbles = Marbles()
    store = Store()

    def emit_all(observer: abc.ObserverBase[int], _: abc.SchedulerBase | None) -> abc.DisposableBase:
        for number in range(10):
            observer.on_next(number)
        return Disposable()

    recording = marbles.run(reactivex.create(emit_all).pipe(ops.tee_to(store, buffer_size=2)))

    assert_marbles(recording, "(ab#)", a=0, b=1, error=BufferOverflowError)
    assert store.items == [0, 1]


@pytest.mark.parametrize("where", ["open", "write", "close"])
def test_a_failing_sink_fails_the_stream(where: str) -> None:
    marbles = Marbles()
    source = marbles.cold("-a-b-c-|")

    recording = marbles.run(source.pipe(ops.tee_to(Store(failing=where))))

    drawn = {"open": "#", "write": "-(a#)", "close": "-a-b-c-#"}[where]
    assert_marbles(recording, drawn, error=OSError(f"{where} failed"))
    assert_subscriptions(source, {"open": "(^!)", "write": "^!", "close": "^------!"}[where])


@pytest.mark.parametrize("where", ["open", "write", "close"])
def test_a_failing_sink_can_be_detached_with_a_log_line(where: str) -> None:
    marbles = Marbles()
    lines: list[str] = []
    logger.enable("rxllm")
    handler = logger.add(lines.append, format="{level} {message}")

    recording = marbles.run(marbles.cold("-a-b-c-|").pipe(ops.tee_to(Store(failing=where), on_error="detach")))

    logger.remove(handler)
    logger.disable("rxllm")
    assert_marbles(recording, "-a-b-c-|")
    assert lines == ["WARNING a sink failed and is detached: OSError\n"]


def test_a_failing_sink_is_closed_all_the_same() -> None:
    marbles = Marbles()
    store = Store(failing="write")

    marbles.run(marbles.cold("-a-|").pipe(ops.tee_to(store)))

    assert store.ending is not None
    assert store.ending.kind == "failed"
    assert isinstance(store.ending.error, OSError)


def test_the_error_of_the_stream_has_precedence_over_that_of_the_sink() -> None:
    marbles = Marbles()
    error = ConnectionError("lost")

    recording = marbles.run(marbles.cold("-a#", error=error).pipe(ops.tee_to(Store(failing="close"))))

    assert_marbles(recording, "-a#", error=error)
    assert error.__notes__ == ["a sink failed, too: OSError('close failed')"]


def test_a_sink_that_fails_when_the_consumer_has_left_is_logged() -> None:
    marbles = Marbles()
    lines: list[str] = []
    logger.enable("rxllm")
    handler = logger.add(lines.append, format="{message}")

    marbles.run(marbles.cold("-a-b-|").pipe(ops.tee_to(Store(failing="close"))), subscribed="^-!")

    logger.remove(handler)
    logger.disable("rxllm")
    assert lines == ["a sink failed and is detached: OSError\n"]


def test_two_sinks_one_after_the_other() -> None:
    marbles = Marbles()
    first, second = Store(close=0.02), Store(close=0.03)

    recording = marbles.run(marbles.cold("-a|").pipe(ops.tee_to(first), ops.tee_to(second)))

    assert_marbles(recording, "-a-----|")
    assert first.items == second.items == ["a"]


def test_the_sink_is_no_part_of_the_emission_in_which_somebody_subscribed() -> None:
    seen: list[FlowControl | None] = []

    class Spy(Store):
        async def open(self) -> Store:
            seen.append(FlowControl.current())
            return await super().open()

    marbles = Marbles()
    outer = marbles.cold("-a|")
    inner = marbles.cold("-b|")

    def observe(_: str) -> Observable[str]:
        return inner.pipe(ops.tee_to(Spy()))

    marbles.run(outer.pipe(rx_ops.flat_map(observe)))

    assert seen == [None]


def test_a_program_that_ends_stores_what_came_first() -> None:
    """``asyncio.run`` cancels all tasks, the writer among them, and then waits for them."""
    store = Store()

    async def numbers() -> AsyncIterator[int]:
        for number in range(100):
            yield number
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        arrived = asyncio.Event()
        subscription = (
            rxllm.from_async_iterable(numbers)
            .pipe(ops.tee_to(store))
            .subscribe(lambda number: arrived.set() if number == 99 else None, lambda _: None)
        )
        await arrived.wait()
        del subscription  # nothing disposes it

    asyncio.run(main())

    assert store.items == list(range(100))
    assert store.ending is not None
    assert store.ending.kind in {"cancelled", "failed"}  # whichever of the tasks was told first


class Interruptible:
    """A sink whose methods wait until they are let go on, or are cancelled."""

    def __init__(self, waits_in: str) -> None:
        self.ending: Ending | None = None
        self.entered = asyncio.Event()
        self._waits_in = waits_in

    async def _step(self, name: str) -> None:
        if name == self._waits_in:
            self.entered.set()
            await asyncio.get_running_loop().create_future()

    async def open(self) -> Interruptible:
        await self._step("open")
        return self

    async def write(self, _: Sequence[Any], /) -> None:
        await self._step("write")

    async def close(self, ending: Ending, /) -> None:
        self.ending = ending
        await self._step("close")


@pytest.mark.parametrize("where", ["open", "write", "close", "between"])
async def test_a_writer_that_is_cancelled_by_somebody_else_ends_the_stream(where: str) -> None:
    async def one() -> AsyncIterator[str]:
        yield "a"
        if where != "close":
            await asyncio.get_running_loop().create_future()

    sink = Interruptible(where)
    before = asyncio.all_tasks()
    failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    passed = asyncio.Event()
    rxllm.from_async_iterable(one).pipe(ops.tee_to(sink)).subscribe(lambda _: passed.set(), failed.set_result)
    (writer,) = (task for task in asyncio.all_tasks() - before if "SinkWriter" in repr(task.get_coro()))
    await (passed.wait() if where == "between" else sink.entered.wait())
    await asyncio.sleep(0)

    writer.cancel()

    assert isinstance(await failed, StreamInterruptedError)
    if where in {"write", "between"}:
        assert sink.ending == Ending("cancelled")


def test_a_sink_that_is_cancelled_from_within_fails_instead_of_losing_a_batch() -> None:
    class Closed(Store):
        async def write(self, items: Sequence[Any], /) -> None:
            await super().write(items)
            raise asyncio.CancelledError

    marbles = Marbles()
    store = Closed()

    recording = marbles.run(marbles.cold("-a-b|").pipe(ops.tee_to(store)))

    assert_marbles(recording, "-(a#)", error=RuntimeError)
    assert store.ending is not None
    assert store.ending.kind == "failed"


@pytest.mark.parametrize("where", ["write", "close"])
def test_a_sink_that_hangs_does_not_keep_a_program_from_ending(where: str) -> None:
    async def numbers() -> AsyncIterator[int]:
        while True:
            yield 1
            await asyncio.sleep(0.001)

    async def main() -> None:
        sink = Interruptible(where)
        rxllm.from_async_iterable(numbers).pipe(ops.tee_to(sink)).subscribe(on_error=lambda _: None)
        await asyncio.sleep(1)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})

    run_virtual(main())


async def test_dispose_from_another_thread() -> None:
    store = Store()
    before = asyncio.all_tasks()
    subscription = reactivex.concat(reactivex.of(1), reactivex.never()).pipe(ops.tee_to(store)).subscribe()

    (writer,) = asyncio.all_tasks() - before

    await asyncio.to_thread(subscription.dispose)
    await asyncio.wait({writer})

    assert store.ending == Ending("cancelled")


def test_dispose_when_the_loop_is_closed() -> None:
    async def main() -> abc.DisposableBase:
        return reactivex.never().pipe(ops.tee_to(Store())).subscribe(on_error=lambda _: None)

    asyncio.run(main()).dispose()


def test_outside_a_loop_it_says_what_to_do() -> None:
    errors: list[Exception] = []
    reactivex.just("a").pipe(ops.tee_to(Store())).subscribe(on_error=errors.append)

    assert isinstance(errors[0], NoRunningLoopError)


@pytest.mark.parametrize(
    "options", [{"buffer_size": 0}, {"overflow": "grow"}, {"on_error": "ignore"}], ids=["size", "overflow", "on_error"]
)
def test_wrong_arguments_are_reported_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least 1|must be"):
        ops.tee_to(Store(), **options)
