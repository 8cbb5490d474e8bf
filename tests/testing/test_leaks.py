"""The leak check finds what is left, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rxllm.flow import FlowControl
from rxllm.testing import LeakError, leak_check
from rxllm.testing import _leaks as leaks


@asynccontextmanager
async def echo_server() -> AsyncIterator[asyncio.Server]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        yield server


async def connect(server: asyncio.Server) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    return writer


def failed(error: pytest.ExceptionInfo[LeakError]) -> str:
    message = str(error.value)
    assert message.startswith("left behind:\n  ")
    assert isinstance(error.value, AssertionError)
    return message


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
    with pytest.raises(LeakError) as error:
        async with leak_check():
            task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
    assert "task <Task pending name='forgotten'" in failed(error)
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
    monkeypatch.setattr(leaks, "PATIENCE", 0)
    free = asyncio.Event()

    async def stubborn() -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue

    with pytest.raises(LeakError) as error:
        async with leak_check():
            task = asyncio.create_task(stubborn())
            await asyncio.sleep(0)
            task.cancel()
    assert "stubborn" in failed(error)
    free.set()
    await task


async def test_a_timer_is_found() -> None:
    with pytest.raises(LeakError) as error:
        async with leak_check():
            timer = asyncio.get_running_loop().call_later(1000, lambda: None)
            asyncio.get_running_loop().call_later(1000, lambda: None).cancel()
    assert failed(error).count("timer <TimerHandle") == 1
    timer.cancel()


async def test_a_timer_that_equals_another_is_found() -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() + 1000
    timers = [loop.call_at(due, print)]
    with pytest.raises(LeakError, match="timer"):
        async with leak_check():
            timers.append(loop.call_at(due, print))
    for timer in timers:
        timer.cancel()


async def test_a_connection_is_found_even_if_it_reads_nothing() -> None:
    async with echo_server() as server:
        with pytest.raises(LeakError) as error:
            async with leak_check():
                writer = await connect(server)
                writer.transport.pause_reading()  # type: ignore[attr-defined]
        assert "connection <_SelectorSocketTransport" in failed(error)
        writer.close()
        await writer.wait_closed()


async def test_a_listening_socket_is_found() -> None:
    with pytest.raises(LeakError) as error:
        async with leak_check():
            server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    assert f"socket with file descriptor {server.sockets[0].fileno()}" in failed(error)
    server.close()
    await server.wait_closed()


async def test_a_socket_that_the_loop_watches_is_found() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(LeakError, match="socket with file descriptor"):
            async with leak_check():
                loop.add_reader(ours, lambda: None)
        loop.remove_reader(ours)


def test_a_thread_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "PATIENCE", 0)
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait, name="forgotten")
    with pytest.raises(LeakError) as error, leak_check():
        thread.start()
    assert "thread <Thread(forgotten" in failed(error)
    gate.set()
    thread.join()


def test_a_thread_that_ends_gets_its_chance() -> None:
    with leak_check():
        threading.Timer(0.01, lambda: None).start()


@pytest.mark.leaves_pauses
def test_a_pause_is_found() -> None:
    with pytest.raises(LeakError) as error, leak_check():
        FlowControl().pause("somebody")
    assert failed(error) == "left behind:\n  a pause held by 'somebody'"


@pytest.mark.leaves_pauses
def test_pauses_may_be_let_pass() -> None:
    with leak_check(pauses=False):
        FlowControl().pause("somebody")


@pytest.mark.leaves_pauses
def test_checks_may_be_nested() -> None:
    pause = FlowControl.pause
    with pytest.raises(LeakError, match="outer"), leak_check():
        FlowControl().pause("outer")
        with pytest.raises(LeakError, match="inner"), leak_check():
            FlowControl().pause("inner")
    assert FlowControl.pause is pause


async def test_a_failure_of_the_body_is_what_counts() -> None:
    with pytest.raises(ZeroDivisionError):
        async with leak_check():
            timer = asyncio.get_running_loop().call_later(1000, lambda: 1 / 0)
            timer.cancel()
            1 / 0  # noqa: B018 - raises
    with pytest.raises(ZeroDivisionError), leak_check():
        1 / 0  # noqa: B018 - raises


@pytest.mark.leaves_pauses
def test_a_long_list_is_cut() -> None:
    with pytest.raises(LeakError) as error, leak_check():
        for number in range(30):
            FlowControl().pause(number)
    assert failed(error).endswith("held by 19\n  and 10 more")


def test_a_loop_that_shows_nothing_has_nothing() -> None:
    class Opaque(asyncio.AbstractEventLoop):
        pass

    loop = Opaque()
    assert leaks._timers(loop) == []
    assert leaks._transports(loop) == []
    assert leaks._watched(loop) == set()
    assert list(leaks._workers(loop)) == []
