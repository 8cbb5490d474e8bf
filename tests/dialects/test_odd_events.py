"""Events that no specification foresees, and what is made of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import OpenAIChat, get_dialect
from rxllm.exceptions import APIStreamError, DecodeError
from rxllm.models import ChatCompletion, StreamChunk
from rxllm.wire import ServerSentEvent


def decode(*values: Any, dialect: OpenAIChat | None = None) -> list[StreamChunk]:
    decoder = (dialect or OpenAIChat()).decoder()
    events = [each if isinstance(each, ServerSentEvent | str) else json.dumps(each) for each in values]
    return [chunk for event in events for chunk in decoder.decode(event)]


def fold(*values: Any) -> ChatCompletion:
    accumulator = StreamAccumulator()
    for chunk in decode(*values):
        accumulator.add(chunk)
    return accumulator.completion()


def delta(finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]}


def whole(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": fields, "finish_reason": "stop"}]}


CALL = {"index": 0, "id": "a", "type": "function", "function": {"name": "w", "arguments": '{"a":1}'}}


@pytest.mark.parametrize(
    "fields",
    [{"content": "Hi"}, {"tool_calls": [CALL]}, {"reasoning": "hm"}, {"refusal": "no"}, {"reasoning_content": "hm"}],
)
def test_a_whole_message_after_deltas_is_not_said_twice(fields: dict[str, Any]) -> None:
    completion = fold(delta(role="assistant"), delta(**fields), whole(**fields))
    assert completion.message == fold(delta(**fields), delta("stop", role="assistant")).message
    assert completion.choices[0].model_extra == {"message_original": fields}
    assert completion.complete


def test_messages_in_the_place_of_deltas_are_deltas() -> None:
    assert fold(delta(role="assistant"), whole(content="Hel"), whole(content="lo")).content == "Hello"


@pytest.mark.parametrize(
    "event",
    [
        '{"choices":{"type":[]}}',
        '{"choices":[{"message":{"content":true}}]}',
        '{"choices":[{"delta":{"content":"a"}},{"index":1,"message":{"content":true}}]}',
    ],
)
def test_what_is_malformed_is_so_in_our_words(event: str) -> None:
    with pytest.raises(DecodeError):
        decode(event)
    assert decode(event, dialect=OpenAIChat(skip_malformed=True)) == []


def test_a_content_part_of_an_impossible_type_is_text() -> None:
    (chunk,) = decode(delta(content=[{"type": ["x"], "text": "a"}]))
    assert (chunk.choices[0].delta.content, chunk.choices[0].delta.reasoning_text) == ("a", None)


def test_a_field_name_many_times_over() -> None:
    decoder = get_dialect("openai-chat").decoder()
    assert list(decoder.decode("data:" * 100_000)) == []
    assert len(list(decoder.decode("data: data:data: " + json.dumps(delta(content="a"))))) == 1


@pytest.mark.parametrize(
    ("code", "retryable"),
    [("9" * 5000, False), ("1113", False), (1008, False), (600, False), (599, True), ("502", True), ("x", False)],
)
def test_codes_of_an_application_say_nothing(code: object, retryable: bool) -> None:
    with pytest.raises(APIStreamError, match="m") as caught:
        decode({"error": {"message": "m", "code": code}})
    assert caught.value.retryable is retryable


def test_an_error_in_a_choice() -> None:
    decoder = OpenAIChat().decoder()
    value: dict[str, Any] = delta("error", content="a")
    value["choices"][0]["error"] = {"code": 502, "message": "boom"}
    result = iter(decoder.decode(json.dumps(value)))
    assert next(result).choices[0].delta.content == "a"
    with pytest.raises(APIStreamError, match="boom") as caught:
        next(result)
    assert (caught.value.code, caught.value.retryable) == (502, True)
    value["choices"][0]["error"] = None
    assert len(decode(value)) == 1


@pytest.mark.parametrize(
    ("value", "message", "code"),
    [
        ({"detail": "overloaded"}, "overloaded", None),
        ({"error_code": 336003, "error_msg": "x"}, "x", 336003),
        ({"id": "c", "error_code": 336003, "error_msg": "x"}, "x", 336003),
    ],
)
def test_errors_in_words_of_their_own(value: dict[str, Any], message: str, code: int | None) -> None:
    with pytest.raises(APIStreamError) as caught:
        decode(value)
    assert (str(caught.value), caught.value.code) == (message, code)


def test_a_chunk_under_the_name_of_a_ping() -> None:
    def ping(value: Any) -> ServerSentEvent:
        return ServerSentEvent(json.dumps(value), "ping")

    assert fold(ping(delta(content="a")), ping({"usage": {"total_tokens": 1}}), delta("stop")).content == "a"
    for value in ({}, {"id": "c"}, 5, "x"):
        assert decode(ping(value)) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [([1, None], [1, 0]), ([None, 0], [1, 0]), ([1, None, None], [1, 0, 2]), ([None, None], [0, 1]), ([3, 3], [3, 3])],
)
def test_choices_without_an_index_take_a_free_place(given: list[int | None], expected: list[int]) -> None:
    (chunk,) = decode({"choices": [{} if index is None else {"index": index} for index in given]})
    assert [choice.index for choice in chunk.choices] == expected
