"""``run_tools``: calls become results, so many at a time, each once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import reactivex
from reactivex import operators as rx_ops

from rxllm import Approved, FunctionCall, Refused, ToolCall, ToolRegistry, ToolResult
from rxllm import operators as ops
from rxllm.exceptions import ApprovalError, BufferOverflowError, ToolExecutionError
from rxllm.testing import Marbles, assert_marbles, assert_pauses, finish_chunk, tool_chunk

# A frame is 10 ms.


async def wait(frames: int) -> str:
    """Takes so many frames."""
    await asyncio.sleep(frames / 100)
    return f"{frames} frames"


async def fail() -> None:
    """Fails at once."""
    raise LookupError("no such city")


TOOLS = ToolRegistry([wait, fail])


def content_of(result: ToolResult) -> str:
    return result.content


def identity_of(result: ToolResult) -> tuple[str, str | None]:
    return result.call.id, result.error


CONTENT = rx_ops.map(content_of)


def waiting(call_id: str, frames: int) -> ToolCall:
    return ToolCall(id=call_id, function=FunctionCall(name="wait", arguments=f'{{"frames": {frames}}}'))


CALLS = {letter: waiting(letter, frames) for letter, frames in (("a", 5), ("b", 1), ("c", 1))} | {
    "f": ToolCall(id="f", function=FunctionCall(name="fail")),
    "u": ToolCall(id="u", function=FunctionCall(name="unknown")),
}
RESULTS = {"A": "5 frames", "B": "1 frames", "C": "1 frames", "F": "'fail' failed: LookupError: no such city"}


def test_results_come_in_the_order_of_the_calls() -> None:
    marbles = Marbles()
    source = marbles.cold("-abc---|", CALLS)

    assert_marbles(marbles.run(source.pipe(ops.run_tools(TOOLS), CONTENT)), "------(ABC) @70ms |", RESULTS)


def test_or_as_they_are_ready() -> None:
    marbles = Marbles()
    source = marbles.cold("-abc---|", CALLS)

    assert_marbles(marbles.run(source.pipe(ops.run_tools(TOOLS, ordered=False), CONTENT)), "---BC-A|", RESULTS)


def test_while_no_place_is_free_the_producer_is_paused() -> None:
    marbles = Marbles()
    source = marbles.cold("-ab|", CALLS)

    recording = marbles.run(source.pipe(ops.run_tools(TOOLS, max_concurrency=1), CONTENT))

    assert_marbles(recording, "------A(B|)", RESULTS)
    assert_pauses(source, "-[----(][) @70ms ]")


def test_a_call_that_fails_has_a_result_too() -> None:
    marbles = Marbles()
    source = marbles.cold("-fub|", CALLS)

    recording = marbles.run(source.pipe(ops.run_tools(TOOLS), CONTENT))

    assert_marbles(recording, "-FU-(B|)", RESULTS, U="there is no tool 'unknown'; there are: wait, fail")


def test_or_fails_the_stream_and_cancels_the_rest() -> None:
    marbles = Marbles()
    source = marbles.cold("-bafc|", CALLS)

    recording = marbles.run(source.pipe(ops.run_tools(TOOLS, on_error="raise", ordered=False), CONTENT))

    assert_marbles(recording, "--B#", RESULTS, error=ToolExecutionError)


def test_a_tool_that_takes_too_long() -> None:
    marbles = Marbles()
    source = marbles.cold("-ab|", CALLS)

    recording = marbles.run(source.pipe(ops.run_tools(TOOLS, timeout=0.03), CONTENT))

    assert_marbles(recording, "----(TB|)", RESULTS, T="'wait' took longer than 0.03 s")


def test_of_several_calls_with_one_identifier_only_the_first_is_run() -> None:
    marbles = Marbles()
    source = marbles.cold("-abA|", CALLS | {"A": waiting("a", 1)})

    recording = marbles.run(source.pipe(ops.run_tools(TOOLS), rx_ops.map(identity_of)))

    assert_marbles(recording, "------(xyz|)", x=("a", None), y=("b", None), z=("a", "duplicate"))


def test_which_is_an_error_where_errors_are_raised() -> None:
    marbles = Marbles()
    source = marbles.cold("-bb|", CALLS)

    recording = marbles.run(source.pipe(ops.run_tools(TOOLS, on_error="raise"), CONTENT))

    assert_marbles(recording, "--(B#)", RESULTS, error=ToolExecutionError)


def test_each_subscription_runs_them_anew() -> None:
    marbles = Marbles()
    results = marbles.cold("-b|", CALLS).pipe(ops.run_tools(TOOLS), CONTENT)

    first, second = marbles.subscribe(results), marbles.subscribe(results)
    marbles.play()

    assert_marbles(first, "--(B|)", RESULTS)
    assert_marbles(second, "--(B|)", RESULTS)


def test_disposing_cancels_what_runs() -> None:
    cancelled: list[bool] = []

    async def stubborn() -> None:
        try:
            await wait(5)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    marbles = Marbles()
    source = marbles.cold("-a-", a=ToolCall(id="a", function=FunctionCall(name="stubborn")))
    recording = marbles.run(source.pipe(ops.run_tools(ToolRegistry([stubborn]))), subscribed="^--!")

    assert cancelled == [True]
    assert recording.events == []


def test_without_a_producer_to_pause_too_many_calls_overflow() -> None:
    marbles = Marbles()
    source = marbles.hot("-ab|", CALLS)

    recording = marbles.run(source.pipe(ops.run_tools(TOOLS, max_concurrency=1), CONTENT))

    assert_marbles(recording, "------(A#)", RESULTS, error=BufferOverflowError)


def test_calls_run_when_the_answer_has_ended() -> None:
    marbles = Marbles()
    source = marbles.cold(
        "-abc|", a=tool_chunk('{"frames": 1}', id="1", name="wait"), b=tool_chunk(" "), c=finish_chunk("tool_calls")
    )

    recording = marbles.run(source.pipe(ops.accumulate_tool_calls(), ops.run_tools(TOOLS), CONTENT))

    assert_marbles(recording, "-----(x|)", x="1 frames")


def test_of_a_stream_that_is_cut_no_call_runs() -> None:
    marbles = Marbles()
    source = marbles.cold("-a#", a=tool_chunk('{"frames": 1}', id="1", name="wait"), error=ConnectionError)

    recording = marbles.run(source.pipe(ops.accumulate_tool_calls(), ops.run_tools(TOOLS), CONTENT))

    assert_marbles(recording, "--#", error=ConnectionError)


# Approval


def test_calls_are_asked_about_one_after_the_other_and_run_while_others_wait() -> None:
    """Each is thought about for two frames."""
    asked: list[str] = []

    async def approve(call: ToolCall) -> bool | Refused:
        asked.append(call.id)
        await wait(2)
        return Refused(reason="no") if call.id == "c" else True

    marbles = Marbles()
    source = marbles.cold("-(abuc)|", CALLS)
    recording = marbles.run(source.pipe(ops.run_tools(TOOLS, approve=approve, ordered=False), CONTENT))

    # b is asked about at 3, runs from 5 to 6, c is asked about at 5, and a runs from 3 to 8.
    unknown = "there is no tool 'unknown'; there are: wait, fail"
    assert_marbles(recording, "-U----BN(A|)", RESULTS, U=unknown, N="no")
    assert asked == ["a", "b", "c"]


def test_the_time_of_a_tool_begins_when_it_is_approved() -> None:
    async def approve(_: ToolCall) -> bool:
        await wait(10)
        return True

    marbles = Marbles()
    source = marbles.cold("-b|", CALLS)
    recording = marbles.run(source.pipe(ops.run_tools(TOOLS, approve=approve, timeout=0.03), CONTENT))

    assert_marbles(recording, "-- @120ms (B|)", RESULTS)


def test_arguments_that_are_changed_run_and_the_result_says_so() -> None:
    async def approve(_: ToolCall) -> Approved:
        return Approved(arguments={"frames": 1})

    marbles = Marbles()
    source = marbles.cold("-a|", CALLS)
    recording = marbles.run(source.pipe(ops.run_tools(TOOLS, approve=approve), CONTENT))

    assert_marbles(recording, "--(x|)", x='Approved with other arguments: {"frames":1}\n1 frames')


def test_a_refusal_is_a_result_also_where_errors_are_raised() -> None:
    async def approve(_: ToolCall) -> bool:
        return False

    marbles = Marbles()
    source = marbles.cold("-a|", CALLS)
    recording = marbles.run(source.pipe(ops.run_tools(TOOLS, approve=approve, on_error="raise"), CONTENT))

    assert_marbles(recording, "-x|", x="The call was refused. It was not run.")


@pytest.mark.parametrize(("answer", "error"), [(LookupError(), ApprovalError), (None, TypeError)], ids=str)
@pytest.mark.parametrize("on_error", ["send", "raise"])
def test_an_approver_that_fails_fails_the_stream(answer: object, error: type[Exception], on_error: Any) -> None:
    async def approve(_: ToolCall) -> Any:
        await wait(1)
        if isinstance(answer, Exception):
            raise answer
        return answer

    marbles = Marbles()
    source = marbles.cold("-ab-|", CALLS)
    recording = marbles.run(source.pipe(ops.run_tools(TOOLS, approve=approve, on_error=on_error), CONTENT))

    assert_marbles(recording, "--#", error=error)


def test_disposing_cancels_who_is_asked_and_asks_nobody_else() -> None:
    asked: list[str] = []

    async def approve(call: ToolCall) -> bool:
        asked.append(call.id)
        try:
            await wait(50)
        except asyncio.CancelledError:
            asked.append("cancelled")
            raise
        return True

    marbles = Marbles()
    source = marbles.cold("-ab-", CALLS)
    recording = marbles.run(source.pipe(ops.run_tools(TOOLS, approve=approve)), subscribed="^---!")

    assert asked == ["a", "cancelled"]
    assert recording.events == []


def test_while_somebody_thinks_the_producer_is_paused_when_no_place_is_free() -> None:
    async def approve(_: ToolCall) -> bool:
        await wait(4)
        return True

    marbles = Marbles()
    source = marbles.cold("-b-c|", CALLS)
    recording = marbles.run(source.pipe(ops.run_tools(TOOLS, approve=approve, max_concurrency=1), CONTENT))

    assert_marbles(recording, "------B @110ms (C|)", RESULTS)
    assert_pauses(source, "-[----(][) @110ms ]")


def test_an_approver_that_cannot_be_called_is_refused_at_once() -> None:
    wrong: Any = "yes"
    with pytest.raises(TypeError, match="approve must be a coroutine function, not 'yes'"):
        ops.run_tools(TOOLS, approve=wrong)


async def test_functions_run_in_threads_at_the_same_time() -> None:
    both_run = threading.Barrier(2)

    def meet(name: str) -> str:
        both_run.wait(10)
        return name

    calls = [
        ToolCall(id=name, function=FunctionCall(name="meet", arguments=f'{{"name": "{name}"}}')) for name in ("a", "b")
    ]
    results = await reactivex.of(*calls).pipe(ops.run_tools(ToolRegistry([meet])), CONTENT, rx_ops.to_list())

    assert results == ["a", "b"]


async def test_a_function_in_a_thread_ends_unheeded_when_its_stream_is_disposed() -> None:
    began, release, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        release.wait(10)
        ended.set()

    got: list[object] = []
    call = ToolCall(id="1", function=FunctionCall(name="slow"))
    subscription = reactivex.of(call).pipe(ops.run_tools(ToolRegistry([slow]))).subscribe(got.append, got.append)
    await asyncio.to_thread(began.wait, 10)
    subscription.dispose()
    release.set()

    assert await asyncio.to_thread(ended.wait, 10)
    assert got == []


@pytest.mark.parametrize(
    "options", [{"max_concurrency": 0}, {"timeout": 0}, {"timeout": float("nan")}, {"on_error": "ignore"}]
)
def test_wrong_arguments(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ops.run_tools(TOOLS, **options)
