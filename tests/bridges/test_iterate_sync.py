"""A plain ``for`` over a stream, from a thread without an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import reactivex
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.testing import ScriptedServer, script

QUESTION = {"model": "any", "messages": [{"role": "user", "content": "Why?"}]}
NAME = "rxllm-iterate"


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == NAME]


class Numbers:
    """Counts without end, and notes how far it came."""

    def __init__(self, end: int = sys.maxsize) -> None:
        self.end = end
        self.given = 0
        self.left = threading.Event()

    async def __call__(self) -> AsyncIterator[int]:
        try:
            while self.given < self.end:
                self.given += 1
                yield self.given
        finally:
            self.left.set()


@contextmanager
def serving(*answers: Any) -> Generator[tuple[ScriptedServer, Callable[[Coroutine[Any, Any, object]], object]]]:
    """A server in a loop of another thread, and what awaits something there."""
    ready: list[tuple[ScriptedServer, asyncio.AbstractEventLoop, asyncio.Event]] = []
    started = threading.Event()

    async def serve() -> None:
        async with ScriptedServer(*answers) as server:
            leave = asyncio.Event()
            ready.append((server, asyncio.get_running_loop(), leave))
            started.set()
            await leave.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait()
    server, loop, leave = ready[0]
    try:
        yield server, lambda coming: asyncio.run_coroutine_threadsafe(coming, loop).result(60)
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join()


def test_all_items_come_in_order_and_nothing_is_left() -> None:
    assert list(rxllm.iterate_sync(rxllm.from_async_iterable(Numbers(1000)))) == list(range(1, 1001))
    assert threads() == []


def test_an_observable_of_reactivex() -> None:
    assert list(rxllm.iterate_sync(reactivex.of(1, 2, 3))) == [1, 2, 3]
    assert list(rxllm.iterate_sync(reactivex.empty())) == []


def test_nothing_begins_before_the_first_step() -> None:
    numbers = Numbers()
    items = rxllm.iterate_sync(rxllm.from_async_iterable(numbers))
    assert (threads(), numbers.given) == ([], 0)
    items.close()
    items.close()
    assert list(items) == []
    assert numbers.given == 0


def test_the_text_of_an_answer() -> None:
    with serving("Rivers carry salt.") as (server, _):
        client = rxllm.LLMClient(base_url=server.base_url)
        assert list(rxllm.iterate_sync(client.chat_stream(QUESTION).pipe(ops.content()))) == [
            "Rivers",
            " carry",
            " salt.",
        ]


def test_leaving_early_closes_the_connection() -> None:
    with serving([*script.words("Rivers carry"), script.stall()]) as (server, await_there):
        client = rxllm.LLMClient(base_url=server.base_url)
        for text in rxllm.iterate_sync(client.chat_stream(QUESTION).pipe(ops.content())):
            assert text == "Rivers"
            break
        assert threads() == []
        await_there(server.requests[0].peer_left.wait())


@pytest.mark.parametrize("size", [1, 2, 64])
def test_no_more_wait_than_there_is_room_for(size: int) -> None:
    numbers = Numbers()
    with rxllm.iterate_sync(rxllm.from_async_iterable(numbers), buffer_size=size) as items:
        for taken, number in enumerate(items, 1):
            assert number == taken
            # What is in hand counts, and one is under way.
            assert numbers.given <= taken + size + 1
            if taken == 500:
                break
    assert numbers.left.is_set()
    assert threads() == []


def test_an_error_comes_behind_the_items_and_once() -> None:
    with serving([*script.words("Rivers carry"), script.cut()]) as (server, _):
        items = rxllm.iterate_sync(rxllm.LLMClient(base_url=server.base_url).chat_stream(QUESTION).pipe(ops.content()))
        assert [next(items), next(items)] == ["Rivers", " carry"]
        with pytest.raises(rxllm.StreamInterruptedError):
            next(items)
    assert threads() == []
    assert list(items) == []


@pytest.mark.parametrize("kind", [ValueError, KeyError, StopIteration, StopAsyncIteration])
def test_an_exception_of_whatever_class_is_raised(kind: type[Exception]) -> None:
    failing = rxllm.from_async_iterable(Numbers(1)).pipe(rx_ops.concat(reactivex.throw(kind("lost"))))
    items = rxllm.iterate_sync(failing)
    assert next(items) == 1
    with pytest.raises(Exception, match=r"lost|Stop(Async)?Iteration") as caught:
        next(items)
    assert caught.type is (RuntimeError if kind in {StopIteration, StopAsyncIteration} else kind)


def forget(items: Iterator[int]) -> None:
    """The name goes with the frame."""
    assert next(items) == 1


def in_a_circle(items: Iterator[int]) -> None:
    circle: list[Any] = [items]
    circle.append(circle)
    assert next(items) == 1


@pytest.mark.parametrize("leave", [forget, in_a_circle])
def test_what_is_forgotten_ends(leave: Callable[[Iterator[int]], None]) -> None:
    numbers = Numbers()
    leave(rxllm.iterate_sync(rxllm.from_async_iterable(numbers)))
    gc.collect()
    assert numbers.left.wait(10)
    assert threads() == []


def test_a_generator_around_it_ends_with_it() -> None:
    numbers = Numbers()

    def doubled() -> Iterator[int]:
        for number in rxllm.iterate_sync(rxllm.from_async_iterable(numbers)):
            yield 2 * number

    generator: Any = doubled()
    assert next(generator) == 2
    generator.close()
    assert numbers.left.is_set()
    assert threads() == []


def test_it_may_be_closed_in_its_own_thread() -> None:
    holder: list[rxllm.SyncIteration[int]] = []
    numbers = rxllm.from_async_iterable(Numbers(3)).pipe(rx_ops.do_action(lambda _: holder[0].close()))
    holder.append(rxllm.iterate_sync(numbers))

    assert list(holder[0]) == []
    assert threads() == []


def test_what_the_thread_knows_is_known_in_the_stream() -> None:
    user = contextvars.ContextVar[str]("user")
    user.set("me")

    async def who() -> AsyncIterator[str]:
        yield user.get()

    assert list(rxllm.iterate_sync(rxllm.from_async_iterable(who))) == ["me"]


async def test_within_a_loop_it_says_what_to_write() -> None:
    with pytest.raises(rxllm.NoRunningLoopError, match=r"write 'async for' instead of 'for'"):
        rxllm.iterate_sync(reactivex.of(1))
    made_elsewhere = await asyncio.to_thread(rxllm.iterate_sync, reactivex.of(1))
    with pytest.raises(rxllm.NoRunningLoopError, match=r"write 'async for' instead of 'for'"):
        next(made_elsewhere)
    # In a thread beside the loop there is none.
    assert await asyncio.to_thread(lambda: list(rxllm.iterate_sync(reactivex.of(1)))) == [1]


def test_a_program_that_ends_within_ends() -> None:
    code = (
        "import reactivex, rxllm\n"
        "async def numbers():\n"
        "    while True:\n"
        "        yield 1\n"
        "items = rxllm.iterate_sync(rxllm.from_async_iterable(numbers))\n"
        "print(next(items))\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, timeout=60, check=True)
    assert (done.stdout.split(), done.stderr) == ([b"1"], b"")
