"""``timeout_per_chunk``: chunks that say nothing of an answer are silence, and the error tells which silence it was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import StreamChunk, StreamInfo
from rxllm import operators as ops
from rxllm.exceptions import ChunkTimeoutError
from rxllm.flow import Emitter, FlowControl, task_source
from rxllm.models import Usage, marked
from rxllm.testing import (
    Marbles,
    ScriptedServer,
    assert_marbles,
    assert_subscriptions,
    finish_chunk,
    run_virtual,
    script,
    text_chunk,
    tool_chunk,
)

# A frame is 10 ms. "e" says nothing, "a" and "b" say something.

EMPTY = text_chunk("")
TEXT = text_chunk("Hi")


def gap(chunks: int, empty: int = 0, *, seconds: float = 0.05, count: int | None = None) -> ChunkTimeoutError:
    return ChunkTimeoutError("gap", seconds, chunks, empty=empty, bytes=count)


def first(chunks: int, *, seconds: float = 0.05, count: int | None = None) -> ChunkTimeoutError:
    return ChunkTimeoutError("first", seconds, chunks, empty=chunks, bytes=count)


@pytest.mark.parametrize(
    ("source", "result", "error"),
    [
        ("--a-e-e-e-e-b-|", "--a-e-e#", gap(3, 2)),
        ("--a-e-b-e-a-e-b-|", "--a-e-b-e-a-e-b-|", None),
        ("--a-e-e-b-e-e-|", "--a-e-e#", gap(3, 2)),
        ("--a-e-b-e-e-e-|", "--a-e-b-e-e#", gap(5, 2)),
        ("-e-e-e-e-a-|", "-e-e-#", first(2)),
        ("-e-e-", "-e-e-#", first(2)),
        ("-e-a-e-|", "-e-a-e-|", None),
        # Several at once.
        ("--a-(ee)-(ee)-|", "--a-(ee) @70ms #", gap(3, 2)),
        ("--a-(eb)-(ae)-----|", "--a-(eb)-(ae) @140ms #", gap(5, 1)),
        ("-(eee)-", "-(eee) @50ms #", first(3)),
    ],
)
def test_chunks_that_say_nothing_are_silence(source: str, result: str, error: Exception | None) -> None:
    marbles = Marbles()
    letters = {"a": text_chunk("Hel"), "b": tool_chunk("{"), "e": EMPTY}

    recording = marbles.run(marbles.cold(source, letters).pipe(ops.timeout_per_chunk(0.05)))

    assert_marbles(recording, result, letters, error=error)


@pytest.mark.parametrize(
    "beat",
    [
        StreamChunk(),
        StreamChunk(id="c", model="m"),
        StreamChunk.from_wire('{"choices":[{"delta":{"role":"assistant","content":""}}]}'),
        StreamChunk.from_wire('{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":""}}]}}]}'),
        StreamChunk(usage=Usage(prompt_tokens=0)),
        StreamChunk(obfuscation="x7"),
    ],
)
def test_whatever_they_are_made_of(beat: StreamChunk) -> None:
    marbles = Marbles()

    recording = marbles.run(
        marbles.cold("--a-e-e-e-e-|", a=text_chunk("Hel"), e=beat).pipe(ops.timeout_per_chunk(0.05))
    )

    assert_marbles(recording, "--a-e-e#", a=text_chunk("Hel"), e=beat, error=gap(3, 2))


@pytest.mark.parametrize(
    "chunk", [text_chunk(" "), tool_chunk(name="f"), finish_chunk(), StreamChunk(usage=Usage(prompt_tokens=3))]
)
def test_all_that_says_something_is_progress(chunk: StreamChunk) -> None:
    marbles = Marbles()

    recording = marbles.run(marbles.cold("--a---a---a--|", a=chunk).pipe(ops.timeout_per_chunk(0.05)))

    assert_marbles(recording, "--a---a---a--|", a=chunk)


@pytest.mark.parametrize("item", ["", b"", None, 0, rxllm.ChatCompletion(complete=False)])
def test_an_item_of_another_class_always_is(item: Any) -> None:
    marbles = Marbles()

    recording = marbles.run(marbles.cold("--a---a---a--|", a=item).pipe(ops.timeout_per_chunk(0.05)))

    assert_marbles(recording, "--a---a---a--|", a=item)


def test_the_time_for_the_first_goes_on_while_nothing_is_said() -> None:
    marbles = Marbles()
    source = marbles.cold("-e-e-e-e-e-e-e-", e=EMPTY)

    recording = marbles.run(source.pipe(ops.timeout_per_chunk(0.03, first=0.1)))

    assert_marbles(recording, "-e-e-e-e-e#", e=EMPTY, error=first(5, seconds=0.1))
    assert_subscriptions(source, "^---------!")


def test_the_gap_counts_from_the_first_that_says_something() -> None:
    marbles = Marbles()
    letters = {"e": EMPTY, "a": text_chunk("a")}
    source = marbles.cold("-e-----a--e--", letters)

    recording = marbles.run(source.pipe(ops.timeout_per_chunk(0.04, first=0.1)))

    assert_marbles(recording, "-e-----a--e#", letters, error=gap(3, 1, seconds=0.04))


def test_another_source_takes_over_for_them() -> None:
    marbles = Marbles()
    letters = {"e": EMPTY, "a": text_chunk("a"), "x": text_chunk("x")}
    source = marbles.cold("-a-e-e-e-e-", letters)
    other = marbles.cold("-x-e-e-e-|", letters)

    recording = marbles.run(source.pipe(ops.timeout_per_chunk(0.05, other=other)))

    # The other one has a limit of its own, or none.
    assert_marbles(recording, "-a-e-e-x-e-e-e-|", letters)
    assert_subscriptions(source, "^-----!")


def test_what_a_consumer_pauses_for_does_not_count_though_nothing_is_said() -> None:
    marbles = Marbles()
    letters = {"e": EMPTY, "a": text_chunk("a")}

    # 20 ms, then a pause of 300 ms, then 30 ms.
    recording = marbles.run(marbles.cold("-a-e-e-e", letters).pipe(ops.timeout_per_chunk(0.05)), pauses="---[ 300ms ]")

    assert_marbles(recording, "-a @340ms (eee) @370ms #", letters, error=gap(4, 3))


def test_nor_if_it_pauses_before_anything_is_said() -> None:
    marbles = Marbles()

    recording = marbles.run(marbles.cold("-e-e-e", e=EMPTY).pipe(ops.timeout_per_chunk(0.05)), pauses="--[ 300ms ]")

    assert_marbles(recording, "-e @330ms (ee) @360ms #", e=EMPTY, error=first(3))


def test_the_pauses_of_one_source_after_the_other_add_up() -> None:
    """The second speaks, and says nothing: what was paused of the first counts as well."""
    marbles = Marbles()
    letters = {"e": EMPTY, "a": text_chunk("a")}
    one, two = marbles.cold("-a-e|", letters), marbles.cold("-e-e-e", letters)

    recording = marbles.run(one.pipe(rx_ops.concat(two), ops.timeout_per_chunk(0.05)), pauses="--[ 100ms ]")

    assert recording.error is not None
    assert isinstance(recording.error, ChunkTimeoutError)
    assert recording.error.phase == "gap"


# Batches


@pytest.mark.parametrize("batch", ["ea", "ae", "eae", "eeea", "aaae"])
def test_a_batch_is_progress_if_one_of_its_chunks_is(batch: str) -> None:
    chunks = [EMPTY if letter == "e" else TEXT for letter in batch]

    async def produce(emitter: Emitter[StreamChunk]) -> None:
        await emitter.emit([TEXT])
        for _ in range(4):
            await asyncio.sleep(0.4)
            await emitter.emit(list(chunks))

    async def main() -> int:
        return await task_source(produce).pipe(ops.timeout_per_chunk(0.5), rx_ops.count())

    assert run_virtual(main()) == 1 + 4 * len(batch)


def test_a_batch_of_chunks_that_say_nothing_is_none() -> None:
    taken: list[float] = []

    async def produce(emitter: Emitter[StreamChunk]) -> None:
        await emitter.emit([TEXT, TEXT])
        for _ in range(4):
            await asyncio.sleep(0.2)
            await emitter.emit([EMPTY, EMPTY, EMPTY])

    async def main() -> ChunkTimeoutError:
        with pytest.raises(ChunkTimeoutError) as caught:
            # Behind it a queue that is full, so that not all of a batch is taken at once.
            await task_source(produce).pipe(
                ops.timeout_per_chunk(0.5), ops.map_async(_at_once, max_concurrency=1), rx_ops.do_action(taken.append)
            )
        return caught.value

    error = run_virtual(main())

    assert str(error) == "waited 0.5 s for a chunk after chunk 2: 6 empty chunks came, but nothing of an answer"
    assert error.chunks == len(taken) == 8


async def _at_once(_: StreamChunk) -> float:
    return asyncio.get_running_loop().time()


# Which silence it was


class Scripted:
    """A source over no network: waits, counts bytes, and emits, in virtual time."""

    def __init__(self, *steps: float | StreamChunk, stream: StreamInfo | None) -> None:
        self.steps = steps
        self.stream = stream

    async def produce(self, emitter: Emitter[StreamChunk]) -> None:
        emitter.flow.stream = self.stream
        for step in self.steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, int):
                assert self.stream is not None
                self.stream.received(step, 0)
            else:
                chunk = step if self.stream is None else marked(step, stream=self.stream)
                await emitter.emit((chunk,), 0)
        await asyncio.sleep(1000)


def source(*steps: float | StreamChunk) -> Observable[StreamChunk]:
    return task_source(Scripted(*steps, stream=StreamInfo()).produce)


def failure_of(stream: Observable[Any]) -> ChunkTimeoutError:
    async def main() -> ChunkTimeoutError:
        with pytest.raises(ChunkTimeoutError) as caught:
            await stream
        return caught.value

    return run_virtual(main())


@pytest.mark.parametrize(
    ("steps", "message", "count"),
    [
        ((100, TEXT), "waited 0.5 s for a chunk after chunk 1: no bytes came", 0),
        ((100, TEXT, 0.1, 50), "waited 0.5 s for a chunk after chunk 1: 50 bytes came, but nothing of an answer", 50),
        ((100, TEXT, 0.4, 1), "waited 0.5 s for a chunk after chunk 1: 1 byte came, but nothing of an answer", 1),
        (
            (100, TEXT, 0.1, 30, EMPTY, 0.1, 20),
            "waited 0.5 s for a chunk after chunk 1: 50 bytes and 1 empty chunk came, but nothing of an answer",
            50,
        ),
        (
            (100, TEXT, 30, EMPTY, 0.1, 100, TEXT, 0.1, 30, EMPTY, 30, EMPTY),
            "waited 0.5 s for a chunk after chunk 3: 60 bytes and 2 empty chunks came, but nothing of an answer",
            60,
        ),
        ((), "waited 2 s for the first chunk: no bytes came", 0),
        ((70,), "waited 2 s for the first chunk: 70 bytes came, but nothing of an answer", 70),
        (
            (1.0, 70, EMPTY),
            "waited 2 s for the first chunk: 70 bytes and 1 empty chunk came, but nothing of an answer",
            70,
        ),
    ],
)
@pytest.mark.parametrize("between", ["nothing", "operators of reactivex", "a queue", "another time-out"])
def test_the_error_says_what_came(
    steps: tuple[float | int | StreamChunk, ...], message: str, count: int, between: str
) -> None:
    stream: Any = source(*steps)
    if between == "operators of reactivex":
        stream = stream.pipe(rx_ops.map(lambda chunk: chunk), rx_ops.filter(lambda _: True))
    elif between == "a queue":
        stream = stream.pipe(ops.buffer_with_backpressure(4))
    elif between == "another time-out":
        stream = stream.pipe(ops.timeout_per_chunk(600))

    error = failure_of(stream.pipe(ops.timeout_per_chunk(0.5, first=2)))

    assert str(error) == message
    assert error.bytes == count


def test_what_is_known_is_on_the_chunks_too() -> None:
    """Of chunks that no source of ours delivers."""
    info = StreamInfo(bytes=100)
    marbles = Marbles()
    letters = {"a": marked(TEXT, stream=info), "e": marked(EMPTY, stream=info)}
    chunks = marbles.cold("-a-e-e-e-", letters).pipe(rx_ops.do_action(lambda _: info.received(10, 0)))

    recording = marbles.run(chunks.pipe(ops.timeout_per_chunk(0.05)))

    assert_marbles(recording, "-a-e-e#", letters, error=gap(3, 2, count=20))


def test_where_nothing_is_known_of_bytes_the_error_does_not_speak_of_them() -> None:
    async def nothing(emitter: Emitter[StreamChunk]) -> None:
        del emitter
        await asyncio.sleep(1000)

    error = failure_of(task_source(nothing).pipe(ops.timeout_per_chunk(0.5)))

    assert str(error) == "waited 0.5 s for the first chunk"
    assert error.bytes is None
    assert str(first(1)) == "waited 0.05 s for the first chunk: 1 empty chunk came, but nothing of an answer"


def test_of_a_source_that_is_asked_again_its_own_bytes_count() -> None:
    asked = iter([source(100, TEXT, 0.1), source(7)])

    async def fails(emitter: Emitter[StreamChunk]) -> None:
        emitter.flow.stream = info = StreamInfo()
        info.received(100, 0)
        await emitter.emit((marked(TEXT, stream=info),))
        raise ValueError

    again = reactivex.defer(lambda _: next(asked))
    next(asked)
    error = failure_of(task_source(fails).pipe(rx_ops.catch(again), ops.timeout_per_chunk(0.5)))

    assert str(error) == "waited 0.5 s for a chunk after chunk 1: 7 bytes came, but nothing of an answer"


def test_a_stream_that_somebody_begins_below_is_none_of_it() -> None:
    begun: list[object] = []
    below = source(500)

    def begin(_: object) -> None:
        begun.append(below.subscribe())

    async def main() -> ChunkTimeoutError:
        with pytest.raises(ChunkTimeoutError) as caught:
            await source(100, TEXT).pipe(ops.timeout_per_chunk(0.5), rx_ops.do_action(begin))
        for each in begun:
            each.dispose()  # type: ignore[attr-defined]
        return caught.value

    assert run_virtual(main()).bytes == 0


def test_whoever_has_left_hears_of_no_source() -> None:
    """A source that is subscribed to late, by what stands above, when nobody listens any more."""

    async def main() -> None:
        late = reactivex.timer(1.0).pipe(rx_ops.flat_map(lambda _: source(7)))
        with pytest.raises(ChunkTimeoutError, match=r"first chunk$"):
            await late.pipe(ops.timeout_per_chunk(0.5))
        assert FlowControl.current() is None

    run_virtual(main())


# Over a network


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([script.stall()], "first chunk: no bytes came"),
        ([script.comment("ping"), script.stall()], "first chunk: 8 bytes came, but nothing of an answer"),
        ([b'data: {"choices":[]}\n\n', script.stall()], "first chunk: 22 bytes and 1 empty chunk came, but nothing of"),
        ([script.text("Hi"), script.stall()], "chunk after chunk 1: no bytes came"),
        (
            [script.text("Hi"), script.delay(0.02), b": ping\n\n", script.delay(0.02), b"\n\n", script.stall()],
            "chunk after chunk 1: 10 bytes came, but nothing of an answer",
        ),
        (
            [script.text("Hi"), script.delay(0.02), b'data: {"choices":[{"delta":{}}]}\n\n', script.stall()],
            "chunk after chunk 1: 34 bytes and 1 empty chunk came, but nothing of an answer",
        ),
    ],
)
async def test_a_server_that_is_alive_and_says_nothing(steps: list[script.StepLike], expected: str) -> None:
    async with (
        ScriptedServer(script.Answer(steps)) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        request = rxllm.ChatRequest(model="m", messages=[{"role": "user", "content": "Hi"}])
        with pytest.raises(ChunkTimeoutError, match=expected):
            await client.chat_stream(request).pipe(ops.timeout_per_chunk(0.2), ops.accumulate())


async def test_a_server_that_does_not_answer_at_all() -> None:
    async with ScriptedServer(script.Answer([script.stall()], framing="none")) as server:
        with pytest.raises(ChunkTimeoutError, match=r"^waited 0\.1 s for the first chunk: no bytes came$"):
            await rxllm.from_sse(server.url).pipe(ops.parse(), ops.timeout_per_chunk(0.1))


async def test_a_websocket_that_does_not_answer() -> None:
    async with ScriptedServer(script.Answer([script.stall()])) as server:
        with pytest.raises(ChunkTimeoutError, match=r"^waited 0\.1 s for the first chunk: no bytes came$"):
            await rxllm.from_websocket(server.url, send=["go"]).pipe(ops.parse(), ops.timeout_per_chunk(0.1))
