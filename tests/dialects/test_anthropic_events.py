"""The events of the Messages API, also odd ones: what each becomes, and what is refused."""

from __future__ import annotations

import contextlib
import gc
import json
import re
from typing import Any

import pytest
import reactivex
from pydantic import BaseModel

import rxllm
from rxllm import operators as ops
from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import Anthropic, BodyDecoder, get_reader
from rxllm.exceptions import (
    APIStreamError,
    DecodeError,
    EmptyStreamError,
    LimitExceededError,
    RxllmError,
    ToolCallError,
    TruncatedStreamError,
)
from rxllm.models import ChatCompletion, PartKind, StreamChunk
from rxllm.wire import ServerSentEvent

Fields = dict[str, Any]


def start(id: str = "msg_1", **fields: Any) -> Fields:
    usage = {"input_tokens": 3, "output_tokens": 1}
    message: Fields = {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "usage": usage,
    }
    return {"type": "message_start", "message": {**message, "stop_reason": None, **fields}}


def begin(index: int, type: str = "text", **fields: Any) -> Fields:
    return {"type": "content_block_start", "index": index, "content_block": {"type": type, **fields}}


def more(index: int, type: str = "text_delta", **fields: Any) -> Fields:
    return {"type": "content_block_delta", "index": index, "delta": {"type": type, **fields}}


def say(index: int, text: str) -> Fields:
    return more(index, text=text)


def write(index: int, text: str) -> Fields:
    return more(index, "input_json_delta", partial_json=text)


def end(index: int) -> Fields:
    return {"type": "content_block_stop", "index": index}


def change(reason: str | None = "end_turn", **fields: Any) -> Fields:
    return {"type": "message_delta", "delta": {"stop_reason": reason, **fields}, "usage": {"output_tokens": 9}}


STOP = {"type": "message_stop"}
PING = {"type": "ping"}
TEXT = (begin(0, text=""), say(0, "Hel"), say(0, "lo"), end(0))
CALL = begin(0, "tool_use", id="toolu_1", name="f", input={})


def chunks_of(*events: Fields | str, dialect: Any = "anthropic") -> list[StreamChunk]:
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    chunks: list[StreamChunk] = []
    reactivex.from_iterable(texts).pipe(ops.parse(dialect)).subscribe(chunks.append, on_error=_ignore)
    return chunks


def _ignore(_: Exception) -> None:
    """What ended the stream is asked for elsewhere."""


def answer(*events: Fields | str | ServerSentEvent) -> ChatCompletion:
    texts = [json.dumps(event) if isinstance(event, dict) else event for event in events]
    return rxllm.run(reactivex.from_iterable(texts).pipe(ops.parse("anthropic"), ops.accumulate()))


def failure(*events: Fields | str | ServerSentEvent) -> RxllmError:
    with pytest.raises(RxllmError) as caught:
        answer(*events)
    return caught.value


def parts_of(completion: ChatCompletion) -> list[tuple[int, str, str]]:
    return [(part.index, str(part.kind), part.text) for part in completion.message.parts]


def block(completion: ChatCompletion, place: int = 0) -> Fields | None:
    return completion.message.parts[place].block


def extra(model: BaseModel) -> Fields:
    return model.model_extra or {}


# What healthy events become


def test_a_text() -> None:
    chunks = chunks_of(start(), PING, *TEXT, change(), STOP)

    assert [chunk.text for chunk in chunks] == ["", "", "Hel", "lo", "", "", ""]
    assert {chunk.id for chunk in chunks} == {"msg_1"}
    assert {chunk.model for chunk in chunks} == {"claude-x"}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.begins for chunk in chunks[:2]] == [True, False]
    assert chunks[2].choices[0].delta.part is chunks[3].choices[0].delta.part
    assert [json.loads(chunk.event or "")["type"] for chunk in chunks[-3:]] == [
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_the_end_in_both_words() -> None:
    completion = answer(start(), *TEXT, change("stop_sequence", stop_sequence="X"), STOP)

    (choice,) = completion.choices
    assert (choice.finish_reason, choice.model_extra) == (
        "stop",
        {"native_finish_reason": "stop_sequence", "stop_sequence": "X"},
    )


@pytest.mark.parametrize(
    ("word", "ours", "ending", "complete"),
    [
        ("end_turn", "stop", "completed", True),
        ("tool_use", "tool_calls", "completed", True),
        ("max_tokens", "length", "length", True),
        ("model_context_window_exceeded", "length", "length", True),
        ("refusal", "content_filter", "content_filter", True),
        ("pause_turn", "pause_turn", "paused", False),
        ("compaction", "compaction", "unknown", True),
        ("moonrise", "moonrise", "unknown", True),
    ],
)
def test_reasons(word: str, ours: str, ending: str, *, complete: bool) -> None:
    completion = answer(start(), *TEXT, change(word), STOP)

    assert (completion.choices[0].finish_reason, completion.ending, completion.complete) == (ours, ending, complete)


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "cyber"}
    completion = answer(start(), change("refusal", stop_details=details), STOP)

    assert extra(completion.choices[0])["stop_details"] == details
    assert (completion.text, completion.repairs) == ("", ())


def test_what_the_end_says_besides() -> None:
    last: Fields = {**change(container={"id": "c_1", "expires_at": "…"}), "context_management": {"applied_edits": []}}
    completion = answer(start(), *TEXT, last, STOP)

    assert extra(completion.message)["container"] == {"id": "c_1", "expires_at": "…"}
    assert extra(completion.choices[0])["context_management"] == {"applied_edits": []}


def test_thinking_and_its_signature() -> None:
    completion = answer(
        start(),
        begin(0, "thinking", thinking="", signature=""),
        more(0, "thinking_delta", thinking="Hm"),
        more(0, "thinking_delta", thinking="m."),
        more(0, "signature_delta", signature="c2ln"),
        end(0),
        begin(1, "redacted_thinking", data="x"),
        end(1),
        begin(2, text="Hi"),
        end(2),
        change(),
        STOP,
    )

    assert (completion.message.reasoning_content, completion.text) == ("Hmm.", "Hi")
    assert [part.block for part in completion.message.parts] == [
        {"type": "thinking", "thinking": "Hmm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "Hi"},
    ]


def test_a_signature_is_set_and_not_appended() -> None:
    events = (more(0, "signature_delta", signature="a"), more(0, "signature_delta", signature="b"), end(0))
    completion = answer(start(), begin(0, "thinking", thinking="t", signature=""), *events, *_later(), STOP)

    assert block(completion) == {"type": "thinking", "thinking": "t", "signature": "b"}


def _later() -> tuple[Fields, ...]:
    return begin(9, text="."), end(9), change()


def test_calls_and_their_input() -> None:
    events = (CALL, write(0, ""), write(0, '{"a": '), write(0, "1}"), end(0))
    second = (begin(1, "tool_use", id="toolu_2", name="g", input={}), end(1))
    third = (begin(2, "tool_use", id="toolu_3", name="h", input={"b": [2]}), end(2))
    completion = answer(start(), *events, *second, *third, change("tool_use"), STOP)

    assert [(call.id, call.function.name, call.function.arguments) for call in completion.message.tool_calls] == [
        ("toolu_1", "f", '{"a": 1}'),
        ("toolu_2", "g", "{}"),
        ("toolu_3", "h", '{"b":[2]}'),
    ]
    assert [part.block and part.block["input"] for part in completion.message.parts] == [{"a": 1}, {}, {"b": [2]}]
    assert completion.repairs == ()


def test_the_input_of_a_tool_of_the_server_is_no_call() -> None:
    events = [
        *(
            begin(0, "server_tool_use", id="s_1", name="web_search", input={}),
            write(0, '{"q":'),
            write(0, "1}"),
            end(0),
        ),
        *(begin(1, "mcp_tool_use", id="m_1", name="echo", input={"x": 1}, server_name="e"), end(1)),
        *(begin(2, "server_tool_use", id="s_2", name="advisor", input={}), end(2)),
        *(begin(3, "web_search_tool_result", tool_use_id="s_1", content=[{"type": "web_search_result"}]), end(3)),
    ]
    completion = answer(start(), *events, change(), STOP)

    assert completion.message.tool_calls == []
    assert parts_of(completion) == [
        (0, "server_tool", '{"q":1}'),
        (1, "server_tool", '{"x":1}'),
        (2, "server_tool", ""),
        (3, "server_result", ""),
    ]
    assert [part.id for part in completion.message.parts] == ["s_1", "m_1", "s_2", "s_1"]
    assert block(completion, 3) == events[-2]["content_block"]


def test_citations_are_annotations_and_stay_in_their_block() -> None:
    web = {"type": "web_search_result_location", "url": "https://a.example", "title": "A", "encrypted_index": "e"}
    page = {"type": "page_location", "document_title": "D", "cited_text": "c", "start_page_number": 1}
    search = {"type": "search_result_location", "source": "https://b.example", "title": None}
    completion = answer(
        start(),
        begin(0, text="", citations=[web]),
        more(0, "citations_delta", citation=page),
        say(0, "So."),
        more(0, "citations_delta", citation=search),
        end(0),
        change(),
        STOP,
    )

    assert block(completion) == {"type": "text", "text": "So.", "citations": [web, page, search]}
    assert completion.message.annotations == [
        {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A"}, "part": 0},
        {"type": "file_citation", "file_citation": {"filename": "D", "cited_text": "c"}, "part": 0},
        {"type": "url_citation", "url_citation": {"url": "https://b.example"}, "part": 0},
    ]


def test_a_block_with_a_text_and_citations_at_once() -> None:
    completion = answer(start(), begin(0, text="So.", citations=[{"type": "x", "url": "u"}]), end(0), change(), STOP)

    assert (completion.text, len(completion.message.annotations or [])) == ("So.", 1)


def test_a_compaction_is_set() -> None:
    begun = begin(0, "compaction", content=None)
    completion = answer(start(), begun, more(0, "compaction_delta", content="All."), end(0), *_later(), STOP)

    assert block(completion) == {"type": "compaction", "content": "All."}
    assert completion.text == "."


def test_an_unknown_block_and_an_unknown_delta_and_an_unknown_event() -> None:
    odd = {"type": "moonrise", "at": 9}
    chunks = chunks_of(start(), begin(0, "moon", phase=1), more(0, "tide_delta", x=1), end(0), odd, *_later(), STOP)
    completion = answer(start(), begin(0, "moon", phase=1), more(0, "tide_delta", x=1), end(0), odd, *_later(), STOP)

    assert json.dumps(odd) in [chunk.event for chunk in chunks]
    assert block(completion) == {"type": "moon", "phase": 1}
    assert completion.message.parts[0].kind == PartKind.OTHER
    assert completion.repairs == ()


@pytest.mark.parametrize(
    ("pieces", "said", "block_made"),
    [
        ((say(0, "a"), say(0, "b")), "ab", {"text": "_ab"}),
        ((more(0, "thinking_delta", thinking="a"),), "a", {"text": "_", "thinking": "a"}),
        ((write(0, '{"x":'), write(0, "1}")), '{"x":1}', {"text": "_", "input": {"x": 1}}),
    ],
)
def test_what_an_unknown_block_says_is_a_text_of_its_part(pieces: Any, said: str, block_made: Fields) -> None:
    completion = answer(start(), begin(0, "moon", text="_"), *pieces, end(0), *_later(), STOP)

    assert (parts_of(completion)[0], completion.text) == ((0, "other", said), ".")
    assert block(completion) == {"type": "moon", **block_made}
    assert completion.message.tool_calls == []
    assert completion.message.is_as_it_came


def test_an_unknown_block_has_one_kind_of_text() -> None:
    completion = answer(start(), begin(0, "moon"), write(0, "{}"), say(0, "a"), end(0), change(), STOP)

    assert [part.block for part in completion.message.parts] == [
        {"type": "moon", "input": {}},
        {"type": "text", "text": "a"},
    ]


def test_a_message_that_is_whole_at_its_start() -> None:
    blocks = [
        {"type": "text", "text": "Hi"},
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
    ]
    first = start(content=blocks, stop_reason="tool_use", container={"id": "c_1"})
    completion = answer(first, STOP)

    assert [part.block for part in completion.message.parts] == blocks
    assert (completion.text, completion.message.reasoning_content) == ("Hi", "t")
    assert (completion.choices[0].finish_reason, completion.ending) == ("tool_calls", "completed")
    assert completion.message.tool_calls[0].function.parsed == {"a": 1}
    assert extra(completion.message)["container"] == {"id": "c_1"}
    assert answer(first).model_dump() == completion.model_dump()
    assert [chunk.event is None for chunk in chunks_of(first)] == [False, *[True] * 7]


def test_a_reason_at_the_start_counts_only_if_no_other_comes() -> None:
    first = start(content=[{"type": "text", "text": "Hi"}], stop_reason="tool_use")
    decoder = get_reader("anthropic").decoder()
    list(decoder.decode(json.dumps(first)))

    completion = answer(first, begin(1, text=" there"), end(1), change("end_turn"), STOP)
    assert not decoder.finished
    assert (completion.text, completion.choices[0].finish_reason, completion.repairs) == ("Hi there", "stop", ())


def test_another_model_goes_on() -> None:
    fallback = {"from": {"model": "claude-x"}, "to": {"model": "claude-y"}, "trigger": {"type": "refusal"}}
    events = (*TEXT, begin(1, "fallback", **fallback), end(1), begin(2, text="!"), end(2), change(), STOP)
    completion = answer(start(), *events)

    assert completion.model == "claude-y"
    assert completion.message.origin is not None
    assert completion.message.origin.model == "claude-y"
    assert block(completion, 1) == {"type": "fallback", **fallback}


def test_several_blocks_are_open_at_once() -> None:
    events = (begin(0, text=""), begin(1, text=""), say(1, "b"), say(0, "a"), say(1, "B"), end(0), end(1))
    completion = answer(start(), *events, change(), STOP)

    assert parts_of(completion) == [(0, "text", "a"), (1, "text", "bB")]
    assert [part.block and part.block["text"] for part in completion.message.parts] == ["a", "bB"]


# Usage


def test_usage_is_of_the_whole_answer_with_cached_tokens_inside() -> None:
    first = {"input_tokens": 3, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 100, "output_tokens": 9}
    last = {"output_tokens": 5, "input_tokens": None, "output_tokens_details": {"thinking_tokens": 2}, "new": "x"}
    completion = answer(start(usage=first), *TEXT, {**change(), "usage": last}, STOP)

    assert completion.usage is not None
    assert completion.usage.model_dump(exclude_unset=True) == {
        **first,
        **last,
        "input_tokens": 3,
        "output_tokens": 5,
        "prompt_tokens": 123,
        "completion_tokens": 5,
        "total_tokens": 128,
        "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert completion.repairs == ()


@pytest.mark.parametrize("usage", [None, {}, "much", {"output_tokens": True}, {"output_tokens": "9"}])
def test_usage_that_is_none(usage: object) -> None:
    completion = answer(start(usage=usage), *TEXT, {**change(), "usage": None}, STOP)

    counts = completion.usage and (completion.usage.prompt_tokens, completion.usage.completion_tokens)
    assert counts in {None, (None, None)}


def test_usage_has_an_end() -> None:
    events = [{**change(None), "usage": {f"n{i}{j}": 1 for j in range(300)}} for i in range(9)]

    assert isinstance(failure(start(), *events), LimitExceededError)


# Ends


@pytest.mark.parametrize("events", [(), (PING,), ("",), ("[DONE]",), ({"type": "moonrise"},)])
def test_nothing_is_an_empty_stream(events: tuple[Fields | str, ...]) -> None:
    assert isinstance(failure(*events), EmptyStreamError)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((start(),), "no stop_reason"),
        ((start(), *TEXT), "no stop_reason"),
        ((start(), *TEXT[:3]), r"blocks \(0,\) were open"),
        ((start(), *TEXT[:3], change()), r"blocks \(0,\) were open"),
        ((start(), begin(0, "web_search_tool_result", tool_use_id="s", content=[])), r"blocks \(0,\) were open"),
        ((start(), *TEXT, change(None)), "no stop_reason"),
        ((start(), *TEXT, "[DONE]"), "no stop_reason"),
        ((start(), *TEXT, change("null")), "no stop_reason"),
    ],
)
def test_cuts(events: tuple[Fields | str, ...], words: str) -> None:
    error = failure(*events)

    assert isinstance(error, TruncatedStreamError)
    assert re.search(f"without message_stop, and .*{words}", str(error))
    assert error.partial is not None
    assert error.partial.text == "".join(chunk.text for chunk in chunks_of(*events))


def test_without_message_stop_it_is_whole_if_nothing_is_open() -> None:
    assert answer(start(), *TEXT, change()).complete
    assert answer(start(), *TEXT, change(), "[DONE]").complete


def test_message_stop_ends_what_is_open() -> None:
    completion = answer(start(), *TEXT[:3], change(), STOP)

    assert (completion.complete, completion.message.parts[0].final) == (True, True)
    assert block(completion) == {"type": "text", "text": "Hello"}


def test_message_stop_without_a_reason() -> None:
    completion = answer(start(), *TEXT, STOP)

    assert (completion.text, completion.ending) == ("Hello", "unknown")


def test_what_follows_the_end_is_ignored() -> None:
    completion = answer(start(), *TEXT, change(), STOP, say(0, "!"), start("msg_2"), change("max_tokens"), STOP, PING)

    assert (completion.text, completion.ending, completion.id) == ("Hello", "completed", "msg_1")


def test_the_end_is_not_the_end_of_the_transport() -> None:
    decoder = get_reader("anthropic").decoder()
    for event in (start(), *TEXT, change(), STOP):
        list(decoder.decode(json.dumps(event)))

    assert (decoder.done, decoder.finished) == (False, True)


def test_a_word_of_failure_is_a_cut() -> None:
    assert isinstance(failure(start(), *TEXT, change("error"), STOP), TruncatedStreamError)


def test_a_call_that_was_cut() -> None:
    completion = answer(start(), CALL, write(0, '{"a": '), end(0), change("max_tokens"), STOP)

    assert completion.message.tool_calls == []
    assert completion.choices[0].incomplete_tool_calls[0].arguments == '{"a": '
    assert completion.message.parts[0].final is False


@pytest.mark.parametrize("text", ['{"a": ', "[1]", '{"a"}', "[" * 500, '{"a": NaN}', '{"a": 1e999}'])
def test_a_call_that_the_model_garbled_can_be_sent_back(text: str) -> None:
    completion = answer(start(), CALL, write(0, text), end(0), change("tool_use"), STOP)

    (call,) = completion.message.tool_calls
    assert call.function.arguments == text
    assert block(completion) == {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"INVALID_JSON": text}}
    assert completion.message.is_as_it_came


# Errors of the server


@pytest.mark.parametrize("before", [(), (start(),), (start(), *TEXT[:2]), (start(), *TEXT, change())])
def test_an_error_in_the_stream(before: tuple[Fields, ...]) -> None:
    said = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"}
    error = failure(*before, said)

    assert isinstance(error, APIStreamError)
    assert (error.message, error.type, error.retryable) == ("Overloaded", "overloaded_error", True)
    assert error.position == len(before)
    assert (error.partial.text if error.partial else "") == "".join(chunk.text for chunk in chunks_of(*before))


@pytest.mark.parametrize(
    ("type", "retryable"),
    [
        ("overloaded_error", True),
        ("api_error", True),
        ("timeout_error", True),
        ("rate_limit_error", True),
        ("invalid_request_error", False),
        ("authentication_error", False),
        ("billing_error", False),
    ],
)
def test_which_errors_pass(type: str, *, retryable: bool) -> None:
    error = failure(start(), {"type": "error", "error": {"type": type, "message": "m"}})

    assert error.retryable is retryable


def test_an_error_behind_the_end() -> None:
    said = {"type": "error", "error": {"type": "api_error", "message": "late"}}

    assert failure(start(), *TEXT, change(), STOP, said).message == "late"


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"message": "m"}},
        {"status": "error", "message": "m"},
        {"detail": "m"},
        ServerSentEvent("m", "error"),
        ServerSentEvent('{"message": "m"}', "error"),
        ServerSentEvent('{"message": "m", "type": "x"}', "error"),
    ],
)
def test_errors_in_other_words(event: Any) -> None:
    error = failure(start(), *TEXT[:2], event)

    assert isinstance(error, APIStreamError)
    assert error.message == "m"


# What is odd


def test_a_delta_begins_its_block() -> None:
    cite = more(2, "citations_delta", citation={"url": "u"})
    events = (more(0, "thinking_delta", thinking="t"), more(0, "signature_delta", signature="s"), end(0), say(1, "a"))
    completion = answer(start(), *events, cite, end(1), more(3, "compaction_delta", content="c"), change(), STOP)

    assert [part.block for part in completion.message.parts] == [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "", "citations": [{"url": "u"}]},
        {"type": "compaction", "content": "c"},
    ]


def test_a_delta_of_another_kind_begins_a_block_of_that() -> None:
    events = (begin(0, text=""), more(0, "thinking_delta", thinking="t"), more(0, "signature_delta", signature="s"))
    completion = answer(start(), *events, say(0, "a"), CALL, say(0, "b"), end(0), change(), STOP)

    assert [part.block for part in completion.message.parts] == [
        {"type": "text", "text": ""},
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "text", "text": "a"},
        CALL["content_block"],
        {"type": "text", "text": "b"},
    ]
    assert isinstance(failure(start(), begin(0, text=""), write(0, "{}")), DecodeError)


def test_input_of_a_call_that_never_began() -> None:
    error = failure(start(), *TEXT, write(4, "{}"))

    assert isinstance(error, DecodeError)
    assert "event 5 (content_block_delta) is out of place: it is input of a tool" in str(error)
    assert error.partial is not None
    assert error.partial.text == "Hello"


def test_an_unknown_delta_begins_nothing() -> None:
    assert parts_of(answer(start(), *TEXT, more(5, "tide_delta"), end(7), change(), STOP)) == [(0, "text", "Hello")]


def test_an_index_that_is_in_use() -> None:
    events = (begin(0, text=""), say(0, "a"), begin(0, text=""), say(0, "b"), end(0), begin(0, text="c"), end(0))
    completion = answer(start(), *events, change(), STOP)

    assert parts_of(completion) == [(0, "text", "a"), (1, "text", "b"), (2, "text", "c")]
    assert all(part.final for part in completion.message.parts)


def test_a_block_that_is_announced_twice_is_one() -> None:
    completion = answer(start(), CALL, CALL, write(0, '{"a":1}'), end(0), change("tool_use"), STOP)

    assert [call.function.arguments for call in completion.message.tool_calls] == ['{"a":1}']
    assert completion.repairs == ()


def test_blocks_without_an_index() -> None:
    events = [{name: value for name, value in event.items() if name != "index"} for event in (*TEXT, *TEXT)]
    completion = answer(start(), *events, change(), STOP)

    assert parts_of(completion) == [(0, "text", "Hello"), (1, "text", "Hello")]
    assert answer(start(), {"type": "content_block_stop"}, *TEXT, change(), STOP).text == "Hello"


def test_the_name_of_an_event_counts_if_it_has_no_type() -> None:
    events = (start(), PING, *TEXT, change(), STOP)
    named = [
        ServerSentEvent(json.dumps({name: value for name, value in event.items() if name != "type"}), event["type"])
        for event in events
    ]

    assert answer(*named).text == "Hello"


def test_the_type_counts_before_the_name() -> None:
    assert answer(*(ServerSentEvent(json.dumps(event), "data") for event in (start(), *TEXT, change(), STOP))).complete


def test_the_same_message_begins_twice() -> None:
    completion = answer(start(), start(), *TEXT, change(), STOP)

    assert (completion.text, completion.repairs) == ("Hello", ())


def test_another_message_begins_in_the_midst_of_one() -> None:
    error = failure(start(), *TEXT[:3], start("msg_2"), *TEXT, change(), STOP)

    assert isinstance(error, DecodeError)
    assert "message 'msg_2' begins, and message 'msg_1' has not ended" in str(error)
    assert (error.position, error.partial and error.partial.text) == (4, "Hello")


def test_a_message_begins_twice_when_some_of_it_has_come() -> None:
    error = failure(start(), *TEXT, start(), *TEXT, change(), STOP)

    assert isinstance(error, DecodeError)
    assert (error.partial and error.partial.text) == "Hello"


@pytest.mark.parametrize("event", [*TEXT, change(), STOP])
def test_a_message_that_never_began(event: Fields) -> None:
    error = failure(event, *TEXT, change(), STOP)

    assert isinstance(error, DecodeError)
    assert f"event 0 ({event['type']}) is out of place: no message has begun with message_start" in str(error)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ('{"type":"message_delta"', "it is malformed"),
        ("Hello", "it is not a JSON object"),
        ("[1]", "it is not a JSON object"),
        ({"type": "message_start"}, "message_start is malformed"),
        (start(content=["x"]), "message_start is malformed"),
        ({**begin(0), "index": "0"}, "content_block_start is malformed"),
        ({**begin(0), "index": -1}, "content_block_start is malformed"),
        ({**begin(0), "index": True}, "content_block_start is malformed"),
        ({"type": "content_block_start", "index": 0}, "content_block_start is malformed"),
        (more(0, "text_delta"), "content_block_delta is malformed"),
        (more(0, "text_delta", text=5), "content_block_delta is malformed"),
        (more(0, "citations_delta"), "content_block_delta is malformed"),
        ({"type": "content_block_delta", "index": 0}, "content_block_delta is malformed"),
    ],
)
def test_what_is_malformed(event: Fields | str, words: str) -> None:
    before = () if isinstance(event, dict) and event["type"] == "message_start" else (start(), *TEXT[:2])
    error = failure(*before, event)

    assert isinstance(error, DecodeError)
    assert f"event {len(before)} is not an event of anthropic, {words}" in str(error)
    assert (error.dialect, error.position) == ("anthropic", len(before))
    assert (error.partial.text if error.partial else "") == ("Hel" if before else "")


def test_what_has_nothing_of_a_message() -> None:
    error = failure({"hello": "world"}, {"hello": "again"})

    assert isinstance(error, DecodeError)
    assert (error.position, "it has nothing of a message" in str(error)) == (0, True)


def test_an_object_without_a_type_amid_a_message_is_passed_over() -> None:
    assert answer(start(), {"progress": 1}, *TEXT, change(), STOP).text == "Hello"


@pytest.mark.parametrize(
    ("event", "protocol"),
    [
        ({"choices": [{"delta": {"content": "Hi"}}]}, "the chat completions of OpenAI"),
        ({"type": "response.created", "response": {}}, "the Responses API of OpenAI"),
        ({"candidates": []}, "the Gemini API of Google"),
    ],
)
def test_a_stream_of_another_protocol(event: Fields, protocol: str) -> None:
    error = failure(PING, event)

    assert isinstance(error, DecodeError)
    assert f"event 1 looks like {protocol}; it is not a stream of the Messages API of Anthropic" in str(error)


def test_text_that_the_fast_decoder_refuses() -> None:
    wide = say(0, "x" * 100_000)
    lone = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83d!"}}'
    odd = {"type": "content_block_delta", "index": 0, "delta": {"text": "o", "type": "text_delta", "new": 1}}
    completion = answer(start(), begin(0, text=""), wide, lone, odd, end(0), change(), STOP)

    assert completion.text == "x" * 100_000 + "�!o"
    for depth in (300, 30_000):
        deep = f'{{"type":"content_block_start","index":0,"content_block":{"[" * depth}{"]" * depth}}}'
        assert isinstance(failure(start(), deep), LimitExceededError)


def half(which: str, index: int = 0, type: str = "text_delta", name: str = "text") -> str:
    """A delta with half a character, in the words of JSON."""
    return json.dumps(more(index, type, **{name: "@"})).replace("@", which)


HIGH, LOW = "a\\ud83d", "\\ude00b"


def test_a_character_that_was_cut_in_two() -> None:
    thinking = ("thinking_delta", "thinking")
    events = (begin(0, text=""), half(HIGH), say(0, ""), half(LOW), say(0, "c"), end(0))
    thoughts = (begin(1, "thinking", thinking=""), half(HIGH, 1, *thinking), half(LOW, 1, *thinking), end(1))
    written = ("input_json_delta", "partial_json")
    call = (
        {**CALL, "index": 2},
        write(2, '{"x": "'),
        half(HIGH, 2, *written),
        half(LOW, 2, *written),
        write(2, '"}'),
        end(2),
    )
    completion = answer(start(), *events, *thoughts, *call, change("tool_use"), STOP)

    assert (completion.text, completion.message.reasoning_content) == ("a😀bc", "a😀b")
    assert completion.message.tool_calls[0].function.parsed == {"x": "a😀b"}
    assert completion.message.is_as_it_came
    assert block(completion) == {"type": "text", "text": "a😀bc"}


@pytest.mark.parametrize("after", [(end(0),), ()])
def test_half_a_character_whose_other_half_never_comes(after: tuple[Fields, ...]) -> None:
    completion = answer(start(), begin(0, text=""), half(HIGH), *after, change(), STOP)

    assert completion.text == "a\ufffd"
    assert block(completion) == {"type": "text", "text": "a\ufffd"}
    assert answer(start(), begin(0, text=""), half(HIGH), say(0, "b"), end(0), change(), STOP).text == "a\ufffdb"


def test_half_a_character_elsewhere() -> None:
    cited = json.dumps(more(0, "citations_delta", citation={"url": "@"})).replace("@", HIGH)
    odd = json.dumps({"type": "content_block_delta", "index": 0, "delta": "@"}).replace("@", HIGH)
    completion = answer(start(), begin(0, text=""), cited, half(HIGH, 0, "text_delta", "text"), end(0), change(), STOP)

    assert block(completion) == {"type": "text", "text": "a\ufffd", "citations": [{"url": "a\ufffd"}]}
    assert isinstance(failure(start(), begin(0, text=""), odd), DecodeError)
    assert isinstance(failure(start(), begin(0, text=""), half(HIGH, 0, "text_delta", "x")), DecodeError)


def test_bytes_are_read_too() -> None:
    decoder = get_reader("anthropic").decoder()
    accumulator = StreamAccumulator()
    for event in (start(), *TEXT, change(), STOP):
        accumulator.add_all(decoder.decode(json.dumps(event).encode()))

    assert accumulator.completion().text == "Hello"


# Bounds


def test_there_are_not_too_many_blocks() -> None:
    events = [event for index in range(4097) for event in (begin(index), end(index))]
    decoder = get_reader("anthropic").decoder()
    list(decoder.decode(json.dumps(start())))

    with pytest.raises(LimitExceededError, match="more than 4096 blocks"):
        for event in events:
            list(decoder.decode(json.dumps(event)))


@pytest.mark.parametrize(
    "event",
    [
        say(0, "x" * 50),
        more(0, "citations_delta", citation={"x": "x" * 50}),
        more(0, "signature_delta", signature="x" * 50),
    ],
)
def test_what_is_kept_of_open_blocks_has_an_end(event: Fields, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.dialects._kept._MAX_KEPT", 1000)
    opened = [each for index in range(30) for each in (begin(index, text=""), {**event, "index": index})]
    ended = [each for index in range(30) for each in (begin(index), say(index, "y" * 900), end(index))]

    assert isinstance(failure(start(), *opened), LimitExceededError)
    assert len(answer(start(), *ended, change(), STOP).text) == 30 * 900


def refuse(*events: Fields | str) -> None:
    decoder = get_reader("anthropic").decoder()
    with contextlib.suppress(RxllmError):
        for event in events:
            list(decoder.decode(event if isinstance(event, str) else json.dumps(event)))
        list(decoder.close())


def test_nothing_is_a_circle() -> None:
    gc.collect()
    gc.disable()
    try:
        for events in ((start(), "Hello"), (start(), *TEXT[:2], start("msg_2")), (start(), *TEXT[:2]), (say(0, "x"),)):
            refuse(*events)
        assert "GrowingMessage" not in {type(each).__name__ for each in gc.get_objects()}
    finally:
        gc.enable()


# An answer that is no stream


BODY = {
    **start(stop_reason="end_turn", content=[{"type": "text", "text": "Hi"}])["message"],
}


def body_of(text: str) -> list[StreamChunk]:
    decoder = get_reader("anthropic").decoder()
    assert isinstance(decoder, BodyDecoder)
    chunks = list(decoder.decode_body(text))
    if chunks:
        assert decoder.done
        assert list(decoder.close()) == []
    return chunks


def test_a_body_that_is_a_message() -> None:
    accumulator = StreamAccumulator()
    accumulator.add_all(body_of(json.dumps(BODY)))
    completion = accumulator.completion(ended=True)

    assert (completion.text, completion.complete, completion.id) == ("Hi", True, "msg_1")
    assert completion.usage is not None
    assert completion.usage.total_tokens == 4


@pytest.mark.parametrize("body", ["<html>", "[]", '{"type":"error","error":{"message":"m"}}', "{}"])
def test_a_body_that_is_none(body: str) -> None:
    assert body_of(body) == []


def test_a_body_of_another_protocol() -> None:
    with pytest.raises(DecodeError, match="chat completions of OpenAI"):
        body_of('{"choices": [{"message": {"content": "Hi"}}]}')


# The value


def test_it_is_found_by_its_name() -> None:
    assert get_reader("anthropic") == Anthropic()
    assert Anthropic().name == "anthropic"


def test_a_call_without_a_name() -> None:
    nameless = begin(0, "tool_use", id="toolu_1", input={})

    assert isinstance(failure(start(), nameless, end(0), change("tool_use"), STOP), ToolCallError)
