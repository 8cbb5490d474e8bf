"""``LLMClient.chat``, and what a single request may have of its own, against a real server on a loopback port."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import aiohttp
import pytest

from rxllm import APIStreamError, ChatCompletion, ChatRequest, EmptyStreamError, LLMClient, TruncatedStreamError
from rxllm import operators as ops
from rxllm.exceptions import APIConnectionError, APIStatusError, RxllmError, StreamInterruptedError
from rxllm.testing import ReceivedRequest, ScriptedServer, script

KEY = "sk-a-secret-that-is-long"
OTHER_KEY = "sk-another-that-is-long-too"
REQUEST = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})


async def test_one_answer_is_awaited_and_streamed_underneath() -> None:
    answer = script.answer("Hel", "lo", script.tool_call("now", {}))
    async with ScriptedServer(answer) as server, LLMClient(base_url=server.base_url) as client:
        completion = await client.chat(REQUEST)

    assert completion.complete
    assert completion.message.content == "Hello"
    assert [call.function.name for call in completion.message.tool_calls] == ["now"]
    assert completion.usage is not None
    assert server.requests[0].json["stream"] is True


async def test_what_had_come_before_an_error_is_on_it() -> None:
    answer: list[script.StepLike] = [script.text("Hel"), script.error("overloaded")]
    async with ScriptedServer(answer) as server:
        with pytest.raises(APIStreamError, match="overloaded") as caught:
            await LLMClient(base_url=server.base_url).chat(REQUEST)

    partial = caught.value.partial
    assert isinstance(partial, ChatCompletion)
    assert partial.message.content == "Hel"
    assert not partial.complete


async def test_a_cut_answer_is_not_taken_for_a_whole_one() -> None:
    async with ScriptedServer([script.text("Hel")]) as server:
        with pytest.raises(TruncatedStreamError):
            await LLMClient(base_url=server.base_url).chat(REQUEST)


async def test_an_end_with_nothing_before_it_is_no_answer() -> None:
    async with ScriptedServer([script.done()]) as server:
        with pytest.raises(EmptyStreamError):
            await LLMClient(base_url=server.base_url, retries=0).chat(REQUEST)


async def test_cancelling_whoever_waits_closes_the_connection() -> None:
    async with ScriptedServer([script.text("Hel"), script.stall()]) as server:
        task = asyncio.create_task(LLMClient(base_url=server.base_url).chat(REQUEST))
        sent = await server.wait_for_request(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await sent.peer_left.wait()


async def test_headers_of_a_request_are_sent_with_it_alone_and_count_more_than_those_of_the_client() -> None:
    async with ScriptedServer("Hello", repeat=True) as server:
        client = LLMClient(base_url=server.base_url, api_key=KEY, headers={"X-Team": "a", "X-Trace": "0"})
        own = {"x-trace": "1", "X-Own": "2", "authorization": f"Bearer {OTHER_KEY}"}
        await client.chat(REQUEST, headers=own)
        await client.chat_stream(REQUEST, headers=own).pipe(ops.accumulate())
        await client.chat(REQUEST)

    *with_own, without = [sent.headers for sent in server.requests]
    for headers in with_own:
        assert headers["x-team"] == "a"
        assert headers["x-own"] == "2"
        assert headers["x-trace"] == "1"
        assert headers["authorization"] == f"Bearer {OTHER_KEY}"
    assert "x-own" not in without
    assert without["x-trace"] == "0"
    assert without["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "API-Key"])
async def test_a_key_among_the_headers_of_a_request_is_shown_nowhere(name: str) -> None:
    in_the_stream = [script.error(f"bad key {OTHER_KEY}", code=OTHER_KEY)]
    async with ScriptedServer(in_the_stream, script.status(401, f"bad key {OTHER_KEY}")) as server:
        client = LLMClient(base_url=server.base_url, retries=0)
        for expected in (APIStreamError, APIStatusError):
            with pytest.raises(expected) as caught:
                await client.chat(REQUEST, headers={name: OTHER_KEY})
            assert OTHER_KEY not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


def of_reads(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(sock_read=seconds)


@pytest.mark.parametrize("time_out", [float, of_reads], ids=["of all", "aiohttp's"])
async def test_a_request_may_have_a_time_of_its_own(time_out: Callable[[float], float | aiohttp.ClientTimeout]) -> None:
    errors: list[RxllmError] = []
    async with ScriptedServer([script.text("Hel"), script.stall()], repeat=True) as server:
        client = LLMClient(base_url=server.base_url, timeout=600)
        with pytest.raises(RxllmError):
            await client.chat_stream(REQUEST, timeout=time_out(0.05))
        # On a slow machine the time may be over before anything came.
        for seconds in (0.05, 0.5, 5, 50):
            with pytest.raises(RxllmError) as caught:
                await client.chat(REQUEST, timeout=time_out(seconds))
            errors.append(caught.value)
            if getattr(caught.value, "partial", None) is not None:
                break

    assert isinstance(errors[-1], StreamInterruptedError)
    assert re.search("took too long|Timeout", str(errors[-1]))
    partial = errors[-1].partial
    assert isinstance(partial, ChatCompletion)
    assert partial.message.content == "Hel"


async def test_the_time_of_a_request_is_not_that_of_others() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    patient = REQUEST.model_copy(update={"model": "patient"})

    def answer(request: ReceivedRequest) -> script.Answer:
        if request.json["model"] != patient.model:
            return script.Answer([script.stall()])
        asked.set()
        return script.Answer(script.answer("Hel", script.wait_for(go_on), "lo"))

    async with ScriptedServer(answer, repeat=True) as server:
        client = LLMClient(base_url=server.base_url, timeout=600)
        with pytest.raises(RxllmError):
            await client.chat(REQUEST, timeout=0.05)
        waiting = asyncio.create_task(client.chat(patient))
        await asked.wait()
        # It began before this one, so that it would have ended by now if the time were its own, too.
        with pytest.raises(RxllmError):
            await client.chat(REQUEST, timeout=0.05)
        assert not waiting.done()
        go_on.set()
        assert (await waiting).message.content == "Hello"


async def test_nobody_answers() -> None:
    async with ScriptedServer("Hello") as server:
        address = server.base_url
    with pytest.raises(APIConnectionError):
        await LLMClient(base_url=address).chat(REQUEST)
