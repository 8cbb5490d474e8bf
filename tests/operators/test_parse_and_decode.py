"""``parse``, ``decode_sse`` and ``accumulate_tool_calls``: one item in, several out, and where errors come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import reactivex
from reactivex import operators as rx_ops
from reactivex.subject import Subject

import rxllm
from rxllm import operators as ops
from rxllm.dialects import OpenAIChat, WireItem
from rxllm.dialects.openai_chat._openai_chat_decoder import OpenAIChatDecoder
from rxllm.exceptions import (
    APIStreamError,
    DecodeError,
    LimitExceededError,
    ToolCallError,
    TruncatedStreamError,
    attach_partial,
)
from rxllm.flow import FlowControl
from rxllm.testing import (
    Marbles,
    assert_marbles,
    assert_pauses,
    assert_subscriptions,
    finish_chunk,
    text_chunk,
    tool_chunk,
)

# A frame is 10 ms.


def data_of(event: rxllm.ServerSentEvent) -> str:
    return event.data


DATA = rx_ops.map(data_of)
TEXT = {"a": text_chunk("Hel"), "b": text_chunk("lo"), "f": finish_chunk()}
FRAMES = {letter: chunk.model_dump_json(exclude_unset=True) for letter, chunk in TEXT.items()}


def test_parse_completes_at_the_end_marker_and_ignores_what_follows() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-d-b-|", FRAMES, d="[DONE]")

    assert_marbles(marbles.run(source.pipe(ops.parse())), "-a-|", TEXT)
    assert_subscriptions(source, "^--!")


def test_parse_completes_with_the_source_if_every_choice_has_finished() -> None:
    marbles = Marbles()

    assert_marbles(marbles.run(marbles.cold("-a-f|", FRAMES).pipe(ops.parse())), "-a-f|", TEXT)


class LazyDecoder(OpenAIChatDecoder):
    def decode(self, event: WireItem) -> Iterator[rxllm.StreamChunk]:
        yield from super().decode(event)


class LazyDialect(OpenAIChat):
    def decoder(self) -> LazyDecoder:
        return LazyDecoder(self)


def test_parse_takes_chunks_that_a_dialect_makes_one_by_one() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-f-d-b-|", FRAMES, d="[DONE]")

    assert_marbles(marbles.run(source.pipe(ops.parse(LazyDialect()))), "-a-f-|", TEXT)


def test_parse_lets_an_event_that_comes_from_within_the_emission_wait() -> None:
    source: Subject[Any] = Subject()
    seen: list[str | None] = []

    def on_next(chunk: rxllm.StreamChunk) -> None:
        if not seen:
            source.on_next(FRAMES["b"])
        seen.append(chunk.choices[0].delta.content)

    source.pipe(ops.parse()).subscribe(on_next)
    source.on_next(FRAMES["a"])

    assert seen == ["Hel", "lo"]


def test_parse_tells_a_cut_from_an_end() -> None:
    marbles = Marbles()

    recording = marbles.run(marbles.cold("-a-b|", FRAMES).pipe(ops.parse()))

    assert_marbles(recording, "-a-b#", TEXT, error=TruncatedStreamError)


def test_parse_fails_at_a_malformed_event_after_what_came_before_it() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-x-b-|", FRAMES, x='{"choices": [')

    recording = marbles.run(source.pipe(ops.parse()))

    assert_marbles(recording, "-a-#", TEXT, error=DecodeError)
    assert_subscriptions(source, "^--!")


def test_parse_emits_what_an_event_holds_before_the_error_in_it() -> None:
    both = '{"choices":[{"index":0,"delta":{"content":"Hel"}}],"error":{"message":"overloaded"}}'
    received: list[rxllm.StreamChunk] = []

    with pytest.raises(APIStreamError):
        rxllm.run(reactivex.of(both).pipe(ops.parse(), rx_ops.do_action(received.append)))

    assert [chunk.choices[0].delta.content for chunk in received] == ["Hel"]


def test_parse_takes_a_dialect_with_options() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-x-f|", FRAMES, x="no JSON")

    recording = marbles.run(source.pipe(ops.parse(OpenAIChat(skip_malformed=True))))

    assert_marbles(recording, "-a---f|", TEXT)


def test_parse_knows_its_dialects() -> None:
    with pytest.raises(ValueError, match="openai-chat"):
        ops.parse("klingon")


def test_the_events_of_a_block_wait_while_the_consumer_pauses_and_the_end_behind_them() -> None:
    marbles = Marbles()
    source = marbles.cold("-a|", a=b"data: 1\n\ndata: 2\n\ndata: 3\n\n")

    recording = marbles.run(source.pipe(ops.decode_sse(), DATA), takes=2)

    assert_marbles(recording, "-1-2-3-|")
    assert_pauses(source, "-[-(][) @50ms (][) @70ms ]")


def test_the_events_of_a_block_from_a_producer_that_cannot_be_paused_are_emitted_at_once() -> None:
    marbles = Marbles()
    source = marbles.hot("-a|", a=b"data: 1\n\ndata: 2\n\ndata: 3\n\n")

    recording = marbles.run(source.pipe(ops.decode_sse(), DATA), takes=2)

    assert_marbles(recording, "-(123) @20ms |")


def test_a_block_of_another_producer_waits_behind_the_events_that_wait() -> None:
    marbles = Marbles()
    first = marbles.cold("-a|", a=b"data: 1\n\ndata: 2\n\n")
    second = marbles.cold("-b|", b=b"data: 3\n\n")

    recording = marbles.run(reactivex.merge(first, second).pipe(ops.decode_sse(), DATA), takes=2)

    # The second producer is known to the consumer, and can be paused by it, only from its first item on.
    assert_marbles(recording, "-1-(23)|")


def test_while_events_wait_every_producer_that_delivers_is_paused() -> None:
    marbles = Marbles()
    first = marbles.cold("-a|", a=b"data: 1\n\ndata: 2\n\n")
    second = marbles.cold("--b-c-d-e-f|", dict.fromkeys("bcdef", b"data: 3\n\n"))

    recording = marbles.run(reactivex.merge(first, second).pipe(ops.decode_sse(), DATA), pauses="-[ 500ms ]")

    assert recording.items == ["1", "2", "3", "3", "3", "3", "3"]
    assert len(second.pauses) == 1


def test_an_error_that_waits_is_not_forgotten_over_what_comes_behind_it() -> None:
    """What ``delay`` still holds comes although the producer is paused."""
    marbles = Marbles()
    source = marbles.cold("-abxa|", FRAMES, x="no JSON")
    delayed = source.pipe(rx_ops.delay(0.05, marbles.scheduler))

    recording = marbles.run(delayed.pipe(ops.parse()), takes=2)

    assert_marbles(recording, "------ab--#", TEXT, error=DecodeError)


def test_what_waited_is_an_emission_of_its_producer_too() -> None:
    flow = FlowControl()
    seen: list[FlowControl | None] = []

    def on_next(_: rxllm.ServerSentEvent) -> None:
        seen.append(FlowControl.current())
        flow.pause("test")

    subject: Subject[bytes] = Subject()
    subject.pipe(ops.decode_sse()).subscribe(on_next)
    flow.deliver(subject.on_next, b"data: 1\n\ndata: 2\n\n")
    flow.resume("test")
    flow.resume("test")

    assert seen == [flow, flow]


def test_a_producer_that_waits_for_us_is_released_when_we_are_disposed() -> None:
    marbles = Marbles()
    first = marbles.hot("-a---|", a=b"data: 1\n\ndata: 2\n\n", flow_controlled=True)
    second = marbles.hot("--b-c|", b=b"data: 3\n\n", c=b"data: 4\n\n", flow_controlled=True)

    marbles.subscribe(reactivex.merge(first, second).pipe(ops.decode_sse()), pauses="-[ 500ms ]", subscribed="^--!")
    other = marbles.subscribe(second)
    marbles.play()

    assert other.items == [b"data: 3\n\n", b"data: 4\n\n"]
    assert other.completed


def test_an_observer_that_throws_when_it_is_given_what_waits_ends_the_stream() -> None:
    flows: list[FlowControl] = []
    errors: list[Exception] = []

    def on_next(event: rxllm.ServerSentEvent) -> None:
        if event.data == "2":
            raise ZeroDivisionError
        flow = FlowControl.current()
        assert flow is not None
        flows.append(flow)
        flow.pause("test")

    subject: Subject[bytes] = Subject()
    subject.pipe(ops.decode_sse()).subscribe(on_next, errors.append)
    FlowControl().deliver(subject.on_next, b"data: 1\n\ndata: 2\n\ndata: 3\n\n")
    flows[0].resume("test")

    assert [type(error) for error in errors] == [ZeroDivisionError]


def test_a_dispose_while_events_wait_forgets_them() -> None:
    marbles = Marbles()
    source = marbles.cold("-a--|", a=b"data: 1\n\ndata: 2\n\n")

    recording = marbles.run(source.pipe(ops.decode_sse(), DATA), pauses="-[--------]", subscribed="^--!")

    assert_marbles(recording, "-1")


def test_an_event_over_the_limit_fails_after_the_events_before_it() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-b-|", a=b"data: 1\n\ndata: " + b"x" * 100, b=b"data: 2\n\n")

    recording = marbles.run(source.pipe(ops.decode_sse(max_event_bytes=50), DATA), takes=1)

    assert_marbles(recording, "-(1#)", error=LimitExceededError)


def test_an_item_from_within_an_emission_comes_behind_those_that_wait() -> None:
    subject: Subject[bytes] = Subject()
    received: list[str] = []

    def on_next(event: rxllm.ServerSentEvent) -> None:
        received.append(event.data)
        if event.data == "1":
            subject.on_next(b"data: 3\n\n")
            subject.on_completed()

    ended: list[bool] = []
    subject.pipe(ops.decode_sse()).subscribe(on_next, on_completed=lambda: ended.append(True))
    subject.on_next(b"data: 1\n\ndata: 2\n\n")

    assert received == ["1", "2", "3"]
    assert ended == [True]


CALL = {
    "a": tool_chunk('{"city":', id="1", name="weather"),
    "b": tool_chunk('"Paris"}'),
    "c": tool_chunk("{}", index=1, id="2", name="time"),
    "f": finish_chunk("tool_calls"),
}


def initial_of(call: rxllm.ToolCall) -> str:
    return call.function.name[0]


NAMES = rx_ops.map(initial_of)


def test_an_item_from_within_the_emission_of_a_single_one_comes_behind_it() -> None:
    subject: Subject[bytes] = Subject()
    received: list[tuple[str, str]] = []

    def on_next(event: rxllm.ServerSentEvent) -> None:
        received.append(("begin", event.data))
        if event.data == "1":
            subject.on_next(b"data: 2\n\n")
        received.append(("end", event.data))

    subject.pipe(ops.decode_sse()).subscribe(on_next)
    subject.on_next(b"data: 1\n\n")

    assert received == [("begin", "1"), ("end", "1"), ("begin", "2"), ("end", "2")]


def test_what_comes_behind_an_error_that_waits_is_ignored() -> None:
    flow = FlowControl()
    received: list[str] = []
    errors: list[Exception] = []

    def on_next(event: rxllm.ServerSentEvent) -> None:
        received.append(event.data)
        flow.pause("test")

    subject: Subject[bytes] = Subject()
    subject.pipe(ops.decode_sse(max_event_bytes=20)).subscribe(on_next, errors.append)
    flow.deliver(subject.on_next, b"data: 1\n\ndata: 2\n\ndata: " + b"x" * 20)
    flow.deliver(subject.on_next, b"data: 3\n\n")
    assert errors == []
    flow.resume("test")
    assert received == ["1", "2"]
    assert errors == []
    flow.resume("test")

    assert received == ["1", "2"]
    assert isinstance(errors[0], LimitExceededError)
    flow.resume("test")


def test_calls_come_when_the_answer_has_ended_and_wait_for_the_consumer() -> None:
    marbles = Marbles()
    source = marbles.cold("-abcf-|", CALL)

    assert_marbles(marbles.run(source.pipe(ops.accumulate_tool_calls(), NAMES), takes=4), "------w---t---|")


def test_eager_calls_come_when_the_next_has_begun() -> None:
    marbles = Marbles()
    source = marbles.cold("-abcf-|", CALL)

    assert_marbles(marbles.run(source.pipe(ops.accumulate_tool_calls(eager=True), NAMES)), "---wt-|")


def test_a_late_fragment_for_an_eager_call_is_an_error() -> None:
    marbles = Marbles()
    source = marbles.cold("-abcxf|", CALL | {"x": tool_chunk("oops", id="1")})

    recording = marbles.run(source.pipe(ops.accumulate_tool_calls(eager=True), NAMES))

    assert_marbles(recording, "---w#", error=ToolCallError)


def test_a_cut_stream_leaves_incomplete_calls_on_the_error() -> None:
    marbles = Marbles()
    error = TruncatedStreamError("cut")

    recording = marbles.run(marbles.cold("-a#", CALL, error=error).pipe(ops.accumulate_tool_calls(), NAMES))

    assert_marbles(recording, "--#", error=TruncatedStreamError)
    (call,) = cast("list[object]", error.gathered)
    assert isinstance(call, rxllm.IncompleteToolCall)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_call_whose_arguments_a_limit_cut_off_is_not_given_away(reason: str) -> None:
    marbles = Marbles()
    cut = CALL | {"x": tool_chunk("", index=2, id="3", name="delete_all"), "f": finish_chunk(reason)}
    source = marbles.cold("-abcxf|", cut)

    recording = marbles.run(source.pipe(ops.accumulate_tool_calls(), NAMES))

    # Not even the two that are whole.
    assert_marbles(recording, "------#", error=TruncatedStreamError)


def test_calls_that_no_finish_reason_ended_are_an_error() -> None:
    marbles = Marbles()
    calls = marbles.cold("-ab-|", CALL).pipe(ops.accumulate_tool_calls(), NAMES)

    assert_marbles(marbles.run(calls), "----#", error=TruncatedStreamError)


def test_arguments_that_are_no_object_fail_at_the_end() -> None:
    marbles = Marbles()
    source = marbles.cold("-af|", CALL | {"a": tool_chunk('{"a":1}{"a":2}', id="1", name="f")})

    recording = marbles.run(source.pipe(ops.accumulate_tool_calls(), NAMES))

    assert_marbles(recording, "---#", error=ToolCallError)


FOLDS: dict[str, Any] = {"accumulate": ops.accumulate, "accumulate_snapshots": ops.accumulate_snapshots}


@pytest.mark.parametrize("fold", FOLDS.values(), ids=FOLDS.keys())
def test_what_had_arrived_is_on_the_error(fold: Any) -> None:
    marbles = Marbles()
    error = ConnectionError("lost")

    marbles.run(marbles.chunks("-a-b-#", error=error).pipe(fold()))

    partial = error.partial  # type: ignore[attr-defined]
    assert isinstance(partial, rxllm.ChatCompletion)
    assert partial.message.content == "ab"


@pytest.mark.parametrize("fold", FOLDS.values(), ids=FOLDS.keys())
def test_what_cannot_be_placed_is_an_error_with_what_had_arrived(fold: Any) -> None:
    marbles = Marbles()
    ambiguous = [
        text_chunk("Hi"),
        tool_chunk("{", index=0, id="1", name="f"),
        tool_chunk("{", index=1, id="2", name="g"),
        tool_chunk("}", index=None),
    ]
    source = marbles.cold("-abcd-|", dict(zip("abcd", ambiguous, strict=True)))

    recording = marbles.run(source.pipe(fold()))

    failed = recording.events[-1]
    error = getattr(failed, "error", None)
    assert isinstance(error, ToolCallError)
    assert isinstance(error.partial, rxllm.ChatCompletion)
    assert error.partial.message.content == "Hi"
    assert_subscriptions(source, "^---!")


def test_arguments_that_are_no_object_fail_the_accumulation_with_what_had_arrived() -> None:
    marbles = Marbles()
    source = marbles.cold("-af|", CALL | {"a": tool_chunk('{"a":1}{"a":2}', id="1", name="f")})

    recording = marbles.run(source.pipe(ops.accumulate()))

    error = getattr(recording.events[-1], "error", None)
    assert isinstance(error, ToolCallError)
    assert isinstance(error.partial, rxllm.ChatCompletion)


def test_what_cannot_be_shown_does_not_hide_the_error() -> None:
    def broken() -> rxllm.ChatCompletion:
        raise ZeroDivisionError

    error = ConnectionError("lost")
    attach_partial(error, broken)

    assert getattr(error, "partial", None) is None
    assert error.__notes__ == ["what had arrived cannot be shown: ZeroDivisionError()"]


def test_the_inner_of_two_folds_says_what_had_arrived() -> None:
    error = ConnectionError("lost")
    marbles = Marbles()

    marbles.run(
        marbles.chunks("-a-#", error=error).pipe(
            ops.accumulate_snapshots(), rx_ops.map(lambda _: text_chunk("x")), ops.accumulate()
        )
    )

    assert error.partial.message.content == "a"  # type: ignore[attr-defined]


def test_a_snapshot_does_not_change_any_more() -> None:
    marbles = Marbles()
    recording = marbles.run(marbles.chunks("-a-b-c|").pipe(ops.accumulate_snapshots()))

    snapshots = recording.items
    assert [snapshot.message.content for snapshot in snapshots] == ["a", "ab", "abc", "abc"]
    assert [snapshot.complete for snapshot in snapshots] == [False, False, False, True]


def test_the_last_snapshot_is_the_completion() -> None:
    frames = [chunk.model_dump_json(exclude_unset=True) for chunk in (CALL["a"], CALL["b"])]
    chunks = reactivex.of(*frames, "[DONE]").pipe(ops.parse())

    assert rxllm.run(chunks.pipe(ops.accumulate_snapshots())) == rxllm.run(chunks.pipe(ops.accumulate()))


def is_complete(completion: rxllm.ChatCompletion) -> bool:
    return completion.complete


def test_the_last_snapshot_waits_while_the_consumer_pauses_and_the_end_behind_it(marbles: Marbles) -> None:
    source = marbles.cold("-a|", a=text_chunk("Hel"))
    recording = marbles.run(source.pipe(ops.accumulate_snapshots(), rx_ops.map(is_complete)), pauses="-[---]")
    assert_marbles(recording, "-x---(y|)", x=False, y=True)


def test_a_last_snapshot_with_glued_arguments_fails_as_the_completion_does() -> None:
    glued = tool_chunk('{"a":1}{"a":2}', id="1", name="f").model_dump_json(exclude_unset=True)

    with pytest.raises(ToolCallError):
        rxllm.run(reactivex.of(glued, "[DONE]").pipe(ops.parse(), ops.accumulate_snapshots()))


def test_content_of_choice_0_only() -> None:
    both = rxllm.StreamChunk.model_validate(
        {"choices": [{"index": 1, "delta": {"content": "x"}}, {"index": 0, "delta": {"content": "y"}}]}
    )

    assert rxllm.run(reactivex.of(both).pipe(ops.content(), rx_ops.to_list())) == ["y"]
