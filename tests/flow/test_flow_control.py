"""The rules of ``FlowControl``, one by one; through whole chains they are tested in ``test_chains.py``."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from rxllm.exceptions import NoRunningLoopError
from rxllm.flow import FlowControl, LoopDisposable, Pauses, running_loop


def divide_by_zero() -> None:
    _ = 1 // 0


class ManualClock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_nobody_is_current_outside_an_emission() -> None:
    assert FlowControl.current() is None


def test_the_deliverer_is_current_while_it_delivers_and_only_then() -> None:
    outer, inner = FlowControl(), FlowControl()
    seen: list[FlowControl | None] = []

    def nested(item: str) -> None:
        seen.append(FlowControl.current())
        inner.deliver(lambda _: seen.append(FlowControl.current()), item)
        seen.append(FlowControl.current())

    outer.deliver(nested, "item")

    assert seen == [outer, inner, outer]
    assert FlowControl.current() is None


def test_a_delivery_that_raises_leaves_nobody_current() -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        FlowControl().deliver(fail, "item")

    assert FlowControl.current() is None


def test_a_pause_is_idempotent_and_ends_with_its_holder() -> None:
    flow = FlowControl()

    flow.pause("a")
    flow.pause("a")
    assert flow.paused
    flow.resume("a")

    assert not flow.paused


def test_it_runs_only_when_no_holder_is_left() -> None:
    flow = FlowControl()
    flow.pause("a")
    flow.pause("b")

    flow.resume("a")
    assert flow.paused
    assert flow.holders == ("b",)
    flow.resume("stranger")
    assert flow.paused
    flow.resume("b")

    assert not flow.paused


def test_callbacks_come_once_when_the_last_pause_ends() -> None:
    flow = FlowControl()
    calls: list[str] = []
    flow.pause("a")
    flow.pause("b")
    flow.when_resumed(lambda: calls.append("resumed"))

    flow.resume("a")
    assert calls == []
    flow.resume("b")
    flow.pause("a")
    flow.resume("a")

    assert calls == ["resumed"]


def test_a_callback_comes_at_once_where_there_is_no_pause() -> None:
    calls: list[str] = []

    withdraw = FlowControl().when_resumed(lambda: calls.append("resumed"))
    withdraw()

    assert calls == ["resumed"]


def test_a_withdrawn_callback_does_not_come() -> None:
    flow = FlowControl()
    calls: list[str] = []
    flow.pause("a")
    withdraw = flow.when_resumed(lambda: calls.append("resumed"))

    withdraw()
    withdraw()
    flow.resume("a")

    assert calls == []


def test_a_callback_that_raises_does_not_keep_the_others() -> None:
    flow = FlowControl()
    calls: list[str] = []
    flow.pause("a")
    flow.when_resumed(lambda: calls.append("first"))
    flow.when_resumed(divide_by_zero)
    flow.when_resumed(lambda: calls.append("third"))

    with pytest.raises(ZeroDivisionError):
        flow.resume("a")

    assert calls == ["first", "third"]


def test_what_goes_on_when_resumed_is_no_emission_even_if_it_was_resumed_within_one() -> None:
    flow, other = FlowControl(), FlowControl()
    seen: list[FlowControl | None] = []
    flow.pause("a")
    flow.when_resumed(lambda: seen.append(FlowControl.current()))

    other.deliver(flow.resume, "a")

    assert seen == [None]


def test_paused_time_is_counted_over_all_holders_and_up_to_now() -> None:
    clock = ManualClock()
    flow = FlowControl(clock=clock)
    clock.time += 5
    assert flow.paused_time == 0

    flow.pause("a")
    clock.time += 2
    flow.pause("b")
    clock.time += 3
    flow.resume("a")
    clock.time += 4
    assert flow.paused_time == 9
    flow.resume("b")
    clock.time += 10
    assert flow.paused_time == 9

    flow.pause("a")
    clock.time += 1
    assert flow.paused_time == 10
    flow.resume("a")


def test_since_when_somebody_holds_a_pause_is_known_and_stays_when_it_is_taken_again() -> None:
    flow = FlowControl(clock=ManualClock())
    before = time.monotonic()
    flow.pause("a")
    flow.pause("b")
    ((first, since), (second, later)) = flow.held_since
    assert (first, second) == ("a", "b")
    assert before <= since <= later <= time.monotonic()

    flow.pause("a")
    assert flow.held_since == (("a", since), ("b", later))
    flow.resume("a")
    flow.pause("a")
    ((_, kept), (_, anew)) = flow.held_since
    assert kept == later
    assert anew >= later
    flow.resume("a")
    flow.resume("b")
    assert not flow.held_since


def test_untimed_counts_as_paused_time_once_and_pauses_nobody() -> None:
    clock = ManualClock()
    flow = FlowControl(clock=clock)
    assert flow.is_timed

    with flow.untimed():
        clock.time += 1
        assert (flow.paused, flow.is_timed, flow.paused_time) == (False, False, 1)
        with flow.untimed():
            clock.time += 2
        clock.time += 3
        flow.pause("a")
        clock.time += 4
        assert flow.paused
    clock.time += 5
    assert (flow.is_timed, flow.paused_time) == (False, 15)
    with flow.untimed():
        clock.time += 6
        flow.resume("a")
        clock.time += 7
        assert (flow.paused, flow.is_timed) == (False, False)
    clock.time += 8

    assert (flow.is_timed, flow.paused_time) == (True, 28)


def test_time_counts_again_behind_an_error() -> None:
    flow = FlowControl()
    with pytest.raises(ZeroDivisionError), flow.untimed():
        divide_by_zero()

    assert flow.is_timed


async def test_waiting_ends_with_the_last_pause_even_if_another_begins_first() -> None:
    flow = FlowControl()
    flow.pause("a")
    waiting = asyncio.create_task(flow.wait_resumed())
    await asyncio.sleep(0)

    flow.resume("a")
    flow.pause("b")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    flow.resume("b")

    await waiting


async def test_a_wait_that_is_cancelled_leaves_no_callback_behind() -> None:
    flow = FlowControl()
    flow.pause("a")
    waiting = asyncio.create_task(flow.wait_resumed())
    await asyncio.sleep(0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    flow.resume("a")

    assert not flow.paused


async def test_a_resume_from_another_thread_takes_effect_in_the_thread_of_the_loop() -> None:
    flow = FlowControl()
    threads: list[int] = []
    flow.pause("a")
    flow.when_resumed(lambda: threads.append(threading.get_ident()))

    await asyncio.to_thread(flow.resume, "a")
    await flow.wait_resumed()

    assert threads == [threading.get_ident()]


async def test_a_resume_under_way_from_another_thread_does_not_end_a_later_pause() -> None:
    flow = FlowControl()
    flow.pause("a")

    thread = threading.Thread(target=flow.resume, args=("a",))
    thread.start()
    thread.join()
    flow.pause("a")
    await asyncio.sleep(0)

    assert flow.paused
    flow.resume("a")


def test_pauses_of_one_holder_over_several_producers() -> None:
    first, second = FlowControl(), FlowControl()
    pauses = Pauses()
    held: list[bool] = []
    for flow in (first, first, second):
        flow.deliver(lambda _: held.append(pauses.hold()), None)

    assert held == [True, True, True]
    assert (bool(pauses), first.paused, second.paused) == (True, True, True)
    pauses.release()

    assert (bool(pauses), first.paused, second.paused) == (False, False, False)


def test_nobody_can_be_held_outside_an_emission() -> None:
    pauses = Pauses()

    assert not pauses.hold()
    assert not pauses


async def test_a_task_that_entered_is_current_in_all_it_calls_until_it_leaves() -> None:
    flow = FlowControl()

    async def produce() -> list[FlowControl | None]:
        flow.enter()
        before = FlowControl.current()
        await asyncio.sleep(0)
        between = FlowControl.current()
        FlowControl.leave()
        return [before, between, FlowControl.current()]

    assert await asyncio.create_task(produce()) == [flow, flow, None]
    assert FlowControl.current() is None


def test_nothing_is_left_to_dispose_when_the_loop_is_closed() -> None:
    calls: list[str] = []
    loop = asyncio.new_event_loop()
    loop.close()

    LoopDisposable(loop, lambda: calls.append("disposed")).dispose()

    assert calls == []


def test_no_running_loop_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(NoRunningLoopError, match=r"rxllm\.run"):
        running_loop("a source")


async def test_the_running_loop_is_found() -> None:
    assert running_loop("a source") is asyncio.get_running_loop()
