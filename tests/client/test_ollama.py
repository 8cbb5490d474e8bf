"""Ollama's own API through ``LLMClient``, against a server on a loopback port."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatCompleted, LLMClient, Message, ToolRegistry
from rxllm import operators as ops
from rxllm.dialects import Ollama
from rxllm.exceptions import APIResponseError, APIStatusError, APIStreamError, DecodeError, StreamInterruptedError
from rxllm.models import ChatCompletion
from rxllm.sinks import SQLiteSink
from rxllm.sources import from_recording
from rxllm.testing import ScriptedServer, script

Line = dict[str, Any]
QUESTION = Message.user("q")


def call(city: str, **fields: Any) -> Line:
    return {"function": {"index": 0, "name": "get_weather", "arguments": {"city": city}}, **fields}


def said(*messages: Line, reason: str = "stop", at: int = 0) -> script.Answer:
    """An answer of these messages, a line each."""
    head = {"model": "m", "created_at": f"2026-01-01T00:00:{at:02d}.000000001Z"}
    lines: list[Line] = [
        {**head, "message": {"role": "assistant", "content": "", **each}, "done": False} for each in messages
    ]
    end = {**head, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": reason}
    lines.append({**end, "prompt_eval_count": 3, "eval_count": 4})
    body = "".join(f"{json.dumps(each)}\n" for each in lines)
    return script.Answer([body.encode()], content_type="application/x-ndjson")


ROUNDS = (
    said(
        {"thinking": "I "},
        {"thinking": "ask."},
        {"content": "I look."},
        {"tool_calls": [call("Oslo", id="call_1", later=1)]},
        {"tool_calls": [call("Rome", id="call_2")]},
    ),
    # An older version, which gives no identifiers.
    said({"thinking": "Again."}, {"tool_calls": [call("Oslo"), call("Oslo")]}, at=1),
    said({"thinking": "Done."}, {"content": "Take a "}, {"content": "coat."}, at=2),
)
THOUGHTS = ["I ask.", "Again.", "Done."]


def client_of(server: ScriptedServer, **options: Any) -> LLMClient:
    return LLMClient(base_url=server.base_url, dialect=options.pop("dialect", "ollama"), retries=0, **options)


def tools(ran: list[str]) -> ToolRegistry:
    def get_weather(city: str) -> str:
        """The weather now."""
        ran.append(city)
        return f"rain {len(ran)}"

    return ToolRegistry([get_weather])


async def conversation(ran: list[str]) -> tuple[ChatCompleted, list[Any]]:
    async with ScriptedServer(*ROUNDS) as server, client_of(server) as client:
        *_, completed = await client.chat_with_tools(
            model="m", messages=[QUESTION], registry=tools(ran), max_concurrency=1
        ).pipe(rx_ops.to_list())
    assert isinstance(completed, ChatCompleted)
    return completed, [request.json for request in server.requests]


async def test_three_rounds_go_back_as_they_came() -> None:
    ran: list[str] = []
    completed, requests = await conversation(ran)

    assert ran == ["Oslo", "Rome", "Oslo", "Oslo"]
    assert completed.completion.content == "Take a coat."
    assert requests[2]["messages"] == [
        {"role": "user", "content": "q"},
        {
            "role": "assistant",
            "content": "I look.",
            "thinking": "I ask.",
            "tool_calls": [call("Oslo", id="call_1", later=1), call("Rome", id="call_2")],
        },
        {"role": "tool", "content": "rain 1", "tool_name": "get_weather", "tool_call_id": "call_1"},
        {"role": "tool", "content": "rain 2", "tool_name": "get_weather", "tool_call_id": "call_2"},
        {"role": "assistant", "content": "", "thinking": "Again.", "tool_calls": [call("Oslo"), call("Oslo")]},
        {"role": "tool", "content": "rain 3", "tool_name": "get_weather"},
        {"role": "tool", "content": "rain 4", "tool_name": "get_weather"},
    ]
    calls = [each.id for message in completed.messages for each in message.tool_calls]
    assert len(set(calls)) == 4


async def test_stored_and_loaded_they_go_back_the_same(tmp_path: Path) -> None:
    completed, _ = await conversation([])
    kept = [Message.model_validate_json(each.model_dump_json()) for each in completed.messages]
    origin = completed.messages[0].origin
    assert origin is not None
    wires: list[rxllm.dialects.WireRequest] = []
    for messages in (completed.messages, kept):
        request = rxllm.ChatRequest(model="m", messages=[QUESTION, *messages])
        endpoint = rxllm.dialects.Endpoint(base_url=f"http://{origin.host}")
        wires.append(Ollama().http_request(request, endpoint))
    assert wires[0].body == wires[1].body
    async with ScriptedServer(ROUNDS[0]) as server, client_of(server) as client:
        path = tmp_path / "c.db"
        answer = await client.chat_stream(model="m", messages=[QUESTION]).pipe(
            ops.tee_to(SQLiteSink(path)), ops.accumulate()
        )
        replayed = await from_recording(path).pipe(ops.accumulate(strict=True))
    assert replayed == answer


@pytest.mark.parametrize("other", ["openai-chat", "anthropic", "openai-responses"])
async def test_to_another_dialect_nothing_leaks(other: str) -> None:
    completed, _ = await conversation([])
    request = rxllm.ChatRequest(model="m", messages=[QUESTION, *completed.messages, QUESTION])
    wire = rxllm.dialects.get_dialect(other).http_request(
        request, rxllm.dialects.Endpoint(base_url="https://elsewhere")
    )
    sent = json.dumps(wire.body)
    assert all(text not in sent for text in (*THOUGHTS, "call_1", "call_2", "later", "thinking"))
    assert all(text in sent for text in ("I look.", "rain 1", "rain 4", "Take a coat."))


async def test_a_connection_serves_several_answers() -> None:
    async with ScriptedServer(*ROUNDS, repeat=True) as server, client_of(server) as client:
        for _ in range(5):
            assert (await client.chat(model="m", messages=[QUESTION])).complete
    assert len({request.connection for request in server.requests}) == 1


async def test_errors() -> None:
    answers = (
        script.status(404, {"error": "model 'm' not found"}),
        script.Answer([b'{"error":"an error was encountered"}'], content_type="application/x-ndjson"),
        script.Answer([b'{"error":"an error was encountered"}'], content_type="application/json"),
        script.Answer([b'{\n "error": "x"\n}'], content_type="application/json"),
        script.Answer([b"<html>busy</html>"], content_type="text/html"),
        script.Answer([b'data: {"choices":[]}\n\n']),
        script.Answer([b'{"model":"m","message":{"content":"a"},"done":false}\n', script.cut()], content_type="text/x"),
    )
    kinds = (
        *(APIStatusError, APIStreamError, APIStreamError, APIResponseError, APIResponseError, DecodeError),
        StreamInterruptedError,
    )
    async with ScriptedServer(*answers) as server, client_of(server) as client:
        for kind in kinds:
            with pytest.raises(kind):
                await client.chat(model="m", messages=[QUESTION])


async def test_an_answer_that_was_not_streamed() -> None:
    whole = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}
    bodies = [json.dumps(whole), json.dumps(whole, indent=1), json.dumps([whole])]
    answers = [script.Answer([body.encode()], content_type="application/json") for body in bodies]
    async with ScriptedServer(*answers) as server, client_of(server) as client:
        read: list[ChatCompletion] = [await client.chat(model="m", messages=[QUESTION]) for _ in answers]
    assert [each.content for each in read] == ["Hi"] * 3
    assert [[repair.kind for repair in each.repairs] for each in read] == [[], *[["answer-not-streamed"]] * 2]


async def test_lines_where_events_were_asked_for() -> None:
    async with ScriptedServer(ROUNDS[0], ROUNDS[0]) as server:
        with pytest.raises(DecodeError, match=r"framing='ndjson'"):
            await rxllm.from_sse(server.url).pipe(ops.parse("ollama"), ops.accumulate())
        with pytest.raises(DecodeError, match="the API of Ollama"):
            await rxllm.from_sse(server.url).pipe(ops.parse(), ops.accumulate())


async def test_the_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "secret-of-the-cloud")
    async with ScriptedServer(*ROUNDS[:2]) as server:
        await client_of(server, dialect=Ollama(cloud=True)).chat(model="m", messages=[QUESTION])
        await client_of(server).chat(model="m", messages=[QUESTION])
    assert [request.headers.get("authorization") for request in server.requests] == ["Bearer secret-of-the-cloud", None]
    assert "'https://ollama.com" in repr(LLMClient.for_host("ollama-cloud"))
