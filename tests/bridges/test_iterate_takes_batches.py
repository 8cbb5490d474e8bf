"""``iterate`` takes what came together together: never more than it has room for, in order, the end behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
import reactivex
from reactivex import Observable, abc
from reactivex import operators as rx_ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject

import rxllm
from rxllm import Iteration
from rxllm import operators as ops
from rxllm.exceptions import BufferOverflowError, StreamInterruptedError, TruncatedStreamError
from rxllm.flow import FlowControl
from rxllm.models import StreamChunk
from rxllm.sinks import JSONLinesSink
from rxllm.testing import ScriptedServer, script
from rxllm.typing import Ending
from rxllm.wire import ServerSentEvent

SIZES = [1, 2, 3, 7, 64, 100, 299, 300]
COUNT = 300


def events(texts: Sequence[object]) -> bytes:
    return b"".join(b"data: %s\n\n" % str(text).encode() for text in texts)


class Producer:
    """A producer that delivers bytes, of which ``decode_sse`` makes many events at once; it can be paused."""

    def __init__(self) -> None:
        self.flow = FlowControl()
        self.subject: Subject[bytes] = Subject()
        self.events: Observable[ServerSentEvent] = self.subject.pipe(ops.decode_sse())

    def deliver(self, texts: Sequence[object]) -> None:
        self.flow.deliver(self.subject.on_next, events(texts))


def take_what_waits(iteration: Iteration[ServerSentEvent], most: int = 10_000) -> list[str]:
    """Take what can be had without giving the event loop a turn."""
    taken: list[str] = []
    while len(taken) < most:
        step = iteration.__anext__()
        try:
            step.send(None)
        except StopIteration as stopped:
            event: ServerSentEvent = stopped.value
            taken.append(event.data)
        else:
            step.close()
            break
    return taken


def texts(start: int, stop: int) -> list[str]:
    return [str(number) for number in range(start, stop)]


async def next_text(iteration: Iteration[ServerSentEvent]) -> str:
    return (await anext(iteration)).data


@pytest.mark.parametrize("size", SIZES)
async def test_of_a_batch_never_more_wait_than_there_is_room_for(size: int) -> None:
    producer = Producer()
    async with rxllm.iterate(producer.events, buffer_size=size) as iteration:
        producer.deliver(range(COUNT))
        assert producer.flow.paused

        # Down to one more than half nobody is resumed: what is taken is what waited, and no more than that.
        kept = size // 2
        assert take_what_waits(iteration, size - kept - 1) == texts(0, size - kept - 1)
        assert producer.flow.paused
        # With the next the producer goes on at once, and delivers as many as there is room for again.
        assert await next_text(iteration) == str(size - kept - 1)
        assert producer.flow.paused is (2 * size - kept <= COUNT)

        rest = take_what_waits(iteration)
        assert rest == texts(size - kept, COUNT)
        assert not producer.flow.paused


@pytest.mark.parametrize("size", SIZES)
async def test_while_nobody_takes_the_buffer_holds_exactly_its_size(size: int) -> None:
    producer = Producer()
    # What goes on when it is resumed is not seen here: the pause of somebody else keeps it.
    async with rxllm.iterate(producer.events, buffer_size=size) as iteration:
        producer.deliver(range(COUNT))
        producer.flow.pause("test")

        assert take_what_waits(iteration) == texts(0, size)

        producer.flow.resume("test")
        assert take_what_waits(iteration) == texts(size, COUNT)


@pytest.mark.parametrize("size", [1, 2, 7, 64])
async def test_batch_after_batch_the_bound_holds_and_the_order_is_kept(size: int) -> None:
    producer = Producer()
    async with rxllm.iterate(producer.events, buffer_size=size) as iteration:
        received: list[str] = []
        start = 0
        for length in (1, size, 2, 3 * size + 1, size - 1, 5):
            producer.deliver(range(start, start + length))
            start += length
            producer.flow.pause("test")
            waiting = take_what_waits(iteration)
            assert len(waiting) == min(length, size)
            producer.flow.resume("test")
            received += [*waiting, *take_what_waits(iteration)]

    assert received == texts(0, start)


async def test_a_consumer_that_waits_gets_the_first_of_a_batch() -> None:
    producer = Producer()
    async with rxllm.iterate(producer.events, buffer_size=4) as iteration:
        waiting = asyncio.ensure_future(next_text(iteration))
        await asyncio.sleep(0)
        producer.deliver(range(10))

        assert await waiting == "0"
        assert take_what_waits(iteration) == texts(1, 10)


@pytest.mark.parametrize("size", [1, 2, 7, 64, COUNT, COUNT + 1])
async def test_an_error_comes_after_all_items_of_the_batch_before_it(size: int) -> None:
    producer = Producer()
    async with rxllm.iterate(producer.events, buffer_size=size) as iteration:
        producer.deliver(range(COUNT))
        producer.subject.on_error(ZeroDivisionError())

        received: list[str] = []
        with pytest.raises(ZeroDivisionError):
            async for event in iteration:
                received.append(event.data)  # noqa: PERF401 - a comprehension would lose them
        with pytest.raises(StopAsyncIteration):
            await anext(iteration)

    assert received == texts(0, COUNT)


@pytest.mark.parametrize("size", [1, 7, COUNT + 1])
async def test_the_end_comes_after_all_items_of_the_batch_before_it(size: int) -> None:
    producer = Producer()
    async with rxllm.iterate(producer.events, buffer_size=size) as iteration:
        producer.deliver(range(COUNT))
        producer.subject.on_completed()

        assert [event.data async for event in iteration] == texts(0, COUNT)


@pytest.mark.parametrize("taken", [1, 3, 4, 5, 50])
async def test_breaking_out_in_the_middle_of_a_batch_resumes_and_leaves_the_producer(taken: int) -> None:
    producer = Producer()
    received: list[str] = []
    async with rxllm.iterate(producer.events, buffer_size=7) as iteration:
        producer.deliver(range(COUNT))
        async for event in iteration:
            received.append(event.data)
            if len(received) == taken:
                break

    assert received == texts(0, taken)
    assert not producer.flow.paused
    assert producer.subject.observers == []
    producer.deliver(range(COUNT))  # to nobody
    with pytest.raises(StopAsyncIteration):
        await anext(iteration)


async def test_a_task_that_is_cancelled_in_the_middle_of_a_batch_leaves_the_producer() -> None:
    producer = Producer()
    iteration = rxllm.iterate(producer.events, buffer_size=7)
    received: list[str] = []
    busy = asyncio.Event()

    async def consume() -> None:
        async with iteration:
            async for event in iteration:
                received.append(event.data)
                if event.data == "3":
                    busy.set()
                    await asyncio.get_running_loop().create_future()

    consuming = asyncio.create_task(consume())
    await asyncio.sleep(0)
    producer.deliver(range(COUNT))
    await busy.wait()
    assert producer.flow.holders
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming

    assert received == texts(0, 4)
    assert not producer.flow.paused
    assert producer.subject.observers == []


async def test_a_task_that_is_cancelled_as_a_batch_comes_takes_none_of_it() -> None:
    producer = Producer()
    iteration = rxllm.iterate(producer.events, buffer_size=7)
    consuming = asyncio.create_task(iteration.__anext__())
    await asyncio.sleep(0)

    producer.deliver(range(COUNT))
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming

    # What had come by then can still be taken; then comes an error and never an end.
    assert take_what_waits(iteration, 7) == texts(0, 7)
    with pytest.raises(StreamInterruptedError):
        await anext(iteration)
    assert not producer.flow.paused
    assert producer.subject.observers == []


async def test_a_batch_of_a_second_producer_that_comes_when_there_is_no_room_pauses_that_one_too() -> None:
    one, other, source = FlowControl(), FlowControl(), Subject[bytes]()
    iteration = rxllm.iterate(source.pipe(ops.decode_sse()), buffer_size=4)
    async with iteration:
        one.deliver(source.on_next, events(range(4)))
        assert one.paused
        other.deliver(source.on_next, events(range(4, 10)))
        assert other.paused
        for flow in (one, other):  # who is resumed delivers on
            flow.pause("test")
        assert take_what_waits(iteration) == texts(0, 4)
        for flow in (one, other):
            flow.resume("test")

        assert [await next_text(iteration) for _ in range(6)] == texts(4, 10)
        assert (one.paused, other.paused) == (False, False)


async def test_after_an_overflow_no_batch_is_taken() -> None:
    def subscribe(observer: abc.ObserverBase[bytes], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        del scheduler
        # All of it while somebody subscribes, when there is nothing yet to dispose of: first without any producer that
        # could be paused, then by one that can.
        observer.on_next(events(range(3)))
        flow = FlowControl()
        flow.deliver(observer.on_next, events(range(3, 6)))
        observer.on_completed()
        return Disposable()

    received: list[str] = []
    iteration = rxllm.iterate(reactivex.create(subscribe).pipe(ops.decode_sse()), buffer_size=2)
    with pytest.raises(BufferOverflowError, match="2 items wait"):
        async for event in iteration:
            received.append(event.data)  # noqa: PERF401 - a comprehension would lose them

    assert received == texts(0, 2)
    with pytest.raises(StopAsyncIteration):
        await anext(iteration)


# Sources -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
async def test_what_came_in_one_read_is_iterated_over_in_order(size: int) -> None:
    answer = script.answer(*map(str, range(COUNT)))
    async with ScriptedServer([script.burst(answer)]) as server:
        chunks = rxllm.iterate(rxllm.from_sse(server.url).pipe(ops.parse()), buffer_size=size)
        received = [chunk.text async for chunk in chunks]

    assert [text for text in received if text] == texts(0, COUNT)
    assert len(received) == COUNT + 3


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_an_answer_that_is_cut_fails_after_all_that_came_with_the_cut(size: int) -> None:
    async with ScriptedServer([script.burst(*map(str, range(COUNT)))]) as server:
        received: list[str] = []
        with pytest.raises(TruncatedStreamError):
            async for chunk in rxllm.iterate(rxllm.from_sse(server.url).pipe(ops.parse()), buffer_size=size):
                received.append(chunk.text)  # noqa: PERF401 - a comprehension would lose them

    assert received == texts(0, COUNT)


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_breaking_out_in_the_middle_of_one_read_closes_the_connection(size: int) -> None:
    async with ScriptedServer([script.burst(*map(str, range(COUNT))), script.stall()]) as server:
        async with rxllm.iterate(rxllm.from_sse(server.url).pipe(ops.parse()), buffer_size=size) as chunks:
            assert [(await anext(chunks)).text for _ in range(10)] == texts(0, 10)
        await server.requests[0].peer_left.wait()


@pytest.mark.parametrize("size", [1, 2, 7, 64])
async def test_a_recording_is_never_ahead_of_its_consumer_by_more_than_the_size(size: int, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    stream = await JSONLinesSink(path).open()
    await stream.write(range(1000))
    await stream.close(Ending("completed"))
    delivered: list[int] = []
    taken = 0

    def delivers(item: int) -> None:
        delivered.append(item)
        assert len(delivered) - taken <= size + 1

    source = rxllm.from_recording(path).pipe(rx_ops.do_action(delivers))
    async for item in rxllm.iterate(source, buffer_size=size):
        assert item == taken
        taken += 1

    assert taken == len(delivered) == 1000


def test_under_run_a_batch_is_iterated_over_to_the_end() -> None:
    async def main() -> list[str]:
        async with ScriptedServer([script.burst(script.answer("Hel", "lo"))]) as server:
            chunks: list[StreamChunk] = [
                chunk async for chunk in rxllm.iterate(rxllm.from_sse(server.url).pipe(ops.parse()))
            ]
            return [chunk.text for chunk in chunks]

    assert asyncio.run(main()) == ["", "Hel", "lo", "", ""]
