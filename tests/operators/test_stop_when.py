"""``stop_when``: a stream that is stopped on purpose is neither complete nor an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject

import rxllm
from rxllm import ChatRequest, LLMClient
from rxllm import operators as ops
from rxllm.flow import Emitter, Stream, task_source
from rxllm.sinks import JSONLinesSink, SQLiteSink
from rxllm.testing import Marbles, ScriptedServer, assert_marbles, assert_subscriptions, script, text_chunk, tool_chunk
from rxllm.typing import Ending

T = TypeVar("T")

REQUEST = ChatRequest(model="m", messages=[{"role": "user", "content": "q"}])
ENDLESS: list[Any] = [script.text("one "), script.text("two "), script.stall()]


class Store:
    """A sink that notes how the stream ended."""

    ending: Ending | None = None

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.closed = asyncio.Event()

    async def open(self) -> Store:
        return self

    async def write(self, items: Sequence[Any], /) -> None:
        self.items += items

    async def close(self, ending: Ending, /) -> None:
        self.ending = ending
        self.closed.set()


def after(count: int, act: Callable[[], None]) -> Callable[[Observable[T]], Observable[T]]:
    """Do something when so many items have passed."""
    passed = 0

    def note(_: object) -> None:
        nonlocal passed
        passed += 1
        if passed == count:
            act()

    operator: Any = rx_ops.do_action(note)
    return cast("Callable[[Observable[T]], Observable[T]]", operator)


def until(stop: asyncio.Event, *items: Any) -> Stream[Any]:
    """These items, then the signal, and nothing more."""

    async def produce() -> AsyncIterator[Any]:
        for item in items:
            yield item
        stop.set()
        await asyncio.get_running_loop().create_future()

    return rxllm.from_async_iterable(produce)


@pytest.mark.parametrize("between", ["nothing", "an operator of reactivex", "one of ours that holds"])
async def test_what_had_arrived_counts_and_the_connection_is_closed(between: str) -> None:
    stop = asyncio.Event()
    operators: dict[str, Any] = {
        "nothing": rx_ops.skip(0),
        "an operator of reactivex": rx_ops.map(lambda chunk: chunk),
        "one of ours that holds": ops.buffer_with_backpressure(4),
    }
    async with ScriptedServer(ENDLESS) as server:
        chunks = LLMClient(retries=0, base_url=server.base_url).chat_stream(REQUEST)
        answer = await chunks.pipe(after(2, stop.set), ops.stop_when(stop), operators[between], ops.accumulate())
        await (await server.wait_for_request(0)).peer_left.wait()

    assert answer.content == "one two "
    assert (answer.complete, answer.ending) == (False, "stopped")


async def test_before_the_first_chunk_there_is_an_empty_answer_and_no_request() -> None:
    stop = asyncio.Event()
    stop.set()
    async with ScriptedServer(ENDLESS) as server:
        answer = (
            await LLMClient(retries=0, base_url=server.base_url)
            .chat_stream(REQUEST)
            .pipe(ops.stop_when(stop), ops.accumulate())
        )
        assert not server.requests

    assert (answer.choices, answer.complete, answer.ending) == ([], False, "stopped")


async def test_while_the_model_thinks_there_is_an_empty_answer() -> None:
    stop = asyncio.Event()
    async with ScriptedServer([script.stall()]) as server:
        chunks = LLMClient(retries=0, base_url=server.base_url).chat_stream(REQUEST)
        task = asyncio.ensure_future(chunks.pipe(ops.stop_when(stop), ops.accumulate()))
        request = await server.wait_for_request(0)
        stop.set()
        assert (await task).ending == "stopped"
        await request.peer_left.wait()


async def test_a_call_that_is_not_finished_is_incomplete_and_given_to_nobody() -> None:
    stop = asyncio.Event()
    chunks = until(stop, tool_chunk('{"a": 1}', id="1", name="f"))

    answer = await chunks.pipe(ops.stop_when(stop), ops.accumulate())
    stop.clear()
    calls = await chunks.pipe(ops.stop_when(stop), ops.accumulate_tool_calls(), rx_ops.to_list())

    assert not answer.message.tool_calls
    assert [call.name for call in answer.choices[0].incomplete_tool_calls] == ["f"]
    assert calls == []


@pytest.mark.parametrize("operator", [ops.parse, lambda: ops.parse_structured(rxllm.Usage), ops.decode_sse])
async def test_what_was_stopped_is_no_cut(operator: Callable[[], Any]) -> None:
    stop = asyncio.Event()
    stop.set()
    assert await reactivex.never().pipe(ops.stop_when(stop), operator(), rx_ops.to_list()) == []


async def test_the_last_snapshot_says_that_it_was_stopped() -> None:
    stop = asyncio.Event()
    chunks = until(stop, text_chunk("Hel"))

    snapshots = await chunks.pipe(ops.stop_when(stop), ops.accumulate_snapshots(), rx_ops.to_list())

    assert [snapshot.content for snapshot in snapshots] == ["Hel", "Hel"]
    assert snapshots[-1].ending == "stopped"


@pytest.mark.parametrize("place", ["above", "below"])
async def test_sinks_store_it_as_stopped(place: str) -> None:
    stop, store = asyncio.Event(), Store()
    operators: list[Any] = [ops.tee_to(store), rx_ops.skip(0), ops.stop_when(stop)]
    if place == "below":
        operators.reverse()

    answer = await until(stop, text_chunk("Hel")).pipe(reactivex.compose(*operators), ops.accumulate())
    await store.closed.wait()

    assert store.ending == Ending("stopped")
    assert (len(store.items), answer.ending) == (1, "stopped")


@pytest.mark.parametrize("sink", [SQLiteSink, JSONLinesSink])
async def test_a_recording_of_it_stops_again(sink: Any, tmp_path: Path) -> None:
    stop = asyncio.Event()
    chunks = until(stop, text_chunk("Hel"))
    await chunks.pipe(ops.stop_when(stop), ops.tee_to(sink(tmp_path / "file")), ops.accumulate())

    (recording,) = rxllm.list_recordings(tmp_path / "file")
    answer = await rxllm.from_recording(tmp_path / "file").pipe(ops.accumulate())

    assert recording.ending == "stopped"
    assert (answer.content, answer.ending, answer.complete) == ("Hel", "stopped", False)


async def test_a_conversation_that_is_stopped_says_so() -> None:
    stop = asyncio.Event()
    async with ScriptedServer(ENDLESS) as server:
        events = LLMClient(retries=0, base_url=server.base_url).chat_with_tools(REQUEST, rxllm.ToolRegistry([]))
        seen = await events.pipe(after(2, stop.set), ops.stop_when(stop), rx_ops.to_list())
        await (await server.wait_for_request(0)).peer_left.wait()

    assert [event.type for event in seen] == ["text", "text", "stopped"]
    assert seen[-1].round == 1


async def test_a_round_that_is_stopped_ends_the_conversation_with_what_had_arrived() -> None:
    stop = asyncio.Event()
    async with ScriptedServer(ENDLESS) as server:
        events = LLMClient(retries=0, base_url=server.base_url).chat_with_tools(
            REQUEST, rxllm.ToolRegistry([]), through=ops.stop_when(stop)
        )
        seen = await events.pipe(after(2, stop.set), rx_ops.to_list())

    assert isinstance(last := seen[-1], rxllm.Stopped)
    assert last.completion is not None
    assert (last.completion.content, last.completion.ending) == ("one two ", "stopped")


async def test_what_iterates_is_told() -> None:
    stop = asyncio.Event()
    chunks = reactivex.of(text_chunk("Hel")).pipe(rx_ops.concat(reactivex.never()), ops.stop_when(stop))
    async with rxllm.iterate(chunks) as iteration:
        async for _ in iteration:
            assert not iteration.stopped
            stop.set()
    assert iteration.stopped


async def waits() -> str:
    await asyncio.sleep(0)
    return "stop"


async def fails() -> None:
    await asyncio.sleep(0)
    raise LookupError("no signal")


@pytest.mark.parametrize(
    "signal",
    [
        lambda: reactivex.of("stop"),
        waits,
        lambda: asyncio.ensure_future(waits()),
        lambda: asyncio.get_running_loop().run_in_executor(None, str),
    ],
    ids=["an observable", "a coroutine", "a task", "a future"],
)
async def test_whatever_can_be_waited_for_is_a_signal(signal: Callable[[], Any]) -> None:
    assert await reactivex.never().pipe(ops.stop_when(signal()), rx_ops.to_list()) == []


@pytest.mark.parametrize(
    "signal", [lambda: reactivex.throw(LookupError("no signal")), fails, lambda: asyncio.ensure_future(fails())]
)
async def test_a_signal_that_fails_fails_the_stream(signal: Callable[[], Any]) -> None:
    with pytest.raises(LookupError, match="no signal"):
        await reactivex.never().pipe(ops.stop_when(signal()))


async def test_an_observable_that_ends_without_an_item_never_stops() -> None:
    assert await reactivex.of(1, 2).pipe(ops.stop_when(reactivex.empty())) == 2


async def test_to_leave_does_not_cancel_a_task_that_others_wait_for() -> None:
    signal = asyncio.ensure_future(asyncio.get_running_loop().create_future())
    assert await reactivex.of(1).pipe(ops.stop_when(signal)) == 1
    await asyncio.sleep(0)
    assert not signal.cancelled()
    signal.cancel()


def test_an_observable_is_a_signal_in_virtual_time() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-b-c-d-|")
    recording = marbles.run(source.pipe(ops.stop_when(marbles.cold("----x"))))

    assert_marbles(recording, "-a-b|")
    assert_subscriptions(source, "^---!")


def test_after_the_end_a_signal_does_nothing() -> None:
    marbles = Marbles()
    signal = Subject[int]()
    recording = marbles.run(marbles.cold("-a|").pipe(ops.stop_when(signal)))
    signal.on_next(1)

    assert_marbles(recording, "-a|")


async def test_items_come_together_and_some_of_them_are_not_taken() -> None:
    async def produce(emitter: Emitter[int]) -> None:
        await emitter.emit([1])
        await emitter.emit([2, 3])
        await emitter.emit([4, 5, 6, 7])

    stream = task_source(produce).pipe(ops.stop_when(asyncio.Event()), ops.buffer_with_backpressure(1))
    assert [number async for number in rxllm.iterate(stream, buffer_size=1)] == [*range(1, 8)]


async def test_what_has_ended_while_it_was_subscribed_to_waits_for_no_signal() -> None:
    def subscribe(observer: Any, _: Any) -> Disposable:
        observer.on_next(1)
        observer.on_completed()
        return Disposable()

    assert await Stream[int](subscribe).pipe(ops.stop_when(asyncio.Event())) == 1
