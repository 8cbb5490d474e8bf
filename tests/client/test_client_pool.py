"""``ClientPool``: several clients as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from reactivex import operators as rx_ops
from reactivex.abc import DisposableBase
from reactivex.disposable import Disposable
from reactivex.scheduler import VirtualTimeScheduler

import rxllm
from rxllm import ChatRequest, ClientPool, LLMClient, ToolRegistry
from rxllm import operators as ops
from rxllm.exceptions import AllAttemptsFailedError, APIStatusError
from rxllm.flow import Stream
from rxllm.testing import ScriptedServer, finish_chunk, run_virtual, script, text_chunk

REQUEST = ChatRequest(model="m", messages=[{"role": "user", "content": "Hi"}])


class Server(LLMClient):
    """A client whose server fails as it is told, in virtual time."""

    def __init__(self, *failures: Exception | None, takes: float = 1.0) -> None:
        super().__init__(base_url="http://127.0.0.1")
        self.asked: list[float] = []
        self.silent = 0.0
        self._failures = list(failures)
        self._takes = takes

    def once(self, request: ChatRequest, headers: Mapping[str, str] | None, timeout: Any) -> Stream[Any]:
        del request, headers, timeout

        async def chunks() -> AsyncIterator[Any]:
            self.asked.append(asyncio.get_running_loop().time())
            failure = self._failures.pop(0) if self._failures else None
            if failure is not None:
                raise failure
            await asyncio.sleep(self.silent)
            yield text_chunk("Hi")
            await asyncio.sleep(self._takes)
            yield finish_chunk("stop")

        return rxllm.from_async_iterable(chunks)


def busy(retry_after: float | None = None, status: int = 429) -> APIStatusError:
    return APIStatusError("busy", status=status, retry_after=retry_after)


async def test_a_key_without_money_is_no_reason_not_to_ask_with_another() -> None:
    broke = script.status(429, {"error": {"message": "m", "code": "insufficient_quota"}})
    async with ScriptedServer(broke) as first, ScriptedServer("Hello") as second:
        pool = ClientPool([LLMClient(base_url=each.base_url) for each in (first, second)])
        assert (await pool.chat(REQUEST)).content == "Hello"
    assert [len(each.requests) for each in (first, second)] == [1, 1]


def test_the_least_busy_is_asked() -> None:
    servers = [Server(), Server(), Server(takes=10)]
    pool = ClientPool(servers)

    async def main() -> None:
        first = [asyncio.ensure_future(pool.chat(REQUEST)) for _ in range(3)]
        await asyncio.sleep(2)
        assert [each.running for each in pool.statistics()] == [0, 0, 1]
        await asyncio.gather(*first, *[asyncio.ensure_future(pool.chat(REQUEST)) for _ in range(2)])

    run_virtual(main())
    assert [len(server.asked) for server in servers] == [2, 2, 1]


def test_a_key_that_is_told_to_wait_gets_no_request_before() -> None:
    servers = [Server(), Server(busy(retry_after=20)), Server(), Server()]
    pool = ClientPool(servers)

    async def main() -> None:
        for _ in range(40):
            assert (await pool.chat(REQUEST)).content == "Hi"

    run_virtual(main())
    first, second, *_ = servers[1].asked
    assert second - first >= 20
    assert sum(len(server.asked) for server in servers) == 41


def test_a_server_that_fails_is_left_out_and_probed_by_one() -> None:
    failures = [ConnectionError("down")] * 4
    servers = [Server(*failures), Server()]
    pool = ClientPool(servers, threshold=3, rest=30)

    async def main() -> None:
        for _ in range(100):
            await asyncio.gather(pool.chat(REQUEST), pool.chat(REQUEST))

    run_virtual(main())
    broken = servers[0].asked
    # Three failures, then a probe that fails, then one that succeeds.
    assert broken[3] - broken[2] >= 30
    assert broken[4] - broken[3] >= 30
    assert sum(1 for time in broken if broken[2] < time < broken[4]) == 1


def test_an_answer_that_ends_during_a_probe_lets_no_second_one_through() -> None:
    long = Server(None, *[ConnectionError("down")] * 2, takes=10)
    pool = ClientPool([long], threshold=2, rest=3)

    async def main() -> None:
        before = asyncio.ensure_future(pool.chat(REQUEST))
        await asyncio.sleep(5)
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await pool.chat(REQUEST)
        await asyncio.sleep(4)
        long.silent = 3.0
        probe = asyncio.ensure_future(pool.chat(REQUEST))
        await before
        other = asyncio.ensure_future(pool.chat(REQUEST))
        await asyncio.gather(probe, other)

    run_virtual(main())
    *_, probed, after = long.asked
    # The first answer ended a second after the probe began, which has something of an answer after three.
    assert (probed, after >= probed + 3) == (9, True)


def test_if_all_rest_a_request_waits() -> None:
    pool = ClientPool([Server(busy(retry_after=7)), Server(busy(retry_after=5))])

    async def main() -> float:
        with pytest.raises(AllAttemptsFailedError) as caught:
            await pool.chat(REQUEST)
        assert len(caught.value.attempts) == 2
        completion = await pool.chat(REQUEST)
        assert completion.content == "Hi"
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(6)


def test_but_not_for_ever() -> None:
    pool = ClientPool([Server(busy(retry_after=1000)), Server(busy(retry_after=1e12))])

    async def main() -> float:
        for _ in range(2):
            with pytest.raises(AllAttemptsFailedError, match="busy"):
                await pool.chat(REQUEST)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 0
    assert [each.resting for each in run_virtual(told(pool))] == [1000, 3600]


async def told(pool: ClientPool) -> Any:
    return pool.statistics()


def test_who_leaves_while_it_waits_asks_nobody() -> None:
    servers = [Server(busy(retry_after=10))]
    pool = ClientPool(servers)

    async def main() -> None:
        with pytest.raises(APIStatusError):
            await pool.chat(REQUEST)
        task = asyncio.ensure_future(pool.chat(REQUEST))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(60)

    run_virtual(main())
    assert len(servers[0].asked) == 1


def test_a_request_that_is_wrong_is_asked_once() -> None:
    servers = [Server(busy(status=400)), Server()]
    with pytest.raises(APIStatusError):
        run_virtual(_ask(ClientPool(servers)))
    assert [len(server.asked) for server in servers] == [1, 0]


async def _ask(pool: ClientPool) -> rxllm.ChatCompletion:
    return await pool.chat(REQUEST)


def test_a_key_that_is_refused_gives_way_to_another() -> None:
    completion = run_virtual(_ask(ClientPool([Server(busy(status=401)), Server()])))
    assert [type(attempt.error) for attempt in completion.attempts] == [APIStatusError]


def test_a_probe_that_is_under_way_is_waited_for() -> None:
    servers = [Server(ConnectionError(), takes=3)]
    pool = ClientPool(servers, threshold=1, rest=5)

    async def main() -> None:
        with pytest.raises(ConnectionError):
            await pool.chat(REQUEST)
        answers = await asyncio.gather(*[pool.chat(REQUEST) for _ in range(3)])
        assert [answer.content for answer in answers] == ["Hi"] * 3

    run_virtual(main())
    assert len(servers[0].asked) == 4


@pytest.mark.parametrize("options", [{"threshold": 0}, {"rest": 0}, {"patience": -1}])
def test_wrong_arguments_are_an_error_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"threshold|rest|patience"):
        ClientPool([Server()], **options)
    with pytest.raises(ValueError, match="one client or more"):
        ClientPool([])


async def test_all_that_a_client_can_do_and_a_session_for_each() -> None:
    call = script.answer(script.tool_call("now", {}))
    registry = ToolRegistry()

    @registry.tool
    def now() -> str:
        """Tell the time."""
        return "ten"

    async with ScriptedServer("a", call, "e") as first, ScriptedServer("b", "d") as second:
        async with ClientPool([LLMClient(base_url=each.base_url) for each in (first, second)]) as pool:
            assert repr(pool) == "ClientPool(2 clients)"
            answers = [(await pool.chat(REQUEST)).content for _ in range(2)]
            events = [event async for event in pool.chat_with_tools(REQUEST, registry)]
            last = await pool.websocket_stream(REQUEST).pipe(ops.accumulate())
        assert (first.connections, second.connections) == (1, 1)

    assert answers == ["a", "b"]
    assert isinstance(events[-1], rxllm.ChatCompleted)
    assert (events[-1].completion.content, last.content) == ("d", "e")


async def test_a_client_that_cannot_be_opened_leaves_none_open() -> None:
    async with LLMClient(base_url="http://127.0.0.1") as used:
        pool = ClientPool([LLMClient(base_url="http://127.0.0.1"), used])
        with pytest.raises(RuntimeError, match="in use"):
            await pool.__aenter__()
        await pool.__aexit__()


class Silent(Server):
    """One that ends without an answer."""

    def once(self, request: ChatRequest, headers: Mapping[str, str] | None, timeout: Any) -> Stream[Any]:
        del request, headers, timeout

        async def nothing() -> AsyncIterator[Any]:
            none: tuple[Any, ...] = ()
            for item in none:
                yield item

        return rxllm.from_async_iterable(nothing)


def test_an_end_without_an_answer_is_no_failure_of_the_client() -> None:
    pool = ClientPool([Silent()])

    async def main() -> None:
        assert await pool.chat_stream(REQUEST).pipe(rx_ops.to_list()) == []
        assert [(each.requests, each.failures, each.running) for each in pool.statistics()] == [(1, 0, 0)]

    run_virtual(main())


async def test_one_who_leaves_in_another_thread_while_a_timer_is_set_asks_nobody_any_more() -> None:
    class Leaving(VirtualTimeScheduler):
        """One at which a stream is left when a timer is being set."""

        def schedule_relative(self, *arguments: Any, **named: Any) -> Any:
            leaving.dispose()
            return super().schedule_relative(*arguments, **named)

    pool, scheduler = ClientPool([Server(busy(10.0))], threshold=1), Leaving()
    leaving: DisposableBase = Disposable()
    errors: list[Exception] = []
    pool.chat_stream(REQUEST).subscribe(on_error=errors.append, scheduler=scheduler)
    async with asyncio.timeout(60):
        while not errors:
            await asyncio.sleep(0)
    first, second = (pool.chat_stream(REQUEST).subscribe(scheduler=scheduler) for _ in range(2))
    leaving = second
    scheduler.advance_by(11)  # the first asks whether the client is well again, and the second waits for that
    first.dispose()
    scheduler.advance_by(11)
    assert [(each.running, each.requests) for each in pool.statistics()] == [(0, 2)]
