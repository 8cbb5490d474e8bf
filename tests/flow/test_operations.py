"""Operators written with the kit: items of a timer or a task, early ends, and errors in the midst of items."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import reactivex
from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxllm import ChatCompletion, Usage
from rxllm import operators as ops
from rxllm.flow import Backlog, Emitter, FanOut, FlowControl, Operation, Stream, operate, task_source
from rxllm.testing import text_chunk
from rxllm.wire import ServerSentEvent


class Hand:
    """A source that delivers what it is told, an operator, and a consumer that pauses if it is told."""

    def __init__(self, operator: Callable[[Observable[Any]], Observable[Any]]) -> None:
        self.flow = FlowControl()
        self.items: list[Any] = []
        self.pauses = False
        self.paused: list[FlowControl] = []
        self.subscription = (
            Stream[Any](self._begin)
            .pipe(operator)
            .subscribe(self._take, self.items.append, lambda: self.items.append("completed"))
        )

    def _begin(self, observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        self.out: FanOut[Any] = FanOut(observer)
        return Disposable()

    def _take(self, item: Any) -> None:
        self.items.append(item)
        flow = FlowControl.current()
        if self.pauses and flow is not None:
            flow.pause("the consumer")
            self.paused.append(flow)

    def deliver(self, *items: Any) -> None:
        for item in items:
            self.flow.deliver(self.out.expand, [item])


class Later(Operation[str, str]):
    """Emits two items for each one in the next turn of the loop, from a timer."""

    def on_item(self, item: str, /) -> Iterable[str]:
        self.out.clock.call_later(0, lambda: self.out.emit([item, item.upper()]))
        return ()


async def test_items_of_a_timer_are_those_of_the_producer_that_delivered_last() -> None:
    hand = Hand(operate(Later))
    hand.pauses = True
    hand.deliver("a")
    while not hand.items:
        await asyncio.sleep(0)

    # The consumer could pause the producer, and the second item waits for that.
    assert hand.flow.holders == ("the consumer",)
    assert hand.items == ["a"]
    hand.pauses = False
    hand.flow.resume("the consumer")
    assert hand.items == ["a", "A"]
    hand.subscription.dispose()


async def test_after_the_end_a_timer_emits_nothing() -> None:
    hand = Hand(operate(Later))
    hand.deliver("a")
    hand.out.end()
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0, done.set)
    await done.wait()

    assert hand.items == ["completed"]


class Echo(Operation[str, str]):
    """Emits from a queue, and what it returns as well."""

    def __init__(self, out: FanOut[str]) -> None:
        super().__init__(out)
        self.waiting: Backlog[str] = Backlog(4)
        out.hold(self.waiting)

    def on_item(self, item: str, /) -> Iterable[str]:
        self.waiting.push(item)
        self.out.drain()
        return [item.upper()]

    def on_dispose(self) -> None:
        self.waiting.clear()


def test_what_an_operator_with_a_queue_returns_waits_for_its_own_consumer() -> None:
    hand = Hand(operate(Echo))
    hand.deliver("a")
    hand.pauses = True
    hand.deliver("b")

    assert hand.items == ["a", "A", "b"]
    # It is the operator that is paused, which has room for more.
    assert not hand.flow.paused
    (paused,) = hand.paused
    hand.pauses = False
    paused.resume("the consumer")
    assert hand.items == ["a", "A", "b", "B"]
    hand.subscription.dispose()


class First(Operation[str, str]):
    """The first item, if it is right."""

    def on_item(self, item: str, /) -> Iterable[str]:
        self.finish(None if item == "right" else ValueError(item))
        return [item]


@pytest.mark.parametrize("item", ["right", "wrong"])
def test_an_end_of_its_own_waits_behind_a_pause_and_is_the_only_one(item: str) -> None:
    hand = Hand(operate(First))
    hand.pauses = True
    hand.deliver(item)
    hand.deliver("more")
    hand.out.end(ConnectionError("lost"))
    assert hand.items == [item]

    hand.flow.resume("the consumer")

    assert [str(each) for each in hand.items] == [item, "completed" if item == "right" else "wrong"]


class Checked(Operation[int, int]):
    """Ends with a sum, of which an item may prove wrong when it is added up."""

    def __init__(self, out: FanOut[int]) -> None:
        super().__init__(out)
        self.numbers: list[int] = []

    def on_item(self, item: int, /) -> Iterable[int]:
        yield item
        self.numbers.append(100 // item)

    def on_end(self) -> Iterable[int]:
        yield len(self.numbers)
        yield 100 // (len(self.numbers) - 1)


def test_what_a_generator_gave_comes_before_its_exception() -> None:
    hand = Hand(operate(Checked))
    hand.deliver(1, 2, 0)
    assert [str(item) for item in hand.items] == ["1", "2", "0", "integer division or modulo by zero"]

    hand = Hand(operate(Checked))
    hand.deliver(5)
    hand.out.end()
    assert [str(item) for item in hand.items] == ["5", "1", "integer division or modulo by zero"]


def test_an_exception_of_on_failure_replaces_the_error() -> None:
    class Named(Operation[int, int]):
        def on_item(self, item: int, /) -> Iterable[int]:
            return [item]

        def on_failure(self, error: Exception, /) -> Iterable[int]:
            yield -1
            raise LookupError("no answer") from error

    hand = Hand(operate(Named))
    error = ConnectionError("lost")
    hand.deliver(1)
    hand.out.end(error)

    *items, failure = hand.items
    assert items == [1, -1]
    assert isinstance(failure, LookupError)
    assert failure.__cause__ is error


CHUNK = text_chunk("Hel")
WRONG: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "content": (
        ops.content,
        ChatCompletion(),
        "content() takes StreamChunk and got ChatCompletion: put it before accumulate()",
    ),
    "accumulate": (
        ops.accumulate,
        ServerSentEvent("Hel"),
        "accumulate() takes StreamChunk and got ServerSentEvent: put parse() in front of it",
    ),
    "accumulate_snapshots": (ops.accumulate_snapshots, 1, "accumulate_snapshots() takes StreamChunk and got int"),
    "accumulate_tool_calls": (ops.accumulate_tool_calls, 1, "accumulate_tool_calls() takes StreamChunk and got int"),
    "tool_call_progress": (ops.tool_call_progress, 1, "tool_call_progress() takes StreamChunk and got int"),
    "json_path": (lambda: ops.json_path("$"), 1, "json_path() takes StreamChunk and got int"),
    "parse_structured": (lambda: ops.parse_structured(Usage), 1, "parse_structured() takes StreamChunk and got int"),
    "split_reasoning": (ops.split_reasoning, 1, "split_reasoning() takes StreamChunk and got int"),
    "decode_sse": (ops.decode_sse, CHUNK, "decode_sse() takes bytes and got StreamChunk: put it before parse()"),
    "parse": (
        ops.parse,
        CHUNK,
        "parse() takes ServerSentEvent or AWSFrame or str or bytes and got StreamChunk: that has been done already, "  # noqa: ISC004
        "leave this parse() out",
    ),
    "tee_to_display": (
        ops.tee_to_display,
        1,
        "a display shows StreamChunk, ServerSentEvent, AWSFrame, str and events of a chat, and got int",
    ),
}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("make", "item", "message"), WRONG.values(), ids=WRONG.keys())
async def test_an_operator_in_the_wrong_place_says_what_it_takes(
    make: Callable[[], Any], item: Any, message: str, *, together: bool
) -> None:
    async def produce(emitter: Emitter[Any]) -> None:
        await emitter.emit([item])
        await emitter.emit([item, item] if together else [item])

    with pytest.raises(TypeError) as caught:
        await task_source(produce).pipe(make())
    assert str(caught.value) == message


async def test_an_error_about_an_item_that_it_takes_is_as_it_was() -> None:
    class Failing(Operation[str, str]):
        takes = (str,)

        def on_item(self, item: str, /) -> list[str]:
            raise TypeError(item)

    with pytest.raises(TypeError, match=r"^Hel$"):
        await reactivex.of("Hel").pipe(operate(Failing), ops.buffer_with_backpressure(1))
