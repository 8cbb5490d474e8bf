"""The marble kit: sources, consumers, recordings and what assertions say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable, abc
from reactivex import operators as rx_ops
from reactivex.disposable import Disposable

from rxllm import operators as ops
from rxllm.exceptions import BufferOverflowError, ChunkTimeoutError
from rxllm.flow import FlowControl
from rxllm.models import StreamChunk
from rxllm.testing import (
    Completed,
    DiagramError,
    Failed,
    Item,
    LeakError,
    MarbleError,
    Marbles,
    MarbleSource,
    Recording,
    VirtualTimeError,
    assert_marbles,
    assert_pauses,
    assert_subscriptions,
    finish_chunk,
    text_chunk,
    tool_chunk,
    virtual_time,
)
from rxllm.wire import ServerSentEvent


def failure_of(check: Callable[[], object]) -> list[str]:
    """The lines of the message that an assertion fails with."""
    with pytest.raises(AssertionError) as caught:
        check()
    return str(caught.value).splitlines()


# Sources and time


def test_a_cold_source_plays_for_each_subscription(marbles: Marbles) -> None:
    source = marbles.cold("-a-b-|")
    first, second = marbles.subscribe(source), marbles.subscribe(source, subscribed="--^")
    marbles.play()
    assert_marbles(first, "-a-b-|")
    assert_marbles(second, "---a-b-|")
    assert_subscriptions(source, "^----!", "--^----!")


def test_a_hot_source_plays_once(marbles: Marbles) -> None:
    source = marbles.hot("-a-^b-c-d|")
    first = marbles.subscribe(source, subscribed="--^")
    late = marbles.subscribe(source, subscribed="-------^")
    marbles.play()
    assert_marbles(first, "---c-d|")
    assert_marbles(late, "-------|")
    assert_subscriptions(source, "--^---!", "-------(^!)")


def test_subscribers_are_there_when_a_hot_source_emits_at_time_zero(marbles: Marbles) -> None:
    source = marbles.hot("a-b#", error=ValueError)
    assert_marbles(marbles.run(source), "a-b#", error=ValueError())


def test_a_legend_says_what_letters_mean(marbles: Marbles) -> None:
    source = marbles.cold("-a-b-#", {"a": 1}, b=2, error=ValueError("no"))
    recording = marbles.run(source)
    assert recording.events == [Item(10_000, 1), Item(30_000, 2), Failed(50_000, recording.error or ValueError())]
    assert recording.items == [1, 2]
    assert recording.times == [0.01, 0.03]
    assert not recording.completed
    assert isinstance(recording.error, ValueError)
    assert_marbles(recording, "-x-y-#", {"x": 1, "y": 2}, error=ValueError("no"))


def test_without_a_legend_an_error_is_a_marble_error(marbles: Marbles) -> None:
    recording = marbles.run(marbles.cold("-#"))
    assert_marbles(recording, "-#")
    assert isinstance(recording.error, MarbleError)


def test_completion(marbles: Marbles) -> None:
    recording = marbles.run(marbles.cold("-|"))
    assert recording.completed
    assert recording.error is None
    assert recording.events == [Completed(10_000)]


@pytest.mark.parametrize(
    ("diagram", "reason"),
    [("-a|-b", "after the end"), ("-a-[", "does not belong"), ("-a-x", "not in the legend")],
)
def test_diagrams_that_are_no_source(marbles: Marbles, diagram: str, reason: str) -> None:
    with pytest.raises(DiagramError, match=reason):
        marbles.cold(diagram, a=1)


def test_a_misspelled_argument_is_no_letter(marbles: Marbles) -> None:
    with pytest.raises(TypeError, match="'flowcontrolled' is neither"):
        marbles.cold("-a", flowcontrolled=True)


@pytest.mark.parametrize("diagram", ["", "^-^", "!^", "^--!-^", "-a-"])
def test_a_subscription_has_one_beginning(marbles: Marbles, diagram: str) -> None:
    with pytest.raises(DiagramError):
        marbles.subscribe(reactivex.empty(), subscribed=diagram)


def test_frames_may_be_of_any_time() -> None:
    marbles = Marbles(frame=0.0005)
    recording = marbles.run(marbles.cold("-a-b 1s c|").pipe(rx_ops.delay(0.0001)))
    assert recording.times == [0.0006, 0.0016, 1.0021]
    assert_marbles(recording, "600us a 500us b 1s c|")
    with pytest.raises(ValueError, match="at least a microsecond"):
        Marbles(frame=0)


def test_a_disposal_comes_before_what_is_due_at_the_same_time(marbles: Marbles) -> None:
    source = marbles.cold("-a-b-c|")
    recording = marbles.run(source, subscribed="-^--!")
    assert_marbles(recording, "--a")
    assert_subscriptions(source, "-^--!")


def test_what_never_ends_counts_as_never_disposed(marbles: Marbles) -> None:
    source = marbles.cold("-a--")
    assert_marbles(marbles.run(source), "-a")
    assert_subscriptions(source, "^")


def test_an_endless_run_is_an_error() -> None:
    marbles = Marbles(limit=10)
    with pytest.raises(VirtualTimeError, match="still running after 10 s"):
        marbles.run(reactivex.interval(1))
    assert_marbles(marbles.run(reactivex.interval(1), subscribed="^ 2.5s !"), "1s a 990ms b", a=0, b=1)


def test_what_an_observer_lets_escape_fails_the_run(marbles: Marbles) -> None:
    def fail(_: str) -> None:
        raise ValueError("escaped")

    source = marbles.cold("-a|")

    def subscribe(observer: abc.ObserverBase[str], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        return source.subscribe(fail, observer.on_error, observer.on_completed, scheduler=scheduler)

    with pytest.raises(ValueError, match="escaped"):
        marbles.run(Observable(subscribe))


def test_a_task_that_is_left_fails_the_run(marbles: Marbles) -> None:
    left: list[asyncio.Task[bool]] = []

    def subscribe(observer: abc.ObserverBase[str], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        del observer, scheduler
        left.append(asyncio.get_running_loop().create_task(asyncio.Event().wait()))
        return Disposable()

    with pytest.raises(LeakError, match="task"):
        marbles.run(Observable(subscribe))


def test_the_scheduler_is_for_operators(marbles: Marbles) -> None:
    source = marbles.cold("-a-b-|")
    assert_marbles(marbles.run(source.pipe(rx_ops.delay(0.02, scheduler=marbles.scheduler))), "---a-b-|")


# Flow control


@pytest.mark.parametrize(
    ("takes", "result"), [(0, "-abc|"), (0.5, "-abc|"), (1, "-abc|"), (1.5, "-a 5ms b 5ms c 5ms |"), (3, "-a--b--c--|")]
)
def test_a_cold_source_keeps_to_the_pace_of_its_consumer(marbles: Marbles, takes: float, result: str) -> None:
    assert_marbles(marbles.run(marbles.cold("-abc|"), takes=takes), result)


def test_pauses_are_noted(marbles: Marbles) -> None:
    source = marbles.cold("-a----b|")
    recording = marbles.run(source, takes=3)
    assert_marbles(recording, "-a----b--|")
    assert_pauses(source, "-[--]-[--]")
    assert [(hold.start, hold.end, repr(hold.holder)) for hold in source.holds] == [
        (10_000, 40_000, "the consumer of the run"),
        (60_000, 90_000, "the consumer of the run"),
    ]


def test_while_paused_items_wait_and_come_in_order_the_end_last(marbles: Marbles) -> None:
    source = marbles.cold("-abcd|")
    assert_marbles(marbles.run(source, pauses="--[----]--"), "-a-----(bcd|)")
    assert_pauses(source, "--[----]")


def test_an_error_waits_behind_the_items(marbles: Marbles) -> None:
    source = marbles.cold("-ab#")
    assert_marbles(marbles.run(source, pauses="--[----]--"), "-a-----(b#)")


def test_a_pause_before_the_first_item_holds_whoever_delivers_then(marbles: Marbles) -> None:
    source = marbles.cold("--abc|")
    assert_marbles(marbles.run(source, pauses="[-----]"), "--a---(bc|)")
    assert_pauses(source, "--[---]")


def test_a_consumer_that_leaves_resumes(marbles: Marbles) -> None:
    source = marbles.cold("-abc|")
    other = marbles.cold("-xyz|")
    assert_marbles(marbles.run(source.pipe(rx_ops.merge(other)), pauses="--[", subscribed="^---!"), "-(ax)")
    assert_pauses(source, "--[-]")
    assert_pauses(other, "--[-]")


def test_a_run_that_ends_in_a_pause_shows_it(marbles: Marbles) -> None:
    source = marbles.cold("-abc|")
    assert_marbles(marbles.run(source, pauses="--["), "-a")
    assert_pauses(source, "--[")
    assert_subscriptions(source, "^")


def test_a_consumer_that_works_in_its_pause_has_two_reasons(marbles: Marbles) -> None:
    source = marbles.cold("-ab|")
    assert_marbles(marbles.run(source, takes=2, pauses="--[----]"), "-a-----b-|")
    assert_pauses(source, "-[-----(][) @90ms ]")


def test_a_resume_from_a_thread_does_not_end_a_later_pause(marbles: Marbles) -> None:
    def hesitate(item: str) -> str:
        flow = FlowControl.current()
        assert flow is not None
        flow.pause("holder")
        thread = threading.Thread(target=flow.resume, args=["holder"])
        thread.start()
        thread.join()
        flow.resume("holder")
        flow.pause("holder")
        asyncio.get_running_loop().call_later(0.03, flow.resume, "holder")
        return item

    source = marbles.cold("-a|")
    assert_marbles(marbles.run(source.pipe(rx_ops.map(hesitate))), "-a--|")
    assert_pauses(source, "-[--]")
    assert [(hold.start, hold.end) for hold in source.holds] == [(10_000, 10_000), (10_000, 40_000)]


def test_what_comes_in_excess_is_taken_all_the_same(marbles: Marbles) -> None:
    source = marbles.hot("-abc--|")
    assert_marbles(marbles.run(source, takes=2), "-abc--|")


def test_of_two_producers_one_is_an_item_ahead(marbles: Marbles) -> None:
    merged = marbles.cold("-ab-|").pipe(rx_ops.merge(marbles.cold("-xy-|")))
    assert_marbles(marbles.run(merged, takes=2), "-(ax)b-y-|")


def test_a_hot_source_has_nobody_to_pause(marbles: Marbles) -> None:
    source = marbles.hot("-abc|", a=1.0, b=1.0, c=1.0)
    flows = marbles.subscribe(source.pipe(rx_ops.map(lambda _: FlowControl.current())))
    bounded = marbles.subscribe(source.pipe(ops.map_async(asyncio.sleep)))
    marbles.play()
    assert flows.items == [None, None, None]
    assert isinstance(bounded.error, BufferOverflowError)


def test_a_hot_source_that_can_be_paused_is_one_producer(marbles: Marbles) -> None:
    source = marbles.hot("-abc|", flow_controlled=True)
    slow, fast = marbles.subscribe(source, takes=2), marbles.subscribe(source)
    marbles.play()
    assert_marbles(slow, "-a-b-c-|")
    assert_marbles(fast, "-a-b-c-|")


def test_completion_is_no_emission(marbles: Marbles) -> None:
    flows: list[FlowControl | None] = []
    source = marbles.cold("-a|").pipe(
        rx_ops.do_action(
            lambda _: flows.append(FlowControl.current()), None, lambda: flows.append(FlowControl.current())
        )
    )
    outer = marbles.cold("a|").pipe(rx_ops.flat_map(lambda _: source))
    assert_marbles(marbles.run(outer), "-a|")
    assert flows[0] is not None
    assert flows[1] is None


def test_a_pause_of_several_holders_lasts_until_the_last(marbles: Marbles) -> None:
    source = marbles.hot("-ab---|", flow_controlled=True)
    marbles.subscribe(source, pauses="-[--]")
    marbles.subscribe(source, pauses="--[--]")
    marbles.play()
    assert_pauses(source, "-[---]")
    assert [(hold.start, hold.end) for hold in source.holds] == [(10_000, 40_000), (20_000, 50_000)]


def data_of(event: ServerSentEvent) -> str:
    return event.data


def test_a_resume_that_makes_an_operator_emit_may_pause_again_at_once(marbles: Marbles) -> None:
    # One block becomes several events, which ``decode_sse`` hands on within the call that resumes it.
    source = marbles.cold("-a-----|", a=b"data: 1\n\ndata: 2\n\ndata: 3\n\n")
    recording = marbles.run(source.pipe(ops.decode_sse(), rx_ops.map(data_of)), takes=2)
    assert_marbles(recording, "-1-2-3-|")
    assert [(pause.start, pause.end) for pause in source.pauses] == [
        (10_000, 30_000),
        (30_000, 50_000),
        (50_000, 70_000),
    ]


def test_a_source_that_is_disposed_while_paused_is_silent(marbles: Marbles) -> None:
    source = marbles.cold("-abc|")
    recording = marbles.run(source.pipe(rx_ops.take_until(marbles.hot("---x"))), pauses="--[--]")
    assert_marbles(recording, "-a-|")
    assert_subscriptions(source, "^--!")


def test_a_disposal_within_an_item_ends_the_burst(marbles: Marbles) -> None:
    delivered: list[str] = []
    source = marbles.cold("-abc|").pipe(rx_ops.do_action(delivered.append), rx_ops.take(2))
    assert_marbles(marbles.run(source, pauses="--[--]"), "-a---(b|)")
    assert delivered == ["a", "b"]


# In asyncio


@virtual_time
async def test_in_a_test_of_asyncio() -> None:
    marbles = Marbles()
    await asyncio.sleep(1)
    source = marbles.hot("-a-b|")
    recording = marbles.subscribe(source)
    await asyncio.sleep(0.02)
    assert recording.items == ["a"]
    await marbles.finish()
    assert_marbles(recording, "-a-b|")


@virtual_time
async def test_a_source_can_be_awaited() -> None:
    assert await Marbles().cold("-a-b|") == "b"


async def test_not_in_real_time() -> None:
    marbles = Marbles()
    with pytest.raises(VirtualTimeError, match="runs in this thread already"):
        marbles.play()
    with pytest.raises(VirtualTimeError, match="virtual time only"):
        await marbles.cold("-a|")


# Chunks


def test_chunks_are_text_deltas(marbles: Marbles) -> None:
    source: MarbleSource[StreamChunk] = marbles.chunks("-H-w-(f|)", {"f": finish_chunk()}, w="orld")
    assert_marbles(
        marbles.run(source), "-a-b-(f|)", a=text_chunk("H"), b=text_chunk("orld"), f=finish_chunk("stop", choice=0)
    )
    assert_marbles(marbles.run(source.pipe(ops.content())), "-H-w-|", H="H", w="orld")


def test_chunks_of_tool_calls() -> None:
    chunk = tool_chunk('{"', index=1, id="call", name="weather", choice=2)
    [choice] = chunk.choices
    assert choice.index == 2
    assert choice.delta.tool_calls is not None
    [call] = choice.delta.tool_calls
    assert (call.index, call.id) == (1, "call")
    assert call.function is not None
    assert (call.function.name, call.function.arguments) == ("weather", '{"')


# What assertions say


def recorded(diagram: str, error: Exception | None = None, **letters: Any) -> Recording[Any]:
    marbles = Marbles()
    return marbles.run(marbles.cold(diagram, letters, error=error))


def test_a_failure_shows_both_diagrams_and_the_legend() -> None:
    assert failure_of(lambda: assert_marbles(recorded("--a--b|", a="Hel", b="!"), "--x-y-|", x="Hel", y="lo")) == [
        "the marbles differ from 40ms on (a frame is 10ms)",
        "expected  --x-y-|",
        "actual    --x--A|",
        "              ^",
        "  x = 'Hel'",
        "  y = 'lo'",
        "  A = '!'",
    ]


@pytest.mark.parametrize(
    ("actual", "expected", "time", "mark"),
    [
        ("-a-b|", "-a-c|", "30ms", "   ^"),
        ("-a-b|", "-a--b|", "30ms", "   ^"),
        ("-a-b|", "-a-b", "40ms", "    ^"),
        ("-a-b", "-a-b|", "40ms", "    ^"),
        ("-a-b", "-a-b#", "40ms", "    ^"),
        ("-a|", "-a#", "20ms", "  ^"),
        ("-(ab)", "-(ba)", "10ms", "  ^"),
        ("-a(bc) @30ms d|", "-a(bc)|", "30ms", "      ^"),
        ("(none)", "-a", "10ms", " ^"),
        ("5-s 500ms a|", "5-s 500ms b|", "530ms", "          ^"),
    ],
)
def test_any_difference_fails(actual: str, expected: str, time: str, mark: str) -> None:
    message = failure_of(lambda: assert_marbles(recorded(actual.replace("(none)", "")), expected))
    assert message[0] == f"the marbles differ from {time} on (a frame is 10ms)"
    assert message[1:4] == [f"expected  {expected}", f"actual    {actual}", f"          {mark}"]


def chunk_timeout(**attributes: object) -> ChunkTimeoutError:
    error = ChunkTimeoutError("gap", 10, 3)
    vars(error).update(attributes)
    return error


@pytest.mark.parametrize(
    ("actual", "expected", "same"),
    [
        (ValueError("a"), ValueError("a"), True),
        (ValueError("a"), ValueError, True),
        (ValueError("a"), ValueError("b"), False),
        (ValueError("a"), TypeError("a"), False),
        (ChunkTimeoutError("gap", 10, 3), TimeoutError, False),
        (ChunkTimeoutError("gap", 10, 3), ChunkTimeoutError("gap", 10, 3), True),
        (chunk_timeout(partial=5), ChunkTimeoutError("gap", 10, 3), True),
        (chunk_timeout(partial=5), chunk_timeout(partial=5), True),
        (chunk_timeout(partial=5), chunk_timeout(partial=6), False),
        (ChunkTimeoutError("gap", 10, 3), chunk_timeout(partial=6), False),
        (chunk_timeout(chunks=4), ChunkTimeoutError("gap", 10, 3), False),
    ],
)
def test_errors_are_the_same_by_type_arguments_and_attributes(
    actual: Exception, expected: Exception | type[Exception], *, same: bool
) -> None:
    recording = recorded("-#", actual)
    if same:
        assert_marbles(recording, "-#", error=expected)
    else:
        message = failure_of(lambda: assert_marbles(recording, "-#", error=expected))
        assert message[1:4] == ["expected  -#", "actual    -#", "           ^"]
        assert message[4].startswith(f"  # expected = {expected!r}")
        assert message[5].startswith(f"  # actual = {actual!r}")


def test_a_failure_shows_the_attributes_of_errors() -> None:
    recording = recorded("-#", chunk_timeout(chunks=4))
    message = failure_of(lambda: assert_marbles(recording, "-#", error=ChunkTimeoutError("gap", 10, 3)))
    assert message[4].endswith(", phase='gap', seconds=10, chunks=3, bytes=None, empty=0")
    assert message[5].endswith(", phase='gap', seconds=10, chunks=4, bytes=None, empty=0")


def test_a_recording_is_drawn_with_letters_for_what_is_no_letter() -> None:
    values: dict[str, Any] = {"a": "x", "b": "-", "c": " ", "d": "long", "e": [1], "f": "A"}
    assert str(recorded("-abcdef|", **values)).splitlines() == [
        "-xABCDE|",
        "A = '-'",
        "B = ' '",
        "C = 'long'",
        "D = [1]",
        "E = 'A'",
    ]


def test_there_are_letters_for_many_items() -> None:
    marbles = Marbles()
    recording = marbles.run(reactivex.range(100))
    diagram, *legend = str(recording).splitlines()
    assert len(legend) == 100
    assert len(set(diagram)) == 103


def test_a_failure_shows_subscriptions(marbles: Marbles) -> None:
    source = marbles.cold("-a|")
    assert failure_of(lambda: assert_subscriptions(source, "^!")) == [
        "the subscriptions differ (a frame is 10ms)",
        "expected  ^!",
        "actual    (none)",
    ]
    marbles.run(source.pipe(rx_ops.repeat(2)))
    assert failure_of(lambda: assert_subscriptions(source, "^-!")) == [
        "the subscriptions differ (a frame is 10ms)",
        "expected  ^-!",
        "actual    ^-!",
        "          --^-!",
    ]


def test_a_failure_shows_pauses(marbles: Marbles) -> None:
    source = marbles.cold("-a|")
    assert_pauses(source, "")
    marbles.run(source, takes=2)
    assert failure_of(lambda: assert_pauses(source, "")) == [
        "the pauses differ (a frame is 10ms)",
        "expected  (none)",
        "actual    -[-]",
        "           ^",
        "  -[-] held by the consumer of the run",
    ]


def test_a_failure_shows_who_paused_when(marbles: Marbles) -> None:
    source = marbles.cold("-ab----|")
    marbles.run(source.pipe(ops.buffer_with_backpressure(1)), takes=3)
    assert_pauses(source, "--[-]", by="buffer_with_backpressure")
    assert failure_of(lambda: assert_pauses(source, "--[-]", by="the consumer of the run")) == [
        "the pauses of the consumer of the run differ (a frame is 10ms)",
        "expected  --[-]",
        "actual    (none)",
        "            ^",
        "  --[-] held by buffer_with_backpressure",
    ]


def test_the_pauses_of_one_holder(marbles: Marbles) -> None:
    holders = object(), "sink", "sink", [1]
    source = marbles.hot("-a----b|", flow_controlled=True)

    def hold(item: str) -> str:
        flow = FlowControl.current()
        assert flow is not None
        for number, holder in enumerate(holders[:2] if item == "a" else holders[:1]):
            flow.pause(holder)
            asyncio.get_running_loop().call_later(0.01 * (number + 1), flow.resume, holder)
        return item

    marbles.run(source.pipe(rx_ops.map(hold)))
    assert_pauses(source, "-[-]--[]")
    assert_pauses(source, "-[]---[]", by=holders[0])
    assert_pauses(source, "-[-]", by="sink")
    assert_pauses(source, "", by=[1])
    assert failure_of(lambda: assert_pauses(source, "-[-", by=holders[0])) == [
        f"the pauses of {holders[0]!r} differ (a frame is 10ms)",
        "expected  -[",
        "actual    -[]---[]",
        "            ^",
        f"  -[]---[] held by {holders[0]!r}",
        "  -[-] held by 'sink'",
    ]


def test_holders_of_one_name_are_one(marbles: Marbles) -> None:
    source = marbles.hot("-a---b---c---|", flow_controlled=True)
    for pauses in ("-[--]------[-]-[-]", "--[--]-[-]", "-[-]--------["):
        marbles.subscribe(source, pauses=pauses)
    marbles.play()
    assert_pauses(source, "-[---]-[-]-[", by="the consumer of the run")


def test_a_pause_of_no_time_is_none(marbles: Marbles) -> None:
    def blink(item: str) -> str:
        flow = FlowControl.current()
        assert flow is not None
        flow.pause(blink)
        flow.pause(blink)
        flow.resume(blink)
        flow.resume(blink)
        return item

    source = marbles.cold("-a|")
    assert_marbles(marbles.run(source.pipe(rx_ops.map(blink))), "-a|")
    assert_pauses(source, "")
    assert len(source.holds) == 1
