"""Completions, cut into chunks in all the ways that servers do, come out whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.accumulators import StreamAccumulator, ToolCallAccumulator, ToolCallProgressAccumulator
from rxllm.dialects import get_dialect
from rxllm.exceptions import TruncatedStreamError
from rxllm.models import ChatCompletion, ToolCall, is_list, is_object
from rxllm.testing.strategies import StreamedAnswer, answers, fragmentations, framings
from rxllm.wire import SSEDecoder


def seen(calls: list[ToolCall]) -> list[tuple[str, str, str]]:
    return [(call.id, call.function.name, call.function.arguments) for call in calls]


def check_prefix(whole: ChatCompletion, part: ChatCompletion, finished: set[int]) -> None:
    """What there is of an answer is a prefix of it, and no call is executable unless its choice has finished."""
    for choice in part.choices:
        original = whole.choices[choice.index].message
        assert original.text.startswith(choice.message.text)
        assert (original.reasoning_text or "").startswith(choice.message.reasoning_text or "")
        by_id = {call.id: call for call in original.tool_calls}
        assert bool(choice.finish_reason) == (choice.index in finished)
        if choice.index in finished:
            assert choice.incomplete_tool_calls == []
        else:
            assert choice.message.tool_calls == []
            for call in choice.incomplete_tool_calls:
                assert by_id[call.id or ""].function.arguments.startswith(call.arguments)


@given(answers())
def test_the_whole_is_the_original_and_each_part_a_prefix(answer: StreamedAnswer) -> None:
    accumulator = StreamAccumulator()
    finished: set[int] = set()
    snapshots: list[tuple[ChatCompletion, ChatCompletion]] = []
    for chunk in answer.chunks:
        accumulator.add(chunk)
        finished |= {choice.index for choice in chunk.choices if choice.finish_reason}
        check_prefix(answer.completion, accumulator.partial(), finished)
        snapshots.append((accumulator.snapshot(), accumulator.partial()))
    completion = accumulator.completion()
    assert completion.complete
    assert completion.model_dump() == answer.completion.model_dump()
    for choice in completion.choices:
        for call in choice.message.tool_calls:
            assert call.function.parsed == json.loads(call.function.arguments)
    for snapshot, then in snapshots:
        assert snapshot.model_copy(update={"complete": False, "ending": "truncated"}) == then


@given(answers())
def test_each_call_is_given_away_once(answer: StreamedAnswer) -> None:
    expected = sorted(call for choice in answer.completion.choices for call in seen(choice.message.tool_calls))
    for eager in (False, True):
        accumulator = ToolCallAccumulator(eager=eager)
        calls = [call for chunk in answer.chunks for call in accumulator.add(chunk)]
        assert eager or not calls
        if answer.completion.ending != "completed" and accumulator.incomplete():
            with pytest.raises(TruncatedStreamError):
                accumulator.close()
            continue
        assert sorted(seen(calls + accumulator.close())) == expected
        assert accumulator.incomplete() == []


@given(answers(), st.data())
def test_any_prefix_of_the_bytes_gives_a_prefix_and_no_call_too_early(
    answer: StreamedAnswer, data: st.DataObject
) -> None:
    wire = data.draw(framings(answer.events))
    reads = data.draw(fragmentations(wire[: data.draw(st.integers(0, len(wire)))]))
    events, decoder = SSEDecoder(), get_dialect("openai-chat").decoder()
    accumulator, calls = StreamAccumulator(), ToolCallAccumulator(eager=True)
    progress = ToolCallProgressAccumulator()
    finished: set[int] = set()
    given_away: list[ToolCall] = []
    choices = answer.completion.choices
    for chunk in (chunk for read in reads for event in events.feed(read) for chunk in decoder.decode(event)):
        accumulator.add(chunk)
        given_away += calls.add(chunk)
        finished |= {choice.index for choice in chunk.choices if choice.finish_reason}
        for state in progress.add(chunk):
            whole = {call.id: call.function for call in choices[state.choice].message.tool_calls}[state.id or ""]
            assert whole.arguments.startswith(state.call.arguments)
            check_part(state.arguments, json.loads(whole.arguments))
    check_prefix(answer.completion, accumulator.partial(), finished)
    given = {call.id for call in given_away}
    assert given >= {call.id for choice in choices if choice.index in finished for call in choice.message.tool_calls}
    assert given <= {call.id for choice in choices for call in choice.message.tool_calls}


def check_part(part: Any, whole: Any) -> None:
    """A growing value is the start of the whole one, at each depth."""
    assert type(part) is type(whole)
    if is_object(part):
        for name, member in part.items():
            check_part(member, whole[name])
    elif is_list(part):
        for element, same in zip(part, whole, strict=False):
            check_part(element, same)
    elif isinstance(part, str):
        assert whole.startswith(part)
    else:
        assert part == whole
