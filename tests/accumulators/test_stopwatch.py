"""``Stopwatch`` and ``completion.timing``: how fast an answer came."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st

import rxllm
from rxllm import Attempt, ChatCompletion, ChatRequest, LLMClient, StreamChunk, StreamInfo, Timing, Usage
from rxllm import operators as ops
from rxllm.accumulators import Stopwatch, StreamAccumulator, _stopwatch
from rxllm.flow import Emitter, task_source
from rxllm.models import marked
from rxllm.testing import ScriptedServer, finish_chunk, script, text_chunk, tool_chunk

UNIX = 1_700_000_000.0
REQUEST = ChatRequest(model="m", messages=[{"role": "user", "content": "q"}])
REFUSAL = StreamChunk.from_wire({"choices": [{"delta": {"refusal": "No."}}]})
FUNCTION = StreamChunk.from_wire({"choices": [{"delta": {"function_call": {"name": "f"}}}]})


def watch() -> Stopwatch:
    return Stopwatch(5.0, unix=UNIX)


def test_nothing_came() -> None:
    assert watch().timing() == Timing(total=0.0, elapsed=0.0, paused=0.0)


def test_without_a_request_the_times_count_from_the_subscription() -> None:
    measured = watch()
    measured.add([text_chunk("")], 5.5)
    measured.add([text_chunk("Hel"), text_chunk("lo")], 6.0)
    measured.add([tool_chunk(id="a", name="f")], 8.0)
    measured.add((), 9.0)

    assert measured.timing(Usage(completion_tokens=10)) == Timing(
        first_chunk=0.5,
        first_text=1.0,
        first_call=3.0,
        total=4.0,
        gap_p50=0.5,
        gap_p90=2.0,
        gap_longest=2.0,
        gap_longest_at=3,
        tokens_per_second=4.0,
        chunks=4,
        paused=0.0,
        elapsed=4.0,
    )


@pytest.mark.parametrize(("chunk", "text", "call"), [(REFUSAL, 1.0, None), (FUNCTION, None, 1.0)])
def test_a_refusal_is_text_and_a_function_is_a_call(chunk: StreamChunk, text: float | None, call: float | None) -> None:
    measured = watch()
    measured.add([chunk], 6.0)
    timing = measured.timing()
    assert (timing.first_text, timing.first_call) == (text, call)


def test_a_request_is_where_the_times_begin() -> None:
    stream = StreamInfo(requested_at=UNIX + 1, first_byte_at=UNIX + 1.25, bytes=77)
    measured = watch()
    measured.add([marked(text_chunk("Hel"), stream=stream)], 6.5)

    timing = measured.timing()
    assert (timing.first_byte, timing.first_chunk, timing.elapsed, timing.bytes) == (0.25, 0.5, 1.5, 77)
    assert (timing.gap_longest, timing.tokens_per_second) == (None, None)


def test_items_that_say_nothing_of_their_request_may_be_told_of_it() -> None:
    measured = watch()
    measured.add(["Hel"], 6.5, 0.0, StreamInfo(requested_at=UNIX + 1, bytes=3))
    timing = measured.timing()
    assert (timing.first_chunk, timing.first_byte, timing.bytes, timing.chunks) == (0.5, None, None, 1)


def test_of_an_older_request_only_what_it_says_itself_is_known() -> None:
    stream = StreamInfo(requested_at=UNIX - 100, first_byte_at=UNIX - 99, last_byte_at=UNIX - 99, bytes=7)
    measured = watch()
    for now in (6.0, 7.0):
        measured.add([marked(text_chunk("Hel"), stream=stream)], now)
    assert measured.timing(Usage(completion_tokens=3)) == Timing(first_byte=1.0, chunks=2, elapsed=2.0)


def test_the_clock_stands_still_while_a_consumer_holds_the_source() -> None:
    measured = watch()
    measured.add([text_chunk("a")], 6.0, 0.0)
    measured.add([text_chunk("b")], 9.0, 2.5)
    measured.add([text_chunk("c")], 10.0, 2.5)
    measured.add((), 12.0, 4.5)
    timing = measured.timing()
    assert (timing.paused, timing.total, timing.elapsed) == (4.5, 2.5, 7.0)
    assert (timing.gap_p50, timing.gap_longest, timing.gap_longest_at) == (0.5, 1.0, 2)


def test_another_source_counts_its_pauses_from_the_beginning() -> None:
    measured = watch()
    for now, paused in [(6.0, 7.0), (8.0, 8.0), (9.0, 0.5)]:
        measured.add([text_chunk("a")], now, paused)
    timing = measured.timing()
    assert (timing.paused, timing.gap_longest, timing.gap_p50) == (1.5, 1.0, 0.5)


def test_a_new_try_begins_anew_and_elapsed_goes_on() -> None:
    lost, found = StreamInfo(requested_at=UNIX), StreamInfo(requested_at=UNIX + 10)
    again = marked(text_chunk("a"), stream=found, restarts=True, begins=True, attempts=(Attempt(), Attempt()))
    measured = watch()
    measured.add([marked(text_chunk("a"), stream=lost, begins=True)], 6.0, 0.0)
    measured.add([marked(text_chunk("b"), stream=lost), again, marked(text_chunk("c"), stream=found)], 16.0, 0.25)
    measured.add((), 17.0, 0.25)
    timing = measured.timing()
    assert (timing.attempts, timing.chunks, timing.first_text) == (3, 2, 1.0)
    assert (timing.total, timing.elapsed, timing.gap_longest) == (2.0, 12.0, 0.0)


def test_a_restart_that_tells_of_no_attempt_counts_as_one() -> None:
    measured = watch()
    for chunk in (marked(text_chunk("a"), stream=StreamInfo()), marked(text_chunk("b"), restarts=True)):
        measured.add([chunk], 6.0)
    assert measured.timing().attempts == 2


def test_what_begins_with_a_restart_is_the_first_try() -> None:
    measured = watch()
    measured.add([marked(text_chunk("b"), restarts=True, stream=StreamInfo())], 6.0)
    assert measured.timing().attempts == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50)), max_size=60), st.integers(2, 9))
def test_however_many_chunks_are_kept_the_figures_are_the_same(batches: list[tuple[int, int]], most: int) -> None:
    measured, bounded, times, now = watch(), watch(), list[float](), 5.0
    for count, tenths in batches:
        now = round(now + tenths / 10, 1)
        times += [now] * count
        items = [text_chunk("a")] * count
        measured.add(items, now)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_stopwatch, "_MOST_TIMES", most)
            bounded.add(items, now)
    timing, other = measured.timing(), bounded.timing()

    gaps = sorted(after - before for before, after in pairwise(times))
    assert timing.chunks == other.chunks == len(times)
    assert timing.first_chunk == other.first_chunk
    assert timing.gap_longest_at == other.gap_longest_at
    for name in ("gap_p50", "gap_p90", "gap_longest"):
        assert getattr(other, name) == pytest.approx(getattr(timing, name), abs=1e-4)
    if gaps:
        assert timing.gap_p50 == pytest.approx(gaps[(len(gaps) + 1) // 2 - 1])
        assert timing.gap_longest == pytest.approx(gaps[-1])
        assert timing.gap_longest_at is not None
        assert times[timing.gap_longest_at] - times[timing.gap_longest_at - 1] == pytest.approx(gaps[-1])


def test_of_many_times_between_chunks_some_are_given() -> None:
    measured = watch()
    for now in (5.0, 5.1, 5.3, 5.6, 6.0):
        measured.tick(1, now, 0.0)
    assert measured.gaps(9) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert measured.gaps(2) == pytest.approx([0.2, 0.4])
    assert measured.gaps(1) == pytest.approx([0.3])
    assert measured.gaps(0) == []


def test_a_timing_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Timing().chunks = 3  # type: ignore[misc]


CHUNKS = [marked(text_chunk("Hel"), begins=True), text_chunk("lo"), finish_chunk()]


def test_where_no_loop_runs_it_measures_too() -> None:
    answers = list[ChatCompletion]()
    reactivex.of(*CHUNKS).pipe(ops.accumulate()).subscribe(answers.append)
    assert answers[0].timing is not None
    assert answers[0].timing.chunks == 3


async def test_what_fails_in_the_middle_of_a_batch_has_what_came_before() -> None:
    async def emit(emitter: Emitter[StreamChunk]) -> None:
        first, second = (marked(text_chunk(text), begins=True) for text in "ab")
        await emitter.emit([first])
        await emitter.emit([text_chunk("a"), second])

    with pytest.raises(rxllm.MixedAnswersError) as caught:
        await task_source(emit).pipe(ops.accumulate())
    partial = caught.value.partial
    assert isinstance(partial, ChatCompletion)
    assert partial.timing is not None


def test_what_fails_alone() -> None:
    first, second = (marked(text_chunk(text), begins=True) for text in "ab")
    with pytest.raises(rxllm.MixedAnswersError):
        rxllm.run(reactivex.of(first, second).pipe(ops.accumulate()))


def test_accumulate_measures() -> None:
    completion = rxllm.run(reactivex.of(*CHUNKS).pipe(ops.accumulate()))
    timing = completion.timing
    assert timing is not None
    assert (timing.chunks, timing.attempts, timing.bytes) == (3, 1, None)
    assert completion.timing is timing


DELTAS = st.sampled_from(
    [
        {"content": "", "reasoning": "r", "reasoning_details": [{"type": "reasoning.text", "text": "r"}]},
        *({"content": "", "reasoning_content": "r"}, {"content": "", "reasoning": "r"}, {"reasoning": "r"}),
        *({"content": ""}, {"content": "", "role": "assistant"}, {"content": "x"}, {"content": "x", "reasoning": "r"}),
        {"refusal": "No."},
        {"content": "", "tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "1"}}]},
        {"content": "", "tool_calls": [{"index": 0, "function": {"arguments": "1"}}]},
    ]
)


@given(st.lists(DELTAS, max_size=12))
def test_what_a_fold_passes_over_tells_nothing_of_the_times(deltas: list[dict[str, object]]) -> None:
    alone = watch()
    answer = StreamAccumulator()
    answer.watch = watch()
    for second, delta in enumerate(deltas, 6):
        chunk = StreamChunk.from_wire({"id": "1", "choices": [{"index": 0, "delta": delta}]})
        alone.add([chunk], second)
        answer.watch.tick(1, second, 0.0)
        answer.add(chunk)

    assert answer.watch.timing() == alone.timing()


def test_the_text_is_seen_behind_chunks_whose_text_is_empty() -> None:
    chunks = [text_chunk(text) for text in ("", "", "a", "b")]
    timing = rxllm.run(reactivex.of(*chunks).pipe(ops.accumulate())).timing
    assert timing is not None
    assert timing.first_text is not None
    assert timing.first_call is None


def test_the_timing_is_no_part_of_the_answer() -> None:
    completion = rxllm.run(reactivex.of(*CHUNKS).pipe(ops.accumulate()))
    other = rxllm.run(reactivex.of(*CHUNKS).pipe(ops.accumulate()))
    dumped = completion.model_dump()
    assert completion.timing != other.timing
    assert completion == other == ChatCompletion.model_validate(dumped)
    assert completion.model_dump() == dumped
    assert other.model_dump_json() == completion.model_dump_json()
    assert "iming" not in repr(completion) + completion.model_dump_json()
    assert ChatCompletion.model_validate(dumped).timing is None


def test_copies_have_it_too() -> None:
    completion = rxllm.run(reactivex.of(*CHUNKS).pipe(ops.accumulate()))
    copies = [
        copy.deepcopy(completion),
        pickle.loads(pickle.dumps(completion)),  # noqa: S301 - our own
        completion.model_copy(),
        completion.model_copy(deep=True),
    ]
    assert [each.timing for each in copies] == [completion.timing] * 4


def test_what_is_left_of_an_answer_that_failed_has_it() -> None:
    chunks = reactivex.concat(reactivex.of(*CHUNKS[:2]), reactivex.throw(rxllm.RxllmError("lost")))
    with pytest.raises(rxllm.RxllmError) as caught:
        rxllm.run(chunks.pipe(ops.accumulate()))
    partial = caught.value.partial
    assert isinstance(partial, ChatCompletion)
    assert partial.timing is not None
    assert partial.timing.chunks == 2


async def test_of_a_real_answer_everything_is_known() -> None:
    async with ScriptedServer("Hello there.") as server, LLMClient(base_url=server.base_url) as client:
        timing = (await client.chat(REQUEST)).timing
    assert timing is not None
    known = timing.model_dump(exclude={"first_call"})
    assert None not in known.values(), known
    assert 0 <= known["first_byte"] <= known["first_chunk"] <= known["first_text"] <= known["total"] <= known["elapsed"]


async def test_a_conversation_with_tools_measures_each_answer() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    answers = [script.answer(*script.tool_call("add", {"a": 1, "b": 2})), script.answer("Three.")]
    async with ScriptedServer(*answers) as server, LLMClient(base_url=server.base_url) as client:
        events = [event async for event in client.chat_with_tools(REQUEST, rxllm.ToolRegistry([add]))]
    first, second = (event.completion.timing for event in events if isinstance(event, rxllm.RoundCompleted))
    assert first is not None
    assert second is not None
    assert (first.first_text is None, first.first_call is None) == (True, False)
    assert (second.first_text is None, second.first_call is None) == (False, True)


async def test_tries_that_were_given_up_are_counted() -> None:
    async with ScriptedServer(script.status(503), "Hello.") as server, LLMClient(base_url=server.base_url) as client:
        retry = ops.retry_with_backoff(3, initial=0.001, retry_on=bool)
        timing = (await client.chat_stream(REQUEST).pipe(retry, ops.accumulate())).timing
    assert timing is not None
    assert timing.attempts == 2
    assert timing.elapsed is not None
    assert timing.total is not None
    assert timing.elapsed > timing.total
