"""The first step of a coroutine, taken for a task that waits: nobody can tell it from a task that does all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Any, cast

import pytest

from rxllm.operators._first_step import Begun, begin, step
from rxllm.testing import run_virtual

Start = Callable[[], Awaitable[None]]

WHOSE: ContextVar[str] = ContextVar("whose", default="nobody's")


class Worker:
    """A task that waits for its turn, and then awaits what is left of what was begun for it, as the writer of sinks."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.context = copy_context()
        self.left: Begun | None = None
        self.turn: asyncio.Future[None] = loop.create_future()
        self.task = loop.create_task(self._run(), context=self.context)

    @classmethod
    async def waiting(cls) -> Worker:
        worker = cls()
        await asyncio.sleep(0)
        return worker

    async def _run(self) -> None:
        WHOSE.set("the worker's")
        try:
            await self.turn
        except asyncio.CancelledError:
            if self.left is None or not self.left.cancel():
                raise
        if self.left is not None:
            await self.left

    def begin(self, start: Start) -> bool:
        """Whether that was all of it."""
        self.left = begin(start, self.task, self.context)
        return self.left is None

    async def finish(self) -> str:
        """Let the task come to what is left; how it ended is returned."""
        if not self.turn.done():
            self.turn.set_result(None)
        await asyncio.wait({self.task})
        return ended(self.task)


def ended(task: asyncio.Task[None]) -> str:
    return "cancelled" if task.cancelled() else repr(task.exception())


class Suspending:
    """An awaitable that is no coroutine, and whose steps are those of a generator."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield
        yield from asyncio.sleep(0).__await__()


class Stepping:
    """One whose steps are those of an iterator, which is sent nothing, and into which nothing is thrown."""

    def __await__(self) -> Iterator[Any]:
        return iter([None, None])


def stepping() -> Awaitable[None]:
    return cast("Awaitable[None]", Stepping())


async def nothing() -> None:
    pass


async def raising() -> None:
    raise LookupError("at once")


async def raising_later() -> None:
    await asyncio.sleep(0)
    raise LookupError("later")


async def cancelled() -> None:
    raise asyncio.CancelledError


async def cancelled_later() -> None:
    await asyncio.sleep(0)
    raise asyncio.CancelledError


async def yielding() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def with_results() -> None:
    loop = asyncio.get_running_loop()
    results: list[Any] = []
    for value in ("first", "second"):
        future = loop.create_future()
        loop.call_soon(future.set_result, value)
        results.append(await future)
    with pytest.raises(ZeroDivisionError):
        await asyncio.gather(failing_task())
    results.append(await asyncio.to_thread(str, 3))
    assert results == ["first", "second", "3"]


async def failing_task() -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError


def future_done() -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


def future_to_come() -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, None)
    return future


def no_awaitable() -> Any:
    return None


def no_coroutine_function() -> Any:
    raise LookupError("before there is anything to await")


async def awaiting_what_is_none() -> None:
    await no_awaitable()


CASES: dict[str, tuple[Start, bool, str]] = {
    "nothing": (nothing, True, "None"),
    "a future that is done": (future_done, True, "None"),
    "a future": (future_to_come, False, "None"),
    "the sleep of a turn": (lambda: asyncio.sleep(0), False, "None"),
    "yields": (yielding, False, "None"),
    "results": (with_results, False, "None"),
    "a generator": (Suspending, False, "None"),
    "an iterator": (stepping, False, "None"),
    "raising at once": (raising, False, "LookupError('at once')"),
    "raising later": (raising_later, False, "LookupError('later')"),
    "raising before": (no_coroutine_function, False, "LookupError('before there is anything to await')"),
    "cancelled at once": (cancelled, False, "cancelled"),
    "cancelled later": (cancelled_later, False, "cancelled"),
    "nothing to await": (
        no_awaitable,
        False,
        "TypeError(\"object NoneType can't be used in 'await' expression\")",
    ),
}


@pytest.mark.parametrize(("start", "is_all", "end"), CASES.values(), ids=CASES)
async def test_it_ends_as_in_a_task_of_its_own(start: Start, is_all: bool, end: str) -> None:
    worker = await Worker.waiting()

    assert worker.begin(start) == is_all
    assert await worker.finish() == end


@pytest.mark.parametrize(("start", "is_all", "end"), CASES.values(), ids=CASES)
async def test_so_does_a_step_in_the_task_itself(start: Start, is_all: bool, end: str) -> None:
    left: list[Begun | None] = []

    async def main() -> None:
        left.append(step(start))
        if left[0] is not None:
            await left[0]

    task = asyncio.create_task(main())
    await asyncio.wait({task})

    assert (left == [None]) == is_all
    assert ended(task) == end


async def test_what_is_all_in_one_step_is_done_at_once() -> None:
    worker = await Worker.waiting()
    seen: list[str] = []

    async def note() -> None:
        seen.append("done")

    assert worker.begin(note)

    assert seen == ["done"]
    await worker.finish()


# During the step


async def observed(note: Callable[[], object]) -> None:
    note()
    await asyncio.sleep(0)
    note()


async def test_during_the_step_the_task_is_the_current_one_and_afterwards_the_caller_is() -> None:
    worker = await Worker.waiting()
    tasks: list[object] = []

    worker.begin(lambda: observed(lambda: tasks.append(asyncio.current_task())))
    after = asyncio.current_task()
    await worker.finish()

    assert tasks == [worker.task, worker.task]
    assert after is not None
    assert after is not worker.task


async def test_from_a_callback_of_the_loop_there_is_no_current_task_again() -> None:
    worker = await Worker.waiting()
    tasks: list[object] = []

    def callback() -> None:
        tasks.append(asyncio.current_task())
        worker.begin(lambda: observed(lambda: tasks.append(asyncio.current_task())))
        tasks.append(asyncio.current_task())

    asyncio.get_running_loop().call_soon(callback)
    await asyncio.sleep(0)
    await worker.finish()

    assert tasks == [None, worker.task, None, worker.task]


@pytest.mark.parametrize(
    "error", [LookupError, asyncio.CancelledError, GeneratorExit, KeyboardInterrupt], ids=lambda error: error.__name__
)
async def test_a_step_that_raises_leaves_the_caller_the_current_one(error: type[BaseException]) -> None:
    worker = await Worker.waiting()

    async def fail() -> None:
        raise error

    with suppress(KeyboardInterrupt):  # what ends a program waits for no task
        worker.begin(fail)

    assert asyncio.current_task() not in {None, worker.task}
    await worker.finish()


async def test_a_step_within_a_step() -> None:
    outer, inner = await Worker.waiting(), await Worker.waiting()
    tasks: list[object] = []

    async def nested() -> None:
        tasks.append(asyncio.current_task())
        inner.begin(lambda: observed(lambda: tasks.append(asyncio.current_task())))
        tasks.append(asyncio.current_task())

    assert outer.begin(nested)
    assert tasks == [outer.task, inner.task, outer.task]
    await outer.finish()
    await inner.finish()


async def test_what_is_set_in_the_step_is_set_in_the_task_and_not_for_the_caller() -> None:
    worker = await Worker.waiting()
    seen: list[str] = []

    async def change() -> None:
        seen.append(WHOSE.get())
        WHOSE.set("the step's")
        await asyncio.sleep(0)
        seen.append(WHOSE.get())

    worker.begin(change)
    seen.append(WHOSE.get())
    await worker.finish()

    assert seen == ["the worker's", "nobody's", "the step's"]
    assert worker.context[WHOSE] == "the step's"


def test_a_time_out_that_began_in_the_step_ends_what_is_left() -> None:
    seen: list[object] = []

    async def slow() -> None:
        try:
            async with asyncio.timeout(1):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            seen.append(asyncio.get_running_loop().time())

    async def main() -> None:
        worker = await Worker.waiting()
        worker.begin(slow)
        assert await worker.finish() == "None"
        assert worker.task.cancelling() == 0

    run_virtual(main())
    assert seen == [1]


async def test_a_time_out_that_is_over_before_the_task_has_its_turn() -> None:
    worker = await Worker.waiting()

    async def late() -> None:
        async with asyncio.timeout(0):
            await asyncio.get_running_loop().create_future()

    worker.begin(late)

    assert await worker.finish() == "TimeoutError()"
    assert worker.task.cancelling() == 0


# Between the step and the turn of the task


@pytest.mark.parametrize("is_woken", [False, True], ids=["waiting", "woken"])
@pytest.mark.parametrize("waits_for", ["a turn", "a future", "a future that is done", "a task"])
async def test_a_cancellation_before_the_turn_of_the_task_reaches_the_coroutine(waits_for: str, is_woken: bool) -> None:
    worker = await Worker.waiting()
    seen: list[str] = []
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def inner() -> None:
        try:
            await future
        finally:
            seen.append("the task it waits for")

    async def work() -> None:
        try:
            if waits_for == "a turn":
                await asyncio.sleep(0)
            else:
                await (asyncio.create_task(inner()) if waits_for == "a task" else future)
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    worker.begin(work)
    await asyncio.sleep(0)
    if waits_for == "a future that is done":
        future.set_result(None)
    if is_woken:
        worker.turn.set_result(None)
    worker.task.cancel()

    assert await worker.finish() == "cancelled"
    assert seen == [*(["the task it waits for"] if waits_for == "a task" else []), "cleaned up"]


async def test_one_that_is_swallowed_is_swallowed() -> None:
    worker = await Worker.waiting()
    seen: list[str] = []

    async def work() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)
        seen.append("went on")

    worker.begin(work)
    worker.task.cancel()

    assert await worker.finish() == "None"
    assert seen == ["went on"]


async def test_what_has_raised_cannot_be_cancelled() -> None:
    worker = await Worker.waiting()
    worker.begin(raising)
    assert worker.left is not None
    assert not worker.left.cancel()
    assert await worker.finish() == "LookupError('at once')"


async def test_a_cancellation_of_the_task_that_awaits_the_rest_reaches_the_coroutine() -> None:
    worker = await Worker.waiting()
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            seen.append("cleaned up")

    worker.begin(work)
    worker.turn.set_result(None)
    await asyncio.sleep(0)
    worker.task.cancel()

    assert await worker.finish() == "cancelled"
    assert seen == ["cleaned up"]


async def test_a_future_that_another_task_awaits_meanwhile() -> None:
    """A task takes from a future that is yielded the mark of one that is awaited, and takes no other."""
    worker = await Worker.waiting()
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    seen: list[Any] = []

    async def work() -> None:
        seen.append(await future)

    worker.begin(work)
    other = asyncio.create_task(work())
    await asyncio.sleep(0)
    loop.call_soon(future.set_result, "both")

    assert await worker.finish() == "None"
    await other
    assert seen == ["both", "both"]


async def test_a_future_that_is_done_before_the_turn_of_the_task() -> None:
    worker = await Worker.waiting()
    future = asyncio.get_running_loop().create_future()
    seen: list[Any] = []

    async def work() -> None:
        seen.append(await future)

    worker.begin(work)
    future.set_result("early")

    assert await worker.finish() == "None"
    assert seen == ["early"]


async def test_what_nobody_awaits_is_closed() -> None:
    worker = await Worker.waiting()
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            seen.append("closed")

    worker.begin(work)
    assert worker.left is not None
    worker.left.close()

    assert seen == ["closed"]
    worker.left = None
    await worker.finish()
