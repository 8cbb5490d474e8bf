"""Consumers that leave in the middle of a batch, and sinks that fail in ways of their own."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
import reactivex
from reactivex import Observable, abc
from reactivex import operators as rx_ops
from reactivex.disposable import SerialDisposable

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import StreamInterruptedError
from rxllm.flow import Emitter, FanOut, FlowControl, task_source
from rxllm.flow._batches import Receiver
from rxllm.flow._stream import Stream, subscribe_to
from rxllm.typing import Ending


class Sink:
    """Gives each batch to a function."""

    def __init__(self, store: Callable[[list[Any]], Coroutine[Any, Any, None]]) -> None:
        self.items: list[Any] = []
        self.ending: Ending | None = None
        self._store = store

    async def open(self) -> Sink:
        return self

    def write(self, items: Sequence[Any], /) -> Any:
        self.items.extend(items)
        return self._store([*items])

    async def close(self, ending: Ending, /) -> None:
        self.ending = ending


def reads(*sizes: int) -> Observable[Any]:
    """A source that emits so many numbers at a time, each time in a turn of its own."""

    async def produce(emitter: Emitter[int]) -> None:
        start = 0
        for size in sizes:
            await emitter.emit([*range(start, start + size)])
            start += size
            await asyncio.sleep(0)

    return task_source(produce)


async def nothing(items: list[Any]) -> None:
    del items


@pytest.mark.parametrize("size", range(1, 45))
async def test_a_queue_smaller_than_a_batch_loses_nothing(size: int) -> None:
    sink = Sink(nothing)
    received: list[int] = []
    await reads(1, 2, 4, 40, 1, 80).pipe(ops.tee_to(sink, buffer_size=size), rx_ops.do_action(received.append))
    assert received == sink.items == [*range(128)]
    assert sink.ending == Ending("completed")


async def test_a_branch_that_left_pauses_nobody() -> None:
    """The source feeds another branch, too; and the sink of the one that left never returns."""
    released = asyncio.Event()

    async def stand_still(items: list[Any]) -> None:
        del items
        await released.wait()

    source = reads(*[10] * 6).pipe(rx_ops.share())
    left: list[int] = []
    spread = Receives(3)
    source.pipe(spread.operator, ops.tee_to(Sink(stand_still), buffer_size=3), rx_ops.take(3)).subscribe(left.append)
    received = await source.pipe(rx_ops.to_list())
    assert left == [0, 1, 2]
    assert received == [*range(60)]
    released.set()


class Receives:
    """An operator that hands on what it gets in batches of one item more than fits."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: list[Any] = []

    def operator(self, source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> Any:
            fan_out = FanOut(observer)

            def on_next(item: Any) -> None:
                self._items.append(item)
                if len(self._items) > self._size:
                    items, self._items = self._items, []
                    fan_out.emit(items)

            return source.subscribe(on_next, fan_out.end, fan_out.end, scheduler=scheduler)

        return Stream(subscribe)


class Item:
    """An object that can be referred to weakly."""


async def test_whoever_leaves_in_the_middle_of_a_batch_leaves_nothing_behind() -> None:
    subscription = SerialDisposable()
    fan_outs: list[FanOut[Item]] = []
    flow = FlowControl()

    class Leaver(Receiver[Item]):
        def on_next(self, value: Item) -> None:
            self.on_batch((value,))

        def on_batch(self, items: Sequence[Item]) -> int:
            flow.pause("leaver")
            fan_outs[0].dispose()
            return len(items[:1])

        def on_error(self, error: Exception) -> None: ...

        def on_completed(self) -> None: ...

    def subscribe(observer: abc.ObserverBase[Item], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        fan_outs.append(FanOut(observer))
        return subscription

    Observable[Item](lambda _, scheduler: subscribe_to(Stream(subscribe), Leaver(), scheduler)).subscribe()
    items = [Item() for _ in range(3)]
    kept = [weakref.ref(item) for item in items]
    flow.deliver(fan_outs[0].emit, items)
    del items
    assert [reference() for reference in kept] == [None] * 3
    flow.resume("leaver")


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_sink_that_fails_without_an_exception_proper_ends_the_stream(after: int) -> None:
    class Outcome(BaseException):
        """As a test framework has them."""

    async def fail_later(items: list[Any]) -> None:
        if len(sink.items) > after:
            raise Outcome(items)

    sink = Sink(fail_later)
    outcomes: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: outcomes.append(context))
    with pytest.raises(StreamInterruptedError):
        await reads(*[1] * 6).pipe(ops.tee_to(sink))
    assert sink.items == [*range(after + 1)]


async def test_a_write_that_raises_stop_iteration_has_failed() -> None:
    """Within a coroutine Python makes another error of it, for it would say that the coroutine has returned."""

    def take_from_nothing(items: list[Any]) -> Coroutine[Any, Any, None]:
        if len(sink.items) == 3:
            next(iter(()))
        return nothing(items)

    sink = Sink(take_from_nothing)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await reads(*[1] * 6).pipe(ops.tee_to(sink))
    assert sink.ending is not None
    assert sink.ending.kind == "failed"


def test_a_callback_may_be_taken_back_after_it_was_called() -> None:
    flow = FlowControl()
    flow.pause("test")
    called: list[int] = []
    withdraw = flow.when_resumed(lambda: called.append(1))
    flow.resume("test")
    withdraw()
    withdraw()
    assert called == [1]


async def test_a_sink_in_another_thread_stores_the_same() -> None:
    async def store(items: list[Any]) -> None:
        await asyncio.to_thread(stored.extend, items)

    stored: list[int] = []
    await reads(1, 1, 30, 1, 50).pipe(ops.tee_to(Sink(store), buffer_size=7))
    assert stored == [*range(83)]
    assert await reactivex.of(1).pipe(ops.tee_to(Sink(nothing))) == 1
    assert rxllm.FlowControl.current() is None
