"""Consumers that leave in the middle of a batch, and sinks that fail in ways of their own."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops
from reactivex.observer import AutoDetachObserver

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import StreamInterruptedError
from rxllm.flow import Emitter, FanOut, FlowControl, Operation, operate, task_source
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


class Gathering(Operation[Any, Any]):
    """Emits four items at a time."""

    def __init__(self, out: FanOut[Any]) -> None:
        super().__init__(out)
        self.items: list[Any] = []

    def on_item(self, item: Any, /) -> Sequence[Any]:
        self.items.append(item)
        if len(self.items) < 4:
            return ()
        items, self.items = self.items, []
        return items


async def test_a_branch_that_left_pauses_nobody() -> None:
    """The source feeds another branch, too; and the sink of the one that left never returns."""
    released = asyncio.Event()

    async def stand_still(items: list[Any]) -> None:
        del items
        await released.wait()

    source = reads(*[10] * 6).pipe(rx_ops.share())
    left: list[int] = []
    source.pipe(operate(Gathering), ops.tee_to(Sink(stand_still), buffer_size=3), rx_ops.take(3)).subscribe(left.append)
    received = await source.pipe(rx_ops.to_list())
    assert left == [0, 1, 2]
    assert received == [*range(60)]
    released.set()


class Item:
    """An object that can be referred to weakly."""


async def test_whoever_leaves_in_the_middle_of_a_batch_leaves_nothing_behind() -> None:
    flow = FlowControl()

    def leave(_: Item) -> None:
        flow.pause("leaver")
        fan_out.dispose()

    fan_out: FanOut[Item] = FanOut(AutoDetachObserver(leave))
    items = [Item() for _ in range(3)]
    kept = [weakref.ref(item) for item in items]
    flow.deliver(fan_out.emit, items)
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


async def test_a_sink_in_another_thread_stores_the_same() -> None:
    async def store(items: list[Any]) -> None:
        await asyncio.to_thread(stored.extend, items)

    stored: list[int] = []
    await reads(1, 1, 30, 1, 50).pipe(ops.tee_to(Sink(store), buffer_size=7))
    assert stored == [*range(83)]
    assert await reactivex.of(1).pipe(ops.tee_to(Sink(nothing))) == 1
    assert rxllm.FlowControl.current() is None
