"""How a span ends: whole, failed, stopped, left after the finish or before, and in the same call as its stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import reactivex
from reactivex import operators as rx_ops
from reactivex.subject import Subject

import rxllm
from rxllm import LLMClient, StreamChunk
from rxllm import operators as ops
from rxllm.exceptions import (
    APIConnectionError,
    APIStatusError,
    APIStreamError,
    ChunkTimeoutError,
    NoRunningLoopError,
    StreamInterruptedError,
    TruncatedStreamError,
)
from rxllm.flow import Emitter, task_source
from rxllm.testing import Marbles, ScriptedServer, finish_chunk, script, text_chunk
from tests.telemetry.told import REQUEST, Told, ending, facts

WHOLE = ("whole", False, None)
LEFT = ("left_unfinished", False, None)
LEFT_FINISHED = ("left_finished", False, None)
LETTERS = {"a": text_chunk("Hel"), "b": text_chunk("lo"), "c": finish_chunk("stop")}

ANSWERS: dict[str, tuple[Any, type[Exception], str]] = {
    "refused": (script.status(400, {"error": {"message": "no"}}), APIStatusError, "400"),
    "cut": ([script.text("Hel"), script.cut()], StreamInterruptedError, "StreamInterruptedError"),
    "truncated": ([script.text("Hel")], TruncatedStreamError, "TruncatedStreamError"),
    "error in the stream": ([script.text("Hel"), script.error("overloaded")], APIStreamError, "APIStreamError"),
}


async def test_whole(told: Told) -> None:
    async with ScriptedServer("Hello") as server:
        await LLMClient(base_url=server.base_url, telemetry=told.telemetry).chat(REQUEST)
    assert [ending(span) for span in told.spans] == [WHOLE, WHOLE]


@pytest.mark.parametrize("how", ANSWERS)
async def test_failed(how: str, told: Told) -> None:
    answer, error, kind = ANSWERS[how]
    async with ScriptedServer(answer) as server:
        with pytest.raises(error):
            await LLMClient(base_url=server.base_url, telemetry=told.telemetry, retries=0).chat(REQUEST)
    assert ending(told.chat) == ("failed", True, kind)
    assert told.chat.status.description is None
    (event,) = told.chat.events
    assert (event.name, dict(event.attributes or {})) == ("exception", {"exception.type": error.__name__})


async def test_nobody_there(told: Told) -> None:
    client = LLMClient(base_url="http://127.0.0.1:1/v1", telemetry=told.telemetry, retries=0)
    with pytest.raises(APIConnectionError):
        await client.chat(REQUEST)
    assert ending(told.chat) == ("failed", True, "APIConnectionError")
    assert (facts(told.chat)["server.address"], facts(told.chat)["server.port"]) == ("127.0.0.1", 1)


async def leave_the_loop(client: LLMClient, told: Told) -> None:
    async for _ in client.chat_stream(REQUEST):
        break
    assert told.open_spans == []


async def dispose(client: LLMClient, told: Told) -> None:
    came = asyncio.Event()
    subscription = client.chat_stream(REQUEST).subscribe(lambda _: came.set())
    await came.wait()
    subscription.dispose()
    assert told.open_spans == []


async def cancel(client: LLMClient, told: Told) -> None:
    came = asyncio.Event()
    task = asyncio.ensure_future(wait_for(client, came))
    await came.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told.open_spans == []


async def wait_for(client: LLMClient, came: asyncio.Event) -> None:
    await client.chat_stream(REQUEST).pipe(rx_ops.do_action(lambda _: came.set()))


LEAVING: dict[str, Callable[[LLMClient, Told], Awaitable[None]]] = {
    "break": leave_the_loop,
    "dispose": dispose,
    "cancel": cancel,
}


@pytest.mark.parametrize("how", LEAVING)
async def test_left_before_the_end(how: str, told: Told) -> None:
    async with ScriptedServer([script.text("Hel"), script.stall()]) as server:
        await LEAVING[how](LLMClient(base_url=server.base_url, telemetry=told.telemetry), told)
    assert ending(told.chat) == LEFT
    assert told.chat.events == ()


async def test_left_before_anything_came(told: Told) -> None:
    # The head of the answer is there, and nothing else.
    async with ScriptedServer([script.stall()], [script.stall()]) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        task = asyncio.ensure_future(client.chat(REQUEST))
        await seen(server, 1)
        task.cancel()
        await asyncio.wait([task])
        assert told.open_spans == []

        subscription = client.chat_stream(REQUEST).subscribe()
        await seen(server, 2)
        subscription.dispose()
        assert told.open_spans == []
    assert [ending(span) for span in told.spans if span.name == "chat gpt-4o-mini"] == [LEFT, LEFT]
    attempts = [facts(span) for span in told.spans if span.name == "attempt 1"]
    assert [(each["rxllm.ending"], each["server.address"]) for each in attempts] == [("left", "127.0.0.1")] * 2


@pytest.mark.parametrize("how", ["chat", "tools", "hedge"])
async def test_cancelled_in_any_turn_of_the_loop(how: str, told: Told) -> None:
    def where() -> str:
        """Where are you?"""
        return "here"

    call = [*script.tool_call("where", {}), script.finish("tool_calls"), script.done()]
    busy = script.status(503, "busy", headers={"retry-after": "0"})
    asked: dict[str, Callable[[LLMClient], Any]] = {
        "chat": lambda client: client.chat_stream(REQUEST),
        "tools": lambda client: client.chat_with_tools(REQUEST, rxllm.ToolRegistry([where])),
        "hedge": lambda client: rxllm.hedge(*[client.chat_stream(REQUEST)] * 2, delay=0).pipe(
            ops.trace(told.telemetry)
        ),
    }

    async def ask(client: LLMClient) -> None:
        await asked[how](client)

    for turns in range(60):
        async with ScriptedServer(busy, call, "Hello", repeat=True) as server:
            client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
            task = asyncio.ensure_future(ask(client))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            # A tool that runs in a thread is cancelled in the next turn.
            await asyncio.sleep(0)
            assert told.open_spans == []


async def seen(server: ScriptedServer, count: int) -> None:
    async with asyncio.timeout(10):
        while len(server.requests) < count:
            await asyncio.sleep(0)


async def test_left_after_the_finish(told: Told) -> None:
    answer = [script.text("Hello"), script.finish(), script.stall()]
    async with ScriptedServer(answer) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        async for chunk in client.chat_stream(REQUEST):
            if chunk.choices and chunk.choices[0].finish_reason:
                break
    assert ending(told.chat) == LEFT_FINISHED
    assert facts(told.chat)["gen_ai.response.finish_reasons"] == ("stop",)


@pytest.mark.parametrize(("count", "word"), [(1, "left_unfinished"), (2, "left_unfinished"), (3, "left_finished")])
def test_what_leaves_in_the_middle_of_a_batch_has_what_it_took(count: int, word: str, told: Told) -> None:
    chunks = list(LETTERS.values())

    async def emit(emitter: Emitter[StreamChunk]) -> None:
        await emitter.emit(chunks[:1])
        await emitter.emit(chunks[1:])

    rxllm.run(task_source(emit).pipe(ops.trace(told.telemetry), rx_ops.take(count)))
    assert ending(told.chat)[0] == word
    assert facts(told.chat)["rxllm.chunks"] == count


async def test_stopped(told: Told) -> None:
    stop = asyncio.Event()
    async with ScriptedServer([script.text("Hel"), script.stall()]) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        chunks = client.chat_stream(REQUEST).pipe(rx_ops.do_action(lambda _: stop.set()), ops.stop_when(stop))
        await chunks.pipe(ops.accumulate())
    assert {ending(span) for span in told.spans} == {("stopped", False, None)}


def test_stopped_above(told: Told) -> None:
    marbles = Marbles()
    stop: Subject[int] = Subject()

    def look(chunk: StreamChunk) -> None:
        if chunk is LETTERS["b"]:
            stop.on_next(1)

    source = marbles.cold("-a-b-c-|", LETTERS).pipe(rx_ops.do_action(look), ops.stop_when(stop))
    marbles.run(source.pipe(ops.trace(told.telemetry)))
    assert ending(told.chat)[0] == "stopped"


@pytest.mark.parametrize(
    ("source", "subscribed", "expected"),
    [
        ("-a-b-c-|", None, WHOLE),
        ("|", None, WHOLE),
        ("-a-#", None, ("failed", True, "ConnectionError")),
        ("-a-b-c-", "^-----!", LEFT_FINISHED),
        ("-a-b-", "^----!", LEFT),
        ("-", "^--!", LEFT),
    ],
)
def test_in_virtual_time(source: str, subscribed: str | None, expected: Any, told: Told) -> None:
    marbles = Marbles()
    how: dict[str, Any] = {} if subscribed is None else {"subscribed": subscribed}
    marbles.run(marbles.cold(source, LETTERS, error=ConnectionError("lost")).pipe(ops.trace(told.telemetry)), **how)
    assert ending(told.chat) == expected


def test_each_subscription_has_a_span_of_its_own(told: Told) -> None:
    stream = reactivex.of(*LETTERS.values()).pipe(ops.trace(told.telemetry, model="m"))
    assert told.spans == []
    rxllm.run(stream)
    rxllm.run(stream)
    first, second = told.spans
    assert first.name == second.name == "chat m"
    assert first.context != second.context


def of_choice_1(chunk: StreamChunk) -> StreamChunk:
    return chunk.model_copy(update={"choices": [chunk.choices[0].model_copy(update={"index": 1})]})


def test_several_choices_are_finished_when_each_is(told: Told) -> None:
    first, second, open_one = finish_chunk("stop"), of_choice_1(finish_chunk("length")), of_choice_1(text_chunk("x"))
    for chunks, word in (((open_one, first), "left_unfinished"), ((open_one, first, second), "left_finished")):
        rxllm.run(reactivex.of(*chunks, text_chunk("")).pipe(ops.trace(told.telemetry), rx_ops.take(len(chunks))))
        assert ending(told.spans[-1])[0] == word
    assert facts(told.spans[-1])["gen_ai.response.finish_reasons"] == ("stop", "length")


def test_a_null_reason_is_none(told: Told) -> None:
    rxllm.run(reactivex.of(finish_chunk("null"), text_chunk("a")).pipe(ops.trace(told.telemetry), rx_ops.take(1)))
    assert ending(told.chat) == LEFT
    assert "gen_ai.response.finish_reasons" not in facts(told.chat)


def test_what_comes_behind_a_reason_opens_no_choice_again(told: Told) -> None:
    chunks = [text_chunk("a"), finish_chunk(), text_chunk("")]
    rxllm.run(reactivex.of(*chunks, text_chunk("")).pipe(ops.trace(told.telemetry), rx_ops.take(3)))
    assert ending(told.chat) == LEFT_FINISHED


class Careless(Exception):  # noqa: N818 - of a consumer
    """What a consumer raises."""


@pytest.mark.parametrize("batches", [True, False])
async def test_what_a_consumer_raises_ends_the_span(batches: bool, told: Told) -> None:
    def fail(_: object) -> None:
        raise Careless

    async with ScriptedServer("Hello", repeat=True) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        below = ops.map_async if batches else rx_ops.map
        with pytest.raises(Careless):
            await client.chat_stream(REQUEST).pipe(below(fail))  # type: ignore[arg-type]
    assert told.open_spans == []
    assert len(told.spans) == 2


@pytest.mark.parametrize("answer", ["Hello", "several words at once"])
async def test_what_a_callback_raises_ends_the_span(answer: str, told: Told) -> None:
    failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def fail(_: StreamChunk) -> None:
        raise Careless

    async with ScriptedServer(answer) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        client.chat_stream(REQUEST).subscribe(fail, failed.set_result)
        assert isinstance(await failed, Careless)
        assert told.open_spans == []
    assert {ending(span)[:2] for span in told.spans} == {("failed", True)}


async def test_a_time_out_below_leaves_the_answer(told: Told) -> None:
    async with ScriptedServer([script.text("Hel"), script.stall()]) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        with pytest.raises(ChunkTimeoutError):
            await client.chat_stream(REQUEST).pipe(ops.timeout_per_chunk(0.01, first=60))
        assert told.open_spans == []
    assert ending(told.chat) == LEFT


def test_a_source_that_cannot_be_subscribed_to(told: Told) -> None:
    class Odd(reactivex.Observable[StreamChunk]):
        def subscribe(self, *_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Odd().pipe(ops.trace(told.telemetry)).subscribe()
    assert ending(told.chat) == ("failed", False, None)


def test_where_no_loop_runs(told: Told) -> None:
    seen: list[Exception] = []
    client = LLMClient(base_url="http://127.0.0.1:1/v1", telemetry=told.telemetry, retries=0)
    client.chat_stream(REQUEST).subscribe(on_error=seen.append)
    assert ending(told.chat) == ("failed", True, "NoRunningLoopError")
    assert [type(error) for error in seen] == [NoRunningLoopError]


def test_a_loop_that_ends_before_its_streams(told: Told) -> None:
    async def main() -> None:
        stream = rxllm.from_async_iterable(stalls).pipe(ops.trace(told.telemetry))
        stream.subscribe(on_error=lambda _: None)
        await asyncio.sleep(0)

    async def stalls() -> Any:
        await asyncio.Event().wait()
        yield text_chunk("")

    asyncio.run(main())
    assert ending(told.chat) == ("failed", True, "StreamInterruptedError")
