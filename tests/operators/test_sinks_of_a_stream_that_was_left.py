"""``tee_to`` when its stream is left: the sink stores what came, and one that hangs is given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import pytest
import reactivex
from loguru import logger
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.testing import leak_check, run_virtual
from rxllm.typing import Ending

PATIENCE_SECONDS = 5


class Store:
    """A sink that takes its time."""

    def __init__(self, seconds: float = 0) -> None:
        self.items: list[int] = []
        self.ending: Ending | None = None
        self._seconds = seconds

    async def open(self) -> Store:
        return self

    async def write(self, items: Sequence[int], /) -> None:
        await asyncio.sleep(self._seconds)
        self.items += items

    async def close(self, ending: Ending, /) -> None:
        await asyncio.sleep(self._seconds)
        self.ending = ending


class Hanging(Store):
    """Some of its methods never return."""

    def __init__(self, *where: str) -> None:
        super().__init__()
        self.entered = asyncio.Event()
        self._where = where

    async def _step(self, name: str) -> None:
        if name in self._where:
            self.entered.set()
            await asyncio.get_running_loop().create_future()

    async def open(self) -> Store:
        await self._step("open")
        return self

    async def write(self, _: Sequence[int], /) -> None:
        await self._step("write")

    async def close(self, ending: Ending, /) -> None:
        await self._step("close")
        self.ending = ending


async def endless() -> AsyncIterator[int]:
    while True:
        yield 1
        await asyncio.sleep(0.001)


async def dispose(stream: Observable[int]) -> None:
    subscription = stream.subscribe()
    await asyncio.sleep(1)
    subscription.dispose()


async def take(stream: Observable[int]) -> None:
    await stream.pipe(rx_ops.take(3), rx_ops.to_list())


async def leave_the_loop(stream: Observable[int]) -> None:
    async with rxllm.iterate(stream) as items:
        await anext(items)


async def fail(stream: Observable[int]) -> None:
    def raising(_: int) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await stream.pipe(rx_ops.do_action(raising))


async def cancel(stream: Observable[int]) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(rxllm.iterate(stream.pipe(rx_ops.last())).__anext__(), 1)


def writers_of(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() - before if "SinkWriter" in repr(task.get_coro())}


async def seconds_until_gone(before: set[asyncio.Task[Any]]) -> float:
    """How long the writer of a sink goes on, in virtual time."""
    left_at = asyncio.get_running_loop().time()
    await asyncio.wait(writers_of(before))
    return asyncio.get_running_loop().time() - left_at


Leave = Callable[[Observable[int]], Coroutine[Any, Any, None]]


@pytest.mark.parametrize("where", ["open", "write", "close"])
@pytest.mark.parametrize("leave", [dispose, take, leave_the_loop, fail])
def test_a_sink_that_hangs_is_given_up(leave: Leave, where: str) -> None:
    async def main() -> float:
        before = asyncio.all_tasks()
        await leave(rxllm.from_async_iterable(endless).pipe(ops.tee_to(Hanging(where))))
        return await seconds_until_gone(before)

    assert run_virtual(main()) == PATIENCE_SECONDS


@pytest.mark.parametrize("where", ["open", "write", "close"])
def test_whoever_is_cancelled_waits_until_then_and_no_longer(where: str) -> None:
    async def main() -> tuple[float, int]:
        before = asyncio.all_tasks()
        await cancel(rxllm.from_async_iterable(endless).pipe(ops.tee_to(Hanging(where))))
        await asyncio.sleep(0)
        return asyncio.get_running_loop().time(), len(writers_of(before))

    assert run_virtual(main()) == (1 + PATIENCE_SECONDS, 0)


def test_a_sink_that_hangs_behind_the_end_is_given_up_when_somebody_leaves() -> None:
    async def main() -> float:
        before = asyncio.all_tasks()
        sink = Hanging("close")
        subscription = reactivex.of(1, 2).pipe(ops.tee_to(sink)).subscribe()
        await sink.entered.wait()
        await asyncio.sleep(60)
        subscription.dispose()
        return await seconds_until_gone(before)

    assert run_virtual(main()) == PATIENCE_SECONDS


@pytest.mark.parametrize("completed", [False, True])
def test_one_whose_write_hangs_is_closed_and_told_that_it_does_not_have_the_whole(*, completed: bool) -> None:
    async def main() -> float:
        before = asyncio.all_tasks()
        items = reactivex.of(1, 2)
        stream = items if completed else reactivex.concat(items, reactivex.never())
        subscription = stream.pipe(ops.tee_to(sink)).subscribe()
        await sink.entered.wait()
        subscription.dispose()
        return await seconds_until_gone(before)

    sink = Hanging("write")
    assert run_virtual(main()) == PATIENCE_SECONDS
    assert sink.ending == Ending("cancelled")


def test_one_that_hangs_everywhere_is_given_up_twice() -> None:
    async def main() -> float:
        before = asyncio.all_tasks()
        await dispose(rxllm.from_async_iterable(endless).pipe(ops.tee_to(Hanging("write", "close"))))
        return await seconds_until_gone(before)

    assert run_virtual(main()) == 2 * PATIENCE_SECONDS


def test_that_a_sink_was_given_up_is_told() -> None:
    told: list[str] = []
    handler = logger.add(told.append, format="{level} {message}")
    logger.enable("rxllm")
    try:
        test_a_sink_that_hangs_is_given_up(dispose, "write")
    finally:
        logger.disable("rxllm")
        logger.remove(handler)

    assert told == ["WARNING a sink took more than 5 s when its stream had been left: cancelled\n"]


@pytest.mark.parametrize("seconds", [0, 1, PATIENCE_SECONDS - 1])
def test_one_that_is_slow_stores_what_came(seconds: float) -> None:
    """Each call has its time: with the one under way there are three."""

    async def main() -> None:
        before = asyncio.all_tasks()
        subject: reactivex.Subject[int] = reactivex.Subject()
        subscription = subject.pipe(ops.tee_to(store)).subscribe()
        subject.on_next(1)
        await asyncio.sleep(seconds / 2)
        subject.on_next(2)
        subscription.dispose()
        await seconds_until_gone(before)

    store = Store(seconds)
    run_virtual(main())
    assert store.items == [1, 2]
    assert store.ending == Ending("cancelled")


def test_a_program_that_ends_then_lets_it_store_what_came() -> None:
    class Patient(Store):
        async def write(self, items: Sequence[int], /) -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await super().write(items)
            self.items = [*items]

    async def main() -> None:
        before = asyncio.all_tasks()
        subscription = reactivex.concat(reactivex.of(1, 2), reactivex.never()).pipe(ops.tee_to(store)).subscribe()
        await asyncio.sleep(0.5)
        subscription.dispose()
        for task in writers_of(before):
            task.cancel()
        await seconds_until_gone(before)

    store = Patient(1)
    run_virtual(main())
    assert store.items == [1, 2]
    assert store.ending == Ending("cancelled")


def test_one_that_is_done_leaves_no_timer() -> None:
    async def main() -> None:
        async with leak_check():
            await reactivex.of(1, 2).pipe(ops.tee_to(Store()), rx_ops.to_list())
            before = asyncio.all_tasks()
            await dispose(rxllm.from_async_iterable(endless).pipe(ops.tee_to(Store())))
            await seconds_until_gone(before)

    run_virtual(main())


def test_a_program_that_insists_ends_at_once() -> None:
    async def main() -> float:
        before = asyncio.all_tasks()
        sink = Hanging("write")
        reactivex.concat(reactivex.of(1), reactivex.never()).pipe(ops.tee_to(sink)).subscribe(on_error=lambda _: None)
        await sink.entered.wait()
        for _ in range(2):
            for task in writers_of(before):
                task.cancel()
        return await seconds_until_gone(before)

    assert run_virtual(main()) == 0
