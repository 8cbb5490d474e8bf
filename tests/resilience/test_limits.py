"""``Limits``: how much may be asked at a time."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops
from reactivex.abc import DisposableBase
from reactivex.scheduler import VirtualTimeScheduler

import rxllm
from rxllm import ChatRequest, Limits, StreamInfo
from rxllm import operators as ops
from rxllm.dialects import rate_limits_of
from rxllm.exceptions import APIStatusError
from rxllm.flow import FlowControl, Stream
from rxllm.models import marked
from rxllm.resilience import estimated_tokens
from rxllm.testing import Marbles, assert_marbles, run_virtual, text_chunk
from tests.resilience.helpers import BUSY

MINUTE = 60.0


class Server:
    """Notes when it was asked."""

    def __init__(self, *answer: Any, takes: float = 0.0) -> None:
        self.asked: list[float] = []
        self._answer = answer
        self._takes = takes
        self.running = self.most_running = 0

    def stream(self) -> Stream[Any]:
        async def items() -> Any:
            self.asked.append(asyncio.get_running_loop().time())
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            try:
                await asyncio.sleep(self._takes)
                for item in self._answer or ("a",):
                    yield item
            finally:
                self.running -= 1

        return rxllm.from_async_iterable(items)


def telling(left: int) -> Server:
    """A server that says how many requests are left in 20 seconds."""
    told = {"x-ratelimit-remaining-requests": str(left), "x-ratelimit-reset-requests": "20s"}
    return Server(marked(text_chunk("a"), stream=StreamInfo(rate_limits=told)))


def most_in_a_minute(times: list[float]) -> int:
    return max(sum(1 for other in times if start <= other <= start + MINUTE) for start in times)


def test_500_tasks_and_never_more_than_allowed_in_any_minute() -> None:
    limits = Limits(requests_per_minute=100)
    server = Server()

    async def main() -> None:
        await asyncio.gather(*[server.stream().pipe(ops.rate_limit(limits)) for _ in range(500)])

    run_virtual(main())

    assert len(server.asked) == 500
    assert most_in_a_minute(server.asked) == 100
    assert max(server.asked) < 5 * MINUTE


def test_first_come_first_served_also_for_one_that_wants_much() -> None:
    limits = Limits(tokens_per_minute=100)
    order: list[int] = []

    async def ask(tokens: int, number: int) -> None:
        await Server().stream().pipe(ops.rate_limit(limits, tokens=tokens))
        order.append(number)

    async def main() -> float:
        await asyncio.gather(*[ask(tokens, number) for number, tokens in enumerate((60, 90, 10, 10))])
        return asyncio.get_running_loop().time()

    run_virtual(main())
    assert order == [0, 1, 2, 3]


def test_what_was_used_replaces_the_estimate() -> None:
    limits = Limits(tokens_per_minute=100)
    usage = rxllm.StreamChunk.from_wire({"choices": [], "usage": {"total_tokens": 10}})
    server = Server(text_chunk("a"), usage)

    async def main() -> None:
        for _ in range(10):
            await server.stream().pipe(ops.rate_limit(limits, tokens=55))

    run_virtual(main())
    # 55 are estimated and 10 used: there is room for five before the first minute is over.
    assert [asked < MINUTE for asked in server.asked] == [True] * 5 + [False] * 5


def test_a_request_that_is_larger_than_the_limit_goes_when_nothing_else_does() -> None:
    limits = Limits(tokens_per_minute=100)
    server = Server()

    async def main() -> None:
        for _ in range(2):
            await server.stream().pipe(ops.rate_limit(limits, tokens=1000))

    run_virtual(main())
    assert [round(asked) for asked in server.asked] == [0, 60]


def test_so_many_answers_at_a_time() -> None:
    limits = Limits(max_concurrency=3)
    server = Server(takes=1)

    async def main() -> float:
        await asyncio.gather(*[server.stream().pipe(ops.rate_limit(limits)) for _ in range(10)])
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(4)
    assert server.most_running == 3


@pytest.mark.parametrize("who", ["one that waits", "one that runs"])
def test_one_who_leaves_leaves_no_hole(who: str) -> None:
    limits = Limits(max_concurrency=1)
    servers = [Server(takes=1) for _ in range(3)]

    async def main() -> None:
        tasks = [asyncio.ensure_future(server.stream().pipe(ops.rate_limit(limits))) for server in servers]
        await asyncio.sleep(0.5)
        leaving = tasks.pop(1 if who == "one that waits" else 0)
        leaving.cancel()
        await asyncio.gather(*tasks)
        with pytest.raises(asyncio.CancelledError):
            await leaving

    run_virtual(main())
    starts = [server.asked for server in servers]
    assert starts == ([[0], [], [1]] if who == "one that waits" else [[0], [0.5], [1.5]])


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param({"max_concurrency": 1}, id="when another request ends"),
        pytest.param({"requests_per_minute": 1}, id="at the timer of another request"),
    ],
)
def test_one_who_waited_goes_on_in_a_context_of_its_own(limits: dict[str, Any]) -> None:
    who = contextvars.ContextVar("who", default="nobody")
    shared = Limits(**limits)
    seen: list[tuple[str, bool]] = []

    async def items() -> Any:
        seen.append((who.get(), FlowControl.current() is None))
        yield "a"

    async def outer() -> Any:
        yield "a"

    async def ask(name: str) -> None:
        who.set(name)
        # In the middle of an emission, which is over when it goes on.
        await rxllm.from_async_iterable(outer).pipe(rx_ops.flat_map(inner))

    def inner(_: Any) -> Observable[Any]:
        return reactivex.defer(source).pipe(ops.rate_limit(shared))

    def source(_: Any) -> Stream[Any]:
        seen.append((who.get(), FlowControl.current() is None))
        return rxllm.from_async_iterable(items)

    async def main() -> None:
        await asyncio.gather(*map(ask, "abc"))

    run_virtual(main())
    assert [name for name, _ in seen] == ["a", "a", "b", "b", "c", "c"]
    assert [is_outside for _, is_outside in seen[::2]] == [False, True, True]


async def test_one_who_leaves_in_another_thread_lets_the_next_one_go_in_the_thread_of_the_loop() -> None:
    limits = Limits(max_concurrency=1)
    server = Server()
    first = reactivex.never().pipe(ops.rate_limit(limits)).subscribe()
    second = asyncio.ensure_future(server.stream().pipe(ops.rate_limit(limits)))
    async with asyncio.timeout(60):
        await asyncio.sleep(0)
        await asyncio.to_thread(first.dispose)
        assert await second == "a"


async def test_one_who_waits_and_leaves_in_another_thread_is_asked_for_no_more() -> None:
    limits = Limits(max_concurrency=1)
    asked: list[Any] = []

    def ask(scheduler: Any) -> Any:
        asked.append(scheduler)
        return reactivex.never()

    first = reactivex.never().pipe(ops.rate_limit(limits)).subscribe()
    second = reactivex.defer(ask).pipe(ops.rate_limit(limits)).subscribe()
    leaving = threading.Thread(target=second.dispose)
    leaving.start()
    leaving.join()  # the loop has no turn in between
    first.dispose()
    async with asyncio.timeout(60):
        assert await Server().stream().pipe(ops.rate_limit(limits)) == "a"
    assert asked == []


def test_one_who_leaves_in_another_thread_when_the_loop_is_closed_leaves_no_hole() -> None:
    limits = Limits(max_concurrency=1)

    async def begin() -> DisposableBase:
        return reactivex.never().pipe(ops.rate_limit(limits)).subscribe()

    first = asyncio.run(begin())
    leaving = threading.Thread(target=first.dispose)
    leaving.start()
    leaving.join()
    assert rxllm.run(Server().stream().pipe(ops.rate_limit(limits))) == "a"


def test_without_a_loop_the_next_one_goes_at_once() -> None:
    limits = Limits(max_concurrency=1)
    scheduler = VirtualTimeScheduler()
    got: list[str] = []
    first = reactivex.never().pipe(ops.rate_limit(limits)).subscribe(scheduler=scheduler)
    reactivex.of("a").pipe(ops.rate_limit(limits)).subscribe(got.append, scheduler=scheduler)
    first.dispose()
    scheduler.advance_by(1)
    assert got == ["a"]


def test_it_learns_from_what_the_server_tells() -> None:
    limits = Limits()
    servers = [telling(left) for left in (1, 0, 9)]

    async def main() -> None:
        for server in servers:
            await server.stream().pipe(ops.rate_limit(limits))

    run_virtual(main())
    # Of the server's own count one is left after the first, and none after the second.
    assert [round(asked) for server in servers for asked in server.asked] == [0, 0, 20]


def test_a_server_that_fills_up_all_the_time_is_not_waited_for() -> None:
    limits = Limits()
    server = telling(5)

    async def main() -> None:
        for _ in range(50):
            await server.stream().pipe(ops.rate_limit(limits))

    run_virtual(main())
    assert {*server.asked} == {0}


def test_it_rests_as_long_as_an_error_asks() -> None:
    limits = Limits()

    async def throw(seconds: float | None) -> None:
        stream = reactivex.throw(APIStatusError("", status=429, retry_after=seconds)).pipe(ops.rate_limit(limits))
        with pytest.raises(APIStatusError):
            await stream

    async def later() -> list[float]:
        times: list[float] = []
        for seconds in (20.0, 1e9, None):
            await throw(seconds)
            times.append(asyncio.get_running_loop().time())
        return times

    # A server that asks for years is asked again after a minute.
    assert run_virtual(later()) == [0, 20, 80]


def test_what_a_source_fails_with_passes_and_gives_its_place_back() -> None:
    limits = Limits(max_concurrency=1)
    marbles = Marbles()
    for _ in range(3):
        recording = marbles.run(marbles.cold("-a-#", error=BUSY).pipe(ops.rate_limit(limits)))
        assert_marbles(recording, "-a-#", error=BUSY)


def test_the_estimate() -> None:
    short = ChatRequest(model="m", messages=[{"role": "user", "content": "a"}])
    long = ChatRequest(model="m", messages=[{"role": "user", "content": "a" * 4000}], max_tokens=500)
    assert 1500 < estimated_tokens(long) - estimated_tokens(short) + 10 < 1520


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "max_concurrency"])
def test_a_limit_is_positive(name: str) -> None:
    options: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=name):
        Limits(**options)
    assert repr(Limits(**{name: 7})) == f"Limits({name}=7)"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        *(("6ms", 0.006), ("1m3.5s", 63.5), ("20", 20), ("1h", 3600), ("1d2h", 93600)),
        *(("soon", None), ("", None), ("9" * 70, None), ("-5", None), ("1e5", None)),
    ],
)
def test_when_a_limit_is_full_again(reset: str, seconds: float | None) -> None:
    told = rate_limits_of({"x-ratelimit-remaining-tokens": "7", "x-ratelimit-reset-tokens": reset})
    assert told.requests is None
    assert (told.tokens and (told.tokens.amount, told.tokens.seconds)) == (seconds and (7, seconds))


def test_without_a_limit_of_tokens_their_number_is_no_matter() -> None:
    usage = rxllm.StreamChunk.from_wire({"choices": [], "usage": {"total_tokens": 10}})

    async def main() -> None:
        await Server(usage).stream().pipe(ops.rate_limit(Limits(requests_per_minute=5)))

    run_virtual(main())
