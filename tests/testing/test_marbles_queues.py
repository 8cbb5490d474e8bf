"""Sinks of the stage, and the rows of a diagram that say what waits and what is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rxllm import operators as ops
from rxllm.testing import (
    Completed,
    DiagramError,
    Item,
    Marbles,
    Window,
    assert_marbles,
    check_marbles,
)


def documented(diagram: str) -> Callable[..., Any]:
    def operator() -> None:
        """Is never called: the diagrams call what they are about."""

    operator.__doc__ = f"Do.\n\n    ::\n{diagram}"
    return operator


def test_a_sink_takes_its_time(marbles: Marbles) -> None:
    sink = marbles.sink(takes=3)

    assert_marbles(marbles.run(marbles.cold("-ab------|").pipe(ops.tee_to(sink))), "-ab------|")
    assert_marbles(sink.stored, "----a--b-|")


def test_a_sink_that_takes_no_time(marbles: Marbles) -> None:
    sink = marbles.sink()

    marbles.run(marbles.cold("-(ab)---|").pipe(ops.tee_to(sink)))

    assert_marbles(sink.stored, "-(ab)---|")


def test_a_sink_notes_an_error(marbles: Marbles) -> None:
    sink = marbles.sink(takes=1)

    marbles.run(marbles.cold("-a--#", error=OSError("gone")).pipe(ops.tee_to(sink)))

    assert_marbles(sink.stored, "--a-#", error=OSError("gone"))


def test_a_sink_notes_no_end_when_the_consumer_leaves(marbles: Marbles) -> None:
    sink = marbles.sink(takes=1)

    marbles.run(marbles.cold("-a-b-|").pipe(ops.tee_to(sink)), subscribed="^--!")

    assert_marbles(sink.stored, "--a")


def test_a_source_notes_what_it_emitted_and_what_was_due(marbles: Marbles) -> None:
    source = marbles.cold("-abc|")

    recording = marbles.run(source, pauses="--[--]")

    assert source.due == [Item(10_000, "a"), Item(20_000, "b"), Item(30_000, "c"), Completed(40_000)]
    assert source.emissions == [Item(10_000, "a"), Item(50_000, "b"), Item(50_000, "c"), Completed(50_000)]
    assert recording.pauses == [Window(20_000, 50_000)]


def test_what_is_due_counts_from_the_subscription(marbles: Marbles) -> None:
    source = marbles.cold("-a-b-|")

    marbles.run(source, subscribed="--^--!")

    assert source.due == [Item(30_000, "a"), Item(50_000, "b"), Completed(70_000)]
    assert source.emissions == [Item(30_000, "a")]


def test_a_consumer_notes_when_it_is_busy(marbles: Marbles) -> None:
    recording = marbles.run(marbles.cold("-a----bc-----|"), takes=2)

    assert recording.pauses == [Window(10_000, 30_000), Window(60_000, 80_000), Window(80_000, 100_000)]


def test_a_consumer_that_leaves_is_not_busy_any_more(marbles: Marbles) -> None:
    recording = marbles.run(marbles.cold("-a----b|"), takes=4, subscribed="^--!")

    assert recording.pauses == [Window(10_000, 30_000)]


TRUE = {
    "a queue": """
        source   --ab----|
                 ops.buffer_with_backpressure(8)
        pauses   --[--]
        waiting  ---1-0
        result   --a--b--|
    """,
    "a sink": """
        source   --abc--|
                 ops.tee_to(sink)
        writes   2
        waiting  --12--0
        stored   ----a-(bc) @70ms |
        result   --abc--|
    """,
    "a coroutine function that takes three frames": """
        source   --a-----|
                 ops.map_async(upper)
        result   -----A--|
    """,
    "tools": """
        source   --a-----|
                 ops.run_tools(registry) | rx_ops.map(lambda result: result.content)
        result   -----x--|

        a=ToolCall(id="1", function=FunctionCall(name="upper", arguments='{"text": "a"}')) x="A"
    """,
    "a file": """
        source   --a-----|
                 ops.tee_to_display(file) | rx_ops.map(lambda text: (text, file.getvalue())[0])
        result   --a-----|
    """,
}


@pytest.mark.parametrize("diagram", TRUE.values(), ids=TRUE)
def test_a_true_diagram(diagram: str) -> None:
    check_marbles(documented(diagram))


def test_a_lie_about_what_waits_is_found_out() -> None:
    lie = TRUE["a queue"].replace("---1-0", "---1--0")
    with pytest.raises(AssertionError, match=r"what waits differs\nexpected  ---1--0\nactual    ---1-0$"):
        check_marbles(documented(lie))


def test_a_lie_about_what_is_stored_is_found_out() -> None:
    with pytest.raises(AssertionError, match="operator: the marbles differ from 30ms on"):
        check_marbles(documented(TRUE["a sink"].replace("writes   2", "writes   1")))


def test_what_waits_is_a_number() -> None:
    with pytest.raises(DiagramError, match="'a' is not a number of items"):
        check_marbles(documented(TRUE["a queue"].replace("---1-0", "---a-0")))


def pair(text: str) -> tuple[int, str]:
    return 1, text


def test_names_that_are_given_come_before_those_that_are_there() -> None:
    diagram = """
        source   --a-|
                 rx_ops.map(upper)
        result   --x-|

        a="hel" x=(1, "hel")
    """
    check_marbles(documented(diagram), upper=pair)
