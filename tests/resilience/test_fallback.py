"""``fallback``: the next source when one fails."""

from __future__ import annotations

from typing import Any

import pytest
import reactivex
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import AllAttemptsFailedError, APIStatusError, ChunkTimeoutError, TruncatedStreamError
from rxllm.testing import Marbles, assert_marbles, assert_subscriptions
from tests.resilience.helpers import BUSY, answer, cut, one_after_another


def test_the_next_source_is_asked_when_one_fails() -> None:
    marbles = Marbles()
    sources = [marbles.cold("-#", error=BUSY), marbles.cold("--#", error=BUSY), marbles.cold("-a-|")]

    recording = marbles.run(rxllm.fallback(*sources))

    assert_marbles(recording, "----a-|")
    for source, windows in zip(sources, ("^!", "-^-!", "---^--!"), strict=True):
        assert_subscriptions(source, windows)


@pytest.mark.parametrize("first", ["-a-b-|", "-|", "-a-#", "---", "(ab|)"])
def test_what_does_not_fail_before_its_first_item_is_all_there_is(first: str) -> None:
    marbles = Marbles()
    second = marbles.cold("-x-|")

    recording = marbles.run(rxllm.fallback(marbles.cold(first, error=BUSY), second), subscribed="^---------!")

    assert_marbles(recording, first, error=BUSY)
    assert second.subscriptions == []


def test_if_all_fail_the_error_has_all_of_them() -> None:
    errors = [APIStatusError("overloaded", status=503), ConnectionError("refused"), TimeoutError("late")]

    with pytest.raises(
        AllAttemptsFailedError, match=r"all 3 sources failed: APIStatusError: 'overloaded'; Conn"
    ) as caught:
        rxllm.run(rxllm.fallback(*map(reactivex.throw, errors)))

    error = caught.value
    assert error.errors == tuple(errors)
    assert error.__cause__ is errors[-1]
    assert [type(attempt.error) for attempt in error.attempts] == [APIStatusError, ConnectionError, TimeoutError]
    assert [attempt.ending for attempt in error.attempts] == ["failed", "failed", "timed_out"]
    assert error.retryable


def test_when_decides() -> None:
    second = reactivex.of("a")
    with pytest.raises(LookupError):
        rxllm.run(rxllm.fallback(reactivex.throw(LookupError()), second))
    assert rxllm.run(rxllm.fallback(reactivex.throw(LookupError()), second, when=lambda _: True)) == "a"
    with pytest.raises(ConnectionError, match="busy"):
        rxllm.run(rxllm.fallback(reactivex.throw(BUSY), second, when=lambda _: False))


def test_what_when_raises_is_the_error() -> None:
    def refuse(_: Exception) -> bool:
        raise KeyError("when")

    with pytest.raises(KeyError, match="when"):
        rxllm.run(rxllm.fallback(reactivex.throw(BUSY), reactivex.of("a"), when=refuse))


def test_two_answers_are_never_glued() -> None:
    first = cut(answer("Hel", ends=False), TruncatedStreamError("cut"))
    second = reactivex.from_iterable(answer("Hi"))

    with pytest.raises(TruncatedStreamError) as caught:
        rxllm.run(rxllm.fallback(first, second).pipe(ops.accumulate()))
    assert caught.value.partial is not None
    assert caught.value.partial.content == "Hel"

    completion = rxllm.run(rxllm.fallback(first, second, after_first="restart").pipe(ops.accumulate()))
    assert completion.content == "Hi"
    assert [attempt.ending for attempt in completion.attempts] == ["truncated"]


def test_a_source_that_is_silent_gives_way() -> None:
    marbles = Marbles()
    silent = marbles.cold("---------a|")

    recording = marbles.run(rxllm.fallback(silent.pipe(ops.timeout_per_chunk(0.03)), marbles.cold("-a|")))

    assert_marbles(recording, "----a|")
    assert_subscriptions(silent, "^--!")


def test_it_is_cold_and_leaving_leaves_the_source() -> None:
    marbles = Marbles()
    second = marbles.cold("-a-b-c-|")

    recording = marbles.run(rxllm.fallback(marbles.cold("-#", error=BUSY), second).pipe(rx_ops.take(1)))

    assert_marbles(recording, "--(a|)")
    assert_subscriptions(second, "-^!")


def test_retries_within_are_told_of_one_by_one() -> None:
    tries = one_after_another(*[reactivex.throw(ConnectionError("x"))] * 2)
    stream = rxllm.fallback(tries.pipe(ops.retry_with_backoff(2, initial=0)), reactivex.from_iterable(answer("Hi")))

    completion = rxllm.run(stream.pipe(ops.accumulate()))

    assert [str(attempt.error) for attempt in completion.attempts] == ["x", "x"]


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [([], {}, "one source or more"), ([reactivex.never()], {"after_first": "x"}, "'fail' or 'restart'")],
)
def test_wrong_arguments_are_an_error_at_once(sources: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rxllm.fallback(*sources, **options)


def test_a_time_out_is_a_reason() -> None:
    late = reactivex.throw(ChunkTimeoutError("first", 1, 0))
    assert rxllm.run(rxllm.fallback(late, reactivex.of("a"))) == "a"
