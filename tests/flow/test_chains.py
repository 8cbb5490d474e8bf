"""Backpressure reaches the source through operators that know nothing of it, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops
from reactivex.disposable import SerialDisposable
from reactivex.scheduler.eventloop import AsyncIOScheduler

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import BufferOverflowError
from rxllm.flow import MOST_EXCESS, Pauses
from rxllm.sources import from_async_iterable
from rxllm.typing import OperatorFunction

ITEMS = 5_000
ROOM = 8


def numbers(count: int = ITEMS) -> Observable[int]:
    async def generate() -> AsyncIterator[int]:
        for number in range(count):
            yield number

    return from_async_iterable(generate)


class SlowConsumer:
    """Takes one item a turn of the loop and pauses the producer while ``ROOM`` items wait."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.most = 0
        self._waiting: deque[Any] = deque()
        self._pauses = Pauses()
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_next(self, item: Any) -> None:
        self._waiting.append(item)
        self.most = max(self.most, len(self._waiting))
        if len(self._waiting) >= ROOM:
            assert self._pauses.hold(), "nobody to pause"

    def on_error(self, error: Exception) -> None:
        self._end.set_exception(error)

    def on_completed(self) -> None:
        self._end.set_result(None)

    async def consume(self, observable: Observable[Any]) -> None:
        subscription = SerialDisposable()
        subscription.disposable = observable.subscribe(self.on_next, self.on_error, self.on_completed)
        try:
            while self._waiting or not self._end.done():
                if self._waiting:
                    self.received.append(self._waiting.popleft())
                    if len(self._waiting) <= ROOM // 2:
                        self._pauses.release()
                await asyncio.sleep(0)
        finally:
            subscription.dispose()
        await self._end


async def identity(number: int) -> int:
    await asyncio.sleep(0)
    return number


def ten_numbers(tens: int) -> Observable[int]:
    def one(number: int) -> int:
        return tens * 10 + number

    return numbers(10).pipe(rx_ops.map(one))


def one_key(_: int) -> int:
    return 0


GROUP: OperatorFunction[int, Any] = rx_ops.group_by(one_key)


def itself(group: Observable[int]) -> Observable[int]:
    return group


def negative(number: int) -> int:
    return -1 - number


def fails_after(count: int) -> Callable[[Observable[int]], Observable[int]]:
    def check(number: int) -> int:
        if number == count:
            raise ConnectionError
        return number

    return rx_ops.map(check)


def retried(attempts: list[int]) -> Observable[int]:
    """A source that fails in the middle of its first attempt."""

    def attempt(_: object) -> Observable[int]:
        attempts.append(1)
        return numbers().pipe(fails_after(ITEMS // 2)) if len(attempts) == 1 else numbers()

    return reactivex.defer(attempt).pipe(rx_ops.retry(2))


CHAINS: dict[str, Callable[[], Observable[int]]] = {
    "map": lambda: numbers().pipe(rx_ops.map(lambda number: number)),
    "filter": lambda: numbers().pipe(rx_ops.filter(lambda _: True)),
    "scan": lambda: numbers().pipe(rx_ops.scan(lambda _, number: number, -1)),
    "do_action": lambda: numbers().pipe(rx_ops.do_action(lambda _: None)),
    "take_while": lambda: numbers().pipe(rx_ops.take_while(lambda _: True)),
    "flat_map": lambda: numbers().pipe(rx_ops.flat_map(reactivex.just)),
    "concat_map": lambda: numbers(ITEMS // 10).pipe(rx_ops.map(ten_numbers), rx_ops.concat_all()),
    "switch_map": lambda: reactivex.just(0).pipe(rx_ops.switch_map(lambda _: numbers())),
    "group_by": lambda: numbers().pipe(GROUP, rx_ops.flat_map(itself)),
    "concat": lambda: reactivex.concat(numbers(ITEMS // 2), numbers(ITEMS).pipe(rx_ops.skip(ITEMS // 2))),
    "catch": lambda: reactivex.catch(numbers(0).pipe(rx_ops.concat(reactivex.throw(ConnectionError()))), numbers()),
    "share": lambda: numbers().pipe(rx_ops.share()),
    "publish": lambda: numbers().pipe(rx_ops.publish(), rx_ops.ref_count()),
    "timeout_per_chunk": lambda: numbers().pipe(ops.timeout_per_chunk(60)),
    "buffer_with_backpressure": lambda: numbers().pipe(ops.buffer_with_backpressure(16)),
    "map_async": lambda: numbers().pipe(ops.map_async(identity)),
    "map_async, four at once": lambda: numbers().pipe(ops.map_async(identity, max_concurrency=4)),
    "all of ours": lambda: numbers().pipe(
        ops.timeout_per_chunk(60),
        ops.buffer_with_backpressure(4),
        ops.map_async(identity),
        ops.buffer_with_backpressure(4),
    ),
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
async def test_a_slow_consumer_bounds_what_waits_and_loses_nothing(chain: Callable[[], Observable[int]]) -> None:
    consumer = SlowConsumer()

    await consumer.consume(chain())

    assert consumer.received == list(range(ITEMS))
    assert consumer.most <= ROOM


async def test_behind_merge_one_item_of_each_further_source_is_in_excess() -> None:
    consumer = SlowConsumer()

    await consumer.consume(reactivex.merge(numbers(), numbers().pipe(rx_ops.map(negative))))

    assert [number for number in consumer.received if number >= 0] == list(range(ITEMS))
    assert [negative(number) for number in consumer.received if number < 0] == list(range(ITEMS))
    assert consumer.most <= ROOM + 1


async def test_retry_starts_a_new_attempt_under_the_same_backpressure() -> None:
    consumer = SlowConsumer()

    await consumer.consume(retried([]))

    assert consumer.received == [*range(ITEMS // 2), *range(ITEMS)]
    assert consumer.most <= ROOM


async def test_delay_holds_what_is_under_way_and_loses_nothing() -> None:
    consumer = SlowConsumer()

    await consumer.consume(numbers(500).pipe(rx_ops.delay(0.001, AsyncIOScheduler(asyncio.get_running_loop()))))

    assert consumer.received == list(range(500))


def burst(_: int) -> Observable[int]:
    """What a timer emits that counts as part of the emission in which it was set, and cannot be paused."""
    return reactivex.of(*range(MOST_EXCESS + 20))


async def test_iterating_over_what_cannot_be_paused_fails_instead_of_growing_without_end() -> None:
    with pytest.raises(BufferOverflowError):
        async for _ in rxllm.iterate(numbers(1).pipe(rx_ops.flat_map(burst)), buffer_size=4):
            pass


async def test_a_buffer_behind_what_cannot_be_paused_fails_instead_of_growing_without_end() -> None:
    received: list[int] = []
    failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    pauses = Pauses()

    def on_next(number: int) -> None:
        received.append(number)
        if number == 0:
            pauses.hold()

    stream = numbers(1).pipe(rx_ops.flat_map(burst), ops.buffer_with_backpressure(4))
    subscription = stream.subscribe(on_next, failed.set_result)
    while not received:
        await asyncio.sleep(0)
    pauses.release()

    assert isinstance(await failed, BufferOverflowError)
    assert received == list(range(1 + 4 + MOST_EXCESS))
    subscription.dispose()


async def test_two_branches_of_share_run_at_the_pace_of_the_slower() -> None:
    shared = numbers().pipe(rx_ops.publish())
    fast: list[int] = []
    fast_subscription = shared.subscribe(fast.append)
    slow = SlowConsumer()
    consuming = asyncio.create_task(slow.consume(shared))
    await asyncio.sleep(0)

    shared.connect()
    while len(slow.received) < 100:
        await asyncio.sleep(0)
    assert len(fast) <= len(slow.received) + ROOM
    await consuming
    fast_subscription.dispose()

    assert fast == slow.received == list(range(ITEMS))


async def test_a_branch_that_goes_away_does_not_freeze_the_other() -> None:
    shared = numbers(1_000).pipe(rx_ops.publish())
    frozen = shared.pipe(ops.map_async(lambda _: asyncio.get_running_loop().create_future()))
    leaving = frozen.subscribe(lambda _: None)
    staying = SlowConsumer()
    consuming = asyncio.create_task(staying.consume(shared))
    await asyncio.sleep(0)
    shared.connect()
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(staying.received) <= 2

    leaving.dispose()
    await consuming

    assert staying.received == list(range(1_000))
