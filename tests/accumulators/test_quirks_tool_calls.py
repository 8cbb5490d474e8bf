"""The rows on tool calls of the catalogue of quirks, with the payload as it is on the wire."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from rxllm.accumulators import StreamAccumulator, ToolCallAccumulator
from rxllm.dialects import get_dialect
from rxllm.exceptions import LimitExceededError, ToolCallError, TruncatedStreamError
from rxllm.models import ChatCompletion, IncompleteToolCall, StreamChunk, ToolCall


def chunks(*deltas: list[dict[str, Any]], end: str | None = "tool_calls") -> list[StreamChunk]:
    """A stream of choice 0, one chunk for each list of ``tool_calls`` elements."""
    decoder = get_dialect("openai-chat").decoder()
    wire: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"tool_calls": calls}}]} for calls in deltas]
    if end is not None:
        wire.append({"choices": [{"index": 0, "delta": {}, "finish_reason": end}]})
    return [chunk for each in wire for chunk in decoder.decode(json.dumps(each))]


def fold(*deltas: list[dict[str, Any]], end: str | None = "tool_calls", ended: bool | None = None) -> ChatCompletion:
    accumulator = StreamAccumulator()
    for chunk in chunks(*deltas, end=end):
        accumulator.add(chunk)
    return accumulator.completion(ended=end is not None if ended is None else ended)


def emitted(*deltas: list[dict[str, Any]], end: str | None = "tool_calls", eager: bool = False) -> list[ToolCall]:
    accumulator = ToolCallAccumulator(eager=eager)
    calls = [call for chunk in chunks(*deltas, end=end) for call in accumulator.add(chunk)]
    return calls + accumulator.close()


MADE_UP = "made up"


def id_of(call: ToolCall) -> str:
    return MADE_UP if re.fullmatch("call_[0-9a-f]{24}", call.id) else call.id


def seen(calls: list[ToolCall]) -> list[tuple[str, str, str]]:
    return [(id_of(call), call.function.name, call.function.arguments) for call in calls]


def tc(arguments: Any = None, *, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """One element of ``delta.tool_calls``."""
    function = {"name": name} if name is not None else {}
    if arguments is not None:
        function["arguments"] = arguments
    return {**fields, "function": function}


TWO = [("a", "w", '{"c":1}'), ("b", "w", '{"c":2}')]

ROWS: dict[str, tuple[list[list[dict[str, Any]]], list[tuple[str, str, str]]]] = {
    "1 no index": ([[tc('{"c":1}', name="w", id="a")], [tc('{"c":2}', name="w", id="b")]], TWO),
    "1 no index, in pieces": (
        [[tc('{"c"', name="w", id="a")], [tc(":1}")], [tc('{"c"', name="w", id="b")], [tc(":2}")]],
        TWO,
    ),
    "2 index reused with a new id": (
        [[tc('{"c":1}', name="w", id="a", index=0)], [tc('{"c":2}', name="w", id="b", index=0)]],
        TWO,
    ),
    "2 index reused, in pieces": (
        [
            [tc('{"c"', name="w", id="a", index=0)],
            [tc(":1}", index=0)],
            [tc('{"c"', name="w", id="b", index=0)],
            [tc(":2}", index=0)],
        ],
        TWO,
    ),
    "3 index reused without ids": (
        [[tc('{"c":1}', name="w", index=0)], [tc('{"c":2}', name="w", index=0)]],
        [(MADE_UP, "w", '{"c":1}'), (MADE_UP, "w", '{"c":2}')],
    ),
    "3 index reused without ids in one chunk": (
        [[tc('{"c":1}', name="w", index=0), tc('{"c":2}', name="v", index=0)]],
        [(MADE_UP, "w", '{"c":1}'), (MADE_UP, "v", '{"c":2}')],
    ),
    "4 id and name repeated": (
        [[tc(each, name="w", id="a", index=0)] for each in ('{"c"', ":", "1}")],
        [("a", "w", '{"c":1}')],
    ),
    "4 name repeated without id": (
        [[tc('{"c":1', name="w", index=0)], [tc("}", name="w", index=0)], [tc("", name="w", index=0)]],
        [(MADE_UP, "w", '{"c":1}')],
    ),
    "4 id repeated without index": (
        [[tc('{"c":1', name="w", id="a")], [tc("}", name="w", id="a")]],
        [("a", "w", '{"c":1}')],
    ),
    "5 blank continuation": (
        [[tc('{"c":', name="w", id="a", index=0)], [tc("1}", name="", id="", index=0)]],
        [("a", "w", '{"c":1}')],
    ),
    "5 blank continuation without index": (
        [[tc('{"c":', name="w", id="a")], [tc("1}", name=" ", id="")]],
        [("a", "w", '{"c":1}')],
    ),
    "6 arguments as an object": (
        [[tc({"city": "Paris"}, name="w", id="a", index=0)]],
        [("a", "w", '{"city":"Paris"}')],
    ),
    "6 arguments null": ([[{"index": 0, "id": "a", "function": {"name": "w", "arguments": None}}]], [("a", "w", "{}")]),
    "6 arguments never": ([[tc(name="w", id="a", index=0)]], [("a", "w", "{}")]),
    "6 arguments blank": ([[tc(" ", name="w", id="a", index=0)]], [("a", "w", "{}")]),
    "7 reversed": (
        [[tc('{"c":2}', name="w", id="b", index=1)], [tc('{"c":1}', name="w", id="a", index=0)]],
        TWO,
    ),
    "7 starting at 1": ([[tc('{"c":1}', name="w", id="a", index=1)]], TWO[:1]),
    "8 same index twice in one chunk": (
        [[tc("", name="w", id="a", index=0), tc('{"c"', index=0)], [tc(":1}", index=0)]],
        TWO[:1],
    ),
    "9 interleaved": (
        [
            [tc("", name="w", id="a", index=0), tc("", name="w", id="b", index=1)],
            [tc('{"c":', index=0)],
            [tc('{"c":', index=1)],
            [tc("1}", index=0)],
            [tc("2}", index=1)],
        ],
        TWO,
    ),
    "10 name after the arguments": (
        [[tc('{"c":1}', id="a", index=0)], [tc(name="w", index=0)]],
        TWO[:1],
    ),
    "10 id and name after the arguments": (
        [[tc('{"c"', index=0)], [tc(":1}", id="a", name="w", index=0)]],
        TWO[:1],
    ),
    "10 id and name after all of the arguments": (
        [[tc('{"c":1}', index=0)], [tc(id="a", name="w", index=0)]],
        TWO[:1],
    ),
    "10 id changes in the middle": (
        [[tc('{"c"', name="w", id="a", index=0)], [tc(":1}", id="z", index=0)]],
        TWO[:1],
    ),
    "10 id changes in the middle, without index": (
        [[tc('{"c"', name="w", id="a")], [tc(":1", id="z")], [tc("}", id="z")]],
        TWO[:1],
    ),
    "12 finish_reason stop": ([[tc('{"c":1}', name="w", id="a", index=0)]], TWO[:1]),
    "14 huge index": ([[tc('{"c":1}', name="w", id="a", index=4_000_000_000)]], TWO[:1]),
    "14 negative index": ([[tc('{"c":1}', name="w", id="a", index=-1)]], TWO[:1]),
    "name in pieces": (
        [[tc(name="get_", id="a", index=0)], [tc("{}", name="time", index=0)]],
        [("a", "get_time", "{}")],
    ),
    "name growing": (
        [[tc(name="get_", id="a", index=0)], [tc("{}", name="get_time", index=0)]],
        [("a", "get_time", "{}")],
    ),
    "name changes under way": (
        [[tc("{", name="w", id="a", index=0)], [tc("}", name="v", index=0)]],
        [("a", "w", "{}")],
    ),
    "one id for several calls": (
        [
            [tc('{"c":1}', name="w", id="a", index=0)],
            [tc('{"c"', name="w", id="a", index=1)],
            [tc(":2}", name="w", id="a", index=1)],
        ],
        [("a", "w", '{"c":1}'), (MADE_UP, "w", '{"c":2}')],
    ),
    "index counts up within a call": (
        [[tc('{"c"', name="w", id="a", index=0)], [tc(":1}", name="w", id="a", index=1)]],
        TWO[:1],
    ),
    "id comes with a repeated name": (
        [[tc(name="w", index=0)], [tc('{"c":1}', name="w", id="a", index=0)]],
        TWO[:1],
    ),
    "new id without name after a closed call": (
        [[tc('{"c":1}', name="w", id="a", index=0)], [tc('{"c":2}', id="b", index=0)], [tc(name="w", index=0)]],
        TWO,
    ),
    "two without arguments, index or id": (
        [[tc(name="w"), tc(name="v")]],
        [(MADE_UP, "w", "{}"), (MADE_UP, "v", "{}")],
    ),
    "the same twice without arguments, index or id": (
        [[tc(name="w"), tc(name="w")]],
        [(MADE_UP, "w", "{}"), (MADE_UP, "w", "{}")],
    ),
    "name repeated without index or id": (
        [[tc(name="w")], [tc('{"c":', name="w")], [tc("1}", name="w")], [tc(name="w")]],
        [(MADE_UP, "w", '{"c":1}')],
    ),
    "whole calls without index or id": (
        [[tc('{"c":1}', name="w")], [tc('{"c":2}', name="w")]],
        [(MADE_UP, "w", '{"c":1}'), (MADE_UP, "w", '{"c":2}')],
    ),
    "id first, then the rest": (
        [[{"id": "a", "type": "function", "x": 1}], [tc('{"c":1}', name="w")]],
        TWO[:1],
    ),
    "empty element at the end": (
        [[tc('{"c":1}', name="w", id="a", index=0)], [tc("", index=1)], [{"index": 2}], [tc("")], [tc("\n")]],
        TWO[:1],
    ),
    "index missing on the first fragment only": (
        [[tc('{"c"', name="w", id="a")], [tc(":1}", index=0)]],
        TWO[:1],
    ),
    "braces in strings": (
        [[tc('{"c":"}', name="w", index=0)], [tc('{\\"', name="w", index=0)], [tc('"}', name="w", index=0)]],
        [(MADE_UP, "w", '{"c":"}{\\""}')],
    ),
}


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("end", ["tool_calls", "stop"])
def test_rows(row: str, end: str) -> None:
    deltas, expected = ROWS[row]
    message = fold(*deltas, end=end).message
    assert seen(message.tool_calls) == expected
    assert seen(emitted(*deltas, end=end)) == expected
    assert all(isinstance(call.function.parsed, dict) for call in message.tool_calls)


@pytest.mark.parametrize("row", ROWS)
def test_rows_eagerly(row: str) -> None:
    deltas, expected = ROWS[row]
    calls = seen(emitted(*deltas, eager=True))
    # A call comes when the next one has begun, so in the order in which they came and not in that of the index.
    assert calls == (expected[::-1] if row == "7 reversed" else expected)


@pytest.mark.parametrize("row", ROWS)
def test_rows_cut_before_the_end(row: str) -> None:
    deltas, expected = ROWS[row]
    choice = fold(*deltas, end=None).choices[0]
    assert choice.message.tool_calls == []
    assert [(call.id, call.name) for call in choice.incomplete_tool_calls] == [
        (None if call_id == MADE_UP else call_id, name) for call_id, name, _ in expected
    ]


def test_rows_in_snapshots() -> None:
    for deltas, _ in ROWS.values():
        accumulator = StreamAccumulator()
        snapshots: list[tuple[ChatCompletion, dict[str, Any]]] = []
        for chunk in chunks(*deltas):
            accumulator.add(chunk)
            snapshots.append((accumulator.snapshot(), accumulator.partial().model_dump(exclude={"complete", "ending"})))
        assert [snapshot.model_dump(exclude={"complete", "ending"}) for snapshot, _ in snapshots] == [
            then for _, then in snapshots
        ]


GLUED = '{"a":1}{"a":2}'


def test_row_11_two_objects_glued_in_one_string() -> None:
    whole = [tc(GLUED, name="w", id="a", index=0)]
    for deltas in ([whole], [[tc(each, name="w", id="a", index=0)] for each in ('{"a":1}', '{"a":2}')]):
        with pytest.raises(ToolCallError, match=r"more than one value.*a.*1.*a.*2") as caught:
            fold(*deltas)
        assert (caught.value.choice, caught.value.call_id, caught.value.text) == (0, "a", GLUED)
        partial = caught.value.partial
        assert isinstance(partial, ChatCompletion)
        assert partial.message.tool_calls == []
        assert partial.choices[0].incomplete_tool_calls == [
            IncompleteToolCall(index=0, id="a", name="w", arguments=GLUED)
        ]
        with pytest.raises(ToolCallError, match="more than one value"):
            emitted(*deltas)


@pytest.mark.parametrize(
    "text", ['{"a":', '{"a":1}}', "[1]", "nulls", '{"a":1}x', "{}x", "1 2", "[" * 5000], ids=lambda text: text[:9]
)
def test_arguments_that_are_the_models_own_mistake_are_shown_and_not_executed(text: str) -> None:
    good = [tc('{"c":1}', name="v", id="a", index=0), tc('{"c":2}', name="v", id="c", index=2)]
    deltas = [good[0], tc(text, name="w", id="b", index=1), good[1]]
    expected = [("a", "v", '{"c":1}'), ("b", "w", text), ("c", "v", '{"c":2}')]
    assert seen(fold(deltas).message.tool_calls) == expected
    assert seen(emitted(deltas)) == expected
    assert sorted(seen(emitted(deltas, eager=True))) == expected
    with pytest.raises(ToolCallError, match="not a JSON object"):
        _ = emitted(deltas)[1].function.parsed


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize(("bad", "said"), [(tc(GLUED, name="w"), "more than one value"), (tc("{}"), "has no name")])
def test_a_call_that_is_none_is_an_error_behind_all_others(bad: dict[str, Any], said: str, *, eager: bool) -> None:
    accumulator = ToolCallAccumulator(eager=eager)
    good = [tc('{"c":1}', name="v", id=call_id, index=index) for call_id, index in (("a", 0), ("c", 2))]
    given: list[str] = []
    with pytest.raises(ToolCallError, match=said):
        for chunk in chunks([good[0], {**bad, "id": "b", "index": 1}, good[1]]):
            given += [call.id for call in accumulator.add(chunk)]
        given.extend(call.id for call in accumulator.close())
    assert given == ["a", "c"]
    assert [call.id for call in accumulator.incomplete()] == ["b"]


def test_good_calls_before_an_error_are_not_added_to_others_without_it() -> None:
    accumulator = ToolCallAccumulator()
    for chunk in chunks([tc("{}", name="w", id="a", index=0), tc(GLUED, name="w", id="b", index=1)]):
        accumulator.add(chunk)
    calls, more = accumulator.close(), list[ToolCall]()
    with pytest.raises(ToolCallError, match="more than one value"):
        _ = more + calls
    more.clear()
    with pytest.raises(ToolCallError, match="more than one value"):
        more += calls
    assert [call.id for call in more] == ["a"]


def test_of_an_answer_without_an_end_no_call_is_given_away() -> None:
    accumulator = ToolCallAccumulator()
    for chunk in chunks([tc("{}", name="v", id="a", index=0), tc("[", name="w", id="b", index=1)], end=None):
        assert accumulator.add(chunk) == []
    with pytest.raises(TruncatedStreamError, match="no finish_reason"):
        accumulator.close()
    assert [call.id for call in accumulator.incomplete()] == ["a", "b"]


def test_a_call_without_a_name() -> None:
    with pytest.raises(ToolCallError, match="no name"):
        fold([tc("{}", id="a", index=0)])
    with pytest.raises(ToolCallError, match="no name"):
        emitted([tc("{}", id="a", index=0)])


def test_row_13_vendor_data_of_the_first_fragment_is_kept() -> None:
    first: dict[str, Any] = tc('{"c":', name="w", id="a", index=0)
    first.update(extra_content={"google": {"thought_signature": "s"}}, x=None)
    first["function"]["hint"] = 1
    later: dict[str, Any] = tc("1}", index=0)
    later.update(extra_content={"google": {}}, x=2)
    later["function"]["hint"] = 2
    for call in (fold([first], [later]).message.tool_calls[0], *emitted([first], [later])):
        assert call.model_dump() == {
            "id": "a",
            "type": "function",
            "extra_content": {"google": {"thought_signature": "s"}},
            "x": 2,
            "function": {"name": "w", "arguments": '{"c":1}', "hint": 1},
        }


def test_vendor_data_with_the_names_of_our_fields_changes_nothing() -> None:
    call = fold([{**tc("{}", name="w", id="a", index=0), "arguments": "x", "name": "y"}]).message.tool_calls[0]
    assert seen([call]) == [("a", "w", "{}")]


def test_row_14_a_limit_on_the_number_of_calls() -> None:
    accumulator = StreamAccumulator(max_tool_calls=2)
    first, *_ = chunks([tc("{}", name="w", id=str(number), index=number) for number in range(3)])
    with pytest.raises(LimitExceededError, match="more than 2 tool calls") as caught:
        accumulator.add(first)
    assert (caught.value.limit, caught.value.maximum) == ("max_tool_calls", 2)
    assert len(accumulator.partial().choices[0].incomplete_tool_calls) == 2
    with pytest.raises(LimitExceededError):
        ToolCallAccumulator(max_tool_calls=2).add(first)


@pytest.mark.parametrize(
    "deltas",
    [
        [[tc("{", name="w", id="a", index=0), tc("{", name="w", id="b", index=1)], [tc("}")]],
        [[tc("{", name="w", id="a", index=0), tc("{", name="w", id="b", index=1)], [tc("}", id="z")]],
        [[tc("{}", name="w", id="a")], [tc("{}")]],
        [[tc("{", name="w", id="a")], [tc("}", name="v")]],
        [[tc('{"a":"', name="w", id="a", index=0), tc('{"a":"', name="w", id="b", index=1)], [tc(" ")]],
    ],
    ids=["two are open", "two are open, unknown id", "none is open", "another is open", "white space in one of two"],
)
def test_a_fragment_that_fits_nowhere(deltas: list[list[dict[str, Any]]]) -> None:
    with pytest.raises(ToolCallError, match=r"no index and no known identifier") as caught:
        fold(*deltas)
    assert caught.value.choice == 0
    with pytest.raises(ToolCallError):
        emitted(*deltas)


def test_the_order_of_emission_is_that_of_the_index() -> None:
    deltas = [tc("{}", name="w", id="b", index=1)], [tc("{}", name="w", id="a", index=0)]
    assert [call.id for call in emitted(*deltas)] == ["a", "b"]


def test_eagerly_a_call_comes_when_it_has_closed_and_the_next_has_begun() -> None:
    accumulator = ToolCallAccumulator(eager=True)
    stream = chunks(
        [tc('{"c":', name="w", id="a", index=0)],
        [tc("1}", index=0)],
        [tc("", name="w", id="b", index=1)],
        [tc("{}", index=1)],
    )
    assert [[call.id for call in accumulator.add(chunk)] for chunk in stream] == [[], [], ["a"], [], ["b"]]
    assert accumulator.close() == []


def test_eagerly_a_call_that_is_open_when_the_next_begins_comes_when_it_closes() -> None:
    accumulator = ToolCallAccumulator(eager=True)
    stream = chunks(
        [tc('{"c":', name="w", id="a", index=0)],
        [tc("{", name="w", id="b", index=1)],
        [tc("1}", index=0)],
        [tc("}", index=1)],
    )
    assert [[call.id for call in accumulator.add(chunk)] for chunk in stream] == [[], [], ["a"], [], ["b"]]


@pytest.mark.parametrize(
    "late",
    [tc(" x", index=0), tc('{"c":2}', name="w", id="a", index=0), tc('{"c":1}{"c":2}', index=0), tc("{}", index=0)],
    ids=["arguments", "others", "others behind the same", "an empty object"],
)
def test_a_fragment_for_a_call_that_was_given_away(late: dict[str, Any]) -> None:
    first, more = tc('{"c":1}', name="w", id="a", index=0), tc("", name="w", id="b", index=1)
    for accumulator, stream in (
        (ToolCallAccumulator(eager=True), chunks([first], [more], end=None)),
        (ToolCallAccumulator(eager=True), chunks([first])),
    ):
        assert [call.id for chunk in stream for call in accumulator.add(chunk)] == ["a"]
        with pytest.raises(ToolCallError, match="came after the call was complete") as caught:
            accumulator.add(chunks([late], end=None)[0])
        assert (caught.value.choice, caught.value.call_id) == (0, "a")


def test_a_name_for_a_call_that_was_given_away() -> None:
    accumulator = ToolCallAccumulator(eager=True)
    stream = chunks([tc("{}", name="w", id="a", index=0)])
    assert [call.id for chunk in stream for call in accumulator.add(chunk)] == ["a"]
    with pytest.raises(ToolCallError, match="a name"):
        accumulator.add(chunks([tc(name="v", id="a", index=0)], end=None)[0])


def test_an_identifier_for_a_call_that_was_given_away_under_a_made_up_one() -> None:
    accumulator = ToolCallAccumulator(eager=True)
    stream = chunks([tc("{", name="w", index=0)], [tc("}", index=0)])
    assert [id_of(call) for chunk in stream for call in accumulator.add(chunk)] == [MADE_UP]
    with pytest.raises(ToolCallError, match="an identifier"):
        accumulator.add(chunks([tc("", id="a", index=0)], end=None)[0])


def test_what_says_nothing_new_may_come_after_a_call_was_given_away() -> None:
    accumulator = ToolCallAccumulator()
    for chunk in chunks([tc("{}", name="w", id="a", index=0)]):
        accumulator.add(chunk)
    for late in (tc("\n", index=0), tc("", name="w", id="a", index=0), tc(name="w", index=0)):
        assert accumulator.add(chunks([late], end="stop")[0]) == []


def test_eagerly_a_new_call_after_the_end_waits_for_the_next_end() -> None:
    accumulator = ToolCallAccumulator(eager=True)
    stream = [
        *chunks([tc("{}", name="w", id="a", index=0)]),
        *chunks([tc("{", name="w", id="b", index=1)], [tc("}", index=1)]),
    ]
    ids = [[call.id for call in accumulator.add(chunk)] for chunk in stream]
    assert ids == [[], ["a"], [], [], ["b"]]


CUT_SHORT = ["error", "length", "max_tokens", "MAX_TOKENS", "content_filter", "pause_turn", "abort"]


@pytest.mark.parametrize("end", CUT_SHORT)
@pytest.mark.parametrize("eager", [False, True])
def test_calls_of_a_choice_that_was_cut_short_are_not_executable(end: str, *, eager: bool) -> None:
    deltas = [tc("{}", name="w", id="a", index=0)]
    choice = fold(deltas, end=end).choices[0]
    assert choice.message.tool_calls == []
    assert choice.incomplete_tool_calls == [IncompleteToolCall(index=0, id="a", name="w", arguments="{}")]
    with pytest.raises(TruncatedStreamError, match=f"'{end}'.*: none of its tool calls is run") as caught:
        emitted(deltas, end=end, eager=eager)
    assert caught.value.unfinished == (0,)


@pytest.mark.parametrize(
    ("end", "said"), [("moonrise", "'moonrise'"), (None, "no finish_reason"), ("null", "no finish")]
)
def test_calls_whose_end_nobody_understands_are_kept_and_not_given_away(end: str | None, said: str) -> None:
    deltas = [tc("{}", name="w", id="a", index=0)]
    completion = fold(deltas, end=end, ended=True)
    assert [call.id for call in completion.message.tool_calls] == ["a"]
    assert (completion.complete, completion.ending) == (True, "unknown")
    for eager in (False, True):
        with pytest.raises(TruncatedStreamError, match=said):
            emitted(deltas, end=end, eager=eager)


def test_of_an_answer_with_a_choice_that_was_cut_no_call_is_given_away() -> None:
    accumulator = ToolCallAccumulator()
    for chunk in chunks([tc("{}", name="w", id="a", index=0)]):
        accumulator.add(chunk)
    accumulator.add(StreamChunk.from_wire({"choices": [{"index": 1, "delta": {"content": "a"}}]}))
    with pytest.raises(TruncatedStreamError, match="no finish_reason") as caught:
        accumulator.close()
    assert caught.value.unfinished == (1,)
    assert [call.id for call in accumulator.incomplete()] == ["a"]


def test_row_39_a_reason_before_the_last_fragment_of_the_arguments() -> None:
    first, *rest = [tc('{"c":', name="w", id="a", index=0)], [tc("1", index=0)], [tc("}", index=0)]
    stream = [*chunks(first), *chunks(*rest, end=None)]
    for eager in (False, True):
        whole, calls = StreamAccumulator(), ToolCallAccumulator(eager=eager)
        for chunk in stream[:-1]:
            whole.add(chunk)
            assert calls.add(chunk) == []
            assert whole.snapshot().message.tool_calls == whole.partial().message.tool_calls == []
            assert (whole.snapshot().complete, whole.snapshot().ending) == (False, None)
        whole.add(stream[-1])
        assert whole.snapshot().ending == "completed"
        assert seen(whole.message().tool_calls) == [("a", "w", '{"c":1}')]
        assert seen([*calls.add(stream[-1]), *calls.close()]) == [("a", "w", '{"c":1}')]


def test_at_the_end_of_the_stream_the_calls_count_once() -> None:
    accumulator = ToolCallAccumulator()
    for chunk in chunks([tc("{}", name="w", id="a", index=0)]):
        assert accumulator.add(chunk) == []
    assert [call.id for call in accumulator.close()] == ["a"]
    assert accumulator.close() == []
    assert accumulator.incomplete() == []


def test_an_end_without_calls() -> None:
    assert emitted(end="stop") == []


def test_custom_tools() -> None:
    first = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "sh", "input": ""}}
    deltas = [[first], [{"index": 0, "custom": {"input": "ls }"}}], [{"index": 0, "custom": {"input": "{"}}]]
    for call in (fold(*deltas).message.tool_calls[0], *emitted(*deltas)):
        assert (call.type, call.function.name, call.function.arguments) == ("custom", "sh", "ls }{")
        assert call.model_dump()["custom"] == {"name": "sh", "input": "ls }{"}
    assert fold(*deltas).message.to_wire()["tool_calls"] == [
        {"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls }{"}}
    ]


def test_repairs_are_reported_once_each() -> None:
    completion = fold(
        [tc('{"c"', name="w", id="a", index=0)],
        [tc(":1}", name="w", id="a", index=0)],
        [tc(" ", name="w", id="a", index=0)],
        [tc({"d": 1}, name="v", id="b", index=0)],
        [tc("", id="", index=0)],
        [tc(name="u")],
    )
    assert [(repair.kind, repair.position) for repair in completion.repairs] == [
        ("id-repeated", 1),
        ("name-repeated", 1),
        ("arguments-serialized", 3),
        ("index-reused", 3),
        ("blank-ignored", 4),
        ("index-made-up", 5),
        ("arguments-empty", 6),
        ("id-made-up", 6),
    ]
    assert completion.repairs[2].before == {"d": 1}
    assert completion.repairs[2].after == '{"d":1}'
    assert "repairs" not in completion.model_dump()


def test_the_number_of_repairs_is_bounded() -> None:
    accumulator = StreamAccumulator(max_tool_calls=2000)
    for chunk in chunks([tc("{}", name="w", id=str(number)) for number in range(1500)]):
        accumulator.add(chunk)
    assert len(accumulator.completion().repairs) == 1000
    assert len(accumulator.completion().message.tool_calls) == 1500
