"""Tries are the children of the operation's span, each with its server and its ending, whoever makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import operators as rx_ops

import rxllm
from rxllm import ClientPool, LLMClient, Stream, StreamChunk, fallback, hedge
from rxllm import operators as ops
from rxllm.exceptions import AllAttemptsFailedError, APIStatusError
from rxllm.testing import Marbles, ScriptedServer, finish_chunk, script, text_chunk
from tests.telemetry.told import REQUEST, Told, ending, facts, telling

BUSY = script.status(503, {"error": {"message": "busy"}}, headers={"retry-after": "0"})
HALF = [script.text("Hel"), script.stall()]
WHOLE = ("whole", False, None)
REFUSED = ("failed", True, "503")
LEFT = ("left", False, None)

LETTERS = {"a": text_chunk("Hel"), "b": finish_chunk()}


def attempts(told: Told) -> list[Any]:
    """The endings of the tries, which are all children of the only answer, in their order."""
    children = told.children(told.chat)
    assert [span.name for span in children] == [f"attempt {facts(span)['rxllm.attempt']}" for span in children]
    return [ending(span) for span in sorted(children, key=lambda span: facts(span)["rxllm.attempt"])]


def port_of(server: ScriptedServer) -> int:
    return int(server.origin.rpartition(":")[2])


async def test_the_retries_of_a_client(told: Told) -> None:
    async with ScriptedServer(BUSY, BUSY, "Hello") as server:
        await LLMClient(base_url=server.base_url, telemetry=told.telemetry).chat(REQUEST)
        servers = [(facts(span)["server.address"], facts(span)["server.port"]) for span in told.spans]
        assert servers == [("127.0.0.1", port_of(server))] * 4
    assert attempts(told) == [REFUSED, REFUSED, WHOLE]
    assert ending(told.chat) == WHOLE


async def test_all_of_them_fail(told: Told) -> None:
    async with ScriptedServer(BUSY, repeat=True) as server:
        with pytest.raises(APIStatusError):
            await LLMClient(base_url=server.base_url, telemetry=told.telemetry, retries=1).chat(REQUEST)
    assert attempts(told) == [REFUSED, REFUSED]
    assert ending(told.chat) == REFUSED


async def test_an_answer_that_restarts(told: Told) -> None:
    async with ScriptedServer([script.text("Hel"), script.cut()], "Hello") as server:
        client = LLMClient(base_url=server.base_url, retries=0)
        again = ops.retry_with_backoff(2, initial=0, after_first="restart")
        stream = client.chat_stream(REQUEST).pipe(again, ops.trace(told.telemetry), ops.accumulate())
        assert (await stream).text == "Hello"
    assert attempts(told) == [("failed", True, "StreamInterruptedError"), WHOLE]


async def test_left_while_a_try_is_waited_for(told: Told) -> None:
    waiting = asyncio.Event()
    later = script.status(503, "busy", headers={"retry-after": "5"})
    async with ScriptedServer(later, repeat=True) as server:
        again = ops.retry_with_backoff(5, on_retry=lambda _: waiting.set())
        stream = LLMClient(base_url=server.base_url, retries=0).chat_stream(REQUEST)
        subscription = stream.pipe(again, ops.trace(told.telemetry)).subscribe(on_error=lambda _: None)
        await waiting.wait()
        subscription.dispose()
    assert attempts(told) == [REFUSED]
    assert ending(told.chat) == ("left_unfinished", False, None)


async def test_a_pool(told: Told) -> None:
    async with ScriptedServer(BUSY) as busy, ScriptedServer("Hello") as idle:
        clients = [LLMClient(base_url=server.base_url) for server in (busy, idle)]
        await ClientPool(clients, telemetry=told.telemetry).chat(REQUEST)
        assert {facts(span)["server.port"] for span in told.spans} == {port_of(busy), port_of(idle)}
        assert facts(told.chat)["server.port"] == port_of(idle)
    assert attempts(told) == [REFUSED, WHOLE]
    assert facts(told.chat)["gen_ai.provider.name"] == "openai"


@pytest.mark.parametrize("given", [None, False])
async def test_a_pool_tells_whom_its_clients_tell(given: bool | None, told: Told) -> None:
    async with ScriptedServer("Hello") as server:
        clients = [LLMClient(base_url=server.base_url), LLMClient(base_url=server.base_url, telemetry=told.telemetry)]
        await ClientPool(clients, telemetry=given).chat(REQUEST)
    assert len(told.spans) == (2 if given is None else 0)


async def test_a_websocket(told: Told) -> None:
    async with ScriptedServer("Hello") as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        await client.websocket_stream(REQUEST)
        server.add("Hello")
        await ClientPool([client]).websocket_stream(REQUEST)
    assert [span.name for span in told.spans] == ["chat gpt-4o-mini", "attempt 1", "chat gpt-4o-mini"]
    assert {ending(span) for span in told.spans} == {WHOLE}


async def test_a_fallback(told: Told) -> None:
    async with ScriptedServer(BUSY) as busy, ScriptedServer("Hello") as idle:
        streams = [LLMClient(base_url=server.base_url, retries=0).chat_stream(REQUEST) for server in (busy, idle)]
        await fallback(*streams).pipe(ops.trace(told.telemetry, request=REQUEST))
        ports = [facts(span)["server.port"] for span in told.children(told.chat)]
        assert ports == [port_of(busy), port_of(idle)]
    assert attempts(told) == [REFUSED, WHOLE]


async def test_clients_that_tell_by_themselves_are_within_the_tries(told: Told) -> None:
    async with ScriptedServer(BUSY) as busy, ScriptedServer("Hello") as idle:
        streams = [
            LLMClient(base_url=server.base_url, retries=0, telemetry=told.telemetry).chat_stream(REQUEST)
            for server in (busy, idle)
        ]
        await fallback(*streams).pipe(ops.trace(told.telemetry, model="any"))
    outer = told.span("chat any")
    tries = told.children(outer)
    assert [ending(span) for span in tries] == [REFUSED, WHOLE]
    assert [ending(inner) for span in tries for inner in told.children(span)] == [REFUSED, WHOLE]


async def test_tries_within_tries(told: Told) -> None:
    async with ScriptedServer(BUSY, BUSY) as busy, ScriptedServer("Hello") as idle:
        streams = [LLMClient(base_url=server.base_url, retries=1).chat_stream(REQUEST) for server in (busy, idle)]
        await fallback(*streams).pipe(ops.trace(told.telemetry))
    outer = told.children(told.chat)
    assert [ending(span) for span in outer] == [REFUSED, WHOLE]
    assert [[ending(inner) for inner in told.children(span)] for span in outer] == [[REFUSED, REFUSED], [WHOLE]]


async def test_a_hedge(told: Told) -> None:
    async with ScriptedServer([script.stall()]) as slow, ScriptedServer("Hello") as fast:
        streams = [LLMClient(base_url=server.base_url, retries=0).chat_stream(REQUEST) for server in (slow, fast)]
        await hedge(*streams, delay=0).pipe(ops.trace(told.telemetry))
        ports = {facts(span)["rxllm.attempt"]: facts(span)["server.port"] for span in told.children(told.chat)}
        assert ports == {1: port_of(slow), 2: port_of(fast)}
    assert attempts(told) == [LEFT, WHOLE]


async def test_a_hedge_whose_sources_fail(told: Told) -> None:
    async with ScriptedServer(BUSY, BUSY) as server:
        stream = LLMClient(base_url=server.base_url, retries=0).chat_stream(REQUEST)
        with pytest.raises(AllAttemptsFailedError):
            await hedge(stream, stream).pipe(ops.trace(told.telemetry))
    assert attempts(told) == [REFUSED, REFUSED]
    assert ending(told.chat) == ("failed", True, "AllAttemptsFailedError")


async def test_a_hedge_that_is_left(told: Told) -> None:
    async with ScriptedServer(HALF) as server:
        stream = LLMClient(base_url=server.base_url, retries=0).chat_stream(REQUEST)
        async for _ in hedge(stream, delay=0).pipe(ops.trace(told.telemetry)):
            break
        assert told.open_spans == []
    assert attempts(told) == [LEFT]


async def test_a_stop_is_that_of_the_try_too(told: Told) -> None:
    stop = asyncio.Event()
    async with ScriptedServer(HALF) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        await client.chat_stream(REQUEST).pipe(rx_ops.do_action(lambda _: stop.set()), ops.stop_when(stop))
    assert attempts(told) == [("stopped", False, None)]


@pytest.mark.parametrize(
    "tries", [ops.retry_with_backoff(2), fallback, hedge], ids=["retry_with_backoff", "fallback", "hedge"]
)
def test_what_a_consumer_raises_is_the_end_of_its_try(tries: Callable[[Any], Stream[StreamChunk]], told: Told) -> None:
    def fail(_: StreamChunk) -> None:
        raise ValueError

    marbles = Marbles()
    source = tries(marbles.cold("-a-b-|", LETTERS))
    marbles.run(source.pipe(ops.trace(told.telemetry), rx_ops.map(fail)))
    (attempt,) = attempts(told)
    # A cold source of a test calls its observer, which raises; its subscriber is not called any more.
    assert attempt[0] in {"failed", "left"}
    assert told.open_spans == []


async def test_nobody_hears_of_tries_below(told: Told) -> None:
    """What a consumer subscribes to when items come is none of the operation."""

    def again(_: StreamChunk) -> Stream[StreamChunk]:
        return rxllm.from_async_iterable(one).pipe(ops.retry_with_backoff(2))

    async def one() -> Any:
        yield finish_chunk()

    async with ScriptedServer("Hello") as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry, retries=0)
        await client.chat_stream(REQUEST).pipe(rx_ops.flat_map(again))
    assert [span.name for span in told.spans] == ["chat gpt-4o-mini"]


def test_where_nobody_listens_nothing_is_told() -> None:
    with telling() as told:
        rxllm.run(reactivex.of(1).pipe(ops.retry_with_backoff(2)))
        assert told.spans == []
