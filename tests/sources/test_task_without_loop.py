"""A source whose event loop was closed under it can still be left."""

from __future__ import annotations

import asyncio
from typing import Any

from reactivex import abc

from rxllm.flow import Emitter, task_source


def ignore(_: asyncio.AbstractEventLoop, __: dict[str, Any]) -> None:
    """Say nothing of a task that is destroyed."""


def test_left_when_its_loop_is_closed_it_raises_nothing() -> None:
    received: list[str] = []

    async def produce(emitter: Emitter[str]) -> None:
        await emitter.emit(("a",))
        await asyncio.get_running_loop().create_future()

    async def begin() -> abc.DisposableBase:
        subscription = task_source(produce).subscribe(received.append)
        while not received:
            await asyncio.sleep(0)
        return subscription

    loop = asyncio.new_event_loop()
    # What it says when it is closed before its tasks have ended is known.
    loop.set_exception_handler(ignore)
    subscription = loop.run_until_complete(begin())
    (task,) = asyncio.all_tasks(loop)
    loop.close()

    subscription.dispose()

    assert received == ["a"]
    assert not task.done()
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()
