"""``iterate``, ``run`` and ``await``: the ways out of Rx."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops
from reactivex.subject import Subject

import rxllm
from rxllm.exceptions import BufferOverflowError, EmptyStreamError, NoRunningLoopError, StreamInterruptedError
from rxllm.flow import FlowControl
from rxllm.testing import ScriptedServer, script


async def numbers(count: int = 1_000) -> AsyncIterator[int]:
    for number in range(count):
        yield number


def stalled_server() -> ScriptedServer:
    return ScriptedServer([script.text("a"), script.text("b"), script.stall()])


def test_run_returns_the_last_item() -> None:
    assert rxllm.run(rxllm.from_async_iterable(numbers)) == 999


def test_run_raises_what_the_observable_failed_with() -> None:
    with pytest.raises(ZeroDivisionError):
        rxllm.run(reactivex.throw(ZeroDivisionError()))


def test_run_of_nothing() -> None:
    with pytest.raises(EmptyStreamError):
        rxllm.run(reactivex.empty())


async def test_run_within_a_loop_says_what_to_do() -> None:
    with pytest.raises(NoRunningLoopError, match="await"):
        rxllm.run(reactivex.just(1))


async def test_async_for_gets_all_items_in_order() -> None:
    received = [number async for number in rxllm.iterate(rxllm.from_async_iterable(numbers), buffer_size=2)]

    assert received == list(range(1_000))


async def test_nothing_is_subscribed_before_the_first_step() -> None:
    subscribed: list[int] = []

    def subscribe(_: object) -> Observable[int]:
        subscribed.append(1)
        return reactivex.just(1)

    rxllm.iterate(reactivex.defer(subscribe))

    assert subscribed == []


async def test_the_producer_is_resumed_when_half_of_the_room_is_free() -> None:
    flow = FlowControl()
    subject: Subject[int] = Subject()
    async with rxllm.iterate(subject, buffer_size=4) as iteration:
        for number in range(4):
            flow.deliver(subject.on_next, number)
        paused = [flow.paused]
        for _ in range(4):
            await anext(iteration)
            paused.append(flow.paused)

    assert paused == [True, True, False, False, False]


async def test_an_error_comes_after_the_items_and_then_it_is_over() -> None:
    subject: Subject[int] = Subject()
    iteration = rxllm.iterate(subject)
    async with iteration:
        subject.on_next(1)
        subject.on_error(ZeroDivisionError())
        subject.on_next(2)

        assert await anext(iteration) == 1
        with pytest.raises(ZeroDivisionError):
            await anext(iteration)
        with pytest.raises(StopAsyncIteration):
            await anext(iteration)


async def test_a_consumer_that_waits_is_woken_by_an_item_and_by_the_end() -> None:
    subject: Subject[int] = Subject()
    received: list[int] = []

    async def consume() -> None:
        received.extend([number async for number in rxllm.iterate(subject)])

    consuming = asyncio.create_task(consume())
    await asyncio.sleep(0)
    subject.on_next(1)
    subject.on_next(2)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    subject.on_completed()
    await consuming

    assert received == [1, 2]


async def test_a_source_that_cannot_be_paused_overflows_instead_of_growing() -> None:
    iteration = rxllm.iterate(reactivex.of(*range(100)), buffer_size=8)
    received: list[int] = []

    with pytest.raises(BufferOverflowError, match="8 items wait") as caught:
        received.extend([number async for number in iteration])

    assert caught.value.size == 8


async def test_what_waits_comes_before_the_overflow() -> None:
    received: list[int] = []
    with pytest.raises(BufferOverflowError):
        async for number in rxllm.iterate(reactivex.of(*range(100)), buffer_size=8):
            received.append(number)  # noqa: PERF401 - a comprehension would lose them

    assert received == list(range(8))


async def test_an_error_behind_the_overflow_does_not_hide_it() -> None:
    source = reactivex.of(*range(100)).pipe(rx_ops.concat(reactivex.throw(ZeroDivisionError())))

    with pytest.raises(BufferOverflowError):
        async for _ in rxllm.iterate(source, buffer_size=8):
            pass


@pytest.mark.parametrize("size", [0, -1])
def test_a_buffer_has_room_for_one(size: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        rxllm.iterate(reactivex.just(1), buffer_size=size)


async def test_an_observable_that_emits_in_a_thread_wakes_the_loop() -> None:
    assert [item async for item in rxllm.iterate(reactivex.timer(0.01))] == [0]


def test_an_item_that_comes_from_a_thread_just_before_somebody_waits_is_seen() -> None:
    subject: Subject[int] = Subject()
    at_the_worst_moment: list[int] = [7]

    class MeddlingLoop(asyncio.SelectorEventLoop):
        """Lets an item come between the look at what waits and the wait for more."""

        def create_future(self) -> asyncio.Future[Any]:
            if subject.observers and at_the_worst_moment:
                subject.on_next(at_the_worst_moment.pop())
            return super().create_future()

    async def main() -> int:
        async with rxllm.iterate(subject) as iteration:
            return await anext(iteration)

    with asyncio.Runner(loop_factory=MeddlingLoop) as runner:
        assert runner.run(main()) == 7


async def test_a_second_consumer_is_told_so() -> None:
    subject: Subject[int] = Subject()
    iteration = rxllm.iterate(subject)
    waiting = asyncio.ensure_future(anext(iteration))
    await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="one consumer"):
        await anext(iteration)
    subject.on_next(1)

    assert await waiting == 1
    await iteration.aclose()


async def test_break_closes_the_connection() -> None:
    async with stalled_server() as server:
        async for _ in rxllm.iterate(rxllm.from_sse(server.url)):
            break
        await server.requests[0].peer_left.wait()


async def test_an_exception_in_the_body_of_the_loop_closes_the_connection() -> None:
    async with stalled_server() as server:
        with pytest.raises(ZeroDivisionError):
            async for _ in rxllm.iterate(rxllm.from_sse(server.url)):
                raise ZeroDivisionError
        await server.requests[0].peer_left.wait()


async def test_leaving_the_context_closes_the_connection() -> None:
    async with stalled_server() as server:
        async with rxllm.iterate(rxllm.from_sse(server.url)) as events:
            async for _ in events:
                break
        await server.requests[0].peer_left.wait()
        assert [event async for event in events] == []


async def test_cancelling_the_task_that_iterates_closes_the_connection() -> None:
    async with stalled_server() as server:
        events = rxllm.iterate(rxllm.from_sse(server.url))  # held, so that nothing but the cancellation can close it

        async def consume() -> None:
            async for _ in events:
                pass

        consuming = asyncio.create_task(consume())
        request = await server.wait_for_request()
        while request.chunks_written < 2:
            await asyncio.sleep(0)
        consuming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consuming
        await request.peer_left.wait()
        # What had arrived can still be taken; then comes an error and never an end.
        with pytest.raises(StreamInterruptedError):
            async for _ in events:
                pass


async def test_cancelling_the_task_that_awaits_closes_the_connection() -> None:
    async with stalled_server() as server:

        async def last(observable: Observable[rxllm.ServerSentEvent]) -> rxllm.ServerSentEvent:
            return await observable

        awaiting = asyncio.create_task(last(rxllm.from_sse(server.url)))
        request = await server.wait_for_request()
        awaiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await awaiting
        await request.peer_left.wait()


async def test_cancelling_a_hundred_times_at_the_worst_moment_always_cancels() -> None:
    """A chunk and the cancellation in the same turn of the loop: neither swallows the other."""
    for _ in range(100):
        subject: Subject[int] = Subject()

        async def consume(subject: Subject[int] = subject) -> None:
            async for _ in rxllm.iterate(subject):
                pass

        consuming = asyncio.create_task(consume())
        await asyncio.sleep(0)
        subject.on_next(1)
        consuming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consuming
        assert not subject.observers


def test_breaking_out_under_run_ends_the_program() -> None:
    async def main() -> int:
        async for number in rxllm.iterate(rxllm.from_async_iterable(numbers)):
            return number
        return -1

    assert asyncio.run(main()) == 0
