"""Fragments that nobody has read: whatever a stream mixes, folds say the same as if each chunk had been read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rxllm.accumulators import (
    JSONPathAccumulator,
    StreamAccumulator,
    ToolCallAccumulator,
    ToolCallProgressAccumulator,
)
from rxllm.exceptions import RxllmError, ToolCallError
from rxllm.models import StreamChunk
from rxllm.models._unread import Shape, Unread, UnreadChunk, shape_of, text_of, unread


def chunk_of(delta: dict[str, Any], choice: int = 0, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": choice, "delta": delta, "finish_reason": None}], **fields}


def call_of(choice: int = 0, **call: Any) -> dict[str, Any]:
    return chunk_of({"tool_calls": [{"function": {"arguments": "T"}, **call}]}, choice)


# Each with "T" for its text.
KINDS: list[dict[str, Any]] = [
    call_of(index=0),
    call_of(index=0, type="function"),
    call_of(index=0, id="a"),
    call_of(index=0, id="b", type="function", vendor={"x": 1}),
    call_of(index=0, id=""),
    call_of(index=0, function={"arguments": "T", "name": ""}),
    call_of(index=0, function={"arguments": "T", "name": "f"}),
    call_of(index=0, id="a", function={"arguments": "T", "name": "f"}),
    call_of(index=0, function={"arguments": "T", "more": "x"}),
    call_of(index=1),
    call_of(index=1, id="a"),
    call_of(1, index=0),
    call_of(),
    call_of(id="a"),
    call_of(id=" "),
    chunk_of({"tool_calls": [{"index": 0}, {"index": 0, "function": {"arguments": "T"}}]}),
    chunk_of({"content": "x", "tool_calls": [{"index": 0, "function": {"arguments": "T"}}]}),
    call_of(index=0) | {"obfuscation": "U"},
    call_of(index=0) | {"usage": {"total_tokens": 1}},
    chunk_of({"content": "T"}),
    chunk_of({"content": "T"}, 1),
    chunk_of({"reasoning_content": "T"}),
    chunk_of({"reasoning_content": "T", "content": ""}),
    chunk_of({"reasoning": "T", "content": None, "role": "assistant"}),
    chunk_of({"reasoning": "T"}) | {"obfuscation": "U"},
    chunk_of({"reasoning": "T", "reasoning_content": "x"}),
    chunk_of({"reasoning": "T", "thinking": "x"}),
    chunk_of({"refusal": "T"}),
]


def learnt(kind: dict[str, Any]) -> Shape:
    found = shape_of(StreamChunk.model_validate(kind), ("T", "U") if "obfuscation" in kind else ("T",))
    assert found is not None
    return found


SHAPES = [learnt(kind) for kind in KINDS]


class Made(NamedTuple):
    """How a chunk is made: a kind and its text, and whether somebody has read it; or all of it, at once read."""

    kind: int
    text: str = "T"
    is_read: bool = False

    def late(self) -> StreamChunk:
        """The chunk, unread unless it is said to be read."""
        if self.kind < 0:
            return self.early()
        shape = SHAPES[self.kind]
        chunk = UnreadChunk.of(Unread(shape, self._wire(), self.text, ["xyz"] * len(shape.beside)))
        if self.is_read:
            assert chunk == self.early()
        return chunk

    def early(self) -> StreamChunk:
        """The same as validation makes it."""
        return StreamChunk.from_wire(SINGLE[self.kind] if self.kind < 0 else self._wire())

    def _wire(self) -> str:
        return json.dumps(KINDS[self.kind]).replace('"T"', json.dumps(self.text)).replace('"U"', '"xyz"')


def run_of(kind: int, texts: Sequence[str]) -> list[Made]:
    return [Made(kind, text) for text in texts]


SINGLE = [
    call_of(index=0, id="a", function={"name": "f", "arguments": ""}),
    call_of(index=0, id="a", function={"name": "f", "arguments": '{"x":"'}),
    call_of(index=1, id="b", function={"name": "g", "arguments": "{}"}),
    call_of(index=0, function={"name": "f"}),
    call_of(index=0, function={"arguments": {"x": [1]}}),
    call_of(index=0, custom={"input": "ls"}, type="custom", function=None),
    chunk_of({"content": "x", "reasoning": "y"}),
    {"choices": [{"index": 0, "finish_reason": "tool_calls"}]},
    {"choices": [{"index": 0, "finish_reason": "length"}]},
    {"choices": [{"index": 1, "finish_reason": "stop"}], "usage": {"total_tokens": 1}},
]
TEXTS = st.sampled_from(["", " ", "{", "}", '{"x":"', '"', "a", "b c", '"}', ',"y":[1,', "2]}", "{}", "\\", "n", "1"])
RUNS = st.one_of(
    st.builds(run_of, st.integers(0, len(KINDS) - 1), st.lists(TEXTS, min_size=1, max_size=4)),
    st.builds(run_of, st.sampled_from([0, 2, 9]), st.lists(TEXTS, min_size=1, max_size=6)),
    st.tuples(st.builds(Made, st.integers(0, len(KINDS) - 1), TEXTS, st.just(value=True))),
    st.tuples(st.builds(Made, st.integers(-len(SINGLE), -1))),
)
STREAMS = st.lists(RUNS, max_size=6).map(lambda runs: [each for run in runs for each in run])
# By their place in SINGLE, from behind.
CALL, CALL_WITH_ARGUMENTS, OTHER_CALL, NAME, END = (Made(number - len(SINGLE)) for number in (0, 1, 2, 3, 7))
BEGUN = [CALL, *run_of(0, ['{"x":"', "a", "b", '"}'])]


class Folding(NamedTuple):
    """A fold: how it takes a chunk, and how the end."""

    process: Callable[[StreamChunk], Iterable[Any]]
    end: Callable[[], Iterable[Any]]


def completion(*, strict: bool, characters: int = 1000, snapshots: bool = True) -> Folding:
    accumulator = StreamAccumulator(strict=strict, max_characters=characters)

    def process(chunk: StreamChunk) -> list[Any]:
        accumulator.process_chunk(chunk)
        return [accumulator.snapshot(), accumulator.partial()] if snapshots else []

    return Folding(process, lambda: [accumulator.partial(), accumulator.completion(ended=True)])


def calls(*, eager: bool, strict: bool) -> Folding:
    accumulator = ToolCallAccumulator(eager=eager, strict=strict)
    return Folding(accumulator.process_chunk, lambda: [*accumulator.incomplete(), *accumulator.finish()])


def progress(*, strict: bool) -> Folding:
    accumulator = ToolCallProgressAccumulator(strict=strict)

    def process(chunk: StreamChunk) -> Iterator[Any]:
        for each in accumulator.process_chunk(chunk):
            yield each.choice, each.index, each.id, each.name, each.arguments, each.closed, each.call, each.changes

    return Folding(process, accumulator.incomplete)


def paths(of: Literal["arguments", "content"]) -> Folding:
    accumulator = JSONPathAccumulator(["x", "y[*]", "$"], of=of)
    return Folding(accumulator.process_chunk, accumulator.finish)


def texts() -> Folding:
    def process(chunk: StreamChunk) -> list[str]:
        return [text_of(chunk, choice) for choice in range(3)]

    return Folding(process, list[str])


FOLDS: dict[str, Callable[[], Folding]] = {
    "completion": lambda: completion(strict=False),
    "completion, strict": lambda: completion(strict=True),
    "completion, without snapshots": lambda: completion(strict=False, snapshots=False),
    "completion, few characters": lambda: completion(strict=False, characters=40),
    "calls": lambda: calls(eager=False, strict=False),
    "calls, strict": lambda: calls(eager=False, strict=True),
    "calls, eager": lambda: calls(eager=True, strict=False),
    "progress": lambda: progress(strict=False),
    "progress, strict": lambda: progress(strict=True),
    "paths into arguments": lambda: paths("arguments"),
    "paths into content": lambda: paths("content"),
    "texts": texts,
}


def outcome(fold: Folding, chunks: Sequence[StreamChunk]) -> list[Any]:
    """All that a fold says on its way, errors and what comes after them included."""
    said: list[Any] = []

    def note(found: Callable[[], Iterable[Any]]) -> None:
        try:
            said.extend(found())
        except RxllmError as error:
            said.append((type(error), str(error), sorted(vars(error).items())))

    for chunk in chunks:
        note(partial(fold.process, chunk))
    note(fold.end)
    return said


@pytest.mark.parametrize("fold", FOLDS.values(), ids=list(FOLDS))
@given(STREAMS)
@example([*BEGUN, *run_of(19, "xy"), *run_of(0, "cd"), END, *run_of(0, " x")])
@example([*run_of(21, ["", "a", "b"]), *run_of(23, ["", "c", "d", "e"]), *run_of(21, "ef")])
@example([*run_of(25, "a"), *run_of(23, ["", "b", "c"])])
@example([*BEGUN, NAME, *run_of(0, ["", "{", "}"])])
@example([*BEGUN, NAME, Made(0, "{", is_read=True), *run_of(0, "}")])
@example([CALL_WITH_ARGUMENTS, OTHER_CALL, *run_of(0, ["a", "b", '"}', ""])])
def test_any_stream_is_folded_as_if_each_chunk_had_been_read(fold: Callable[[], Folding], stream: list[Made]) -> None:
    late, early = [made.late() for made in stream], [made.early() for made in stream]
    assert outcome(fold(), late) == outcome(fold(), early)


@pytest.mark.parametrize(
    ("fold", "kind", "count"),
    [
        *((fold, kind, 1) for fold in ("completion", "calls", "progress") for kind in (0, 1, 2)),
        *((fold, 3, 2) for fold in ("completion", "calls", "progress")),
        ("paths into arguments", 0, 1),
        ("calls, eager", 0, 1),
        *(("completion", kind, 1) for kind in (19, 21, 23, 24, 27)),
        *((fold, kind, 0) for fold in ("calls", "progress") for kind in (19, 21, 27)),
        *(("paths into content", kind, 0) for kind in (0, 19, 21)),
        *((fold, kind, 4) for fold in ("completion", "calls") for kind in (6, 12)),
    ],
)
def test_what_need_not_be_read_stays_unread(fold: str, kind: int, count: int) -> None:
    read: list[bool] = []
    folding = completion(strict=False, snapshots=False) if fold == "completion" else FOLDS[fold]()
    list(folding.process(CALL_WITH_ARGUMENTS.late()))
    for chunk in [made.late() for made in run_of(kind, "abcd")]:
        list(folding.process(chunk))
        read.append(unread(chunk) is None)
    assert read == [True] * count + [False] * (4 - count)


def test_arguments_for_a_call_that_was_given_away_are_an_error_unread_as_well() -> None:
    accumulator = ToolCallAccumulator()
    for made in [CALL, *run_of(0, ["{", "}"]), END, *run_of(0, [" ", "\n"])]:
        accumulator.process_chunk(made.late())
    for made in run_of(0, "xy"):
        with pytest.raises(ToolCallError, match="arguments for 'f' came after the call was complete"):
            accumulator.process_chunk(made.late())


GROWING = {
    "content": [19, 20],
    "reasoning_content": [21, 22],
    "reasoning": [23, 24],
    "refusal": [27],
    "arguments": [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 13, 17],
    "": [6, 7, 12, 14, 15, 16, 18, 25, 26],
}


@pytest.mark.parametrize(("grows", "kind"), [(grows, kind) for grows, kinds in GROWING.items() for kind in kinds])
def test_a_shape_says_what_grows(grows: str, kind: int) -> None:
    assert SHAPES[kind].grows == grows
    assert SHAPES[kind].is_plain is (grows == "content")
