"""What a client does about a request that failed, against real servers on loopback ports."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import rxllm
from rxllm import ChatRequest, Limits, LLMClient, ToolRegistry
from rxllm import operators as ops
from rxllm.dialects import OpenAIChat
from rxllm.exceptions import APIConnectionError, APIStatusError, APIStreamError, RestartError, StreamInterruptedError
from rxllm.testing import ScriptedServer, script

REQUEST = ChatRequest(model="m", messages=[{"role": "user", "content": "Hi"}])
BUSY = script.status(503, {"error": {"message": "busy"}}, headers={"retry-after": "0"})
HALF: list[Any] = [script.text("Hel"), script.cut()]


async def test_a_request_that_failed_is_sent_again() -> None:
    async with ScriptedServer(BUSY, BUSY, "Hello") as server, LLMClient(base_url=server.base_url) as client:
        completion = await client.chat(REQUEST)

    assert completion.content == "Hello"
    assert [attempt.error and type(attempt.error) for attempt in completion.attempts] == [APIStatusError] * 2
    assert len(server.requests) == 3


async def test_an_error_in_the_place_of_the_first_chunk_counts_as_before_it() -> None:
    async with ScriptedServer([script.error("overloaded")], "Hello") as server:
        completion = await LLMClient(base_url=server.base_url, retries=1).chat(REQUEST)
    assert completion.content == "Hello"


async def test_after_something_of_an_answer_the_failure_passes() -> None:
    async with ScriptedServer(BUSY, HALF) as server, LLMClient(base_url=server.base_url) as client:
        with pytest.raises(StreamInterruptedError) as caught:
            await client.chat(REQUEST)

    assert caught.value.partial is not None
    assert caught.value.partial.content == "Hel"
    assert [attempt.ending for attempt in caught.value.attempts] == ["failed", "truncated"]
    assert len(server.requests) == 2


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (1, 2), (2, 3)])
async def test_so_many_times(retries: int, requests: int) -> None:
    async with ScriptedServer(BUSY, repeat=True) as server:
        with pytest.raises(APIStatusError, match="busy") as caught:
            await LLMClient(base_url=server.base_url, retries=retries).chat(REQUEST)
    assert len(server.requests) == requests
    assert len(caught.value.attempts) == (requests if retries else 0)


async def test_what_another_try_does_not_mend_is_not_tried_again() -> None:
    async with ScriptedServer(script.status(401, "who are you?")) as server:
        with pytest.raises(APIStatusError):
            await LLMClient(base_url=server.base_url).chat(REQUEST)
    assert len(server.requests) == 1


def refused(status: int, body: dict[str, Any] | str, **headers: str) -> script.Answer:
    return script.status(status, body, headers={"retry-after": "0", **headers})


QUOTA = {"message": "You exceeded your current quota.", "type": "insufficient_quota", "code": "insufficient_quota"}


@pytest.mark.parametrize(
    "refusal",
    [
        refused(429, {"error": QUOTA}),
        refused(429, json.dumps([{"error": QUOTA}], indent=2)),
        refused(429, {"error": "insufficient_quota"}),
        refused(429, {"error": {"message": f"429 from upstream: {QUOTA}"}}),
        refused(429, {"error": {"message": f"429 from upstream: {json.dumps(QUOTA)}"}}),
        refused(429, f'{{"error": {json.dumps(QUOTA)}, "more": "'),
        refused(429, "insufficient_quota\n"),
        refused(429, {"error": {"message": "m", "type": "exceeded_current_quota_error"}}),
        refused(429, {"code": "Arrearage", "message": "m"}),
        refused(503, {"error": {"message": "m", "code": "model_not_found"}}),
        refused(500, {"error": {"message": "m", "type": "authentication_error"}}),
        refused(503, {"error": {"message": "busy"}}, **{"X-Should-Retry": "false"}),
    ],
)
async def test_what_no_waiting_mends_is_not_tried_again_whatever_its_status(refusal: script.Answer) -> None:
    async with ScriptedServer(refusal, refusal) as server:
        client = LLMClient(base_url=server.base_url)
        with pytest.raises(APIStatusError) as caught:
            await client.chat(REQUEST)
        assert (caught.value.retryable, len(server.requests)) == (False, 1)

        with pytest.raises(APIStatusError):
            await rxllm.from_sse(server.url, json={}).pipe(ops.retry_with_backoff())
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        # Of OpenAI, Google and others: too often, which passes.
        refused(429, {"error": {"message": "m", "type": "tokens", "code": "rate_limit_exceeded"}}),
        refused(429, {"error": {"message": "Your quota and billing.", "code": 429, "status": "RESOURCE_EXHAUSTED"}}),
        refused(429, {"error": {"message": "m", "model": "omni-moderation-latest", "param": "api_key"}}),
        refused(503, "a page about billing"),
        refused(503, {"error": {"message": "busy"}}, **{"x-should-retry": "perhaps"}),
        refused(400, {"error": {"message": "not yet"}}, **{"x-should-retry": "true"}),
        refused(429, {"error": QUOTA}, **{"x-should-retry": "true"}),
    ],
)
async def test_what_may_pass_is_tried_again(refusal: script.Answer) -> None:
    async with ScriptedServer(refusal, "Hello") as server:
        assert (await LLMClient(base_url=server.base_url).chat(REQUEST)).content == "Hello"


async def test_a_refusal_that_its_status_makes_final_stays_final_whatever_its_body_says() -> None:
    refusal = refused(401, {"error": {"message": "Please try again later.", "type": "upstream_error"}})
    async with ScriptedServer(refusal) as server:
        with pytest.raises(APIStatusError):
            await LLMClient(base_url=server.base_url).chat(REQUEST)
    assert len(server.requests) == 1


async def test_a_websocket_is_not_opened_again() -> None:
    async with ScriptedServer(BUSY, "Hello") as server:
        with pytest.raises(APIStatusError):
            await LLMClient(base_url=server.base_url).websocket_stream(REQUEST).pipe(ops.accumulate())
    assert len(server.requests) == 1


@pytest.mark.parametrize("retries", [-1, -5])
def test_a_wrong_number_is_an_error_at_once(retries: int) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        LLMClient(base_url="http://127.0.0.1", retries=retries)


def test_each_try_is_recorded_in_a_file_of_its_own(tmp_path: Path) -> None:
    with ScriptedServer(BUSY, "Hello") as server:
        client = LLMClient(base_url=server.base_url, record=tmp_path / "a.sse")
        rxllm.run(client.chat_stream(REQUEST).pipe(ops.accumulate()))
    assert len(list(tmp_path.iterdir())) == 2


async def test_who_leaves_while_it_waits_sends_no_more() -> None:
    later = script.status(503, "busy", headers={"retry-after": "20"})
    async with ScriptedServer(later) as server, LLMClient(base_url=server.base_url) as client:
        task = asyncio.ensure_future(client.chat(REQUEST))
        await server.wait_for_request(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(server.requests) == 1


# In a conversation


def tool(ran: list[str]) -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool
    def look(city: str) -> str:
        """Look at a city."""
        ran.append(city)
        return "rain"

    return registry


CALL = script.answer(script.tool_call("look", {"city": "Paris"}))


async def test_a_round_is_tried_again_before_its_tools_run_and_no_tool_runs_twice() -> None:
    ran: list[str] = []
    async with (
        ScriptedServer(BUSY, CALL, BUSY, "It rains.") as server,
        LLMClient(base_url=server.base_url) as client,
    ):
        events = [event async for event in client.chat_with_tools(REQUEST, tool(ran))]

    assert ran == ["Paris"]
    assert isinstance(events[-1], rxllm.ChatCompleted)
    assert events[-1].completion.content == "It rains."


async def test_a_round_that_is_cut_in_the_middle_can_restart() -> None:
    ran: list[str] = []
    cut: list[Any] = [script.text("Let me"), *script.tool_call("look", {"city": "Paris"}), script.cut()]
    async with (
        ScriptedServer(cut, CALL, HALF, "It rains.") as server,
        LLMClient(base_url=server.base_url, retries=0) as client,
    ):
        again = ops.retry_with_backoff(initial=0, after_first="restart")
        events = [event async for event in client.chat_with_tools(REQUEST, tool(ran), through=again)]

    assert ran == ["Paris"]
    assert [event.attempt for event in events if isinstance(event, rxllm.Restarted)] == [2, 2]
    assert isinstance(events[-1], rxllm.ChatCompleted)
    assert events[-1].completion.content == "It rains."
    assert [len(event.completion.attempts) for event in events if isinstance(event, rxllm.RoundCompleted)] == [1, 1]


# Several servers


async def test_a_dead_server_a_cut_and_a_whole_answer() -> None:
    async with ScriptedServer(HALF) as second, ScriptedServer("Hello") as third:
        async with ScriptedServer() as dead:
            url = dead.base_url
        streams = [
            LLMClient(base_url=base_url, retries=0).chat_stream(REQUEST)
            for base_url in (url, second.base_url, third.base_url)
        ]
        completion = await rxllm.fallback(*streams, after_first="restart").pipe(ops.accumulate())

    assert completion.content == "Hello"
    assert [type(attempt.error) for attempt in completion.attempts] == [APIConnectionError, StreamInterruptedError]


async def test_what_was_shown_cannot_be_taken_back() -> None:
    async with ScriptedServer(HALF, "Hello") as server:
        stream = LLMClient(base_url=server.base_url, retries=0).chat_stream(REQUEST)
        with pytest.raises(RestartError):
            await stream.pipe(ops.retry_with_backoff(initial=0, after_first="restart"), ops.content())


async def test_the_connections_of_those_that_lose_are_closed_at_once() -> None:
    async with ScriptedServer([script.stall()]) as slow, ScriptedServer("Hello") as quick:
        streams = [LLMClient(base_url=server.base_url).chat_stream(REQUEST) for server in (slow, quick)]
        completion = await rxllm.hedge(*streams, delay=0).pipe(ops.accumulate())
        await (await slow.wait_for_request(0)).peer_left.wait()

    assert completion.content == "Hello"
    assert [attempt.ending for attempt in completion.attempts] == ["stopped"]


async def test_clients_share_limits() -> None:
    limits = Limits(max_concurrency=1, tokens_per_minute=100_000)
    gate = asyncio.Event()
    slow: list[Any] = [script.wait_for(gate), script.text("a"), script.finish()]
    async with ScriptedServer(slow) as first, ScriptedServer("b") as second:
        clients = [LLMClient(base_url=server.base_url, limits=limits) for server in (first, second)]
        tasks = [asyncio.ensure_future(client.chat(REQUEST)) for client in clients]
        await first.wait_for_request(0)
        assert not second.requests
        gate.set()
        assert [answer.content for answer in await asyncio.gather(*tasks)] == ["a", "b"]


async def test_an_error_in_the_stream_in_the_middle_passes() -> None:
    async with ScriptedServer([script.text("Hel"), script.error("overloaded")]) as server:
        with pytest.raises(APIStreamError):
            await LLMClient(base_url=server.base_url).chat(REQUEST)
    assert len(server.requests) == 1


async def test_each_try_tells_of_its_request() -> None:
    async with ScriptedServer(BUSY, [script.error("overloaded")], "Hello") as server:
        completion = await LLMClient(base_url=server.base_url).chat(REQUEST)
        assert [attempt.stream and attempt.stream.host for attempt in completion.attempts] == [
            server.base_url.removeprefix("http://").removesuffix("/v1")
        ] * 2

    with pytest.raises(APIConnectionError) as caught:
        await LLMClient(base_url=server.base_url, retries=0).chat(REQUEST)
    assert caught.value.stream is not None
    assert caught.value.stream.requested_at is not None


@pytest.mark.parametrize("retries", [0, 2])
async def test_a_task_that_somebody_cancels_is_not_tried_again(retries: int) -> None:
    async with ScriptedServer([script.stall()]) as server:
        before = asyncio.all_tasks()
        chunks = LLMClient(base_url=server.base_url, retries=retries).chat_stream(REQUEST)
        task = asyncio.ensure_future(chunks)
        await server.wait_for_request(0)
        for other in asyncio.all_tasks() - before - {task}:
            if "_drive" in repr(other.get_coro()):
                other.cancel()
        with pytest.raises(StreamInterruptedError, match="was cancelled"):
            await task
    assert len(server.requests) == 1


class Patient(OpenAIChat):
    """A dialect of a server that says "Moonrise" with any status when it is worth another try."""

    def is_retryable(self, error: APIStatusError) -> bool:
        return "Moonrise" in error.body


async def test_a_dialect_may_know_better_than_the_status_what_is_worth_another_try() -> None:
    now = {"retry-after": "0"}
    refusals = [script.status(400, "Moonrise", headers=now), script.status(503, "Sunset", headers=now)]
    async with ScriptedServer(*refusals) as server:
        with pytest.raises(APIStatusError, match="Sunset") as caught:
            await LLMClient(base_url=server.base_url, dialect=Patient()).chat(REQUEST)

    assert len(server.requests) == 2
    assert not caught.value.retryable
