"""The thread for what blocks."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from rxllm.stores import Worker


async def test_calls_run_in_one_thread_in_order() -> None:
    worker = Worker()
    seen: list[tuple[int, int]] = []

    def note(number: int) -> None:
        seen.append((number, threading.get_ident()))

    await asyncio.gather(*(worker.run(note, number) for number in range(20)))
    threads = {thread for _, thread in seen}
    assert [number for number, _ in seen] == list(range(20))
    assert len(threads) == 1
    assert threads != {threading.get_ident()}
    await worker.stop(lambda: None)


async def test_a_call_that_was_made_runs_although_nobody_waits() -> None:
    worker = Worker()
    gate = threading.Event()
    ran = threading.Event()
    first = asyncio.ensure_future(worker.run(gate.wait))
    second = asyncio.ensure_future(worker.run(ran.set))
    await asyncio.sleep(0)
    second.cancel()
    gate.set()
    await first
    await worker.stop(lambda: None)
    assert second.cancelled()
    assert ran.is_set()


async def test_nobody_is_told_of_a_call_that_failed_when_nobody_waited() -> None:
    heard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    worker = Worker()
    gate = threading.Event()

    def fail() -> None:
        gate.wait()
        raise KeyError("x")

    waiting = asyncio.create_task(worker.run(fail))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    gate.set()
    await worker.stop(lambda: None)
    gc.collect()
    assert heard == []


def test_nobody_is_told_of_a_call_that_fails_in_the_turn_in_which_the_loop_ends() -> None:
    heard: list[object] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: heard.append(context))
    worker = Worker()
    gate = threading.Event()
    behind = threading.Event()

    def fail() -> None:
        gate.wait()
        raise KeyError("x")

    async def leave() -> None:
        waiting = [asyncio.create_task(worker.run(call)) for call in (fail, behind.set)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

    def stop_when_it_has_failed() -> None:
        gate.set()
        behind.wait()
        loop.stop()

    loop.run_until_complete(leave())
    loop.call_soon(stop_when_it_has_failed)
    loop.run_forever()
    # What the thread has told is heard of in the turn that is the last.
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    asyncio.run(worker.stop(lambda: None))
    gc.collect()
    assert heard == []


async def test_exceptions_come_back_and_the_thread_ends_all_the_same() -> None:
    worker = Worker()
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 / 0)

    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await worker.stop(fail)


async def test_stopping_that_is_cancelled_ends_the_thread() -> None:
    worker = Worker()
    gate = threading.Event()

    def wait() -> None:
        gate.wait()

    stopping = asyncio.ensure_future(worker.stop(wait))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    gate.set()
