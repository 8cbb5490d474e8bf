"""``timeout_per_chunk``: the silence of the producer, exactly."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable

import pytest
import reactivex
from reactivex import abc
from reactivex import operators as rx_ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject
from reactivex.testing import TestScheduler

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import ChunkTimeoutError, NoRunningLoopError
from rxllm.flow import FlowControl, Stream
from rxllm.testing import Marbles, VirtualTimeLoop, assert_marbles, assert_subscriptions, run_virtual

# A frame is 10 ms.


@pytest.mark.parametrize(
    ("source", "result", "error"),
    [
        ("--a-b-----c-|", "--a-b----#", ChunkTimeoutError("gap", 0.05, 2)),
        ("--a-b----c-|", "--a-b----c-|", None),
        ("--a-b---c-|", "--a-b---c-|", None),
        ("-----a-|", "-----#", ChunkTimeoutError("first", 0.05, 0)),
        ("----a-|", "----a-|", None),
        ("-a-----(bc)-", "-a----#", ChunkTimeoutError("gap", 0.05, 1)),
        ("-a---(bc)-", "-a---(bc) @100ms #", ChunkTimeoutError("gap", 0.05, 3)),
        ("----(abc)", "----(abc)#", ChunkTimeoutError("gap", 0.05, 3)),
        ("-----", "-----#", ChunkTimeoutError("first", 0.05, 0)),
    ],
)
def test_silence(source: str, result: str, error: Exception | None) -> None:
    marbles = Marbles()

    recording = marbles.run(marbles.cold(source).pipe(ops.timeout_per_chunk(0.05)))

    assert_marbles(recording, result, error=error)


@pytest.mark.parametrize(
    ("source", "result", "error"),
    [
        ("-----------a-b-|", "----------#", ChunkTimeoutError("first", 0.1, 0)),
        ("---------a----b-|", "---------a--#", ChunkTimeoutError("gap", 0.03, 1)),
        ("-a-------b-|", "-a--#", ChunkTimeoutError("gap", 0.03, 1)),
        ("---------a-b-|", "---------a-b-|", None),
    ],
)
def test_the_first_chunk_has_a_limit_of_its_own(source: str, result: str, error: Exception | None) -> None:
    marbles = Marbles()

    recording = marbles.run(marbles.cold(source).pipe(ops.timeout_per_chunk(0.03, first=0.1)))

    assert_marbles(recording, result, error=error)


def test_a_limit_for_the_first_chunk_that_is_shorter() -> None:
    marbles = Marbles()

    recording = marbles.run(marbles.cold("-a----b").pipe(ops.timeout_per_chunk(0.06, first=0.02)))

    assert_marbles(recording, "-a----b-----#", error=ChunkTimeoutError("gap", 0.06, 2))


def test_the_source_is_disposed_before_the_error() -> None:
    marbles = Marbles()
    source = marbles.cold("-a--------b")

    marbles.run(source.pipe(ops.timeout_per_chunk(0.05)))

    assert_subscriptions(source, "^-----!")


def test_paused_time_does_not_count() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-b-|")

    # The consumer stands still for 300 ms; the producer has 20 ms between chunks.
    recording = marbles.run(source.pipe(ops.timeout_per_chunk(0.05)), pauses="-- [ 300ms ] ")

    assert_marbles(recording, "-a 310ms (b|)")


def test_silence_before_and_after_a_pause_adds_up() -> None:
    marbles = Marbles()

    # 20 ms of silence, 100 ms of pause, 30 ms of silence.
    recording = marbles.run(marbles.cold("-a-").pipe(ops.timeout_per_chunk(0.05)), pauses="--- [ 100ms ]")

    error = ChunkTimeoutError("gap", 0.05, 1)
    assert_marbles(recording, "-a @170ms #", error=error)


def test_a_pause_before_the_last_chunk_does_not_count_for_the_silence_after_it() -> None:
    marbles = Marbles()

    recording = marbles.run(marbles.cold("-a-b").pipe(ops.timeout_per_chunk(0.05)), pauses="-- [ 300ms ]")

    assert_marbles(recording, "-a @330ms b @380ms #", error=ChunkTimeoutError("gap", 0.05, 2))


@pytest.mark.parametrize(
    ("silences", "error", "seconds"),
    [
        # Seconds of silence, seconds in which the source waits for a person, and again seconds of silence.
        ((2, 1000, 2), None, 1004),
        ((4.999_999, 1000, 0), None, 1004.999_999),
        ((6, 1000, 0), ChunkTimeoutError("gap", 5, 1), 5),
        # Looked at each five seconds while it waits: the end of that is no event.
        ((2, 1000, 8), ChunkTimeoutError("gap", 5, 1), 1005),
    ],
)
def test_time_in_which_the_source_waits_for_a_person_does_not_count(
    silences: tuple[float, float, float], error: ChunkTimeoutError | None, seconds: float
) -> None:
    before, waiting, after = silences

    async def source() -> AsyncIterator[int]:
        flow = FlowControl.current()
        assert flow is not None
        yield 1
        await asyncio.sleep(before)
        with flow.untimed():
            await asyncio.sleep(waiting)
        await asyncio.sleep(after)
        yield 2

    async def main() -> None:
        failure: Exception | None = None
        began = asyncio.get_running_loop().time()
        try:
            await rxllm.from_async_iterable(source).pipe(ops.timeout_per_chunk(5))
        except ChunkTimeoutError as raised:
            failure = raised
        assert repr(failure) == repr(error)
        assert asyncio.get_running_loop().time() - began == pytest.approx(seconds)

    run_virtual(main())


def test_another_source_takes_over() -> None:
    marbles = Marbles()
    source = marbles.cold("-a--------b")
    other = marbles.cold("-x-y-|")

    recording = marbles.run(source.pipe(ops.timeout_per_chunk(0.05, other=other)))

    assert_marbles(recording, "-a-----x-y-|")
    assert_subscriptions(source, "^-----!")
    assert_subscriptions(other, "------^----!")


def test_disposing_disposes_the_source_that_took_over() -> None:
    marbles = Marbles()
    other = marbles.cold("-x-y-|")

    marbles.run(marbles.cold("-").pipe(ops.timeout_per_chunk(0.05, other=other)), subscribed="^-------!")

    assert_subscriptions(other, "-----^--!")


def test_the_scheduler_given_wins() -> None:
    scheduler = TestScheduler()
    errors: list[Exception] = []
    reactivex.never().pipe(ops.timeout_per_chunk(5, scheduler=scheduler)).subscribe(on_error=errors.append)

    scheduler.advance_by(4.9)
    assert errors == []
    scheduler.advance_by(0.2)

    assert isinstance(errors[0], ChunkTimeoutError)


def test_the_scheduler_of_the_subscription_is_next() -> None:
    scheduler = TestScheduler()
    errors: list[Exception] = []
    reactivex.never().pipe(ops.timeout_per_chunk(5)).subscribe(on_error=errors.append, scheduler=scheduler)

    scheduler.advance_by(5.1)

    assert isinstance(errors[0], ChunkTimeoutError)


def test_a_disposed_timer_of_a_scheduler_does_not_fire() -> None:
    scheduler = TestScheduler()
    errors: list[Exception] = []
    reactivex.never().pipe(ops.timeout_per_chunk(5, scheduler=scheduler)).subscribe(on_error=errors.append).dispose()

    scheduler.advance_by(10)

    assert errors == []


def test_outside_a_loop_and_without_a_scheduler_it_says_what_to_do() -> None:
    errors: list[Exception] = []
    reactivex.never().pipe(ops.timeout_per_chunk(5)).subscribe(on_error=errors.append)

    assert isinstance(errors[0], NoRunningLoopError)


@pytest.mark.parametrize(("first", "timers"), [(None, 1), (30, 1), (90, 2)])
def test_one_timer_a_subscription_whatever_the_number_of_chunks(first: float | None, timers: int) -> None:
    """Only a gap shorter than the time for the first chunk needs another."""
    armed = 0

    class CountingLoop(VirtualTimeLoop):
        def call_at(self, *args: object, **options: object) -> asyncio.TimerHandle:
            nonlocal armed
            armed += 1
            return super().call_at(*args, **options)  # type: ignore[arg-type]

    async def main() -> int:
        nonlocal armed
        armed = 0
        return await reactivex.of(*range(10_000)).pipe(ops.timeout_per_chunk(60, first=first), rx_ops.count())

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        assert runner.run(main()) == 10_000
    assert armed == timers


class Timer(reactivex.abc.DisposableBase):
    """A timer that counts how often it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = 0

    def dispose(self) -> None:
        self.cancelled += 1


def test_a_timer_that_is_made_while_another_thread_disposes_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    timers: list[Timer] = []
    subscription = source.pipe(ops.timeout_per_chunk(1, first=5, scheduler=scheduler)).subscribe()

    def schedule_late(*_: object, **__: object) -> Timer:
        thread = threading.Thread(target=subscription.dispose)
        thread.start()
        thread.join()
        timers.append(Timer())
        return timers[-1]

    monkeypatch.setattr(scheduler, "schedule_relative", schedule_late)
    source.on_next(1)  # the gap is shorter than what is left of the time for the first chunk

    assert [timer.cancelled for timer in timers] == [1]


def test_after_it_was_disposed_a_timer_that_is_under_way_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer of another thread may fire in the moment in which somebody leaves."""
    scheduler = TestScheduler()
    fired: list[Callable[..., object]] = []
    received: list[object] = []

    def subscribed(_: object) -> reactivex.Observable[int]:
        received.append("other was subscribed to")
        return reactivex.empty()

    other = reactivex.defer(subscribed)

    def schedule(_: object, action: Callable[..., object], state: object = None) -> Timer:
        del state
        fired.append(action)
        return Timer()

    monkeypatch.setattr(scheduler, "schedule_relative", schedule)
    subscription = (
        reactivex.never()
        .pipe(ops.timeout_per_chunk(5, other=other, scheduler=scheduler))
        .subscribe(received.append, received.append)
    )
    subscription.dispose()
    scheduler.advance_by(6)
    for action in fired:
        action(scheduler, None)

    assert len(fired) == 1
    assert received == []


def test_the_error_is_a_timeout_error_that_says_which_limit_it_was() -> None:
    error = ChunkTimeoutError("gap", 2.5, 7)

    assert isinstance(error, TimeoutError)
    assert str(error) == "waited 2.5 s for a chunk after chunk 7"
    assert str(ChunkTimeoutError("first", 60, 0)) == "waited 60 s for the first chunk"


@pytest.mark.parametrize(("seconds", "first"), [(0, None), (-1, None), (1, 0), (float("nan"), None)])
def test_limits_are_positive(seconds: float, first: float | None) -> None:
    with pytest.raises(ValueError, match="positive"):
        ops.timeout_per_chunk(seconds, first=first)


def test_a_timer_set_within_an_emission_is_no_emission() -> None:
    """A flow copied into a timer would be paused in vain."""

    async def main() -> None:
        seen: list[FlowControl | None] = []
        failed = asyncio.get_running_loop().create_future()

        def on_error(_: Exception) -> None:
            seen.append(FlowControl.current())
            failed.set_result(None)

        def subscribe(_: object) -> None:
            reactivex.never().pipe(ops.timeout_per_chunk(1)).subscribe(on_error=on_error)

        FlowControl().deliver(subscribe, None)
        await failed
        assert seen == [None]

    run_virtual(main())


async def test_a_source_that_starts_when_nobody_listens_any_more_starts_all_the_same() -> None:
    loop = asyncio.get_running_loop()
    came: asyncio.Future[str] = loop.create_future()

    async def items() -> AsyncIterator[str]:
        yield "a"

    def later(_: abc.ObserverBase[str], __: abc.SchedulerBase | None) -> abc.DisposableBase:
        loop.call_soon(lambda: rxllm.from_async_iterable(items).subscribe(came.set_result))
        return Disposable()

    Stream[str](later).pipe(ops.timeout_per_chunk(60)).subscribe().dispose()
    gc.collect()

    assert await came == "a"


def test_what_items_of_others_call_a_stream_is_none_of_a_request() -> None:
    class Line:
        stream = "stdout"

    marbles = Marbles()
    line = Line()

    recording = marbles.run(marbles.cold("-a-a-|", a=line).pipe(ops.timeout_per_chunk(0.05)))

    assert_marbles(recording, "-a-a-|", a=line)
