"""The parts of an answer, in dialects whose answers have some."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.accumulators import Conflation, StreamAccumulator
from rxllm.exceptions import LimitExceededError
from rxllm.models import (
    ChatCompletion,
    Delta,
    DeltaBlock,
    DeltaPart,
    FunctionCallDelta,
    Message,
    MessagePart,
    PartKind,
    StreamChoice,
    StreamChunk,
    StreamInfo,
    ToolCallDelta,
    Usage,
    marked,
)
from rxllm.testing import finish_chunk, text_chunk

STREAM = StreamInfo(dialect="some-dialect", host="h:1")
TEXT, SECOND = DeltaPart(index=0, kind="text"), DeltaPart(index=1, kind="text")
THOUGHT = DeltaPart(index=0, kind="reasoning")
CALL = DeltaPart(index=2, kind="tool_call", id="c", name="f")


def of(part: DeltaPart | None = None, choice: int = 0, **delta: Any) -> StreamChunk:
    return StreamChunk(choices=[StreamChoice(index=choice, delta=Delta(part=part, **delta))])


def block(index: int, *, final: bool = True, choice: int = 0, **fields: Any) -> StreamChunk:
    return of(choice=choice, blocks=[DeltaBlock(index=index, block=fields, final=final)])


def call(arguments: str = "", part: DeltaPart = CALL, index: int = 0, **fields: Any) -> StreamChunk:
    function = FunctionCallDelta(name=fields.pop("name", None), arguments=arguments)
    return of(part, tool_calls=[ToolCallDelta(index=index, function=function, **fields)])


def folded(*chunks: StreamChunk) -> StreamAccumulator:
    accumulator = StreamAccumulator()
    accumulator.add_all(chunks)
    return accumulator


def message(*chunks: StreamChunk) -> Message:
    return folded(*chunks).completion(ended=True).message


def seen(message: Message) -> list[tuple[int, str, str]]:
    return [(part.index, str(part.kind), part.text) for part in message.parts]


def replayed(chunks: Iterable[StreamChunk]) -> list[StreamChunk]:
    """Equal chunks that share nothing."""
    return [StreamChunk.from_wire(chunk.model_dump_json()) for chunk in chunks]


# What the parts of a message are


def test_each_part_says_what_came_while_it_was_the_one() -> None:
    answer = message(
        of(THOUGHT, reasoning_content="Hm"),
        of(THOUGHT, reasoning_content="m."),
        of(SECOND, content="The wea"),
        of(SECOND, content="ther: "),
        call(part=CALL, id="c", name="f"),
        call('{"city":'),
        call(' "Rome"}'),
        of(DeltaPart(index=5, kind="text"), content="fine"),
    )
    assert seen(answer) == [
        (0, "reasoning", "Hmm."),
        (1, "text", "The weather: "),
        (2, "tool_call", '{"city": "Rome"}'),
        (5, "text", "fine"),
    ]
    assert [part.kind for part in answer.parts[:2]] == [PartKind.REASONING, PartKind.TEXT]
    assert answer.parts[2] == MessagePart(index=2, kind="tool_call", id="c", name="f", text='{"city": "Rome"}')
    assert answer.content == "The weather: fine"


def test_several_are_open_at_once() -> None:
    first, second = (DeltaPart(index=index, kind="reasoning") for index in (3, 1))
    chunks = [
        *(of(first, reasoning_content="a"), of(second, reasoning_content="b"), of(first, reasoning_content="c")),
        *(of(TEXT, content="x"), of(CALL, content="y"), of(TEXT, content="z"), of(second, reasoning_content="d")),
    ]
    assert seen(message(*chunks)) == [
        *((0, "text", "xyz"), (1, "reasoning", "bd"), (2, "tool_call", ""), (3, "reasoning", "ac")),
    ]


def test_content_of_several_texts_that_are_open_at_once() -> None:
    answer = message(of(TEXT, content="x"), of(SECOND, content="y"), of(TEXT, content="z"), block(0), block(1))
    assert seen(answer) == [(0, "text", "xz"), (1, "text", "y")]
    # Their blocks would put it in another order.
    assert answer.content == "xyz"
    assert not answer.is_as_it_came


def test_a_delta_without_a_part_belongs_to_the_one_before() -> None:
    answer = message(of(content="before"), of(TEXT, content="a"), of(content="b"), of(THOUGHT, reasoning_content="c"))
    assert seen(answer) == [(0, "reasoning", "abc")]
    answer = message(of(SECOND, content="a"), of(content="b"), of(THOUGHT), of(reasoning_content="c"))
    assert seen(answer) == [(0, "reasoning", "c"), (1, "text", "ab")]


def test_a_part_may_be_known_first_by_its_block() -> None:
    answer = message(block(1, type="result"), block(0, type="text"), of(content="nobody's"), of(TEXT, content="a"))
    assert seen(answer) == [(0, "text", "a"), (1, "other", "")]
    assert [(part.block, part.final) for part in answer.parts] == [({"type": "text"}, True), ({"type": "result"}, True)]


def test_what_is_said_of_a_part_later_counts() -> None:
    answer = message(
        of(DeltaPart(index=0)),
        of(DeltaPart(index=0, kind="server_tool", id="a")),
        of(DeltaPart(index=0, id="b", name="search")),
        of(DeltaPart(index=0, text='{"q":')),
        of(DeltaPart(index=0, text="1}")),
    )
    assert answer.parts == [MessagePart(index=0, kind="server_tool", id="b", name="search", text='{"q":1}')]
    assert answer.tool_calls == []


def test_an_unknown_kind_is_a_word() -> None:
    answer = message(of(DeltaPart(index=0, kind="dance"), content="a"), block(0, type="dance"))
    assert seen(answer) == [(0, "dance", "a")]
    assert type(answer.parts[0].kind) is str
    # Whether it is text that goes back with it, nobody knows.
    assert not answer.is_as_it_came


def test_of_several_blocks_the_last_counts() -> None:
    answer = message(of(TEXT, content="a"), block(0, final=False, n=1), block(0, n=2), block(0, n=3, final=False))
    assert [(part.block, part.final) for part in answer.parts] == [({"n": 3}, False)]


def test_the_chunk_and_the_message_do_not_share_a_block() -> None:
    chunk = block(0, n=1)
    answer = message(chunk)
    assert answer.parts[0].block is not None
    answer.parts[0].block["n"] = 2
    assert chunk.choices[0].delta.blocks is not None
    assert chunk.choices[0].delta.blocks[0].block == {"n": 1}


def test_a_refusal_is_said_by_a_text() -> None:
    answer = message(of(TEXT, content="Well, "), of(TEXT, refusal="no"), of(SECOND, refusal="."), block(0), block(1))
    assert (answer.content, answer.refusal) == ("Well, ", "no.")
    assert seen(answer) == [(0, "text", "Well, no"), (1, "text", ".")]
    # The refusal of the second part stands behind the content of all.
    assert answer.is_as_it_came
    assert not answer.model_copy(update={"refusal": None}).is_as_it_came


def test_reasoning_in_any_spelling() -> None:
    assert seen(message(of(THOUGHT, reasoning="a"), of(SECOND, content="b"))) == [
        (0, "reasoning", "a"),
        (1, "text", "b"),
    ]


def test_choices_are_kept_apart() -> None:
    chunks = [of(TEXT, content="a"), of(SECOND, 1, content="b"), of(content="c"), of(choice=1, content="d")]
    first, second = folded(*chunks, block(0, choice=1)).completion(ended=True).choices
    assert seen(first.message) == [(0, "text", "ac")]
    assert seen(second.message) == [(0, "other", ""), (1, "text", "bd")]


def test_after_a_restart_there_are_only_the_new_ones() -> None:
    chunks = [
        marked(of(SECOND, content="a"), stream=STREAM, begins=True),
        marked(of(TEXT, content="b"), stream=STREAM, begins=True, restarts=True),
    ]
    answer = message(*chunks)
    assert seen(answer) == [(0, "text", "b")]
    assert answer.content == "b"


def test_chat_completions_have_none() -> None:
    answer = message(text_chunk("a"), finish_chunk())
    assert answer.parts == []
    assert answer.origin is None
    assert "parts" not in answer.model_fields_set
    assert "origin" not in answer.model_fields_set


def test_the_origin_is_that_of_the_stream_with_the_model_that_answered() -> None:
    chunks = [marked(StreamChunk(model="a"), stream=STREAM, begins=True), marked(StreamChunk(model="b"), stream=STREAM)]
    answer = message(*chunks, marked(of(TEXT, content="a"), stream=STREAM), marked(of(TEXT, 1), stream=STREAM))
    assert answer.origin == rxllm.Origin(dialect="some-dialect", host="h:1", model="b")


# Calls


def test_a_call_without_an_identifier_has_the_one_that_is_made_up() -> None:
    answer = message(call("{}", DeltaPart(index=0, kind="tool_call"), name="f"), block(0))
    (made,) = answer.tool_calls
    assert made.id.startswith("call_")
    assert answer.parts == [
        MessagePart(index=0, kind="tool_call", id=made.id, name="f", text="{}", block={}, final=True)
    ]
    assert answer.is_as_it_came


def test_a_call_has_its_arguments_as_they_were_put_right() -> None:
    answer = message(call("", id="c", name="f"), block(2, input={}))
    assert answer.parts[0].text == answer.tool_calls[0].function.arguments == "{}"
    assert answer.is_as_it_came


def test_a_call_that_was_cut_is_not_final() -> None:
    chunks = [call('{"a', id="c", name="f"), block(2, input='{"a'), finish_chunk("length")]
    answer = message(*chunks)
    assert answer.parts == [
        MessagePart(index=2, kind="tool_call", id="c", name="f", text='{"a', block={"input": '{"a'})
    ]
    # What else there is goes back by its parts.
    assert answer.tool_calls == []
    assert answer.is_as_it_came


def test_a_call_that_was_cut_before_its_identifier_has_that_of_the_part() -> None:
    answer = folded(call('{"a')).partial().message
    assert answer.parts == [MessagePart(index=2, kind="tool_call", id="c", name="f", text='{"a')]


def test_calls_at_once_are_told_apart() -> None:
    other = DeltaPart(index=3, kind="tool_call")
    answer = message(
        call("", id="a", name="f"),
        call("", other, 1, id="b", name="g"),
        call('{"a":1}'),
        call('{"b":2}', other, 1),
        block(2),
        block(3),
    )
    assert [(part.id, part.name, part.text) for part in answer.parts] == [("a", "f", '{"a":1}'), ("b", "g", '{"b":2}')]
    assert answer.is_as_it_came


def test_a_fragment_that_says_nothing_makes_no_call_of_a_part() -> None:
    second = DeltaPart(index=3, kind="tool_call", id="d", name="g")
    empty = of(second, tool_calls=[ToolCallDelta(index=7, function=FunctionCallDelta())])
    answer = message(call("{}", id="c", name="f"), empty)
    assert [(part.id, part.name, part.text) for part in answer.parts] == [("c", "f", "{}"), ("d", "g", "")]


def test_a_call_in_a_text_is_none_of_the_parts() -> None:
    answer = message(of(TEXT, content="a"), call("{}", TEXT, id="c", name="f"), block(0))
    assert seen(answer) == [(0, "text", "a")]
    # By its parts it would be lost.
    assert not answer.is_as_it_came


def test_the_call_of_a_part_that_nobody_takes_for_one_is_no_final_part() -> None:
    def without_calls(chunk: StreamChunk) -> StreamChunk:
        (choice,) = chunk.choices
        delta = choice.delta.model_copy(update={"tool_calls": None})
        return chunk.model_copy(update={"choices": [choice.model_copy(update={"delta": delta})]})

    answer = message(of(TEXT, content="a"), without_calls(call("{}", id="c", name="f")), block(0), block(2))
    assert answer.tool_calls == []
    # A call goes back with its result or not at all.
    assert not answer.is_as_it_came


# As it came


def test_a_message_is_as_it_came_until_content_or_calls_are_changed() -> None:
    answer = message(of(TEXT, content="a"), call("{}", id="c", name="f"), block(0), block(2))
    assert answer.is_as_it_came
    assert Message.model_validate_json(answer.model_dump_json()).is_as_it_came
    changes: list[dict[str, Any]] = [
        {"content": "b"},
        {"content": None},
        {"content": [{"type": "text", "text": "a"}]},
        {"tool_calls": []},
        {"tool_calls": [answer.tool_calls[0].model_copy(update={"id": "d"})]},
        {"parts": []},
    ]
    for changed in changes:
        assert not answer.model_copy(update=changed).is_as_it_came


def test_a_text_that_was_cut_is_not_as_it_came() -> None:
    assert not folded(of(TEXT, content="a")).partial().message.is_as_it_came
    assert not message(of(TEXT, content="a"), block(0, final=False)).is_as_it_came
    # A thought that was cut is not missed.
    assert message(of(THOUGHT, reasoning_content="a"), of(SECOND, content="b"), block(1)).is_as_it_came


def test_only_calls_have_no_content() -> None:
    answer = message(call("{}", id="c", name="f"), block(2))
    assert answer.content is None
    assert answer.is_as_it_came


def piped(*chunks: StreamChunk, through: Any) -> Message:
    finished = marked(finish_chunk(), begins=False)
    completion: ChatCompletion = rxllm.run(reactivex.of(*chunks, finished).pipe(through, ops.accumulate()))
    return completion.message


@pytest.mark.parametrize("texts", [("<think>Hm.</think>Yes.",), ("<thi", "nk>Hm.</th", "ink>Yes", ".")], ids=len)
def test_reasoning_that_is_split_from_a_text_leaves_the_message_as_it_came(texts: tuple[str, ...]) -> None:
    answer = piped(*(of(TEXT, content=text) for text in texts), block(0), through=ops.split_reasoning())
    assert (answer.content, answer.reasoning_text) == ("Yes.", "Hm.")
    assert seen(answer) == [(0, "text", "Yes.")]
    assert answer.is_as_it_came


def test_text_that_an_operator_held_back_is_that_of_the_text_before() -> None:
    chunks = [of(TEXT, content="1 <"), call("{}", id="c", name="f"), block(0), block(2)]
    answer = piped(*chunks, through=ops.split_reasoning(anywhere=True))
    assert seen(answer) == [(0, "text", "1 <"), (2, "tool_call", "{}")]
    assert answer.is_as_it_came
    answer = piped(*chunks[:2], of(SECOND, content="2"), through=ops.split_reasoning(anywhere=True))
    assert [text for _, kind, text in seen(answer) if kind == "text"] == ["1 ", "<2"]


# Fragments, snapshots and copies


PARTS = [DeltaPart(index=index, kind=kind) for index in (4, 0, 2) for kind in ("text", "reasoning", "tool_call", "x")]
pieces = st.sampled_from(["a", "bc", " "])


@st.composite
def deltas(draw: st.DrawFn) -> StreamChunk:
    part = draw(st.none() | st.sampled_from(PARTS))
    fields: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                **dict.fromkeys(("content", "reasoning_content", "refusal"), pieces),
                "blocks": st.lists(
                    st.builds(
                        DeltaBlock, index=st.sampled_from([0, 2, 7]), final=st.booleans(), block=st.just({"a": 1})
                    ),
                    max_size=2,
                ),
            },
        )
    )
    if draw(st.booleans()):
        index = draw(st.integers(0, 2))
        function = FunctionCallDelta(arguments=draw(st.sampled_from(['{"a"', ":1", "}"])))
        fields["tool_calls"] = [ToolCallDelta(index=index, id=f"c{index}", function=function)]
    if part is not None and draw(st.booleans()):
        part = part.model_copy(update=draw(st.fixed_dictionaries({}, optional={"text": pieces, "id": pieces})))
    return of(part, draw(st.sampled_from([0, 0, 0, 1])), **fields)


@st.composite
def streams(draw: st.DrawFn) -> list[StreamChunk]:
    """Chunks, of which several in a row are alike."""
    chunks: list[StreamChunk] = []
    for chunk in draw(st.lists(deltas(), max_size=12)):
        chunks += [chunk] * draw(st.integers(1, 3))
    return chunks


def slow(chunks: Sequence[StreamChunk]) -> Message:
    """The message of choice 0, so that no chunk is expected to be like the one before."""
    unlike = [
        marked(StreamChunk(choices=[*chunk.choices]), repairs=(rxllm.Repair("set-aside", 0, None, None),))
        for chunk in chunks
    ]
    return folded(*unlike).partial().message


def texts_by_hand(chunks: Sequence[StreamChunk]) -> dict[int, str]:
    """What the parts of choice 0 say that are no calls, put together as simply as can be."""
    kinds: dict[int, str] = {}
    said: dict[int, list[tuple[str, str]]] = {}
    own: dict[int, str] = {}
    current = speaker = None
    silent = {"reasoning", "tool_call"}
    for chunk in chunks:
        if chunk.choices[0].index:
            continue
        delta = chunk.choices[0].delta
        for each in delta.blocks or ():
            kinds.setdefault(each.index, "other")
        if delta.part is not None:
            current = delta.part.index
            kinds[current] = delta.part.kind
            own[current] = own.get(current, "") + (delta.part.text or "")
            if speaker is None or kinds[current] not in silent or kinds[speaker] in silent:
                speaker = current
        if delta.content and speaker is not None:
            said.setdefault(speaker, []).append(("content", delta.content))
        for name in ("reasoning_content", "refusal"):
            if (text := getattr(delta, name)) and current is not None:
                said.setdefault(current, []).append((name, text))
    return {
        index: "".join([*sorted_texts(said.get(index, []), only_text=kind == "text"), own.get(index, "")])
        for index, kind in kinds.items()
    }


def sorted_texts(said: list[tuple[str, str]], *, only_text: bool) -> list[str]:
    names = ("content", "refusal") if only_text else ("content", "reasoning_content", "refusal")
    return [text for name in names for each, text in said if each == name]


@given(streams())
def test_however_they_come_the_parts_are_the_same(chunks: list[StreamChunk]) -> None:
    accumulator = StreamAccumulator()
    snapshots: list[ChatCompletion] = []
    for chunk in chunks:
        accumulator.add(chunk)
        snapshots.append(accumulator.snapshot())
    whole = accumulator.partial()
    assert folded(*replayed(chunks)).partial() == whole
    assert slow(chunks) == whole.message
    # Each is read now that more has come.
    for count, snapshot in enumerate(snapshots, 1):
        assert snapshot == folded(*chunks[:count]).snapshot()
    by_hand = texts_by_hand(chunks)
    assert {part.index for part in whole.message.parts} == by_hand.keys()
    for part in whole.message.parts:
        if part.kind != PartKind.TOOL_CALL:
            assert sorted(part.text) == sorted(by_hand[part.index])


def conflated(chunks: list[StreamChunk]) -> list[StreamChunk]:
    conflated: list[StreamChunk] = []
    while chunks:
        first, *chunks = chunks
        waiting = Conflation(first)
        count = 0
        while count < len(chunks) and waiting.add(chunks[count]):
            count += 1
        conflated.append(waiting.close() if count else first)
        chunks = chunks[count:]
    return conflated


@given(streams())
def test_conflation_changes_nothing(chunks: list[StreamChunk]) -> None:
    # Repairs tell in which chunk they were.
    assert folded(*conflated(chunks)).partial().choices == folded(*chunks).partial().choices
    evented = [marked(chunk, event="x") for chunk in chunks]
    # What was made of several events was made of none of them.
    assert all(chunk.event in (None, "x") for chunk in conflated(evented))


@given(streams())
def test_copies_and_texts_of_chunks_are_equal(chunks: list[StreamChunk]) -> None:
    for chunk in chunks:
        evented = marked(chunk, event='{"type": "x"}', stream=STREAM)
        for copied in (
            pickle.loads(pickle.dumps(evented)),  # noqa: S301 - our own
            *(copy.copy(evented), copy.deepcopy(evented)),
            *(evented.model_copy(), evented.model_copy(deep=True), StreamChunk.from_wire(evented.model_dump_json())),
            StreamChunk.model_validate(evented.model_dump()),
        ):
            assert copied == evented
        assert pickle.loads(pickle.dumps(evented)).event == evented.event  # noqa: S301 - our own


@given(streams())
def test_a_message_is_the_same_after_it_was_stored(chunks: list[StreamChunk]) -> None:
    for choice in folded(*chunks).partial().choices:
        answer = choice.message
        for stored in (
            Message.model_validate_json(answer.model_dump_json()),
            Message.model_validate(answer.model_dump()),
            pickle.loads(pickle.dumps(answer)),  # noqa: S301 - our own
            copy.deepcopy(answer),
        ):
            assert stored == answer
        assert {"parts", "origin", "is_error", "blocks", "part"}.isdisjoint(answer.to_wire())


# What it costs, and how much there may be


def test_a_snapshot_costs_what_changed() -> None:
    def calls_for(parts: int) -> int:
        accumulator = folded(*(of(DeltaPart(index=index, kind="text"), content="a") for index in range(parts)))
        accumulator.snapshot()
        count = 0

        def profile(frame: FrameType, event: str, _: object) -> None:
            nonlocal count
            count += event == "call" and "rxllm" in frame.f_code.co_filename

        chunks = [of(DeltaPart(index=index, kind="reasoning"), reasoning_content="b") for index in (0, 1) * 50]
        sys.setprofile(profile)
        try:
            for chunk in chunks:
                accumulator.add(chunk)
                accumulator.snapshot()
        finally:
            sys.setprofile(None)
        return count

    assert calls_for(2000) == calls_for(2)


def test_there_are_so_many_parts_at_most() -> None:
    accumulator = StreamAccumulator()
    with pytest.raises(LimitExceededError, match="more than 4096 parts") as raised:
        accumulator.add_all(of(DeltaPart(index=index)) for index in range(5000))
    assert raised.value.limit == "max_parts"
    assert len(accumulator.partial().message.parts) == 4096
    with pytest.raises(LimitExceededError, match="parts"):
        accumulator.add(block(9999))
    # Those that are there may go on.
    accumulator.add(of(TEXT, content="a"))


TEN = "x" * 10
GROWING = {
    "text of a part": [of(DeltaPart(index=0, text=TEN))] * 300,
    "blocks": [block(number, text=TEN) for number in range(300)],
    "identifiers": [of(DeltaPart(index=number, id=TEN)) for number in range(300)],
    "names": [of(DeltaPart(index=number, name=TEN)) for number in range(300)],
    "kinds": [of(DeltaPart(index=number, kind=TEN)) for number in range(300)],
    "reasoning": [of(TEXT, reasoning_content=TEN)] * 300,
}


@pytest.mark.parametrize("chunks", GROWING.values(), ids=[*GROWING])
def test_all_that_is_kept_counts(chunks: list[StreamChunk]) -> None:
    accumulator = StreamAccumulator(max_characters=1000)
    with pytest.raises(LimitExceededError, match="longer than 1000"):
        accumulator.add_all(chunks)


def test_what_is_replaced_does_not_count() -> None:
    accumulator = StreamAccumulator(max_characters=100)
    accumulator.add_all(block(0, text="x" * 10, n=number % 10) for number in range(1000))
    accumulator.add_all(of(DeltaPart(index=0, id=f"{number:09d}", kind="text" * 3)) for number in range(1000))


# What a server of chat completions may send


NAMES = ("slots", "event_text", "extra", "raw", "(slots)", "(event)", "event", "stream", "parts", "origin", "is_error")
PARTS_OF_OTHERS: list[Any] = [
    *("x", 5, True, [], {}, {"index": {}}, {"index": "a"}, {"index": None}, {"kind": 5}, {"sub": "x"}),
    {"index": 0, "kind": "text", "type": "x", "deep": [[[[[[[1]]]]]]]},
]
BLOCKS_OF_OTHERS: list[Any] = [
    *("x", 5, {}, [], [1], [None], [[]], [{}], [{"block": []}], [{"index": "a"}], [{"final": "x"}], [{"x": 1}]),
    [{"block": {"a": [[[[[[[[1]]]]]]]]}}],
]
FOREIGN: list[Any] = ["x", {}, 1, {"a": 1}, True]
ODD = [
    *[{"part": part} for part in PARTS_OF_OTHERS],
    *[{"blocks": blocks} for blocks in BLOCKS_OF_OTHERS],
    *[{name: foreign} for name in NAMES for foreign in FOREIGN],
]


@pytest.mark.parametrize("fields", ODD, ids=json.dumps)
@pytest.mark.parametrize("place", ["chunk", "choice", "delta"])
def test_a_server_that_has_these_names_for_something_else_breaks_nothing(fields: dict[str, Any], place: str) -> None:
    def text(content: str) -> str:
        delta = {"content": content, **(fields if place == "delta" else {})}
        choice = {"index": 0, "delta": delta, **(fields if place == "choice" else {})}
        return json.dumps({"id": "1", "choices": [choice], **(fields if place == "chunk" else {})})

    texts = [text("a"), text("b"), text("c"), json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]})]
    chunks = rxllm.run(reactivex.of(*texts, "[DONE]").pipe(ops.parse(), rx_ops.to_list()))
    for chunk in chunks:
        for copied in (chunk, chunk.model_copy(), chunk.model_copy(update={"id": "2"}), copy.copy(chunk)):
            assert copied.event is None
            assert copied.stream is chunk.stream
            assert copied.model_dump(exclude_none=True) == {**chunk.model_dump(), "id": copied.id} or copied.id is None
            assert copied.model_extra == chunk.model_extra
    conflation = Conflation(chunks[0])
    assert [conflation.add(chunk) for chunk in chunks[1:3]] in ([True, True], [False, False])
    assert folded(*chunks).completion(ended=True).message.content == "abc"
    answer = rxllm.run(reactivex.of(*chunks).pipe(ops.split_reasoning(), ops.accumulate())).message
    assert answer.content == "abc"
    assert answer.is_error is None
    assert answer.origin is not None
    assert answer.origin.dialect == "openai-chat"
    assert Message.model_validate_json(answer.model_dump_json()) == answer
    sent = answer.to_wire()
    assert {"parts", "origin", "is_error", "blocks", "part"}.isdisjoint(sent) or place == "delta"
    assert sent["content"] == "abc"


def test_a_delta_with_too_many_odd_blocks_is_refused() -> None:
    delta: dict[str, Any] = {"blocks": [{"index": "0", "block": {}}] * 9_000}
    with pytest.raises(LimitExceededError, match="had to be repaired"):
        StreamChunk.from_wire({"choices": [{"delta": delta}]})
    more = StreamChunk.from_wire({"choices": [{"delta": {"blocks": [{"block": {}}] * 10_001}}]})
    assert more.choices[0].delta.blocks is None


# What an answer cost


def usage(prompt: int, *, replaces: bool, **more: Any) -> StreamChunk:
    return marked(StreamChunk(usage=Usage(prompt_tokens=prompt, **more)), replaces_usage=replaces)


def test_usage_that_is_the_whole_so_far_replaces_what_came_before() -> None:
    accumulator = folded(usage(9, replaces=True, completion_tokens=5), usage(4, replaces=True))
    assert accumulator.completion().usage == Usage(prompt_tokens=4)
    assert accumulator.completion().repairs == ()
    accumulator = folded(usage(9, replaces=False, completion_tokens=5), usage(4, replaces=False))
    assert accumulator.completion().usage == Usage(prompt_tokens=4, completion_tokens=5)
    assert [repair.kind for repair in accumulator.completion().repairs] == ["usage-replaced"]


@pytest.mark.parametrize("replaces", [True, False])
def test_what_a_try_cost_is_told_by_the_same_rule(*, replaces: bool) -> None:
    chunks = [usage(9, replaces=replaces, completion_tokens=5), usage(4, replaces=replaces), StreamChunk(usage=Usage())]
    failed = reactivex.concat(reactivex.of(*chunks), reactivex.throw(rxllm.StreamInterruptedError("x")))
    tries = iter([failed, reactivex.of(marked(text_chunk("a"), begins=True), finish_chunk())])
    answer = rxllm.run(
        reactivex.defer(lambda _: next(tries)).pipe(
            ops.retry_with_backoff(2, initial=0, after_first="restart"), ops.accumulate()
        )
    )
    (attempt,) = answer.attempts
    assert attempt.usage == folded(*chunks).completion().usage


# The model


def test_the_last_model_counts() -> None:
    models = [None, "", "a", "a", None, "b", ""]
    accumulator = StreamAccumulator()
    snapshots: list[ChatCompletion] = []
    for model in models:
        accumulator.add(text_chunk("x").model_copy(update={"model": model}))
        snapshots.append(accumulator.snapshot())
    assert [snapshot.model for snapshot in snapshots] == [None, "", "a", "a", "a", "b", "b"]
