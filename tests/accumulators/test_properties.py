"""Completions, cut into chunks in all the ways that servers do, come out whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rxllm.accumulators import StreamAccumulator, ToolCallAccumulator, ToolCallProgressAccumulator
from rxllm.dialects import get_dialect
from rxllm.models import ChatCompletion, StreamChunk, ToolCall
from rxllm.models._json import is_list, is_object
from rxllm.wire import SSEDecoder

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
ARGUMENTS = st.dictionaries(TEXT, VALUES, max_size=3)


@dataclass
class Call:
    """A call to be cut up, and how the server words it."""

    id: str
    name: str
    arguments: str
    with_index: bool
    repeats: bool
    blanks: bool


@dataclass
class Choice:
    """A choice to be cut up."""

    index: int
    content: str
    reasoning: str
    calls: list[Call]


@st.composite
def choices(draw: st.DrawFn) -> list[Choice]:
    result: list[Choice] = []
    for index in range(draw(st.integers(1, 3))):
        with_index = draw(st.booleans())
        calls = [
            Call(
                f"call-{index}-{number}",
                draw(st.sampled_from(["weather", "time"])),
                json.dumps(draw(ARGUMENTS), ensure_ascii=draw(st.booleans())),
                with_index,
                draw(st.booleans()),
                draw(st.booleans()),
            )
            for number in range(draw(st.integers(0, 3)))
        ]
        result.append(Choice(index, draw(TEXT), draw(TEXT), calls))
    return result


def pieces(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def call_deltas(draw: st.DrawFn, number: int, call: Call) -> list[dict[str, Any]]:
    first, *rest = pieces(draw, call.arguments)
    place = {"index": number} if call.with_index else {}
    again: dict[str, Any] = {}
    name: dict[str, Any] = {}
    if call.repeats:
        again, name = {"id": call.id}, {"name": call.name}
    elif call.blanks:
        again, name = {"id": ""}, {"name": ""}
    result = [{**place, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": first}}]
    result += [{**place, **again, "function": {**name, "arguments": piece}} for piece in rest]
    return [{"tool_calls": [each]} for each in result]


def merge(draw: st.DrawFn, queues: list[list[Any]]) -> list[Any]:
    """The queues interleaved, the order within each kept."""
    result: list[Any] = []
    queues = [queue for queue in queues if queue]
    while queues:
        queue = draw(st.sampled_from(queues))
        result.append(queue.pop(0))
        queues = [queue for queue in queues if queue]
    return result


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Choice], list[StreamChunk]]:
    """An answer, and the chunks of it."""
    answer = draw(choices())
    queues: list[list[dict[str, Any]]] = []
    for choice in answer:
        texts = [{"content": piece} for piece in pieces(draw, choice.content)]
        texts += [{"reasoning_content": piece} for piece in pieces(draw, choice.reasoning)]
        calls = [call_deltas(draw, number, call) for number, call in enumerate(choice.calls)]
        # Only an index or an identifier in each fragment lets calls be interleaved.
        apart = all(call.with_index or call.repeats for call in choice.calls)
        in_order = merge(draw, calls) if apart else [delta for deltas in calls for delta in deltas]
        deltas = [{"index": choice.index, "delta": delta} for delta in merge(draw, [texts, in_order])]
        reason = "tool_calls" if choice.calls else "stop"
        if draw(st.booleans()):
            deltas[-1]["finish_reason"] = reason
        else:
            deltas.append({"index": choice.index, "delta": {}, "finish_reason": reason})
        queues.append(deltas)
    chunks: list[dict[str, Any]] = []
    for delta in merge(draw, queues):
        if chunks and delta["index"] not in {each["index"] for each in chunks[-1]["choices"]} and draw(st.booleans()):
            chunks[-1]["choices"].append(delta)
        else:
            chunks.append({"choices": [delta]})
    chunks.append({"choices": [], "usage": {"completion_tokens": 7}})
    return answer, [StreamChunk.from_wire(json.dumps(chunk)) for chunk in chunks]


def seen(calls: list[ToolCall]) -> list[tuple[str, str, str]]:
    return [(call.id, call.function.name, call.function.arguments) for call in calls]


def check_prefix(answer: list[Choice], completion: ChatCompletion, finished: set[int]) -> None:
    """What there is of an answer is a prefix of it, and no call is executable unless its choice has finished."""
    for choice in completion.choices:
        original = answer[choice.index]
        assert original.content.startswith(choice.message.text)
        assert original.reasoning.startswith(choice.message.reasoning_text or "")
        by_id = {call.id: call for call in original.calls}
        assert bool(choice.finish_reason) == (choice.index in finished)
        if choice.index in finished:
            assert choice.incomplete_tool_calls == []
        else:
            assert choice.message.tool_calls == []
            for call in choice.incomplete_tool_calls:
                assert by_id[call.id or ""].arguments.startswith(call.arguments)


@given(streams())
def test_the_whole_is_the_original_and_each_part_a_prefix(stream: tuple[list[Choice], list[StreamChunk]]) -> None:
    answer, chunks = stream
    accumulator = StreamAccumulator()
    finished: set[int] = set()
    snapshots: list[tuple[ChatCompletion, ChatCompletion]] = []
    for chunk in chunks:
        accumulator.process_chunk(chunk)
        finished |= {choice.index for choice in chunk.choices if choice.finish_reason}
        check_prefix(answer, accumulator.partial(), finished)
        snapshots.append((accumulator.snapshot(), accumulator.partial()))
    completion = accumulator.completion()
    assert completion.complete
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 7
    for original, choice in zip(answer, completion.choices, strict=True):
        assert choice.message.text == original.content
        assert (choice.message.reasoning_text or "") == original.reasoning
        calls = choice.message.tool_calls
        if not all(call.with_index for call in original.calls):
            # Without indexes they are in the order in which they came.
            calls = sorted(calls, key=lambda call: call.id)
        assert seen(calls) == [(call.id, call.name, call.arguments) for call in original.calls]
        assert [call.function.parsed for call in calls] == [json.loads(call.arguments) for call in original.calls]
    for snapshot, then in snapshots:
        assert snapshot.model_copy(update={"complete": False}) == then


@given(streams())
def test_each_call_is_given_away_once(stream: tuple[list[Choice], list[StreamChunk]]) -> None:
    answer, chunks = stream
    expected = sorted((call.id, call.name, call.arguments) for choice in answer for call in choice.calls)
    for eager in (False, True):
        accumulator = ToolCallAccumulator(eager=eager)
        calls = [call for chunk in chunks for call in accumulator.process_chunk(chunk)]
        assert sorted(seen(calls)) == expected
        assert accumulator.finish() == []
        assert accumulator.incomplete() == []


@given(streams(), st.data())
def test_any_prefix_of_the_bytes_gives_a_prefix_and_no_call_too_early(
    stream: tuple[list[Choice], list[StreamChunk]], data: st.DataObject
) -> None:
    answer, chunks = stream
    wire = "".join(f"data: {chunk.model_dump_json(exclude_unset=True)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    events, decoder = SSEDecoder(), get_dialect("openai-chat").decoder()
    accumulator, calls, progress = StreamAccumulator(), ToolCallAccumulator(), ToolCallProgressAccumulator()
    finished: set[int] = set()
    given_away: list[ToolCall] = []
    for event in events.feed(wire.encode()[: data.draw(st.integers(0, len(wire.encode())))]):
        for chunk in decoder.decode(event):
            accumulator.process_chunk(chunk)
            given_away += calls.process_chunk(chunk)
            finished |= {choice.index for choice in chunk.choices if choice.finish_reason}
            for state in progress.process_chunk(chunk):
                whole = {call.id: call for call in answer[state.choice].calls}[state.id or ""]
                assert whole.arguments.startswith(state.call.arguments)
                check_part(state.arguments, json.loads(whole.arguments))
    check_prefix(answer, accumulator.partial(), finished)
    assert {call.id for call in given_away} == {
        call.id for choice in answer if choice.index in finished for call in choice.calls
    }


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
