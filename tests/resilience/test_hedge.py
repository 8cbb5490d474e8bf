"""``hedge``: the source that begins first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import reactivex
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import AllAttemptsFailedError, TruncatedStreamError
from rxllm.testing import Marbles, assert_marbles, assert_subscriptions, text_chunk
from tests.resilience.helpers import BUSY, answer, cut, error_behind

ROLE = rxllm.StreamChunk.from_wire({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})


def test_the_next_is_asked_after_a_while_and_the_first_to_begin_wins() -> None:
    marbles = Marbles()
    sources = [marbles.cold("---------a|"), marbles.cold("--b-c|"), marbles.cold("-d|")]

    recording = marbles.run(rxllm.hedge(*sources, delay=0.03))

    assert_marbles(recording, "-----b-c|")
    assert_subscriptions(sources[0], "^----!")
    assert_subscriptions(sources[1], "---^----!")
    assert sources[2].subscriptions == []


def test_one_that_begins_in_time_is_the_only_one() -> None:
    marbles = Marbles()
    second = marbles.cold("-b|")

    recording = marbles.run(rxllm.hedge(marbles.cold("--a------c|"), second, delay=0.03))

    assert_marbles(recording, "--a------c|")
    assert second.subscriptions == []


def test_without_delay_all_are_asked_at_once() -> None:
    marbles = Marbles()
    sources = [marbles.cold("--a|"), marbles.cold("-b--c|"), marbles.cold("-#", error=BUSY)]

    recording = marbles.run(rxllm.hedge(*sources, delay=0))

    assert_marbles(recording, "-b--c|")
    assert_subscriptions(sources[0], "^!")


def test_of_two_that_begin_in_one_turn_the_first_wins() -> None:
    marbles = Marbles()
    sources = [marbles.cold("-a-b|"), marbles.cold("-x-y|")]

    recording = marbles.run(rxllm.hedge(*sources, delay=0))

    assert_marbles(recording, "-a-b|")
    assert_subscriptions(sources[1], "^!")


def test_one_that_fails_gives_way_at_once() -> None:
    marbles = Marbles()
    recording = marbles.run(rxllm.hedge(marbles.cold("-#", error=BUSY), marbles.cold("-a|"), delay=1))
    assert_marbles(recording, "--a|")


def test_one_that_fails_while_another_runs_is_no_matter() -> None:
    marbles = Marbles()
    recording = marbles.run(rxllm.hedge(marbles.cold("----#", error=BUSY), marbles.cold("------a|"), delay=0.01))
    assert_marbles(recording, "-------a|")


def test_if_all_fail_the_error_has_all_of_them() -> None:
    marbles = Marbles()
    sources = [marbles.cold("---#", error=BUSY), marbles.cold("-#", error=ConnectionError("refused"))]

    recording = marbles.run(rxllm.hedge(*sources, delay=0.01))

    (event,) = recording.events
    error: Any = event.error  # type: ignore[union-attr]
    assert isinstance(error, AllAttemptsFailedError)
    assert list(map(str, error.errors)) == ["refused", "busy"]
    assert [str(attempt.error) for attempt in error.attempts] == ["refused", "busy"]


def test_what_says_nothing_of_an_answer_wins_nothing_and_is_not_lost() -> None:
    marbles = Marbles()
    letters = {"r": ROLE, "a": text_chunk("Hel"), "b": text_chunk("Hi")}
    sources = [marbles.cold("-r----a|", letters), marbles.cold("-(rb)|", letters)]

    recording = marbles.run(rxllm.hedge(*sources, delay=0.02))

    assert_marbles(recording, "---(rb)|", letters)


def test_one_that_ends_without_an_answer_ends_the_stream() -> None:
    marbles = Marbles()
    recording = marbles.run(rxllm.hedge(marbles.cold("-r-|", {"r": ROLE}), marbles.cold("-"), delay=0))
    assert_marbles(recording, "---(r|)", {"r": ROLE})


def test_the_completion_knows_what_became_of_the_others() -> None:
    losers = [reactivex.throw(BUSY), reactivex.never()]

    completion = rxllm.run(rxllm.hedge(*losers, reactivex.from_iterable(answer("Hi")), delay=0).pipe(ops.accumulate()))

    assert completion.content == "Hi"
    assert [(attempt.ending, attempt.error and str(attempt.error)) for attempt in completion.attempts] == [
        ("failed", "busy"),
        ("stopped", None),
    ]


def test_what_the_winner_fails_with_later_is_the_error() -> None:
    first = cut(answer("Hel", ends=False), TruncatedStreamError("cut"))
    with pytest.raises(TruncatedStreamError) as caught:
        rxllm.run(rxllm.hedge(first, reactivex.from_iterable(answer("Hi")), delay=1).pipe(ops.accumulate()))
    assert caught.value.partial is not None
    assert caught.value.partial.content == "Hel"
    assert len(caught.value.attempts) == 1


def test_p95_waits_as_long_as_it_has_seen() -> None:
    marbles = Marbles()
    slow, other = marbles.cold("---------a|"), marbles.cold("-b|")
    quick = [marbles.cold("--a|") for _ in range(20)]
    left = iter([*quick, slow])
    stream = rxllm.hedge(reactivex.defer(lambda _: next(left)), other)

    for _ in quick:
        marbles.run(stream)
    assert other.subscriptions == []
    recording = marbles.run(stream)

    # They took two frames each.
    assert_marbles(recording, "---b|")


def test_leaving_leaves_all_that_run() -> None:
    marbles = Marbles()
    sources = [marbles.cold("-----a|"), marbles.cold("-----a|"), marbles.cold("-a|")]

    marbles.run(rxllm.hedge(*sources, delay=0.02), subscribed="^--!")

    assert_subscriptions(sources[0], "^--!")
    assert_subscriptions(sources[1], "--^!")
    assert sources[2].subscriptions == []


def test_a_consumer_that_pauses_pauses_the_winner() -> None:
    marbles = Marbles()
    letters = {"r": ROLE, **{name: text_chunk(name) for name in "abc"}}
    source = marbles.cold("r-(ab)-c|", letters)

    recording = marbles.run(rxllm.hedge(source, marbles.cold("-"), delay=0), pauses="--[----]")

    assert [event.time // 10_000 for event in recording.events] == [2, 7, 7, 7, 8]


def test_what_a_consumer_raises_is_no_failure_of_the_source() -> None:
    second = reactivex.of("never")

    def raises(_: object) -> None:
        raise ConnectionError("of the consumer")

    with pytest.raises(ConnectionError, match="of the consumer"):
        rxllm.run(rxllm.hedge(reactivex.of("a"), second, delay=1).pipe(rx_ops.map(raises)))


async def wire(*pieces: list[rxllm.StreamChunk]) -> AsyncIterator[bytes]:
    """Chunks as they come over a network, several at a time."""
    for piece in pieces:
        yield b"".join(b"data: %b\n\n" % chunk.model_dump_json().encode() for chunk in piece)


def read(*pieces: list[rxllm.StreamChunk]) -> rxllm.Stream[rxllm.StreamChunk]:
    return rxllm.from_async_iterable(lambda: wire(*pieces)).pipe(ops.decode_sse(), ops.parse())


async def test_chunks_that_come_together_are_passed_on_together() -> None:
    chunks = answer("Hel", "lo", " you")
    stream = rxllm.hedge(read([ROLE, ROLE], chunks[:2], chunks[2:]), reactivex.never(), delay=60)

    completion = await stream.pipe(ops.accumulate())

    assert completion.content == "Hello you"


async def test_what_a_consumer_raises_behind_a_source_of_ours_ends_the_stream() -> None:
    chunks = answer("Hel", "lo", " you")
    asked: list[int] = []

    def ask(_: object) -> Any:
        asked.append(1)
        return reactivex.never()

    for pieces in ((chunks,), (chunks[:1], chunks[1:])):
        stream = rxllm.hedge(read(*pieces), reactivex.defer(ask), delay=60)
        assert str(await error_behind(stream)) == "of the consumer"
    assert not asked


async def test_a_winner_that_begins_anew_forgets_none_of_those_that_lost() -> None:
    tries = iter([cut(answer("Hel", ends=False)), reactivex.from_iterable(answer("Hi"))])
    again = reactivex.defer(lambda _: next(tries)).pipe(ops.retry_with_backoff(initial=0, after_first="restart"))

    completion = await rxllm.hedge(reactivex.never(), again, delay=0).pipe(ops.accumulate())

    assert completion.content == "Hi"
    assert [attempt.ending for attempt in completion.attempts] == ["stopped", "failed"]


async def test_one_that_ends_with_nothing_ends_the_stream() -> None:
    assert await rxllm.hedge(reactivex.empty(), reactivex.never(), delay=0).pipe(rx_ops.to_list()) == []


@pytest.mark.parametrize(
    ("sources", "delay", "message"),
    [
        ([], 1, "one source or more"),
        ([reactivex.never()], -1, "delay must be at least 0"),
        ([reactivex.never()], float("nan"), "delay must be at least 0"),
    ],
)
def test_wrong_arguments_are_an_error_at_once(sources: list[Any], delay: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rxllm.hedge(*sources, delay=delay)
