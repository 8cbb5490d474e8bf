"""What the inspector says of the streams of a process, asked over its socket as ``rxllm top`` asks."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import stat
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from inspect import currentframe
from pathlib import Path
from typing import Any

import msgspec
import pytest
import reactivex
from reactivex import operators as rx_ops
from reactivex.subject import Subject

import rxllm
from rxllm import operators as ops
from rxllm.flow import Backlog, FanOut, FlowControl, Operation, last_of, operate
from rxllm.serving import StreamingResponse
from rxllm.telemetry import Hold, Report, StreamReport, ask, endpoints, inspect
from rxllm.testing import ScriptedServer, script, text_chunk
from rxllm.typing import Ending

PATIENCE = 60.0
REQUEST = rxllm.ChatRequest(model="any", messages=[rxllm.Message.user("Hello.")])


@pytest.fixture(autouse=True)
def directory(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processes of this test meet."""
    found = short_path / "meet"
    monkeypatch.setenv("RXLLM_INSPECT_DIRECTORY", str(found))
    return found


def report_now() -> Report:
    """What this process says, asked from whatever thread."""
    (endpoint,) = endpoints()
    return msgspec.json.decode(ask(endpoint, PATIENCE), type=Report)


async def report() -> Report:
    return await asyncio.to_thread(report_now)


async def until(is_so: Callable[[Report], object]) -> Report:
    """Ask again and again until something is so; each answer takes turns of the loop."""
    async with asyncio.timeout(PATIENCE):
        while not is_so(found := await report()):
            pass
        return found


async def only_stream(is_so: Callable[[StreamReport], object]) -> StreamReport:
    found = await until(lambda report: len(report.streams) == 1 and is_so(report.streams[0]))
    return found.streams[0]


def holders(holds: Sequence[Hold]) -> list[str]:
    return [hold.by for hold in holds]


def held_by(stream: StreamReport) -> list[str]:
    return [name for source in stream.sources for name in holders(source.holds)]


def stages(stream: StreamReport) -> dict[str, tuple[int, int | None]]:
    return {stage.name: (stage.waiting, stage.size) for stage in stream.stages}


def stage_holds(stream: StreamReport) -> dict[str, list[str]]:
    return {stage.name: holders(stage.holds) for stage in stream.stages}


async def numbers() -> AsyncIterator[int]:
    for number in range(1_000):
        yield number


class Sink:
    """One whose ``write`` does not return, until somebody lets it."""

    def __init__(self) -> None:
        self.going = asyncio.Event()

    async def open(self) -> Sink:
        return self

    async def write(self, _: Sequence[Any], /) -> None:
        await self.going.wait()

    async def close(self, _: Ending, /) -> None:
        """Nothing is open."""


async def never(_: object) -> int:
    await asyncio.Event().wait()
    raise AssertionError


# What is seen of a pipeline.


async def test_of_an_iteration_that_stands_still_each_place_is_told_and_who_holds_the_pause() -> None:
    with inspect() as inspection:
        async with rxllm.iterate(
            rxllm.from_async_iterable(numbers).pipe(ops.buffer_with_backpressure(10)), buffer_size=4
        ):
            stream = await only_stream(held_by)

            assert held_by(stream) == ["buffer_with_backpressure(10)"]
            assert stages(stream) == {"buffer_with_backpressure(10)": (10, 10), "async for": (4, 4)}
            assert holders(stream.stages[0].holds) == ["async for"]
            assert stream.stages[1].holds == []
            (source,) = stream.sources
            assert (source.name, source.items, source.bytes) == ("from_async_iterable", 14, None)
            assert 0 <= source.holds[0].seconds <= source.paused <= source.seconds <= stream.seconds
            later = await only_stream(lambda now: now.sources[0].holds[0].seconds > source.holds[0].seconds)
            assert later.sources[0].items == 14
        assert (await report()).streams == []
        assert inspection.path is not None


async def test_of_an_answer_of_a_model_it_tells_where_it_comes_from_and_what_came() -> None:
    async with ScriptedServer("Hello, world") as server, rxllm.LLMClient(base_url=server.base_url) as client:
        with inspect():
            async with rxllm.iterate(client.chat_stream(REQUEST), buffer_size=1) as iteration:
                await anext(iteration)
                stream = await only_stream(held_by)

    (source,) = stream.sources
    assert (source.name, source.dialect, source.model) == ("from_http", "openai-chat", "scripted")
    assert source.host == server.base_url.split("/")[2]
    assert (source.request_id, source.attempt) == ("req-0", 1)
    assert source.bytes
    assert source.silent is not None
    assert source.silent >= 0
    # Those that came in one read wait in parse.
    assert stages(stream)["async for"] == (1, 1)
    assert stages(stream)["parse"][1] is None


class Mapper:
    """A function without a name."""

    def __call__(self, item: object) -> Awaitable[int]:
        return never(item)


def buffered(stream: rxllm.Stream[int]) -> Any:
    return stream.pipe(ops.buffer_with_backpressure(3), ops.map_async(never))


HOLDERS: dict[str, tuple[Callable[[rxllm.Stream[int]], Any], str]] = {
    "map_async": (lambda stream: stream.pipe(ops.map_async(never, max_concurrency=2)), "map_async(never)"),
    "a mapper without a name": (
        lambda stream: stream.pipe(ops.map_async(Mapper())),
        "map_async(Mapper)",
    ),
    "buffer_with_backpressure": (buffered, "buffer_with_backpressure(3)"),
}


@pytest.mark.parametrize("case", HOLDERS)
async def test_an_operator_that_holds_a_pause_is_called_as_it_was_written(case: str) -> None:
    build, name = HOLDERS[case]
    with inspect():
        subscription = build(rxllm.from_async_iterable(numbers)).subscribe()
        stream = await only_stream(held_by)
        subscription.dispose()
        await until(lambda report: not report.streams)

    assert held_by(stream) == [name]
    waiting, size = stages(stream)[name]
    assert waiting == size


class Waiting(Operation[int, int]):
    """An operator of a user, with a queue."""

    def __init__(self, out: FanOut[int]) -> None:
        super().__init__(out)
        self.of_mine: Backlog[int] = Backlog(2, holder="waiting")

    def on_item(self, item: int, /) -> Sequence[int]:
        self.of_mine.push(item)
        return ()

    def on_dispose(self) -> None:
        self.of_mine.clear()


class Equal(Operation[int, int]):
    """One that is equal to others, and so cannot be a key."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


async def test_the_queue_of_an_operator_of_ones_own_is_seen_too() -> None:
    with inspect():
        pipeline = rxllm.from_async_iterable(numbers).pipe(operate(Equal), operate(Equal), operate(Waiting))
        subscription = pipeline.subscribe()
        stream = await only_stream(held_by)
        subscription.dispose()

    assert held_by(stream) == ["waiting"]
    assert stages(stream) == {"waiting": (2, 2)}


class Holder:
    """One who would tell what is nobody's business."""

    def __repr__(self) -> str:
        raise AssertionError


async def test_holders_of_other_kinds_are_told_by_name_or_class_and_never_by_what_they_say_of_themselves() -> None:
    unnamed, named, mine = rxllm.Pauses(), rxllm.Pauses("the lamp"), Holder()
    flows: list[FlowControl] = []

    def take(_: int) -> None:
        flow = FlowControl.current()
        assert flow is not None
        flows.append(flow)
        unnamed.hold()
        named.hold()
        flow.pause("somebody")
        flow.pause(mine)

    with inspect():
        subscription = rxllm.from_async_iterable(numbers).subscribe(take)
        stream = await only_stream(held_by)
        subscription.dispose()
        for pauses in (unnamed, named):
            pauses.release()
        for flow in flows:
            for holder in flow.holders:
                flow.resume(holder)

    assert held_by(stream) == ["a Pauses without a name", "the lamp", "somebody", "Holder"]


async def test_while_items_of_one_source_wait_in_an_operator_another_is_held_there() -> None:
    class Twice(Operation[int, int]):
        def on_item(self, item: int, /) -> Sequence[int]:
            return [item, item, item]

    taken: list[int] = []
    pauses = rxllm.Pauses("the consumer")

    def take(item: int) -> None:
        taken.append(item)
        pauses.hold()

    with inspect():
        both = reactivex.merge(rxllm.from_async_iterable(numbers), rxllm.from_async_iterable(numbers))
        subscription = both.pipe(operate(Twice)).subscribe(take)
        stream = await only_stream(lambda stream: sum(bool(source.holds) for source in stream.sources) == 2)
        subscription.dispose()
        pauses.release()

    assert sorted(held_by(stream)) == ["Twice, where items of another source wait", "the consumer"]
    assert stages(stream)["Twice"][0] >= 2


async def test_a_sink_that_hangs_is_told() -> None:
    sink = Sink()
    with inspect():
        subscription = rxllm.from_async_iterable(numbers).pipe(ops.tee_to(sink, buffer_size=2)).subscribe()
        stream = await only_stream(held_by)
        subscription.dispose()
        sink.going.set()

    assert held_by(stream) == ["tee_to(Sink)"]
    assert stages(stream) == {"tee_to(Sink)": (2, 2)}


async def test_what_is_dropped_is_counted() -> None:
    items: Subject[int] = Subject()
    sink = Sink()
    with inspect():
        subscription = items.pipe(ops.tee_to(sink, buffer_size=2, overflow="drop_oldest")).subscribe()
        for number in range(5):
            items.on_next(number)
        stream = await only_stream(lambda stream: stream.stages)
        subscription.dispose()
        sink.going.set()

    assert stream.sources == []
    (stage,) = stream.stages
    assert (stage.name, stage.size, stage.dropped > 0) == ("tee_to(Sink)", 2, True)


async def test_a_client_that_reads_nothing_is_told_in_bytes() -> None:
    async def large() -> AsyncIterator[rxllm.StreamChunk]:
        for _ in range(100):
            yield text_chunk("x" * 10_000)

    going = asyncio.Event()

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await going.wait()

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"version": "3.0"}}
    with inspect():
        response = StreamingResponse(rxllm.from_async_iterable(large))
        task = asyncio.ensure_future(response(scope, receive, send))
        stream = await only_stream(held_by)
        going.set()
        await task

    assert held_by(stream) == ["serving"]
    (stage,) = stream.stages
    assert (stage.name, stage.size, stage.unit) == ("serving", 64 * 1024, "bytes")
    assert stage.waiting >= 64 * 1024


async def test_what_is_awaited_and_what_is_produced_are_told_as_such(tmp_path: Path) -> None:
    going = asyncio.Event()

    async def one() -> AsyncIterator[int]:
        yield 1
        await going.wait()

    with inspect():
        production = rxllm.SQLiteLog(tmp_path / "log.db").produce("stream", rxllm.from_async_iterable(one))
        last = asyncio.ensure_future(last_of(rxllm.from_async_iterable(one)))
        found = await until(lambda report: len(report.streams) == 2)
        going.set()
        assert await last == 1
        await production
        await until(lambda report: not report.streams)

    assert sorted(stage.name for stream in found.streams for stage in stream.stages) == ["await", "produce"]


async def test_a_stream_that_waits_for_its_turn_is_told() -> None:
    limits = rxllm.Limits(max_concurrency=1)
    pauses = rxllm.Pauses("the consumer")

    def take(_: int) -> None:
        pauses.hold()

    with inspect():
        first = reactivex.never().pipe(ops.rate_limit(limits)).subscribe()
        stream = rxllm.from_async_iterable(numbers).pipe(ops.rate_limit(limits))
        second = stream.subscribe(take)
        waiting = await only_stream(lambda stream: stage_holds(stream).get("rate_limit"))
        first.dispose()
        going = await only_stream(held_by)
        third = stream.subscribe()
        await until(lambda report: len(report.streams) == 2)
        third.dispose()
        second.dispose()
        await until(lambda report: not report.streams)
    pauses.release()

    assert waiting.sources == []
    assert stage_holds(waiting) == {"rate_limit": ["Limits(max_concurrency=1)"]}
    assert (held_by(going), stage_holds(going)) == (["the consumer"], {})


async def test_a_stream_that_waits_to_try_again_is_told() -> None:
    with inspect():
        again = ops.retry_with_backoff(initial=3600, maximum=3600, jitter=lambda: 1.0)
        subscription = reactivex.throw(ConnectionError()).pipe(again).subscribe()
        stream = await only_stream(lambda stream: stream.stages)
        subscription.dispose()
        await until(lambda report: not report.streams)

    assert stage_holds(stream) == {"retry_with_backoff": ["the 3600.0 s before try 2"]}


async def test_what_was_left_when_it_was_to_be_tried_again_is_not_shown_though_something_keeps_it() -> None:
    kept: list[Any] = []

    def fail(_: int) -> None:
        raise ConnectionError

    def leave(_: object) -> None:
        subscription.dispose()
        frame = currentframe()
        assert frame is not None
        kept.append(frame.f_back)

    with inspect():
        again = ops.retry_with_backoff(initial=3600, maximum=3600, on_retry=leave)
        subscription = rxllm.from_async_iterable(numbers).pipe(rx_ops.do_action(fail), again).subscribe()
        await until(lambda _: kept)
        found = await report()
    kept.clear()

    assert found.streams == []


async def test_a_stream_that_waits_for_a_client_of_a_pool_is_told() -> None:
    busy = script.status(429, headers={"Retry-After": "3600"})
    async with ScriptedServer(busy, "Hello.") as server, rxllm.LLMClient(base_url=server.base_url) as client:
        pool = rxllm.ClientPool([client], patience=7200)
        with pytest.raises(rxllm.APIStatusError):
            await pool.chat(REQUEST)
        with inspect():
            subscription = pool.chat_stream(REQUEST).subscribe()
            stream = await only_stream(lambda stream: stream.stages)
            subscription.dispose()
            await until(lambda report: not report.streams)

    assert stage_holds(stream) == {"ClientPool": ["clients that rest"]}


async def test_sources_that_are_not_ours_are_shown_by_what_stands_below() -> None:
    items: Subject[int] = Subject()
    with inspect():
        async with rxllm.iterate(items.pipe(ops.buffer_with_backpressure(5, overflow="drop_newest"))) as iteration:
            stream = await only_stream(lambda stream: stream.stages)
            items.on_next(1)
            assert await anext(iteration) == 1

    assert stream.sources == []
    assert stages(stream) == {"buffer_with_backpressure(5)": (0, 5), "async for": (0, 64)}


async def test_where_the_consumer_is_not_ours_a_branch_is_a_stream() -> None:
    with inspect():
        branches = [
            rxllm.from_async_iterable(forever).pipe(operate(Operation), ops.buffer_with_backpressure(size))
            for size in (3, 4)
        ]
        subscription = reactivex.merge(*branches).subscribe()
        found = await until(lambda report: len(report.streams) == 2)
        subscription.dispose()

    assert [[*stages(stream)] for stream in found.streams] == [
        ["buffer_with_backpressure(3)"],
        ["buffer_with_backpressure(4)"],
    ]
    assert [len(stream.sources) for stream in found.streams] == [1, 1]


async def forever() -> AsyncIterator[int]:
    yield 0
    await asyncio.Event().wait()


async def test_what_began_before_and_what_has_ended_is_not_shown() -> None:
    before = rxllm.from_async_iterable(forever).subscribe()
    with inspect():
        assert await rxllm.from_async_iterable(numbers) == 999
        assert (await report()).streams == []
        during = rxllm.from_async_iterable(forever).subscribe()
        assert [stream.number for stream in (await report()).streams] == [2]
        during.dispose()
        await until(lambda report: not report.streams)
    before.dispose()


async def test_what_was_left_is_not_shown_though_something_keeps_it() -> None:
    kept: list[contextvars.Context] = []

    async def waits() -> AsyncIterator[int]:
        # As a connection does that is made for a request, and used again for others.
        kept.append(contextvars.copy_context())
        await asyncio.Event().wait()
        yield 1

    with inspect():
        waiting = asyncio.ensure_future(last_of(rxllm.from_async_iterable(waits)))
        await until(lambda found: found.streams)
        waiting.cancel()
        await asyncio.wait([waiting])
        found = await report()

    assert kept
    assert found.streams == []


async def test_items_that_wait_are_shown_though_their_source_has_ended() -> None:
    async def three() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    with inspect():
        async with rxllm.iterate(rxllm.from_async_iterable(three)) as iteration:
            await anext(iteration)
            stream = await only_stream(lambda stream: not stream.sources)
            assert stages(stream) == {"async for": (2, 64)}
            assert [item async for item in iteration] == [1, 2]
            await until(lambda report: not report.streams)


async def test_there_may_be_any_number_of_streams_and_those_that_are_held_come_first() -> None:
    pauses = rxllm.Pauses("the lamp")

    def hold(_: int) -> None:
        pauses.hold()

    with inspect():
        subscriptions = [rxllm.from_async_iterable(forever).subscribe() for _ in range(998)]
        subscriptions.extend(rxllm.from_async_iterable(numbers).subscribe(hold) for _ in range(2))
        found = await until(lambda report: sum(bool(held_by(stream)) for stream in report.streams) == 2)
        for subscription in subscriptions:
            subscription.dispose()
        pauses.release()
        await until(lambda report: not report.streams)

    assert (len(found.streams), found.more) == (500, 500)
    assert [held_by(stream) for stream in found.streams[:3]] == [["the lamp"], ["the lamp"], []]
    assert [stream.number for stream in found.streams[2:]] == [*range(1, 499)]


async def test_a_stream_is_not_kept() -> None:
    class Item:
        """What passes through."""

    items: list[weakref.ref[Item]] = []

    async def one() -> AsyncIterator[Item]:
        item = Item()
        items.append(weakref.ref(item))
        yield item

    gc.collect()
    gc.disable()
    try:
        with inspect(text=True):
            for _ in range(3):
                async for _item in rxllm.from_async_iterable(one).pipe(ops.buffer_with_backpressure(2)):
                    del _item
            await report()
            await asyncio.sleep(0)
            assert [item() for item in items] == [None] * 3
    finally:
        gc.enable()


async def test_no_text_is_told_unless_it_is_asked_for() -> None:
    answer = "the moon is made of cheese"
    async with ScriptedServer(answer, answer) as server, rxllm.LLMClient(base_url=server.base_url) as client:
        for asked in (False, True):
            with inspect(text=asked):
                async with rxllm.iterate(client.chat_stream(REQUEST).pipe(ops.content()), buffer_size=2) as iteration:
                    await anext(iteration)
                    await only_stream(held_by)
                    (endpoint,) = endpoints()
                    told = await asyncio.to_thread(ask, endpoint, PATIENCE)
            assert (b"moon" in told) is asked


async def test_of_the_text_the_last_80_characters_are_told() -> None:
    going = asyncio.Event()

    async def chunks() -> AsyncIterator[rxllm.StreamChunk | str | int]:
        for number in range(40):
            yield text_chunk(f"{number:03} ")
        yield "end"
        yield 5
        await going.wait()

    with inspect(text=True):
        running = asyncio.ensure_future(last_of(rxllm.from_async_iterable(chunks).pipe(operate(Operation))))
        stream = await only_stream(lambda stream: stream.sources[0].items == 42)
        going.set()
        assert await running == 5

    assert stream.text == ("".join(f"{number:03} " for number in range(40)) + "end")[-80:]


async def test_what_is_heard_of_a_text_changes_nothing_of_the_stream() -> None:
    with inspect(text=True):
        async with (
            ScriptedServer("Hello, world", repeat=True) as server,
            rxllm.LLMClient(base_url=server.base_url) as client,
        ):
            plain = [text async for text in client.chat_stream(REQUEST).pipe(ops.content())]
            assert "".join(plain) == (await client.chat(REQUEST)).text == "Hello, world"
        with pytest.raises(ZeroDivisionError):
            await reactivex.throw(ZeroDivisionError()).pipe(ops.buffer_with_backpressure(2))


# What is seen of loops.


async def test_a_loop_that_stands_still_is_told_with_the_place_in_the_code() -> None:
    with inspect():
        subscription = rxllm.from_async_iterable(forever).subscribe()
        await only_stream(lambda stream: stream.sources[0].items)
        found = report_now()  # in the thread of the loop
        again = report_now()
        alive = await until(lambda report: report.loops[0].silent == 0)
        subscription.dispose()

    (loop,) = found.loops
    assert (loop.thread, loop.running, loop.silent > 0) == (threading.current_thread().name, True, True)
    assert again.loops[0].silent > loop.silent
    assert alive.loops[0].at == []
    inner, ours = loop.at
    assert inner.endswith("in ask")
    assert ours.startswith("telemetry/test_inspect.py:")
    assert ours.endswith(f"in {report_now.__qualname__}")


def test_loops_of_several_threads_that_do_not_run_or_are_closed() -> None:
    stopped, closed = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def begin() -> Any:
        return rxllm.from_async_iterable(forever).subscribe()

    async def end(subscription: Any) -> None:
        subscription.dispose()
        await asyncio.sleep(0)

    with inspect():
        kept = [loop.run_until_complete(begin()) for loop in (stopped, closed)]
        tasks = asyncio.all_tasks(closed)
        found = report_now()
        closed.close()
        after = report_now()
        stopped.run_until_complete(end(kept[0]))
        stopped.close()
        for task in tasks:
            coroutine: Any = task.get_coro()
            coroutine.close()

    assert [(loop.running, loop.at) for loop in found.loops] == [(False, [])] * 2
    assert [loop.silent > 0 for loop in found.loops] == [True, True]
    assert [stream.loop for stream in found.streams] == [0, 1]
    assert len(after.loops) == 2


def test_what_is_subscribed_to_without_a_loop_is_shown() -> None:
    items: Subject[int] = Subject()
    with inspect():
        subscription = items.pipe(ops.buffer_with_backpressure(2)).subscribe()
        found = report_now()
        subscription.dispose()

    assert [stream.loop for stream in found.streams] == [None]
    assert found.loops == []


def test_two_threads_with_a_loop_each() -> None:
    begun, done = threading.Barrier(3), threading.Event()

    async def run() -> None:
        subscription = rxllm.from_async_iterable(forever).subscribe()
        await asyncio.sleep(0)
        await asyncio.to_thread(begun.wait)
        await asyncio.to_thread(done.wait)
        subscription.dispose()

    threads = [threading.Thread(target=lambda: asyncio.run(run()), name=f"loop {number}") for number in range(2)]
    with inspect():
        for thread in threads:
            thread.start()
        begun.wait()
        found = report_now()
        done.set()
        for thread in threads:
            thread.join()

    assert sorted(loop.thread for loop in found.loops) == ["loop 0", "loop 1"]
    assert [loop.running for loop in found.loops] == [True, True]
    assert sorted(stream.loop or 0 for stream in found.streams) == [0, 1]


# The handle, and who may ask.


def test_it_is_one_however_often_it_is_asked_for_and_ends_with_the_last_that_is_closed(directory: Path) -> None:
    first, second = inspect(), inspect()
    assert first.path == second.path
    assert [str(path) for path in directory.iterdir()] == [first.path]
    first.close()
    first.close()
    assert (first.path, second.path is None) == (None, False)
    assert report_now().pid == os.getpid()
    second.close()
    assert (first.path, second.path) == (None, None)
    assert endpoints() == []
    assert [*directory.iterdir()] == []
    with inspect() as third:
        assert third.path is not None


def test_text_is_told_of_what_begins_when_it_has_been_asked_for() -> None:
    items: Subject[str] = Subject()
    with inspect():
        before = items.pipe(operate(Operation)).subscribe()
        with inspect(text=True):
            during = items.pipe(operate(Operation)).subscribe()
            items.on_next("said")
            texts = {stream.number: stream.text for stream in report_now().streams}
            before.dispose()
            during.dispose()

    assert texts == {1: None, 2: "said"}


def test_nobody_else_gets_there(directory: Path) -> None:
    with inspect() as inspection:
        assert inspection.path is not None
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(Path(inspection.path).stat().st_mode) == 0o600


# Objects of the application


class Proxy:
    """One that asks the application for whatever it is asked, as those do that stand for what there is only later."""

    def __getattribute__(self, name: str, /) -> Any:
        raise AssertionError(name)

    async def __call__(self, _: object) -> int:
        return await never(_)


class Nameless(Operation[int, int]):
    """An operator that cannot say what it is called."""

    def __getattribute__(self, name: str, /) -> Any:
        if name == "called":
            raise AssertionError
        return super().__getattribute__(name)


class Uncountable(Backlog[Any]):
    @property
    def waiting(self) -> int:
        raise AssertionError


class WithUncountable(Waiting):
    def __init__(self, out: FanOut[Any]) -> None:
        super().__init__(out)
        self.backlog = Uncountable(2, holder="odd")


async def test_objects_of_the_application_are_not_asked_who_they_are() -> None:
    with inspect():
        pipeline = rxllm.from_async_iterable(numbers).pipe(operate(Nameless), ops.map_async(Proxy()))
        subscription = pipeline.subscribe()
        stream = await only_stream(held_by)
        subscription.dispose()

    assert held_by(stream) == ["map_async(Proxy)"]


async def test_one_that_cannot_be_told_hides_no_other() -> None:
    with inspect():
        subscriptions = [Subject[Any]().pipe(operate(operation)).subscribe() for operation in (Equal, WithUncountable)]
        found = await report()
        for subscription in subscriptions:
            subscription.dispose()

    assert (len(found.streams), found.more) == (1, 1)


async def test_a_text_and_a_thread_that_cannot_be_written_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.current_thread(), "name", "main \ud800")
    texts = Subject[str]()
    with inspect(text=True):
        subscription = texts.pipe(ops.buffer_with_backpressure(2)).subscribe()
        texts.on_next("Hi \ud800")
        found = await report()
        subscription.dispose()

    assert [stream.text for stream in found.streams] == ["Hi \ufffd"]
    assert [loop.thread for loop in found.loops] == ["main \ufffd"]


async def test_a_program_that_python_is_embedded_in_may_have_no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [])
    with inspect():
        assert (await report()).program == "python"
