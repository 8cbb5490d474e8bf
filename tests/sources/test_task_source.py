"""The task of a source: how it ends when it is left, from wherever that is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as rx_ops
from reactivex.disposable import SerialDisposable

from rxllm.flow import Emitter, FlowControl, task_source
from rxllm.sources import from_async_iterable

EMISSIONS: dict[str, Any] = {"alone": lambda: ("a",), "together": lambda: [*"abc"], "singly": lambda: iter("abc")}


class Source:
    """Emits once, in a task that is known, and waits for ever after that; notes how it ends."""

    def __init__(self, emission: Callable[[], Any], *, before: Callable[[], object] = lambda: None) -> None:
        self.log: list[str] = []
        self.task: asyncio.Task[Any] | None = None
        self.ended = asyncio.Event()
        self.observable: Observable[str] = task_source(self._produce)
        self._emission = emission
        self._before = before

    async def _produce(self, emitter: Emitter[str]) -> None:
        self.task = asyncio.current_task()
        try:
            async with self._resource():
                await emitter.emit(self._emission())
                self.log.append("went on")
                self._before()
                await asyncio.get_running_loop().create_future()
        finally:
            self.ended.set()

    @asynccontextmanager
    async def _resource(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self.log.append("cleaning up")
            await asyncio.sleep(0)
            self.log.append("cleaned up")


@pytest.mark.parametrize("emission", EMISSIONS.values(), ids=EMISSIONS)
async def test_left_from_within_an_emission_it_ends_in_the_same_turn(emission: Callable[[], Any]) -> None:
    source = Source(emission)
    subscription = SerialDisposable()

    def leave(item: str) -> None:
        source.log.append(item)
        asyncio.get_running_loop().call_soon(source.log.append, "the next turn")
        subscription.dispose()

    subscription.disposable = source.observable.subscribe(leave)
    await source.ended.wait()

    assert source.log == ["a", "cleaning up", "the next turn", "cleaned up"]
    assert source.task is not None
    await asyncio.wait({source.task})
    assert source.task.cancelled()
    # It was not cancelled by anybody: another await in its cleaning up would be.
    assert source.task.cancelling() == 0


@pytest.mark.parametrize("emission", [EMISSIONS["together"], EMISSIONS["singly"]], ids=["together", "singly"])
async def test_left_from_elsewhere_while_an_emission_waits_for_a_pause_it_is_cancelled(
    emission: Callable[[], Any],
) -> None:
    source = Source(emission)
    flows: list[FlowControl] = []

    def pause(item: str) -> None:
        source.log.append(item)
        flow = FlowControl.current()
        assert flow is not None
        flow.pause("test")
        flows.append(flow)

    subscription = source.observable.subscribe(pause)
    while not flows:
        await asyncio.sleep(0)
    subscription.dispose()
    async with asyncio.timeout(5):
        await source.ended.wait()

    assert source.log == ["a", "cleaning up", "cleaned up"]
    flows[0].resume("test")


async def test_an_operator_that_has_enough_leaves_it_so() -> None:
    source = Source(EMISSIONS["together"])

    assert await source.observable.pipe(rx_ops.take(2), rx_ops.to_list()) == ["a", "b"]
    await source.ended.wait()

    assert source.log == ["cleaning up", "cleaned up"]


@pytest.mark.parametrize("order", ["cancelled, left", "left, cancelled"])
@pytest.mark.parametrize("emission", EMISSIONS.values(), ids=EMISSIONS)
async def test_left_from_within_an_emission_and_cancelled_by_somebody_else(
    emission: Callable[[], Any], order: str
) -> None:
    source = Source(emission)
    subscription = SerialDisposable()
    errors: list[Exception] = []

    def leave(item: str) -> None:
        source.log.append(item)
        assert source.task is not None
        acts: list[Callable[[], object]] = [source.task.cancel, subscription.dispose]
        for act in acts if order == "cancelled, left" else reversed(acts):
            act()

    subscription.disposable = source.observable.subscribe(leave, errors.append)
    await source.ended.wait()

    assert source.log == ["a", "cleaning up", "cleaned up"]
    assert errors == []


@pytest.mark.parametrize("emission", EMISSIONS.values(), ids=EMISSIONS)
async def test_left_from_within_it_can_be_cancelled_while_it_cleans_up(emission: Callable[[], Any]) -> None:
    source = Source(emission)
    subscription = SerialDisposable()

    def leave(_: str) -> None:
        assert source.task is not None
        asyncio.get_running_loop().call_soon(source.task.cancel)
        subscription.dispose()

    subscription.disposable = source.observable.subscribe(leave)
    await source.ended.wait()

    assert source.log == ["cleaning up"]


async def test_left_by_what_it_does_between_two_emissions_it_is_cancelled() -> None:
    subscription = SerialDisposable()
    source = Source(EMISSIONS["alone"], before=subscription.dispose)
    subscription.disposable = source.observable.subscribe(lambda _: None)

    async with asyncio.timeout(5):
        await source.ended.wait()

    assert source.log == ["went on", "cleaning up", "cleaned up"]


async def test_a_generator_that_leaves_its_own_stream_is_closed() -> None:
    closed = asyncio.Event()
    subscription = SerialDisposable()

    async def leaving() -> AsyncIterator[int]:
        try:
            yield 1
            subscription.dispose()
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            closed.set()

    received: list[int] = []
    subscription.disposable = from_async_iterable(leaving).subscribe(received.append)
    async with asyncio.timeout(5):
        await closed.wait()

    assert received == [1]


async def test_a_generator_whose_stream_is_left_from_within_is_closed_with_what_it_awaits_for_that() -> None:
    closed = asyncio.Event()
    subscription = SerialDisposable()

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
            closed.set()

    received: list[int] = []

    def on_next(number: int) -> None:
        received.append(number)
        if number == 2:
            subscription.dispose()

    subscription.disposable = from_async_iterable(numbers).subscribe(on_next)
    await closed.wait()

    assert received == [0, 1, 2]


@pytest.mark.parametrize("fails", [False, True])
async def test_left_at_its_end_it_has_ended_and_is_not_cancelled(fails: bool) -> None:
    tasks: list[asyncio.Task[Any]] = []
    ended = asyncio.Event()
    subscription = SerialDisposable()

    async def produce(emitter: Emitter[str]) -> None:
        assert emitter.task is not None
        tasks.append(emitter.task)
        if fails:
            raise ConnectionError

    def end(*_: object) -> None:
        subscription.dispose()
        ended.set()

    subscription.disposable = task_source(produce).subscribe(lambda _: None, end, end)
    await ended.wait()
    await asyncio.wait(tasks)

    assert not tasks[0].cancelled()
