"""What is recorded of items and errors comes back as it was."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from rxllm import exceptions
from rxllm.exceptions import (
    APIStatusError,
    APIStreamError,
    BufferOverflowError,
    ChunkTimeoutError,
    DeadlineExceededError,
    LimitExceededError,
    MissingExtraError,
    RecordingError,
    RepairError,
    RxllmError,
    StreamInterruptedError,
    TruncatedStreamError,
)
from rxllm.models import (
    ApprovalGiven,
    Approved,
    ChatCompleted,
    ChatCompletion,
    CompletionChoice,
    Delta,
    FunctionCall,
    Message,
    Refused,
    Repair,
    StreamChoice,
    StreamChunk,
    StreamInfo,
    ToolCall,
    ToolResult,
    Usage,
    marked,
)
from rxllm.stores import ErrorRecord, SlotsDecoder, SlotsEncoder, decode_error, decode_item, encode_error, encode_item
from rxllm.stores._lossless_json import dumps, loads
from rxllm.typing import Ending
from rxllm.wire import AWSFrame, ServerSentEvent

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
# What Python has beyond JSON: as an item, or deep in one, it must be refused.
foreign_values = st.sampled_from(
    [
        (1, "a"),
        {1, 2},
        {1: "a"},
        {None: 1},
        {True: 1},
        b"a",
        bytearray(b"a"),
        datetime.now(UTC),
        decimal.Decimal("1.10"),
    ]
)
any_values = st.recursive(
    json_values | foreign_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=4,
)
# Names of providers' fields, none of which is ours or pydantic's.
extras = st.dictionaries(st.text(min_size=1).map(lambda name: f"x{name}"), json_values, max_size=3)
deltas = st.fixed_dictionaries({}, optional={"content": st.none() | st.text(), "role": st.sampled_from(["user", "me"])})


@st.composite
def chunks(draw: st.DrawFn) -> StreamChunk:
    choices = [{"delta": {**draw(deltas), **draw(extras)}, **draw(extras)} for _ in range(draw(st.integers(0, 2)))]
    return StreamChunk.model_validate({"id": "a", "choices": choices, **draw(extras)})


frames = st.builds(
    AWSFrame,
    st.dictionaries(
        st.text(max_size=9),
        st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text() | st.binary(),
        max_size=3,
    ),
    st.binary(),
)
events = st.builds(ServerSentEvent, st.text(), st.text(), st.text(), st.none() | st.integers(min_value=0))


def through(item: object) -> Any:
    kind, value = encode_item(item)
    text = dumps(value)
    assert b"\n" not in text
    return decode_item(kind, loads(text.decode()))


@given(chunks() | events | frames | st.text() | st.binary() | json_values)
def test_items_come_back_as_they_were(item: object) -> None:
    back = through(item)
    # By repr, since a NaN does not equal itself.
    assert repr(back) == repr(item)
    assert type(back) is type(item)


@given(any_values)
def test_what_would_come_back_as_something_else_is_refused(value: object) -> None:
    for item in (value, StreamChunk().model_copy(update={"vendor": value})):
        try:
            back = through(item)
        except TypeError as error:
            assert "cannot be recorded" in str(error)  # noqa: PT017 - refused or equal, both are right
        else:
            assert repr(back) == repr(item)


@pytest.mark.parametrize("value", [{1: "a"}, {"a": [(1,)]}, {"deep": {"b": b"x"}}, {2}, datetime.now(UTC), range(3)])
def test_what_json_has_not_is_refused_wherever_it_is(value: object) -> None:
    delta = Delta(content="x").model_copy(update={"vendor": value})
    chunk = StreamChunk(choices=[StreamChoice(delta=delta)])
    for item in (value, [value], chunk):
        with pytest.raises(TypeError, match="cannot be recorded"):
            encode_item(item)


def test_a_model_where_none_belongs_is_refused() -> None:
    with pytest.raises(TypeError, match="a Usage cannot be recorded"):
        encode_item(StreamChunk().model_copy(update={"vendor": Usage()}))
    with pytest.raises(TypeError, match="a Usage cannot be recorded"):
        encode_item(Message(annotations=[Usage()]))


def test_an_iterator_is_refused_and_left_as_it_is() -> None:
    items: Iterator[int] = iter([1, 2])
    with pytest.raises(TypeError, match="list_iterator cannot be recorded"):
        encode_item(items)
    assert list(items) == [1, 2]


def test_what_is_nested_too_deeply_is_refused() -> None:
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(TypeError, match="a list is nested too deeply"):
        encode_item(circle)
    with pytest.raises(ValueError, match="nested too deeply"):
        loads("[" * 100_000)


def test_a_chunk_is_recorded_as_what_is_not_its_default() -> None:
    chunk = StreamChunk.from_wire({"choices": [{"index": 0, "finish_reason": "stop"}, {"index": 1}]})
    assert written(chunk) == {"choices": [{"finish_reason": "stop"}, {"index": 1}]}
    assert through(chunk) == chunk
    assert written(StreamChunk()) == {}


def written(item: object) -> Any:
    """What is written of an item."""
    return loads(dumps(encode_item(item)[1]))


@given(chunks(), st.booleans(), st.booleans(), st.none() | st.text())
def test_what_a_chunk_has_besides_its_fields_comes_back(
    chunk: StreamChunk, begins: bool, restarts: bool, event: str | None
) -> None:
    stream = StreamInfo(dialect="d", host="h", rate_limits={"a": "1"}, requested_at=1.5, bytes=7)
    repairs = (Repair("set-aside", 3, {"id": []}, None),)
    first = marked(chunk, stream=stream, begins=begins, restarts=restarts, event=event, repairs=repairs)
    items: list[Any] = [first, marked(chunk, stream=stream), "text", chunk, marked(chunk, stream=stream)]
    encoder, decoder = SlotsEncoder(), SlotsDecoder()
    back: list[Any] = []
    for item in items:
        fields = encoder.encode(item)
        back.append(through(item))
        decoder.restore(back[-1], None if fields is None else loads(dumps(fields)))
    assert [repr(item) for item in back] == [repr(item) for item in items]
    assert [getattr(item, "stream", "none") for item in back] == [stream, stream, "none", None, stream]
    assert back[1].stream is back[0].stream
    kept = back[0]
    assert (kept.begins, kept.restarts, kept.event, kept.repairs) == (begins, restarts, event, repairs)
    assert (back[1].begins, back[1].repairs) == (False, ())


@pytest.mark.parametrize(
    "fields", [{"begins": "maybe"}, {"stream": 5}, {"stream": {"bytes": "x"}}, {"repairs": [5]}, {"event": 5}]
)
def test_what_is_beside_a_chunk_is_checked(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are those of two libraries
        SlotsDecoder().restore(StreamChunk(), fields)


def test_repairs_are_recorded() -> None:
    repairs = (Repair("arguments-serialized", 3, {"a": [1]}, '{"a":[1]}'), Repair("index-made-up", 4, None, 0))
    completion = ChatCompletion(choices=[CompletionChoice(message=Message(content="x"))], repairs=repairs)
    assert through(completion).repairs == repairs
    assert through(completion) == completion
    # Of a model in one of them, its JSON.
    replaced = Repair("usage-replaced", 5, Usage(total_tokens=1), Usage(total_tokens=2))
    (back,) = through(ChatCompletion(repairs=(replaced,))).repairs
    assert back == Repair("usage-replaced", 5, {"total_tokens": 1}, {"total_tokens": 2})


def test_events_of_a_conversation_come_back() -> None:
    event = ChatCompleted(round=2, completion=ChatCompletion(), messages=(Message(content="a"), Message(content="b")))
    assert through(event) == event


@pytest.mark.parametrize("decision", [Approved(), Approved(arguments={"a": 1}), Refused(), Refused(reason="No.")])
def test_what_was_decided_about_a_call_comes_back(decision: Approved | Refused) -> None:
    event = ApprovalGiven(round=1, call=ToolCall(id="a", function=FunctionCall(name="f")), decision=decision)
    assert through(event) == event


def test_a_result_comes_back_without_what_its_dump_leaves_out() -> None:
    call = ToolCall.model_validate({"id": "a", "function": {"name": "f"}})
    result = ToolResult(call=call, content="5", value=5, exception=ValueError("no JSON"))
    assert through(result) == ToolResult(call=call, content="5")


def test_only_fields_that_are_there_are_recorded() -> None:
    chunk = StreamChunk.from_wire('{"id": "a", "choices": [{"delta": {"content": null}}], "vendor": {"a": [1]}}')
    assert encode_item(chunk)[0] == "chunk"
    assert written(chunk) == {"id": "a", "choices": [{"index": 0, "delta": {}}], "vendor": {"a": [1]}}
    assert encode_item(ServerSentEvent("x", id="7")) == ("sse", {"data": "x", "id": "7"})
    assert encode_item(ServerSentEvent("")) == ("sse", {"data": ""})


@pytest.mark.parametrize("value", ["", "AAAA", "AAAAEgAAAAB/AhuLe30vkmH6" * 2, 7])
def test_a_frame_that_is_none(value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_item("aws-frame", value)


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
    class Derived(StreamChunk, frozen=True):
        pass

    assert through(Derived(id="a", choices=[])) == StreamChunk(id="a", choices=[])
    assert through(Delta(content="x")) == Delta(content="x")


def test_foreign_models_and_dataclasses_come_back_as_their_json() -> None:
    class Foreign(BaseModel):
        answer: int

    @dataclass
    class Plain:
        answer: int

    assert through(Foreign(answer=42)) == {"answer": 42}
    assert through(Plain(answer=42)) == {"answer": 42}
    with pytest.raises(TypeError, match="a type cannot be recorded"):
        encode_item(Plain)


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match="a object cannot be recorded"):
        through(object())


@pytest.mark.parametrize(
    ("kind", "value"),
    [("text", 5), ("bytes", 5), ("bytes", "a"), ("bytes", "a\nb="), ("sse", {"data": 5}), ("sse", "x"), ("chunk", 5)],
)
def test_a_value_that_is_not_of_its_kind(kind: str, value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are those of three libraries
        decode_item(kind, value)


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
    RepairError("no", kind="arguments-serialized", position=3, before={"a": [1]}, after='{"a":[1]}'),
    BufferOverflowError("3 items were dropped", size=256),
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
    "ApprovalError": {"name": "f", "call_id": "a"},
    "BufferOverflowError": {"size": 1},
    "MissingExtraError": {"extra": "x"},
    "MixedAnswersError": {"partials": ("a", None)},
    "RepairError": {"kind": "x", "position": 1, "before": None, "after": {"a": 1}},
    "ToolExecutionError": {"kind": "failed", "name": "f", "call_id": "a"},
    "UnsupportedRequestError": {"dialect": "x", "field": "tools"},
}

# Those that make their message themselves.
OTHERWISE: dict[type[RxllmError], RxllmError] = {
    ChunkTimeoutError: ChunkTimeoutError("gap", 1, 1),
    DeadlineExceededError: DeadlineExceededError(1),
}


@pytest.mark.parametrize("name", [name for name in exceptions.__all__ if name.endswith("Error")])
def test_each_error_of_ours_can_come_back(name: str) -> None:
    cls = getattr(exceptions, name)
    error = OTHERWISE.get(cls) or cls("what happened", **REQUIRED.get(name, {}))
    back = error_through(error)
    assert type(back) is cls
    assert (str(back), vars(back)) == (str(error), vars(error))


def test_an_attribute_that_has_no_json_is_there_all_the_same() -> None:
    circle: list[object] = []
    circle.append(circle)
    back = error_through(RepairError("no", kind="x", position=1, before=Usage(), after=circle))
    assert isinstance(back, RepairError)
    assert (back.kind, back.position, back.before, back.after) == ("x", 1, None, None)


def test_an_attribute_that_an_older_version_did_not_know_is_as_if_nothing_had_been_said() -> None:
    back = decode_error(ErrorRecord("APIStreamError", "busy", {"type": "t", "code": 1, "retryable": True}))
    assert isinstance(back, APIStreamError)
    assert (back.type, back.retryable, back.retry_after, back.position) == ("t", True, None, None)


def test_how_exceptions_work_cannot_be_recorded() -> None:
    names = ["args", "__class__", "__cause__", "with_traceback", "partial", "_odd"]
    back = decode_error(ErrorRecord("StreamInterruptedError", "cut", {"events": 2, **dict.fromkeys(names, 5)}))
    assert vars(back) == {"events": 2}
    assert (back.args, back.partial) == (("cut",), None)


def test_other_errors_come_back_by_name() -> None:
    class StreamInterruptedError(Exception):
        """Not ours, in spite of its name."""

    back = error_through(StreamInterruptedError("what happened"))
    assert type(back) is RecordingError
    assert "StreamInterruptedError: what happened" in str(back)
    assert "builtins.KeyError: 'x'" in str(error_through(KeyError("x")))


def test_no_error_no_record() -> None:
    assert encode_error(Ending("completed")) is None
