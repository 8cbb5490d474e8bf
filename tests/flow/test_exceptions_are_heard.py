"""An exception is heard of, wherever it is raised: by the task that awaits, by ``on_error``, or by the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Observer
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.testing import text_chunk
from rxllm.typing import Ending

ERRORS = [ValueError, KeyError, StopIteration, StopAsyncIteration]
every_error = pytest.mark.parametrize("cls", ERRORS)


async def chunks() -> AsyncIterator[rxllm.StreamChunk]:
    yield text_chunk("Hel")
    yield text_chunk("lo")


def careless(error: BaseException) -> Callable[[Observable[Any]], Observable[Any]]:
    """An operator whose ``on_next`` raises, as users write them."""

    def raising(_: object) -> None:
        raise error

    def careless_(source: Observable[Any]) -> Observable[Any]:
        return Observable(
            lambda observer, scheduler: source.subscribe(
                raising, observer.on_error, observer.on_completed, scheduler=scheduler
            )
        )

    return careless_


AT_COMPLETION: dict[str, Callable[[], Any]] = {
    "accumulate": ops.accumulate,
    "to_list": rx_ops.to_list,
    "reduce": lambda: rx_ops.reduce(first_of),
    "last": rx_ops.last,
    "a buffer": lambda: reactivex.compose(ops.accumulate(), ops.buffer_with_backpressure(1)),
    "map_async": lambda: reactivex.compose(rx_ops.to_list(), ops.map_async(identity)),
    "tee_to": lambda: reactivex.compose(ops.tee_to(Store()), rx_ops.to_list()),
}
every_end = pytest.mark.parametrize("at_end", AT_COMPLETION.values(), ids=AT_COMPLETION.keys())


async def identity(item: Any) -> Any:
    return item


def first_of(left: Any, _: Any) -> Any:
    return left


class Store:
    """A sink that needs some turns for each batch, and notes how it ended."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.ending: Ending | None = None

    async def open(self) -> Store:
        return self

    async def write(self, items: Sequence[Any], /) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        self.items += items

    async def close(self, ending: Ending, /) -> None:
        self.ending = ending


def causes(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *causes(error.__cause__ or error.__context__)]


@every_error
@every_end
async def test_one_below_what_emits_at_completion_reaches_whoever_awaits(
    at_end: Callable[[], Any], cls: type[Exception]
) -> None:
    error = cls("mine")
    with pytest.raises((cls, RuntimeError)) as caught:
        await rxllm.from_async_iterable(chunks).pipe(at_end(), careless(error))
    assert error in causes(caught.value)


@every_error
@every_end
async def test_and_whoever_iterates(at_end: Callable[[], Any], cls: type[Exception]) -> None:
    error = cls("mine")
    with pytest.raises((cls, RuntimeError)) as caught:
        async for _ in rxllm.from_async_iterable(chunks).pipe(at_end(), careless(error)):
            pass
    assert error in causes(caught.value)


@every_error
@every_end
def test_and_whoever_runs_it(at_end: Callable[[], Any], cls: type[Exception]) -> None:
    error = cls("mine")
    with pytest.raises((cls, RuntimeError)) as caught:
        rxllm.run(rxllm.from_async_iterable(chunks).pipe(at_end(), careless(error)))
    assert error in causes(caught.value)


@every_end
@pytest.mark.parametrize("place", ["on_next", "on_completed"])
async def test_one_of_a_callback_reaches_its_on_error(at_end: Callable[[], Any], place: str) -> None:
    error = ValueError("mine")
    heard: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def raising(*_: object) -> None:
        raise error

    callbacks = {"on_next": None, "on_completed": None, place: raising}
    stream = rxllm.from_async_iterable(chunks).pipe(at_end())
    stream.subscribe(callbacks["on_next"], heard.set_result, callbacks["on_completed"])
    assert await heard is error


@pytest.mark.parametrize("place", ["on_next", "on_error", "on_completed"])
async def test_without_on_error_and_from_on_error_itself_it_reaches_the_loop(place: str) -> None:
    error = ValueError("mine")
    heard: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.set_result(context))

    def raising(*_: object) -> None:
        raise error

    stream = rxllm.from_async_iterable(chunks)
    if place == "on_error":
        stream = stream.pipe(rx_ops.concat(reactivex.throw(LookupError("no more"))))
    callbacks: dict[str, Any] = {"on_next": None, "on_error": None, "on_completed": None, place: raising}
    stream.subscribe(**callbacks)
    assert (await heard)["exception"] is error


async def test_a_stream_that_fails_and_nobody_listens_for_it_tells_the_loop() -> None:
    heard: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.set_result(context))

    async def fails() -> AsyncIterator[int]:
        yield 1
        raise LookupError("lost")

    rxllm.from_async_iterable(fails).subscribe()
    context = await heard
    assert str(context["exception"]) == "lost"
    assert "nobody listens" in context["message"]


def test_where_no_loop_runs_it_is_raised() -> None:
    def raising(*_: object) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        ops.buffer_with_backpressure(1)(reactivex.of(1)).subscribe(on_completed=raising)


async def test_of_an_observer_that_has_stopped_the_loop_hears() -> None:
    heard: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.set_result(context))

    def raising(*_: object) -> None:
        raise ValueError("mine")

    rxllm.from_async_iterable(chunks).subscribe(Observer[Any](on_completed=raising))
    assert str((await heard)["exception"]) == "mine"


async def test_an_observer_is_told_of_what_its_on_next_raises() -> None:
    heard: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def raising(*_: object) -> None:
        raise ValueError("mine")

    rxllm.from_async_iterable(chunks).pipe(rx_ops.to_list()).subscribe(Observer[Any](raising, heard.set_result))
    assert str(await heard) == "mine"


@every_error
async def test_one_of_a_mapper_or_a_factory_is_no_end(cls: type[Exception]) -> None:
    async def fails(_: object) -> object:
        raise cls("mine")

    def fails_at_once(_: object = None) -> Any:
        raise cls("mine")

    for stream in (
        rxllm.from_async_iterable(chunks).pipe(ops.map_async(fails)),
        rxllm.from_async_iterable(chunks).pipe(rx_ops.map(fails_at_once)),
        rxllm.from_async_iterable(fails_at_once),
    ):
        with pytest.raises((cls, RuntimeError)) as caught:
            async for _ in stream:
                pass
        assert any(isinstance(cause, cls) for cause in causes(caught.value))


@pytest.mark.parametrize("cls", [asyncio.CancelledError])
@every_end
def test_what_is_no_exception_ends_the_pipeline_too(at_end: Callable[[], Any], cls: type[BaseException]) -> None:
    with pytest.raises((cls, rxllm.StreamInterruptedError)):
        rxllm.run(rxllm.from_async_iterable(chunks).pipe(at_end(), careless(cls())))


async def test_whoever_is_cancelled_goes_on_when_sinks_have_written_what_they_have() -> None:
    store, began = Store(), asyncio.Event()

    async def endless() -> AsyncIterator[str]:
        yield "Hel"
        yield "lo"
        began.set()
        await asyncio.get_running_loop().create_future()

    stream = rxllm.from_async_iterable(endless).pipe(ops.tee_to(store), rx_ops.skip(0))

    async def iterates() -> None:
        async for _ in rxllm.iterate(stream):
            pass

    async def awaits() -> None:
        await stream

    for consume in (iterates, awaits):
        store.items.clear()
        began.clear()
        task = asyncio.ensure_future(consume())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert store.items == ["Hel", "lo"]
        assert store.ending == Ending("cancelled")


def test_two_threads_that_run_one_share_both_get_the_items() -> None:
    began, joined = threading.Event(), threading.Event()
    results: list[int] = []

    async def numbers() -> AsyncIterator[int]:
        began.set()
        await asyncio.to_thread(joined.wait)
        for number in range(3):
            yield number

    shared = rxllm.from_async_iterable(numbers).pipe(rx_ops.share())

    def join(observer: Any, scheduler: Any = None) -> Any:
        subscription = shared.subscribe(observer, scheduler=scheduler)
        joined.set()
        return subscription

    first = threading.Thread(target=lambda: results.append(rxllm.run(shared)))
    first.start()
    began.wait()
    results.append(rxllm.run(Observable[int](join)))
    first.join()
    assert results == [2, 2]


@pytest.mark.parametrize("cls", [ValueError, asyncio.CancelledError])
@pytest.mark.parametrize("waits", [True, False])
async def test_one_of_what_an_operator_emits_by_itself_reaches_the_loop(
    cls: type[BaseException], *, waits: bool
) -> None:
    """Where neither a source nor ``on_error`` can be told: a queue emits, and ``on_error`` raises, too."""
    heard: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.set_result(context))

    async def pausing(item: Any) -> Any:
        await asyncio.sleep(0)
        return item

    def raising(*_: object) -> None:
        raise cls("mine")

    between = ops.map_async(pausing) if waits else ops.buffer_with_backpressure(2)
    rxllm.from_async_iterable(chunks).pipe(between).subscribe(raising, raising)
    assert isinstance((await heard)["exception"], cls)
