"""What no server should send: each gives a typed error or a documented result, in linear time."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from rxllm.accumulators import StreamAccumulator, ToolCallAccumulator, ToolCallProgressAccumulator
from rxllm.dialects import get_dialect
from rxllm.exceptions import DecodeError, LimitExceededError, ToolCallError
from rxllm.models import StreamChunk, ToolCall
from rxllm.testing import finish_chunk, tool_chunk


def decoded(*deltas: str) -> list[StreamChunk]:
    """The chunks of choice 0, as the dialect reads them."""
    decoder = get_dialect("openai-chat").decoder()
    events = [f'{{"choices":[{{"index":0,"delta":{delta}}}]}}' for delta in deltas]
    return [chunk for event in events for chunk in decoder.decode(event)]


def with_arguments(*texts: str) -> list[StreamChunk]:
    first, *rest = texts
    return [tool_chunk(first, id="a", name="f"), *map(tool_chunk, rest), finish_chunk("tool_calls")]


def parsed(*texts: str) -> Any:
    """The arguments of one call, which all folds agree on."""
    chunks = with_arguments(*texts)
    whole, calls, progress = StreamAccumulator(), ToolCallAccumulator(), ToolCallProgressAccumulator()
    emitted: list[Any] = []
    states: list[Any] = []
    for chunk in chunks:
        whole.add(chunk)
        emitted += calls.add(chunk)
        states += progress.add(chunk)
    emitted += calls.close()
    value = whole.message().tool_calls[0].function.parsed
    assert repr(value) == repr(emitted[0].function.parsed) == repr(states[-1].arguments)
    return value


def test_a_depth_bomb_in_arguments_is_no_call() -> None:
    bomb = '{"a":' * 100_000
    chunks = with_arguments(*(bomb[start : start + 1000] for start in range(0, len(bomb), 1000)))
    whole, calls = StreamAccumulator(), ToolCallAccumulator()
    for chunk in chunks:
        whole.add(chunk)
        calls.add(chunk)
    (call,) = calls.close()
    assert call == whole.completion(ended=True).message.tool_calls[0]
    assert call.function.arguments == bomb
    with pytest.raises(ToolCallError, match="not a JSON object"):
        _ = call.function.parsed


def test_a_depth_bomb_in_a_chunk_is_refused() -> None:
    with pytest.raises(LimitExceededError, match="deeper than 200"):
        decoded('{"content":' + "[" * 100_000 + "]" * 100_000 + "}")


def test_a_million_tool_calls_end_at_the_limit() -> None:
    for accumulator in (StreamAccumulator(), ToolCallAccumulator(), ToolCallProgressAccumulator()):
        with pytest.raises(LimitExceededError, match="more than 1024 tool calls"):
            for index in range(1_000_000):
                call = {"index": index, "id": str(index), "function": {"name": "f"}}
                chunk = StreamChunk.from_wire({"choices": [{"delta": {"tool_calls": [call]}}]})
                _ = list(accumulator.add(chunk) or ())


def test_a_hundred_thousand_tool_calls_in_one_chunk_are_refused() -> None:
    calls = ",".join(f'{{"index":{index},"function":{{"name":"f"}}}}' for index in range(100_000))
    with pytest.raises((LimitExceededError, DecodeError)):
        for chunk in decoded(f'{{"tool_calls":[{calls}]}}'):
            StreamAccumulator().add(chunk)


def test_an_index_of_four_billion_is_a_call_like_any_other() -> None:
    (chunk,) = decoded('{"tool_calls":[{"index":4000000000,"id":"a","function":{"name":"f","arguments":"{}"}}]}')
    accumulator = ToolCallAccumulator()
    assert accumulator.add(chunk) == []
    assert accumulator.add(finish_chunk()) == []
    assert [call.id for call in accumulator.close()] == ["a"]


def test_fifty_megabytes_of_arguments_are_a_call() -> None:
    text = "x" * 100_000
    value = parsed('{"a":"', *[text] * 500, '"}')
    assert value == {"a": text * 500}


def test_more_than_the_limit_of_characters_is_an_error() -> None:
    accumulator = StreamAccumulator()
    piece = tool_chunk("x" * 16_000_000)
    accumulator.add(tool_chunk('{"a":"', id="a", name="f"))
    with pytest.raises(LimitExceededError, match="longer than 268435456 characters"):
        for _ in range(20):
            accumulator.add(piece)


def test_a_string_that_never_closes_is_no_call() -> None:
    accumulator = ToolCallAccumulator()
    for chunk in with_arguments('{"a":"', *["b" * 100] * 10_000):
        accumulator.add(chunk)
    (call,) = accumulator.close()
    with pytest.raises(ToolCallError, match="not a JSON object"):
        _ = call.function.parsed


def test_numbers_that_json_does_not_have_are_floats() -> None:
    value = parsed('{"a":Na', 'N,"b":-Infinity}')
    assert math.isnan(value["a"])
    assert value["b"] == -math.inf


def test_of_duplicate_keys_the_last_counts() -> None:
    assert parsed('{"a":1,"b":2,', '"a":3}') == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("escapes", "text"),
    [("\\ud83d\\ude00", "\U0001f600"), ("\\ud83d", "\ufffd"), ("\\ude00\\ud83d", "\ufffd\ufffd")],
)
def test_escaped_surrogates_in_arguments(escapes: str, text: str) -> None:
    whole = f'{{"a":"{escapes}"}}'
    for cut in range(1, len(whole)):
        assert parsed(whole[:cut], whole[cut:]) == {"a": text}


@pytest.mark.parametrize("escape", ["\\u12", "\\uzzzz", "\\x41"])
def test_invalid_escapes_are_no_json(escape: str) -> None:
    for accumulator in (ToolCallAccumulator(), ToolCallProgressAccumulator()):
        with pytest.raises(ToolCallError, match="not a JSON object"):
            for chunk in with_arguments('{"a":"' + escape, '"}'):
                _ = list(accumulator.add(chunk))
            for call in accumulator.close():
                assert isinstance(call, ToolCall)
                _ = call.function.parsed


@pytest.mark.parametrize("text", ["[1]", "true", "42", '"text"', "nulls"])
def test_json_that_is_no_object_is_shown_and_not_executed(text: str) -> None:
    accumulator = ToolCallAccumulator()
    for chunk in with_arguments(text):
        accumulator.add(chunk)
    (call,) = accumulator.close()
    assert call.function.arguments == text
    with pytest.raises(ToolCallError, match="not a JSON object") as caught:
        _ = call.function.parsed
    assert caught.value.text == text
    with pytest.raises(ToolCallError, match="not a JSON object"):
        for chunk in with_arguments(text):
            list(ToolCallProgressAccumulator().add(chunk))


def test_what_only_a_chunk_made_by_hand_can_have_is_counted_and_kept() -> None:
    made: Any = StreamChunk
    accumulator = StreamAccumulator(max_characters=20)
    accumulator.add(made(vendor=["\ud800"]))
    assert accumulator.partial().model_extra == {"vendor": ["\ud800"]}
    with pytest.raises(LimitExceededError, match="longer than 20 characters"):
        accumulator.add(made(vendor=["\ud800" * 10]))


@pytest.mark.parametrize(
    ("value", "kept"),
    [(10**30, 10**30), (["\ud800"], ["\ufffd"]), ({"a": [-(10**30), "\udfff"]}, {"a": [-(10**30), "\ufffd"]})],
    ids=["integer", "half a pair", "both"],
)
def test_what_no_text_of_json_in_utf_8_can_be_is_counted_and_kept(value: object, kept: object) -> None:
    data = json.dumps({"choices": [{"index": 0, "delta": {"content": "a", "vendor": value}}]})
    accumulator = StreamAccumulator()
    accumulator.add_all([StreamChunk.from_wire(data), StreamChunk.from_wire(data)])
    completion = accumulator.partial()

    assert completion.content == "aa"
    assert completion.message.model_extra == {"vendor": kept}
