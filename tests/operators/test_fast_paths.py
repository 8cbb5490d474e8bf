"""Operators take a batch as they take its items one by one, and a likeness as they take a chunk in full."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
import reactivex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from reactivex import Observable
from reactivex import operators as rx_ops
from reactivex.disposable import SerialDisposable

import rxllm
from rxllm import FlowControl, StreamAccumulator, StreamChoice, StreamChunk
from rxllm import operators as ops
from rxllm.accumulators import Conflation
from rxllm.flow import Emitter, Operation, operate, task_source
from tests.thorough import times


def made(delta: dict[str, Any], *, choice: int = 0, **fields: Any) -> dict[str, Any]:
    return {"id": "c-1", "model": "m", "choices": [{"index": choice, "delta": delta, "finish_reason": None}], **fields}


KINDS: list[dict[str, Any]] = [
    made({"content": "{0}"}),
    made({"content": "{0}"}, obfuscation="{1}"),
    made({"role": "assistant", "content": "{0}", "refusal": None}, created=2, provider={"a": None}),
    made({"content": "{0}"}, choice=1),
    made({"content": "{0}"}, id="c-2"),
    {"choices": [{"index": 0, "delta": {"content": "{0}", "annotations": []}, "seen": 1}]},
    made({"reasoning_content": "{0}"}),
    made({"reasoning": "{0}", "content": "x"}),
    made({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": "{0}"}}]}),
    made({"content": "{0}"}, trace={"span": "{1}", "sampled": True}),
    made({"content": "{0}"}, seen="{1}", obfuscation="{1}"),
    made({"reasoning": "{0}", "reasoning_details": [{"text": "{1}"}]}, trace=1),
    made({"reasoning": "{0}", "reasoning_details": [{"text": "{1}"}]}),
    made({"content": "{0}"}, created=0),
    made({"content": "{0}"}, created=7),
]
SINGLE: list[dict[str, Any]] = [
    {"choices": [], "usage": {"total_tokens": 1}},
    made({"content": "<think>Hm", "reasoning": "First. "}),
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 0, "delta": {"content": "b"}}]},
    {"choices": [{"index": 1, "delta": {"content": "a</think>"}}, {"index": 0, "delta": {"content": "b<"}}]},
    {"choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": {"content": []}}]},
    {"choices": [{"index": 0, "delta": {"content": "x", "role": "tool", "thinking": "y"}}], "provider": "p"},
]


def wire_of(value: dict[str, Any], text: str, beside: str) -> str:
    return json.dumps(value).replace('"{0}"', json.dumps(text)).replace('"{1}"', json.dumps(beside))


class Piece(BaseModel):
    """How a chunk is made, so that there can be two of them."""

    kind: int
    text: str = ""
    beside: str = ""

    def chunk(self) -> StreamChunk:
        if self.kind < 0:
            return StreamChunk.model_validate(SINGLE[self.kind])
        return StreamChunk.from_wire(wire_of(KINDS[self.kind], self.text, self.beside))


TEXTS = st.sampled_from(["", "a", "bc", "<", "<think>", "think>", "x</think>", "</", "<think>y</think>z<"])
PIECES = st.one_of(
    st.builds(Piece, kind=st.integers(0, len(KINDS) - 1), text=TEXTS, beside=TEXTS),
    st.builds(Piece, kind=st.integers(0, 2), text=TEXTS, beside=TEXTS),
    st.builds(Piece, kind=st.integers(9, 12), text=TEXTS, beside=TEXTS),
    st.builds(Piece, kind=st.sampled_from([0, 13, 14]), text=TEXTS, beside=TEXTS),
    st.builds(Piece, kind=st.integers(-len(SINGLE), -1)),
)
SEQUENCES = st.lists(PIECES, max_size=12)


def part(value: Any) -> Any:
    """All that a model consists of, to its last part; a chunk compares by that already."""
    if isinstance(value, BaseModel):
        # How fast an answer came is kept beside the fields, and is no part of it.
        fields = [(name, part(each)) for name, each in vars(value).items() if name in type(value).model_fields]
        return (value.__class__, fields, value.__pydantic_fields_set__, part(value.__pydantic_extra__))
    if isinstance(value, dict):
        return [(name, part(each)) for name, each in cast("dict[str, Any]", value).items()]
    return [part(each) for each in cast("Sequence[Any]", value)] if isinstance(value, list) else (type(value), value)


OPERATORS: dict[str, Callable[[], Callable[[Observable[Any]], Observable[Any]]]] = {
    "content": ops.content,
    "split_reasoning": ops.split_reasoning,
    "split_reasoning, begun": lambda: ops.split_reasoning(begins_inside=True),
    "split_reasoning, twice": lambda: _composed(ops.split_reasoning("x"), ops.split_reasoning(begins_inside=True)),
    "split_reasoning and accumulate": lambda: _composed(ops.split_reasoning(), ops.accumulate()),
    "split_reasoning and snapshots": lambda: _composed(ops.split_reasoning(), ops.accumulate_snapshots()),
    "accumulate_snapshots": ops.accumulate_snapshots,
}


def _composed(
    first: Callable[[Observable[Any]], Observable[Any]], second: Callable[[Observable[Any]], Observable[Any]]
) -> Callable[[Observable[Any]], Observable[Any]]:
    return lambda source: source.pipe(first, second)


# Batches


class Consumer:
    """Notes what comes; pauses and leaves where it is told to."""

    def __init__(self, pause_every: int, leave_at: int) -> None:
        self.said: list[Any] = []
        self._pause_every = pause_every
        self._leave_at = leave_at
        self._flow: FlowControl | None = None

    async def consume(self, source: Observable[Any]) -> list[Any]:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        subscription = SerialDisposable()

        def on_next(item: Any) -> None:
            self.said.append(part(item) if isinstance(item, BaseModel) else item)
            assert self._flow is None, "delivered while a pause is held"
            if len(self.said) == self._leave_at:
                subscription.dispose()
                end(None)
            elif self._pause_every and not len(self.said) % self._pause_every:
                self._flow = FlowControl.current()
                if self._flow is not None:
                    self._flow.pause(self)
                    asyncio.get_running_loop().call_soon(resume)

        def resume() -> None:
            flow, self._flow = self._flow, None
            assert flow is not None
            flow.resume(self)

        def end(error: Exception | None) -> None:
            self.said.append(repr(error))
            if not ended.done():
                ended.set_result(None)

        subscription.disposable = source.subscribe(on_next, end, lambda: end(None))
        async with asyncio.timeout(10):
            await ended
        return self.said


def reads_of(reads: Sequence[Sequence[Any]], *, batches: bool) -> Observable[Any]:
    async def produce(emitter: Emitter[Any]) -> None:
        for read in reads:
            if batches:
                await emitter.emit([*read])
            else:
                for item in read:
                    await emitter.emit((item,))

    return task_source(produce)


class Passing(Operation[Any, Any]):
    """Passes on together what comes together, as our own operators do."""

    def on_batch(self, items: Sequence[Any]) -> int:
        return self.out.offer(items)


READS = st.lists(st.lists(PIECES, min_size=2, max_size=6), max_size=3)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
@settings(max_examples=times(40))
@given(READS, st.integers(0, 3), st.integers(0, 6), st.booleans())
def test_batches_give_what_items_give_one_by_one(
    operator: Callable[[], Callable[[Observable[Any]], Observable[Any]]],
    reads: list[list[Piece]],
    pause_every: int,
    leave_at: int,
    is_batched_below: bool,
) -> None:
    def run(*, batches: bool) -> list[Any]:
        chunks = [[piece.chunk() for piece in read] for read in reads]
        below = [operate(Passing)] if is_batched_below else []
        source = reads_of(chunks, batches=batches).pipe(operator(), *below)
        return asyncio.run(Consumer(pause_every, leave_at).consume(source))

    assert run(batches=True) == run(batches=False)


@given(st.binary(max_size=20).map(lambda noise: b"data: 1\n\ndata: 2\n\n" + noise + b"\n\ndata: 3\n\n"), st.data())
def test_blocks_in_a_batch_give_what_blocks_give_one_by_one(body: bytes, data: st.DataObject) -> None:
    at = sorted(data.draw(st.lists(st.integers(0, len(body)), min_size=3, max_size=6)))
    blocks = [body[start:end] for start, end in zip([0, *at], [*at, len(body)], strict=True)]
    pause_every, leave_at, limit = (data.draw(st.integers(0, 3)), data.draw(st.integers(0, 4)), data.draw(LIMITS))

    def run(*, batches: bool) -> list[Any]:
        source = reads_of([blocks], batches=batches).pipe(ops.decode_sse(max_event_bytes=limit))
        return asyncio.run(Consumer(pause_every, leave_at).consume(source))

    assert run(batches=True) == run(batches=False)


LIMITS = st.sampled_from([8, 1000])

# Snapshots


@given(st.lists(st.tuples(PIECES, st.booleans()), max_size=14))
@example(
    [
        (Piece(kind=1, text="a", beside="1"), True),
        (Piece(kind=1, text="b", beside="2"), True),
        (Piece(kind=1, text="c", beside="3"), False),
        (Piece(kind=-1), True),
        (Piece(kind=1, text="d", beside="4"), True),
        (Piece(kind=1, text="e", beside="5"), True),
    ]
)
def test_a_snapshot_is_the_answer_as_it_was(pieces: list[tuple[Piece, bool]]) -> None:
    accumulator = StreamAccumulator()
    taken: list[rxllm.ChatCompletion] = []
    expected: list[dict[str, Any]] = []
    for piece, is_asked_for in pieces:
        accumulator.add(piece.chunk())
        if is_asked_for:
            taken.append(accumulator.snapshot())
            # Made of the accumulator as it is now, by way of no snapshot.
            expected.append(accumulator.partial().model_dump(exclude={"complete", "ending"}))
    assert [snapshot.model_dump(exclude={"complete", "ending"}) for snapshot in taken] == expected


def test_repairs_that_reading_finds_have_the_position_of_the_snapshot() -> None:
    accumulator = StreamAccumulator()
    call = made({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]})
    call["choices"][0]["finish_reason"] = "tool_calls"
    accumulator.add(StreamChunk.model_validate(call))
    snapshots = [accumulator.snapshot()]
    for _ in range(2):
        accumulator.add(StreamChunk.model_validate(made({"content": "x"})))
        snapshots.append(accumulator.snapshot())
    positions = [{repair.position for repair in snapshot.repairs} for snapshot in snapshots]
    assert positions == [{0}, {1}, {2}]
    assert [snapshot.message.content for snapshot in snapshots] == [None, "x", "xx"]


# Text that waits and becomes one


@given(SEQUENCES)
def test_merging_loses_nothing_that_is_accumulated(pieces: list[Piece]) -> None:
    plain, merged = StreamAccumulator(), StreamAccumulator()
    waiting: list[Conflation[StreamChunk]] = []
    single: list[StreamChunk] = []
    for piece in pieces:
        chunk = piece.chunk()
        plain.add(piece.chunk())
        if not waiting or not waiting[-1].add(chunk):
            waiting.append(Conflation(chunk))
            single.append(chunk)
            continue
        single[-1] = waiting[-1].close()
    for chunk in single:
        merged.add(chunk)
    excluded = {"repairs", "created"}  # have positions; is that of the last
    assert merged.partial().model_dump(exclude=excluded) == plain.partial().model_dump(exclude=excluded)


@pytest.mark.parametrize("padding", ["obfuscation", "p"])
def test_what_is_merged_is_as_the_last_said_it(padding: str) -> None:
    chunks = [StreamChunk.model_validate(made({"content": text}) | {padding: text}) for text in "abcd"]
    conflation = Conflation(chunks[0])
    assert all(conflation.add(chunk) for chunk in chunks[1:])
    merged = conflation.close()
    assert merged.text == "abcd"
    assert getattr(merged, padding) == "d"


# A likeness


@given(SEQUENCES, st.booleans())
def test_chunks_that_are_alike_add_up_as_those_that_are_not(pieces: list[Piece], begins_inside: bool) -> None:
    # Of two choices neither is like the one before.
    alike, unlike = StreamAccumulator(), StreamAccumulator()
    split = [ops.split_reasoning(begins_inside=begins_inside)] if begins_inside else []
    source = reactivex.from_iterable([piece.chunk() for piece in pieces])
    chunks: list[StreamChunk] = []
    source.pipe(*split).subscribe(chunks.append)
    other = StreamChoice(index=7)
    for chunk in chunks:
        alike.add(chunk)
        unlike.add(chunk.model_copy(update={"choices": (*chunk.choices, other)}))
    left = alike.partial().model_dump()
    right = unlike.partial().model_dump()
    right["choices"] = [choice for choice in right["choices"] if choice["index"] != 7]
    assert left == right


async def test_content_of_another_choice_is_none() -> None:
    chunks = [Piece(kind=3, text="a").chunk(), Piece(kind=0).chunk(), Piece(kind=6, text="Hm").chunk()]
    assert await reactivex.from_iterable(chunks).pipe(ops.content(), rx_ops.to_list()) == []
