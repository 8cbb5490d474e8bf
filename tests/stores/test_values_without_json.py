"""What compiled JSON would lose of an item is written all the same, and comes back."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rxllm.models import ChatCompletion, CompletionChoice, Delta, Message, StreamChoice, StreamChunk, Usage
from rxllm.stores import decode_item, encode_item
from rxllm.stores._lossless_json import dumps, loads


def through(item: object) -> Any:
    kind, value = encode_item(item)
    return decode_item(kind, loads(dumps(value)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_has_not_comes_back_from_a_declared_field(value: float) -> None:
    chunk = StreamChunk(timings={"predicted_ms": value}, choices=(StreamChoice(logprobs={"content": [value]}),))

    back = through(chunk)

    # By repr, since a NaN does not equal itself.
    assert repr(back) == repr(chunk)
    assert repr(back.timings) == f"{{'predicted_ms': {value}}}"


def test_a_default_that_was_filled_in_is_written_though_nobody_assigned_it() -> None:
    completion = ChatCompletion()
    completion.choices.append(CompletionChoice(index=1))
    completion.choices[0].message.content = "Hi"
    assert completion.model_fields_set == set()

    back = through(completion)

    assert isinstance(back, ChatCompletion)
    assert back.choices == [CompletionChoice(index=1, message=Message(content="Hi"))]


def test_a_default_that_is_still_empty_is_not_written() -> None:
    assert encode_item(ChatCompletion()) == ("ChatCompletion", {})
    assert encode_item(CompletionChoice()) == ("CompletionChoice", {})


@pytest.mark.parametrize(
    "chunk",
    [
        StreamChunk(citations=((1, 2),)),
        StreamChunk(citations=[[1, (2, 3)]]),
        StreamChunk(citations=[Usage(total_tokens=1)]),
        StreamChunk(choices=[StreamChoice(delta=Delta(reasoning_details=[{"a": (1,)}]))]),
    ],
    ids=["a tuple", "a tuple in a list", "a model", "a tuple in an object"],
)
def test_what_would_come_back_as_something_else_is_refused(chunk: StreamChunk) -> None:
    with pytest.raises(TypeError, match="cannot be recorded"):
        encode_item(chunk)
