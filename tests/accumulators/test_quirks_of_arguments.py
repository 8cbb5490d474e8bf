"""The rows on arguments that are not only appended, over each fold that sees calls."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.accumulators import (
    JSONPathAccumulator,
    StreamAccumulator,
    ToolCallAccumulator,
    ToolCallProgressAccumulator,
)
from rxllm.exceptions import RepairError, ToolCallError
from rxllm.models import StreamChunk, StreamInfo, ToolCall, marked

Fragment = dict[str, Any]


def tc(arguments: Any = None, *, name: str | None = None, **fields: Any) -> Fragment:
    """One element of ``delta.tool_calls``, at index 0 unless it says something else."""
    function = {"name": name} if name is not None else {}
    if arguments is not None:
        function["arguments"] = arguments
    fields = {name: value for name, value in ({"index": 0} | fields).items() if value is not None}
    return {**fields, "function": function}


def first(arguments: Any = "", **fields: Any) -> Fragment:
    return tc(arguments, **({"id": "a", "name": "w"} | fields))


def chunks(*fragments: Fragment, end: str | None = "tool_calls") -> list[StreamChunk]:
    wire: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"tool_calls": [each]}}]} for each in fragments]
    if end is not None:
        wire.append({"choices": [{"index": 0, "delta": {}, "finish_reason": end}]})
    return [StreamChunk.from_wire(json.dumps(each)) for each in wire]


Calls = list[tuple[str | None, str, Any]]


def seen(calls: Iterable[ToolCall]) -> Calls:
    return [(call.id, call.function.name, call.function.parsed) for call in calls]


def of_the_answer(stream: list[StreamChunk]) -> Calls:
    accumulator = StreamAccumulator()
    for chunk in stream:
        accumulator.add(chunk)
        if len(stream) < 100:  # each of these reads all of it
            _ = accumulator.snapshot().choices, accumulator.partial()
    assert accumulator.snapshot().message.tool_calls == accumulator.message().tool_calls
    return seen(accumulator.completion().message.tool_calls)


def given_away(stream: list[StreamChunk], *, eager: bool) -> Calls:
    accumulator = ToolCallAccumulator(eager=eager)
    calls = [call for chunk in stream for call in accumulator.add(chunk)]
    return seen([*calls, *accumulator.close()])


def watched(stream: list[StreamChunk]) -> list[tuple[str, Any]]:
    """The calls as they were last seen, in order of their index; of one index the last call."""
    accumulator = ToolCallProgressAccumulator()
    last = {state.index: state for chunk in stream for state in accumulator.add(chunk)}
    return [(last[index].name or "", last[index].arguments) for index in sorted(last)]


def found(stream: list[StreamChunk]) -> list[Any]:
    """What is found of whole arguments, the last of each call."""
    accumulator = JSONPathAccumulator(["$"])
    values: dict[int | None, Any] = {}
    for chunk in stream:
        for match in accumulator.add(chunk):
            if match.complete:
                values[match.call] = match.value
    return [values[call] for call in sorted(values, key=lambda call: call or 0)]


def check(stream: list[StreamChunk], expected: Calls) -> None:
    """That all folds see these calls, and agree on the identifiers that are made up."""
    calls = of_the_answer(stream)
    assert [(call_id if call_id in ("a", "b") else None, name, value) for call_id, name, value in calls] == expected
    assert given_away(stream, eager=False) == calls
    assert sorted(given_away(stream, eager=True), key=repr) == sorted(calls, key=repr)
    if len(calls) == 1:
        assert watched(stream) == [(name, value) for _, name, value in calls]
        assert found(stream)[-1:] in ([calls[0][2]], [])


ONE = {"cmd": "ls", "n": 1}
TEXT = '{"cmd":"ls","n":1}'
AGAIN = '{ "n": 1.0,\n "cmd": "l\\u0073" }'
ENCODED = json.dumps(TEXT)

PLACEHOLDERS: dict[str, list[Fragment]] = {
    "text": [first("{}"), tc(TEXT[:5]), tc(TEXT[5:])],
    "text with space": [first("{ }\n"), tc(TEXT[:5]), tc(TEXT[5:])],
    "object": [first({}), tc(TEXT[:5]), tc(TEXT[5:])],
    "object, then an object": [first({}), tc(ONE)],
    "null": [first("null"), tc(TEXT[:5]), tc(TEXT[5:])],
    "null in pieces": [first("nu"), tc("ll "), tc(TEXT)],
    "an empty text": [first('""'), tc(TEXT[:5]), tc(TEXT[5:])],
    "an empty object, encoded": [first('"{}"'), tc(TEXT)],
    "twice": [first("{}"), tc("{}"), tc(TEXT)],
    "null and object": [first("null"), tc("{}"), tc(TEXT)],
    "in one text": [first("{}" + TEXT)],
    "with the id again": [first("{}"), first(TEXT[:5]), first(TEXT[5:])],
    "with the name again": [first("{}"), tc(TEXT[:5], name="w"), tc(TEXT[5:])],
    "without an index": [first("{}", index=None), tc(TEXT[:5], index=None), tc(TEXT[5:], index=None)],
}
REPETITIONS: dict[str, list[Fragment]] = {
    "whole": [first(TEXT[:5]), tc(TEXT[5:]), first(TEXT)],
    "whole, in another format": [first(TEXT[:5]), tc(TEXT[5:]), first(AGAIN)],
    "as an object": [first(TEXT[:5]), tc(TEXT[5:]), first(ONE)],
    "encoded": [first(TEXT), first(ENCODED)],
    "in pieces": [first(TEXT), first(TEXT[:5]), tc(TEXT[5:])],
    "in pieces, without an index": [
        *(first(TEXT, index=None), first(TEXT[:5], index=None), tc(TEXT[5:9], index=None), tc(TEXT[9:], index=None)),
    ],
    "twice": [first(TEXT), first(TEXT), first(TEXT)],
    "with the name alone": [first(TEXT), tc(TEXT, name="w")],
    "with the index alone": [first(TEXT), tc(TEXT)],
    "in one text": [first(TEXT + TEXT)],
    "behind a placeholder": [first("{}"), tc(TEXT), first(TEXT)],
}
ENCODINGS: dict[str, list[Fragment]] = {
    "whole": [first(ENCODED)],
    "in pieces": [first(ENCODED[:3]), tc(ENCODED[3:9]), tc(ENCODED[9:])],
    "byte by byte": [first(), *map(tc, ENCODED)],
    "with space": [first(f" {json.dumps(f' {TEXT} ')} ")],
    "three times": [first(json.dumps(ENCODED))],
    "with escapes": [first(json.dumps(json.dumps(ONE, indent=1)))],
    "behind a placeholder": [first("{}"), tc(ENCODED)],
    "again": [first(ENCODED), first(ENCODED)],
}
PIECES_WITH_IDS: dict[str, list[Fragment]] = {
    "from the first": [first(TEXT[:5]), first(TEXT[5:9], id="x"), first(TEXT[9:], id="y")],
    "behind a first without arguments": [first(), first(TEXT[:5], id="x"), first(TEXT[5:], id="y")],
    "behind a first, whole": [first(), first(TEXT, id="x")],
    "with a last one without arguments": [first(TEXT[:5]), first(TEXT[5:], id="x"), first("", id="y")],
    "a brace in a text": [first('{"cmd":"ls","n":1,"s":"'), first("{", id="x"), first('"}', id="y")],
    "an object in it": [first('{"o":'), first('{"p":', id="x"), first("{}}", id="y"), first("}", id="z")],
}


def value_of(row: str) -> Any:
    others: dict[str, Any] = {"a brace in a text": {**ONE, "s": "{"}, "an object in it": {"o": {"p": {}}}}
    return others.get(row, ONE)


@pytest.mark.parametrize("row", PLACEHOLDERS)
def test_row_15_what_says_nothing_before_the_arguments_is_a_placeholder(row: str) -> None:
    check(chunks(*PLACEHOLDERS[row]), [("a", "w", ONE)])


@pytest.mark.parametrize("row", REPETITIONS)
def test_row_16_the_same_arguments_again_are_a_repetition(row: str) -> None:
    check(chunks(*REPETITIONS[row]), [("a", "w", ONE)])


@pytest.mark.parametrize("text", ["null", " null\n", '""', '"null"', '" "'])
def test_row_17_no_arguments_in_other_words(text: str) -> None:
    stream = chunks(first(text))
    check(stream, [("a", "w", {})])
    accumulator = StreamAccumulator(strict=True)
    for chunk in stream:
        accumulator.add(chunk)
    (repair,) = accumulator.completion().repairs
    assert (repair.kind, repair.before, repair.after, repair.weight) == ("arguments-empty", text, "{}", "form")


@pytest.mark.parametrize("row", PIECES_WITH_IDS)
def test_row_18_an_identifier_for_each_piece_is_one_call(row: str) -> None:
    stream = chunks(*PIECES_WITH_IDS[row])
    check(stream, [("a", "w", value_of(row))])
    accumulator = StreamAccumulator()
    for chunk in stream:
        accumulator.add(chunk)
    assert "id-changed" in {repair.kind for repair in accumulator.completion().repairs}


SEVERAL: dict[str, tuple[list[Fragment], Calls]] = {
    "2 a new id behind closed arguments": (
        [first(TEXT), first('{"x":', id="b"), tc("2}")],
        [("a", "w", ONE), ("b", "w", {"x": 2})],
    ),
    "2 the same arguments under a new id": ([first(TEXT), first(TEXT, id="b")], [("a", "w", ONE), ("b", "w", ONE)]),
    "2 another name, no arguments": ([first(), first(name="v", id="b")], [("a", "w", {}), ("b", "v", {})]),
    "2 null, and null again": ([first("null"), first("null", id="b")], [("a", "w", {}), ("b", "w", {})]),
    "2 two in turns under one index": (
        [first('{"x"'), first('{"y"', id="b"), first(":1}"), first(":2}", id="b")],
        [("a", "w", {"x": 1}), ("b", "w", {"y": 2})],
    ),
    "3 a name again behind closed arguments": (
        [first(TEXT, id=None), tc(TEXT, name="w")],
        [(None, "w", ONE), (None, "w", ONE)],
    ),
    "15 a placeholder each": (
        [first("{}"), first("{}", id="b", index=1), tc(TEXT), tc('{"x":2}', index=1)],
        [("a", "w", ONE), ("b", "w", {"x": 2})],
    ),
    "16 all of both again": (
        [first(TEXT), first("{}", id="b", index=1), first(TEXT), first("{}", id="b", index=1)],
        [("a", "w", ONE), ("b", "w", {})],
    ),
    "16 all of both again, in pieces": (
        [first(TEXT), first('{"x":2}', id="b", index=1), first(TEXT[:9]), tc(TEXT[9:]), tc(" ")],
        [("a", "w", ONE), ("b", "w", {"x": 2})],
    ),
    "18 two of them": (
        [first(TEXT[:5]), first(TEXT[5:], id="x"), first(TEXT[:5], id="b"), first(TEXT[5:], id="y")],
        [("a", "w", ONE), ("b", "w", ONE)],
    ),
    "18 behind a last one without arguments": (
        [first(TEXT[:5]), first(TEXT[5:], id="x"), first("", id="y"), first(TEXT, id="b")],
        [("a", "w", ONE), ("b", "w", ONE)],
    ),
    "18 two without arguments in one chunk": ([], [("a", "w", {}), ("b", "w", {})]),
    "19 another index": ([first(TEXT), first('{"x":2}', index=1)], [("a", "w", ONE), (None, "w", {"x": 2})]),
    "19 another name": ([first(TEXT), first('{"x":2}', name="v")], [("a", "w", ONE), (None, "v", {"x": 2})]),
    "19 another name, without an index": (
        [first(TEXT, index=None), first('{"x":', name="v", index=None), first("2}", index=None)],
        [("a", "w", ONE), (None, "v", {"x": 2})],
    ),
    "19 in pieces": (
        [first(), tc(TEXT), first("", index=1), tc('{"x":', index=1), tc("2}", index=1)],
        [("a", "w", ONE), (None, "w", {"x": 2})],
    ),
    "19 in pieces with the id": (
        [first(TEXT), first("", index=1), tc('{"x":', index=1, id="a"), tc("2}", index=1, id="a")],
        [("a", "w", ONE), (None, "w", {"x": 2})],
    ),
    "19 in turns": (
        [first(), first("", name="v", index=1), tc(TEXT), tc('{"x":2}', index=1)],
        [("a", "w", ONE), (None, "v", {"x": 2})],
    ),
    "19 both open": (
        [first(TEXT[:6]), first('{"x":', index=1), first(TEXT[6:]), first("2}", index=1)],
        [("a", "w", ONE), (None, "w", {"x": 2})],
    ),
    "19 three": (
        [first(TEXT), first(TEXT, index=1), first(TEXT, index=2)],
        [("a", "w", ONE), (None, "w", ONE), (None, "w", ONE)],
    ),
}


@pytest.mark.parametrize("row", SEVERAL)
def test_several_calls_stay_several(row: str) -> None:
    fragments, expected = SEVERAL[row]
    stream = chunks(*fragments)
    if not fragments:
        both: dict[str, Any] = {"index": 0, "delta": {"tool_calls": [first(), first(id="b")]}}
        stream = [StreamChunk.from_wire({"choices": [both]}), *chunks()]
    check(stream, expected)


@pytest.mark.parametrize("row", [*SEVERAL.items()], ids=lambda row: row[0])
def test_row_19_the_second_call_is_said_to_have_an_identifier_of_another(row: tuple[str, Any]) -> None:
    name, (fragments, expected) = row
    accumulator = StreamAccumulator()
    for chunk in chunks(*fragments):
        accumulator.add(chunk)
    kinds = [repair.kind for repair in accumulator.completion().repairs]
    assert kinds.count("id-reused") == (sum(call_id is None for call_id, *_ in expected) if "19" in name else 0)
    assert ("id-made-up" in kinds) == ("3 a name" in name)


@pytest.mark.parametrize("row", ENCODINGS)
def test_arguments_that_are_encoded_twice_are_decoded(row: str) -> None:
    check(chunks(*ENCODINGS[row]), [("a", "w", ONE)])


@pytest.mark.parametrize(
    ("fragments", "kind"),
    [
        (PLACEHOLDERS["text"], "arguments-placeholder"),
        (PLACEHOLDERS["null in pieces"], "arguments-placeholder"),
        (REPETITIONS["whole"], "arguments-repeated"),
        (REPETITIONS["in pieces"], "arguments-repeated"),
    ],
)
def test_what_was_a_guess_is_an_error_in_strict_mode_over_each_fold(fragments: list[Fragment], kind: str) -> None:
    start, *more = fragments
    stream = chunks(start, *(tc(each["function"]["arguments"]) for each in more))
    for strict in (
        *(StreamAccumulator(strict=True), ToolCallAccumulator(strict=True), ToolCallProgressAccumulator(strict=True)),
        ToolCallAccumulator(eager=True, strict=True),
    ):
        with pytest.raises(RepairError, match=f"^{kind} "):
            for chunk in stream:
                list(strict.add(chunk) or ())
            list(strict.completion().choices if isinstance(strict, StreamAccumulator) else strict.close())


OTHERS = [
    '{"a":1}{"a":2}',
    '{"a":1}{"a":true}',
    '{"a":1}{"b":1}',
    '{"a":1}{}',
    '{"a":1} {"a":[1]}',
    '{"a":[1]}{"a":[2]}',
    '{"a":1}{"a":1,"b":2}',
    '{}{"a":1}{"a":2}',
    '"{}"{"a":1}"{}"',
    '{"a":[1]}{"a":[1,2]}',
]


@pytest.mark.parametrize("text", OTHERS)
@pytest.mark.parametrize("cut", [0, 4, 7, 9])
def test_row_11_two_different_objects_are_an_error(text: str, cut: int) -> None:
    stream = chunks(first(text[:cut]), tc(text[cut:]))
    with pytest.raises(ToolCallError, match="more than one value"):
        of_the_answer(stream)
    for eager in (False, True):
        with pytest.raises(ToolCallError, match="more than one value"):
            given_away(stream, eager=eager)
    with pytest.raises(ToolCallError, match="not a JSON object"):
        watched(stream)


def test_another_object_that_does_not_end_is_an_error_too() -> None:
    with pytest.raises(ToolCallError, match="more than one value"):
        given_away(chunks(first(TEXT), tc('{"x"')), eager=False)


def test_eagerly_a_repetition_that_does_not_end_is_an_error_at_the_end() -> None:
    accumulator = ToolCallAccumulator(eager=True)
    for chunk in chunks(first(TEXT), first("{}", id="b", index=1), tc(TEXT[:9])):
        list(accumulator.add(chunk))
    with pytest.raises(ToolCallError, match="came after the call was complete"):
        accumulator.close()


def test_eagerly_a_call_with_what_may_be_a_placeholder_waits_for_the_end_of_its_choice() -> None:
    accumulator = ToolCallAccumulator(eager=True)
    stream = chunks(first("{}"), first(TEXT, id="b", index=1), first("{}", id="c", index=2), tc(" ", index=2))
    ids = [[call.id for call in accumulator.add(chunk)] for chunk in stream]
    assert ids == [[], [], ["b"], [], ["a", "c"]]


def test_a_broken_encoding_is_the_mistake_of_the_model() -> None:
    for text in ('"{\\"a\\":"', '"a"', '"{} x"', json.dumps(json.dumps("a"))):
        accumulator = ToolCallAccumulator()
        for chunk in chunks(first(text)):
            accumulator.add(chunk)
        (call,) = accumulator.close()
        assert call.function.arguments == text
        with pytest.raises(ToolCallError, match="not a JSON object"):
            watched(chunks(first(text)))


def test_what_is_left_of_a_call_has_no_placeholder() -> None:
    for fragments, arguments in (
        ([first("{}")], "{}"),
        ([first("{}"), tc('{"x')], '{"x'),
        ([first("null"), tc('{"x')], '{"x'),
        ([first(type="custom", arguments="{}"), tc("{}")], "{}{}"),
    ):
        accumulator, calls = StreamAccumulator(), ToolCallAccumulator()
        for chunk in chunks(*fragments, end=None):
            accumulator.add(chunk)
            calls.add(chunk)
        (left,) = accumulator.partial().choices[0].incomplete_tool_calls
        assert left.arguments == arguments
        assert calls.incomplete() == [left]


VALUES = st.dictionaries(
    st.text(max_size=3),
    st.recursive(
        st.text(max_size=6) | st.integers() | st.booleans() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
        max_leaves=5,
    ),
    min_size=1,
    max_size=3,
)


@given(VALUES, st.data())
def test_however_it_is_cut_all_folds_see_the_same(value: dict[str, Any], data: st.DataObject) -> None:
    def written() -> str:
        text = json.dumps(value, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1])))
        return json.dumps(text) if data.draw(st.booleans()) else text

    before = data.draw(st.lists(st.sampled_from(["{}", "null", '""', "{ }", " ", '"{}"']), max_size=2))
    text = "".join([*before, *(written() for _ in range(data.draw(st.integers(1, 3))))])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    check(chunks(first(), *map(tc, pieces)), [("a", "w", value)])


# Identifiers that are made up


def ids(stream: list[StreamChunk], *, eager: bool = False) -> list[str]:
    whole = [call_id or "" for call_id, *_ in of_the_answer(stream)]
    assert sorted(call_id or "" for call_id, *_ in given_away(stream, eager=eager)) == sorted(whole)
    return whole


def answered(stream: list[StreamChunk], info: StreamInfo | None, **fields: Any) -> list[StreamChunk]:
    return [marked(chunk.model_copy(update=fields), stream=info) for chunk in stream]


def test_each_answer_has_identifiers_of_its_own() -> None:
    stream = chunks(first(TEXT, id=None), first(TEXT, id=None, index=1))
    infos = [
        StreamInfo(requested_at=1.5),
        StreamInfo(requested_at=2.5),
        StreamInfo(request_id="r"),
        StreamInfo(host="h"),
    ]
    answers = [answered(stream, info, id="c") for info in [None, *infos]]
    answers += [stream, answered(stream, None, id="d"), chunks(first("{}", id=None))]
    every = [call_id for answer in answers for eager in (False, True) for call_id in ids(answer, eager=eager)]
    assert len(set(every)) * 2 == len(every) == 30
    for call_id in every:
        assert call_id.isidentifier()
        assert len(call_id) <= 40


def test_the_same_answer_has_the_same_again() -> None:
    stream = answered(chunks(first(TEXT, id=None)), StreamInfo(requested_at=1.5, bytes=1), id="c")
    again = [StreamChunk.model_validate(chunk.model_dump()) for chunk in stream]
    assert ids(stream) == ids(answered(again, StreamInfo(requested_at=1.5, bytes=2)))
    assert ids(stream) == ids(stream, eager=True)


def test_an_answer_that_begins_anew_has_identifiers_of_its_own() -> None:
    stream = answered(chunks(first(TEXT, id=None)), StreamInfo(attempt=2))
    former = answered(chunks(first("{}", id=None), end=None), StreamInfo(attempt=1))
    anew = [*former, marked(stream[0], restarts=True), *stream[1:]]
    assert ids(anew) == ids(stream)
    assert ids(answered(stream, StreamInfo(attempt=1))) != ids(stream)


def test_many_identifiers_and_repetitions_cost_no_more_than_they_are_long() -> None:
    stream = chunks(first('{"s":"'), *(first("x", id=f"id-{number}") for number in range(30_000)), tc('"}'))
    check(stream, [("a", "w", {"s": "x" * 30_000})])
    again = chunks(first(TEXT), first(TEXT, id="b", index=1), *[first(TEXT)] * 10_000)
    check(again, [("a", "w", ONE), ("b", "w", ONE)])
    check(chunks(first("{}" * 100_000), tc(TEXT)), [("a", "w", ONE)])
    named = chunks(first(TEXT), *[tc(TEXT, name="w")] * 10_000)
    check(named, [("a", "w", ONE)])
    empty = chunks(first("{}"), first(TEXT, id="b", index=1), *[tc("{}")] * 10_000, *[tc(" ")] * 10_000)
    check(empty, [("a", "w", {}), ("b", "w", ONE)])
    blank = chunks(first(), *(first(" ", id=f"id-{number}") for number in range(10_000)), tc(TEXT))
    check(blank, [("a", "w", ONE)])


def test_arguments_that_are_too_deep_to_compare_are_no_repetition() -> None:
    deep = '{"a":' * 900 + "1" + "}" * 900
    with pytest.raises(ToolCallError, match="more than one value"):
        given_away(chunks(first(deep), tc(deep.replace("1", "1.0"))), eager=False)
