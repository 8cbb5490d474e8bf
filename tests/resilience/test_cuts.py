"""An answer that is cut at each of its bytes: one whole answer, or an error that has all there is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import AllAttemptsFailedError, RestartError, RxllmError, StreamInterruptedError
from rxllm.flow import Stream
from rxllm.operators import AfterFirst
from tests.resilience.helpers import one_after_another


def event(**choice: Any) -> bytes:
    chunk = {"id": "c", "model": "m", "choices": [{"index": 0, **choice}]}
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


def call(index: int, arguments: str, **fields: str) -> dict[str, Any]:
    return {"index": index, **fields, "function": {"arguments": arguments, **({"name": "f"} if fields else {})}}


USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
EVENTS = [
    event(delta={"role": "assistant", "content": ""}),
    event(delta={"reasoning_content": "Hm"}),
    event(delta={"content": "It "}),
    event(delta={"content": "is ü."}),
    event(delta={"tool_calls": [call(0, '{"a"', id="1")]}),
    event(delta={"tool_calls": [call(0, ": 1}")]}),
    event(delta={"tool_calls": [call(1, "{}", id="2")]}),
    event(delta={}, finish_reason="tool_calls"),
    b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n",
    b"data: [DONE]\n\n",
]
WIRE = b"".join(EVENTS)
# From here on each choice has ended, and the answer is whole.
FINISHED = len(b"".join(EVENTS[:8]))
BEGUN = len(b"".join(EVENTS[:2]))
COUNTED = len(b"".join(EVENTS[:9]))


def served(size: int) -> Stream[rxllm.StreamChunk]:
    """The answer, cut behind so many bytes."""

    async def body() -> AsyncIterator[bytes]:
        yield WIRE[:size]
        if size < len(WIRE):
            raise StreamInterruptedError("cut")

    return rxllm.from_async_iterable(body).pipe(ops.decode_sse(), ops.parse())


WHOLE = rxllm.run(served(len(WIRE)).pipe(ops.accumulate()))


def retried(sizes: Sequence[int], how: AfterFirst) -> Observable[rxllm.StreamChunk]:
    return one_after_another(*map(served, sizes)).pipe(ops.retry_with_backoff(len(sizes), initial=0, after_first=how))


def fallen_back(sizes: Sequence[int], how: AfterFirst) -> Observable[rxllm.StreamChunk]:
    return rxllm.fallback(*map(served, sizes), after_first=how)


def hedged(sizes: Sequence[int], how: AfterFirst) -> Observable[rxllm.StreamChunk]:
    return rxllm.fallback(rxllm.hedge(*map(served, sizes[:-1]), delay=1), served(sizes[-1]), after_first=how)


POLICIES = {"retry": retried, "fallback": fallen_back, "hedge": hedged}


def is_cut(size: int) -> bool:
    return size < FINISHED


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("how", ["fail", "restart"])
async def test_one_whole_answer_or_an_error_with_all_there_is(policy: str, how: AfterFirst) -> None:
    for size in range(len(WIRE) + 1):
        stream = POLICIES[policy]((size, size, len(WIRE)), how)
        try:
            completion = await stream.pipe(ops.accumulate())
        except RxllmError as error:
            check_failure(error, size, how)
            continue
        assert (completion.content, completion.message.tool_calls) == (WHOLE.content, WHOLE.message.tool_calls)
        assert completion.message.reasoning_text == "Hm"
        assert completion.complete
        assert len(completion.attempts) == tries_before(policy, size)
        total = completion.total_usage
        assert (total and total.total_tokens) == (12 if is_cut(size) or size >= COUNTED else None)


def tries_before(policy: str, size: int) -> int:
    if not is_cut(size):
        return 0
    # The second runner of a hedge is not needed when the first has begun.
    return 1 if policy == "hedge" and size >= BEGUN else 2


def check_failure(error: RxllmError, size: int, how: AfterFirst) -> None:
    assert how == "fail"
    assert BEGUN <= size < FINISHED
    assert isinstance(error, StreamInterruptedError)
    assert error.partial is not None
    assert not error.partial.complete
    assert WHOLE.content is not None
    assert WHOLE.content.startswith(error.partial.content or "")
    assert error.partial.message.tool_calls == []
    assert [attempt.ending for attempt in error.attempts] == ["truncated"]


@pytest.mark.parametrize("how", ["fail", "restart"])
async def test_if_every_try_is_cut_the_error_has_all_of_them(how: AfterFirst) -> None:
    for size in range(FINISHED):
        with pytest.raises((StreamInterruptedError, AllAttemptsFailedError)) as caught:
            await rxllm.fallback(*map(served, (size, size, size)), after_first=how).pipe(ops.accumulate())
        assert caught.value.partial is not None
        assert len(caught.value.attempts) == (1 if how == "fail" and size >= BEGUN else 3)


async def test_no_word_is_shown_twice() -> None:
    for size in range(len(WIRE) + 1):
        shown: list[str] = []
        stream = POLICIES["retry"]((size, len(WIRE)), "restart")
        with nullcontext() if not is_cut(size) else suppress(RestartError):
            texts: Observable[Any] = stream.pipe(ops.content(), rx_ops.do_action(shown.append))
            await texts.pipe(rx_ops.default_if_empty(None))
        assert WHOLE.content is not None
        assert WHOLE.content.startswith("".join(shown))
