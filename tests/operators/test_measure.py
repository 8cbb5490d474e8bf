"""``measure``: how fast the items came, told once, however the stream is over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatRequest, LLMClient, StreamChunk, StreamInfo, Timing, Usage
from rxllm import operators as ops
from rxllm.flow import Emitter, task_source
from rxllm.models import marked
from rxllm.sinks import SQLiteSink
from rxllm.testing import Marbles, ScriptedServer, assert_marbles, finish_chunk, script, text_chunk, tool_chunk

REQUEST = ChatRequest(model="m", messages=[{"role": "user", "content": "q"}])
STREAM = StreamInfo(requested_at=0.02, first_byte_at=0.03, bytes=9)
USAGE = finish_chunk().model_copy(update={"usage": Usage(completion_tokens=8)})
LETTERS: dict[str, Any] = {"a": text_chunk(""), "b": text_chunk("Hel"), "c": tool_chunk(id="i", name="f"), "d": USAGE}


def measured(source: str, *, stream: StreamInfo | None = None, **how: Any) -> tuple[Timing, Any]:
    marbles, told = Marbles(), list[Timing]()
    letters = {name: marked(chunk, stream=stream) for name, chunk in LETTERS.items()}
    recording = marbles.run(marbles.cold(source, letters).pipe(ops.measure(on_end=told.append)), **how)
    (timing,) = told
    return timing, recording


def about(**fields: Any) -> Any:
    return {name: pytest.approx(value) for name, value in fields.items()}


def test_in_virtual_time() -> None:
    timing, recording = measured("--a-b---c-d--|")
    assert_marbles(recording, "--a-b---c-d--|", {name: marked(chunk, stream=None) for name, chunk in LETTERS.items()})
    assert timing.model_dump(exclude_none=True) == about(
        first_chunk=0.02,
        first_text=0.04,
        first_call=0.08,
        total=0.13,
        gap_p50=0.02,
        gap_p90=0.04,
        gap_longest=0.04,
        gap_longest_at=2,
        tokens_per_second=100.0,
        chunks=4,
        paused=0.0,
        elapsed=0.13,
        attempts=1,
    )


def test_from_the_request_where_one_is_known() -> None:
    timing, _ = measured("----a-b-|", stream=STREAM)
    assert timing.model_dump(include={"first_byte", "first_chunk", "first_text", "total", "elapsed", "bytes"}) == about(
        first_byte=0.01, first_chunk=0.02, first_text=0.04, total=0.06, elapsed=0.08, bytes=9
    )


def test_paused_time_is_apart() -> None:
    timing, _ = measured("-a-b-|", pauses="--[------]")
    assert timing.model_dump(include={"paused", "gap_longest", "total", "elapsed"}) == about(
        paused=0.07, gap_longest=0.01, total=0.02, elapsed=0.09
    )


@pytest.mark.parametrize(("source", "chunks"), [("-a-b-#", 2), ("-#", 0), ("|", 0)])
def test_once_however_it_ends(source: str, chunks: int) -> None:
    timing, _ = measured(source)
    assert timing.chunks == chunks


def test_when_it_is_left() -> None:
    timing, _ = measured("-a-b-a-b", subscribed="^----!")
    assert timing.chunks == 2


async def ten(emitter: Emitter[StreamChunk]) -> None:
    await emitter.emit([text_chunk("a")])
    await emitter.emit([text_chunk("a")] * 9)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_leaves_in_the_middle_of_a_batch_has_what_it_took(count: int) -> None:
    told = list[Timing]()
    rxllm.run(task_source(ten).pipe(ops.measure(on_end=told.append), rx_ops.take(count)))
    assert [timing.chunks for timing in told] == [count]


@pytest.mark.parametrize("below", [True, False])
async def test_when_it_is_stopped(below: bool) -> None:
    told, stop = list[Timing](), asyncio.Event()
    measure = ops.measure(on_end=told.append)

    def stop_now(_: StreamChunk) -> None:
        stop.set()

    def stopping(chunks: Observable[StreamChunk]) -> Observable[StreamChunk]:
        return chunks.pipe(rx_ops.do_action(stop_now), ops.stop_when(stop))

    def both(chunks: Observable[StreamChunk]) -> Observable[StreamChunk]:
        return measure(stopping(chunks)) if below else stopping(measure(chunks))

    stalls = [script.text("one"), script.stall()]
    async with ScriptedServer(stalls) as server, LLMClient(base_url=server.base_url) as client:
        answer = await client.chat_stream(REQUEST).pipe(both, ops.accumulate())
    assert answer.ending == "stopped"
    assert [timing.chunks for timing in told] == [1]
    assert answer.timing is not None
    assert answer.timing.chunks == 1


def test_an_error_of_a_consumer_is_an_end_too() -> None:
    told = list[Timing]()

    def fail(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rxllm.run(reactivex.of(1, 2).pipe(ops.measure(on_end=told.append), rx_ops.do_action(fail)))
    assert len(told) == 1


def test_an_exception_of_the_callback_takes_the_place_of_the_end() -> None:
    def fail(_: Timing) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        rxllm.run(reactivex.of(1, 2).pipe(ops.measure(on_end=fail)))
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        rxllm.run(reactivex.throw(KeyError("theirs")).pipe(ops.measure(on_end=fail)))
    assert isinstance(caught.value.__context__, KeyError)


async def test_an_exception_of_the_callback_of_a_stream_that_is_left_goes_to_whoever_subscribed() -> None:
    told = list[Exception]()

    def fail(_: Timing) -> None:
        raise ZeroDivisionError("mine")

    task_source(ten).pipe(ops.measure(on_end=fail)).subscribe(on_error=told.append).dispose()
    assert [str(error) for error in told] == ["mine"]


def test_the_callback_has_to_be_one() -> None:
    with pytest.raises(TypeError, match="on_end must be a function"):
        ops.measure(on_end="x")  # type: ignore[arg-type]


async def test_of_events_the_request_is_known_too() -> None:
    told = list[Timing]()
    async with ScriptedServer("Hello there.") as server:
        await rxllm.from_sse(server.url).pipe(ops.measure(on_end=told.append))
    assert told[0].first_byte is not None
    assert told[0].bytes
    assert told[0].first_text is None


async def test_a_recording_tells_what_was_stored(tmp_path: Path) -> None:
    path, told = tmp_path / "chats.db", list[Timing]()
    async with ScriptedServer("Hello there.") as server, LLMClient(base_url=server.base_url) as client:
        answer = await client.chat_stream(REQUEST).pipe(ops.tee_to(SQLiteSink(path)), ops.accumulate())
    await asyncio.sleep(0)
    replayed = await rxllm.from_recording(path).pipe(ops.measure(on_end=told.append), ops.accumulate())
    assert answer.timing is not None
    assert replayed == answer
    for timing in (told[0], replayed.timing):
        assert timing is not None
        assert timing.model_dump(exclude={"elapsed"}) == Timing(
            first_byte=answer.timing.first_byte, chunks=answer.timing.chunks
        ).model_dump(exclude={"elapsed"})


async def test_it_agrees_with_the_completion() -> None:
    told = list[Timing]()
    async with ScriptedServer("Hello.") as server, LLMClient(base_url=server.base_url) as client:
        answer = await client.chat_stream(REQUEST).pipe(ops.measure(on_end=told.append), ops.accumulate())
    assert answer.timing is not None
    # Each looks at the clock for itself: which of the gaps was the longest may differ.
    same = {"chunks", "bytes", "attempts", "first_byte"}
    assert told[0].model_dump(include=same) == answer.timing.model_dump(include=same)
    assert told[0].tokens_per_second is not None
