"""Streams that no specification foresees, and what they come to."""

from __future__ import annotations

from typing import Any

import pytest

from rxllm.accumulators import StreamAccumulator, ToolCallAccumulator
from rxllm.exceptions import LimitExceededError, ToolCallError
from rxllm.models import ChatCompletion, StreamChunk


def chunk(finish_reason: str | None = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}]}


def accumulate(*values: dict[str, Any]) -> StreamAccumulator:
    accumulator = StreamAccumulator()
    for value in values:
        accumulator.add(StreamChunk.from_wire(value))
    return accumulator


@pytest.mark.parametrize("odd", [{"a": 1}, "x", 5, False])
def test_annotations_that_are_no_list_are_set_aside(odd: object) -> None:
    accumulator = accumulate(chunk(content="a"), chunk(annotations=odd), chunk("stop"))
    for completion in (accumulator.completion(), accumulator.partial(), accumulator.snapshot()):
        assert completion.content == "a"
        assert completion.message.annotations is None
        assert completion.message.model_extra == {"annotations_original": odd}


def test_annotations_that_are_null() -> None:
    assert accumulate(chunk(annotations=None)).partial().message.model_extra == {}


@pytest.mark.parametrize("ended", [False, True])
def test_a_choice_that_ended_in_an_error_is_not_complete(*, ended: bool) -> None:
    accumulator = accumulate(chunk("stop", content="a"), chunk("error", 1))
    assert not accumulator.completion(ended=ended).complete
    assert not accumulator.snapshot().complete


DELTAS: list[list[dict[str, Any]]] = [
    [{"reasoning": "A"}, {"reasoning_content": "B"}, {"reasoning": "C"}],
    [{"reasoning_content": "A"}, {"reasoning_text": "B"}, {"content": "x", "x": 1}, {"thinking": "C"}],
    [{"reasoning_details": [{"text": "A"}]}, {"content": [{"type": "thinking", "thinking": "B"}]}, {"reasoning": "C"}],
    [{"reasoning_text": "A"}, {"reasoning_text": "BC"}],
    [{"reasoning_details": [{"text": "AB"}]}, {"reasoning_details": [{"text": "C"}]}],
    [{"reasoning": "A", "reasoning_details": [{"text": "A"}]}, {"reasoning": "BC", "reasoning_details": []}],
    [{"reasoning_content": [{"text": "A"}]}, {"reasoning_content": ["BC"]}],
]


@pytest.mark.parametrize("deltas", DELTAS)
def test_the_reasoning_of_the_message_is_that_of_the_deltas(deltas: list[dict[str, Any]]) -> None:
    chunks = [StreamChunk.from_wire(chunk(**delta)) for delta in deltas]
    assert "".join(each.choices[0].delta.reasoning_text or "" for each in chunks) == "ABC"
    completion = accumulate(*[chunk(**delta) for delta in deltas]).partial()
    assert completion.message.reasoning_text == "ABC"
    assert ChatCompletion.model_validate_json(completion.model_dump_json()).message.reasoning_text == "ABC"


def test_pieces_of_lists_that_are_put_end_to_end() -> None:
    message = accumulate(chunk(executed_tools=[1]), chunk(executed_tools=[2]), chunk(citations=[1])).message()
    assert message.model_extra == {"executed_tools": [1, 2], "citations": [1]}


def test_a_usage_of_nothing_but_nulls_replaces_no_real_one() -> None:
    nothing: dict[str, Any] = {"choices": [], "usage": {"total_tokens": None}}
    real: dict[str, Any] = {"choices": [], "usage": {"total_tokens": 6}}
    for order in ((nothing, real), (real, nothing)):
        completion = accumulate(*order).completion()
        assert completion.usage is not None
        assert completion.usage.total_tokens == 6
        assert completion.repairs == ()


@pytest.mark.parametrize(
    "value",
    [
        chunk(reasoning_details=[{"t": "x" * 9}]),
        chunk(annotations=["x" * 9]),
        chunk(x={"y": ["x" * 8]}),
        chunk(audio={"x": "x" * 9}),
        chunk(tool_calls=[{"index": 0, "id": "a", "x": "x" * 7}]),
        {"choices": [{"logprobs": {"content": ["x" * 9]}}]},
        {"choices": [], "id": "c", "x": "x" * 9},
    ],
)
def test_all_that_is_kept_counts(value: dict[str, Any]) -> None:
    with pytest.raises(LimitExceededError, match="longer than 8"):
        StreamAccumulator(max_characters=8).add(StreamChunk.from_wire(value))


def test_what_is_replaced_does_not_count() -> None:
    accumulator = StreamAccumulator(max_characters=22)
    for number in range(50):
        accumulator.add(StreamChunk.from_wire({"choices": [], "padding": f"{number:010}", "same": "x"}))


@pytest.mark.parametrize("place", ["chunk", "choice", "delta", "call", "function", "audio", "logprobs"])
def test_an_object_has_so_many_fields_at_most(place: str) -> None:
    def value(number: int) -> dict[str, Any]:
        field: dict[str, Any] = {f"x{number}": [1]}
        choice: dict[str, dict[str, Any]] = {
            "choice": field,
            "delta": {"delta": field},
            "call": {"delta": {"tool_calls": [{"index": 0, "id": "a", **field}]}},
            "function": {"delta": {"tool_calls": [{"index": 0, "id": "a", "function": field}]}},
            "audio": {"delta": {"audio": field}},
            "logprobs": {"logprobs": field},
        }
        return {"choices": [], **field} if place == "chunk" else {"choices": [choice[place]]}

    accumulator = accumulate(*map(value, range(1000)))
    with pytest.raises(LimitExceededError, match="more than 1000 fields"):
        accumulator.add(StreamChunk.from_wire(value(1000)))


def call(arguments: str | None = None, index: int | None = 0, **fields: Any) -> dict[str, Any]:
    name = {"name": fields.pop("name")} if "name" in fields else {}
    return {"index": index, **fields, "function": {**name, "arguments": arguments}}


def test_eagerly_a_good_call_is_not_lost_to_an_error_of_another_choice() -> None:
    accumulator = ToolCallAccumulator(eager=True)
    bad = [call("{", 0, id="x", name="w"), call("{", 1, id="y", name="w")]
    for index, calls in enumerate(([call("{}", id="good", name="w")], bad)):
        assert accumulator.add(StreamChunk.from_wire(chunk(index=index, tool_calls=calls))) == []
    end, lost = chunk("tool_calls"), chunk("tool_calls", 1, tool_calls=[call("}", None)])
    both = StreamChunk.from_wire({"choices": [*end["choices"], *lost["choices"]]})
    given = iter(accumulator.add(both))
    assert next(given).id == "good"
    with pytest.raises(ToolCallError, match="2 calls are open"):
        next(given)
    assert [each.id for each in accumulator.incomplete()] == ["x", "y"]


ROWS: list[tuple[list[list[dict[str, Any]]], list[tuple[str, str]]]] = [
    ([[call('{"c":1}', name="w")], [call("", name="w")], [call('{"c":2}')]], [("w", '{"c":1}'), ("w", '{"c":2}')]),
    ([[call('{"c":1}', name="w")], [call("", name="w")], [call(" ")]], [("w", '{"c":1} ')]),
    (
        [[call('{"c":1}', None, name="w")], [call("", None, name="w")], [call('{"c":2}', None)]],
        [("w", '{"c":1}'), ("w", '{"c":2}')],
    ),
    (
        [[call('{"c":1}', name="w")], [call("", name="w")], [call('{"c":2}', name="v")]],
        [("w", '{"c":1}'), ("v", '{"c":2}')],
    ),
    ([[call(name="w"), call(name="v")]], [("w", "{}"), ("v", "{}")]),
    ([[call(name="w"), call("{}", name="v")]], [("w", "{}"), ("v", "{}")]),
    ([[call(name="w"), call(name="w")]], [("w", "{}")]),
]


@pytest.mark.parametrize(("deltas", "expected"), ROWS)
def test_which_call_a_name_begins(deltas: list[list[dict[str, Any]]], expected: list[tuple[str, str]]) -> None:
    accumulator = accumulate(*[chunk(tool_calls=calls) for calls in deltas], chunk("tool_calls"))
    calls = accumulator.message().tool_calls
    assert [(each.function.name, each.function.arguments) for each in calls] == expected


def test_a_call_without_a_name_does_not_keep_back_the_others_and_is_an_error_at_the_end() -> None:
    accumulator = ToolCallAccumulator(eager=True)
    functions = [{"name": "w", "arguments": "{}"}, {"arguments": "{}"}, {"name": "w", "arguments": "{}"}]
    calls = [{"index": index, "id": str(index), "function": each} for index, each in enumerate(functions)]
    good = accumulator.add(StreamChunk.from_wire(chunk("tool_calls", tool_calls=calls)))
    assert [call.id for call in good] == ["0", "2"]
    assert accumulator.add(StreamChunk.from_wire(chunk(content="x"))) == []
    with pytest.raises(ToolCallError, match="no name"):
        accumulator.close()
    assert [call.id for call in accumulator.incomplete()] == ["1"]


@pytest.mark.parametrize("odd", ["FLT", {"type": "a"}, 5, "", 0.5])
@pytest.mark.parametrize("name", ["reasoning_details", "images", "channel", "provider_metadata", "vendor"])
def test_what_comes_in_another_type_than_the_declared_one_is_in_the_message(name: str, odd: object) -> None:
    fields: dict[str, Any] = {name: odd}
    message = accumulate(chunk(**fields), chunk(content="a", annotations=[1])).message()
    assert message.model_dump()[name] == odd
    assert message.content == "a"


@pytest.mark.parametrize("before", [None, 0])
def test_the_time_is_the_first_that_is_one(before: int | None) -> None:
    times = [before, before, 5, 6]
    chunks = [{**chunk(content="a"), "created": time} for time in times]
    assert accumulate(*chunks).completion(ended=True).created == 5


def test_details_of_the_reasoning_and_other_lists_beside_them_are_put_end_to_end() -> None:
    deltas: list[dict[str, Any]] = [{"reasoning_details": [{"text": text}], "images": [text]} for text in "ab"]
    message = accumulate(*[chunk(**delta) for delta in deltas]).message()
    assert message.model_dump()["reasoning_details"] == [{"text": "a"}, {"text": "b"}]
    assert message.model_dump()["images"] == ["a", "b"]


def test_details_of_the_reasoning_that_are_a_text_are_reasoning() -> None:
    assert accumulate(chunk(reasoning_details="Hm.", content="Yes.")).message().reasoning_text == "Hm."
