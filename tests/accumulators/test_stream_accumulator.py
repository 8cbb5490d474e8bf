from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from rxllm.accumulators import StreamAccumulator
from rxllm.exceptions import LimitExceededError
from rxllm.models import ChatCompletion, FinishReason, FunctionCall, IncompleteToolCall, Message, Role, StreamChunk


def accumulate(*chunks: dict[str, Any]) -> StreamAccumulator:
    accumulator = StreamAccumulator()
    for chunk in chunks:
        accumulator.add(StreamChunk.from_wire(chunk))
    return accumulator


def choice(index: int = 0, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}


def choices(*each: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**fields, "choices": list(each)}


def test_an_answer() -> None:
    accumulator = accumulate(
        choices(choice(role="assistant", content=""), id="c", created=1, model="m", system_fingerprint="f"),
        choices(choice(content="Hel"), id="c", created=1, model="m"),
        choices(choice(content="lo"), id="c", created=1, model="m", service_tier="t"),
        choices(choice(finish_reason="stop")),
        choices(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.5}),
    )
    completion = accumulator.completion()
    assert completion.message == accumulator.message() == Message(role=Role.ASSISTANT, content="Hello")
    assert completion.content == "Hello"
    assert completion.complete
    assert completion.choices[0].finish_reason is FinishReason.STOP
    assert completion.model_dump(exclude={"choices"}) == {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "service_tier": "t",
        "system_fingerprint": "f",
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.5},
        "complete": True,
        "ending": "completed",
    }


def test_nothing() -> None:
    completion = StreamAccumulator().completion()
    assert completion.message == Message(content="")
    assert not completion.complete


def test_an_answer_that_was_cut() -> None:
    accumulator = accumulate(
        choices(
            choice(content="Hel", tool_calls=[{"index": 0, "id": "a", "function": {"name": "w", "arguments": "{}"}}])
        )
    )
    for completion in (accumulator.completion(), accumulator.partial(), accumulator.snapshot()):
        assert not completion.complete
        assert completion.message == Message(content="Hel")
        assert completion.choices[0].incomplete_tool_calls == [
            IncompleteToolCall(index=0, id="a", name="w", arguments="{}")
        ]


def test_row_34_the_end_of_the_stream_stands_for_the_missing_finish_reason() -> None:
    accumulator = accumulate(
        choices(choice(tool_calls=[{"index": 0, "id": "a", "function": {"name": "w", "arguments": "{}"}}]))
    )
    completion = accumulator.completion(ended=True)
    assert completion.complete
    assert [call.id for call in completion.message.tool_calls] == ["a"]
    assert completion.choices[0].incomplete_tool_calls == []


def test_partial_is_never_complete() -> None:
    assert not accumulate(choices(choice(content="a", finish_reason="stop"))).partial().complete


def test_row_21_usage_is_the_last_real_one() -> None:
    def usage(tokens: int) -> dict[str, Any]:
        return choices(choice(content="a"), usage={"completion_tokens": tokens})

    completion = accumulate(usage(2), usage(2), usage(5), {"choices": None, "usage": None}, {"usage": {}}).completion()
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 5
    assert [repair for repair in completion.repairs if repair.kind == "usage-replaced"] == []


def test_row_22_reasoning_is_kept_where_it_was_and_read_from_one_place() -> None:
    both = accumulate(choices(choice(reasoning_content="a", reasoning="x")), choices(choice(reasoning_content="b")))
    message = both.message()
    assert (message.reasoning_content, message.reasoning, message.reasoning_text) == ("ab", "x", "ab")
    other = accumulate(choices(choice(reasoning="x", reasoning_details=[1])), choices(choice(reasoning_details=[2])))
    assert other.message().reasoning_text == "x"
    assert other.message().model_dump()["reasoning_details"] == [1, 2]
    parts: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "h"}]},
        {"type": "thinking", "thinking": "m"},
        {"type": "text", "text": "Hi"},
    ]
    message = accumulate(*[choices(choice(content=[part])) for part in parts]).message()
    assert (message.reasoning_text, message.content) == ("hm", "Hi")
    assert message.model_dump()["content_parts"] == parts
    assert (
        accumulate(choices(choice(thinking="a")), choices(choice(thinking="b"))).message().model_dump()["thinking"]
        == "ab"
    )


def test_row_23_placeholders_are_absent() -> None:
    placeholder = choices(choice(role="", content=""), id="", model="", created=0, system_fingerprint="")
    completion = accumulate(placeholder, choices(choice(role="tool"), id="c", model="m", created=7)).completion()
    assert (completion.id, completion.model, completion.created) == ("c", "m", 7)
    assert completion.message.role is Role.TOOL
    assert completion.system_fingerprint == ""


def test_the_last_model_counts_for_another_one_may_go_on() -> None:
    accumulator = StreamAccumulator()
    models: list[str | None] = []
    for name in ("a", "a", "", "b", None, "b"):
        accumulator.add(StreamChunk.from_wire(choices(choice(content="x"), id=name or "", model=name)))
        models.append(accumulator.snapshot().model)
    assert models == ["a", "a", "a", "b", "b", "b"]
    assert (accumulator.completion().id, accumulator.completion().text) == ("a", "xxxxxx")


def test_row_24_choices_are_kept_apart() -> None:
    completion = accumulate(
        choices(choice(1, content="x")),
        choices(choice(0, content="a"), choice(1, content="y")),
        choices(choice(0, content="b", finish_reason="stop")),
        choices(choice(1, finish_reason="length")),
    ).completion()
    assert [(each.index, each.message.content, each.finish_reason) for each in completion.choices] == [
        (0, "ab", "stop"),
        (1, "xy", "length"),
    ]


def test_one_choice_of_two_is_not_finished() -> None:
    def call(call_id: str) -> list[dict[str, Any]]:
        return [{"index": 0, "id": call_id, "function": {"name": "w", "arguments": "{}"}}]

    completion = accumulate(
        choices(choice(0, tool_calls=call("a")), choice(1, tool_calls=call("b"))),
        choices(choice(1, finish_reason="tool_calls")),
    ).completion()
    assert not completion.complete
    assert [[call.id for call in each.message.tool_calls] for each in completion.choices] == [[], ["b"]]


def test_row_26_unknown_fields_are_kept() -> None:
    completion = accumulate(
        choices({**choice(content="a", channel="x"), "native": 1}, provider="p", complete="c", repairs=1),
        choices({**choice(content="a", channel=None, name=5), "native": 2, "message": {}, "token_ids": [1]}, nul=None),
        choices({**choice(content="a"), "token_ids": [2]}, nul=None),
    ).completion()
    dump = completion.model_dump()
    assert (dump["provider"], dump["complete_original"], dump["repairs_original"]) == ("p", "c", 1)
    assert "nul" not in dump
    assert (dump["choices"][0]["native"], dump["choices"][0]["token_ids"]) == (2, [1, 2])
    assert dump["choices"][0]["message_original"] == {}
    assert dump["choices"][0]["message"]["channel"] == "x"
    assert dump["choices"][0]["message"]["name_original"] == 5


def test_row_27_logprobs_audio_annotations_refusal() -> None:
    first = {
        **choice(refusal="I ", audio={"id": "i", "data": "AA", "transcript": "s"}),
        "logprobs": {"content": [1], "refusal": None},
    }
    second = {
        **choice(refusal="can't", audio={"data": "BB", "transcript": "t", "expires_at": 5}, annotations=[{"a": 1}]),
        "logprobs": {"content": [2]},
    }
    third = choice(annotations=[{"a": 2}], audio="?")
    result = accumulate(choices(first), choices(second), choices(third)).completion().choices[0]
    assert result.logprobs == {"content": [1, 2], "refusal": None}
    assert (result.message.refusal, result.message.content) == ("I can't", None)
    assert result.message.audio == {"id": "i", "data": "AABB", "transcript": "st", "expires_at": 5}
    assert result.message.annotations == [{"a": 1}, {"a": 2}]
    assert result.message.model_dump()["audio_original"] == "?"


def test_a_function_call_of_the_older_protocol() -> None:
    pieces = [choice(function_call=each) for each in ({"name": "w", "arguments": '{"a"'}, {"arguments": {"b": 1}}, {})]
    accumulator = accumulate(*[choices(each) for each in pieces])
    assert accumulator.completion().choices[0].incomplete_tool_calls == [
        IncompleteToolCall(name="w", arguments='{"a"{"b":1}')
    ]
    accumulator.add(StreamChunk.from_wire(choices(choice(finish_reason="function_call"))))
    assert accumulator.message().function_call == FunctionCall(name="w", arguments='{"a"{"b":1}')
    empty = accumulate(choices(choice(function_call={"name": "w"}, finish_reason="function_call")))
    assert empty.message().function_call == FunctionCall(name="w", arguments="{}")
    nameless = accumulate(choices(choice(function_call={"arguments": "{}"}, finish_reason="function_call")))
    assert nameless.completion().choices[0].incomplete_tool_calls == [IncompleteToolCall(arguments="{}")]


def test_the_last_finish_reason_counts_unless_it_is_blank() -> None:
    reasons = ("length", "tool_calls", "stop", "", None)
    completion = accumulate(*[choices(choice(finish_reason=reason)) for reason in reasons]).completion()
    assert completion.choices[0].finish_reason is FinishReason.STOP
    assert [repair[:2] for repair in completion.repairs] == [
        ("finish-reason-replaced", 1),
        ("finish-reason-repeated", 2),
    ]


def test_limits() -> None:
    chunk = StreamChunk.from_wire(choices(*[choice(index) for index in range(3)]))
    with pytest.raises(LimitExceededError, match="more than 2 choices") as caught:
        StreamAccumulator(max_choices=2).add(chunk)
    assert (caught.value.limit, caught.value.maximum) == ("max_choices", 2)
    call = {"index": 0, "id": "a", "function": {"name": "w", "arguments": "123"}}
    deltas: list[dict[str, Any]] = [
        {"content": "123"},
        {"reasoning": "123"},
        {"refusal": "123"},
        {"tool_calls": [call]},
        {"function_call": {"arguments": "123"}},
        {"thinking": "123"},
        {"audio": {"data": "123"}},
    ]
    for delta in deltas:
        size = 5 if "tool_calls" in delta else 3
        StreamAccumulator(max_characters=size).add(StreamChunk.from_wire(choices(choice(**delta))))
        with pytest.raises(LimitExceededError, match=f"longer than {size - 1} characters"):
            StreamAccumulator(max_characters=size - 1).add(StreamChunk.from_wire(choices(choice(**delta))))


def test_a_snapshot_stays_as_it_was() -> None:
    accumulator = accumulate(choices(choice(content="a"), id="c"))
    first = accumulator.snapshot()
    accumulator.add(StreamChunk.from_wire(choices(choice(content="b", annotations=[1]), x=1)))
    second = accumulator.snapshot()
    accumulator.add(StreamChunk.from_wire(choices(choice(content="c", annotations=[2]), x=2)))
    assert isinstance(first, ChatCompletion)
    assert (second.message.content, second.message.annotations, second.model_dump()["x"]) == ("ab", [1], 1)
    assert (first.message.content, first.id) == ("a", "c")


def test_a_snapshot_is_a_completion_however_it_is_read_first() -> None:
    accumulator = accumulate(choices(choice(content="a"), id="c", x=1))
    expected = accumulator.completion()
    assert accumulator.snapshot() == expected
    assert expected == accumulator.snapshot()
    assert accumulator.snapshot() == accumulator.snapshot()
    assert repr(accumulator.snapshot()) == repr(expected)
    assert dict(accumulator.snapshot()) == dict(expected)
    assert accumulator.snapshot().model_dump_json() == expected.model_dump_json()
    assert ChatCompletion.model_validate(accumulator.snapshot()) == expected
    assert copy.copy(accumulator.snapshot()) == copy.deepcopy(accumulator.snapshot()) == expected
    assert accumulator.snapshot().model_copy(update={"id": "d"}).id == "d"
    assert pickle.loads(pickle.dumps(accumulator.snapshot())) == expected  # noqa: S301  # our own bytes
    snapshot = accumulator.snapshot()
    snapshot.id = "d"
    assert (snapshot.id, snapshot.content) == ("d", "a")


def test_reading_changes_nothing() -> None:
    accumulator = accumulate(choices(choice(tool_calls=[{"function": {"name": "w"}}], finish_reason="tool_calls")))
    assert accumulator.completion() == accumulator.completion()
    assert [repair.kind for repair in accumulator.completion().repairs] == [
        "index-made-up",
        "arguments-empty",
        "id-made-up",
    ]


def test_an_accumulated_message_can_be_sent_back() -> None:
    call = {"index": 0, "id": "a", "function": {"name": "w", "arguments": '{"b": 1}'}}
    message = accumulate(
        choices(choice(role="assistant", content="", tool_calls=[call], finish_reason="tool_calls"))
    ).message()
    assert message.to_wire() == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "w", "arguments": '{"b": 1}'}}],
    }
    assert accumulate(choices(choice(content=""))).message().to_wire() == {"role": "assistant", "content": ""}
