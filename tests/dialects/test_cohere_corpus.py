"""Streams of Cohere's Chat API that servers really sent."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from rxllm.exceptions import EmptyStreamError, RxllmError, TruncatedStreamError
from rxllm.models import ChatCompletion
from tests.dialects import walks
from tests.dialects.walks import all_kept, at_random_splits, bytewise, places, texts_of
from tests.recorded import each_of, streams

REASONS = {"COMPLETE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls", "STOP_SEQUENCE": "stop"}


STREAMS = streams("cohere")
every_stream = each_of(STREAMS, "case", "wire")
every_body = each_of(STREAMS, "wire")
read = partial(walks.read, dialect="cohere")


def plan_in(wire: bytes) -> str:
    """What the model planned: what is expected does not have it."""
    events = [json.loads(event) for event in texts_of(wire) if event.startswith("{")]
    return "".join(each["delta"]["message"]["tool_plan"] for each in events if each["type"] == "tool-plan-delta")


def check(case: dict[str, Any], wire: bytes, completion: ChatCompletion, error: RxllmError | None) -> None:
    want = case["expected"]
    (expected,) = want["choices"]
    (choice,) = completion.choices
    message = choice.message
    assert error is None
    assert (message.text, message.reasoning_text or "") == (expected["content"], plan_in(wire) + expected["reasoning"])
    calls = [(call.id, call.function.name, call.function.parsed) for call in message.tool_calls]
    # A call without arguments has ``{}``.
    assert calls == [(call["id"], call["name"], call["arguments_json"] or {}) for call in expected["tool_calls"]]
    assert (getattr(choice, "native_finish_reason", None), completion.id) == (
        expected["finish_reason"],
        want["meta"]["id"],
    )
    assert choice.finish_reason == REASONS[expected["finish_reason"]]
    usage = completion.usage
    assert usage is not None
    tokens = want["usage"]["tokens"]
    assert (usage.prompt_tokens, usage.completion_tokens) == (tokens["input_tokens"], tokens["output_tokens"])
    assert {name: (usage.model_extra or {}).get(name) for name in want["usage"]} == want["usage"]
    assert completion.repairs == ()
    assert message.is_as_it_came
    assert all(part.final for part in message.parts)


@every_stream
def test_whole(case: dict[str, Any], wire: bytes) -> None:
    check(case, wire, *read([wire]))
    check(case, wire, *read([wire], dialect="auto"))


@every_stream
def test_byte_by_byte(case: dict[str, Any], wire: bytes) -> None:
    check(case, wire, *read(bytewise(wire)))


@every_stream
def test_at_random_splits(case: dict[str, Any], wire: bytes) -> None:
    at_random_splits(wire, lambda pieces: check(case, wire, *read(pieces)))


@every_body
def test_a_cut_at_any_event_is_no_whole_answer(wire: bytes) -> None:
    events = wire.split(b"\n\n")
    last = next(index for index, event in enumerate(events) if b"message-end" in event)
    for count in places(last + 1):
        completion, error = read([b"".join(event + b"\n\n" for event in events[:count])])
        assert isinstance(error, TruncatedStreamError if count else EmptyStreamError)
        assert not completion.complete


@every_body
def test_a_cut_at_any_byte_is_no_whole_answer(wire: bytes) -> None:
    end = wire.index(b"\n\n", wire.index(b"event: message-end"))
    for count in places(end, 120):
        assert read([wire[:count]])[1] is not None
    assert read([wire[: end + 2]])[1] is None


@every_body
def test_nothing_is_finished_before_all_of_it_has_come_and_each_event_is_kept(wire: bytes) -> None:
    events = [event for event in texts_of(wire) if event != "[DONE]"]
    assert all_kept(events, "cohere") == events
