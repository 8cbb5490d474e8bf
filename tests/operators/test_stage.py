"""Batches: a pipeline over them does what it does over the same items one by one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import reactivex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reactivex import Observable, abc
from reactivex import operators as rx_ops
from reactivex.disposable import Disposable, SerialDisposable
from reactivex.observer import AutoDetachObserver

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import ChunkTimeoutError, RxllmError
from rxllm.flow import FanOut, FlowControl
from rxllm.flow._batches import Receiver, batching, each
from rxllm.flow._source import ITEMS_AT_A_TIME, Emitter, task_source
from rxllm.flow._stream import Stream, subscribe_to
from rxllm.models import StreamChunk, text_of
from rxllm.testing import run_virtual, text_chunk
from rxllm.typing import Ending, Overflow

# Sources


def source_of(reads: Sequence[Sequence[Any]], *, batches: bool, error: Exception | None = None) -> Observable[Any]:
    """A source that emits what each read brought, together or one by one."""

    async def produce(emitter: Emitter[Any]) -> None:
        for read in reads:
            await emitter.ready()
            await asyncio.sleep(0)
            if batches:
                await emitter.emit([*read])
            else:
                for item in read:
                    await emitter.emit((item,))
        if error is not None:
            raise error

    return task_source(produce)


def content(text: str, choice: int = 0, reason: str | None = None) -> str:
    return json.dumps({"choices": [{"index": choice, "delta": {"content": text}, "finish_reason": reason}]})


CALL = {"index": 0, "id": "1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
SPECIAL = {
    "call": json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [CALL]}}]}),
    "finish": content("", 0, "stop"),
    "done": "[DONE]",
    "comment": ": ping",
    "error": '{"error":{"message":"overloaded"}}',
    "malformed": "{",
    "usage": '{"choices":[],"usage":{"total_tokens":1}}',
}

# Consumers


class Store:
    """A sink that takes a turn or more for each batch, and may fail."""

    def __init__(self, *, turns: int = 1, fails_after: int | None = None) -> None:
        self.items: list[Any] = []
        self.ending: Ending | None = None
        self._turns = turns
        self._fails_after = fails_after

    async def open(self) -> Store:
        return self

    async def write(self, items: Sequence[Any], /) -> None:
        for _ in range(self._turns):
            await asyncio.sleep(0)
        self.items.extend(items)
        if self._fails_after is not None and len(self.items) > self._fails_after:
            raise OSError("full")

    async def close(self, ending: Ending, /) -> None:
        self.ending = ending


@dataclass
class Consumer:
    """Notes what comes; pauses, leaves and throws where it is told to."""

    pause_every: int = 0
    leave_at: int = 0
    throw_at: int = 0
    items: list[Any] = field(default_factory=list[Any])
    end: list[Any] = field(default_factory=list[Any])

    async def consume(self, source: Observable[Any]) -> None:
        ended = asyncio.Event()
        subscription = SerialDisposable()
        loop = asyncio.get_running_loop()
        held: list[FlowControl] = []

        def resume() -> None:
            flows = held.copy()
            held.clear()
            for flow in flows:
                flow.resume(self)

        def on_next(item: Any) -> None:
            flow = FlowControl.current()
            if held:
                self.end.append("delivered while a pause is held")
            self.items.append(item)
            count = len(self.items)
            if flow is not None and self.pause_every and not count % self.pause_every:
                flow.pause(self)
                held.append(flow)
                # From a timer that has a copy of the emission's context, as an application sets it.
                loop.call_later(0.01, resume)
            if count == self.leave_at:
                subscription.dispose()
                ended.set()
            if count == self.throw_at:
                raise LookupError("thrown")

        def on_error(error: Exception) -> None:
            self.end.append(described(error))
            ended.set()

        def on_completed() -> None:
            self.end.append("completed")
            ended.set()

        subscription.disposable = source.subscribe(on_next, on_error, on_completed)
        await ended.wait()
        subscription.dispose()
        resume()

    def __hash__(self) -> int:
        return id(self)


def described(error: Exception) -> Any:
    partial = getattr(error, "partial", None)
    return type(error), str(error), partial.model_dump_json() if isinstance(partial, rxllm.ChatCompletion) else partial


# Pipelines

SIZES = st.sampled_from([1, 2, 3, 5, 64, 65, 200])


@dataclass(frozen=True)
class Plan:
    """Operators by name, each with a number and a word."""

    steps: tuple[tuple[str, int, str], ...]

    @property
    def leaves(self) -> bool:
        """Whether one of the operators may leave the source before its end."""
        return any(name in {"failing map", "take", "take_while"} for name, _, _ in self.steps)

    def build(self, source: Observable[Any]) -> tuple[Observable[Any], list[Store]]:
        stores: list[Store] = []
        for name, number, word in self.steps:
            overflow = cast("Overflow", word)
            if name == "tee":
                stores.append(Store(turns=number % 4))
                source = source.pipe(ops.tee_to(stores[-1], buffer_size=number, overflow=overflow))
            elif name == "buffer":
                source = source.pipe(ops.buffer_with_backpressure(number, overflow=overflow))
            else:
                source = source.pipe(OPERATORS[name](number))
        return source, stores


def failing_at(number: int) -> Callable[[Any], Any]:
    count = 0

    def mapper(item: Any) -> Any:
        nonlocal count
        count += 1
        if count == number:
            raise ArithmeticError("mapper")
        return item

    return mapper


OPERATORS: dict[str, Callable[[int], Callable[[Observable[Any]], Observable[Any]]]] = {
    "timeout": lambda _: ops.timeout_per_chunk(1000),
    "split": lambda _: ops.split_reasoning(),
    "map": lambda _: rx_ops.map(lambda item: item),
    "failing map": lambda number: rx_ops.map(failing_at(number)),
    "skip": rx_ops.skip,
    "take": rx_ops.take,
    "take_while": lambda number: rx_ops.take_while_indexed(lambda _, index: index < number),
    "share": lambda _: rx_ops.share(),
    "catch": lambda _: rx_ops.catch(reactivex.of(text_chunk("caught"))),
    "retry": lambda _: rx_ops.retry(2),
    "concat": lambda _: rx_ops.concat(reactivex.of(text_chunk("more"))),
    "merge": lambda _: rx_ops.merge(reactivex.empty()),
    "flat_map": lambda _: rx_ops.flat_map(reactivex.just),
}
ENDS: dict[str, Callable[[int], Callable[[Observable[Any]], Observable[Any]]]] = {
    "accumulate": lambda _: ops.accumulate(),
    "snapshots": lambda _: ops.accumulate_snapshots(),
    "content": lambda _: ops.content(),
    "calls": lambda _: ops.accumulate_tool_calls(),
}
OPERATORS.update(ENDS)

OVERFLOWS = ["pause", "pause", "pause", "drop_oldest", "drop_newest", "error", "conflate"]
WHOLE = sorted(set(OPERATORS) - set(ENDS))
STEPS = st.one_of(
    # What a queue loses depends on where a turn of the loop ends, in which its writer empties it: none here loses.
    st.tuples(st.just("tee"), SIZES, st.just("pause")),
    # Sinks that take one step for a batch, and less than comes at once.
    st.tuples(st.just("tee"), st.sampled_from([4, 8]), st.just("pause")),
    st.tuples(st.just("buffer"), SIZES, st.sampled_from(OVERFLOWS)),
    st.tuples(st.sampled_from(WHOLE), st.sampled_from([1, 2, 3, 64, 65]), st.just("")),
)


def plan_of(steps: list[tuple[str, int, str]], end: list[tuple[str, int, str]]) -> Plan:
    """A plan: of several queues none loses anything or fails, for that depends on which of their tasks is first."""
    if sum(bool(overflow) for _, _, overflow in steps) > 1:
        steps = [(name, number, overflow and "pause") for name, number, overflow in steps]
    return Plan((*steps, *end))


PLANS = st.builds(
    plan_of,
    st.lists(STEPS, max_size=4),
    st.lists(st.sampled_from(sorted(ENDS)).map(lambda name: (name, 1, "")), max_size=1),
)
EVENTS = st.one_of(
    st.text("ab<", max_size=2).map(content),
    st.text("ab<", max_size=2).map(content),
    st.text("ab<", max_size=2).map(content),
    st.sampled_from(sorted(SPECIAL)).map(lambda name: SPECIAL[name]),
)
READS = st.lists(
    st.one_of(st.lists(EVENTS, max_size=6), st.integers(60, 130).map(lambda n: [content("x")] * n)), max_size=4
)
CONSUMERS = st.tuples(
    st.sampled_from([0, 0, 1, 2, 3, 64]),
    st.sampled_from([0, 0, 0, 1, 2, 3, 64, 65]),
    st.just(0),
)


def outcome(
    reads: Sequence[Sequence[Any]], plan: Plan, consumer: tuple[int, int, int], *, batches: bool
) -> tuple[list[Any], list[Any], list[Any]]:
    """What a consumer gets and what is stored."""

    async def main() -> tuple[list[Any], list[Any], list[Any]]:
        pipeline, stores = plan.build(source_of(reads, batches=batches).pipe(ops.parse()))
        watching = Consumer(*consumer)
        await watching.consume(pipeline)
        while any(store.ending is None for store in stores):
            await asyncio.sleep(0.01)
        return (
            watching.items,
            watching.end,
            [(store.items, store.ending and (store.ending.kind, str(store.ending.error))) for store in stores],
        )

    return run_virtual(main())


MANY = [[content(str(number)) for number in range(200)], [content("end", 0, "stop"), "[DONE]", content("late")]]


@settings(deadline=None)
@given(READS, PLANS, CONSUMERS)
@example(MANY, Plan((("tee", 64, "pause"),)), (3, 0, 0))
@example(MANY, Plan((("tee", 65, "pause"), ("take", 65, ""))), (0, 0, 0))
@example(
    MANY, Plan((("timeout", 0, ""), ("tee", 2, "pause"), ("buffer", 3, "pause"), ("accumulate", 0, ""))), (0, 0, 0)
)
@example(MANY, Plan((("buffer", 3, "pause"), ("tee", 200, "pause"))), (1, 3, 0))
@example([[content("x")] * 60, [content(""), "[DONE]"]], Plan((("concat", 1, ""), ("snapshots", 1, ""))), (1, 0, 0))
def test_batches_are_as_items_one_by_one(reads: list[list[str]], plan: Plan, consumer: tuple[int, int, int]) -> None:
    items, end, stored = outcome(reads, plan, consumer, batches=True)
    single_items, single_end, single_stored = outcome(reads, plan, consumer, batches=False)
    assert (items, end) == (single_items, single_end)
    for (together, ending), (singly, single_ending) in zip(stored, single_stored, strict=True):
        assert ending == single_ending
        if consumer[1] or plan.leaves:
            # What came together with the last item has come, too; and how many wait in the lower of two queues when
            # somebody leaves depends on whose task is first.
            assert min(together, singly, key=len) == max(together, singly, key=len)[: min(len(together), len(singly))]
        else:
            assert together == singly


@settings(deadline=None)
@given(READS, st.sampled_from([1, 2, 65]), st.booleans(), st.integers(1, 4))
def test_a_consumer_that_throws_ends_either(reads: list[list[str]], size: int, buffers: bool, throw_at: int) -> None:
    plan = Plan((("timeout", 0, ""), ("buffer" if buffers else "tee", size, "pause")))
    items, end, stored = outcome(reads, plan, (0, 0, throw_at), batches=True)
    single_items, single_end, single_stored = outcome(reads, plan, (0, 0, throw_at), batches=False)
    assert (items, end) == (single_items, single_end)
    for (together, ending), (singly, single_ending) in zip(stored, single_stored, strict=True):
        assert ending == single_ending
        # What had come together with the item at which it threw is stored, too.
        assert together[: len(singly)] == singly


# One operator at a time


class Taker(Receiver[Any]):
    """Takes so many of each batch, and then does what it was told."""

    def __init__(self, take: int = 1000, then: Callable[[], None] = lambda: None) -> None:
        self.batches: list[list[Any]] = []
        self.ends: list[Any] = []
        self._take = take
        self._then = then

    def on_next(self, value: Any) -> None:
        self.on_batch((value,))

    def on_batch(self, items: Sequence[Any]) -> int:
        taken = items[: self._take]
        self.batches.append([*taken])
        self._then()
        return len(taken)

    def on_error(self, error: Exception) -> None:
        self.ends.append(error)

    def on_completed(self) -> None:
        self.ends.append("completed")


def follow(source: Observable[Any], taker: Taker) -> abc.DisposableBase:
    """Subscribe as an operator does: while somebody subscribes to it."""
    return Observable[Any](lambda _, scheduler: subscribe_to(source, taker, scheduler)).subscribe()


async def batches_of(
    source: Observable[Any], *, take: int = 1000, pauses: bool = False
) -> tuple[list[list[Any]], list[Any]]:
    """The batches that a receiver gets that takes so many of each, and asks for a pause if it is told to."""

    def then() -> None:
        flow = FlowControl.current()
        if pauses and flow is not None:
            flow.pause("taker")
            asyncio.get_running_loop().call_soon(flow.resume, "taker")

    taker = Taker(take, then)
    subscription = follow(source, taker)
    while not taker.ends:
        await asyncio.sleep(0)
    subscription.dispose()
    return taker.batches, taker.ends


async def test_a_source_delivers_a_read_at_a_time_and_so_much_a_turn() -> None:
    reads = [[*range(3)], [3], [*range(4, 4 + 3 * ITEMS_AT_A_TIME)]]
    batches, ends = await batches_of(source_of(reads, batches=True))
    # The first alone, then one more than have come at most, and never more than so many.
    come = 0
    for batch in batches:
        assert len(batch) <= min(come + 1, ITEMS_AT_A_TIME)
        come += len(batch)
    assert [len(batch) for batch in batches[:4]] == [1, 2, 1, 5]
    assert ITEMS_AT_A_TIME in [len(batch) for batch in batches]
    assert [item for batch in batches for item in batch] == [item for read in reads for item in read]
    assert ends == ["completed"]


async def test_what_was_not_taken_comes_again_after_the_pause() -> None:
    batches, ends = await batches_of(source_of([[*range(7)]], batches=True), take=3, pauses=True)
    assert batches == [[0], [1, 2], [3, 4, 5], [6]]
    assert ends == ["completed"]


@pytest.mark.parametrize(("take", "taken"), [(1, [*range(9)]), (0, [])])
async def test_what_was_not_taken_comes_again_unless_none_was(take: int, taken: list[int]) -> None:
    error = ConnectionError("lost")
    batches, ends = await batches_of(source_of([[*range(7)], [7, 8]], batches=True, error=error), take=take)
    assert [item for batch in batches for item in batch] == taken
    assert ends == [error]


async def test_a_source_that_is_left_delivers_no_other_batch() -> None:
    subscription = SerialDisposable()
    taker = Taker(1, subscription.dispose)
    subscription.disposable = follow(source_of([[*range(200)], [1]], batches=True), taker)
    for _ in range(5):
        await asyncio.sleep(0)
    assert taker.batches == [[0]]
    assert taker.ends == []


def stage_of(*batches: Sequence[Any]) -> tuple[Stream[Any], list[int]]:
    """A stage that delivers batches at once, and how many were taken of each."""
    taken: list[int] = []

    def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        taken.extend(batching(observer).on_batch(batch) for batch in batches)
        observer.on_completed()
        return Disposable()

    return Stream(subscribe), taken


def test_to_everybody_else_a_stage_is_an_ordinary_observable() -> None:
    stage, taken = stage_of([1, 2], [3])
    received: list[Any] = []
    ended: list[bool] = []
    stage.subscribe(received.append, on_completed=lambda: ended.append(True))
    assert received == [1, 2, 3]
    assert taken == [2, 1]
    assert ended == [True]


def test_to_everybody_else_a_receiver_is_an_ordinary_observer() -> None:
    taker = Taker()
    reactivex.of(1, 2).subscribe(taker)
    assert taker.batches == [[1], [2]]
    assert taker.ends == ["completed"]


def test_after_the_end_nothing_passes() -> None:
    observers: list[abc.ObserverBase[Any]] = []

    def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observers.append(observer)
        return Disposable()

    taker = Taker()
    follow(Stream(subscribe), taker)
    (observer,) = observers
    observer.on_completed()
    assert batching(observer).on_batch([1]) == 0
    observer.on_next(1)
    observer.on_error(ValueError())
    assert taker.batches == []
    assert taker.ends == ["completed"]


def test_a_subscription_that_fails_fails_the_stream() -> None:
    error = ValueError("no")

    def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        del observer
        raise error

    taker = Taker()
    follow(Stream(subscribe), taker)
    assert taker.ends == [error]


def test_a_subscription_that_fails_after_the_end_raises() -> None:
    def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observer.on_completed()
        raise ValueError("no")

    taker = Taker()
    with pytest.raises(ValueError, match="no"):
        follow(Stream(subscribe), taker)
    assert taker.ends == ["completed"]


def test_disposing_disposes_what_the_stage_made() -> None:
    disposed: list[bool] = []
    stage = Stream[Any](lambda *_: Disposable(lambda: disposed.append(True)))
    follow(stage, Taker()).dispose()
    assert disposed == [True]


def test_disposed_while_it_subscribes_it_leaves_what_it_then_has() -> None:
    disposed: list[bool] = []
    taker = Taker()

    def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observer.on_next(1)
        taker.dispose()
        assert disposed == []
        return Disposable(lambda: disposed.append(True))

    for source in (Stream[Any](subscribe), Observable[Any](subscribe)):
        taker = Taker()
        disposed.clear()
        follow(source, taker)
        assert disposed == [True]
        taker.dispose()
        assert taker.batches == [[1]]
    assert disposed == [True]


def test_disposed_in_another_thread_while_it_subscribes_it_leaves_what_it_then_has() -> None:
    disposed: list[bool] = []
    taker = Taker()

    def subscribe(_: abc.ObserverBase[Any], __: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        thread = threading.Thread(target=taker.dispose)
        thread.start()
        thread.join()
        return Disposable(lambda: disposed.append(True))

    follow(Stream(subscribe), taker)
    assert disposed == [True]


def test_after_it_was_disposed_nothing_passes() -> None:
    observers: list[abc.ObserverBase[Any]] = []

    def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observers.append(observer)
        return Disposable()

    taker = Taker()
    follow(Stream(subscribe), taker).dispose()
    (observer,) = observers
    assert batching(observer).on_batch([1]) == 0
    observer.on_next(1)
    observer.on_error(ValueError())
    observer.on_completed()
    assert (taker.batches, taker.ends) == ([], [])


@pytest.mark.parametrize("end", ["completed", "failed"])
@pytest.mark.parametrize("when", ["while it is subscribed to", "later"])
def test_at_the_end_what_is_above_is_left(end: str, when: str) -> None:
    disposed: list[bool] = []
    error = ConnectionError("lost")
    observers: list[abc.ObserverBase[Any]] = []

    def finish() -> None:
        (observer,) = observers
        observer.on_completed() if end == "completed" else observer.on_error(error)
        observer.on_completed()
        observer.on_error(error)

    def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observers.append(observer)
        if when != "later":
            finish()
        return Disposable(lambda: disposed.append(True))

    taker = Taker()
    subscription = follow(Stream(subscribe), taker)
    if when == "later":
        finish()
    assert taker.ends == ["completed" if end == "completed" else error]
    assert disposed == [True]
    subscription.dispose()
    assert disposed == [True]


@pytest.mark.parametrize("end", ["completed", "lost"])
def test_an_end_that_the_receiver_cannot_take_leaves_what_is_above_all_the_same(end: str) -> None:
    class Failing(Taker):
        def on_error(self, error: Exception) -> None:
            raise error

        def on_completed(self) -> None:
            raise LookupError("completed")

    disposed: list[bool] = []
    observers: list[abc.ObserverBase[Any]] = []

    def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observers.append(observer)
        return Disposable(lambda: disposed.append(True))

    follow(Stream(subscribe), Failing())
    (observer,) = observers
    with pytest.raises(LookupError, match=end):
        observer.on_completed() if end == "completed" else observer.on_error(LookupError(end))
    assert disposed == [True]


def test_each_stops_at_a_pause_and_at_the_end() -> None:
    flow = FlowControl()
    received: list[int] = []

    def pausing(item: int) -> None:
        received.append(item)
        if item == 2:
            flow.pause("test")

    assert flow.deliver(lambda items: each(pausing, items, lambda: False), [1, 2, 3]) == 2
    assert each(received.append, [4, 5], lambda: received[-1] == 4) == 1
    assert each(received.append, [6, 7], lambda: False) == 2
    assert received == [1, 2, 4, 6, 7]
    flow.resume("test")


@pytest.mark.parametrize("overflow", ["drop_newest", "conflate", "error"])
async def test_a_sink_that_may_lose_items_is_asked_for_each_of_a_batch(overflow: Overflow) -> None:
    store = Store()
    source = source_of([[*range(10)], [10, 11]], batches=True)
    received = await source.pipe(ops.tee_to(store, buffer_size=20, overflow=overflow), rx_ops.to_list())
    assert received == store.items == [*range(12)]


def test_a_batch_that_finds_others_waiting_in_a_buffer_waits_behind_them() -> None:
    consumer = Consumer(pause_every=1)
    source = source_of([[*range(5)], [*range(5, 10)]], batches=True)
    run_virtual(consumer.consume(source.pipe(ops.buffer_with_backpressure(8))))
    assert consumer.items == [*range(10)]
    assert consumer.end == ["completed"]


def test_after_its_end_a_fan_out_emits_nothing() -> None:
    received: list[Any] = []
    fan_out = FanOut[int](AutoDetachObserver(received.append, on_completed=lambda: received.append("completed")))
    fan_out.end()
    fan_out.emit([1, 2])
    assert received == ["completed"]


# What was found wrong once


async def test_a_failed_sink_lets_nothing_pass_that_waited_for_it() -> None:
    store = Store(fails_after=0)
    consumer = Consumer()
    source = source_of([[content(text) for text in "abc"]], batches=True)
    await consumer.consume(source.pipe(ops.parse(), ops.tee_to(store, buffer_size=1)))
    assert len(consumer.items) == 1
    assert consumer.end == [(OSError, "full", None)]


async def test_a_buffer_that_was_left_in_the_middle_of_a_batch_has_taken_no_more() -> None:
    store = Store()
    source = source_of([[*range(60)]], batches=True)
    await source.pipe(
        ops.tee_to(store, buffer_size=40), ops.buffer_with_backpressure(20), rx_ops.take(3), rx_ops.to_list()
    )
    while store.ending is None:
        await asyncio.sleep(0)
    assert store.items == [0, 1, 2]


async def test_an_accumulation_that_fails_in_the_middle_of_a_batch_has_taken_no_more() -> None:
    store = Store()
    many = [StreamChunk.model_validate_json(content("x"))] * 3
    wrong = [
        StreamChunk.model_validate({"choices": [{"index": index, "delta": {"content": "x"}} for index in range(200)]}),
    ]
    source = source_of([[*many, *wrong, *many]], batches=True)
    with pytest.raises(RxllmError):
        await source.pipe(ops.tee_to(store), ops.accumulate())
    while store.ending is None:
        await asyncio.sleep(0)
    assert store.items == [*many, *wrong]


@pytest.mark.parametrize("above", [ops.timeout_per_chunk(10), ops.buffer_with_backpressure(10), rx_ops.skip(0)])
async def test_an_end_in_the_middle_of_a_batch_waits_behind_a_pause(above: Any) -> None:
    for last, end in (("[DONE]", "completed"), ("{", "DecodeError")):
        order: list[Any] = []
        ended = asyncio.Event()
        # As many again come together as have come before.
        source = source_of([[content("0")], [content("1")], [content("a"), last, content("late")]], batches=True)

        def on_next(chunk: StreamChunk, order: list[Any] = order) -> None:
            if text_of(chunk) != "a":
                return
            flow = FlowControl.current()
            assert flow is not None
            flow.pause("test")

            def resume() -> None:
                order.append("resumed")
                flow.resume("test")

            asyncio.get_running_loop().call_later(0, resume)

        def on_end(what: str, order: list[Any] = order, ended: asyncio.Event = ended) -> None:
            order.append(what)
            ended.set()

        source.pipe(above, ops.parse()).subscribe(
            on_next, lambda error: on_end(type(error).__name__), lambda: on_end("completed")
        )
        await ended.wait()
        assert order == ["resumed", end]


def test_a_batch_counts_as_so_many_chunks_as_were_taken() -> None:
    async def main() -> None:
        source = source_of([[*range(10)]], batches=True).pipe(rx_ops.concat(reactivex.never()))
        with pytest.raises(ChunkTimeoutError) as caught:
            await source.pipe(ops.timeout_per_chunk(1), ops.tee_to(Store(), buffer_size=3))
        assert caught.value.chunks == 10

    run_virtual(main())


async def test_a_consumer_that_is_slow_with_each_item_of_a_batch_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    real, spent = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: real() + spent)

    def work(_: int) -> None:
        nonlocal spent
        spent += 10

    source = source_of([[*range(20)], [20]], batches=True)
    assert await source.pipe(ops.timeout_per_chunk(60), rx_ops.do_action(work)) == 20
