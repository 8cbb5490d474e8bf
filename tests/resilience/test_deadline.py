"""``deadline``: one budget for all that is upstream."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import reactivex

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import DeadlineExceededError
from rxllm.testing import Marbles, assert_marbles, assert_subscriptions
from tests.resilience.helpers import BUSY, answer, no_jitter, one_after_another

PASSED = DeadlineExceededError(0.05)


@pytest.mark.parametrize(
    ("source", "result"),
    [("-a-b-c-d|", "-a-b-#"), ("-a-|", "-a-|"), ("---", "-----#"), ("-a-#", "-a-#"), ("----(ab|)", "----(ab|)")],
)
def test_what_takes_longer_fails(source: str, result: str) -> None:
    marbles = Marbles()
    upstream = marbles.cold(source, error=PASSED)

    recording = marbles.run(upstream.pipe(ops.deadline(0.05)))

    assert_marbles(recording, result, error=PASSED)


def test_the_source_is_left() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-b-c-d-e|")
    marbles.run(source.pipe(ops.deadline(0.05)))
    assert_subscriptions(source, "^----!")


def test_all_tries_and_the_waits_between_them_have_one_budget() -> None:
    marbles = Marbles()
    sources = [marbles.cold("-#", error=BUSY), marbles.cold("-#", error=BUSY), marbles.cold("-a|")]
    tries = one_after_another(*sources).pipe(ops.retry_with_backoff(initial=0.02, jitter=no_jitter))

    recording = marbles.run(tries.pipe(ops.deadline(0.05)))

    # A frame, two frames of waiting, a frame; the third try would begin after four more.
    assert_marbles(recording, "-----#", error=PASSED)
    assert sources[2].subscriptions == []


def test_for_each_try_above_the_tries() -> None:
    marbles = Marbles()
    sources = [marbles.cold("---------a|"), marbles.cold("-a|")]

    recording = marbles.run(
        one_after_another(*sources).pipe(ops.deadline(0.05), ops.retry_with_backoff(initial=0, retry_on=bool))
    )

    assert_marbles(recording, "------a|")


def test_what_consumers_take_counts_too() -> None:
    marbles = Marbles()
    recording = marbles.run(marbles.cold("-a-b-|").pipe(ops.deadline(0.05)), pauses="--[--------]")
    assert_marbles(recording, "-a---#", error=PASSED)


def test_what_had_come_is_not_lost() -> None:
    chunks = reactivex.concat(reactivex.from_iterable(answer("Hel", ends=False)), reactivex.never())
    with pytest.raises(DeadlineExceededError, match=r"the deadline of 0.001 s has passed") as caught:
        rxllm.run(chunks.pipe(ops.deadline(0.001), ops.accumulate()))
    assert caught.value.partial is not None
    assert (caught.value.partial.content, caught.value.partial.ending) == ("Hel", "timed_out")


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_wrong_arguments_are_an_error_at_once(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds must be positive"):
        ops.deadline(seconds)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ops.deadline("5"), "seconds must be a number"),  # type: ignore[arg-type]
        (lambda: ops.retry_with_backoff("3"), "max_attempts must be a whole number"),  # type: ignore[arg-type]
        (lambda: ops.retry_with_backoff(jitter=1.0), "jitter must be a function"),  # type: ignore[arg-type]
        (lambda: ops.rate_limit({}), r"limits must be .*Limits.*write rxllm.Limits"),  # type: ignore[arg-type]
        (lambda: rxllm.fallback("model"), "source 0 must be"),  # type: ignore[arg-type]
        (lambda: rxllm.hedge(reactivex.never(), delay="p50"), "delay must be a number"),  # type: ignore[arg-type]
        (lambda: rxllm.Limits(max_concurrency="8"), "max_concurrency must be a whole number"),  # type: ignore[arg-type]
        (lambda: rxllm.ClientPool(["key"]), "a client must be"),  # type: ignore[list-item]
    ],
)
def test_what_is_no_such_thing_is_told_at_once(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()
