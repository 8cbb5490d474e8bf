"""Cohere's Chat API through ``LLMClient``, against a server on a loopback port."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatCompleted, LLMClient, Message, ToolRegistry
from rxllm import operators as ops
from rxllm.dialects import Cohere, Endpoint
from rxllm.exceptions import APIResponseError, APIStatusError, APIStreamError, DecodeError, StreamInterruptedError
from rxllm.models import ChatCompletion
from rxllm.sinks import JSONLinesSink, SQLiteSink
from rxllm.sources import from_recording
from rxllm.testing import ScriptedServer, script

Event = dict[str, Any]
QUESTION = Message.user("q")
CITATION = {
    "start": 0,
    "end": 4,
    "text": "Take",
    "sources": [{"type": "tool", "id": "c3:0", "tool_output": {"content": "rain 3"}}],
    "type": "TEXT_CONTENT",
    "content_index": 1,
}


def call(call_id: str, city: str) -> Event:
    arguments = json.dumps({"city": city})
    return {"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


def events_of(*parts: Event, reason: str) -> list[Event]:
    """The events of an answer of these parts, each as it goes back, in pieces of three characters."""
    events: list[Event] = [{"id": "m", "type": "message-start", "delta": {"message": {"role": "assistant"}}}]
    contents = calls = 0

    def add(kind: str, index: int, **message: Any) -> None:
        events.append({"type": kind, "index": index, **({"delta": {"message": message}} if message else {})})

    for part in parts:
        if "function" in part:
            function = part["function"]
            add("tool-call-start", calls, tool_calls={**part, "function": {"name": function["name"], "arguments": ""}})
            for piece in pieces(function["arguments"]):
                add("tool-call-delta", calls, tool_calls={"function": {"arguments": piece}})
            add("tool-call-end", calls)
            calls += 1
        elif "tool_plan" in part:
            for piece in pieces(part["tool_plan"]):
                add("tool-plan-delta", 0, tool_plan=piece)
        elif "sources" in part:
            add("citation-start", 0, citations=part)
            add("citation-end", 0)
        else:
            kind = part["type"]
            add("content-start", contents, content={"type": kind, kind: ""})
            for piece in pieces(part[kind]):
                add("content-delta", contents, content={kind: piece})
            add("content-end", contents)
            contents += 1
    tokens = {"input_tokens": 3, "output_tokens": 4}
    usage = {"billed_units": tokens, "tokens": tokens}
    return [*events, {"type": "message-end", "delta": {"finish_reason": reason, "usage": usage}}]


def pieces(text: str) -> list[str]:
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def sse(events: list[Event]) -> bytes:
    return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events)


def said(*parts: Event, reason: str = "TOOL_CALL") -> script.Answer:
    return script.Answer([sse(events_of(*parts, reason=reason))])


ROUNDS = (
    said({"tool_plan": "I ask for both."}, call("c1", "Oslo"), call("c2", "Rome")),
    said({"type": "thinking", "thinking": "Once more."}, call("c3", "Oslo")),
    said(
        {"type": "thinking", "thinking": "Rain."}, {"type": "text", "text": "Take a coat."}, CITATION, reason="COMPLETE"
    ),
)
THOUGHTS = ["I ask for both.", "Once more.", "Rain."]


def client_of(server: ScriptedServer, **options: Any) -> LLMClient:
    given: dict[str, Any] = {"dialect": "cohere", "retries": 0, "api_key": "secret", **options}
    return LLMClient(base_url=server.base_url, **given)


def tools(ran: list[str]) -> ToolRegistry:
    def get_weather(city: str) -> str:
        """The weather now."""
        ran.append(city)
        return f"rain {len(ran)}"

    return ToolRegistry([get_weather])


async def conversation(ran: list[str], **options: Any) -> tuple[ChatCompleted, list[Any]]:
    async with ScriptedServer(*ROUNDS) as server, client_of(server, **options) as client:
        *_, completed = await client.chat_with_tools(
            model="m", messages=[QUESTION], registry=tools(ran), max_concurrency=1
        ).pipe(rx_ops.to_list())
    assert isinstance(completed, ChatCompleted)
    return completed, [request.json for request in server.requests]


async def test_three_rounds_go_back_as_they_came() -> None:
    ran: list[str] = []
    completed, requests = await conversation(ran)

    assert ran == ["Oslo", "Rome", "Oslo"]
    assert completed.completion.content == "Take a coat."
    assert completed.completion.repairs == ()
    assert requests[2]["messages"] == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [call("c1", "Oslo"), call("c2", "Rome")], "tool_plan": "I ask for both."},
        {"role": "tool", "tool_call_id": "c1", "content": "rain 1"},
        {"role": "tool", "tool_call_id": "c2", "content": "rain 2"},
        {
            "role": "assistant",
            "tool_calls": [call("c3", "Oslo")],
            "content": [{"type": "thinking", "thinking": "Once more."}],
        },
        {"role": "tool", "tool_call_id": "c3", "content": "rain 3"},
    ]


async def test_a_model_that_takes_no_plan_back() -> None:
    completed, requests = await conversation([], dialect=Cohere(send_tool_plan=False))

    assert "I ask for both." not in json.dumps(requests)
    assert requests[1]["messages"][1] == {
        "role": "assistant",
        "tool_calls": [call("c1", "Oslo"), call("c2", "Rome")],
    }
    assert [(each.kind, each.before) for each in completed.completion.repairs] == [
        ("lost-in-conversion", ["reasoning"])
    ]


@pytest.mark.parametrize("kind", ["c.db", "c.jsonl"])
async def test_stored_and_loaded_they_go_back_the_same(kind: str, tmp_path: Path) -> None:
    completed, _ = await conversation([])
    kept = [Message.model_validate_json(each.model_dump_json()) for each in completed.messages]
    origin = completed.messages[0].origin
    assert origin is not None
    bodies: list[Any] = []
    for messages in (completed.messages, kept):
        request = rxllm.ChatRequest(model="m", messages=[QUESTION, *messages])
        bodies.append(Cohere().http_request(request, Endpoint(base_url=f"http://{origin.host}")).body)
    assert bodies[0] == bodies[1]
    last = bodies[0]["messages"][-1]
    assert last == {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Rain."}, {"type": "text", "text": "Take a coat."}],
        "citations": [CITATION],
    }
    async with ScriptedServer(ROUNDS[0]) as server, client_of(server) as client:
        path = tmp_path / kind
        sink = SQLiteSink(path) if kind.endswith("db") else JSONLinesSink(path)
        answer = await client.chat_stream(model="m", messages=[QUESTION]).pipe(ops.tee_to(sink), ops.accumulate())
        replayed = await from_recording(path).pipe(ops.accumulate(strict=True))
    assert replayed == answer


@pytest.mark.parametrize("other", ["openai-chat", "anthropic", "openai-responses", "ollama"])
async def test_to_another_dialect_nothing_leaks(other: str) -> None:
    completed, _ = await conversation([])
    request = rxllm.ChatRequest(model="m", messages=[QUESTION, *completed.messages, QUESTION], max_tokens=9)
    wire = rxllm.dialects.get_dialect(other).http_request(request, Endpoint(base_url="https://elsewhere"))
    sent = json.dumps(wire.body)
    assert all(text not in sent for text in (*THOUGHTS, "c1", "c3", "tool_plan", "thinking", "sources"))
    assert all(text in sent for text in ("rain 1", "rain 3", "Take a coat."))


async def test_an_answer_of_another_dialect_is_said_in_this_one() -> None:
    asked = [script.reasoning("Hm."), *script.words("I look."), *script.tool_call("get_weather", {"city": "Oslo"})]
    first = [script.role(), *asked, script.finish("tool_calls"), script.done()]
    async with ScriptedServer(first, dialect="anthropic") as server, client_of(server, dialect="anthropic") as client:
        answer = await client.chat(model="m", messages=[QUESTION], max_tokens=9)
    result = Message.tool("rain", tool_call_id=answer.message.tool_calls[0].id)
    async with ScriptedServer(ROUNDS[2]) as server, client_of(server) as client:
        completion = await client.chat(model="m", messages=[QUESTION, answer.message, result])
    assert server.requests[0].json["messages"][1:] == [
        {"role": "assistant", "tool_calls": [call("call00001", "Oslo")], "tool_plan": "I look."},
        {"role": "tool", "tool_call_id": "call00001", "content": "rain"},
    ]
    assert [(each.kind, each.before) for each in completion.repairs] == [("lost-in-conversion", ["reasoning"])]


async def test_a_connection_serves_several_answers() -> None:
    async with ScriptedServer(*ROUNDS, repeat=True) as server, client_of(server) as client:
        for _ in range(5):
            assert (await client.chat(model="m", messages=[QUESTION])).complete
    assert len({request.connection for request in server.requests}) == 1


async def test_errors() -> None:
    text: list[Event] = events_of({"type": "text", "text": "Take"}, reason="ERROR")
    answers = (
        script.status(404, {"id": "1", "message": "model 'm' not found"}),
        script.Answer([b'data: {"id":"1","message":"too long"}\n\n']),
        script.Answer([sse(text)]),
        script.Answer([b'{"message":"no"}'], content_type="application/json"),
        script.Answer([b"<html>busy</html>"], content_type="text/html"),
        script.Answer([b'data: {"choices":[]}\n\n']),
        script.Answer([sse(text[:3]), script.cut()]),
    )
    kinds = (
        *(APIStatusError, APIStreamError, APIStreamError, APIResponseError, APIResponseError, DecodeError),
        StreamInterruptedError,
    )
    async with ScriptedServer(*answers) as server, client_of(server) as client:
        for kind in kinds:
            with pytest.raises(kind) as caught:
                await client.chat(model="m", messages=[QUESTION])
            if kind is APIStatusError:
                assert "model 'm' not found" in str(caught.value)


async def test_an_answer_whose_server_gave_up_is_asked_for_again() -> None:
    failed = script.Answer([sse(events_of(reason="TIMEOUT"))])
    async with ScriptedServer(failed, ROUNDS[2]) as server, client_of(server, retries=1) as client:
        completion = await client.chat(model="m", messages=[QUESTION])
    assert completion.content == "Take a coat."
    assert len(server.requests) == 2


async def test_an_answer_that_was_not_streamed() -> None:
    whole = {
        "id": "m",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
    }
    answer = script.Answer([json.dumps(whole, indent=1).encode()], content_type="application/json")
    async with ScriptedServer(answer) as server, client_of(server) as client:
        read: ChatCompletion = await client.chat(model="m", messages=[QUESTION])
    assert read.content == "Hi"
    assert [repair.kind for repair in read.repairs] == ["answer-not-streamed"]


async def test_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CO_API_KEY", "secret-of-the-environment")
    async with ScriptedServer(*ROUNDS[:1]) as server:
        monkeypatch.setenv("CO_API_URL", server.origin)
        client = LLMClient(dialect=Cohere(client_name="my-app"), retries=0)
        await client.chat(model="m", messages=[QUESTION])
    headers = server.requests[0].headers
    assert (headers["authorization"], headers["x-client-name"]) == ("Bearer secret-of-the-environment", "my-app")
    assert server.requests[0].path == "/v2/chat"
