"""Streams of the Messages API that servers really sent."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import rxllm
from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import get_reader
from rxllm.exceptions import APIStreamError, EmptyStreamError, RxllmError, TruncatedStreamError
from rxllm.models import ChatCompletion, MessagePart
from rxllm.wire import SSEDecoder
from tests.dialects import walks
from tests.dialects.walks import at_random_splits, bytewise, places
from tests.recorded import each_of, streams

REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
}
OURS = {
    *("prompt_tokens", "completion_tokens", "total_tokens"),
    *("prompt_tokens_details", "completion_tokens_details"),
}
SHORT = 1600

STREAMS = streams("anthropic")
every_stream = each_of(STREAMS, "case", "wire")
every_body = each_of(STREAMS, "wire")
short_bodies = each_of([stream for stream in STREAMS if len(stream.wire) < SHORT], "wire")
read = partial(walks.read, dialect="anthropic")
read_events = partial(walks.read_items, dialect="anthropic")


def described(completion: ChatCompletion) -> dict[str, Any]:
    """An answer in the words of the folder."""
    (choice,) = completion.choices
    message = choice.message
    return {
        "content": message.text,
        "reasoning": message.reasoning_text or "",
        "refusal": message.refusal or "",
        "tool_calls": [(call.id, call.function.name, call.function.parsed) for call in message.tool_calls],
        "finish_reason": getattr(choice, "native_finish_reason", None),
        "blocks": [part_described(part) for part in message.parts],
        "id": completion.id,
        "model": completion.model,
        "role": message.role,
        "usage": completion.usage and provided(completion.usage),
    }


def part_described(part: MessagePart) -> dict[str, Any]:
    block = part.block or {"type": part.kind}
    made: dict[str, Any] = {"index": part.index, "type": block["type"]}
    for name in ("text", "thinking", "signature", "id", "name"):
        if block.get(name):
            made[name] = block[name]
    if block.get("input") is not None:
        made["input"] = block["input"]
    if block.get("citations"):
        made["citations"] = len(block["citations"])
    return made


def provided(usage: rxllm.Usage) -> dict[str, Any]:
    """The fields of the provider."""
    return {name: value for name, value in usage.model_dump(exclude_unset=True).items() if name not in OURS}


def expected(case: dict[str, Any]) -> dict[str, Any]:
    want = case["expected"]
    (choice,) = want["choices"]
    return {
        **{name: choice[name] for name in ("content", "reasoning", "refusal", "finish_reason")},
        "tool_calls": [(call["id"], call["name"], call["arguments_json"]) for call in choice["tool_calls"]],
        "blocks": [block_expected(block) for block in want["blocks"]],
        **want["meta"],
        "usage": want["usage"],
    }


def block_expected(block: dict[str, Any]) -> dict[str, Any]:
    kept = ("index", "type", "text", "thinking", "signature", "id", "name", "citations")
    made = {name: block[name] for name in kept if name in {"index", "type"} or block.get(name)}
    return made | ({"input": block["arguments_json"]} if "arguments_json" in block else {})


def check(case: dict[str, Any], completion: ChatCompletion, error: RxllmError | None) -> None:
    want = case["expected"]
    if want["error"] is None:
        assert error is None
        assert described(completion) == expected(case)
        assert completion.repairs == ()
        (choice,) = completion.choices
        assert choice.finish_reason == REASONS[described(completion)["finish_reason"]]
        assert completion.message.is_as_it_came
        assert all(part.final for part in completion.message.parts)
    else:
        assert isinstance(error, APIStreamError)
        # The type of the folder where there is none is that of the event.
        assert {"message": error.message, "type": error.type or "error"}.items() <= want["error"].items()
        assert error.retryable == (error.type == "overloaded_error")
        assert completion.text == want["choices"][0]["content"]
        assert not any(part.final for part in completion.message.parts)


@every_stream
def test_whole(case: dict[str, Any], wire: bytes) -> None:
    check(case, *read([wire]))
    check(case, *read([wire], dialect="auto"))


@every_stream
def test_byte_by_byte(case: dict[str, Any], wire: bytes) -> None:
    check(case, *read(bytewise(wire)))


@every_stream
def test_at_random_splits(case: dict[str, Any], wire: bytes) -> None:
    at_random_splits(wire, lambda pieces: check(case, *read(pieces)))


@every_stream
def test_as_frames_without_names(case: dict[str, Any], wire: bytes) -> None:
    check(case, *read_events(event.data for event in SSEDecoder().feed(wire)))


@every_body
def test_a_cut_at_any_event_is_no_whole_answer(wire: bytes) -> None:
    events = SSEDecoder().feed(wire)
    whole, error = read_events(events)
    for count in places(len(events)):
        completion, cut_error = read_events(events[:count])
        if cut_error is None:
            # What came behind says nothing of the answer.
            assert error is None
            assert completion.model_dump() == whole.model_dump()
        elif count < len(events) - 1 or error is None:
            assert isinstance(cut_error, TruncatedStreamError | EmptyStreamError | APIStreamError)
            assert not completion.complete


@every_body
def test_nothing_is_finished_before_all_of_it_has_come(wire: bytes) -> None:
    events = SSEDecoder().feed(wire)
    whole, _ = read_events(events)
    decoder = get_reader("anthropic").decoder()
    accumulator = StreamAccumulator()
    for event in events:
        if decoder.finished:
            break
        try:
            accumulator.add_all(decoder.decode(event))
        except APIStreamError:
            break
    if decoder.finished:
        accumulator.add_all(decoder.close())
        assert accumulator.completion(ended=True).model_dump(
            exclude={"choices": {"__all__": {"message": {"origin"}}}}
        ) == (whole.model_dump(exclude={"choices": {"__all__": {"message": {"origin"}}}}))


@short_bodies
def test_a_cut_at_any_byte_is_no_whole_answer(wire: bytes) -> None:
    whole, error = read([wire])
    for count in places(len(wire), 120):
        completion, cut_error = read([wire[:count]])
        if cut_error is None:
            assert error is None
            assert completion.model_dump() == whole.model_dump()


@every_body
def test_each_event_but_pings_is_kept(wire: bytes) -> None:
    events = SSEDecoder().feed(wire)
    decoder = get_reader("anthropic").decoder()
    kept: list[str] = []
    try:
        for event in events:
            kept += [chunk.event for chunk in decoder.decode(event) if chunk.event is not None]
    except APIStreamError:
        events = events[:-1]
    said = [event.data for event in events if event.data != "[DONE]" and json.loads(event.data)["type"] != "ping"]
    assert kept == said
