"""Streams of the Responses API that servers really sent, however they are cut.

Expected of them is the word of the provider for the end; what that is in ours, is said here. The failures of two
streams are errors, which have no word.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import get_dialect, get_reader
from rxllm.exceptions import APIStreamError, EmptyStreamError, RxllmError, TruncatedStreamError
from rxllm.models import ChatCompletion, PartKind, StreamChunk
from rxllm.wire import ServerSentEvent, SSEDecoder
from tests.dialects.walks import at_random_splits, bytewise, places
from tests.recorded import each_of, streams

# The first identifier counts, as for each dialect: this stream, made by hand, has another one at its end.
OTHER_ID_AT_THE_END = "openai-224-should-stream-text-deltas.sse"
OURS = {"completed": "stop", "max_output_tokens": "length"}


STREAMS = streams("openai-responses")
every_stream = each_of(STREAMS, "case", "wire")
every_body = each_of(STREAMS, "wire")


def events_of(pieces: Iterable[bytes]) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def decode(
    events: Sequence[ServerSentEvent], dialect: str = "openai-responses"
) -> tuple[list[StreamChunk], RxllmError | None]:
    decoder = get_reader(dialect).decoder()
    chunks: list[StreamChunk] = []
    try:
        for event in events:
            chunks += decoder.decode(event)
        chunks += decoder.close()
    except RxllmError as error:
        return chunks, error
    return chunks, None


def completion_of(chunks: Iterable[StreamChunk], *, ended: bool = True) -> ChatCompletion:
    accumulator = StreamAccumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.completion(ended=True) if ended else accumulator.partial()


@every_stream
def test_stream(case: dict[str, Any], wire: bytes) -> None:
    chunks, error = decode(events_of([wire]))
    completion = completion_of(chunks, ended=error is None)
    want = case["expected"]
    (choice,) = want["choices"]
    message = completion.message

    assert message.text == choice["content"]
    assert (message.reasoning_text or "") == choice["reasoning"]
    assert (message.refusal or "") == choice["refusal"]
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]
    assert calls == [(call["id"], call["name"], call["arguments"]) for call in choice["tool_calls"]]
    if want["error"] is None:
        assert error is None
        assert (completion.choices[0].model_extra or {})["native_finish_reason"] == choice["finish_reason"]
        ours = "tool_calls" if calls else OURS[choice["finish_reason"]]
        assert completion.choices[0].finish_reason == ours
    else:
        assert isinstance(error, APIStreamError)
        assert str(error) == want["error"]["message"]
        assert error.code == want["error"]["code"]
        assert error.retryable
    assert completion.repairs == ()
    check_usage(completion, want["usage"])
    for name, value in want["meta"].items():
        if (name, case["file"]) != ("id", OTHER_ID_AT_THE_END):
            assert completion.model_dump()[name] == value


def check_usage(completion: ChatCompletion, want: dict[str, Any] | None) -> None:
    if want is None:
        assert completion.usage is None
        return
    assert completion.usage is not None
    usage = completion.usage.model_dump()
    assert want.items() <= usage.items()
    assert usage["prompt_tokens"] == want["input_tokens"]
    assert usage["completion_tokens"] == want["output_tokens"]
    assert usage["total_tokens"] == want["total_tokens"]
    assert usage.get("prompt_tokens_details") == want.get("input_tokens_details")
    assert usage.get("completion_tokens_details") == want.get("output_tokens_details")


@every_stream
def test_parts_are_the_items(case: dict[str, Any], wire: bytes) -> None:
    chunks, error = decode(events_of([wire]))
    parts = completion_of(chunks, ended=error is None).message.parts

    assert [part.index for part in parts] == [item["index"] for item in case["expected"]["items"]]
    if error is None:
        assert all(part.final for part in parts)
        blocks = [(part.block or {}).get("type") for part in parts]
        assert blocks == [item["type"] for item in case["expected"]["items"]]
    for part in parts:
        block = part.block or {}
        if part.kind == PartKind.TEXT and "content" in block:
            assert part.text == "".join(each.get("text", "") for each in block["content"])


def same(chunks: list[StreamChunk], others: list[StreamChunk]) -> bool:
    return [(chunk, chunk.event) for chunk in chunks] == [(chunk, chunk.event) for chunk in others]


@every_body
def test_byte_by_byte(wire: bytes) -> None:
    whole, error = decode(events_of([wire]))
    chunks, other = decode(events_of(bytewise(wire)))

    assert same(chunks, whole)
    assert repr(other) == repr(error)


@every_body
def test_random_splits(wire: bytes) -> None:
    whole, _ = decode(events_of([wire]))

    def check(pieces: list[bytes]) -> None:
        assert same(decode(events_of(pieces))[0], whole)

    at_random_splits(wire, check)


@every_body
def test_each_event_is_on_one_chunk(wire: bytes) -> None:
    events = events_of([wire])
    chunks, _ = decode(events)

    assert [chunk.event for chunk in chunks if chunk.event] == [each.data for each in events if each.data != "[DONE]"]


@every_body
def test_auto_finds_it(wire: bytes) -> None:
    events = events_of([wire])

    assert same(decode(events, "auto")[0], decode(events)[0])


@every_stream
def test_a_cut_at_an_event_is_never_whole(case: dict[str, Any], wire: bytes) -> None:
    events = events_of([wire])
    ends = ("response.completed", "response.incomplete", "response.failed")
    last = next(at for at, each in enumerate(events) if json.loads(each.data)["type"] in ends)
    for length in places(last + 1):
        decoder = get_dialect("openai-responses").decoder()
        for event in events[:length]:
            list(decoder.decode(event))
        # Behind the event of an error only that is waited for.
        assert not decoder.finished or case["expected"]["error"] is not None
        cut = (TruncatedStreamError, EmptyStreamError)
        with pytest.raises((APIStreamError,) if decoder.finished else cut):
            list(decoder.close())


SAMPLE = ("openai-236", "openai-128", "huggingface-011", "openrouter-103", "xai-021", "openai-204")


@each_of([stream for stream in STREAMS if stream.name.startswith(SAMPLE)], "case", "wire")
def test_a_cut_at_a_byte_is_never_whole(case: dict[str, Any], wire: bytes) -> None:
    end = wire.index(b"\n", wire.rindex(b'"response"'))
    for length in places(end, 200):
        chunks, error = decode(events_of([wire[:length]]))
        assert error is not None
        completion_of(chunks, ended=False)
    assert case["expected"]["error"] or decode(events_of([wire]))[1] is None
