"""``Stream``: what our sources and operators give."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
import reactivex
from reactivex import ConnectableObservable, Observable
from reactivex import operators as rx_ops
from reactivex.disposable import Disposable
from reactivex.scheduler import ImmediateScheduler
from reactivex.subject import Subject

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import EmptyStreamError
from rxllm.flow import FlowControl, Stream

STREAM: dict[str, Callable[[], Stream[int]]] = {
    "a source": lambda: rxllm.from_async_iterable(numbers),
    "an operator of ours": lambda: cast("Stream[int]", reactivex.of(0, 1, 2).pipe(ops.buffer_with_backpressure(2))),
    "an operator of reactivex behind": lambda: rxllm.from_async_iterable(numbers).pipe(rx_ops.map(identity)),
    "several": lambda: rxllm.from_async_iterable(numbers).pipe(
        rx_ops.map(identity), ops.timeout_per_chunk(9), rx_ops.skip(0)
    ),
    "one behind one of reactivex": lambda: (
        rxllm.from_async_iterable(numbers).pipe(rx_ops.map(identity)).pipe(rx_ops.skip(0))
    ),
    "none": lambda: rxllm.from_async_iterable(numbers).pipe(),
    "a method of reactivex": lambda: cast("Stream[int]", rxllm.from_async_iterable(numbers).map(identity)),
}

every_stream = pytest.mark.parametrize("make", STREAM.values(), ids=STREAM.keys())


async def numbers() -> AsyncIterator[int]:
    for number in range(3):
        yield number


def identity(number: int) -> int:
    return number


@every_stream
async def test_it_is_awaited_iterated_over_and_subscribed_to(make: Callable[[], Stream[int]]) -> None:
    stream = make()
    assert isinstance(stream, Stream)
    assert await stream == 2
    assert [number async for number in stream] == [0, 1, 2]
    assert await stream.pipe(rx_ops.to_list()) == [0, 1, 2]
    received: list[int] = []
    ended = asyncio.Event()
    stream.subscribe(received.append, on_completed=ended.set)
    await ended.wait()
    assert received == [0, 1, 2]


@every_stream
def test_for_without_async_says_what_to_write(make: Callable[[], Stream[int]]) -> None:
    with pytest.raises(
        TypeError, match=r"'async for'.* 'await stream'.*rxllm\.iterate_sync\(stream\).* rxllm\.run\(stream\)"
    ):
        list(make())


def test_what_is_no_ordinary_observable_stays_what_it_is() -> None:
    stream = Stream[int](lambda *_: reactivex.of(1).subscribe())
    connectable = stream.pipe(rx_ops.publish())
    assert isinstance(connectable, ConnectableObservable)
    subject = Subject[int]()
    same: Any = stream.pipe(lambda _: subject)
    assert same is subject


@pytest.mark.parametrize("empty", [reactivex.empty(), rxllm.from_async_iterable(numbers).pipe(rx_ops.skip(3))])
async def test_to_await_nothing_is_an_error(empty: Observable[int]) -> None:
    with pytest.raises(EmptyStreamError, match="the stream ended without an item"):
        await empty.pipe(ops.buffer_with_backpressure(1))


async def test_to_iterate_over_nothing_is_none() -> None:
    assert [number async for number in rxllm.from_async_iterable(numbers).pipe(rx_ops.skip(3))] == []


async def test_an_error_is_raised_behind_what_came() -> None:
    stream = rxllm.from_async_iterable(numbers).pipe(rx_ops.concat(reactivex.throw(ConnectionError("lost"))))
    received: list[int] = []
    with pytest.raises(ConnectionError, match="lost"):
        async for number in stream:
            received += [number]
    assert received == [0, 1, 2]
    with pytest.raises(ConnectionError, match="lost"):
        await stream


async def test_to_cancel_who_awaits_leaves_the_source() -> None:
    left = asyncio.Event()

    async def endless() -> Any:
        try:
            yield 1
            await asyncio.get_running_loop().create_future()
        finally:
            left.set()

    began = asyncio.Event()
    stream = rxllm.from_async_iterable(endless).pipe(rx_ops.do_action(lambda _: began.set()))
    task = asyncio.ensure_future(stream)
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await left.wait()


async def test_what_ends_in_another_thread_is_awaited() -> None:
    def subscribe(observer: Any, _: Any) -> Any:
        def work() -> None:
            observer.on_next("from a thread")
            observer.on_completed()

        thread = threading.Thread(target=work)
        thread.start()
        return Disposable(thread.join)

    assert await Stream[str](subscribe) == "from a thread"


async def test_an_iteration_pauses_its_producer() -> None:
    waiting: list[int] = []

    async def many() -> Any:
        for number in range(1000):
            waiting.append(number)
            yield number

    async for number in rxllm.from_async_iterable(many).pipe(rx_ops.map(identity)):
        waiting.remove(number)
        assert len(waiting) <= 65
        if number % 10 == 0:
            await asyncio.sleep(0)


async def test_a_stream_of_ones_own_is_paused_like_any() -> None:
    flows: list[FlowControl | None] = []
    stream = rxllm.from_async_iterable(numbers).pipe(ops.timeout_per_chunk(9))
    stream.subscribe(lambda _: flows.append(FlowControl.current()))
    await stream
    assert None not in flows


def test_a_lock_is_made_for_operators_of_reactivex_that_ask_for_one() -> None:
    stream = Stream[int](lambda *_: reactivex.of(1).subscribe())
    assert stream.lock is stream.lock


async def test_reactivex_subscribes_through_the_method_that_a_stream_overrides() -> None:
    """If this fails, reactivex has changed: ``Observable.subscribe`` calls ``_subscribe_core`` no more."""
    called: list[Any] = []

    def subscribe(observer: Any, scheduler: Any, argument: str) -> Any:
        called.append((scheduler, argument))
        return reactivex.of(1).subscribe(observer)

    scheduler = ImmediateScheduler()
    Stream[int](subscribe, "argument").subscribe(called.append, scheduler=scheduler)
    assert called == [(scheduler, "argument"), 1]
