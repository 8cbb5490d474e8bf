from __future__ import annotations

import json
from typing import Any

import pytest
from loguru import logger

from rxllm.dialects import Endpoint, OpenAIChat, WireItem, get_dialect
from rxllm.exceptions import (
    APIStreamError,
    DecodeError,
    EmptyStreamError,
    LimitExceededError,
    TruncatedStreamError,
)
from rxllm.models import ChatRequest, Repair, StreamChunk
from rxllm.wire import ServerSentEvent


def content(text: str, index: int = 0, finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish_reason}]}


def event(value: Any, name: str = "message") -> ServerSentEvent:
    return ServerSentEvent(value if isinstance(value, str) else json.dumps(value), name)


def decode(*items: WireItem, dialect: OpenAIChat | None = None) -> list[StreamChunk]:
    decoder = (dialect or OpenAIChat()).decoder()
    return [chunk for item in items for chunk in decoder.decode(item)]


def failure(*items: WireItem) -> APIStreamError:
    with pytest.raises(APIStreamError) as caught:
        decode(*items)
    return caught.value


@pytest.mark.parametrize("item", ["event", "str", "bytes", "data", "data bytes", "spaces"])
def test_an_item_of_any_transport(item: str) -> None:
    text = json.dumps(content("a"))
    items: dict[str, WireItem] = {
        "event": ServerSentEvent(text),
        "str": text,
        "bytes": text.encode(),
        "data": f"data: {text}\n\n",
        "data bytes": f"data:{text}".encode(),
        "spaces": ServerSentEvent(f"   {text}"),
    }
    assert [chunk.choices[0].delta.content for chunk in decode(items[item])] == ["a"]


def test_an_event_of_another_name_is_a_chunk_nonetheless() -> None:
    assert len(decode(event(content("a"), "completion"))) == 1


# Ends


def test_done_ends_the_stream_and_what_follows_is_ignored() -> None:
    decoder = OpenAIChat().decoder()
    list(decoder.decode(event(content("a"))))
    assert list(decoder.decode(event("[DONE]"))) == []
    assert decoder.done
    for late in (event("[DONE]"), event(content("a")), event("x"), event("x", "error")):
        assert list(decoder.decode(late)) == []
    decoder.close()


@pytest.mark.parametrize("done", ["[DONE]", " [DONE] ", b"[DONE]", "data: [DONE]", b"data: [DONE]\n\n"])
def test_done_in_any_wrapping(done: str | bytes) -> None:
    decoder = OpenAIChat().decoder()
    list(decoder.decode(event(content("a"))))
    assert all(chunk == StreamChunk() for chunk in decoder.decode(done))
    assert decoder.done


def closed(*values: Any) -> None:
    decoder = OpenAIChat().decoder()
    for value in values:
        list(decoder.decode(event(value)))
    decoder.close()


def test_row_31_a_finish_reason_for_every_choice_is_an_end() -> None:
    closed(content("a"), content("b", 1, "stop"), content("c", 0, "stop"), {"choices": [], "usage": {}})


def test_rows_30_and_33_without_one_the_stream_is_truncated() -> None:
    with pytest.raises(TruncatedStreamError, match=r"3 events.*choices \(0, 2\)") as caught:
        closed(content("a"), content("b", 1, "stop"), content("c", 2, ""))
    assert (caught.value.unfinished, caught.value.events) == ((0, 2), 3)


@pytest.mark.parametrize("end", [[], ["[DONE]"]])
@pytest.mark.parametrize("values", [[], [{"choices": []}], [""], [": a comment"], [{"choices": [], "usage": {"x": 1}}]])
def test_row_35_a_stream_without_a_choice_is_empty(values: list[Any], end: list[Any]) -> None:
    with pytest.raises(EmptyStreamError, match="no choice had begun"):
        closed(*values, *end)


GIVEN_UP = ["error", "abort", "network_error", "insufficient_system_resource", "Cancelled"]


@pytest.mark.parametrize("reason", GIVEN_UP)
@pytest.mark.parametrize("end", [[], ["[DONE]"]])
def test_row_38_a_reason_that_says_that_the_server_gave_up(reason: str, end: list[Any]) -> None:
    with pytest.raises(TruncatedStreamError, match=rf"choices \(1,\) ended with '{reason}'") as caught:
        closed(content("a", 0, "stop"), content("b", 1, reason), *end)
    assert caught.value.unfinished == (1,)


def test_an_error_behind_such_a_reason_says_more() -> None:
    with pytest.raises(APIStreamError, match="overloaded"):
        closed(content("a", 0, "error"), {"error": {"message": "overloaded"}})


@pytest.mark.parametrize("reason", ["null", "None", " ", "NULL"])
def test_row_37_words_that_are_no_reason(reason: str) -> None:
    heard: list[Repair] = []
    decoder = OpenAIChat(on_repair=heard.append).decoder()
    chunks = [chunk for _ in range(3) for chunk in decoder.decode(event(content("a", finish_reason=reason)))]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 3
    assert heard == [Repair("finish-reason-blank", 0, reason, None)]
    assert chunks[0].repairs == tuple(heard)
    assert not decoder.finished
    with pytest.raises(TruncatedStreamError):
        decoder.close()


def call(arguments: str, finish_reason: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    calls = [{"index": index, "function": {"arguments": arguments}, **fields}]
    return {"choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": finish_reason}]}


FINISHED: dict[str, list[tuple[Any, bool]]] = {
    "two choices": [(content("a"), False), (content("b", 1, "stop"), False), (content("c", 0, "stop"), True)],
    "another choice begins": [(content("a", 0, "stop"), True), (content("b", 1), False), (content("", 1, "x"), True)],
    "usage": [(content("a", 0, "stop"), True), ({"choices": [], "usage": {"total_tokens": 1}}, True)],
    "arguments behind the reason": [(call('{"a"', "tool_calls"), False), (call(":1"), False), (call("}"), True)],
    "a string in them": [(call('{"a":"}'), False), (content("", 0, "stop"), False), (call('"}'), True)],
    "two calls": [(call("{", id="a"), False), (call("{}", "stop", 1, id="b"), False), (call("}"), True)],
    "a placeholder": [(call("{}", "stop"), True), (call('{"a":'), False), (call("1}"), True)],
    "a custom tool": [(call("{", "stop", type="custom"), True)],
    "no arguments": [(call("", "stop"), True)],
    "many pieces": [*[(call("["), False)] * 1100, (call("", "stop"), False), (call("]" * 1100), True)],
}


@pytest.mark.parametrize("events", FINISHED.values(), ids=FINISHED)
def test_when_an_answer_has_finished(events: list[tuple[Any, bool]]) -> None:
    decoder = OpenAIChat().decoder()
    assert not decoder.finished
    for value, finished in events:
        list(decoder.decode(event(value)))
        assert decoder.finished == finished
    assert list(decoder.close()) == []


def test_open_arguments_at_the_end_are_a_cut() -> None:
    with pytest.raises(TruncatedStreamError, match="the arguments of a call were open") as caught:
        closed(call('{"a"', "tool_calls"))
    assert caught.value.unfinished == (0,)
    # The end marker says that the model wrote them so.
    closed(call('{"a"', "tool_calls"), "[DONE]")


@pytest.mark.parametrize("end", ["[DONE]", None])
def test_what_was_put_right_behind_the_last_chunk_is_kept(end: str | None) -> None:
    decoder = OpenAIChat().decoder()
    list(decoder.decode(event(content("a", finish_reason="stop"))))
    assert list(decoder.decode(": a comment")) == []
    (last,) = decoder.decode(end) if end else decoder.close()
    assert last == StreamChunk()
    assert [repair.kind for repair in last.repairs] == ["comment-as-data"]


def test_row_34_done_says_that_a_stream_without_finish_reason_is_whole() -> None:
    closed(content("a"), "[DONE]")


# Events that are no chunks


@pytest.mark.parametrize(
    "item",
    [
        event(""),
        event("  "),
        event("{}", "ping"),
        event("x", "keepalive"),
        event({"type": "ping"}),
        "data:",
    ],
)
def test_what_carries_nothing_gives_no_chunk(item: WireItem) -> None:
    assert decode(item) == []


def test_row_50_a_comment_that_became_data_is_skipped_and_reported() -> None:
    repairs: list[Repair] = []
    decoder = OpenAIChat(on_repair=repairs.append).decoder()
    assert list(decoder.decode(event(": OPENROUTER PROCESSING"))) == []
    assert decoder.repairs == repairs == [Repair("comment-as-data", 0, "': OPENROUTER PROCESSING'", None)]


def test_a_field_name_in_the_data_is_reported() -> None:
    decoder = OpenAIChat().decoder()
    for _ in range(1500):
        assert len(list(decoder.decode('data: {"choices": []}'))) == 1
    assert decoder.repairs[0] == Repair("field-name-in-data", 0, "'data: {\"choices\": []}'", "'{\"choices\": []}'")
    assert len(decoder.repairs) == 1000


# Errors


def test_row_40_an_error_object() -> None:
    error = failure(event(content("a")), event({"error": {"message": "m", "type": "t", "code": "c", "param": None}}))
    assert (str(error), error.type, error.code, error.retryable, error.position) == ("m", "t", "c", False, 1)


@pytest.mark.parametrize(
    ("item", "message", "kind", "code"),
    [
        (event({"error": "boom"}), "boom", None, None),
        (event({"error": {"code": 500, "message": "m", "type": "server_error"}}), "m", "server_error", 500),
        (event({"error": {"error": {}}}), "the server reported an error", None, None),
        (event({"error": {"message": {"a": 1}, "type": 5}}), "{'a': 1}", "5", None),
        (event({"error": True}), "True", None, None),
        (event({"error": "m", "error_type": "overloaded"}), "m", "overloaded", None),
        (event({"error": {"message": "m"}, "status_code": 503}), "m", None, 503),
        (event({"message": "m"}, "error"), "m", None, None),
        (event("plain text", "error"), "plain text", None, None),
        (event("", "error"), "the server reported an error: ''", None, None),
        (event([1], "error"), "[1]", None, None),
        (
            event({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}),
            "m",
            "overloaded_error",
            None,
        ),
        (event({"type": "error", "message": "m", "code": "c"}), "m", None, "c"),
        (
            event({"object": "error", "message": "m", "type": "BadRequestError", "code": 400}),
            "m",
            "BadRequestError",
            400,
        ),
        (event({"code": "InvalidParameter", "message": "m", "request_id": "r"}), "m", None, "InvalidParameter"),
        (event({"choices": [], "object": "error", "message": "m"}), "m", None, None),
        (json.dumps({"error": {"message": "m"}}), "m", None, None),
        (json.dumps({"error": {"message": "m"}}).encode(), "m", None, None),
    ],
)
def test_rows_40_to_42_errors_in_all_their_words(
    item: WireItem, message: str, kind: str | None, code: str | int | None
) -> None:
    error = failure(item)
    assert message in str(error)
    assert (error.type, error.code, error.position) == (kind, code, 0)


@pytest.mark.parametrize(
    ("fields", "retryable"),
    [
        ({"type": "overloaded_error"}, True),
        ({"type": "OverloadedError"}, True),
        ({"type": "rate_limit_error"}, True),
        ({"code": "rate_limit_exceeded"}, True),
        ({"type": "ServiceUnavailableError"}, True),
        ({"code": "ThrottlingException"}, True),
        ({"code": 429}, True),
        ({"code": "429"}, True),
        ({"code": 500}, True),
        ({"code": "x", "status": 503}, True),
        ({"type": "server_error"}, True),
        ({"code": 400}, False),
        ({"code": "invalid_api_key"}, False),
        ({"type": "insufficient_quota", "code": 429}, False),
        ({}, False),
    ],
)
def test_row_42_whether_another_try_may_succeed(fields: dict[str, Any], retryable: bool) -> None:
    assert failure(event({"error": {"message": "m", **fields}})).retryable is retryable


def test_an_error_together_with_choices_is_both() -> None:
    decoder = OpenAIChat().decoder()
    result = iter(
        decoder.decode(event({**content("a", finish_reason="error"), "error": {"message": "m", "code": 502}}))
    )
    assert next(result).choices[0].delta.content == "a"
    with pytest.raises(APIStreamError, match="m"):
        next(result)


@pytest.mark.parametrize("absent", [None, False, "", {}])
def test_an_error_that_is_none(absent: object) -> None:
    assert len(decode(event({**content("a"), "error": absent, "type": "chunk"}))) == 1


@pytest.mark.parametrize(
    "text",
    ['{"choices": [{"delta": {"con', "<html>", "[1]", "5", '{"choices": 5}', '{"choices":[{}]}}'],
)
@pytest.mark.parametrize("binary", [False, True])
def test_row_44_what_is_no_chunk(text: str, *, binary: bool) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(event(content("a")), text.encode() if binary else event(text))
    error = caught.value
    assert (error.dialect, error.position, error.text) == ("openai-chat", 1, text)
    assert "event 1 is not a chunk of openai-chat" in str(error)
    assert text[:5] in str(error)


def test_the_text_of_an_error_is_bounded() -> None:
    with pytest.raises(DecodeError) as caught:
        decode("x" * 1000)
    assert len(caught.value.text) == 200


def test_malformed_events_can_be_skipped() -> None:
    errors: list[DecodeError] = []
    lines: list[str] = []
    handler = logger.add(lines.append, format="{level} {message}")
    logger.enable("rxllm")
    try:
        dialect = OpenAIChat(skip_malformed=True, on_malformed=errors.append)
        chunks = decode(event(content("a")), event('{"secret'), event(content("b")), dialect=dialect)
        assert decode(event("secret"), dialect=OpenAIChat(skip_malformed=True)) == []
    finally:
        logger.disable("rxllm")
        logger.remove(handler)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["a", "b"]
    assert [(error.position, error.text) for error in errors] == [(1, '{"secret')]
    assert len(lines) == 2
    assert lines[0] == "WARNING skipped event 1 of a stream: it is malformed\n"
    assert "secret" not in "".join(lines)


@pytest.mark.parametrize("text", ['{"choices":' + "[" * 100_000, '{"x":' + "[" * 300 + "]" * 300 + "}"])
def test_a_depth_bomb(text: str) -> None:
    for dialect in (OpenAIChat(), OpenAIChat(skip_malformed=True)):
        with pytest.raises(LimitExceededError, match="deeper than 200"):
            decode(text, dialect=dialect)


# Content and metadata


def test_row_20_filter_results_without_choices_or_delta() -> None:
    chunks = decode(
        event({"choices": [], "id": "", "prompt_filter_results": [{}]}),
        event({"prompt_filter_results": [{}], "id": ""}),
        event({"choices": [{"content_filter_results": {}}]}),
        event({"choices": [{"content_filter_results": {}, "delta": None}]}),
    )
    assert len(chunks) == 4
    assert chunks[2].choices[0].content_filter_results == {}


def test_row_21_usage_with_choices_null() -> None:
    for wire in ({"choices": None, "usage": {"total_tokens": 5}}, {"usage": {"total_tokens": 5}}):
        (chunk,) = decode(event(wire))
        assert chunk.usage is not None
        assert chunk.usage.total_tokens == 5


@pytest.mark.parametrize(
    "wire",
    [
        {"choices": [{"delta": {}, "usage": {"total_tokens": 5}, "finish_reason": "stop"}]},
        {"choices": [], "x_groq": {"id": "r", "usage": {"total_tokens": 5}}},
    ],
)
def test_usage_in_other_places(wire: dict[str, Any]) -> None:
    (chunk,) = decode(event(wire))
    assert chunk.usage is not None
    assert chunk.usage.total_tokens == 5


@pytest.mark.parametrize("value", [None, "x", {}, {"usage": None}])
def test_no_usage_in_other_places(value: object) -> None:
    (chunk,) = decode(event({"choices": [{"delta": {}, "usage": None}], "x_groq": value}))
    assert chunk.usage is None


def test_usage_of_the_chunk_itself_comes_first() -> None:
    both: dict[str, Any] = {**content("a"), "usage": {"total_tokens": 5}, "x_groq": {"usage": {"total_tokens": 6}}}
    both["choices"][0]["usage"] = {"total_tokens": 7}
    (chunk,) = decode(event(both))
    assert chunk.usage is not None
    assert chunk.usage.total_tokens == 5


def test_a_whole_message_instead_of_a_delta() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "w", "arguments": "{}"}}
    message = {"role": "assistant", "content": "Hi", "tool_calls": [call], "x": 1}
    wire = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    (chunk,) = decode(event(wire))
    assert chunk.choices[0].delta.model_dump(exclude_unset=True) == message
    (chunk,) = decode(event({"choices": [{"message": {"content": "b"}, "delta": {"content": "a"}}]}))
    assert chunk.choices[0].delta.content == "a"
    (chunk,) = decode(event({"choices": [{"message": "b"}]}))
    assert chunk.choices[0].model_extra == {"message": "b"}


def test_several_choices_without_an_index_are_numbered() -> None:
    (chunk,) = decode(event({"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}]}))
    assert [choice.index for choice in chunk.choices] == [0, 1]
    (chunk,) = decode(event({"choices": [{"index": 4}, {"index": 3}]}))
    assert [choice.index for choice in chunk.choices] == [4, 3]


def test_row_25_cumulative_text() -> None:
    dialect = OpenAIChat(cumulative_text=True)
    chunks = decode(
        event(content("He")),
        event(content("x", 1)),
        event(content("Hello")),
        event({"choices": [{"delta": {"reasoning": "hm"}}]}),
        event({"choices": [{"delta": {"reasoning": "hmm", "content": "Hello"}}]}),
        event(content("xy", 1)),
        dialect=dialect,
    )
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["He", "x", "llo", None, "", "y"]
    assert [chunk.choices[0].delta.reasoning for chunk in chunks[3:5]] == ["hm", "m"]
    with pytest.raises(DecodeError, match="does not continue") as caught:
        decode(event(content("Hello")), event(content("Jello")), dialect=dialect)
    assert (caught.value.position, caught.value.text) == (1, "Jello")
    assert [chunk.choices[0].delta.content for chunk in decode(event(content("He")), event(content("Hello")))] == [
        "He",
        "Hello",
    ]


# Requests and the registry


HERE = Endpoint(base_url="http://localhost/v1")


def test_the_body_asks_for_a_stream_with_usage() -> None:
    request = ChatRequest.model_validate({"model": "m", "messages": [], "stream": False})
    assert OpenAIChat().http_request(request, HERE).body == {
        "model": "m",
        "messages": [],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(("options", "expected"), [(None, {}), ({"x": 1}, {"stream_options": {"x": 1}})])
def test_stream_options_of_ones_own_are_left_alone(options: dict[str, Any] | None, expected: dict[str, Any]) -> None:
    body = OpenAIChat().http_request(ChatRequest(model="m", messages=[], stream_options=options), HERE).body
    assert body == {"model": "m", "messages": [], "stream": True, **expected}


def test_the_registry() -> None:
    dialect = get_dialect("openai-chat")
    assert dialect.name == "openai-chat"
    request = dialect.http_request(ChatRequest(model="m", messages=[]), HERE)
    assert (request.method, request.url) == ("POST", "http://localhost/v1/chat/completions")
    mine = OpenAIChat(cumulative_text=True)
    assert get_dialect(mine) is mine
    with pytest.raises(ValueError, match="unknown dialect 'nope'; there are: openai-chat"):
        get_dialect("nope")


def test_each_decoder_has_a_state_of_its_own() -> None:
    first, second = OpenAIChat().decoder(), OpenAIChat().decoder()
    list(first.decode(event(content("a"))))
    list(first.decode("[DONE]"))
    assert first.done
    assert not second.done
