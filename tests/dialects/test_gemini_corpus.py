"""Streams of the Gemini API that servers really sent."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

import rxllm
from rxllm.dialects import get_reader
from rxllm.exceptions import APIStreamError, EmptyStreamError, RxllmError, TruncatedStreamError
from rxllm.models import ChatCompletion
from tests.dialects import walks
from tests.dialects.walks import at_random_splits, bytewise, places, texts_of
from tests.recorded import each_of, streams

OURS = {
    *("prompt_tokens", "completion_tokens", "total_tokens"),
    *("prompt_tokens_details", "completion_tokens_details"),
}
# The folder has its pieces, and nothing of what they are together.
IN_PIECES = "google-015"
ITEMS = {
    "operations": [
        {"action": "add", "description": "Fresh red apple", "itemid": "apple_001", "price": 0.5},
        {"action": "add", "description": "Ripe yellow banana", "itemid": "banana_001", "price": 0.3},
    ]
}
# An error beside its events, which the folder passes over: behind it each event had said STOP.
FAILED = "vertex-002"
# A reason for the end comes with each event: nothing but the end of the connection says then that an answer is whole.
ENDS_EARLY = {"gemini-044", "vertex-002"}
SHORT = 1700

STREAMS = streams("gemini")
every_stream = each_of(STREAMS, "case", "wire")
short_bodies = each_of([stream for stream in STREAMS if len(stream.wire) < SHORT], "wire")
read = partial(walks.read, dialect="gemini")
read_events = partial(walks.read_items, dialect="gemini")


def parts_sent(wire: bytes) -> list[dict[str, Any]]:
    """The parts of all events, those of one text put together."""
    found: list[dict[str, Any]] = []
    goes_on = False
    for event in texts_of(wire):
        for candidate in json.loads(event).get("candidates", ()):
            for part in candidate.get("content", {}).get("parts", ()):
                is_text = set(part) <= {"text", "thought"}
                if is_text and goes_on and found[-1].get("thought") == part.get("thought"):
                    found[-1] = {**found[-1], "text": found[-1]["text"] + part["text"]}
                elif part != {"text": ""}:
                    found.append(part)
                    goes_on = is_text
    return found


def check(case: dict[str, Any], wire: bytes, completion: ChatCompletion, error: RxllmError | None) -> None:
    want = case["expected"]
    (expected,) = want["choices"]
    (choice,) = completion.choices
    message = choice.message
    assert (message.text, message.reasoning_text or "") == (expected["content"], expected["reasoning"])
    if case["file"].startswith(FAILED):
        assert isinstance(error, APIStreamError)
        assert (error.type, error.code, error.retryable) == ("CANCELLED", 499, False)
        assert not completion.complete
        return
    assert error is None
    calls = [(call.function.name, call.function.parsed) for call in message.tool_calls]
    in_pieces = case["file"].startswith(IN_PIECES)
    wanted = [(call["name"], call["arguments_json"]) for call in expected["tool_calls"] or ()]
    assert calls == ([("writeItems", ITEMS)] if in_pieces else wanted)
    ids = [call["id"] for call in expected["tool_calls"] or ()]
    assert all(
        call.id == own if own else call.id.startswith("call_")
        for call, own in zip(message.tool_calls, ids, strict=not in_pieces)
    )
    assert (choice.model_extra or {})["native_finish_reason"] == expected["finish_reason"]
    usual = "tool_calls" if calls else "stop"
    assert choice.finish_reason == {"STOP": usual, "MAX_TOKENS": "length"}.get(expected["finish_reason"], "FAKE_ENUM")
    meta = want["meta"]
    assert (completion.id, completion.model) == (meta.get("responseId"), meta.get("modelVersion"))
    assert (completion.usage and provided(completion.usage)) == want["usage"]
    assert completion.repairs == ()
    if not in_pieces:
        assert [part.block for part in message.parts] == parts_sent(wire)
    assert all(part.final for part in message.parts)
    assert message.is_as_it_came


def provided(usage: rxllm.Usage) -> dict[str, Any]:
    """The fields of the provider."""
    return {name: value for name, value in usage.model_dump(exclude_unset=True).items() if name not in OURS}


@every_stream
def test_whole(case: dict[str, Any], wire: bytes) -> None:
    check(case, wire, *read([wire]))
    check(case, wire, *read([wire], dialect="auto"))


@every_stream
def test_read_in_full_each_event_says_the_same(
    case: dict[str, Any], wire: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(text: str) -> None:
        raise ValueError(text)

    expected = read([wire])
    monkeypatch.setattr("rxllm.dialects.gemini._gemini_decoder.decode_text", refuse)
    found = read([wire])
    check(case, wire, *found)
    assert found[0].model_dump() == expected[0].model_dump()


@every_stream
def test_byte_by_byte(case: dict[str, Any], wire: bytes) -> None:
    check(case, wire, *read(bytewise(wire)))


@every_stream
def test_at_random_splits(case: dict[str, Any], wire: bytes) -> None:
    at_random_splits(wire, lambda pieces: check(case, wire, *read(pieces)))


@every_stream
def test_a_cut_at_any_event_is_whole_only_if_the_server_had_said_why_it_ended(
    case: dict[str, Any], wire: bytes
) -> None:
    events = texts_of(wire)
    taken_for_whole = 0
    for count in places(len(events)):
        completion, error = read_events(events[:count])
        if any("finishReason" in event for event in events[:count]):
            assert error is None
            taken_for_whole += 1
        else:
            assert isinstance(error, TruncatedStreamError if count else EmptyStreamError)
            assert not completion.complete
    assert bool(taken_for_whole) == (case["file"][:10] in ENDS_EARLY)


@every_stream
def test_nothing_is_finished_before_the_end_of_the_connection(case: dict[str, Any], wire: bytes) -> None:
    del case
    decoder = get_reader("gemini").decoder()
    kept: list[str] = []
    reasons: list[str | None] = []
    for event in texts_of(wire):
        chunks = list(decoder.decode(event))
        kept += [chunk.event for chunk in chunks if chunk.event is not None]
        reasons += [choice.finish_reason for chunk in chunks for choice in chunk.choices]
        assert (decoder.finished, decoder.done) == (False, False)
    assert kept == texts_of(wire)
    assert set(reasons) <= {None}


@short_bodies
def test_a_cut_at_any_byte_is_told_unless_a_reason_had_come(wire: bytes) -> None:
    for count in places(len(wire), 120):
        _, error = read([wire[:count]])
        said = any("finishReason" in event for event in texts_of(wire[:count]))
        assert (error is None) == said or isinstance(error, APIStreamError)
