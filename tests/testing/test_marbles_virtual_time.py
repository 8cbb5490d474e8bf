"""Virtual time: exact, ordered, in agreement with itself, and never hanging."""

from __future__ import annotations

import asyncio
import functools
import math
import threading
from datetime import timedelta
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import abc
from reactivex import operators as rx_ops
from reactivex.internal.constants import UTC_ZERO

from rxllm.testing import VirtualTimeError, VirtualTimeLoop, VirtualTimeScheduler, run_virtual, virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual_time
async def test_an_hour_passes_at_once() -> None:
    await asyncio.sleep(3600)
    assert now() == 3600


@given(st.lists(st.integers(0, 10**7), max_size=30))
def test_sums_of_microseconds_are_exact(spans: list[int]) -> None:
    async def sleep() -> float:
        for microseconds in spans:
            await asyncio.sleep(microseconds / 1_000_000)
        return now()

    assert run_virtual(sleep()) == sum(spans) / 1_000_000


@virtual_time
async def test_timers_of_one_moment_run_in_the_order_in_which_they_were_set() -> None:
    loop = asyncio.get_running_loop()
    order: list[int] = []
    for number in range(100):
        loop.call_later(0.1 + 0.2 if number % 2 else 0.3, order.append, number)
    loop.call_at(0.1, order.append, -1)
    await asyncio.sleep(0.3)
    assert order == [-1, *range(100)]


@virtual_time
async def test_a_cancelled_timer_takes_no_time() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with asyncio.timeout(1000):
        await asyncio.sleep(1)
    await loop.wait_idle()
    assert now() == 1


@virtual_time
async def test_time_stands_while_a_thread_works() -> None:
    gate = threading.Event()
    asyncio.get_running_loop().call_later(1, gate.set)
    opener = threading.Timer(0.01, gate.set)
    opener.start()
    assert await asyncio.to_thread(gate.wait)
    opener.join()
    assert now() == 0


@virtual_time
async def test_another_thread_gets_time_to_answer() -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(lambda: None)
    answer: asyncio.Future[int] = loop.create_future()
    thread = threading.Timer(0.01, loop.call_soon_threadsafe, [answer.set_result, 42])
    thread.start()
    assert await answer == 42
    thread.join()


@virtual_time
async def test_idle_is_when_nothing_is_left_to_happen() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.call_later(5, lambda: None)
    await asyncio.gather(loop.wait_idle(), loop.wait_idle())
    assert now() == 5


@virtual_time
async def test_whoever_gave_up_waiting_for_idleness_is_not_told() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    waiting = asyncio.create_task(loop.wait_idle())
    await asyncio.sleep(0)
    waiting.cancel()
    await loop.wait_idle()
    assert waiting.cancelled()


def test_deadlock_is_an_error_that_names_the_tasks() -> None:
    async def wait() -> None:
        await asyncio.sleep(1.5)
        await asyncio.Event().wait()

    with pytest.raises(VirtualTimeError, match=r"deadlock at 1.5 s(.|\n)*wait\(\)"):
        run_virtual(wait())


def test_deadlock_is_blamed_on_the_callback_that_died() -> None:
    async def wait() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.Event().wait()

    with pytest.raises(VirtualTimeError) as caught:
        run_virtual(wait())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("seconds", [1, math.inf])
def test_an_endless_run_is_an_error(seconds: float) -> None:
    def tick() -> None:
        asyncio.get_running_loop().call_later(seconds, tick)

    async def wait() -> None:
        tick()
        await asyncio.Event().wait()

    with pytest.raises(VirtualTimeError, match="still running after 60 s of virtual time"):
        run_virtual(wait(), limit=60)


def test_an_endless_run_names_the_timers_that_are_set() -> None:
    def ring() -> None:
        raise AssertionError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1_000_000, ring)
        loop.call_later(2_000_000, print).cancel()
        await asyncio.Event().wait()

    with pytest.raises(VirtualTimeError, match=r"TimerHandle when=1000000.*ring") as error:
        run_virtual(main())
    assert "print" not in str(error.value)


def test_a_run_that_goes_round_without_time_passing_is_an_error() -> None:
    def spin() -> None:
        asyncio.get_running_loop().call_soon(spin)

    async def wait() -> None:
        spin()
        await asyncio.Event().wait()

    loop = VirtualTimeLoop(turns=100)
    with (
        asyncio.Runner(loop_factory=lambda: loop) as runner,
        pytest.raises(VirtualTimeError, match="100 turns of the loop at 0 s"),
    ):
        runner.run(wait())


def test_what_a_callback_lets_escape_is_raised() -> None:
    async def sleep() -> None:
        asyncio.get_running_loop().call_later(1, lambda: 1 / 0)
        await asyncio.sleep(2)

    with pytest.raises(ZeroDivisionError):
        run_virtual(sleep())


def test_what_asyncio_complains_about_is_raised() -> None:
    async def complain() -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "something is wrong"})

    with pytest.raises(VirtualTimeError, match="something is wrong"):
        run_virtual(complain())


async def test_no_virtual_time_within_real_time() -> None:
    with pytest.raises(VirtualTimeError, match="runs in this thread already"):
        run_virtual(asyncio.sleep(1))


@virtual_time
async def test_the_scheduler_tells_the_time_of_the_loop() -> None:
    scheduler = VirtualTimeScheduler()
    await asyncio.sleep(0.1)
    await asyncio.sleep(0.2)
    assert scheduler.now == UTC_ZERO + timedelta(milliseconds=300)


@virtual_time
async def test_the_scheduler_runs_actions_in_order_of_time() -> None:
    scheduler = VirtualTimeScheduler()
    ran: list[tuple[str, float]] = []

    def action(name: str, _: abc.SchedulerBase, state: Any = None) -> None:
        ran.append((f"{name} {state}", now()))

    scheduler.schedule_relative(timedelta(seconds=1), functools.partial(action, "later"), "x")
    scheduler.schedule_absolute(scheduler.now + timedelta(seconds=0.5), functools.partial(action, "absolute"))
    scheduler.schedule_relative(0, functools.partial(action, "now"))
    scheduler.schedule_relative(-1, functools.partial(action, "past"))
    scheduler.schedule(functools.partial(action, "soon"))
    scheduler.schedule_relative(2, functools.partial(action, "disposed")).dispose()
    await asyncio.sleep(3)
    assert ran == [("now None", 0), ("past None", 0), ("soon None", 0), ("absolute None", 0.5), ("later x", 1)]


@virtual_time
async def test_asyncio_and_reactivex_agree() -> None:
    scheduler = VirtualTimeScheduler()
    times: list[float] = []
    interval = reactivex.interval(0.1, scheduler=scheduler).pipe(rx_ops.take(3), rx_ops.delay(0.05))
    interval.subscribe(lambda _: times.append(now()), scheduler=scheduler)
    await asyncio.sleep(0.35)
    assert times == [0.15, 0.25, 0.35]


def test_the_decorator_passes_arguments_and_results_on() -> None:
    @virtual_time
    async def add(a: int, *, b: int) -> int:
        await asyncio.sleep(1)
        return a + b

    assert add(1, b=2) == 3
