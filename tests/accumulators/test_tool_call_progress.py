"""Tool calls as they grow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.accumulators import ToolCallProgressAccumulator
from rxllm.exceptions import LimitExceededError, RepairError, ToolCallError
from rxllm.models import (
    Delta,
    IncompleteToolCall,
    JSONChange,
    Repair,
    StreamChoice,
    StreamChunk,
    ToolCallDelta,
    ToolCallProgress,
)
from rxllm.testing import finish_chunk, text_chunk, tool_chunk


def grow(*chunks: StreamChunk) -> list[ToolCallProgress]:
    accumulator = ToolCallProgressAccumulator()
    return [progress for chunk in chunks for progress in accumulator.add(chunk)]


def test_a_call_as_it_grows() -> None:
    first, second, third = grow(
        text_chunk("Let me see."),
        tool_chunk(id="1", name="weather"),
        tool_chunk('{"city": "Pa'),
        tool_chunk('ris", "days": 3}'),
        finish_chunk("tool_calls"),
    )
    assert (first.choice, first.index, first.id, first.name) == (0, 0, "1", "weather")
    assert (first.arguments, first.changes, first.closed) == ({}, (), False)
    assert (second.arguments, second.closed) == ({"city": "Pa"}, False)
    assert second.changes == (JSONChange(("city",), "Pa"),)
    assert second.call == IncompleteToolCall(index=0, id="1", name="weather", arguments='{"city": "Pa')
    assert (third.arguments, third.closed) == ({"city": "Paris", "days": 3}, True)
    assert third.changes == (
        JSONChange(("city",), "ris"),
        JSONChange(("city",), value="Paris", complete=True),
        JSONChange(("days",), value=3, complete=True),
        JSONChange((), value={"city": "Paris", "days": 3}, complete=True),
    )
    assert repr(second) == "ToolCallProgress(choice=0, index=0, id='1', name='weather', arguments={'city': 'Pa'})"


def test_what_has_not_arrived_is_absent() -> None:
    (progress,) = grow(tool_chunk("{"))
    assert (progress.id, progress.name) == (None, None)


CALLS = st.lists(
    st.dictionaries(st.text(max_size=3), st.text(max_size=9) | st.lists(st.integers(), max_size=3), max_size=3),
    min_size=1,
    max_size=3,
)


@given(CALLS, st.data())
def test_each_state_stays_what_it_was_and_the_last_is_the_whole(
    calls: list[dict[str, Any]], data: st.DataObject
) -> None:
    texts = [json.dumps(call, ensure_ascii=data.draw(st.booleans())) for call in calls]
    rests = list(texts)
    chunks = [tool_chunk(id=f"call-{index}", name="f", index=index) for index in range(len(calls))]
    while any(rests):
        index = data.draw(st.sampled_from([index for index, rest in enumerate(rests) if rest]))
        size = data.draw(st.integers(1, 20))
        chunks.append(tool_chunk(rests[index][:size], index=index))
        rests[index] = rests[index][size:]
    states = grow(*chunks)
    last = {state.index: state for state in states}
    assert [last[index].arguments for index in range(len(calls))] == calls
    assert [last[index].call.arguments for index in range(len(calls))] == texts
    assert all(state.closed for state in last.values())
    for state in states:
        assert texts[state.index].startswith(state.call.arguments)
        whole = calls[state.index]
        for name, value in state.arguments.items():
            assert name in whole
            assert isinstance(value, type(whole[name]))
            assert whole[name][: len(value)] == value


def test_the_input_of_a_custom_tool_is_any_text() -> None:
    def custom(**fields: Any) -> StreamChunk:
        delta = ToolCallDelta.model_validate({"index": 0, **fields})
        return StreamChunk(choices=[StreamChoice(delta=Delta(tool_calls=[delta]))])

    states = grow(
        custom(id="1", type="custom", custom={"name": "sh", "input": ""}),
        custom(custom={"input": "ls }"}),
        custom(custom={"input": "{"}),
    )
    assert [state.arguments for state in states] == ["", "ls }", "ls }{"]
    assert [state.changes for state in states[1:]] == [(JSONChange((), "ls }"),), (JSONChange((), "{"),)]
    assert not states[-1].closed


def test_a_fragment_that_says_nothing_gives_nothing() -> None:
    assert len(grow(tool_chunk("{}", id="1", name="f"), tool_chunk("", index=7), tool_chunk("\n"))) == 2


@pytest.mark.parametrize("text", ["[1]", "nulls", "nope{", "42 ", '"a"', '{"a": nope}', '{"a":1}{"a":2}', '{"a":1}x'])
def test_arguments_that_are_no_object_fail_at_that_character(text: str) -> None:
    accumulator = ToolCallProgressAccumulator()
    chunks = [tool_chunk("{}", id="0", name="v", index=1), tool_chunk(id="1", name="f"), *map(tool_chunk, text)]
    with pytest.raises(ToolCallError, match="the arguments of 'f' are not a JSON object") as caught:
        for chunk in chunks:
            list(accumulator.add(chunk))
    assert (caught.value.choice, caught.value.call_id) == (0, "1")
    assert text.startswith(caught.value.text)
    assert [call.id for call in accumulator.incomplete()] == ["1", "0"]


# Bad input


def test_depth_length_and_number_are_limited() -> None:
    with pytest.raises(LimitExceededError, match="deeper than 200"):
        grow(tool_chunk('{"a":' * 1000, id="1", name="f"))
    accumulator = ToolCallProgressAccumulator()
    with pytest.raises(LimitExceededError, match="more than 1024 tool calls"):
        for index in range(1_000_000):
            list(accumulator.add(tool_chunk("{}", id=str(index), name="f", index=index)))
    assert len(accumulator.incomplete()) == 1024


def test_an_index_of_four_billion_is_a_call() -> None:
    (progress,) = grow(tool_chunk("{}", id="1", name="f", index=4_000_000_000))
    assert (progress.index, progress.arguments) == (4_000_000_000, {})


def test_fifty_megabytes_of_arguments() -> None:
    piece = "x" * 100_000
    accumulator = ToolCallProgressAccumulator()
    list(accumulator.add(tool_chunk('{"a":"', id="1", name="f")))
    for _ in range(500):
        ((change,),) = [progress.changes for progress in accumulator.add(tool_chunk(piece))]
        assert change.delta == piece
    (last,) = accumulator.add(tool_chunk('"}'))
    assert last.arguments == {"a": piece * 500}


# Repairs


def test_repairs_go_to_a_callback_or_are_an_error() -> None:
    repairs: list[Repair] = []
    first, second = tool_chunk("{", id="1", name="f"), tool_chunk("}", name="f")
    told, strict = ToolCallProgressAccumulator(on_repair=repairs.append), ToolCallProgressAccumulator(strict=True)
    for progress in (told, strict):
        list(progress.add(first))
    list(told.add(second))
    assert repairs == [Repair("name-repeated", 1, "f", None)]
    with pytest.raises(RepairError, match="name-repeated in item 1 of the stream"):
        list(strict.add(second))
