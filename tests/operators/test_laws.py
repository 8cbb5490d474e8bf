"""What holds for every operator: the laws of ``check_operator``; when items, completion and errors come; exceptions.

The diagrams are at 10 ms a frame, in virtual time; each run checks that no task, timer or pause is left.
"""

from __future__ import annotations

import pytest

from rxllm import operators as ops
from rxllm.testing import Marbles, assert_marbles, assert_subscriptions, check_operator
from tests.operators import raising
from tests.operators.cases import CASES

every_operator = pytest.mark.parametrize("name", CASES)
# The display writes in a thread, in real time: that has no place in a diagram.
every_operator_in_time = pytest.mark.parametrize("name", sorted(CASES.keys() - {"tee_to_display"}))


def test_every_operator_is_here() -> None:
    assert set(CASES) == set(ops.__all__)
    assert set(CASES) <= set(raising.SHAPES)
    assert len(raising.REACTIVEX) >= 30


@every_operator
def test_it_keeps_the_laws(name: str) -> None:
    case = CASES[name]

    check_operator(case.operator, [*case.letters.values()], holds=case.holds)


@every_operator_in_time
def test_never(name: str) -> None:
    case = CASES[name]
    marbles = Marbles()
    source = marbles.cold("-", case.letters)

    assert_marbles(marbles.run(source.pipe(case.operator()), subscribed="^-----!"), "-")
    assert_subscriptions(source, "^-----!")


@every_operator_in_time
def test_empty(name: str) -> None:
    case = CASES[name]
    marbles = Marbles()
    source = marbles.cold("-|", case.letters)

    assert_marbles(marbles.run(source.pipe(case.operator())), case.empty, error=case.empty_error)
    assert_subscriptions(source, "^!")


@every_operator_in_time
def test_many(name: str) -> None:
    case = CASES[name]
    marbles = Marbles()
    source = marbles.cold("-a-b-c-|", case.letters)

    assert_marbles(marbles.run(source.pipe(case.operator())), case.many, case.expected)
    assert_subscriptions(source, "^------!")


@every_operator_in_time
def test_an_error_passes_and_what_came_before_it_too(name: str) -> None:
    case = CASES[name]
    marbles = Marbles()
    error = ConnectionError("lost")
    source = marbles.cold("-a-#", case.letters, error=error)

    recording = marbles.run(source.pipe(case.operator()))

    assert_marbles(recording, case.failed, case.expected, error=error)
    assert_subscriptions(source, "^--!")


# Exceptions


@pytest.mark.parametrize("name", raising.SHAPES)
@pytest.mark.parametrize("consumer", ["await", "async for", "run", "subscribe"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* was never awaited")
def test_an_exception_ends_the_pipeline_and_is_heard_of(
    name: str, consumer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its class, wherever it is raised, whoever listens."""
    shape = raising.SHAPES[name]
    failures: list[str] = []
    times = 0
    for place in raising.places_of(shape):
        for kind in raising.CLASSES:
            run = raising.Run(kind("mine"), shape.items)
            raised = raising.outcome(raising.consuming(run, shape, place, consumer, monkeypatch))
            times += run.times
            failure = raising.wrong(run, raised, listened=consumer != "subscribe")
            if failure is not None:
                failures.append(f"{place}, {kind.__name__}: {failure}")

    assert times
    assert not failures, f"{name}, by {consumer}:\n" + "\n".join(failures)
