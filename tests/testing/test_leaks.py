"""The leak check finds what is left, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from rxllm.flow import FlowControl
from rxllm.testing import LeakError, leak_check

T = TypeVar("T")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def echo_server() -> AsyncGenerator[asyncio.Server]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        yield server


async def connect(server: asyncio.Server) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    return writer


async def leak_of(body: Callable[[], Awaitable[T]]) -> tuple[str, T]:
    """What the check says of a body that leaves something, and what the body returned."""
    check = leak_check()
    await check.__aenter__()
    result = await body()
    with pytest.raises(LeakError, match=r"^left behind:\n  ") as error:
        await check.__aexit__(None, None, None)
    return str(error.value), result


def leak_of_sync(body: Callable[[], object]) -> str:
    """What the check for synchronous code says of a body that leaves something."""
    check = leak_check()
    check.__enter__()
    body()
    with pytest.raises(LeakError, match=r"^left behind:\n  ") as error:
        check.__exit__(None, None, None)
    return str(error.value)


async def test_nothing_left_is_no_leak() -> None:
    before = asyncio.create_task(asyncio.Event().wait())
    timer = asyncio.get_running_loop().call_later(1000, lambda: None)
    async with leak_check():
        await asyncio.create_task(asyncio.sleep(0))
        await asyncio.to_thread(lambda: None)
        async with echo_server() as server:
            writer = await connect(server)
            writer.close()
            await writer.wait_closed()
        flow = FlowControl()
        flow.pause("holder")
        flow.resume("holder")
    timer.cancel()
    before.cancel()


async def test_a_task_is_found() -> None:
    async def leave() -> asyncio.Task[bool]:
        return asyncio.create_task(asyncio.Event().wait(), name="forgotten")

    message, task = await leak_of(leave)
    assert "task <Task pending name='forgotten'" in message
    task.cancel()


async def test_a_cancelled_task_gets_its_chance() -> None:
    ended: list[bool] = []

    async def slow_to_leave() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(lambda: None)
            ended.append(True)

    async with leak_check():
        task = asyncio.create_task(slow_to_leave())
        await asyncio.sleep(0)
        task.cancel()
    assert ended == [True]


async def test_a_task_that_does_not_heed_its_cancellation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.testing._leaks.PATIENCE", 0)
    free = asyncio.Event()

    async def stubborn() -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue

    async def leave() -> asyncio.Task[None]:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        task.cancel()
        return task

    message, task = await leak_of(leave)
    assert "stubborn" in message
    free.set()
    await task


async def test_a_timer_is_found() -> None:
    loop = asyncio.get_running_loop()

    async def leave() -> asyncio.TimerHandle:
        loop.call_later(1000, lambda: None).cancel()
        return loop.call_later(1000, lambda: None)

    message, timer = await leak_of(leave)
    assert message.count("timer <TimerHandle") == 1
    timer.cancel()


async def test_a_timer_that_equals_another_is_found() -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() + 1000
    other = loop.call_at(due, print)

    async def leave() -> asyncio.TimerHandle:
        return loop.call_at(due, print)

    message, timer = await leak_of(leave)
    assert message.count("timer <TimerHandle") == 1
    timer.cancel()
    other.cancel()


async def test_a_connection_is_found_even_if_it_reads_nothing() -> None:
    async with echo_server() as server:

        async def leave() -> asyncio.StreamWriter:
            writer = await connect(server)
            assert isinstance(writer.transport, asyncio.ReadTransport)
            writer.transport.pause_reading()
            return writer

        message, writer = await leak_of(leave)
        assert "connection <_SelectorSocketTransport" in message
        writer.close()
        await writer.wait_closed()


async def test_a_listening_socket_is_found() -> None:
    async def leave() -> asyncio.Server:
        return await asyncio.start_server(echo, "127.0.0.1", 0)

    message, server = await leak_of(leave)
    assert f"socket with file descriptor {server.sockets[0].fileno()}" in message
    server.close()
    await server.wait_closed()


async def test_a_socket_that_the_loop_watches_is_found() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()

    async def leave() -> None:
        loop.add_reader(ours, lambda: None)

    with ours, theirs:
        message, _ = await leak_of(leave)
        assert f"socket with file descriptor {ours.fileno()}" in message
        loop.remove_reader(ours)


def test_a_thread_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.testing._leaks.PATIENCE", 0)
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait, name="forgotten")
    assert "thread <Thread(forgotten" in leak_of_sync(thread.start)
    gate.set()
    thread.join()


def test_a_thread_that_ends_gets_its_chance() -> None:
    with leak_check():
        threading.Timer(0.01, lambda: None).start()


@pytest.mark.leak_check(pauses=False)
def test_a_pause_is_found() -> None:
    message = leak_of_sync(lambda: FlowControl().pause("somebody"))
    assert message == "left behind:\n  a pause held by 'somebody'"


@pytest.mark.leak_check(pauses=False)
def test_pauses_may_be_let_pass() -> None:
    with leak_check(pauses=False):
        FlowControl().pause("somebody")


@pytest.mark.leak_check(pauses=False)
def test_checks_may_be_nested() -> None:
    pause = FlowControl.pause

    def leave() -> None:
        FlowControl().pause("outer")
        assert leak_of_sync(lambda: FlowControl().pause("inner")).endswith("a pause held by 'inner'")

    assert leak_of_sync(leave).endswith("a pause held by 'outer'\n  a pause held by 'inner'")
    assert FlowControl.pause is pause


async def test_a_failure_of_the_body_is_what_counts() -> None:
    timers: list[asyncio.TimerHandle] = []

    async def fail_in_loop() -> None:
        async with leak_check():
            timers.append(asyncio.get_running_loop().call_later(1000, lambda: None))
            raise ValueError("the body")

    def fail() -> None:
        with leak_check():
            raise ValueError("the body")

    with pytest.raises(ValueError, match="the body"):
        await fail_in_loop()
    with pytest.raises(ValueError, match="the body"):
        fail()
    timers.pop().cancel()


@pytest.mark.leak_check(pauses=False)
def test_a_long_list_is_cut() -> None:
    def leave() -> None:
        for number in range(30):
            FlowControl().pause(number)

    assert leak_of_sync(leave).endswith("held by 19\n  and 10 more")
