"""Streams of other protocols, legacy completions, and what gateways put between the chunks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import OpenAIChat, WireItem
from rxllm.exceptions import APIStreamError, DecodeError, RxllmError
from rxllm.models import ChatCompletion, Repair
from rxllm.wire import ServerSentEvent, SSEDecoder
from tests.recorded import DIALECTS, each_of, streams


def as_item(value: Any) -> WireItem:
    return value if isinstance(value, ServerSentEvent | str) else json.dumps(value)


def named(name: str, data: Any) -> ServerSentEvent:
    return ServerSentEvent(data if isinstance(data, str) else json.dumps(data), name)


def fold(*values: Any, dialect: OpenAIChat | None = None) -> ChatCompletion:
    """The completion of a stream that ends in good order."""
    decoder = (dialect or OpenAIChat()).decoder()
    accumulator = StreamAccumulator()
    for value in values:
        for chunk in decoder.decode(as_item(value)):
            accumulator.add(chunk)
    decoder.close()
    return accumulator.completion(ended=True)


def kinds(completion: ChatCompletion) -> list[str]:
    return [repair.kind for repair in completion.repairs]


def text(content: str, finish_reason: str | None = None) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}]}


TEN = (text("It is "), text("ten."), text("", "stop"), "[DONE]")
FOREIGN: dict[str, tuple[Any, str]] = {
    "Responses": ({"type": "response.created", "response": {"id": "r"}}, "Responses API"),
    "Responses, delta": ({"type": "response.output_text.delta", "delta": "Hi", "model": "m"}, "Responses API"),
    "Responses, named": (named("response.created", {"response": {"id": "r"}}), "Responses API"),
    "Realtime": ({"type": "session.created", "session": {}}, "Realtime API"),
    "Anthropic": ({"type": "message_start", "message": {"id": "x", "role": "assistant"}}, "Messages API of Anthropic"),
    "Anthropic, named": (named("content_block_delta", {"delta": {"text": "Hi"}}), "Messages API of Anthropic"),
    "Anthropic, usage": ({"type": "message_delta", "usage": {"output_tokens": 1}}, "Messages API of Anthropic"),
    "Assistants": ({"id": "m", "object": "thread.message.delta", "delta": {"content": []}}, "Assistants API"),
    "Assistants, named": (named("thread.run.created", {"id": "run", "model": "m"}), "Assistants API"),
    "Assistants, usage": ({"id": "r", "object": "thread.run", "usage": {"total_tokens": 1}}, "Assistants API"),
    "Gemini": ({"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}, "Gemini API"),
    "Gemini, blocked": ({"promptFeedback": {"blockReason": "SAFETY"}}, "Gemini API"),
    "Cohere": ({"id": "x", "type": "message-start", "delta": {"message": {}}}, "Cohere, version 2"),
    "Cohere, older": ({"is_finished": False, "event_type": "stream-start"}, "Cohere, version 1"),
    "Ollama": ({"model": "m", "created_at": "t", "message": {"content": "Hi"}, "done": False}, "Ollama"),
    "Ollama, generate": ({"model": "m", "created_at": "t", "response": "Hi", "done": False}, "Ollama"),
    "Bedrock": ({"contentBlockDelta": {"delta": {"text": "Hi"}}}, "Bedrock"),
    "Bedrock, invoke": ({"bytes": "eyJ0", "p": "abc"}, "Bedrock"),
    "TGI": ({"index": 1, "token": {"id": 1, "text": "Hi"}, "generated_text": None}, "text-generation-inference"),
    "llama.cpp": ({"content": "Hi", "stop": False, "timings": {}}, "llama.cpp"),
    "SGLang": ({"text": "Hi", "meta_info": {"id": "x"}}, "SGLang"),
    "Dify": ({"event": "message", "task_id": "t", "conversation_id": "c", "answer": "Hi"}, "Dify"),
    "AG-UI": ({"type": "RUN_STARTED", "threadId": "t"}, "AG-UI"),
    "AI SDK": ({"type": "text-delta", "id": "1", "delta": "Hi"}, "AI SDK"),
    "MCP": ({"jsonrpc": "2.0", "id": 1, "result": {}}, "JSON-RPC"),
}


@pytest.mark.parametrize(("event", "protocol"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("before", [(), ({},), (text("")["choices"] and {"id": "c", "choices": []},)])
def test_a_stream_of_another_protocol_fails_at_the_first_event_that_tells(
    before: tuple[Any, ...], event: Any, protocol: str
) -> None:
    with pytest.raises(DecodeError, match=protocol) as caught:
        fold(*before, event, "[DONE]")
    error = caught.value
    assert (error.dialect, error.position) == ("openai-chat", len(before))
    assert "it is not a chat completions stream: ask" in str(error)
    item = as_item(event)
    assert error.text == (item if isinstance(item, str) else item[0])


@pytest.mark.parametrize("event", [event for event, _ in FOREIGN.values()], ids=FOREIGN)
def test_behind_a_choice_such_an_event_is_a_gateways_own(event: Any) -> None:
    completion = fold(TEN[0], event, *TEN[1:])
    assert completion.content == "It is ten."
    assert set(kinds(completion)) <= {"event-passed-over"}


def test_skipping_what_is_malformed_does_not_make_an_empty_answer_of_another_protocol() -> None:
    with pytest.raises(DecodeError, match="Gemini"):
        fold({"candidates": []}, "[DONE]", dialect=OpenAIChat(skip_malformed=True))


@each_of(streams(*DIALECTS[1:]), "wire", "case")
def test_recorded_streams_of_other_protocols_are_known(wire: bytes, case: dict[str, Any]) -> None:
    items: Iterable[WireItem] = SSEDecoder().feed(wire) if case["wire"] == "sse" else wire.decode().splitlines()
    with pytest.raises(RxllmError) as caught:
        fold(*items)
    error = caught.value
    # An error of the server in the place of the first event is that.
    assert isinstance(error, APIStreamError) or (isinstance(error, DecodeError) and "looks like" in str(error))


# Legacy completions


def legacy(content: str, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "text": content, "logprobs": None, "finish_reason": finish_reason, **fields}
    return {"id": "cmpl", "object": "text_completion", "choices": [choice]}


def test_row_28_the_text_of_a_legacy_completion_is_content() -> None:
    completion = fold(legacy("It is "), legacy("ten."), legacy("", "stop"), "[DONE]")
    assert (completion.content, completion.choices[0].finish_reason) == ("It is ten.", "stop")
    assert completion.repairs == (Repair("text-as-delta", 0, "It is ", None),)
    assert completion.choices[0].model_extra == {}


def test_legacy_choices_are_kept_apart_and_cut_by_their_length() -> None:
    completion = fold(legacy("a"), legacy("x", index=1), legacy("b", "length"), legacy("y", "stop", index=1))
    assert [(choice.message.content, choice.finish_reason) for choice in completion.choices] == [
        ("ab", "length"),
        ("xy", "stop"),
    ]


def test_a_text_beside_a_delta_is_not_said_twice() -> None:
    both = text("It is ")
    both["choices"][0]["text"] = "It is "
    last = legacy("It is ten.", "stop")
    assert fold(both, text("ten."), last, "[DONE]").content == "It is ten."


def test_a_text_that_is_none_is_an_extra() -> None:
    (choice,) = fold({"choices": [{"index": 0, "text": 5, "finish_reason": "stop"}]}).choices
    assert (choice.message.content, choice.model_extra) == ("", {"text": 5})


# What a gateway puts between the chunks

PROGRESS = {"tool": "clock", "status": "running"}


@pytest.mark.parametrize(
    ("event", "before"),
    [
        ({}, {}),
        ({"sources": [{"url": "u"}]}, {"sources": [{"url": "u"}]}),
        ({"type": "progress", "message": "Searching"}, {"type": "progress", "message": "Searching"}),
        ({"object": "list", "id": "x"}, {"object": "list", "id": "x"}),
        *(({"message": other}, {"message": other}) for other in ({"role": "assistant"}, ["Searching"], 3, True)),
        (named("agent.tool.progress", PROGRESS), {"event": "agent.tool.progress", "data": PROGRESS}),
        (named("status", {"message": "Searching"}), {"event": "status", "data": {"message": "Searching"}}),
        (named("metadata", {"id": "x", "model": "m"}), {"event": "metadata", "data": {"id": "x", "model": "m"}}),
        (named("status", "thinking …"), {"event": "status", "data": "'thinking …'"}),
        (named("done", "[1]"), {"event": "done", "data": "'[1]'"}),
        ("DONE", "'DONE'"),
        ("[END]", "'[END]'"),
        ("null", "'null'"),
        ('"ping"', "'\"ping\"'"),
    ],
)
def test_row_59_what_is_no_chunk_is_passed_over(event: Any, before: Any) -> None:
    for values in ((event, *TEN), (TEN[0], event, event, *TEN[1:]), (*TEN[:3], event, TEN[3])):
        completion = fold(*values)
        assert completion.content == "It is ten."
        assert completion.complete
        # The one behind the last chunk is known to the decoder alone.
        assert [(repair.kind, repair.before) for repair in completion.repairs] in (
            [("event-passed-over", before)],
            [] if values[3] is event else None,
        )


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (named("agent.error", {"text": "boom"}), "boom"),
        (named("exception", "boom"), "boom"),
        (named("throttlingException", {"message": "boom"}), "boom"),
        (named("status", {"error": "boom"}), "boom"),
        (named("status", {"status": "error", "msg": "boom"}), "boom"),
        (named("status", {"error_msg": "boom"}), "boom"),
        ({"type": "server_error", "message": "boom"}, "boom"),
        ({"type": "InternalServerError", "message": "boom"}, "boom"),
        ({"success": False, "msg": "boom", "code": 1113}, "boom"),
        ({"status": 503, "detail": "boom"}, "boom"),
        ({"detail": [{"msg": "boom"}]}, "boom"),
        ({"errors": [{"message": "boom"}]}, "boom"),
        ({"id": "x", "choices": None, "base_resp": {"status_code": 1002, "status_msg": "boom"}}, "boom"),
    ],
)
def test_what_says_that_it_is_an_error_is_one(event: Any, message: str) -> None:
    for values in ((event, *TEN), (TEN[0], event, *TEN[1:])):
        with pytest.raises(APIStreamError, match=message) as caught:
            fold(*values)
        assert caught.value.position == values.index(event)


@pytest.mark.parametrize(
    "event",
    [{"x": 1}, {"id": "x", "text": "Hi"}, {"delta": "Hi", "model": "m"}, named("token", {"text": "Hi"})],
)
@pytest.mark.parametrize("end", [(), ("[DONE]",), ({"choices": [], "usage": {"total_tokens": 1}}, "[DONE]")])
def test_a_stream_of_nothing_else_is_no_empty_answer(event: Any, end: tuple[Any, ...]) -> None:
    with pytest.raises(DecodeError, match="event 1 is not a chunk of openai-chat, it has nothing of a chunk") as caught:
        fold({}, event, event, *end)
    assert caught.value.position == 1


def test_heartbeats_are_noted_once() -> None:
    repairs: list[Repair] = []
    fold(*[{}] * 2000, *TEN, dialect=OpenAIChat(on_repair=repairs.append))
    assert repairs == [Repair("event-passed-over", 0, {}, None)]


# An answer that was not streamed

CALLS = [{"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}} for name in "ab"]


def whole(*messages: dict[str, Any], finish_reason: str | None = "stop") -> dict[str, Any]:
    choices = [{"index": n, "message": each, "finish_reason": finish_reason} for n, each in enumerate(messages)]
    return {"id": "c", "object": "chat.completion", "model": "m", "choices": choices, "usage": {"total_tokens": 3}}


def fold_body(body: Any) -> ChatCompletion | None:
    decoder = OpenAIChat().decoder()
    chunks = list(decoder.decode_body(body if isinstance(body, str) else json.dumps(body)))
    if not chunks:
        return None
    decoder.close()
    accumulator = StreamAccumulator()
    accumulator.add_all(chunks)
    return accumulator.completion(ended=True)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "Ten.", "reasoning_content": "hm"},
        {"role": "assistant", "content": None, "tool_calls": CALLS},
        {"role": "assistant", "content": None, "refusal": "no"},
    ],
)
def test_row_47_a_whole_completion_is_an_answer(message: dict[str, Any]) -> None:
    completion = fold_body(whole(message, finish_reason=None))
    assert completion is not None
    assert completion.complete
    assert kinds(completion) == ["answer-not-streamed", "finish-reason-missing"]
    assert (completion.id, completion.model) == ("c", "m")
    assert completion.usage is not None
    assert completion.message.content == message["content"]
    assert completion.message.reasoning_text == message.get("reasoning_content")
    assert completion.message.refusal == message.get("refusal")
    assert [call.id for call in completion.message.tool_calls] == [call["id"] for call in message.get("tool_calls", ())]


def test_a_whole_answer_of_several_choices_or_of_legacy_completions() -> None:
    completion = fold_body(whole({"content": "a"}, {"content": "b"}))
    assert completion is not None
    assert [choice.message.content for choice in completion.choices] == ["a", "b"]
    completion = fold_body(legacy("Ten.", "stop"))
    assert completion is not None
    assert completion.content == "Ten."


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "boom"}},
        {"choices": []},
        {"choices": [{"delta": {"content": "a"}}]},
        {"choices": [{"message": {"content": "a"}}, 5]},
        {"choices": [{"message": {"tool_calls": [5]}}]},
        {"choices": 5},
        {"data": []},
        [1],
        "<html>",
        "",
        "{",
        "[" * 100_000,
        '{"choices":' + "[" * 100_000,
    ],
)
def test_a_body_that_is_no_answer_gives_nothing(body: Any) -> None:
    assert fold_body(body) is None


OLLAMA = FOREIGN["Ollama"][0]


@pytest.mark.parametrize(
    ("body", "protocol"),
    [
        (json.dumps(OLLAMA) + "\n" + json.dumps(OLLAMA) + "\n", "Ollama"),
        (json.dumps(OLLAMA) + "\n" + '{"mod', "Ollama"),
        ('[{\n  "candidates": [{"content": {}}]\n}\n,\n{"cand', "Gemini"),
        ({"object": "response", "id": "r", "output": [{"type": "message"}]}, "Responses"),
        ({"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}]}, "Anthropic"),
        ("\0\0\0\x8d\0\0\0R\x0b:event-type\x07\0\x0cmessageStart", "Bedrock"),
        ('f:{"messageId":"1"}\n0:"Hi"\n', "AI SDK"),
        ('0:"Hi"\n', "AI SDK"),
    ],
)
def test_a_body_of_another_protocol_is_known(body: Any, protocol: str) -> None:
    with pytest.raises(DecodeError, match=protocol) as caught:
        fold_body(body)
    assert caught.value.position == 0
