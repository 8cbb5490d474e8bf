"""A character that is cut in two between chunks is whole again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import get_dialect
from rxllm.exceptions import DecodeError, LimitExceededError
from rxllm.models import ChatCompletion


def fold(*choices: dict[str, Any], as_bytes: bool = False) -> ChatCompletion:
    decoder = get_dialect("openai-chat").decoder()
    accumulator = StreamAccumulator()
    for choice in choices:
        text = json.dumps({"choices": [choice]})
        for chunk in decoder.decode(text.encode() if as_bytes else text):
            accumulator.add(chunk)
    return accumulator.completion()


def delta(index: int = 0, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": fields, "finish_reason": finish_reason}


def code_units(text: str) -> list[str]:
    """The text in UTF-16 code units, as JSON escapes them one by one."""
    encoded = text.encode("utf-16-be")
    return [chr(int.from_bytes(encoded[at : at + 2], "big")) for at in range(0, len(encoded), 2)]


@given(text=st.text(st.characters(exclude_categories=["Cs"])), as_bytes=st.booleans())
def test_text_cut_by_code_units(text: str, *, as_bytes: bool) -> None:
    units = code_units(text)
    for name in ("content", "reasoning_content", "refusal"):
        message = fold(*({"delta": {name: unit}} for unit in units), delta(0, "stop"), as_bytes=as_bytes).message
        assert (getattr(message, name) or "") == text


def test_arguments_cut_by_code_units() -> None:
    arguments = '{"a":"\U0001f600"}'
    fragments = [{"index": 0, "function": {"arguments": unit}} for unit in code_units(arguments)]
    first = {"index": 0, "id": "1", "function": {"name": "f"}}
    message = fold(*(delta(tool_calls=[each]) for each in [first, *fragments]), delta(0, "tool_calls")).message
    assert message.tool_calls[0].function.parsed == {"a": "\U0001f600"}


def test_choices_texts_and_calls_are_kept_apart() -> None:
    def call(index: int, unit: str) -> dict[str, Any]:
        return {"index": index, "id": str(index), "function": {"name": "f", "arguments": unit}}

    completion = fold(
        delta(0, content="\ud83d", reasoning="\ud83d"),
        delta(1, content="a"),
        delta(0, content="\ude00", tool_calls=[call(0, "\ud83d"), call(1, "\ud83d")]),
        delta(0, reasoning="\ude01", tool_calls=[call(1, "\ude01"), call(0, "\ude00")]),
        delta(1, "stop"),
        delta(0, "stop"),
    )
    assert completion.content == "\U0001f600"
    assert completion.message.reasoning == "\U0001f601"
    assert completion.choices[1].message.content == "a"
    assert [each.function.arguments for each in completion.message.tool_calls] == ["\U0001f600", "\U0001f601"]


def test_a_half_without_the_other_is_replaced() -> None:
    half = {"index": 0, "id": "1", "function": {"name": "f", "arguments": "\ud83d"}}
    assert fold(delta(content="a\ud83d"), delta(content="b"), delta(0, "stop")).content == "a\ufffdb"
    assert fold(delta(content="a\ud83d"), delta(0, "stop")).content == "a\ufffd"
    assert fold(delta(0, "stop", content="\ud83d")).content == "\ufffd"
    assert fold(delta(content="\ude00"), delta(0, "stop")).content == "\ufffd"
    message = fold(delta(tool_calls=[half]), delta(0, "tool_calls", content="x")).message
    assert (message.content, message.tool_calls[0].function.arguments) == ("x", "\ufffd")


@pytest.mark.parametrize(
    "event",
    [
        '{"choices":[{"index":0,"delta":null},{"delta":{"content":"b","tool_calls":[{"function":null}]}}]}',
        '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":{}}}]}}]}',
        '{"choices":null,"usage":{"total_tokens":1}}',
    ],
)
def test_whatever_comes_in_between(event: str) -> None:
    decoder = get_dialect("openai-chat").decoder()
    assert len(list(decoder.decode('{"choices":[{"index":0,"delta":{"content":"\\uD83D"}}]}'))) == 1
    assert len(list(decoder.decode(event))) == 1


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ('{"choices":[\\ud83d', DecodeError),
        ('{"a":["\\ud83d"],"b":' + "[" * 500 + "]" * 500 + "}", LimitExceededError),
        ('{"a":["\\ud83d"],"b":' + "[" * 100_000 + "]" * 100_000 + "}", LimitExceededError),
    ],
)
def test_what_is_no_chunk(event: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(get_dialect("openai-chat").decoder().decode(event))


def test_while_a_half_waits_what_is_no_object_is_refused() -> None:
    decoder = get_dialect("openai-chat").decoder()
    list(decoder.decode('{"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}'))
    with pytest.raises(DecodeError):
        list(decoder.decode('"\\ud83d"'))
