"""When ``tee_to`` writes, and what may happen meanwhile; nothing is lost or out of order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reactivex import Observable, abc
from reactivex.disposable import Disposable, SerialDisposable

from rxllm import operators as ops
from rxllm.exceptions import BufferOverflowError
from rxllm.flow import Emitter, FanOut, FlowControl, Stream, task_source
from rxllm.testing import run_virtual
from rxllm.typing import Ending
from tests.thorough import times

TURNS = 10


async def turns(count: int = TURNS) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Sink:
    """Notes what it is told, and does what it was told to in each write: nothing, unless it was."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.log: list[str] = [] if log is None else log
        self.batches: list[list[Any]] = []
        self.ending: Ending | None = None
        self.closed = asyncio.Event()
        self.then: Callable[[list[Any]], Awaitable[None]] = _at_once
        self._is_writing = False

    @property
    def items(self) -> list[Any]:
        return [item for batch in self.batches for item in batch]

    async def open(self) -> Sink:
        return self

    async def write(self, items: Sequence[Any], /) -> None:
        assert not self._is_writing
        self._is_writing = True
        self.log.append(f"write {''.join(map(str, items))}")
        try:
            await self.then([*items])
            self.batches.append([*items])
            self.log.append(f"stored {''.join(map(str, items))}")
        finally:
            self._is_writing = False

    async def close(self, ending: Ending, /) -> None:
        self.ending = ending
        self.closed.set()


async def _at_once(_: list[Any]) -> None:
    """In one step."""


async def _slowly(_: list[Any]) -> None:
    await asyncio.sleep(0)


class Hand:
    """A producer that is told what to emit, a ``tee_to`` below it, and who looks at what comes of it."""

    def __init__(self, *, buffer_size: int = 256) -> None:
        self.flow = FlowControl()
        self.log: list[str] = []
        self.sink = Sink(self.log)
        self.ends: list[Any] = []
        self.then: Callable[[Any], object] = lambda _: None
        self.left = asyncio.Event()
        self.subscription = SerialDisposable()
        self.subscription.disposable = (
            Stream[Any](self._subscribe)
            .pipe(ops.tee_to(self.sink, buffer_size=buffer_size))
            .subscribe(self._on_next, self.ends.append, lambda: self.ends.append("completed"))
        )

    @classmethod
    async def begun(cls, *, buffer_size: int = 256) -> Hand:
        """One whose sink has stored an item and waits for the next."""
        hand = cls(buffer_size=buffer_size)
        await turns()
        hand.singly("a")
        assert hand.log == ["a"]
        await turns()
        assert hand.log == ["a", "write a", "stored a"]
        hand.log.clear()
        return hand

    def _subscribe(self, observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        self.out: FanOut[Any] = FanOut(observer)
        return Disposable(self.left.set)

    def _on_next(self, item: Any) -> None:
        self.log.append(item)
        self.then(item)

    def singly(self, items: str) -> None:
        """Emit one after the other."""
        for item in items:
            self.flow.deliver(self.out.expand, [item])

    def together(self, items: str) -> int:
        """Emit a batch; how many were taken is returned."""
        return self.flow.deliver(self.out.offer, [*items])

    async def complete(self) -> list[Any]:
        """Complete, and wait until that has been passed on."""
        self.out.end()
        await self.sink.closed.wait()
        await turns()
        return self.ends


# When a sink is written


@pytest.mark.parametrize("emit", [Hand.singly, Hand.together])
async def test_what_gathers_in_a_turn_is_written_together_after_the_consumer_has_it(
    emit: Callable[[Hand, str], object],
) -> None:
    hand = await Hand.begun()

    emit(hand, "bcd")
    assert hand.log == ["b", "c", "d"]
    await turns()

    assert hand.log == ["b", "c", "d", "write bcd", "stored bcd"]
    assert await hand.complete() == ["completed"]
    assert hand.sink.ending == Ending("completed")


# What may happen within a write


async def test_a_sink_that_leaves_the_stream_has_stored_what_came() -> None:
    hand = await Hand.begun()

    async def leave(_: list[Any]) -> None:
        hand.subscription.dispose()

    hand.sink.then = leave
    hand.together("bc")
    await hand.sink.closed.wait()

    assert hand.left.is_set()

    assert hand.sink.items == [*"abc"]
    assert hand.sink.ending == Ending("cancelled")
    assert hand.ends == []


async def test_a_sink_whose_time_is_over_at_once_fails_and_is_not_cancelled() -> None:
    """The time-out cancels the task of the writer."""
    hand = await Hand.begun()

    async def late(_: list[Any]) -> None:
        async with asyncio.timeout(0):
            await asyncio.get_running_loop().create_future()

    hand.sink.then = late
    hand.singly("b")
    await hand.sink.closed.wait()
    await turns()

    assert [type(error) for error in hand.ends] == [TimeoutError]
    assert hand.sink.ending == Ending("failed", hand.ends[0])


async def test_what_a_sink_makes_the_source_emit_is_written_behind_what_it_writes() -> None:
    hand = await Hand.begun()

    async def feed_back(items: list[Any]) -> None:
        if items == ["b"]:
            hand.singly("c")
            hand.together("de")

    hand.sink.then = feed_back
    hand.singly("b")
    await turns()

    assert hand.log == ["b", "write b", "c", "d", "e", "stored b", "write cde", "stored cde"]
    assert await hand.complete() == ["completed"]


async def test_a_sink_that_pauses_the_producer_from_within() -> None:
    hand = await Hand.begun()

    async def pause(_: list[Any]) -> None:
        assert FlowControl.current() is None  # a sink is no part of the emission
        hand.flow.pause("the sink")

    hand.sink.then = pause
    assert hand.together("bc") == 2
    assert not hand.flow.paused
    await turns()
    assert hand.flow.holders == ("the sink",)
    hand.flow.resume("the sink")

    assert await hand.complete() == ["completed"]
    assert hand.sink.items == [*"abc"]


async def test_of_a_batch_larger_than_the_queue_the_rest_waits_for_the_sink() -> None:
    hand = await Hand.begun(buffer_size=2)

    assert hand.together("bcdef") == 2
    assert len(hand.flow.holders) == 1
    await turns()

    assert not hand.flow.paused
    assert hand.together("def") == 2
    await turns()
    assert hand.together("f") == 1
    assert await hand.complete() == ["completed"]
    assert hand.sink.batches == [["a"], ["b", "c"], ["d", "e"], ["f"]]


@pytest.mark.parametrize("emit", [Hand.singly, Hand.together])
async def test_an_item_of_which_the_consumer_throws_is_stored(emit: Callable[[Hand, str], object]) -> None:
    hand = await Hand.begun()

    def fail(_: Any) -> None:
        raise LookupError("thrown")

    hand.then = fail
    with pytest.raises(LookupError, match="thrown"):
        emit(hand, "b")
    error = LookupError("thrown")
    hand.out.end(error)  # as a source does
    await hand.sink.closed.wait()

    assert hand.sink.items == ["a", "b"]
    assert hand.sink.ending == Ending("failed", error)


@pytest.mark.parametrize("emit", [Hand.singly, Hand.together])
async def test_an_item_of_which_the_consumer_leaves_is_stored(emit: Callable[[Hand, str], object]) -> None:
    hand = await Hand.begun()
    hand.then = lambda _: hand.subscription.dispose()

    emit(hand, "b")
    await hand.sink.closed.wait()

    assert hand.sink.items == ["a", "b"]
    assert hand.sink.ending == Ending("cancelled")
    assert hand.left.is_set()


# From another thread


def in_a_thread(work: Callable[[], object]) -> None:
    """Do it in another thread, while this one waits for it."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.parametrize("emit", [Hand.singly, Hand.together])
async def test_what_comes_from_another_thread_is_written_in_the_thread_of_the_loop(
    emit: Callable[[Hand, str], object],
) -> None:
    hand = await Hand.begun()
    threads: list[int] = []
    written = asyncio.Event()

    async def note(_: list[Any]) -> None:
        threads.append(threading.get_ident())
        written.set()

    hand.sink.then = note
    in_a_thread(lambda: emit(hand, "b"))
    assert hand.log == ["b"]
    async with asyncio.timeout(5):
        await written.wait()

    assert hand.sink.items == ["a", "b"]
    assert threads == [threading.get_ident()]
    await hand.complete()


@pytest.mark.parametrize("what", ["an item", "the end"])
async def test_what_comes_from_another_thread_just_before_the_writer_waits(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen that there is nothing to write, and does not wait yet."""
    hand = await Hand.begun()
    loop = asyncio.get_running_loop()
    create_future = loop.create_future
    stored = asyncio.Event()

    async def note(items: list[Any]) -> None:
        if items == ["c"]:
            stored.set()

    def create_future_late() -> asyncio.Future[Any]:
        monkeypatch.undo()
        in_a_thread(lambda: hand.singly("c") if what == "an item" else hand.out.end())
        return create_future()

    hand.sink.then = note
    monkeypatch.setattr(loop, "create_future", create_future_late)
    hand.singly("b")
    await turns()
    async with asyncio.timeout(5):
        await (stored if what == "an item" else hand.sink.closed).wait()

    assert hand.sink.items == [*"abc"][: 3 if what == "an item" else 2]
    if what == "an item":
        await hand.complete()
    await turns()
    assert hand.ends == ["completed"]


# Any plan


@dataclass
class Emissions:
    """What a source emits: how, so many, and after how many turns."""

    steps: Sequence[tuple[str, int, int]]
    count: int = 0

    async def produce(self, emitter: Emitter[int]) -> None:
        for how, count, pause in self.steps:
            for _ in range(pause):
                await asyncio.sleep(0)
            items = [*range(self.count, self.count + count)]
            self.count += count
            await emitter.ready()
            if how == "alone":
                for item in items:
                    await emitter.emit((item,))
                    await asyncio.sleep(0)
            else:
                await emitter.emit(items if how == "together" else iter(items))


@dataclass
class Reluctant:
    """A sink of which each write takes so many turns; where that is less than none it fails."""

    plan: Sequence[int]
    taken: list[int] = field(default_factory=list[int])
    stored: list[int] = field(default_factory=list[int])
    writing: int = 0
    ending: Ending | None = None
    log: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    writes: int = 0

    async def open(self) -> Reluctant:
        return self

    async def write(self, items: Sequence[int], /) -> None:
        assert not self.writing
        self.writing += 1
        self.taken += items
        self.log += [("stored", item) for item in items]
        turns_needed = self.plan[self.writes % len(self.plan)] if self.plan else 0
        self.writes += 1
        try:
            for _ in range(turns_needed):
                await asyncio.sleep(0)
            if turns_needed < 0:
                raise OSError("full")
            self.stored += items
        finally:
            self.writing -= 1

    async def close(self, ending: Ending, /) -> None:
        assert not self.writing
        self.ending = ending


@dataclass
class Watching:
    """A consumer that does something at the item of a number."""

    does: str
    number: int
    log: list[tuple[str, int]]
    items: list[int] = field(default_factory=list[int])
    ends: list[str] = field(default_factory=list[str])

    @property
    def has_left(self) -> bool:
        return self.does in {"leaves", "throws"} and self.number in self.items

    async def consume(self, source: Observable[int]) -> None:
        ended = asyncio.Event()
        subscription = SerialDisposable()

        def on_next(item: int) -> None:
            self.items.append(item)
            self.log.append(("delivered", item))
            if item == self.number:
                act()

        def act() -> None:
            if self.does == "leaves":
                subscription.dispose()
                ended.set()
            elif self.does == "throws":
                raise LookupError("thrown")
            elif self.does == "pauses":
                flow = FlowControl.current()
                assert flow is not None
                flow.pause("consumer")
                asyncio.get_running_loop().call_later(1, flow.resume, "consumer")

        def end(how: str) -> None:
            self.ends.append(how)
            ended.set()

        subscription.disposable = source.subscribe(
            on_next, lambda error: end(type(error).__name__), lambda: end("completed")
        )
        await ended.wait()


@dataclass(frozen=True)
class Plan:
    emissions: Sequence[tuple[str, int, int]]
    writes: Sequence[int]
    does: str = "stays"
    number: int = 0
    buffer_size: int = 256
    on_error: Literal["raise", "detach"] = "raise"

    def carry_out(self) -> tuple[Emissions, Watching, Reluctant]:
        source, sink = Emissions(self.emissions), Reluctant(self.writes)
        consumer = Watching(self.does, self.number, sink.log)

        async def main() -> None:
            tee = ops.tee_to(sink, buffer_size=self.buffer_size, on_error=self.on_error)
            await consumer.consume(task_source(source.produce).pipe(tee))
            while sink.ending is None:
                await asyncio.sleep(0.01)
            await asyncio.sleep(2)  # until the pause of a consumer is over, if it has asked for one

        run_virtual(main())
        return source, consumer, sink


PLANS = st.builds(
    Plan,
    st.lists(
        st.tuples(st.sampled_from(["alone", "together", "singly"]), st.integers(1, 6), st.integers(0, 3)), max_size=8
    ),
    st.lists(st.sampled_from([0, 0, 0, 0, 1, 2, 3, -1]), max_size=6),
    st.sampled_from(["stays", "stays", "leaves", "throws", "pauses"]),
    st.integers(0, 20),
    st.sampled_from([1, 2, 3, 256]),
    st.sampled_from(["raise", "detach"]),
)


@settings(deadline=None, max_examples=times(80))
@given(PLANS)
@example(Plan([("alone", 6, 0), ("together", 6, 0), ("alone", 6, 1)], [0, 0, 2, 0], buffer_size=2))
@example(Plan([("alone", 3, 0), ("singly", 6, 0)], [0, 0, -1], on_error="detach"))
@example(Plan([("together", 4, 0)], [], buffer_size=1))
@example(Plan([("alone", 3, 0), ("together", 6, 0)], [0], "throws", 5))
@example(Plan([("alone", 3, 0), ("together", 6, 0)], [0], "leaves", 5))
@example(Plan([("alone", 3, 0), ("together", 6, 0)], [0], "pauses", 5))
def test_what_is_stored_is_what_was_delivered(plan: Plan) -> None:
    source, consumer, sink = plan.carry_out()

    emitted = [*range(source.count)]
    assert consumer.items == emitted[: len(consumer.items)]
    # Each once, in order, and none before the consumer had it.
    assert sink.taken == emitted[: len(sink.taken)]
    assert sink.stored == sink.taken[: len(sink.stored)]
    events = {event: position for position, event in reversed([*enumerate(sink.log)])}
    assert all(events["delivered", item] < events["stored", item] for item in {*consumer.items} & {*sink.taken})
    if sink.taken != sink.stored:  # it has failed
        assert consumer.has_left or consumer.ends == (["OSError"] if plan.on_error == "raise" else ["completed"])
        return
    if consumer.does == "throws":
        # Of a batch of which the consumer throws, the rest has come, too.
        assert sink.stored[: len(consumer.items)] == consumer.items
    else:
        assert sink.stored == consumer.items
    if not consumer.has_left:
        assert (consumer.ends, sink.ending) == (["completed"], Ending("completed"))
        assert consumer.items == emitted
    elif consumer.does == "leaves":
        assert (consumer.ends, sink.ending) == ([], Ending("cancelled"))
    else:
        assert consumer.ends == ["LookupError"]


async def test_what_was_begun_is_finished_when_the_queue_overflows() -> None:
    """No producer is to be paused."""
    hand = await Hand.begun(buffer_size=2)
    hand.sink.then = _slowly
    hand.singly("b")
    hand.out.emit(["c"])
    hand.out.emit(["d"])
    await hand.sink.closed.wait()
    await turns()

    assert hand.sink.items == [*"abc"]
    assert [type(error) for error in hand.ends] == [BufferOverflowError]
