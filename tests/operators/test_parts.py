"""``parts``: where each part of an answer begins, what it gains, and where it ends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from reactivex import operators as rx_ops
from reactivex.subject import Subject

import rxllm
from rxllm import operators as ops
from rxllm.accumulators import PartsAccumulator, StreamAccumulator
from rxllm.exceptions import LimitExceededError, MixedAnswersError, RestartError, StreamInterruptedError, ToolCallError
from rxllm.models import (
    Delta,
    DeltaBlock,
    DeltaPart,
    FunctionCallDelta,
    MessagePart,
    PartDelta,
    PartEnd,
    PartEvent,
    PartKind,
    PartStart,
    StreamChoice,
    StreamChunk,
    StreamInfo,
    ToolCallDelta,
    marked,
)
from rxllm.sinks import JSONLinesSink, SQLiteSink
from rxllm.sources import from_recording
from rxllm.testing import Marbles, assert_marbles, finish_chunk, text_chunk, tool_chunk
from rxllm.testing.strategies import StreamedAnswer, answers


def of(part: DeltaPart | None = None, choice: int = 0, **delta: Any) -> StreamChunk:
    return StreamChunk(choices=[StreamChoice(index=choice, delta=Delta(part=part, **delta))])


def chunk_with(part: DeltaPart, delta: dict[str, Any]) -> StreamChunk:
    return of(part, **delta)


def thought(text: str) -> StreamChunk:
    return of(reasoning_content=text)


def block(index: int, *, final: bool = True, **fields: Any) -> StreamChunk:
    return of(blocks=[DeltaBlock(index=index, block=fields, final=final)])


def is_text(event: PartEvent) -> bool:
    return isinstance(event, PartDelta) and event.kind == PartKind.TEXT


def events_of(*chunks: StreamChunk) -> list[PartEvent]:
    events: list[PartEvent] = []
    errors: list[Exception] = []
    reactivex.of(*chunks).pipe(ops.parts()).subscribe(events.append, errors.append)
    for error in errors:
        raise error
    return events


def told(*chunks: StreamChunk) -> list[str]:
    """The events in short: ``+0 text``, ``0 Hel``, ``-0 Hello``; ``~`` for a part that was cut."""
    return [short(event) for event in events_of(*chunks)]


def short(event: PartEvent) -> str:
    choice = f"{event.choice}." if event.choice else ""
    match event:
        case PartStart(index=index, kind=kind):
            return f"+{choice}{index} {kind}"
        case PartDelta(index=index, text=text):
            return f"{choice}{index} {text}"
        case PartEnd(index=index, part=part):
            return f"{'-' if part.final else '~'}{choice}{index} {part.text}"


# Chat completions, whose parts are found


def test_reasoning_text_and_calls_in_the_order_in_which_they_begin() -> None:
    assert told(
        thought("H"),
        thought("m"),
        text_chunk("So"),
        text_chunk(": "),
        tool_chunk("{", index=0, id="a", name="f"),
        tool_chunk("[]", index=1, id="b", name="g"),
        tool_chunk("}", index=0),
        finish_chunk("tool_calls"),
    ) == [
        *("+0 reasoning", "0 H", "0 m", "-0 Hm"),
        *("+1 text", "1 So", "1 : ", "-1 So: "),
        *("+2 tool_call", "2 {", "+3 tool_call", "3 []", "2 }"),
        *("-2 {}", "-3 []"),
    ]


def test_a_text_that_goes_on_behind_a_call_is_another_part() -> None:
    call = tool_chunk("{", index=0, id="a", name="f")
    assert told(text_chunk("a"), call, text_chunk("b"), tool_chunk("}", index=0), text_chunk("c")) == [
        *("+0 text", "0 a", "-0 a", "+1 tool_call", "1 {", "+2 text", "2 b", "1 }", "2 c", "-1 {}", "-2 bc"),
    ]


def test_a_refusal_is_a_part() -> None:
    assert told(text_chunk("a"), of(refusal="no"), of(refusal="!")) == [
        *("+0 text", "0 a", "-0 a", "+1 refusal", "1 no", "1 !", "-1 no!"),
    ]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking", "reasoning_text"])
def test_reasoning_in_any_spelling(name: str) -> None:
    fields: dict[str, Any] = {name: "a"}
    assert told(of(**fields)) == ["+0 reasoning", "0 a", "-0 a"]


def test_the_call_of_the_older_protocol() -> None:
    def function(**fields: Any) -> StreamChunk:
        return of(function_call=FunctionCallDelta(**fields))

    chunks = [text_chunk("a"), function(name="f"), function(arguments='{"b"'), function(arguments=":1}")]
    *_, end = events_of(*chunks, finish_chunk("function_call"))
    assert end == PartEnd(index=1, part=MessagePart(index=1, kind="tool_call", name="f", text='{"b":1}', final=True))
    assert told(function(arguments="{"), function(name="f"), finish_chunk("length"))[-1] == "~0 {"


def test_what_says_nothing_begins_nothing() -> None:
    assert told(of(role="assistant", content=""), StreamChunk(), of(tool_calls=[ToolCallDelta(index=0)])) == []


def test_choices_are_kept_apart() -> None:
    chunks = [of(choice=1, content="a"), of(content="b"), of(choice=1, content="c"), of(reasoning="d")]
    assert told(*chunks) == [
        *("+1.0 text", "1.0 a", "+0 text", "0 b", "1.0 c", "-0 b", "+1 reasoning", "1 d", "-1 d", "-1.0 ac"),
    ]


@pytest.mark.parametrize(
    ("reason", "is_final"), [("tool_calls", True), ("moonrise", True), (None, True), ("length", False)]
)
def test_a_call_of_an_answer_that_was_cut_is_not_final(reason: str | None, *, is_final: bool) -> None:
    end = [] if reason is None else [finish_chunk(reason)]
    *_, text, call = events_of(tool_chunk("{}", index=0, id="a", name="f"), text_chunk("a"), *end)[-2:]
    # In the order of their places.
    assert isinstance(text, PartEnd)
    assert isinstance(call, PartEnd)
    assert (text.part.id, text.part.final, call.part.text, call.part.final) == ("a", is_final, "a", True)


def test_a_call_has_an_identifier_and_arguments_as_in_the_message() -> None:
    chunks = [tool_chunk("", index=0, name="f"), finish_chunk("tool_calls")]
    start, end = events_of(*chunks)
    accumulator = StreamAccumulator()
    accumulator.add_all(chunks)
    (call,) = accumulator.completion().message.tool_calls
    assert start == PartStart(index=0, kind=PartKind.TOOL_CALL, name="f")
    assert end == PartEnd(
        index=0, part=MessagePart(index=0, kind="tool_call", id=call.id, name="f", text="{}", final=True)
    )


def test_a_call_that_is_garbled_was_cut() -> None:
    assert told(tool_chunk('{"a":1}{"b":2}', index=0, id="a", name="f"), finish_chunk("tool_calls"))[-1][0] == "~"


# Dialects whose answers have parts

TEXT = DeltaPart(index=0, kind="text")
CALL = DeltaPart(index=2, kind="tool_call", id="c", name="f")


def call(arguments: str, part: DeltaPart | None = CALL, index: int = 0, **fields: Any) -> StreamChunk:
    function = FunctionCallDelta(name=fields.pop("name", None), arguments=arguments)
    return of(part, tool_calls=[ToolCallDelta(index=index, function=function, **fields)])


def test_a_part_ends_with_its_block() -> None:
    events = events_of(
        of(DeltaPart(index=1, kind="reasoning"), reasoning_content="a"),
        of(reasoning_content="b"),
        block(1, signature="s"),
        call("", id="c", name="f"),
        call("{}"),
        block(2, type="tool_use"),
        of(DeltaPart(index=4, kind="server_tool", id="s", name="search", text='{"q"')),
        of(DeltaPart(index=4, kind="server_tool", text=":1}")),
        block(4),
        block(5, type="result"),
        of(TEXT, content="c"),
        block(0),
    )
    assert [short(event) for event in events] == [
        *("+1 reasoning", "1 a", "1 b", "-1 ab", "+2 tool_call", "2 {}", "-2 {}"),
        *("+4 server_tool", '4 {"q"', "4 :1}", '-4 {"q":1}', "+5 other", "-5 ", "+0 text", "0 c", "-0 c"),
    ]
    assert events[3] == PartEnd(
        index=1, part=MessagePart(index=1, kind="reasoning", text="ab", block={"signature": "s"}, final=True)
    )
    assert events[4] == PartStart(index=2, kind=PartKind.TOOL_CALL, id="c", name="f")


def test_several_are_open_at_once() -> None:
    second = DeltaPart(index=1, kind="text")
    chunks = [
        of(TEXT, content="a"),
        of(second, content="b"),
        of(TEXT, content="c"),
        block(1),
        of(content="d"),
        block(0),
    ]
    assert told(*chunks) == ["+0 text", "0 a", "+1 text", "1 b", "0 c", "-1 b", "0 d", "-0 acd"]


def test_what_the_provider_did_not_finish_was_cut() -> None:
    chunks = [of(TEXT, content="a"), call("{", id="c", name="f"), block(2, final=False, n=1)]
    *_, text, cut = events_of(*chunks, finish_chunk("tool_calls"))
    assert (short(text), short(cut)) == ("~0 a", "~2 {")
    assert isinstance(cut, PartEnd)
    assert cut.part.block == {"n": 1}


def test_a_later_block_is_not_told() -> None:
    assert told(of(TEXT, content="a"), block(0, n=1), block(0, n=2), block(0, final=False)) == [
        "+0 text",
        "0 a",
        "-0 a",
    ]


def test_what_goes_on_after_its_end_begins_once_more() -> None:
    chunks = [of(TEXT, content="a"), block(0), of(content="b"), block(0), of(TEXT), of(TEXT, content="c"), block(0)]
    assert told(*chunks) == [*("+0 text", "0 a", "-0 a", "+0 text", "0 b", "-0 b", "+0 text", "0 c", "-0 c")]
    tool = DeltaPart(index=0, kind="server_tool", text="x")
    assert told(of(tool), block(0), of(tool)) == ["+0 server_tool", "0 x", "-0 x", "+0 server_tool", "0 x", "~0 x"]
    assert told(call("{", id="c"), block(2), call("}"))[-3:] == ["+2 tool_call", "2 }", "~2 {}"]


def test_what_is_in_no_part_is_told_of_none() -> None:
    chunks = [block(7), of(content="a"), of(reasoning="b"), of(TEXT, content="c"), call("{}", TEXT, id="c"), block(0)]
    assert told(*chunks) == ["+7 other", "-7 ", "+0 text", "0 c", "-0 c"]


def test_a_second_call_in_a_part_is_in_none() -> None:
    chunks = [call("{}", id="c", name="f"), call("[]", index=1, id="d", name="g"), block(2)]
    assert told(*chunks) == ["+2 tool_call", "2 {}", "-2 {}"]


def test_reasoning_that_is_split_from_a_text_is_told_as_such() -> None:
    chunks = [of(TEXT, content="<think>Hm.</think>"), of(TEXT, content="Yes."), block(0)]
    events: list[PartEvent] = rxllm.run(
        reactivex.of(*chunks).pipe(ops.split_reasoning(), ops.parts(), rx_ops.to_list())
    )
    assert [short(event) for event in events] == ["+0 text", "0 Hm.", "0 Yes.", "-0 Yes."]
    assert [event.kind for event in events if isinstance(event, PartDelta)] == ["reasoning", "text"]


def test_text_that_an_operator_held_back_is_that_of_the_text_before() -> None:
    chunks = [of(TEXT, content="1 <"), call("{}", id="c", name="f"), finish_chunk("tool_calls")]
    operators = ops.split_reasoning(anywhere=True), ops.parts(), rx_ops.to_list()
    events: list[PartEvent] = rxllm.run(reactivex.of(*chunks).pipe(*operators))
    assert [short(event) for event in events][:5] == ["+0 text", "0 1 ", "+2 tool_call", "2 {}", "0 <"]


# Ends, errors, restarts


def test_an_error_ends_nothing() -> None:
    error = StreamInterruptedError("cut")
    events: list[PartEvent] = []
    errors: list[Exception] = []
    chunks = reactivex.of(thought("a"), text_chunk("b"), tool_chunk("{", index=0, id="a", name="f"), text_chunk("c"))
    chunks.pipe(rx_ops.concat(reactivex.throw(error)), ops.parts()).subscribe(events.append, errors.append)
    assert [short(event) for event in events if not isinstance(event, PartDelta)] == [
        *("+0 reasoning", "-0 a", "+1 text", "-1 b", "+2 tool_call", "+3 text"),
    ]
    assert errors == [error]
    assert error.gathered == [
        MessagePart(index=2, kind="tool_call", id="a", name="f", text="{"),
        MessagePart(index=3, kind="text", text="c"),
    ]


def test_what_came_with_an_error_is_told_before_it() -> None:
    bad = tool_chunk("}", index=None, id=None, name=None)
    both = StreamChunk(choices=[StreamChoice(delta=Delta(content="a")), *bad.choices])
    marbles = Marbles()
    calls = [tool_chunk("{", index=0, id="a", name="f"), tool_chunk("{", index=1, id="b", name="g")]
    source = marbles.hot("-a-b-c-|", {"a": calls[0], "b": calls[1], "c": both})
    recording = marbles.run(source.pipe(ops.parts(), rx_ops.filter(is_text), rx_ops.map(short)))
    assert_marbles(recording, "-----(x#)", {"x": "2 a"}, error=ToolCallError)


def test_a_stream_that_is_stopped_ends_nothing() -> None:
    stop: Subject[None] = Subject()
    chunks: Subject[StreamChunk] = Subject()
    events: list[PartEvent] = []
    chunks.pipe(ops.stop_when(stop), ops.parts()).subscribe(events.append)
    chunks.on_next(text_chunk("a"))
    stop.on_next(None)
    assert [short(event) for event in events] == ["+0 text", "0 a"]


def test_a_restart_before_anything_was_told_is_none() -> None:
    begun = marked(of(role="assistant", content=""), begins=True)
    again = marked(text_chunk("a"), begins=True, restarts=True)
    assert told(begun, again) == ["+0 text", "0 a", "-0 a"]
    with pytest.raises(RestartError) as raised:
        told(begun, text_chunk("b"), again)
    assert raised.value.operator == "parts"
    assert raised.value.gathered == [MessagePart(index=0, kind="text", text="b")]


def test_a_second_answer_is_an_error() -> None:
    with pytest.raises(MixedAnswersError) as raised:
        told(marked(text_chunk("a"), begins=True), marked(text_chunk("b"), begins=True))
    assert raised.value.partials == ([MessagePart(index=0, kind="text", text="a")], [])


def test_what_it_keeps_is_bounded() -> None:
    accumulator = PartsAccumulator(max_characters=100, max_choices=2)
    for chunk in (of(TEXT, 2, content="a"), of(TEXT, 1, content="a")):
        list(accumulator.add(chunk))
    with pytest.raises(LimitExceededError, match="more than 2 choices"):
        list(accumulator.add(of(TEXT, 3)))
    accumulator = PartsAccumulator(max_characters=100)
    with pytest.raises(LimitExceededError, match="longer than 100"):
        list(accumulator.add(block(0, text="x" * 100)))
    accumulator = PartsAccumulator()
    with pytest.raises(LimitExceededError, match="more than 4096 parts"):
        for index in range(5000):
            list(accumulator.add(of(DeltaPart(index=index))))
    accumulator = PartsAccumulator(max_characters=10)
    events: list[PartEvent] = []
    with pytest.raises(LimitExceededError, match="longer than 10"):
        events.extend(accumulator.add(StreamChunk(choices=[StreamChoice(delta=Delta(content="x" * 11))])))
    assert [short(event) for event in events] == ["+0 text", "0 " + "x" * 11]


# What holds for every stream


def well_formed(events: Sequence[PartEvent]) -> dict[tuple[int, int], MessagePart]:
    """The parts that ended, if each event comes where it may."""
    begun: dict[tuple[int, int], str] = {}
    ended: dict[tuple[int, int], MessagePart] = {}
    for event in events:
        key = event.choice, event.index
        match event:
            case PartStart():
                assert key not in begun
                begun[key] = ""
            case PartDelta(text=text):
                assert text
                begun[key] += text
            case PartEnd(part=part):
                said = begun.pop(key)
                assert part.kind == "tool_call" or part.text == said
                ended[key] = part
    assert not begun
    return ended


@given(answers())
def test_the_parts_of_any_answer_are_its_texts_and_calls(answer: StreamedAnswer) -> None:
    ended = well_formed(events_of(*answer.chunks))
    for choice in answer.completion.choices:
        parts = [part for (index, _), part in ended.items() if index == choice.index]
        message = choice.message

        def said(kind: str, parts: list[MessagePart] = parts) -> str:
            return "".join(part.text for part in sorted(parts, key=lambda part: part.index) if part.kind == kind)

        assert said("text") == message.text
        assert said("reasoning") == (message.reasoning_text or "")
        assert said("refusal") == (message.refusal or "")
        calls = [(part.id, part.name, part.text) for part in parts if part.kind == "tool_call" and part.final]
        assert sorted(calls, key=str) == sorted(
            ((call.id, call.function.name, call.function.arguments) for call in message.tool_calls), key=str
        )


@st.composite
def named(draw: st.DrawFn) -> list[StreamChunk]:
    """The parts of an answer in a dialect that names them: some open at once, each finished but perhaps the last."""
    kinds = draw(st.lists(st.sampled_from(["text", "reasoning", "tool_call", "server_tool"]), max_size=5))
    streams: list[list[StreamChunk]] = []
    for index, kind in enumerate(kinds):
        part = DeltaPart(index=index, kind=kind, id=f"i{index}", name="f")
        texts = draw(st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3))
        if kind == "tool_call":
            chunks = [call("{", part, index, id=f"i{index}", name="f"), call("}", part, index)]
        elif kind == "server_tool":
            chunks = [of(part.model_copy(update={"text": text})) for text in texts]
        else:
            field = "content" if kind == "text" else "reasoning_content"
            chunks = [chunk_with(part, {field: text}) for text in texts]
        streams.append([*chunks, block(index, n=index)])
    order = draw(st.permutations([index for index, stream in enumerate(streams) for _ in stream]))
    return [streams[index].pop(0) for index in order]


@given(named())
def test_the_parts_of_a_dialect_are_those_of_the_message(chunks: list[StreamChunk]) -> None:
    ended = well_formed(events_of(*chunks))
    accumulator = StreamAccumulator()
    accumulator.add_all(chunks)
    assert [part for _, part in sorted(ended.items())] == accumulator.completion(ended=True).message.parts


@given(named())
def test_events_are_json(chunks: list[StreamChunk]) -> None:
    adapter: TypeAdapter[PartEvent] = TypeAdapter(PartEvent)
    for event in events_of(*chunks):
        assert adapter.validate_json(event.model_dump_json()) == event


STREAM = StreamInfo(dialect="d", host="h")
DEEP: dict[str, Any] = json.loads('{"a":' * 20 + "1" + "}" * 20)
STORED = [
    marked(of(TEXT, content="a"), stream=STREAM, begins=True, event='{"type": "x"}'),
    marked(of(TEXT, content="b"), stream=STREAM, event="y"),
    marked(block(0, **DEEP), stream=STREAM, replaces_usage=True),
    marked(call("{}", id="c", name="f"), stream=STREAM),
    marked(of(DeltaPart(index=3, kind="dance", sub=1, text="x")), stream=STREAM),
    marked(of(blocks=[DeltaBlock(index=2, block=DEEP), DeltaBlock(index=3, block={}, final=False)]), stream=STREAM),
]


@pytest.mark.parametrize("sink", [JSONLinesSink, SQLiteSink])
async def test_a_stream_that_was_stored_gives_the_same(sink: Any, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    await reactivex.of(*STORED).pipe(ops.tee_to(sink(path)), rx_ops.to_list(), rx_ops.as_observable())
    replayed: list[StreamChunk] = await from_recording(path).pipe(rx_ops.to_list())
    assert replayed == STORED
    assert [chunk.event for chunk in replayed] == [chunk.event for chunk in STORED]
    assert [bool(chunk.slots and chunk.slots.replaces_usage) for chunk in replayed] == [
        bool(chunk.slots and chunk.slots.replaces_usage) for chunk in STORED
    ]
    assert events_of(*replayed) == events_of(*STORED)
    assert await reactivex.of(*replayed).pipe(ops.accumulate()) == await reactivex.of(*STORED).pipe(ops.accumulate())


async def test_events_are_stored(tmp_path: Path) -> None:
    events = events_of(*STORED)
    path = tmp_path / "events.jsonl"
    await reactivex.of(*events).pipe(ops.tee_to(JSONLinesSink(path)), rx_ops.to_list(), rx_ops.as_observable())
    assert await from_recording(path).pipe(rx_ops.to_list()) == events


@pytest.mark.parametrize(
    ("operator", "advice"), [(ops.parts, "that has been done already"), (ops.accumulate, r"put it before parts\(\)")]
)
def test_an_item_that_is_no_chunk_is_refused(operator: Any, advice: str) -> None:
    with pytest.raises(TypeError, match=rf"\(\) takes StreamChunk and got PartStart: {advice}"):
        rxllm.run(reactivex.of(text_chunk("a")).pipe(ops.parts(), operator()))


def test_it_takes_an_iterable_of_several_events_one_by_one() -> None:
    chunks: Iterable[StreamChunk] = (thought("a"), text_chunk("b"))
    assert [short(event) for chunk in chunks for event in PartsAccumulator().add(chunk)] == [
        *("+0 reasoning", "0 a", "+0 text", "0 b"),
    ]
