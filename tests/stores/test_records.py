"""What is recorded of items and errors comes back as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from rxllm import exceptions
from rxllm.exceptions import (
    APIStatusError,
    APIStreamError,
    ChunkTimeoutError,
    LimitExceededError,
    MissingExtraError,
    RecordingError,
    RxllmError,
    StreamInterruptedError,
    TruncatedStreamError,
)
from rxllm.models import ChatCompletion, StreamChunk
from rxllm.stores import decode_error, decode_item, encode_error, encode_item
from rxllm.stores._json import dumps, loads
from rxllm.typing import Ending
from rxllm.wire import ServerSentEvent

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
# Names of providers' fields, none of which is ours or pydantic's.
extras = st.dictionaries(st.text(min_size=1).map(lambda name: f"x{name}"), json_values, max_size=3)
deltas = st.fixed_dictionaries({}, optional={"content": st.none() | st.text(), "role": st.sampled_from(["user", "me"])})


@st.composite
def chunks(draw: st.DrawFn) -> StreamChunk:
    choices = [{"delta": {**draw(deltas), **draw(extras)}, **draw(extras)} for _ in range(draw(st.integers(0, 2)))]
    return StreamChunk.model_validate({"id": "a", "choices": choices, **draw(extras)})


events = st.builds(ServerSentEvent, st.text(), st.text(), st.text(), st.none() | st.integers(min_value=0))


def through(item: object) -> Any:
    kind, value = encode_item(item)
    text = dumps(value)
    assert b"\n" not in text
    return decode_item(kind, loads(text.decode()))


@given(chunks() | events | st.text() | st.binary() | json_values)
def test_items_come_back_as_they_were(item: object) -> None:
    back = through(item)
    # By repr, since a NaN does not equal itself.
    assert repr(back) == repr(item)
    assert type(back) is type(item)


def test_only_fields_that_were_set_are_recorded() -> None:
    chunk = StreamChunk.from_wire('{"id": "a", "choices": [{"delta": {"content": null}}], "vendor": {"a": [1]}}')
    assert encode_item(chunk) == (
        "chunk",
        {"id": "a", "choices": [{"delta": {"content": None}}], "vendor": {"a": [1]}},
    )
    assert through(chunk).model_fields_set == chunk.model_fields_set
    assert encode_item(ServerSentEvent("x", id="7")) == ("sse", {"data": "x", "id": "7"})
    assert encode_item(ServerSentEvent("")) == ("sse", {"data": ""})


@pytest.mark.parametrize(
    "value", [float("inf"), float("-inf"), float("nan"), -0.0, 2**200, -(2**64), 0.1, "\ud83d", "\0"]
)
def test_values_that_json_has_trouble_with(value: float | str) -> None:
    chunk = StreamChunk.model_validate({"choices": [], "vendor": {"deep": [value]}})
    assert repr(through(chunk)) == repr(chunk)


def test_other_models_of_ours_come_back_as_themselves() -> None:
    completion = ChatCompletion.model_validate({"id": "a", "choices": [{"message": {"content": "Hi"}}], "vendor": 1})
    assert encode_item(completion)[0] == "ChatCompletion"
    assert through(completion) == completion


def test_a_derived_model_comes_back_as_the_one_of_ours_that_it_is() -> None:
    class Derived(StreamChunk):
        pass

    assert through(Derived(id="a", choices=[])) == StreamChunk(id="a", choices=[])


def test_foreign_models_and_dataclasses_come_back_as_their_json() -> None:
    class Foreign(BaseModel):
        answer: int

    @dataclass
    class Plain:
        answer: int

    assert through(Foreign(answer=42)) == {"answer": 42}
    assert through(Plain(answer=42)) == {"answer": 42}


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        through(object())


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(RecordingError, match="'hologram'"):
        decode_item("hologram", {})


def error_through(error: Exception) -> RxllmError:
    record = encode_error(Ending("failed", error))
    assert record is not None
    return decode_error(type(record)(**loads(dumps(record))))


ERRORS = [
    APIStatusError("no", status=429, body="slow down", request_id="r", retry_after=1.5),
    APIStreamError("no", type="overloaded_error", code=529, retryable=True, position=3),
    APIStreamError("no"),
    StreamInterruptedError("cut", events=7),
    TruncatedStreamError("cut", unfinished=(0, 2), events=7),
    ChunkTimeoutError("gap", 0.5, 3),
    LimitExceededError("large", limit="max_event_bytes", maximum=5),
    MissingExtraError("install it", extra="rxllm[rich]"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_come_back_with_message_and_attributes(error: RxllmError) -> None:
    error.partial = ChatCompletion()
    back = error_through(error)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args
    assert vars(back) == {name: value for name, value in vars(error).items() if name != "partial"}


REQUIRED: dict[str, dict[str, Any]] = {
    "APIStatusError": {"status": 500},
    "APIResponseError": {"status": 200, "content_type": "text/html"},
    "DecodeError": {"dialect": "x", "position": 0, "text": "y"},
    "LimitExceededError": {"limit": "x", "maximum": 1},
    "ToolCallError": {"choice": 0},
    "BufferOverflowError": {"size": 1},
    "MissingExtraError": {"extra": "x"},
}


@pytest.mark.parametrize("name", [name for name in exceptions.__all__ if name.endswith("Error")])
def test_each_error_of_ours_can_come_back(name: str) -> None:
    cls = getattr(exceptions, name)
    error = (
        ChunkTimeoutError("gap", 1, 1) if cls is ChunkTimeoutError else cls("what happened", **REQUIRED.get(name, {}))
    )
    back = error_through(error)
    assert type(back) is cls
    assert (str(back), vars(back)) == (str(error), vars(error))


def test_other_errors_come_back_by_name() -> None:
    class StreamInterruptedError(Exception):
        """Not ours, in spite of its name."""

    back = error_through(StreamInterruptedError("what happened"))
    assert type(back) is RecordingError
    assert "StreamInterruptedError: what happened" in str(back)
    assert "builtins.KeyError: 'x'" in str(error_through(KeyError("x")))


def test_no_error_no_record() -> None:
    assert encode_error(Ending("completed")) is None
