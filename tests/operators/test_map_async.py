"""``map_async``: awaitables, so many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm.exceptions import BufferOverflowError, NoRunningLoopError
from rxllm.flow import FlowControl
from rxllm.testing import Marbles, assert_marbles, assert_pauses, assert_subscriptions

# A frame is 10 ms.


async def thirty(item: str) -> str:
    """Takes three frames."""
    await asyncio.sleep(0.03)
    return item.upper()


def lasting(**frames: float) -> Callable[[str], Awaitable[str]]:
    """Takes so many frames for each item."""

    async def mapper(item: str) -> str:
        await asyncio.sleep(frames[item] / 100)
        return item.upper()

    return mapper


def test_one_at_a_time_pauses_the_producer_meanwhile() -> None:
    marbles = Marbles()
    source = marbles.cold("-abc-|")

    assert_marbles(marbles.run(source.pipe(ops.map_async(thirty))), "----A--B--(C|)")
    assert_pauses(source, "-[--(][) @70ms (][) @100ms ]")


def test_two_at_a_time() -> None:
    marbles = Marbles()
    source = marbles.cold("-abcd|")

    assert_marbles(marbles.run(source.pipe(ops.map_async(thirty, max_concurrency=2))), "----AB-C(D|)")


def test_results_come_in_the_order_of_the_items() -> None:
    marbles = Marbles()
    source = marbles.cold("-abc---|")

    recording = marbles.run(source.pipe(ops.map_async(lasting(a=5, b=1, c=1), max_concurrency=3)))

    assert_marbles(recording, "------(ABC) @70ms |")


def test_unordered_results_come_as_they_are_ready() -> None:
    marbles = Marbles()
    source = marbles.cold("-abc---|")

    recording = marbles.run(source.pipe(ops.map_async(lasting(a=5, b=1, c=1), max_concurrency=3, ordered=False)))

    assert_marbles(recording, "---BC-A|")


async def test_a_mapper_is_no_part_of_an_emission_that_a_result_has_let_go_on() -> None:
    async def current(_: str) -> FlowControl | None:
        return FlowControl.current()

    flows: list[FlowControl | None] = []
    source = reactivex.from_iterable("abcde").pipe(ops.buffer_with_backpressure(8))
    await source.pipe(ops.map_async(current), rx_ops.do_action(flows.append))
    assert flows == [None] * 5


def test_unordered_results_of_one_turn_of_the_loop_come_as_they_were_ready() -> None:
    let_go: list[asyncio.Future[None]] = []

    async def mapper(item: str) -> str:
        if item == "a":
            let_go.append(asyncio.get_running_loop().create_future())
            await let_go[0]
        else:
            let_go[0].set_result(None)
        return item.upper()

    marbles = Marbles()
    source = marbles.cold("-(ab)-|")

    recording = marbles.run(source.pipe(ops.map_async(mapper, max_concurrency=2, ordered=False)))

    assert_marbles(recording, "-(BA)-|")


def test_unordered_a_take_below_forgets_what_else_is_ready() -> None:
    marbles = Marbles()
    source = marbles.cold("-(ab)-|")
    operator = ops.map_async(lasting(a=1, b=1), max_concurrency=2, ordered=False)

    assert_marbles(marbles.run(source.pipe(operator, rx_ops.take(1)), takes=1), "--(A|)")


def test_a_result_that_waits_for_its_turn_keeps_its_place() -> None:
    marbles = Marbles()
    source = marbles.cold("-abcd|")

    # b is ready at once, but waits for a: c cannot start before.
    recording = marbles.run(source.pipe(ops.map_async(lasting(a=5, b=1, c=1, d=1), max_concurrency=2)))

    assert_marbles(recording, "------(AB) @70ms (CD|)")


def test_the_end_waits_for_the_results() -> None:
    marbles = Marbles()

    assert_marbles(marbles.run(marbles.cold("-a|").pipe(ops.map_async(thirty))), "----(A|)")


def test_an_error_of_the_source_waits_for_the_results() -> None:
    marbles = Marbles()
    source = marbles.cold("-a#", error=ConnectionError)

    assert_marbles(
        marbles.run(source.pipe(ops.map_async(thirty, max_concurrency=2))), "----(A#)", error=ConnectionError
    )


async def failing(item: str) -> str:
    if item == "b":
        raise ZeroDivisionError
    return await thirty(item)


def test_an_error_of_the_mapper_comes_behind_the_results_before_it_and_cancels_the_rest() -> None:
    marbles = Marbles()
    source = marbles.cold("-abc-----|")

    recording = marbles.run(source.pipe(ops.map_async(failing, max_concurrency=4)))

    assert_marbles(recording, "----(A#)", error=ZeroDivisionError)
    assert_subscriptions(source, "^---!")


def test_unordered_an_error_of_the_mapper_comes_at_once() -> None:
    marbles = Marbles()

    recording = marbles.run(marbles.cold("-abc-----|").pipe(ops.map_async(failing, max_concurrency=4, ordered=False)))

    assert_marbles(recording, "--#", error=ZeroDivisionError)


def test_a_mapper_that_raises_instead_of_returning_an_awaitable() -> None:
    def broken(item: str) -> Awaitable[str]:
        raise ZeroDivisionError(item)

    marbles = Marbles()

    assert_marbles(marbles.run(marbles.cold("-a").pipe(ops.map_async(broken))), "-#", error=ZeroDivisionError("a"))


def test_a_mapper_that_is_cancelled_by_somebody_else_ends_the_stream() -> None:
    async def cancelled(item: str) -> str:
        raise asyncio.CancelledError(item)

    marbles = Marbles()

    assert_marbles(marbles.run(marbles.cold("-a").pipe(ops.map_async(cancelled))), "-#", error=RuntimeError)


def test_disposing_cancels_what_runs() -> None:
    cancelled: list[str] = []

    async def waiting(item: str) -> str:
        try:
            return await thirty(item)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    marbles = Marbles()
    source = marbles.cold("-abc-|")
    marbles.run(source.pipe(ops.map_async(waiting, max_concurrency=2)), subscribed="^--!")

    assert cancelled == ["a", "b"]


def test_an_error_of_a_task_that_was_cancelled_is_nobodys() -> None:
    async def stubborn(item: str) -> str:
        try:
            return await thirty(item)
        except asyncio.CancelledError:
            raise ZeroDivisionError from None

    marbles = Marbles()
    recording = marbles.run(marbles.cold("-a-").pipe(ops.map_async(stubborn)), subscribed="^--!")

    assert recording.events == []


def test_a_consumer_that_pauses_keeps_results_back_and_the_producer_paused() -> None:
    marbles = Marbles()
    source = marbles.cold("-abc|")

    recording = marbles.run(source.pipe(ops.map_async(lasting(a=0, b=0, c=0))), takes=4)

    assert_marbles(recording, "-A---B---(C|)")


def test_without_a_producer_to_pause_a_second_item_overflows() -> None:
    marbles = Marbles()
    source = marbles.hot("-ab-c|")

    recording = marbles.run(source.pipe(ops.map_async(thirty)))

    assert_marbles(recording, "----(A#)", error=BufferOverflowError)


def test_a_buffer_in_front_lets_items_wait() -> None:
    marbles = Marbles()
    source = marbles.hot("-ab|")

    recording = marbles.run(source.pipe(ops.buffer_with_backpressure(1), ops.map_async(thirty)))

    assert_marbles(recording, "----A--(B|)")


def test_an_item_in_excess_waits_for_a_place() -> None:
    """Behind ``merge`` one item of each further source is under way when the first is paused."""
    marbles = Marbles()
    merged = reactivex.merge(marbles.cold("-a|"), marbles.cold("-b|"))

    assert_marbles(marbles.run(merged.pipe(ops.map_async(thirty))), "----A--(B|)")


def test_the_mapper_is_no_part_of_the_emission_that_brought_the_item() -> None:
    async def current(_: str) -> str:
        return str(FlowControl.current())

    marbles = Marbles()

    assert_marbles(marbles.run(marbles.cold("-a|").pipe(ops.map_async(current))), "-N|", N="None")


def test_what_a_mapper_sets_in_its_context_is_not_seen_by_the_others() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="")

    async def remember(item: str) -> str:
        before = variable.get()
        variable.set(item)
        return before + item

    marbles = Marbles()

    assert_marbles(marbles.run(marbles.cold("-ab|").pipe(ops.map_async(remember))), "-ab|")


def test_tasks_that_end_in_the_turn_of_a_dispose_are_nobodys() -> None:
    async def at_once(item: str) -> str:
        if item == "d":
            raise ZeroDivisionError
        return item

    marbles = Marbles()
    source = marbles.cold("-(abcd)|")

    recording = marbles.run(source.pipe(ops.map_async(at_once, max_concurrency=4, ordered=False), rx_ops.take(1)))

    assert_marbles(recording, "-(a|)")


def test_a_task_that_is_cancelled_in_the_turn_of_a_dispose_is_nobodys() -> None:
    async def mapper(item: str) -> str:
        if item == "a":
            raise asyncio.CancelledError
        return item

    marbles = Marbles()
    source = marbles.cold("-(ab)|")

    recording = marbles.run(
        source.pipe(ops.map_async(mapper, max_concurrency=2, ordered=False), rx_ops.take(1)), takes=1
    )

    assert_marbles(recording, "-(b|)")


def test_unordered_an_error_comes_in_the_order_of_becoming_ready() -> None:
    async def mapper(item: str) -> str:
        if item == "a":
            raise ZeroDivisionError
        return item

    marbles = Marbles()

    recording = marbles.run(marbles.cold("-(ab)|").pipe(ops.map_async(mapper, max_concurrency=2, ordered=False)))

    assert_marbles(recording, "-#", error=ZeroDivisionError)


def test_a_mapper_that_ends_the_program_ends_it() -> None:
    async def leaving(item: str) -> str:
        raise SystemExit(item)

    async def main() -> None:
        await reactivex.just("goodbye").pipe(ops.map_async(leaving))

    with pytest.raises(SystemExit, match="goodbye"):
        asyncio.run(main())


async def test_an_observer_that_throws_ends_the_stream_with_its_exception() -> None:
    failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def on_next(_: str) -> None:
        raise ZeroDivisionError

    reactivex.concat(reactivex.of("a"), reactivex.never()).pipe(ops.map_async(thirty)).subscribe(
        on_next, failed.set_result
    )

    assert isinstance(await failed, ZeroDivisionError)


def test_neither_is_it_part_of_the_emission_in_which_somebody_subscribed() -> None:
    async def current(_: str) -> str:
        return str(FlowControl.current())

    marbles = Marbles()
    inner = reactivex.of("x").pipe(ops.map_async(current))

    def observe(_: str) -> Observable[str]:
        return inner

    assert_marbles(marbles.run(marbles.cold("-a|").pipe(rx_ops.flat_map(observe))), "-N|", N="None")


def test_a_take_below_cancels_the_rest() -> None:
    marbles = Marbles()
    source = marbles.cold("-abc|")

    recording = marbles.run(source.pipe(ops.map_async(thirty, max_concurrency=3), rx_ops.take(1)))

    assert_marbles(recording, "----(A|)")
    assert_subscriptions(source, "^---!")


def test_outside_a_loop_it_says_what_to_do() -> None:
    errors: list[Exception] = []
    reactivex.just("a").pipe(ops.map_async(thirty)).subscribe(on_error=errors.append)

    assert isinstance(errors[0], NoRunningLoopError)


def test_at_least_one_at_a_time() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ops.map_async(thirty, max_concurrency=0)
