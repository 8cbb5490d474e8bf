"""``retry_with_backoff``: another try when it may help, and never a word twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import reactivex
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import (
    APIStatusError,
    APIStreamError,
    DecodeError,
    RestartError,
    StreamInterruptedError,
    TruncatedStreamError,
)
from rxllm.testing import Marbles, assert_marbles, assert_subscriptions, run_virtual, text_chunk
from tests.resilience.helpers import BUSY, answer, cut, error_behind, no_jitter, one_after_another

# A frame is 10 ms.


def again(max_attempts: int = 3, **options: Any) -> Any:
    return ops.retry_with_backoff(max_attempts, initial=0.02, jitter=no_jitter, **options)


def test_a_failure_before_the_first_item_is_tried_again_later_and_later() -> None:
    marbles = Marbles()
    sources = [marbles.cold("-#", error=BUSY), marbles.cold("-#", error=BUSY), marbles.cold("-a-|")]

    recording = marbles.run(one_after_another(*sources).pipe(again()))

    # Two frames of waiting, then four.
    assert_marbles(recording, "---------a-|")
    assert [len(source.subscriptions) for source in sources] == [1, 1, 1]
    assert_subscriptions(sources[2], "--------^--!")


def test_the_last_failure_is_the_error() -> None:
    marbles = Marbles()
    sources = [marbles.cold("#", error=BUSY), marbles.cold("#", error=ConnectionError("still busy"))]

    recording = marbles.run(one_after_another(*sources).pipe(again(2)))

    assert_marbles(recording, "--#", error=ConnectionError("still busy"))


def test_a_failure_behind_an_item_passes() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-#", error=BUSY)

    recording = marbles.run(source.pipe(again()))

    assert_marbles(recording, "-a-#", error=BUSY)


@pytest.mark.parametrize("source", ["-a-b-|", "-|", "-a-b-", "---"])
def test_what_does_not_fail_passes(source: str) -> None:
    marbles = Marbles()

    recording = marbles.run(marbles.cold(source).pipe(again()), subscribed="^---------!")

    assert_marbles(recording, source)


def test_who_leaves_while_it_waits_asks_no_more() -> None:
    marbles = Marbles()
    sources = [marbles.cold("#", error=BUSY), marbles.cold("-a-|")]
    stream = one_after_another(*sources).pipe(ops.retry_with_backoff(initial=1, jitter=no_jitter))

    marbles.run(stream, subscribed="^----!")

    assert sources[1].subscriptions == []


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (APIStatusError("", status=429), True),
        (APIStatusError("", status=503), True),
        (APIStatusError("", status=400), False),
        (APIStreamError("", retryable=True), True),
        (APIStreamError(""), False),
        (StreamInterruptedError(""), True),
        (TruncatedStreamError(""), True),
        (DecodeError("", dialect="d", position=0, text=""), False),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (KeyError(), False),
    ],
)
def test_what_is_worth_another_try(error: Exception, *, helps: bool) -> None:
    source = one_after_another(reactivex.throw(error), reactivex.of("a"))
    if helps:
        assert rxllm.run(source.pipe(ops.retry_with_backoff(initial=0))) == "a"
    else:
        with pytest.raises(type(error)):
            rxllm.run(source.pipe(ops.retry_with_backoff(initial=0)))


def is_of_a_key(error: Exception) -> bool:
    return isinstance(error, KeyError)


def test_retry_on_decides() -> None:
    source = one_after_another(reactivex.throw(KeyError()), reactivex.of("a"))
    assert rxllm.run(source.pipe(again(retry_on=is_of_a_key))) == "a"


@pytest.mark.parametrize(("asked", "frames"), [(0.07, 7), (0.0, 0)])
def test_what_the_server_asks_for_wins(asked: float, frames: int) -> None:
    marbles = Marbles()
    busy = APIStatusError("busy", status=429, retry_after=asked)

    recording = marbles.run(one_after_another(marbles.cold("-#", error=busy), marbles.cold("a|")).pipe(again()))

    assert_marbles(recording, "-" + "-" * frames + "a|")


def test_a_server_that_asks_for_too_much_is_an_error_that_says_so() -> None:
    busy = APIStatusError("busy", status=429, retry_after=3e8)
    source = one_after_another(reactivex.throw(busy))

    with pytest.raises(
        APIStatusError, match=r"busy; the server asks to wait 3e\+08 s, longer than maximum=30"
    ) as caught:
        rxllm.run(source.pipe(again()))

    assert caught.value.retry_after == 3e8


def test_the_wait_is_drawn_and_the_same_seed_draws_the_same() -> None:
    async def waits_of(jitter: Callable[[], float]) -> list[float]:
        drawn: list[float] = []
        source = one_after_another(*[reactivex.throw(BUSY)] * 8, reactivex.of("a"))
        await source.pipe(
            ops.retry_with_backoff(9, maximum=3, jitter=jitter, on_retry=lambda retry: drawn.append(retry.seconds))
        )
        return drawn

    # Not for secrets.
    waits = [run_virtual(waits_of(random.Random(7).random)) for _ in range(2)]  # noqa: S311
    assert waits[0] == waits[1]
    bounds = [0.5, 1, 2, 3, 3, 3, 3, 3]
    assert all(0 <= wait <= bound for wait, bound in zip(waits[0], bounds, strict=True))
    assert len(set(waits[0])) == len(bounds)


def test_on_retry_hears_of_each_and_what_it_raises_ends_the_stream() -> None:
    heard: list[Any] = []
    source = one_after_another(reactivex.throw(BUSY), reactivex.throw(BUSY), reactivex.of("a"))
    rxllm.run(source.pipe(again(on_retry=heard.append)))
    assert [(retry.attempt, retry.error, retry.seconds) for retry in heard] == [(1, BUSY, 0.02), (2, BUSY, 0.04)]

    def refuse(_: object) -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no") as caught:
        rxllm.run(reactivex.throw(BUSY).pipe(again(on_retry=refuse)))
    assert [str(attempt.error) for attempt in caught.value.attempts] == ["busy"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 0},
        {"initial": -1},
        {"initial": 2, "maximum": 1},
        {"maximum": float("inf")},
        {"initial": float("nan")},
        {"after_first": "again"},
    ],
)
def test_wrong_arguments_are_an_error_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|seconds"):
        ops.retry_with_backoff(**options)


def test_what_a_consumer_raises_is_no_failure_of_the_source() -> None:
    asked: list[int] = []

    def ask(_: object) -> Any:
        asked.append(1)
        return reactivex.of("a")

    def raises(_: object) -> None:
        raise ConnectionError("of the consumer")

    with pytest.raises(ConnectionError, match="of the consumer"):
        rxllm.run(reactivex.defer(ask).pipe(again(), rx_ops.map(raises)))
    assert asked == [1]


# Chunks


def test_until_something_of_an_answer_came_another_try_doubles_nothing() -> None:
    role = rxllm.StreamChunk.from_wire({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    source = one_after_another(cut([role]), reactivex.from_iterable(answer("Hel", "lo")))

    completion = rxllm.run(source.pipe(again(), ops.accumulate()))

    assert completion.content == "Hello"
    assert [str(attempt.error) for attempt in completion.attempts] == ["busy"]


def test_after_something_of_an_answer_the_failure_passes_with_all_that_was_tried() -> None:
    source = one_after_another(reactivex.throw(BUSY), cut(answer("Hel", ends=False), TruncatedStreamError("cut")))

    with pytest.raises(TruncatedStreamError) as caught:
        rxllm.run(source.pipe(again(), ops.accumulate()))

    error = caught.value
    assert error.partial is not None
    assert error.partial.content == "Hel"
    assert [(str(attempt.error), attempt.ending) for attempt in error.attempts] == [
        ("busy", "failed"),
        ("cut", "truncated"),
    ]


def test_with_restart_the_answer_begins_anew() -> None:
    usage = rxllm.StreamChunk.from_wire({"choices": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}})
    last = rxllm.StreamChunk.from_wire({"choices": [], "usage": {"prompt_tokens": 4, "total_tokens": 9}})
    tries = [
        cut([*answer("Hel", ends=False), usage]),
        cut(answer("Good", ends=False)),
        reactivex.from_iterable([*answer("Hi"), last]),
    ]

    completion = rxllm.run(one_after_another(*tries).pipe(again(after_first="restart"), ops.accumulate()))

    assert completion.content == "Hi"
    assert [attempt.usage and attempt.usage.prompt_tokens for attempt in completion.attempts] == [3, None]
    assert completion.total_usage is not None
    assert (completion.total_usage.prompt_tokens, completion.total_usage.total_tokens) == (7, 12)


def test_what_only_says_what_it_costs_is_no_beginning() -> None:
    usage = rxllm.StreamChunk.from_wire({"choices": [], "usage": {"prompt_tokens": 3}})
    role = rxllm.StreamChunk.from_wire({"choices": [{"delta": {"role": "assistant"}}], "usage": {"prompt_tokens": 4}})
    tries = [cut([usage, role]), reactivex.from_iterable(answer("Hi"))]

    completion = rxllm.run(one_after_another(*tries).pipe(again(), ops.accumulate()))

    assert completion.text == "Hi"
    assert [attempt.usage and attempt.usage.prompt_tokens for attempt in completion.attempts] == [4]


def test_the_usage_of_a_try_is_taken_field_by_field() -> None:
    said = [{"prompt_tokens": 25, "completion_tokens": 1}, {"prompt_tokens": 0, "completion_tokens": 40}]
    usages = [rxllm.StreamChunk.from_wire({"choices": [], "usage": usage}) for usage in said]
    tries = [cut([*answer("Hel", ends=False), *usages]), reactivex.from_iterable(answer("Hi"))]

    completion = rxllm.run(one_after_another(*tries).pipe(again(after_first="restart"), ops.accumulate()))

    (attempt,) = completion.attempts
    assert attempt.usage is not None
    assert (attempt.usage.prompt_tokens, attempt.usage.completion_tokens) == (25, 40)


def test_what_cannot_be_taken_back_fails() -> None:
    source = one_after_another(cut(answer("Hel", ends=False)), reactivex.from_iterable(answer("Hi")))
    texts: list[str] = []

    with pytest.raises(RestartError):
        rxllm.run(source.pipe(again(after_first="restart"), ops.content(), rx_ops.do_action(texts.append)))

    assert texts == ["Hel"]


def test_what_is_no_chunk_cannot_restart() -> None:
    source = one_after_another(reactivex.concat(reactivex.of("a"), reactivex.throw(BUSY)))
    with pytest.raises(ConnectionError, match="busy"):
        rxllm.run(source.pipe(again(after_first="restart")))


def test_each_subscription_has_tries_of_its_own() -> None:
    stream = one_after_another(
        reactivex.throw(BUSY), reactivex.of("a"), reactivex.throw(BUSY), reactivex.throw(BUSY), reactivex.of("b")
    ).pipe(again())
    assert [rxllm.run(stream), rxllm.run(stream)] == ["a", "b"]


def test_tries_within_tries_are_told_of_once() -> None:
    inner = one_after_another(*[reactivex.throw(BUSY)] * 3, reactivex.from_iterable(answer("Hi")))

    completion = rxllm.run(inner.pipe(again(2), again(2), ops.accumulate()))

    assert completion.content == "Hi"
    assert len(completion.attempts) == 3


def test_a_pause_is_held_across_tries() -> None:
    marbles = Marbles()
    chunks = {"a": text_chunk("Hel"), "b": text_chunk("Hi")}
    sources = [marbles.cold("a-#", chunks, error=BUSY), marbles.cold("b-|", chunks)]

    recording = marbles.run(
        one_after_another(*sources).pipe(ops.retry_with_backoff(initial=0, after_first="restart")), pauses="[----]"
    )

    assert [event.time // 10_000 for event in recording.events] == [0, 5, 7]


class UncopiedError(ConnectionError):
    def __reduce__(self) -> Any:
        raise TypeError("not to be copied")


def test_an_error_that_cannot_be_copied_is_told_of_all_the_same() -> None:
    source = one_after_another(reactivex.throw(UncopiedError("odd")), reactivex.from_iterable(answer("Hi")))
    completion = rxllm.run(source.pipe(ops.retry_with_backoff(initial=0), ops.accumulate()))
    assert [str(attempt.error) for attempt in completion.attempts] == ["UncopiedError: odd"]


@pytest.mark.parametrize("initial", [0, 30])
async def test_who_leaves_when_hearing_of_a_retry_asks_no_more(initial: float) -> None:
    left = asyncio.Event()
    asked: list[int] = []

    async def failing() -> AsyncIterator[str]:
        asked.append(1)
        if asked:
            raise BUSY
        yield ""

    def leave(_: object) -> None:
        subscription.dispose()
        left.set()

    operator = ops.retry_with_backoff(initial=initial, jitter=no_jitter, on_retry=leave)
    subscription = rxllm.from_async_iterable(failing).pipe(operator).subscribe()
    await left.wait()
    subscription.dispose()

    assert asked == [1]


async def test_chunks_that_come_together_are_passed_on_together() -> None:
    chunks = answer("Hel", "lo")
    wire = b"".join(b"data: %b\n\n" % chunk.model_dump_json().encode() for chunk in chunks)
    asked: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        asked.append(1)
        yield wire

    stream = rxllm.from_async_iterable(body).pipe(ops.decode_sse(), ops.parse(), ops.retry_with_backoff(initial=0))
    assert (await stream.pipe(ops.accumulate())).content == "Hello"

    assert str(await error_behind(stream)) == "of the consumer"
    assert asked == [1, 1]
