"""Identifiers that are made up, through whole pipelines: the same for one answer, others for each other answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatCompletion, StreamChunk, ToolCall
from rxllm import operators as ops
from rxllm.sinks import JSONLinesSink, SQLiteSink
from rxllm.sources import from_async_iterable, from_recording
from rxllm.testing import ScriptedServer, script

CALLS = [
    {"index": 0, "function": {"name": "f", "arguments": '{"a":1}'}},
    {"index": 1, "id": "", "function": {"name": "f", "arguments": '{"a":1}'}},
    {"index": 2, "id": "x", "function": {"name": "f", "arguments": '{"a":1}'}},
    {"index": 3, "id": "x", "function": {"name": "f", "arguments": '{"a":1}'}},
]
FRAMES = [json.dumps({"id": "c1", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}) for call in CALLS] + [
    '{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}',
    "[DONE]",
]


def ids(calls: Sequence[ToolCall]) -> list[str]:
    return [call.id for call in calls]


async def of_all_folds(chunks: reactivex.Observable[StreamChunk]) -> list[str]:
    """The identifiers, of which all folds over one subscription say the same."""
    shared = chunks.pipe(rx_ops.publish())
    folds: list[Any] = []
    for fold in (
        *(shared.pipe(ops.accumulate()), shared.pipe(ops.accumulate_snapshots())),
        *(shared.pipe(ops.accumulate_tool_calls(eager=eager), rx_ops.to_list()) for eager in (False, True)),
    ):
        fold.subscribe(folds.append)
    ended = shared.pipe(rx_ops.to_future())
    shared.connect()
    await ended
    seen = [ids(each.message.tool_calls) if isinstance(each, ChatCompletion) else ids(each) for each in folds]
    whole = [each for each in seen if each]
    assert len(whole) >= 4
    assert all(each == whole[0] for each in whole)
    assert whole[0][2] == "x"
    assert len(set(whole[0])) == 4
    return whole[0]


async def frames() -> Any:
    for frame in FRAMES:
        yield frame


@pytest.mark.parametrize("sink", [JSONLinesSink, SQLiteSink])
async def test_all_folds_and_a_replay_have_the_same(sink: Any, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    live = await of_all_folds(from_async_iterable(frames).pipe(ops.parse(), ops.tee_to(sink(path))))
    for _ in range(2):
        assert await of_all_folds(from_recording(path)) == live


async def test_each_subscription_has_its_own() -> None:
    parsed = from_async_iterable(frames).pipe(ops.parse())
    first, second = await of_all_folds(parsed), await of_all_folds(parsed)
    assert {*first} & {*second} == {"x"}


async def test_each_request_has_its_own() -> None:
    answer = script.answer(*(script.delta({"tool_calls": [call]}) for call in CALLS))
    request = rxllm.ChatRequest(model="m", messages=[])
    async with (
        ScriptedServer(answer, repeat=True) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        first, second = [await of_all_folds(client.chat_stream(request)) for _ in range(2)]
    assert {*first} & {*second} == {"x"}


async def test_what_goes_back_in_a_conversation_has_identifiers_of_its_own_in_each_round() -> None:
    def f(a: int) -> int:
        """Adds one."""
        return a + 1

    answer = script.answer(*(script.delta({"tool_calls": [call]}) for call in CALLS))
    request = rxllm.ChatRequest(model="m", messages=[])
    async with (
        ScriptedServer(answer, answer, "Two.") as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        await client.chat_with_tools(request, rxllm.ToolRegistry([f]))
        messages = server.requests[2].json["messages"]
    called = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    answered = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert answered == called
    assert len(called) == 8
    assert len({*called}) == 7  # the server gave "x" in both
    assert [message["content"] for message in messages if message["role"] == "assistant"] == [None, None]


BAD = [
    {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"a":1}'}},
    {"index": 1, "id": "b", "function": {"name": "f", "arguments": '{"a":'}},
    {"index": 2, "id": "c", "function": {"name": "f", "arguments": "[1]"}},
    {"index": 3, "id": "d", "function": {"name": "f", "arguments": "one"}},
    {"index": 4, "id": "e", "function": {"name": "f", "arguments": '{"a":2}'}},
]


@pytest.mark.parametrize("eager", [False, True])
async def test_calls_that_are_garbled_are_answered_and_the_others_are_run(*, eager: bool) -> None:
    def f(a: int) -> int:
        return a + 1

    answer = script.answer(*(script.delta({"tool_calls": [call]}) for call in BAD))
    request = rxllm.ChatRequest(model="m", messages=[])
    async with ScriptedServer(answer) as server, rxllm.LLMClient(retries=0, base_url=server.base_url) as client:
        calls = client.chat_stream(request).pipe(ops.accumulate_tool_calls(eager=eager))
        results = await calls.pipe(ops.run_tools(rxllm.ToolRegistry([f])), rx_ops.to_list())
    found = {result.call.id: (result.content, result.error) for result in results}
    assert found.pop("a") == ("2", None)
    assert found.pop("e") == ("3", None)
    assert {*found} == {"b", "c", "d"}
    for content, error in found.values():
        assert content.startswith("the arguments of 'f' are not a JSON object: ")
        assert error == "invalid_arguments"


@pytest.mark.parametrize("eager", [False, True])
async def test_behind_a_call_that_is_none_comes_the_error_when_the_others_were_given_away(*, eager: bool) -> None:
    glued = {"index": 1, "id": "b", "function": {"name": "f", "arguments": '{"a":1}{"a":2}'}}
    answer = script.answer(*(script.delta({"tool_calls": [call]}) for call in (BAD[0], glued, BAD[4])))
    request = rxllm.ChatRequest(model="m", messages=[])
    given: list[ToolCall] = []
    async with ScriptedServer(answer) as server, rxllm.LLMClient(retries=0, base_url=server.base_url) as client:
        calls = client.chat_stream(request).pipe(ops.accumulate_tool_calls(eager=eager))
        with pytest.raises(rxllm.ToolCallError, match="more than one value") as caught:
            await calls.pipe(rx_ops.do_action(given.append))
    assert ids(given) == ["a", "e"]
    left: Any = caught.value.gathered
    assert [call.id for call in left] == ["b"]
