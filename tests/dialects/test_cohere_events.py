"""The events of Cohere's Chat API, also odd ones: what each becomes, and what is refused."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import BodyDecoder, Cohere, get_reader
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
TOKENS = {"input_tokens": 3, "output_tokens": 4}
USAGE = {"billed_units": {"input_tokens": 1, "output_tokens": 2}, "tokens": TOKENS, "cached_tokens": 2}
START: Fields = {"id": "m1", "type": "message-start", "delta": {"message": {"role": "assistant", "content": []}}}


def event(kind: str, index: Any = None, message: Any = None, **fields: Any) -> Fields:
    said: Fields = {} if message is None else {"delta": {"message": message}}
    return {"type": kind, **({} if index is None else {"index": index}), **said, **fields}


def begun(kind: str = "text", index: int = 0, text: str = "") -> Fields:
    return event("content-start", index, {"content": {"type": kind, kind: text}})


def piece(text: str, index: int = 0, kind: str = "text", **fields: Any) -> Fields:
    return event("content-delta", index, {"content": {kind: text}}, **fields)


def ended(index: int = 0) -> Fields:
    return event("content-end", index)


def plan(text: str) -> Fields:
    return event("tool-plan-delta", None, {"tool_plan": text})


def call(call_id: str = "c1", index: int = 0, name: str = "f", arguments: Any = "") -> Fields:
    said = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return event("tool-call-start", index, {"tool_calls": said})


def arguments(text: str, index: int = 0) -> Fields:
    return event("tool-call-delta", index, {"tool_calls": {"function": {"arguments": text}}})


def call_ended(index: int = 0) -> Fields:
    return event("tool-call-end", index)


def cited(**citation: Any) -> Fields:
    return event("citation-start", 0, {"citations": {"start": 0, "end": 1, "text": "x", **citation}})


def end(reason: str | None = "COMPLETE", **fields: Any) -> Fields:
    said = {**({} if reason is None else {"finish_reason": reason}), "usage": USAGE, **fields}
    return event("message-end", None, None, delta=said)


TEXT = (START, begun(), piece("It is "), piece("late."), ended())


def read(*events: Any, strict: bool = True) -> ChatCompletion:
    texts = [each if isinstance(each, str | ServerSentEvent | bytes) else json.dumps(each) for each in events]
    return rxllm.run(reactivex.from_iterable(texts).pipe(ops.parse("cohere"), ops.accumulate(strict=strict)))


def failure(*events: Any) -> RxllmError:
    with pytest.raises(RxllmError) as caught:
        read(*events)
    return caught.value


# Parts


def test_thinking_text_plan_and_calls_are_parts_in_the_order_in_which_they_begin() -> None:
    completion = read(
        START,
        *(begun("thinking"), piece("I ", kind="thinking"), piece("see.", kind="thinking"), ended()),
        *(begun("text", 1), piece("Look", 1), piece(" here.", 1), ended(1)),
        *(plan("I will "), plan("ask.")),
        *(call("c1"), arguments('{"a"'), arguments(":1}"), call_ended()),
        *(call("c2", 1, "g"), arguments('{"b":"ö"}', 1), call_ended(1)),
        end("TOOL_CALL"),
    )
    message = completion.message
    assert (message.content, message.reasoning_text, message.role) == ("Look here.", "I see.I will ask.", "assistant")
    assert [(part.index, part.kind, part.text, part.block) for part in message.parts] == [
        (0, "reasoning", "I see.", {"type": "thinking", "thinking": "I see."}),
        (1, "text", "Look here.", {"type": "text", "text": "Look here."}),
        (2, "reasoning", "I will ask.", {"tool_plan": "I will ask."}),
        *(
            (
                3 + number,
                "tool_call",
                text,
                {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}},
            )
            for number, (call_id, name, text) in enumerate([("c1", "f", '{"a":1}'), ("c2", "g", '{"b":"ö"}')])
        ),
    ]
    assert all(part.final for part in message.parts)
    assert [(each.id, each.function.name, each.function.parsed) for each in message.tool_calls] == [
        ("c1", "f", {"a": 1}),
        ("c2", "g", {"b": "ö"}),
    ]
    assert completion.id == "m1"
    assert message.is_as_it_came
    assert completion.repairs == ()


def test_a_beginning_may_have_the_first_piece() -> None:
    completion = read(START, begun("text", 0, "It "), piece("is."), call(arguments='{"a"'), arguments(":1}"), end())
    assert completion.content == "It is."
    assert completion.message.tool_calls[0].function.parsed == {"a": 1}
    assert completion.message.parts[1].text == '{"a":1}'


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        ([piece("a"), piece("b")], [("text", "ab")]),
        ([piece("a", kind="thinking"), piece("b", 1)], [("reasoning", "a"), ("text", "b")]),
        # Without its end, too.
        ([piece("a", kind="thinking"), piece("b")], [("reasoning", "a"), ("text", "b")]),
        ([piece("a"), ended(), piece("b")], [("text", "a"), ("text", "b")]),
        ([begun(), begun(), piece("a")], [("text", "a")]),
        ([begun(), piece("a"), begun(), piece("b")], [("text", "a"), ("text", "b")]),
        ([begun(), begun("thinking"), piece("a", kind="thinking")], [("text", ""), ("reasoning", "a")]),
        ([plan("a"), piece("b"), plan("c")], [("reasoning", "a"), ("text", "b"), ("reasoning", "c")]),
        ([event("content-delta", 0, {"content": {"text": "b", "thinking": "a"}})], [("reasoning", "a"), ("text", "b")]),
        ([begun("image"), ended(), ended(7)], [("text", "")]),
    ],
)
def test_parts_without_beginnings_or_ends(events: list[Fields], parts: list[tuple[str, str]]) -> None:
    completion = read(*events, end())
    assert [(part.kind, part.text) for part in completion.message.parts] == parts
    assert all(part.final for part in completion.message.parts)
    assert completion.content == "".join(text for kind, text in parts if kind == "text")
    assert completion.repairs == ()


def test_both_kinds_in_one_piece_of_a_part_that_has_begun() -> None:
    both = event("content-delta", 0, {"content": {"text": "b", "thinking": "a"}})
    message = read(START, begun(), piece("x"), both, end()).message
    assert (message.content, message.reasoning_text) == ("xb", "a")


def test_the_deltas_of_a_part_have_the_same_object() -> None:
    decoder = Cohere().decoder()
    chunks = [chunk for each in TEXT[1:4] for chunk in decoder.decode(json.dumps(each))]
    assert len({id(chunk.choices[0].delta.part) for chunk in chunks}) == 1


@pytest.mark.parametrize("slow", ["b" * 70_000, "😀", "ö"])
def test_what_is_read_in_full_gives_the_same_as_what_the_compiled_decoder_takes(slow: str) -> None:
    def of(events: list[Fields], **more: Any) -> ChatCompletion:
        return read(START, begun("thinking"), begun("text", 1), call(), *({**each, **more} for each in events), end())

    events = [piece("t", kind="thinking"), piece(slow, 1), piece("a", 1), piece(slow, kind="thinking"), arguments("{}")]
    plain = of(events)
    in_full = of(events, logprobs={})
    assert in_full == plain
    assert (plain.content, plain.message.reasoning_text) == (f"{slow}a", f"t{slow}")


# Calls


def test_a_call_without_arguments() -> None:
    for events in ([call(), call_ended()], [call()], [call(), arguments(" "), call_ended()], [call(arguments=None)]):
        completion = read(START, *events, end("TOOL_CALL"))
        assert [each.function.parsed for each in completion.message.tool_calls] == [{}]
        assert [repair.kind for repair in completion.repairs if repair.kind != "arguments-trimmed"] == []
        block = completion.message.parts[0].block
        assert block is not None
        assert json.loads(block["function"]["arguments"]) == {}


def test_the_end_of_a_call_that_is_said_twice_counts_once() -> None:
    again = [call("c2", name="g"), arguments("{}"), call_ended(), call_ended()]
    completion = read(START, call(), arguments("{}"), call_ended(), call_ended(), *again, end("TOOL_CALL"))
    assert [each.id for each in completion.message.tool_calls] == ["c1", "c2"]
    assert len(completion.message.parts) == 2


def test_arguments_that_are_an_object() -> None:
    completion = read(START, call(arguments={"a": "ö"}), call_ended(), end("TOOL_CALL"))
    assert completion.message.tool_calls[0].function.arguments == '{"a": "ö"}'


def test_the_beginning_of_a_call_that_is_said_twice_counts_once() -> None:
    completion = read(START, call(), call(), arguments("{}"), call_ended(), end("TOOL_CALL"))
    assert [each.id for each in completion.message.tool_calls] == ["c1"]


@pytest.mark.parametrize(
    "events",
    [
        [call(), call("c2")],
        [call(""), call("")],
        [call(), arguments('{"a'), call()],
        [arguments("{}")],
        [call(), call_ended(), arguments("{}")],
        [call(), call_ended(), call_ended(1)],
        [call(), event("tool-call-delta", 0, {"tool_calls": [1]})],
        [event("tool-call-start", 0, {})],
        [call(index=-1)],
        [event("content-start", "0", {"content": {}})],
        [event("content-end", index=True)],
        [event("content-delta", 0, {"content": {"image": "x"}})],
        [event("content-delta", 0, {"content": "x"})],
        [event("tool-plan-delta", 0, {"tool_plan": {}})],
    ],
)
def test_what_cannot_be_taken_is_an_error_that_says_where(events: list[Fields]) -> None:
    found = failure(START, begun(), piece("x"), *events)
    assert isinstance(found, DecodeError)
    assert f"event {2 + len(events)} ({events[-1]['type']}) cannot be taken: " in str(found)
    assert (found.position, found.dialect) == (2 + len(events), "cohere")
    assert found.partial is not None
    assert found.partial.content == "x"
    assert found.partial.message.tool_calls == [] or call_ended() in events


def test_a_call_that_the_length_cut_is_none() -> None:
    for events in ([call()], [call(), arguments('{"a":')], [call(), arguments('{"a":1}')]):
        completion = read(START, *events, end("MAX_TOKENS"), strict=False)
        assert (completion.message.tool_calls, len(completion.choices[0].incomplete_tool_calls)) == ([], 1)
        assert [part.final for part in completion.message.parts] == [False]


# Citations

DOCUMENT = {"type": "document", "id": "doc:0", "document": {"id": "doc:0", "title": "A", "text": "…"}}
PAGE = {"type": "document", "id": "doc:1", "document": {"url": "https://a.example", "title": "B"}}
RESULT = {"type": "tool", "id": "c1:0", "tool_output": {"url": "https://b.example"}}


def test_citations_are_annotations_and_stay_in_the_block_of_their_text() -> None:
    first, second = ({"sources": [DOCUMENT, PAGE], "content_index": 1}, {"sources": [RESULT], "content_index": 1})
    thought = {"sources": [{"id": "x"}], "content_index": 0, "type": "THINKING_CONTENT"}
    completion = read(
        START,
        *(begun("thinking"), piece("t", kind="thinking"), cited(**thought), event("citation-end", 0), ended()),
        *(begun("text", 1), piece("x", 1), cited(**first), ended(1)),
        # Behind the end of its text.
        cited(**second),
        *(plan("p"), cited(type="PLAN", sources=[])),
        end(),
    )
    place = {"start_index": 0, "end_index": 1}
    assert completion.message.annotations == [
        {"type": "file_citation", "file_citation": {**place, "file_id": "x"}, "part": 0},
        {"type": "file_citation", "file_citation": {**place, "file_id": "doc:0", "filename": "A"}, "part": 1},
        {"type": "url_citation", "url_citation": {**place, "url": "https://a.example", "title": "B"}, "part": 1},
        {"type": "url_citation", "url_citation": {**place, "url": "https://b.example"}, "part": 1},
    ]
    said = {"start": 0, "end": 1, "text": "x"}
    assert [part.block for part in completion.message.parts] == [
        {"type": "thinking", "thinking": "t", "citations": [{**said, **thought}]},
        {"type": "text", "text": "x", "citations": [{**said, **first}, {**said, **second}]},
        {"tool_plan": "p", "citations": [{**said, "type": "PLAN", "sources": []}]},
    ]
    assert completion.message.is_as_it_came
    assert completion.repairs == ()


def test_odd_citations() -> None:
    nothing = event("citation-start", 0, {"citations": None})
    early = cited(sources=[DOCUMENT], content_index=3)
    odd = cited(sources=[1], content_index="x", start=None)
    completion = read(START, nothing, early, begun(), piece("x"), odd, cited(sources=2), end())
    assert completion.message.annotations == [
        {
            "type": "file_citation",
            "file_citation": {"start_index": 0, "end_index": 1, "file_id": "doc:0", "filename": "A"},
        },
        {"type": "file_citation", "file_citation": {"end_index": 1}, "part": 0},
    ]
    assert completion.content == "x"


# The end


@pytest.mark.parametrize(
    ("reason", "ours", "native", "ending"),
    [
        ("COMPLETE", "stop", "COMPLETE", "completed"),
        ("STOP_SEQUENCE", "stop", "STOP_SEQUENCE", "completed"),
        ("MAX_TOKENS", "length", "MAX_TOKENS", "length"),
        ("ERROR_TOXIC", "content_filter", "ERROR_TOXIC", "content_filter"),
        ("WHATEVER", "WHATEVER", "WHATEVER", "unknown"),
        ("null", "stop", None, "completed"),
        (None, "stop", None, "completed"),
    ],
)
def test_why_it_ended(reason: str | None, ours: str, native: str | None, ending: str) -> None:
    completion = read(*TEXT, end(reason))
    (choice,) = completion.choices
    assert (choice.finish_reason, getattr(choice, "native_finish_reason", None)) == (ours, native)
    assert (completion.ending, completion.complete, completion.content) == (ending, True, "It is late.")


@pytest.mark.parametrize("reason", ["TOOL_CALL", "COMPLETE", None])
def test_an_answer_with_calls_asks_for_them_whatever_the_server_calls_that(reason: str | None) -> None:
    assert read(START, call(), call_ended(), end(reason)).choices[0].finish_reason == "tool_calls"


def test_nothing_but_the_end_is_an_answer_too() -> None:
    completion = read(event("message-end"))
    assert (completion.content, completion.complete, completion.usage) == ("", True, None)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (USAGE, (3, 4, 7, 2)),
        ({"billed_units": {"input_tokens": 5.0, "output_tokens": 6.0}}, (5, 6, 11, None)),
        ({"tokens": {"input_tokens": 5}}, (5, None, None, None)),
        ({"tokens": {"input_tokens": "5", "output_tokens": True}, "cached_tokens": -1}, (None, None, None, None)),
        ({"tokens": 3}, (None, None, None, None)),
        ({"tokens": {"input_tokens": 1e300, "output_tokens": 2}}, (None, 2, None, None)),
    ],
)
def test_what_it_cost(said: Fields, told: tuple[int | None, ...]) -> None:
    completion = read(*TEXT, end(usage=said))
    usage = completion.usage
    assert usage is not None
    more = usage.model_extra or {}
    cached = more.get("prompt_tokens_details", {}).get("cached_tokens")
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, cached) == told
    # What is billed is another count.
    assert {name: more[name] for name in said} == said
    assert completion.repairs == ()


@pytest.mark.parametrize("said", [None, {}, [], "x"])
def test_what_it_cost_may_be_unsaid(said: Any) -> None:
    assert read(*TEXT, end(usage=said)).usage is None


def test_what_follows_the_end_is_nothing_unless_it_is_an_error() -> None:
    late = [piece("y"), {**START, "id": "m2"}, call(), end("MAX_TOKENS"), "[DONE]", "", {"type": "later"}]
    completion = read(*TEXT, end(), *late)
    assert (completion.content, completion.id, completion.ending) == ("It is late.", "m1", "completed")
    assert isinstance(failure(*TEXT, end(), {"message": "boom"}), APIStreamError)


@pytest.mark.parametrize("events", [[START], TEXT, [START, call(), call_ended()], [plan("x")], [piece("x")]])
def test_without_its_end_no_answer_is_whole(events: list[Fields]) -> None:
    for done in ([], ["[DONE]"]):
        error = failure(*events, *done)
        assert isinstance(error, TruncatedStreamError)
        assert error.partial is not None
        assert error.partial.complete is False
        assert f"the stream ended after {len(events) + len(done)} events without message-end" in str(error)


@pytest.mark.parametrize("events", [[], ["", "[DONE]"]])
def test_no_event_is_no_answer(events: list[str]) -> None:
    assert isinstance(failure(*events), EmptyStreamError)


def test_a_message_within_a_message() -> None:
    again = {"type": "message-start"}
    assert read(START, START, again, *TEXT[1:], again, end()).content == "It is late."
    found = failure(*TEXT, {**START, "id": "m2"})
    assert isinstance(found, DecodeError)
    assert "message 'm2' begins, and message 'm1' has not ended" in str(found)
    assert found.partial is not None
    assert (found.partial.content, found.partial.id) == ("It is late.", "m1")


# Errors


@pytest.mark.parametrize(
    ("last", "message", "kind"),
    [
        (end("ERROR"), "the answer ended with ERROR", "ERROR"),
        (end("TIMEOUT"), "the answer ended with TIMEOUT", "TIMEOUT"),
        (end("ERROR", error="the model fell over"), "the model fell over", "ERROR"),
        (end(None, error="the model fell over"), "the model fell over", None),
        (end("COMPLETE", error={"message": "lost", "type": "odd"}), "lost", "odd"),
    ],
)
def test_the_server_gives_up(last: Fields, message: str, kind: str | None) -> None:
    found = failure(*TEXT, last)
    assert isinstance(found, APIStreamError)
    assert (str(found), found.type, found.retryable, found.position) == (message, kind, True, 5)
    assert found.partial is not None
    assert (found.partial.content, found.partial.ending) == ("It is late.", "failed")
    # What it cost is known all the same.
    assert found.partial.usage is not None
    assert found.partial.usage.prompt_tokens == 3


def test_the_server_gives_up_and_says_nothing_of_the_cost() -> None:
    found = failure(*TEXT, end("ERROR", usage=None))
    assert isinstance(found, APIStreamError)
    assert found.partial is not None
    assert (found.partial.content, found.partial.usage) == ("It is late.", None)


@pytest.mark.parametrize(
    ("error", "message", "retryable"),
    [
        ({"id": "1", "message": "no such model"}, "no such model", False),
        ({"message": "slow down", "status_code": 429}, "slow down", True),
        ({"type": "error", "message": "boom"}, "boom", False),
        ({"type": "odd", "error": "overloaded"}, "overloaded", True),
        (ServerSentEvent("we are lost", "error"), "we are lost", False),
        (ServerSentEvent('{"type":"x","message":"m"}', "error"), "m", False),
        ({"success": False, "msg": "no"}, "no", False),
    ],
)
@pytest.mark.parametrize("before", [(), TEXT])
def test_an_error(error: Any, message: str, retryable: bool, before: tuple[Fields, ...]) -> None:
    found = failure(*before, error)
    assert isinstance(found, APIStreamError)
    assert (str(found), found.retryable, found.position) == (message, retryable, len(before))


@pytest.mark.parametrize("text", ["x", "[1]", "{", '{"type":"content-delta",', "1", '"x"'])
def test_what_is_no_object_is_refused(text: str) -> None:
    found = failure(*TEXT, text)
    assert isinstance(found, DecodeError)
    assert (found.dialect, found.position, found.text) == ("cohere", 5, text)
    assert "event 5 is not an event of cohere" in str(found)
    assert found.partial is not None
    assert found.partial.content == "It is late."


def test_an_event_that_is_nothing_known_is_passed_over_and_is_no_answer_by_itself() -> None:
    assert read({"type": "debug", "prompt": "x"}, *TEXT, {"a": 1}, end()).content == "It is late."
    found = failure({"type": "debug", "prompt": "x"}, {"a": 1})
    assert isinstance(found, DecodeError)
    assert (found.position, "it has nothing of a message" in str(found)) == (0, True)


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"choices": [{"delta": {"content": "x"}}]}, "the chat completions of OpenAI"),
        ({"type": "message_start", "message": {"id": "m"}}, "the Messages API of Anthropic"),
        (
            {"is_finished": False, "event_type": "stream-start", "generation_id": "g"},
            "the Chat API of Cohere, version 1",
        ),
        ({"is_finished": False, "event_type": "text-generation", "text": "x"}, "the Chat API of Cohere, version 1"),
    ],
)
def test_a_stream_of_another_protocol_is_named(other: Fields, name: str) -> None:
    found = failure(other)
    assert isinstance(found, DecodeError)
    assert f"event 0 looks like {name}" in str(found)
    # Within a message a gateway has put it in between.
    assert read(*TEXT, other, end()).content == "It is late."


# Names, frames, limits


def test_events_without_a_type_go_by_their_name() -> None:
    events = [
        ServerSentEvent(json.dumps({k: v for k, v in each.items() if k != "type"}), each["type"]) for each in TEXT
    ]
    assert read(*events, ServerSentEvent("{}", "message-end")).content == "It is late."


def test_events_under_another_name_and_frames() -> None:
    assert read(*(ServerSentEvent(json.dumps(each), "chunk") for each in TEXT), end()).content == "It is late."
    assert read(*(json.dumps(each).encode() for each in TEXT), end()).content == "It is late."
    assert read(*(json.dumps(each, indent=1) for each in TEXT), end()).content == "It is late."


def test_too_much_of_something_is_refused() -> None:
    many = [each for number in range(5_000) for each in (begun("text", number), ended(number))]
    assert isinstance(failure(START, *many, end()), LimitExceededError)
    large = '{"type":"content-delta","index":0,"more":[' + "0," * 600_000 + "0]}"
    found = failure(*TEXT, large)
    assert isinstance(found, LimitExceededError)
    assert "event 5 is too much" in str(found)
    deep = '{"type":"content-delta","index":0,"more":' + "[" * 300 + "]" * 300 + "}"
    assert isinstance(failure(deep), LimitExceededError)


@pytest.mark.parametrize(
    "events",
    [
        [begun(), piece("x" * 6), piece("x" * 6)],
        [begun(), piece("x" * 6), begun("thinking", 1), piece("x" * 6, 1, "thinking")],
        [begun("text", 0, "x" * 16)],
        [call(arguments="x" * 16)],
        [call(), arguments("x" * 6), arguments("x" * 6)],
        [plan("x" * 16)],
        [begun(), cited(sources=[])],
    ],
)
def test_what_is_kept_is_bounded(events: list[Fields], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.dialects._kept._MAX_KEPT", 10)
    assert isinstance(failure(START, *events), LimitExceededError)
    assert read(START, begun(), piece("x" * 6), end()).content == "x" * 6


def test_log_probabilities_are_where_they_are_in_other_dialects() -> None:
    told = [
        {"text": "a", "token_ids": [1], "logprobs": [-0.5]},
        {"text": "bc", "token_ids": [2, 3], "logprobs": [-1.5, -2.5]},
        {"text": None, "logprobs": [-3.5]},
    ]
    events = [piece(text, logprobs=each) for text, each in zip("abc", told, strict=True)]
    completion = read(START, begun(), *events, piece("d", logprobs=None), piece("e", logprobs={"text": "e"}), end())
    assert completion.content == "abcde"
    assert completion.choices[0].logprobs == {
        "content": [
            {"token": "a", "logprob": -0.5},
            {"token": "bc", "logprob": -1.5},
            {"token": "", "logprob": -2.5},
            {"token": "", "logprob": -3.5},
        ]
    }


# A body that is no stream

WHOLE: Fields = {
    "id": "m1",
    "message": {
        "role": "assistant",
        "tool_plan": "I ask.",
        "content": [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "x"}],
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
        "citations": [{"start": 0, "end": 1, "text": "x", "sources": [DOCUMENT], "content_index": 1}],
    },
    "finish_reason": "TOOL_CALL",
    "usage": USAGE,
    "logprobs": [{"text": "x", "token_ids": [1], "logprobs": [-0.5]}],
}


def read_body(body: Fields) -> ChatCompletion:
    decoder = Cohere().decoder()
    assert isinstance(decoder, BodyDecoder)
    accumulator = StreamAccumulator()
    accumulator.add_all(decoder.decode_body(json.dumps(body, indent=1)))
    assert (decoder.done, [*decoder.close()]) == (True, [])
    return accumulator.completion(ended=True)


def test_an_answer_that_came_as_a_whole() -> None:
    completion = read_body(WHOLE)
    message = completion.message
    assert [repair.kind for repair in completion.repairs] == ["answer-not-streamed"]
    assert (completion.complete, completion.id, message.content) == (True, "m1", "x")
    assert [part.kind for part in message.parts] == ["reasoning", "reasoning", "text", "tool_call", "tool_call"]
    assert [each.function.parsed for each in message.tool_calls] == [{"a": 1}, {}]
    assert completion.usage is not None
    assert completion.usage.total_tokens == 7
    assert completion.choices[0].logprobs == {"content": [{"token": "x", "logprob": -0.5}]}
    assert [each["part"] for each in message.annotations or []] == [2]
    bare = read_body({"id": "m1", "finish_reason": "COMPLETE", "message": {"content": None, "tool_calls": 3}})
    assert (bare.content, bare.usage, bare.ending) == ("", None, "completed")


def test_an_answer_that_came_as_a_whole_and_failed() -> None:
    decoder = Cohere().decoder()
    chunks: list[StreamChunk] = []
    with pytest.raises(APIStreamError, match="the answer ended with ERROR"):
        chunks.extend(decoder.decode_body(json.dumps({**WHOLE, "finish_reason": "ERROR"})))
    assert chunks[-1].usage is not None


@pytest.mark.parametrize("call", [1, [1], None])
def test_an_answer_that_came_as_a_whole_and_is_malformed(call: Any) -> None:
    body = {**WHOLE, "message": {"tool_calls": [call]}}
    with pytest.raises(DecodeError, match="the body cannot be taken: it has no call"):
        list(Cohere().decoder().decode_body(json.dumps(body)))


def test_too_much_in_a_body() -> None:
    body = {**WHOLE, "message": {"content": [{"type": "text", "text": ""}] * 5_000}}
    with pytest.raises(LimitExceededError, match="the body is too much"):
        list(Cohere().decoder().decode_body(json.dumps(body)))


@pytest.mark.parametrize("body", ["<html>", '{"a":1}', "[]", '{"message":"no"}', '{"message":{"content":[]}}'])
def test_a_body_that_is_nothing_known(body: str) -> None:
    assert [*Cohere().decoder().decode_body(body)] == []


def test_a_body_of_another_protocol() -> None:
    with pytest.raises(DecodeError, match="chat completions"):
        list(Cohere().decoder().decode_body('{"choices":[]}'))


# Anything


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["", "x", "text", "thinking", "COMPLETE", "ERROR"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "text", "thinking", "function", "arguments", "id"]), inner)
    ),
    max_leaves=5,
)
MESSAGES = st.dictionaries(st.sampled_from(["content", "tool_calls", "tool_plan", "citations", "role"]), VALUES)
DELTAS = st.dictionaries(st.sampled_from(["finish_reason", "error", "usage"]), VALUES)
TYPES = st.sampled_from(
    [each["type"] for each in (*TEXT, plan(""), call(), arguments(""), call_ended(), cited(), end())]
)
MORE = st.dictionaries(st.sampled_from(["index", "id", "delta", "logprobs"]), VALUES)


def odd(kind: str, message: Any, delta: Fields, more: Fields) -> Fields:
    return {"type": kind, "delta": {"message": message, **delta}, **more}


ODD = st.builds(odd, TYPES, MESSAGES | VALUES, DELTAS, MORE)


@settings(max_examples=times(60))
@given(st.lists(ODD, max_size=5))
def test_whatever_comes_is_an_answer_or_an_error_of_ours(events: list[Fields]) -> None:
    try:
        completion = read(*events, strict=False)
    except RxllmError:
        return
    assert completion.complete


def test_a_decoder_that_refused_holds_no_error_and_is_in_no_circle() -> None:
    decoder = get_reader("cohere").decoder()
    gc.collect()
    gc.disable()
    try:
        for bad in ("x", "{", '{"message":"boom"}', json.dumps(arguments("x")), json.dumps(end("ERROR"))):
            with pytest.raises(RxllmError):
                list(decoder.decode(bad))
        chunks: list[StreamChunk] = [chunk for each in TEXT for chunk in decoder.decode(json.dumps(each))]
        del decoder, chunks
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_the_text_comes_in_the_pieces_that_the_server_sent() -> None:
    texts = [json.dumps(each) for each in (*TEXT, end())]
    pieces = rxllm.run(reactivex.from_iterable(texts).pipe(ops.parse("cohere"), ops.content(), rx_ops.to_list()))
    assert pieces == ["It is ", "late."]
