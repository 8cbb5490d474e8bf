"""Whose child a span is, and what runs within it: the sending of the request, and nothing of the consumer."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import reactivex
from opentelemetry import baggage, context, trace
from reactivex import operators as rx_ops

import rxllm
from rxllm import LLMClient, StreamChunk
from rxllm import operators as ops
from rxllm.dialects import BedrockConverse
from rxllm.exceptions import APIStatusError, StreamInterruptedError
from rxllm.flow import NOBODY_WATCHES, try_watch
from rxllm.testing import ScriptedServer, finish_chunk, script, text_chunk
from rxllm.wire import UnsignedRequest
from tests.telemetry.told import REQUEST, Told, facts, telling

BUSY = script.status(503, {"error": {"message": "busy"}}, headers={"retry-after": "0"})
CALL = [*script.tool_call("where", {}), script.finish("tool_calls"), script.done()]


def current() -> int:
    """The identifier of the current span, 0 if there is none."""
    return trace.get_current_span().get_span_context().span_id


def id_of(span: Any) -> int:
    return int(span.context.span_id)


def a_span(told: Told, name: str) -> Any:
    return told.tracer_provider.get_tracer("test").start_as_current_span(name)


async def test_the_span_that_is_current_is_the_parent(told: Told) -> None:
    async with ScriptedServer("Hello") as server:
        stream = LLMClient(base_url=server.base_url, telemetry=told.telemetry).chat_stream(REQUEST)
        with a_span(told, "mine"):
            await stream
    (chat,) = told.children(told.span("mine"))
    assert id_of(chat) == id_of(told.chat)


async def test_two_streams_at_once_have_parents_of_their_own(told: Told) -> None:
    async def ask(client: LLMClient, name: str) -> None:
        with a_span(told, name):
            await client.chat(REQUEST)
            assert trace.get_current_span().name == name  # type: ignore[attr-defined]

    async with ScriptedServer("Hello", repeat=True) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        await asyncio.gather(ask(client, "one"), ask(client, "two"))
    for name in ("one", "two"):
        (chat,) = told.children(told.span(name))
        assert [span.name for span in told.children(chat)] == ["attempt 1"]


@pytest.mark.parametrize("how", ["whole", "cut", "refused"])
async def test_callbacks_of_the_consumer_are_not_within(how: str, told: Told) -> None:
    answers: dict[str, Any] = {
        "whole": [script.text("a"), script.delay(0.001), script.text("b"), script.finish(), script.done()],
        "cut": [script.text("a"), script.cut()],
        "refused": script.status(400, "no"),
    }
    seen: list[tuple[int, bool]] = []
    ended = asyncio.Event()

    def look(*_: object) -> None:
        seen.append((current(), try_watch() is NOBODY_WATCHES))

    def end(*_: object) -> None:
        look()
        ended.set()

    async with ScriptedServer(answers[how]) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        with a_span(told, "mine") as mine:
            client.chat_stream(REQUEST).subscribe(look, end, end)
            inside = current()
            await ended.wait()
    assert inside == id_of(mine)
    assert set(seen) == {(id_of(mine), True)}


async def test_tasks_of_the_consumer_are_not_within(told: Told) -> None:
    async def look(_: StreamChunk) -> int:
        await asyncio.sleep(0)
        return current()

    async with ScriptedServer("Hello") as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        found = {each async for each in client.chat_stream(REQUEST).pipe(ops.map_async(look))}
    assert found == {0}


def test_a_source_that_emits_at_once_leaves_nothing_behind(told: Told) -> None:
    seen: list[int] = []
    with a_span(told, "mine") as mine:
        stream = reactivex.of(text_chunk("a"), finish_chunk()).pipe(ops.trace(told.telemetry))
        stream.subscribe(lambda _: seen.append(current()), on_completed=lambda: seen.append(current()))
        assert current() == id_of(mine)
        assert try_watch() is NOBODY_WATCHES
    assert set(seen) == {id_of(mine)}


async def test_what_stands_above_is_within_until_something_comes(told: Told) -> None:
    seen: list[int] = []

    async def source() -> Any:
        for _ in range(2):
            seen.append(current())
            yield finish_chunk()

    with a_span(told, "mine") as mine:
        await rxllm.from_async_iterable(source).pipe(ops.trace(told.telemetry))
    assert seen == [id_of(told.chat), id_of(mine)]


def watching(told_of: list[tuple[str, int]]) -> aiohttp.TraceConfig:
    """What an instrumentation of aiohttp hooks into."""
    config = aiohttp.TraceConfig()

    async def note(_: aiohttp.ClientSession, __: SimpleNamespace, parameters: Any) -> None:
        told_of.append((type(parameters).__name__, current()))

    config.on_request_start.append(note)
    config.on_request_end.append(note)
    return config


async def test_a_request_is_sent_within_its_try(told: Told) -> None:
    seen: list[tuple[str, int]] = []
    async with (
        ScriptedServer(BUSY, "Hello") as server,
        aiohttp.ClientSession(trace_configs=[watching(seen)]) as session,
    ):
        await LLMClient(base_url=server.base_url, telemetry=told.telemetry, session=session).chat(REQUEST)
    tries = [id_of(span) for span in told.children(told.chat)]
    assert [span_id for _, span_id in seen] == [tries[0], tries[0], tries[1], tries[1]]


async def test_without_tries_it_is_sent_within_the_operation(told: Told) -> None:
    seen: list[tuple[str, int]] = []
    async with (
        ScriptedServer("Hello") as server,
        aiohttp.ClientSession(trace_configs=[watching(seen)]) as session,
    ):
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry, session=session, retries=0)
        await client.chat(REQUEST)
    assert {span_id for _, span_id in seen} == {id_of(told.chat)}


async def test_the_trace_goes_on_at_the_other_side_only_if_it_is_asked_for(told: Told) -> None:
    with telling(propagate=True) as going_on:
        async with ScriptedServer("Hello", repeat=True) as server:
            for each in (told, going_on):
                await LLMClient(base_url=server.base_url, telemetry=each.telemetry).chat(REQUEST)
            first, second = (request.headers for request in server.requests)
        attempt = going_on.span("attempt 1")
    assert "traceparent" not in first
    assert attempt.context is not None
    assert second["traceparent"].split("-")[1:3] == [
        f"{attempt.context.trace_id:032x}",
        f"{attempt.context.span_id:016x}",
    ]


async def test_a_request_that_another_one_lets_go_is_of_its_own_trace(told: Told) -> None:
    limits = rxllm.Limits(max_concurrency=1)
    seen: list[tuple[str, int]] = []
    async with (
        ScriptedServer("one", "two", "three") as server,
        aiohttp.ClientSession(trace_configs=[watching(seen)]) as session,
    ):
        client = LLMClient(
            base_url=server.base_url, session=session, retries=0, telemetry=told.telemetry, limits=limits
        )
        await asyncio.gather(*(client.chat(REQUEST) for _ in range(3)))
    assert [span_id for _, span_id in seen[::2]] == [id_of(span) for span in told.spans]


async def test_what_an_application_keeps_beside_its_traces_goes_nowhere() -> None:
    token = context.attach(baggage.set_baggage("user.id", "canary"))
    try:
        with telling(propagate=True) as told:
            async with ScriptedServer("Hello") as server:
                await LLMClient(base_url=server.base_url, telemetry=told.telemetry).chat(REQUEST)
                (request,) = server.requests
    finally:
        context.detach(token)
    assert "traceparent" in request.headers
    assert "canary" not in str(request.headers)


@pytest.mark.parametrize("awaits", [False, True])
async def test_a_request_that_is_signed_has_both(awaits: bool) -> None:
    def sign(_: UnsignedRequest) -> dict[str, str]:
        return {"x-signature": "mine"}

    async def sign_later(request: UnsignedRequest) -> dict[str, str]:
        await asyncio.sleep(0)
        return sign(request)

    dialect = BedrockConverse(sign=sign_later if awaits else sign)
    with telling(propagate=True) as told:
        async with ScriptedServer("Hello", dialect="bedrock-converse") as server:
            client = LLMClient(base_url=server.base_url, dialect=dialect, telemetry=told.telemetry)
            await client.chat(REQUEST)
            (request,) = server.requests
    assert {"traceparent", "x-signature"} <= request.headers.keys()


# Conversations


async def test_rounds_and_tools_are_within_the_conversation(told: Told) -> None:
    seen: list[int] = []

    async def where() -> str:
        """Where are you?"""
        await asyncio.sleep(0)
        seen.append(current())
        return "here"

    def also_where() -> str:
        """In a thread."""
        seen.append(current())
        return "there"

    consumer: set[int] = set()
    two = [
        *script.tool_call("where", {}),
        *script.tool_call("also_where", {}, id="call_1", index=1),
        script.finish("tool_calls"),
        script.done(),
    ]
    async with ScriptedServer(two, "Hello") as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry, retries=0)
        events = client.chat_with_tools(REQUEST, rxllm.ToolRegistry([where, also_where]))
        ended = asyncio.Event()

        def end() -> None:
            consumer.add(current())
            ended.set()

        with a_span(told, "mine") as mine:
            events.subscribe(lambda _: consumer.add(current()), on_completed=end)
            await ended.wait()
    (conversation,) = told.children(told.span("mine"))
    assert conversation.name == "invoke_agent"
    inner = [span.name for span in told.children(conversation)]
    assert inner[0] == inner[-1] == "chat gpt-4o-mini"
    assert set(inner[1:-1]) == {"execute_tool where", "execute_tool also_where"}
    assert set(seen) == {id_of(told.span("execute_tool where")), id_of(told.span("execute_tool also_where"))}
    assert consumer == {id_of(mine)}
    assert facts(conversation)["rxllm.rounds"] == 2


async def test_what_a_tool_asks_is_none_of_the_conversation(told: Told) -> None:
    async def where() -> str:
        """Asks somebody else, with tries."""
        return await rxllm.from_async_iterable(one).pipe(ops.retry_with_backoff(2))

    async def one() -> Any:
        yield "here"

    async with ScriptedServer(CALL, "Hello") as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry, retries=0)
        await client.chat_with_tools(REQUEST, rxllm.ToolRegistry([where]))
    assert [span.name for span in told.spans] == [
        "chat gpt-4o-mini",
        "execute_tool where",
        "chat gpt-4o-mini",
        "invoke_agent",
    ]


class Forever:
    """What is awaited without an end."""

    def __await__(self) -> Generator[None, None, rxllm.ToolResult]:
        while True:
            yield


def test_a_tool_whose_loop_is_gone(told: Told) -> None:
    """The coroutine is thrown away by whoever comes along."""
    call = rxllm.ToolCall(id="1", function=rxllm.FunctionCall(name="where"))
    running = told.telemetry.tool(call, Forever())
    contextvars.copy_context().run(running.send, None)
    running.close()
    assert facts(told.span("execute_tool where"))["rxllm.ending"] == "left"


async def test_a_conversation_that_is_left(told: Told) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def where() -> str:
        """Never answers."""
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return ""

    async with ScriptedServer(CALL) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        events = client.chat_with_tools(REQUEST, rxllm.ToolRegistry([where]))
        subscription = events.subscribe()
        await begun.wait()
        subscription.dispose()
        await cancelled.wait()
        await asyncio.sleep(0)
        assert told.open_spans == []
    assert facts(told.span("invoke_agent"))["rxllm.ending"] == "left_unfinished"
    tool = told.span("execute_tool where")
    assert (facts(tool)["rxllm.ending"], tool.status.is_ok) == ("left", True)


async def test_a_conversation_that_fails(told: Told) -> None:
    async with ScriptedServer(script.status(400, "no")) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        with pytest.raises(APIStatusError):
            await client.chat_with_tools(REQUEST, rxllm.ToolRegistry([]))
    assert {facts(span)["error.type"] for span in told.spans} == {"400"}


async def test_a_consumer_of_a_conversation_that_raises(told: Told) -> None:
    def fail(_: object) -> None:
        raise ValueError

    async with ScriptedServer("Hello") as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        with pytest.raises(ValueError, match=r"^$"):
            await client.chat_with_tools(REQUEST, rxllm.ToolRegistry([])).pipe(rx_ops.map(fail))
    assert told.open_spans == []
    # ``map`` tells its consumer, and leaves what is above.
    assert facts(told.span("invoke_agent"))["rxllm.ending"] == "left_unfinished"


async def test_a_task_that_is_cancelled_from_outside(told: Told) -> None:
    """As the end of a program does with all tasks."""
    async with ScriptedServer([script.text("Hel"), script.stall()]) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry, retries=0)
        tasks = asyncio.all_tasks()
        came, failed = asyncio.Event(), list[Exception]()
        client.chat_stream(REQUEST).subscribe(lambda _: came.set(), failed.append)
        await came.wait()
        sources = [task for task in asyncio.all_tasks() - tasks if "_drive" in repr(task)]
        for task in sources:
            task.cancel()
        await asyncio.wait(sources)
        async with asyncio.timeout(10):
            while not failed:
                await asyncio.sleep(0)
    assert [type(error) for error in failed] == [StreamInterruptedError]
    assert facts(told.chat)["error.type"] == "StreamInterruptedError"
