"""What the strategies draw is what it says, and covers what it is there for."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rxllm import StreamAccumulator
from rxllm.exceptions import MissingExtraError
from rxllm.models import ChatCompletion, StreamChunk
from rxllm.testing import strategies
from rxllm.testing.strategies import (
    StreamedAnswer,
    answers,
    chunks,
    completions,
    fragmentations,
    framings,
    server_sent_events,
)
from rxllm.wire import ServerSentEvent, SSEDecoder

T = TypeVar("T")


def accumulate(parts: tuple[StreamChunk, ...]) -> ChatCompletion:
    accumulator = StreamAccumulator()
    for chunk in parts:
        accumulator.add(chunk)
    return accumulator.completion()


def decode(*reads: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for read in reads for event in decoder.feed(read)]


@given(answers())
def test_the_pieces_of_an_answer_are_its_completion(answer: StreamedAnswer) -> None:
    assert accumulate(answer.chunks).model_dump() == answer.completion.model_dump()


@given(answers(max_choices=1, max_tool_calls=0))
def test_answers_are_as_large_as_they_may_be(answer: StreamedAnswer) -> None:
    assert [choice.message.tool_calls for choice in answer.completion.choices] == [[]]


@given(chunks(), completions(max_choices=2))
def test_single_chunks_and_completions(chunk: StreamChunk, completion: ChatCompletion) -> None:
    assert StreamChunk.from_wire(chunk.model_dump_json()) == chunk
    assert completion.complete
    assert len(completion.choices) <= 2


@given(st.data(), st.binary(max_size=50))
def test_a_fragmentation_is_the_bytes(data: st.DataObject, whole: bytes) -> None:
    assert b"".join(data.draw(fragmentations(whole))) == whole


@given(st.data(), st.lists(server_sent_events(), max_size=4))
def test_every_framing_says_the_same(data: st.DataObject, events: list[ServerSentEvent]) -> None:
    assert decode(data.draw(framings(events))) == events


@given(st.data(), answers(max_choices=1))
def test_from_the_answer_to_the_bytes(data: st.DataObject, answer: StreamedAnswer) -> None:
    reads = data.draw(fragmentations(data.draw(framings(answer.events))))
    *events, last = decode(*reads)
    assert last.data == "[DONE]"
    assert tuple(StreamChunk.from_wire(event.data) for event in events) == answer.chunks


EVENTS = [ServerSentEvent("a\n b", id="1"), ServerSentEvent("b", id=""), ServerSentEvent("", event="note", id="2")]

FRAMED: dict[str, Callable[[bytes], bool]] = {
    "CRLF": lambda stream: b"\r\n" in stream,
    "lone CR": lambda stream: b"\r" in stream.replace(b"\r\n", b""),
    "mixed": lambda stream: b"\r\n\n" in stream and b"a\r " not in stream,
    "byte order mark": lambda stream: stream.startswith(b"\xef\xbb\xbf"),
    "comment": lambda stream: b": keep-alive" in stream,
    "no space": lambda stream: b"data:a" in stream,
    "no colon": lambda stream: b"data\n" in stream,
    "identifier reset": lambda stream: b"id\n" in stream or b"id:\n" in stream,
    "fields behind the data": lambda stream: b"b\nid:" in stream,
}


READS: dict[str, Callable[[list[bytes]], bool]] = {
    "whole": lambda reads: reads == ["\N{EURO SIGN}!".encode()],
    "within a character": lambda reads: b"\xe2\x82" in reads,
    "byte by byte": lambda reads: [len(read) for read in reads] == [1, 1, 1, 1],
    "empty": lambda reads: b"" in reads,
}


def fragments(answer: StreamedAnswer) -> list[Any]:
    deltas = [choice.delta for chunk in answer.chunks for choice in chunk.choices]
    return [call for delta in deltas for call in delta.tool_calls or ()]


def places_of_calls(answer: StreamedAnswer) -> list[int]:
    """Of choice 0, where it says which call a fragment is of."""
    deltas = [choice.delta for chunk in answer.chunks for choice in chunk.choices if choice.index == 0]
    return [call.index for delta in deltas for call in delta.tool_calls or () if call.index is not None]


ANSWERED: dict[str, Callable[[StreamedAnswer], bool]] = {
    "several choices in a chunk": lambda answer: any(len(chunk.choices) > 1 for chunk in answer.chunks),
    "reasoning": lambda answer: bool(answer.completion.message.reasoning_content),
    "reasoning in the other spelling": lambda answer: bool(answer.completion.message.reasoning),
    "calls without an index": lambda answer: any(call.index is None for call in fragments(answer)),
    "calls that take turns": lambda answer: (places := places_of_calls(answer)) != sorted(places),
    "an identifier again": lambda answer: len([call for call in fragments(answer) if call.id == "call-0-0"]) > 1,
    "a blank identifier": lambda answer: any(call.id == "" for call in fragments(answer)),
    "usage of its own": lambda answer: answer.chunks[-1].usage is not None and not answer.chunks[-1].choices,
    "no usage": lambda answer: answer.completion.usage is None,
    "an answer cut short": lambda answer: answer.completion.choices[0].finish_reason == "length",
}


class AllSeenError(Exception):
    """There is nothing left to draw for."""


def never(strategy: st.SearchStrategy[T], cases: Mapping[str, Callable[[T], bool]]) -> list[str]:
    """The kinds of values that a strategy draws never; it draws the same each time, until it has drawn all kinds."""
    left = dict(cases)

    @settings(max_examples=1000, database=None, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)
    @given(strategy)
    def draw(value: T) -> None:
        for name in [name for name, seen in left.items() if seen(value)]:
            del left[name]
        if not left:
            raise AllSeenError

    with suppress(AllSeenError):
        draw()
    return [*left]


def test_answers_fragmentations_and_framings_are_of_all_kinds() -> None:
    assert never(answers(), ANSWERED) == []
    assert never(fragmentations("\N{EURO SIGN}!".encode()), READS) == []
    assert never(framings(EVENTS), FRAMED) == []


def test_without_hypothesis_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    spec = importlib.util.spec_from_file_location("strategies_again", Path(strategies.__file__))
    assert spec is not None
    assert spec.loader is not None

    with pytest.raises(MissingExtraError, match=r"needs Hypothesis: install rxllm\[testing\]") as caught:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert caught.value.extra == "rxllm[testing]"
