"""``from_async_iterable``: any async iterable as a flow-controlled source."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from reactivex import operators as rx_ops

import rxllm
from rxllm.flow import FlowControl
from rxllm.sources import from_async_iterable


class Stream:
    """What the streams of SDKs look like: an iterator with a coroutine ``close``."""

    def __init__(self, count: int) -> None:
        self._numbers = iter(range(count))
        self.asked = 0
        self.closed = False

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        try:
            return next(self._numbers)
        except StopIteration:
            raise StopAsyncIteration from None

    async def close(self) -> None:
        self.closed = True


async def numbers(count: int = 3) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def test_a_generator_function_is_called_for_each_subscription() -> None:
    source = from_async_iterable(numbers)

    assert await source.pipe(rx_ops.to_list()) == [0, 1, 2]
    assert await source.pipe(rx_ops.to_list()) == [0, 1, 2]


async def test_a_coroutine_function_that_opens_the_stream() -> None:
    streams: list[Stream] = []

    async def open_stream() -> Stream:
        streams.append(Stream(3))
        return streams[-1]

    assert await from_async_iterable(open_stream).pipe(rx_ops.to_list()) == [0, 1, 2]
    assert [stream.closed for stream in streams] == [True]


async def test_an_iterator_serves_one_subscription() -> None:
    stream = Stream(3)
    source = from_async_iterable(stream)

    assert await source.pipe(rx_ops.to_list()) == [0, 1, 2]
    assert stream.closed
    with pytest.raises(RuntimeError, match="give the function"):
        await source


async def test_an_iterable_that_makes_iterators_serves_many() -> None:
    class Numbers:
        closed = 0

        def __aiter__(self) -> AsyncIterator[int]:
            return numbers()

        def close(self) -> None:
            self.closed += 1

    iterable = Numbers()
    source = from_async_iterable(iterable)

    assert await source == 2
    assert await source == 2
    assert iterable.closed == 2


async def test_an_iterable_with_nothing_to_close() -> None:
    class Two:
        def __init__(self) -> None:
            self.left = 2

        def __aiter__(self) -> Two:
            return self

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

    assert await from_async_iterable(Two()).pipe(rx_ops.to_list()) == [1, 0]


async def test_an_error_of_the_iterable_goes_on() -> None:
    async def failing() -> AsyncIterator[int]:
        yield 1
        raise ZeroDivisionError

    received: list[int] = []
    with pytest.raises(ZeroDivisionError):
        await from_async_iterable(failing).pipe(rx_ops.do_action(received.append))

    assert received == [1]


async def test_an_error_of_the_factory_goes_on() -> None:
    def failing() -> AsyncIterator[int]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await from_async_iterable(failing)


class Unclosable:
    """What a connection that is gone looks like: closing it fails, too."""

    def __init__(self, *, fails: bool) -> None:
        self._fails = fails

    def __aiter__(self) -> Unclosable:
        return self

    async def __anext__(self) -> int:
        if self._fails:
            raise ConnectionError("the real reason")
        raise StopAsyncIteration

    async def close(self) -> None:
        raise RuntimeError("closing failed")


async def test_an_error_of_the_iterable_is_not_hidden_by_one_of_closing_it() -> None:
    with pytest.raises(ConnectionError, match="the real reason") as caught:
        await from_async_iterable(Unclosable(fails=True))

    assert caught.value.__notes__ == ["closing it failed, too: RuntimeError('closing failed')"]


async def test_an_error_of_closing_goes_on() -> None:
    with pytest.raises(RuntimeError, match="closing failed"):
        await from_async_iterable(Unclosable(fails=False))


async def test_dispose_closes_the_iterator() -> None:
    entered = asyncio.Event()
    left = asyncio.Event()

    async def waiting() -> AsyncIterator[int]:
        try:
            entered.set()
            await asyncio.get_running_loop().create_future()
            yield 1
        finally:
            left.set()

    subscription = from_async_iterable(waiting).subscribe()
    await entered.wait()

    subscription.dispose()
    await left.wait()


@pytest.mark.parametrize("fails", [False, True])
async def test_the_end_is_no_emission_and_waits_behind_a_pause(fails: bool) -> None:
    async def one() -> AsyncIterator[int]:
        yield 1
        if fails:
            raise ConnectionError

    flows: list[FlowControl | None] = []
    ended = asyncio.Event()

    def on_next(_: int) -> None:
        flow = FlowControl.current()
        assert flow is not None
        flow.pause("test")
        flows.append(flow)

    def on_end(*_: object) -> None:
        flows.append(FlowControl.current())
        ended.set()

    from_async_iterable(one).subscribe(on_next, on_end, on_end)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(flows) == 1
    assert flows[0] is not None
    flows[0].resume("test")
    await ended.wait()

    assert flows[1] is None


async def test_an_iterator_that_swallows_its_cancellation_ends_all_the_same() -> None:
    left = asyncio.Event()

    async def stubborn() -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.001)
                yield (number := number + 1)
        finally:
            left.set()

    arrived = asyncio.Event()
    subscription = from_async_iterable(stubborn).subscribe(lambda _: arrived.set())
    await arrived.wait()

    subscription.dispose()
    await left.wait()


async def test_an_error_waits_behind_a_pause_so_that_a_retry_does_not_read_on() -> None:
    attempts = 0

    async def failing() -> AsyncIterator[int]:
        nonlocal attempts
        attempts += 1
        yield attempts
        raise ConnectionError

    async with rxllm.iterate(from_async_iterable(failing).pipe(rx_ops.retry()), buffer_size=1) as iteration:
        assert await anext(iteration) == 1
        for _ in range(100):
            await asyncio.sleep(0)

    assert attempts == 2


async def test_a_paused_source_does_not_advance_the_iterator() -> None:
    stream = Stream(1_000)
    async with rxllm.iterate(from_async_iterable(stream), buffer_size=4) as iteration:
        first = await anext(iteration)
        for _ in range(100):
            await asyncio.sleep(0)

    assert first == 0
    # One taken, four that wait, and none asked for since.
    assert stream.asked <= 6
    assert stream.closed
