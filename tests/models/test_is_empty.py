"""What of a chunk is something of an answer."""

from __future__ import annotations

from typing import Any

import pytest

from rxllm.models import Delta, StreamChoice, StreamChunk, Usage


def of(delta: Any = None, **choice: Any) -> StreamChunk:
    return StreamChunk.from_wire({"id": "c", "choices": [{"index": 0, "delta": delta, **choice}]})


def call(**fields: Any) -> StreamChunk:
    return of({"tool_calls": [{"index": 0, **fields}]})


SOMETHING = {
    "text": of({"content": "Hi"}),
    "a space": of({"content": " "}),
    "text in parts": of({"content": [{"type": "text", "text": "Hi"}]}),
    "an image in parts": of({"content": [{"type": "image_url", "image_url": {"url": "data:"}}]}),
    "thoughts in parts": of({"content": [{"type": "thinking", "thinking": "Hm"}]}),
    "reasoning_content": of({"content": "", "reasoning_content": "Hm"}),
    "reasoning": of({"reasoning": "Hm"}),
    "reasoning_text": of({"reasoning_text": "Hm"}),
    "thinking": of({"thinking": "Hm"}),
    "reasoning_details": of({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}),
    "refusal": of({"refusal": "No"}),
    "identifier of a call": call(id="a"),
    "name of a call": call(function={"name": "f"}),
    "arguments": call(function={"arguments": "{"}),
    "arguments as an object": call(function={"arguments": {"a": 1}}),
    "custom tool": call(custom={"input": "x"}),
    "second call": of({"tool_calls": [{"index": 0}, {"index": 1, "id": "b"}]}),
    "older protocol": of({"function_call": {"arguments": "{"}}),
    "audio": of({"audio": {"data": "UklG"}}),
    "images": of({"images": [{"type": "image_url"}]}),
    "annotations": of({"annotations": [{"type": "url_citation"}]}),
    "text of a part": of({"part": {"index": 0, "text": "{"}}),
    "a block": of({"blocks": [{"index": 0, "block": {}}]}),
    "finish_reason": of({}, finish_reason="stop"),
    "a finish_reason of another word": of({}, finish_reason="moonrise"),
    "usage": StreamChunk.from_wire({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 0}}),
    "details of usage": StreamChunk.from_wire({"choices": [], "usage": {"details": [{"cached_tokens": 1}]}}),
    "the second choice": StreamChunk.from_wire({"choices": [{"delta": {}}, {"index": 1, "delta": {"content": "Hi"}}]}),
}

NOTHING = {
    "no choices": StreamChunk.from_wire({"id": "c", "choices": []}),
    "no fields": StreamChunk(),
    "no delta": StreamChunk.from_wire({"choices": [{"index": 0}]}),
    "delta null": of(None),
    "delta empty": of({}),
    "content empty": of({"content": ""}),
    "a part that begins": of({"part": {"index": 0, "kind": "text", "id": "a", "text": ""}, "blocks": []}),
    "content null": of({"content": None}),
    "parts without text": of({"content": [{"type": "text", "text": ""}]}),
    "no parts": of({"content": []}),
    "role": of({"role": "assistant", "content": ""}),
    "reasoning empty": of({"content": "", "reasoning_content": "", "reasoning": "", "reasoning_details": []}),
    "refusal empty": of({"refusal": ""}),
    "no calls": of({"tool_calls": []}),
    "a call without anything": of({"tool_calls": [{}]}),
    "a call with its place only": call(type="function", function={"name": "", "arguments": ""}, id=""),
    "older protocol, empty": of({"function_call": {"name": "", "arguments": ""}}),
    "audio without data": of({"audio": {"data": "", "transcript": ""}}),
    "custom tool without input": call(custom={"input": ""}),
    "blank finish_reason": of({}, finish_reason=""),
    "finish_reason null in words": of({}, finish_reason="null"),
    "usage of 0": StreamChunk.from_wire({"choices": [], "usage": {"prompt_tokens": 0, "details": {"a": 0, "b": [0]}}}),
    "usage of no number": StreamChunk.from_wire({"choices": [], "usage": {"currency": "USD", "is_byok": True}}),
    "padding": StreamChunk.from_wire({"choices": [{"delta": {}}], "obfuscation": "x7", "p": "abc"}),
    "what filters found": StreamChunk.from_wire({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
    "log probabilities": of({}, logprobs={"content": []}),
    "what nobody declared": of({"beat": 1, "content_parts": None}),
}


@pytest.mark.parametrize("chunk", SOMETHING.values(), ids=SOMETHING)
def test_something_of_an_answer(chunk: StreamChunk) -> None:
    assert not chunk.is_empty


@pytest.mark.parametrize("chunk", NOTHING.values(), ids=NOTHING)
def test_nothing_of_an_answer(chunk: StreamChunk) -> None:
    assert chunk.is_empty
    assert all(choice.delta.is_empty for choice in chunk.choices)


def test_of_a_delta_only_what_it_says_counts() -> None:
    chunk = StreamChunk(choices=[StreamChoice(delta=Delta(), finish_reason="stop")], usage=Usage(prompt_tokens=1))

    assert chunk.choices[0].delta.is_empty
    assert not chunk.is_empty
    assert not Delta(content="a").is_empty
    assert not Delta(reasoning="a").is_empty
