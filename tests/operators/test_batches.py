"""Items that come together: a pipeline does with them what it does with the same items one by one.

What holds for one operator ``check_operator`` shows. Here are pipelines of several, and how items stay together.
"""

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

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import BufferOverflowError, ChunkTimeoutError, LimitExceededError, RxllmError
from rxllm.flow import Emitter, FanOut, FlowControl, Operation, Stream, operate, task_source
from rxllm.models import StreamChunk
from rxllm.operators import map_error
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
    """Notes what comes; pauses and leaves where it is told to."""

    pause_every: int = 0
    leave_at: int = 0
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
)


def outcome(
    reads: Sequence[Sequence[Any]], plan: Plan, consumer: tuple[int, int], *, batches: bool
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
@example(MANY, Plan((("tee", 64, "pause"),)), (3, 0))
@example(MANY, Plan((("tee", 65, "pause"), ("take", 65, ""))), (0, 0))
@example(MANY, Plan((("timeout", 0, ""), ("tee", 2, "pause"), ("buffer", 3, "pause"), ("accumulate", 0, ""))), (0, 0))
@example(MANY, Plan((("buffer", 3, "pause"), ("tee", 200, "pause"))), (1, 3))
@example([[content(""), SPECIAL["error"], SPECIAL["usage"]]], Plan(()), (0, 0))
@example([[content("x")] * 60, [content(""), "[DONE]"]], Plan((("concat", 1, ""), ("snapshots", 1, ""))), (1, 0))
def test_batches_are_as_items_one_by_one(reads: list[list[str]], plan: Plan, consumer: tuple[int, int]) -> None:
    items, end, stored = outcome(reads, plan, consumer, batches=True)
    single_items, single_end, single_stored = outcome(reads, plan, consumer, batches=False)
    assert (items, end) == (single_items, single_end)
    for (together, ending), (singly, single_ending) in zip(stored, single_stored, strict=True):
        if consumer[1] or plan.leaves:
            # What came together with the last item has come, too, the end as well. How many wait in the lower of two
            # queues when somebody leaves depends on whose task is first.
            assert ending == single_ending or ("cancelled", "None") in (ending, single_ending)
            assert min(together, singly, key=len) == max(together, singly, key=len)[: min(len(together), len(singly))]
        else:
            assert (together, ending) == (singly, single_ending)


# How items stay together


class Noting(Operation[Any, Any]):
    """Passes items on as they come, and notes how many came together."""

    def __init__(self, out: FanOut[Any], sizes: list[int]) -> None:
        super().__init__(out)
        self.sizes = sizes

    def on_item(self, item: Any, /) -> Sequence[Any]:
        self.sizes.append(1)
        return [item]

    def on_batch(self, items: Sequence[Any]) -> int:
        self.sizes.append(len(items))
        return self.out.offer(items)


class Hand:
    """A source that delivers what it is told: the operator below it sees items that came together together."""

    def __init__(self, subscribing: Callable[[FanOut[Any]], object] = lambda _: None) -> None:
        self.left = 0
        self.flow = FlowControl()
        self.stream: Stream[Any] = Stream(self._subscribe)
        self._subscribing = subscribing

    def _subscribe(self, observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        self.out: FanOut[Any] = FanOut(observer)
        self._subscribing(self.out)
        return Disposable(self._leave)

    def _leave(self) -> None:
        self.left += 1

    def deliver(self, items: Sequence[Any]) -> int:
        """Deliver items together; returns how many were taken."""
        return self.flow.deliver(self.out.offer, items)


def sizes_through(operator: Callable[[Observable[Any]], Observable[Any]], items: Sequence[Any]) -> list[int]:
    """How many items at a time an operator gives for some that come together."""
    hand, sizes = Hand(), list[int]()
    hand.stream.pipe(operator, operate(Noting, sizes)).subscribe()
    assert hand.deliver(items) == len(items)
    return sizes


async def test_a_source_delivers_its_first_item_alone_and_then_more_and_more_together() -> None:
    sizes: list[int] = []
    reads = [[*range(3)], [3], [*range(4, 300)]]

    assert await source_of(reads, batches=True).pipe(operate(Noting, sizes), rx_ops.to_list()) == [*range(300)]

    assert sizes[:4] == [1, 2, 1, 5]
    # Never more than a source gives at a time: an operator may take them all before it looks whether somebody pauses.
    assert max(sizes) == 64


def test_what_came_together_goes_on_together() -> None:
    chunks = [text_chunk(text) for text in ("a", "b", "c<", "d", "e")]
    blocks = [b"data: 1\n\ndata: 2\n\n", b"data: 3\n\n", b": ping\n\n", b"data: 4\n\ndata: 5\n\ndata: 6\n\n", b"data"]

    assert sizes_through(ops.content(), chunks) == [5]
    assert sizes_through(ops.split_reasoning(), chunks) == [5]
    assert sizes_through(ops.split_reasoning(begins_inside=True), chunks[:2]) == [2]
    assert sizes_through(map_error(lambda error: error), chunks) == [5]
    assert sizes_through(ops.parse(), [content("a"), content("b")]) == [2]
    assert sizes_through(ops.decode_sse(), blocks) == [2, 1, 3]


def test_of_items_with_an_error_in_them_no_more_are_taken_and_what_came_before_is_there() -> None:
    hand, items, errors = Hand(), list[Any](), list[Exception]()
    hand.stream.pipe(ops.decode_sse(max_event_bytes=50)).subscribe(items.append, errors.append)

    assert hand.deliver([b"data: 1\n\n", b"data: %s" % (b"x" * 100), b"data: 2\n\n"]) == 2

    assert [item.data for item in items] == ["1"]
    assert [type(error) for error in errors] == [LimitExceededError]


def test_whoever_has_left_takes_nothing() -> None:
    hand, items = Hand(), list[int]()
    subscription = hand.stream.pipe(operate(Noting, [])).subscribe(items.append)
    assert hand.deliver([1, 2]) == 2

    subscription.dispose()

    assert hand.deliver([3, 4]) == 0
    hand.out.expand([5])
    assert items == [1, 2]
    assert hand.left == 1


@pytest.mark.parametrize("overflow", ["drop_newest", "conflate", "error"])
async def test_a_sink_that_may_lose_items_is_asked_for_each_of_a_batch(overflow: Overflow) -> None:
    store = Store()
    source = source_of([[*range(10)], [10, 11]], batches=True)
    received = await source.pipe(ops.tee_to(store, buffer_size=20, overflow=overflow), rx_ops.to_list())
    assert received == store.items == [*range(12)]


# How a pipeline of ours is subscribed to and left

PASS: Callable[[Observable[Any]], Observable[Any]] = operate(Noting, [])


def test_subscribing_that_fails_after_the_end_raises() -> None:
    def fail(out: FanOut[Any]) -> None:
        out.end()
        raise ValueError("no")

    ends: list[str] = []
    with pytest.raises(ValueError, match="no"):
        Hand(fail).stream.pipe(PASS).subscribe(on_completed=lambda: ends.append("completed"))
    assert ends == ["completed"]


@pytest.mark.parametrize("error", [None, ConnectionError("lost")])
def test_a_source_that_ends_while_it_is_subscribed_to_is_left_once(error: Exception | None) -> None:
    hand, ends = Hand(lambda out: out.end(error)), list[Any]()

    hand.stream.pipe(PASS).subscribe(on_error=ends.append, on_completed=lambda: ends.append(None)).dispose()

    assert ends == [error]
    assert hand.left == 1


def test_left_while_it_is_subscribed_to_the_source_is_left_and_delivers_nothing_more() -> None:
    def deliver(out: FanOut[Any]) -> None:
        for item in (1, 2):
            out.expand([item])

    hand, items = Hand(deliver), list[int]()
    hand.stream.pipe(PASS, rx_ops.take(1)).subscribe(items.append)

    assert items == [1]
    assert hand.left == 1


def test_left_in_another_thread_while_it_is_subscribed_to_the_source_is_left() -> None:
    def leave(_: FanOut[Any]) -> None:
        thread = threading.Thread(target=operations[0].dispose)
        thread.start()
        thread.join()

    operations: list[Noting] = []

    class Known(Noting):
        def __init__(self, out: FanOut[Any]) -> None:
            super().__init__(out, [])
            operations.append(self)

    hand = Hand(leave)
    hand.stream.pipe(operate(Known)).subscribe().dispose()

    assert hand.left == 1


@pytest.mark.parametrize("error", [None, ConnectionError("lost")])
def test_an_end_that_the_consumer_cannot_take_leaves_the_source_all_the_same(error: Exception | None) -> None:
    def fail(*_: object) -> None:
        raise LookupError("thrown")

    hand = Hand()
    hand.stream.pipe(PASS).subscribe(on_error=fail, on_completed=fail)

    with pytest.raises(LookupError, match="thrown"):
        hand.out.end(error)
    assert hand.left == 1


def test_after_its_end_a_fan_out_emits_nothing() -> None:
    received: list[Any] = []
    hand = Hand()
    hand.stream.subscribe(received.append, on_completed=lambda: received.append("completed"))
    hand.out.end()
    hand.out.emit([1, 2])
    assert hand.deliver([3, 4]) == 0
    assert received == ["completed"]


def test_what_comes_together_with_an_item_that_was_too_much_is_forgotten() -> None:
    consumer = Consumer(pause_every=1)
    source = source_of([[*range(40)]], batches=True)
    run_virtual(consumer.consume(source.pipe(ops.buffer_with_backpressure(2, overflow="error"))))
    assert consumer.items == [0, 1, 2]
    assert [error for error, *_ in consumer.end] == [BufferOverflowError]


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
            if chunk.text != "a":
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
