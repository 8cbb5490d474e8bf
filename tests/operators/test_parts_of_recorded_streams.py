"""The parts of answers that servers really sent."""

from __future__ import annotations

import reactivex

import rxllm
from rxllm import operators as ops
from rxllm.accumulators import Conflation, StreamAccumulator
from rxllm.models import ChatCompletion, Message, MessagePart, PartDelta, PartEnd, PartEvent, PartStart, StreamChunk
from rxllm.stores import SlotsDecoder, SlotsEncoder, decode_item, encode_item
from rxllm.stores._lossless_json import dumps, loads
from tests.recorded import each_of, streams

every_stream = each_of(streams("openai-chat", "anthropic", "openai-responses", "cohere"), "dialect", "wire")


def chunks_of(dialect: str, wire: bytes) -> tuple[list[StreamChunk], bool]:
    """The chunks of a stream, and whether it ended well."""
    chunks: list[StreamChunk] = []
    errors: list[Exception] = []
    source = reactivex.of(wire).pipe(ops.decode_sse(), ops.parse(dialect))
    source.subscribe(chunks.append, errors.append)
    return chunks, not errors


def events_of(chunks: list[StreamChunk]) -> list[PartEvent]:
    events: list[PartEvent] = []
    reactivex.from_iterable(chunks).pipe(ops.parts()).subscribe(events.append)
    return events


def stored(chunks: list[StreamChunk]) -> list[StreamChunk]:
    """The chunks as a store gives them back."""
    encoder, decoder = SlotsEncoder(), SlotsDecoder()
    found: list[StreamChunk] = []
    for chunk in chunks:
        kind, value = encode_item(chunk)
        found.append(decode_item(kind, loads(dumps(value))))
        decoder.restore(found[-1], loads(dumps(encoder.encode(chunk))))
    return found


def folded(chunks: list[StreamChunk]) -> ChatCompletion:
    accumulator = StreamAccumulator()
    accumulator.add_all(chunks)
    return accumulator.partial()


@every_stream
def test_each_part_begins_once_and_ends_with_all_that_was_said(dialect: str, wire: bytes) -> None:
    chunks, is_whole = chunks_of(dialect, wire)
    said: dict[tuple[int, int], str] = {}
    ended: dict[tuple[int, int], MessagePart] = {}
    for event in events_of(chunks):
        key = event.choice, event.index
        match event:
            case PartStart():
                assert key not in said
                assert key not in ended
                said[key] = ""
            case PartDelta(text=text):
                said[key] += text
            case PartEnd(part=part):
                whole = said.pop(key)
                assert part.text == whole or part.kind == "tool_call"
                ended[key] = part
    assert not said
    if dialect == "openai-chat" or not is_whole:
        return
    accumulator = StreamAccumulator()
    accumulator.add_all(chunks)
    for choice in accumulator.completion(ended=True).choices:
        parts = [part for (index, _), part in sorted(ended.items()) if index == choice.index]
        # A later block may have replaced that of a part that had ended, under another identifier.
        assert [unchanging(part) for part in parts] == [unchanging(part) for part in choice.message.parts]


def unchanging(part: MessagePart) -> MessagePart:
    return part.model_copy(update={"block": None, "id": part.id if part.kind == "tool_call" else None})


@every_stream
def test_a_stream_that_was_stored_gives_the_same(dialect: str, wire: bytes) -> None:
    chunks, _ = chunks_of(dialect, wire)
    again = stored(chunks)
    assert again == chunks
    assert [chunk.event for chunk in again] == [chunk.event for chunk in chunks]
    assert events_of(again) == events_of(chunks)
    assert folded(again) == folded(chunks)
    for choice in folded(chunks).choices:
        assert Message.model_validate_json(choice.message.model_dump_json()) == choice.message


@every_stream
def test_each_snapshot_is_what_had_come(dialect: str, wire: bytes) -> None:
    chunks, _ = chunks_of(dialect, wire)
    accumulator = StreamAccumulator()
    snapshots: list[ChatCompletion] = []
    for chunk in chunks:
        accumulator.add(chunk)
        snapshots.append(accumulator.snapshot())
    for count in {1, len(chunks) // 3, len(chunks) // 2, len(chunks)} - {0}:
        if count <= len(chunks):
            whole = StreamAccumulator()
            whole.add_all(chunks[:count])
            assert snapshots[count - 1] == whole.snapshot()


@every_stream
def test_a_whole_answer_is_as_it_came(dialect: str, wire: bytes) -> None:
    chunks, is_whole = chunks_of(dialect, wire)
    if dialect == "openai-chat" or not is_whole:
        return
    message = rxllm.run(reactivex.from_iterable(chunks).pipe(ops.accumulate())).message
    splitting = ops.split_reasoning(anywhere=True), ops.accumulate()
    split = rxllm.run(reactivex.from_iterable(chunks).pipe(*splitting)).message
    assert message.is_as_it_came
    assert split.is_as_it_came
    assert [part.block for part in split.parts] == [part.block for part in message.parts]


@every_stream
def test_chunks_that_were_conflated_have_the_same_parts(dialect: str, wire: bytes) -> None:
    chunks, _ = chunks_of(dialect, wire)
    conflated: list[StreamChunk] = []
    left = chunks
    while left:
        first, rest = left[0], left[1:]
        waiting, count = Conflation(first), 0
        while count < len(rest) and waiting.add(rest[count]):
            count += 1
        conflated.append(waiting.close() if count else first)
        left = rest[count:]
    before, after = folded(chunks), folded(conflated)
    assert [choice.message for choice in after.choices] == [choice.message for choice in before.choices]
