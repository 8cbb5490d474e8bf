"""``buffer_with_backpressure``: what waits, who is paused, and what is lost."""

from __future__ import annotations

from typing import Any

import pytest
from reactivex import operators as rx_ops
from reactivex.subject import Subject

from rxllm import operators as ops
from rxllm.exceptions import BufferOverflowError
from rxllm.flow import FlowControl
from rxllm.models import StreamChunk
from rxllm.testing import Marbles, assert_marbles, assert_pauses, assert_subscriptions, finish_chunk, text_chunk
from rxllm.typing import Overflow


def test_items_pass_at_once_while_the_consumer_takes_them() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-(bc)-d-|")

    assert_marbles(marbles.run(source.pipe(ops.buffer_with_backpressure(1))), "-a-(bc)-d-|")
    assert_pauses(source, "")


def test_at_its_size_it_pauses_and_at_half_of_it_resumes() -> None:
    marbles = Marbles()
    source = marbles.cold("-abcdef-|")

    # a is being worked on until 60 ms; b to e wait; the producer is paused at the fourth that waits.
    recording = marbles.run(source.pipe(ops.buffer_with_backpressure(4)), takes=5)

    assert_marbles(recording, "-a----b----c----d----e----(f|)")
    assert_pauses(source, "-----[-----]--------------")


def test_with_room_for_one() -> None:
    marbles = Marbles()
    source = marbles.cold("-(abc)-|")

    recording = marbles.run(source.pipe(ops.buffer_with_backpressure(1)), takes=2)

    assert_marbles(recording, "-a-b-c-|")


def test_a_consumer_that_pauses_in_the_middle_of_the_backlog() -> None:
    marbles = Marbles()
    source = marbles.cold("-(abcd)|")

    recording = marbles.run(source.pipe(ops.buffer_with_backpressure(8)), pauses="[-]--[----]", takes=1)

    assert recording.items == ["a", "b", "c", "d"]


def test_the_end_waits_behind_the_items() -> None:
    marbles = Marbles()

    recording = marbles.run(marbles.cold("-a-b-|").pipe(ops.buffer_with_backpressure(4)), takes=5)

    assert_marbles(recording, "-a----(b|)")


def test_an_error_waits_behind_the_items() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-b-#", error=ConnectionError)

    recording = marbles.run(source.pipe(ops.buffer_with_backpressure(4)), takes=5)

    assert_marbles(recording, "-a----(b#)", error=ConnectionError)


def test_disposing_forgets_what_waits_and_resumes_the_producer() -> None:
    marbles = Marbles()
    shared = marbles.hot("-abcdef-|", flow_controlled=True)
    busy = shared.pipe(ops.buffer_with_backpressure(2))

    slow = marbles.subscribe(busy, takes=100, subscribed="^--------!")
    fast = marbles.subscribe(shared)
    marbles.play()

    assert_marbles(slow, "-a")
    assert_marbles(fast, "-abc-----(def|)")
    assert_pauses(shared, "---[-----]")


def run_paused(source: Subject[Any], size: int, overflow: Overflow) -> tuple[list[Any], list[Exception], FlowControl]:
    """Subscribe with a consumer that pauses at the first item; returns what it gets."""
    received: list[Any] = []
    errors: list[Exception] = []
    flows: list[FlowControl] = []

    def on_next(item: Any) -> None:
        received.append(item)
        flow = FlowControl.current()
        assert flow is not None
        if not flows:
            flows.append(flow)
            flow.pause("consumer")

    source.pipe(ops.buffer_with_backpressure(size, overflow=overflow)).subscribe(on_next, errors.append)
    source.on_next("first")
    return received, errors, flows[0]


def test_a_full_buffer_with_nobody_to_pause_fails_after_what_waits() -> None:
    subject: Subject[str] = Subject()
    received, errors, flow = run_paused(subject, 2, "pause")

    for item in "abcd":
        subject.on_next(item)
    assert errors == []
    flow.resume("consumer")

    assert received == ["first", "a", "b"]
    assert isinstance(errors[0], BufferOverflowError)
    assert errors[0].size == 2


def test_error_fails_after_what_waits() -> None:
    subject: Subject[str] = Subject()
    received, errors, flow = run_paused(subject, 2, "error")

    for item in "abcd":
        subject.on_next(item)
    subject.on_completed()
    flow.resume("consumer")

    assert received == ["first", "a", "b"]
    assert isinstance(errors[0], BufferOverflowError)


def test_drop_newest_keeps_the_oldest() -> None:
    subject: Subject[str] = Subject()
    received, errors, flow = run_paused(subject, 2, "drop_newest")

    for item in "abcd":
        subject.on_next(item)
    flow.resume("consumer")

    assert received == ["first", "a", "b"]
    assert errors == []


def test_drop_oldest_keeps_the_newest() -> None:
    subject: Subject[str] = Subject()
    received, errors, flow = run_paused(subject, 2, "drop_oldest")

    for item in "abcd":
        subject.on_next(item)
    flow.resume("consumer")

    assert received == ["first", "c", "d"]
    assert errors == []


def test_conflate_does_not_merge_strings_which_may_be_frames() -> None:
    subject: Subject[str] = Subject()
    received, errors, flow = run_paused(subject, 4, "conflate")

    for item in "abcd":
        subject.on_next(item)
    flow.resume("consumer")

    assert received == ["first", "a", "b", "c", "d"]
    assert errors == []


def chunk(**fields: Any) -> StreamChunk:
    return StreamChunk.model_validate({"id": "c-1", **fields})


def choice(content: str | None, **fields: Any) -> dict[str, Any]:
    return {"index": 0, "delta": {"content": content}, **fields}


def test_conflate_merges_text_deltas_of_one_choice_and_nothing_else() -> None:
    subject: Subject[Any] = Subject()
    received, errors, flow = run_paused(subject, 16, "conflate")
    sent = [
        chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}], obfuscation="x"),
        chunk(choices=[choice("Hel")], obfuscation="yy", created=1),
        chunk(choices=[choice("lo")], created=2),
        chunk(choices=[choice("other", index=1)]),
        chunk(choices=[{"index": 1, "delta": {"role": "critic", "content": "x"}}]),
        chunk(id="c-2", choices=[{"index": 1, "delta": {"content": "x"}}]),
        chunk(choices=[choice("with", logprobs={"content": []})]),
        chunk(choices=[choice("!")]),
        chunk(choices=[choice("!")], usage={"total_tokens": 3}),
        chunk(choices=[choice("a"), choice("b", index=1)]),
        chunk(choices=[choice(None)]),
        chunk(choices=[{"index": 0, "delta": {"content": "c", "annotations": [1]}}]),
        finish_chunk(),
        "text",
    ]

    for item in sent:
        subject.on_next(item)
    flow.resume("consumer")

    assert errors == []
    assert received[1].model_dump(exclude_none=True) == {
        "id": "c-1",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello"}}],
        "obfuscation": "yy",
        "created": 2,
    }
    assert received[2:] == sent[3:]


def test_conflate_pauses_for_what_cannot_be_merged() -> None:
    marbles = Marbles()
    source = marbles.cold("-abcd-|", a=1, b=2, c=3, d=4)

    recording = marbles.run(source.pipe(ops.buffer_with_backpressure(2, overflow="conflate")), takes=3)

    assert_marbles(recording, "-a--b--c--(d|)", a=1, b=2, c=3, d=4)
    assert_pauses(source, "---[(][) @70ms ]")


def test_conflated_text_is_the_same_text() -> None:
    marbles = Marbles()
    source = marbles.chunks("-abcdefgh(i|)", i=text_chunk("i"))

    recording = marbles.run(source.pipe(ops.buffer_with_backpressure(2, overflow="conflate"), ops.content()), takes=4)

    assert "".join(recording.items) == "abcdefghi"
    assert_pauses(source, "")


def test_an_item_from_within_an_emission_comes_after_it() -> None:
    subject: Subject[int] = Subject()
    received: list[tuple[str, int]] = []

    def on_next(item: int) -> None:
        received.append(("begin", item))
        if item < 3:
            subject.on_next(item + 1)
        else:
            subject.on_completed()
        received.append(("end", item))

    ended: list[bool] = []
    subject.pipe(ops.buffer_with_backpressure(2, overflow="drop_newest")).subscribe(
        on_next, on_completed=lambda: ended.append(True)
    )
    subject.on_next(1)

    assert received == [(what, item) for item in (1, 2, 3) for what in ("begin", "end")]
    assert ended == [True]


def test_after_an_overflow_nothing_more_is_taken() -> None:
    marbles = Marbles()
    source = marbles.hot("-abcdefg|")

    recording = marbles.run(source.pipe(ops.buffer_with_backpressure(2)), takes=5)

    assert_marbles(recording, "-a----b----(c#)", error=BufferOverflowError)
    assert_subscriptions(source, "^-------!")


def test_a_take_below_does_not_leave_the_producer_paused() -> None:
    marbles = Marbles()
    source = marbles.cold("-(abcdef)|")

    recording = marbles.run(source.pipe(ops.buffer_with_backpressure(2), rx_ops.take(1)), takes=5)

    assert_marbles(recording, "-(a|)")
    assert_subscriptions(source, "^!")


@pytest.mark.parametrize(("size", "overflow"), [(0, "pause"), (-1, "pause"), (1, "grow")])
def test_wrong_arguments_are_reported_at_once(size: int, overflow: Any) -> None:
    with pytest.raises(ValueError, match=r"at least 1|must be one of"):
        ops.buffer_with_backpressure(size, overflow=overflow)
