"""Under ``asyncio.eager_task_factory`` (Python 3.12) our tasks begin in a turn of their own, as they do without it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextvars import copy_context

import pytest
import reactivex
from reactivex.disposable import SerialDisposable

from rxllm import operators as ops
from rxllm.flow import FlowControl, start_task
from rxllm.sources import from_async_iterable
from rxllm.typing import Ending


@pytest.fixture(autouse=True)
async def eager() -> None:
    """Let tasks that are made with ``create_task`` take their first step at once."""
    if sys.version_info >= (3, 12):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)


async def note(into: list[str], word: str) -> None:
    into.append(word)


async def test_a_task_begins_when_whoever_made_it_has_gone_on() -> None:
    said: list[str] = []
    eager_task = asyncio.create_task(note(said, "eager"))
    task = start_task(asyncio.get_running_loop(), note(said, "begun"), copy_context())
    said.append("made")
    await asyncio.gather(eager_task, task)
    assert said == ["eager", "made", "begun"]


async def words() -> AsyncIterator[str]:
    yield "a"
    yield "b"


async def test_a_source_emits_when_there_is_a_subscription_to_leave() -> None:
    said: list[str] = []
    subscription = SerialDisposable()

    def on_next(word: str) -> None:
        said.append(word)
        subscription.dispose()

    subscription.disposable = from_async_iterable(words).subscribe(on_next)
    said.append("subscribed")
    for _ in range(10):
        await asyncio.sleep(0)
    assert said == ["subscribed", "a"]


async def test_a_source_that_ends_in_its_first_step_completes() -> None:
    said: list[str] = []
    from_async_iterable(words).subscribe(said.append, on_completed=lambda: said.append("|"))
    assert said == []
    assert await from_async_iterable(words) == "b"
    assert said == ["a", "b", "|"]


@pytest.mark.parametrize("places", [1, 3])
@pytest.mark.parametrize("ordered", [True, False])
async def test_a_mapper_that_does_not_suspend(places: int, *, ordered: bool) -> None:
    async def upper(word: str) -> str:
        assert FlowControl.current() is None
        return word.upper()

    said: list[str] = []
    source = reactivex.from_iterable("abcde").pipe(ops.buffer_with_backpressure(8))
    await source.pipe(ops.map_async(upper, max_concurrency=places, ordered=ordered), ops.tee_to(Store(said)))
    assert said == ["open", "A", "B", "C", "D", "E", "completed"]


async def test_a_mapper_that_raises_at_once() -> None:
    async def fail(word: str) -> str:
        raise LookupError(word)

    with pytest.raises(LookupError, match="a"):
        await reactivex.of("a").pipe(ops.map_async(fail))


class Store:
    """A sink none of whose methods suspends."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    async def open(self) -> Store:
        self._said.append("open")
        return self

    async def write(self, items: Sequence[str], /) -> None:
        self._said += items

    async def close(self, ending: Ending, /) -> None:
        self._said.append(ending.kind)


async def test_a_sink_is_opened_when_the_source_has_begun() -> None:
    said: list[str] = []
    from_async_iterable(words).pipe(ops.tee_to(Store(said))).subscribe()
    assert said == []
    await from_async_iterable(words).pipe(ops.tee_to(Store([])))
    assert said == ["open", "a", "b", "completed"]


async def test_a_sink_of_a_source_that_has_ended_before_it_is_opened() -> None:
    said: list[str] = []
    assert await reactivex.of("a").pipe(ops.tee_to(Store(said))) == "a"
    assert said == ["open", "a", "completed"]
