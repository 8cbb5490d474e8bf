"""The lines of Ollama's API, also odd ones: what each becomes, and what is refused."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st

import rxllm
from rxllm import operators as ops
from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import BodyDecoder, Ollama, get_reader
from rxllm.exceptions import (
    APIStreamError,
    DecodeError,
    EmptyStreamError,
    LimitExceededError,
    RxllmError,
    TruncatedStreamError,
)
from rxllm.models import ChatCompletion, StreamChunk
from rxllm.wire import ServerSentEvent
from tests.thorough import times

Fields = dict[str, Any]
COUNTS = {"prompt_eval_count": 3, "eval_count": 4, "total_duration": 9}


def line(content: str = "", *, done: bool = False, **fields: Any) -> Fields:
    said = {name: fields.pop(name) for name in ("thinking", "tool_calls", "role", "images") if name in fields}
    head = {"model": "m", "created_at": "2026-01-02T03:04:05.123456789Z"}
    return {**head, "message": {"role": "assistant", "content": content, **said}, "done": done, **fields}


def end(reason: str | None = "stop", **fields: Any) -> Fields:
    return {**line(done=True, **fields), **COUNTS, **({} if reason is None else {"done_reason": reason})}


def call(name: str = "f", arguments: Any = None, **fields: Any) -> Fields:
    return {"function": {"name": name, "arguments": {} if arguments is None else arguments}, **fields}


def read(*lines: Any, strict: bool = True) -> ChatCompletion:
    texts = [each if isinstance(each, str | ServerSentEvent) else json.dumps(each) for each in lines]
    return rxllm.run(reactivex.from_iterable(texts).pipe(ops.parse("ollama"), ops.accumulate(strict=strict)))


def failure(*lines: Any) -> RxllmError:
    with pytest.raises(RxllmError) as caught:
        read(*lines)
    return caught.value


# Parts


def test_thinking_text_and_calls_are_parts_in_their_order() -> None:
    calls = [call("f", {"a": 1}, id="c1"), call("g", {"b": "ö"}, id="c2", later={"x": 1})]
    completion = read(
        line(thinking="I "), line(thinking="see."), line("Look"), line(" here."), line(tool_calls=calls), end()
    )
    message = completion.message
    assert (message.content, message.reasoning_text, message.role) == ("Look here.", "I see.", "assistant")
    assert [(part.index, part.kind, part.text, part.block, part.final) for part in message.parts] == [
        (0, "reasoning", "I see.", {"thinking": "I see."}, True),
        (1, "text", "Look here.", {"content": "Look here."}, True),
        (2, "tool_call", '{"a": 1}', calls[0], True),
        (3, "tool_call", '{"b": "ö"}', calls[1], True),
    ]
    assert [(each.id, each.function.name, each.function.parsed) for each in message.tool_calls] == [
        ("c1", "f", {"a": 1}),
        ("c2", "g", {"b": "ö"}),
    ]
    assert (completion.model, completion.created) == ("m", 1767323045)
    assert message.is_as_it_came
    assert completion.repairs == ()


def test_thinking_under_the_names_of_other_servers() -> None:
    lines = [line("x", thinking="") for _ in range(3)]
    for each, name in zip(lines, ("reasoning_content", "reasoning", "thinking"), strict=True):
        each["message"] |= {name: name[0], "content": ""}
    message = read(*lines, end()).message
    assert message.reasoning_text == "rrt"
    assert [part.block for part in message.parts] == [{"thinking": "rrt"}]


def test_a_text_that_goes_on_behind_a_call_is_another_part() -> None:
    completion = read(line("a"), line(tool_calls=[call(id="1")]), line("b"), line(thinking="t"), line("c"), end())
    kinds = [(part.kind, part.text) for part in completion.message.parts]
    assert kinds == [("text", "a"), ("tool_call", "{}"), ("text", "b"), ("reasoning", "t"), ("text", "c")]
    assert completion.message.is_as_it_came


def test_a_line_may_have_all_of_an_answer() -> None:
    completion = read(line("x", thinking="t", tool_calls=[call()], done=True, done_reason="stop", **COUNTS))
    assert (completion.content, completion.message.reasoning_text) == ("x", "t")
    assert completion.choices[0].finish_reason == "tool_calls"
    assert [part.kind for part in completion.message.parts] == ["reasoning", "text", "tool_call"]


def test_nothing_but_the_end_is_an_answer_too() -> None:
    completion = read(end())
    assert (completion.content, completion.complete, completion.ending) == ("", True, "completed")


def test_the_deltas_of_a_part_have_the_same_object() -> None:
    decoder = Ollama().decoder()
    chunks = [chunk for each in (line("a"), line("b"), line("c")) for chunk in decoder.decode(json.dumps(each))]
    assert len({id(chunk.choices[0].delta.part) for chunk in chunks}) == 1


@pytest.mark.parametrize("slow", ["b" * 70_000, "😀", "ö"])
def test_what_is_read_in_full_gives_the_same_as_what_the_compiled_decoder_takes(slow: str) -> None:
    lines = [line("a"), line(slow), line(thinking="t"), line(thinking=slow), end()]
    plain = read(*lines)
    in_full = read(*(ServerSentEvent(json.dumps(each)) for each in lines))
    assert in_full == plain
    assert plain.content == f"a{slow}"


# Calls


def test_a_call_without_an_identifier_gets_one_of_its_own_that_is_always_the_same() -> None:
    def ids(*calls: Fields, at: str = "2026-01-02T03:04:05.1Z") -> list[str]:
        lines = [{**line(tool_calls=[each]), "created_at": at} for each in calls]
        return [each.id for each in read(*lines, end()).message.tool_calls]

    first = ids(call(), call(), call(id="own"))
    assert len(set(first)) == 3
    assert first == ids(call(), call(), call(id="own"))
    assert first[2] == "own"
    # Of the next round.
    assert not {*first[:2]} & {*ids(call(), call(), at="2026-01-02T03:05:00Z")}
    assert ids(call(id=""))[0].startswith("call_")


def test_calls_at_one_index_are_several() -> None:
    calls = [{"function": {"index": 0, "name": "f", "arguments": {"n": n}}} for n in range(3)]
    completion = read(line(tool_calls=calls[:2]), line(tool_calls=calls[2:]), end())
    assert [each.function.parsed["n"] for each in completion.message.tool_calls] == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "expected"), [(None, {}), ("", {}), ('{"a":1}', {"a": 1}), ({"a": [1.5, None]}, {"a": [1.5, None]})]
)
def test_arguments(arguments: Any, expected: Any) -> None:
    completion = read(line(tool_calls=[{"function": {"name": "f", "arguments": arguments}}]), end())
    assert completion.message.tool_calls[0].function.parsed == expected


def test_calls_of_an_answer_that_its_length_cut_are_none() -> None:
    completion = read(line(tool_calls=[call()]), end("length"), strict=False)
    assert (completion.message.tool_calls, len(completion.choices[0].incomplete_tool_calls)) == ([], 1)


# The end


@pytest.mark.parametrize(
    ("reason", "ours", "native", "ending"),
    [
        ("stop", "stop", "stop", "completed"),
        (None, "stop", None, "completed"),
        ("none", "stop", None, "completed"),
        ("length", "length", "length", "length"),
        ("load", "load", "load", "unknown"),
        ("unload", "unload", "unload", "unknown"),
    ],
)
def test_why_it_ended(reason: str | None, ours: str, native: str | None, ending: str) -> None:
    completion = read(line("x"), end(reason))
    (choice,) = completion.choices
    assert (choice.finish_reason, getattr(choice, "native_finish_reason", None)) == (ours, native)
    assert (completion.ending, completion.complete) == (ending, True)


def test_what_it_cost_is_told_at_the_end_with_all_that_the_server_says() -> None:
    usage = read(line("x"), {**end(), "load_duration": 2, "some_count": True, "other_count": "x"}).usage
    assert usage is not None
    assert usage.model_dump(exclude_unset=True) == {
        **COUNTS,
        "load_duration": 2,
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
    }
    durations = read(line("x"), line(done=True, total_duration=1)).usage
    assert durations is not None
    assert durations.total_tokens is None
    assert read(line("x"), line(done=True)).usage is None


def test_what_follows_the_end_is_nothing_unless_it_is_an_error() -> None:
    assert read(line("x"), end(), line("y"), end(), "[DONE]", "").content == "x"
    assert isinstance(failure(line("x"), end(), {"error": "boom"}), APIStreamError)


@pytest.mark.parametrize("lines", [[line("x")], [line(tool_calls=[call()])], [line(thinking="x")], [line()]])
def test_without_its_end_no_answer_is_whole(lines: list[Fields]) -> None:
    error = failure(*lines)
    assert isinstance(error, TruncatedStreamError)
    assert error.partial is not None
    assert error.partial.message.tool_calls == []
    assert "the stream ended after 1 lines without one that is done" in str(error)


@pytest.mark.parametrize("lines", [[], ["", "[DONE]"]])
def test_no_line_is_no_answer(lines: list[str]) -> None:
    assert isinstance(failure(*lines), EmptyStreamError)


# Errors


@pytest.mark.parametrize(
    ("error", "message", "retryable"),
    [
        ({"error": "the model is overloaded"}, "the model is overloaded", True),
        ({"error": "model 'x' not found"}, "model 'x' not found", False),
        ({"error": {"message": "slow down", "code": 429}}, "slow down", True),
        ({**line(), "error": "boom"}, "boom", False),
        ({"StatusCode": 400, "error_msg": "bad"}, "bad", False),
        ({"message": "a gateway speaks"}, "a gateway speaks", False),
    ],
)
def test_an_error_is_an_error_wherever_it_comes(error: Fields, message: str, *, retryable: bool) -> None:
    for before in ([], [line("x")], [line("x"), line(thinking="y")]):
        found = failure(*before, error)
        assert isinstance(found, APIStreamError)
        assert (found.message, found.retryable, found.position) == (message, retryable, len(before))
        assert found.partial is not None
        assert found.partial.text == "x" * bool(before)


def test_an_event_that_is_named_an_error_is_one_whatever_it_holds() -> None:
    assert str(failure(ServerSentEvent("boom", "error"))) == "boom"


BAD: list[Any] = [
    '{"model":',
    "[1]",
    "words",
    {"message": {"content": 5}, "done": False},
    {"message": "x", "done": False},
    {"message": {"content": "", "tool_calls": {}}, "done": False},
    {"message": {"content": "", "tool_calls": [{}]}, "done": False},
    {"message": {"content": "", "tool_calls": [{"function": {"name": ""}}]}, "done": False},
    {"message": {"content": "", "tool_calls": ["f"]}, "done": False},
    {"message": {}, "done": True, "done_reason": 5},
]


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_says_where_it_stood_and_what_came_before_is_there(bad: Any) -> None:
    found = failure(line("x"), bad)
    assert isinstance(found, DecodeError)
    assert (found.dialect, found.position) == ("ollama", 1)
    assert found.partial is not None
    assert found.partial.content == "x"


def test_a_line_that_is_nothing_known_is_passed_over_and_is_no_answer_by_itself() -> None:
    assert read({"status": "pulling"}, line("x"), {"progress": 1}, end()).content == "x"
    found = failure({"status": "pulling"}, {"progress": 1})
    assert isinstance(found, DecodeError)
    assert (found.position, "it has nothing of an answer" in str(found)) == (0, True)


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"choices": [{"delta": {"content": "x"}}]}, "the chat completions of OpenAI"),
        ({"type": "message_start", "message": {"id": "m"}}, "the Messages API of Anthropic"),
        ({"candidates": []}, "the Gemini API of Google"),
    ],
)
def test_a_stream_of_another_protocol_is_named(other: Fields, name: str) -> None:
    found = failure(other)
    assert isinstance(found, DecodeError)
    assert f"line 0 looks like {name}" in str(found)


def test_too_much_of_something_is_refused() -> None:
    calls = [call(id=str(number)) for number in range(5_000)]
    assert isinstance(failure(line(tool_calls=calls), end()), LimitExceededError)
    many = '{"message":{"content":"x"},"done":false,"more":[' + "0," * 600_000 + "0]}"
    found = failure(line("x"), many)
    assert isinstance(found, LimitExceededError)
    assert "line 1 is too much" in str(found)
    deep = '{"message":{"content":"x"},"done":false,"more":' + "[" * 300 + "]" * 300 + "}"
    assert isinstance(failure(deep), LimitExceededError)


def test_what_is_kept_of_a_part_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.dialects._kept._MAX_KEPT", 10)
    assert isinstance(failure(line("x" * 6), line("x" * 6)), LimitExceededError)
    assert isinstance(failure(line("x" * 16)), LimitExceededError)
    assert read(line("x" * 6), line(thinking="x" * 6), end()).content == "x" * 6


# What else there may be


def test_log_probabilities_are_where_they_are_in_other_dialects() -> None:
    first, second = [{"token": "a", "logprob": -0.5}], [{"token": "b", "logprob": -1.5}]
    completion = read(line("a", logprobs=first), line("b", logprobs=second), line(logprobs=first), end())
    assert completion.choices[0].logprobs == {"content": [*first, *second, *first]}


def test_undeclared_fields_of_the_message_are_kept() -> None:
    said = line("a")
    said["message"] |= {"mood": "good", "images": ["aW1n"], "refusal": "never of a server", "tool_name": "x"}
    completion = read(line("b"), said, end())
    assert (completion.message.model_extra or {})["mood"] == "good"
    assert (completion.content, completion.message.refusal) == ("ba", None)


def test_the_older_endpoint_is_read_too() -> None:
    head = {"model": "m", "created_at": "none"}
    completion = read(
        {**head, "response": "", "thinking": "t", "done": False},
        {**head, "response": "a", "done": False},
        {**head, "response": "", "done": True, "context": [1, 2], **COUNTS},
    )
    assert (completion.content, completion.message.reasoning_text, completion.created) == ("a", "t", None)


def test_lines_of_a_proxy_that_makes_events_of_them() -> None:
    assert read(*(ServerSentEvent(json.dumps(each), "chunk") for each in (line("a"), line("b"), end()))).content == "ab"
    frames = [json.dumps(each).encode() for each in (line("a"), end())]
    assert rxllm.run(reactivex.of(*frames).pipe(ops.parse("ollama"), ops.accumulate())).content == "a"


# A body that is no stream


@pytest.mark.parametrize("body", [line("x", done=True, **COUNTS), [line("a"), line("b"), end()], [end()]])
def test_an_answer_that_came_as_a_whole(body: Any) -> None:
    decoder = Ollama().decoder()
    assert isinstance(decoder, BodyDecoder)
    accumulator = StreamAccumulator()
    accumulator.add_all(decoder.decode_body(json.dumps(body, indent=1)))
    completion = accumulator.completion(ended=True)
    assert [repair.kind for repair in completion.repairs] == ["answer-not-streamed"]
    assert (completion.complete, decoder.done, [*decoder.close()]) == (True, True, [])


@pytest.mark.parametrize("body", ["<html>", '{"a":1}', "[]", "[1]", '[{"a":1}]'])
def test_a_body_that_is_nothing_known(body: str) -> None:
    assert [*Ollama().decoder().decode_body(body)] == []


def test_a_body_of_another_protocol_or_one_that_is_not_whole() -> None:
    event = 'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
    for body, name in (
        (json.dumps({"choices": []}), "chat completions"),
        (event, "the Messages API of Anthropic"),
        (f"data: x\n\ndata: 1\n\n{event}", "the Messages API of Anthropic"),
        (json.dumps(line("x")), "no whole answer: framing='ndjson'"),
        (f"{json.dumps(line('x'))}\n{json.dumps(end())}", "no whole answer: framing='ndjson'"),
    ):
        with pytest.raises(DecodeError, match=name):
            list(Ollama().decoder().decode_body(body))
    assert [*Ollama().decoder().decode_body("data: x\n\n")] == []


# Anything


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "assistant", "stop"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "function", "x"]), inner),
    max_leaves=4,
)
NAMES = st.sampled_from(["content", "thinking", "tool_calls", "role", "images"])
ODD = st.dictionaries(st.sampled_from(["message", "done", "done_reason", "error", "model", "logprobs"]), VALUES)


@settings(max_examples=times(60))
@given(st.lists(ODD | st.dictionaries(NAMES, VALUES).map(lambda said: {"message": said, "done": False}), max_size=4))
def test_whatever_comes_is_an_answer_or_an_error_of_ours(lines: list[Fields]) -> None:
    try:
        completion = read(*lines, strict=False)
    except RxllmError:
        return
    assert completion.complete


def test_a_decoder_that_refused_holds_no_error_and_is_in_no_circle() -> None:
    decoder = get_reader("ollama").decoder()
    gc.collect()
    gc.disable()
    try:
        for bad in ("x", "{", '{"error":"boom"}'):
            with pytest.raises(RxllmError):
                list(decoder.decode(bad))
        chunks: list[StreamChunk] = [*decoder.decode(json.dumps(line("x")))]
        del decoder, chunks
        assert gc.collect() == 0
    finally:
        gc.enable()
