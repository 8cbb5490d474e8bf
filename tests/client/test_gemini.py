"""The Gemini API through ``LLMClient``, against a server on a loopback port."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatCompleted, LLMClient, Message, ToolRegistry
from rxllm import operators as ops
from rxllm.dialects import Endpoint, Gemini, get_dialect
from rxllm.exceptions import (
    APIResponseError,
    APIStatusError,
    APIStreamError,
    DecodeError,
    StreamInterruptedError,
    TruncatedStreamError,
    UnsupportedRequestError,
)
from rxllm.models import ChatCompletion
from rxllm.sinks import SQLiteSink
from rxllm.sources import from_recording
from rxllm.testing import ScriptedServer, script

Part = dict[str, Any]
MODEL = "gemini-3-pro"
QUESTION = Message.user("q")


def text(said: str, **fields: Any) -> Part:
    return {"text": said, **fields}


def thought(said: str) -> Part:
    return {"text": said, "thought": True}


def call(city: str, **fields: Any) -> Part:
    own_id = {"id": own_id} if (own_id := fields.pop("id", None)) else {}
    return {"functionCall": {"name": "get_weather", "args": {"city": city}, **own_id}, **fields}


def events(*parts: Part, number: int = 0, reason: str = "STOP") -> list[dict[str, Any]]:
    """Events with a part each, and one that says why it ended."""
    head = {"modelVersion": MODEL, "responseId": f"r{number}"}
    made: list[dict[str, Any]] = [
        {"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}], **head} for part in parts
    ]
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}
    return [*made, {"candidates": [{"finishReason": reason, "index": 0}], "usageMetadata": usage, **head}]


def framed(*said: dict[str, Any]) -> bytes:
    return "".join(f"data: {json.dumps(each)}\r\n\r\n" for each in said).encode()


def answer(*parts: Part, number: int = 0) -> script.Answer:
    return script.Answer([framed(*events(*parts, number=number))])


CODE = {"executableCode": {"language": "PYTHON", "code": "1 + 1"}}
RAN = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}
PARALLEL = [call("Oslo", thoughtSignature="s1"), call("Rome")]
ROUNDS = (
    answer(thought("I "), thought("ask."), CODE, RAN, text("I look."), *PARALLEL),
    answer(thought("Again."), call("Oslo", id="own1", thoughtSignature="s2"), number=1),
    answer(text("Take a "), text("coat."), text("", thoughtSignature="s3"), number=2),
)


def client_of(server: ScriptedServer, **options: Any) -> LLMClient:
    return LLMClient(base_url=server.base_url, dialect=options.pop("dialect", "gemini"), retries=0, **options)


def tools(ran: list[str]) -> ToolRegistry:
    def get_weather(city: str) -> str:
        """The weather now."""
        ran.append(city)
        if len(ran) == 2:
            raise ValueError("no connection")
        return f"rain {len(ran)}"

    return ToolRegistry([get_weather])


async def conversation(ran: list[str]) -> tuple[ChatCompleted, list[Any]]:
    async with ScriptedServer(*ROUNDS, dialect="gemini") as server, client_of(server) as client:
        *_, completed = await client.chat_with_tools(
            model=MODEL, messages=[QUESTION], registry=tools(ran), max_concurrency=1
        ).pipe(rx_ops.to_list())
    assert isinstance(completed, ChatCompleted)
    return completed, [request.json for request in server.requests]


def result(key: str, value: Any, **fields: Any) -> Part:
    return {"functionResponse": {**fields, "name": "get_weather", "response": {key: value}}}


async def test_three_rounds_go_back_part_by_part() -> None:
    ran: list[str] = []
    completed, requests = await conversation(ran)

    assert ran == ["Oslo", "Rome", "Oslo"]
    assert completed.completion.content == "Take a coat."
    contents = requests[2]["contents"]
    failure = contents[2]["parts"][1]["functionResponse"]["response"].pop("error")
    assert "no connection" in failure
    contents[2]["parts"][1]["functionResponse"]["response"] = {"error": "…"}
    assert contents == [
        {"role": "user", "parts": [text("q")]},
        {"role": "model", "parts": [thought("I ask."), CODE, RAN, text("I look."), *PARALLEL]},
        {"role": "user", "parts": [result("result", "rain 1"), result("error", "…")]},
        {"role": "model", "parts": [thought("Again."), call("Oslo", id="own1", thoughtSignature="s2")]},
        {"role": "user", "parts": [result("result", "rain 3", id="own1")]},
    ]
    assert requests[1]["contents"] == [*contents[:2], requests[1]["contents"][2]]
    calls = [each.id for message in completed.messages for each in message.tool_calls]
    assert len(set(calls)) == 3


async def test_stored_and_loaded_they_go_back_the_same(tmp_path: Path) -> None:
    completed, _ = await conversation([])
    kept = [Message.model_validate_json(each.model_dump_json()) for each in completed.messages]
    origin = completed.messages[0].origin
    assert origin is not None
    wires: list[rxllm.dialects.WireRequest] = []
    for messages in (completed.messages, kept):
        request = rxllm.ChatRequest(model=MODEL, messages=[QUESTION, *messages])
        wires.append(Gemini().http_request(request, Endpoint(base_url=f"http://{origin.host}")))
    assert wires[0].body == wires[1].body
    assert wires[0].body["contents"][-1]["parts"] == [text("Take a coat."), text("", thoughtSignature="s3")]
    async with ScriptedServer(ROUNDS[0], dialect="gemini") as server, client_of(server) as client:
        path = tmp_path / "c.db"
        answered = await client.chat_stream(model=MODEL, messages=[QUESTION]).pipe(
            ops.tee_to(SQLiteSink(path)), ops.accumulate()
        )
        replayed = await from_recording(path).pipe(ops.accumulate(strict=True))
    assert replayed == answered


@pytest.mark.parametrize("other", ["openai-chat", "anthropic", "openai-responses", "ollama"])
async def test_to_another_dialect_nothing_leaks(other: str) -> None:
    completed, _ = await conversation([])
    request = rxllm.ChatRequest(model="m", messages=[QUESTION, *completed.messages, QUESTION])
    wire = get_dialect(other).http_request(request, Endpoint(base_url="https://elsewhere"))
    sent = json.dumps(wire.body)
    leaks = ("I ask.", "Again.", '"s1"', '"s2"', '"s3"', "own1", "thoughtSignature", "executableCode", "OUTCOME_OK")
    assert all(word not in sent for word in leaks)
    assert all(word in sent for word in ("I look.", "rain 1", "rain 3", "Take a coat."))


async def test_a_connection_serves_several_answers() -> None:
    async with ScriptedServer(*ROUNDS, dialect="gemini", repeat=True) as server, client_of(server) as client:
        for _ in range(5):
            assert (await client.chat(model=MODEL, messages=[QUESTION])).complete
    assert len({request.connection for request in server.requests}) == 1


async def test_the_key_is_in_its_header_and_the_model_in_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "key-of-the-environment")
    async with ScriptedServer(ROUNDS[2], dialect="gemini", repeat=True) as server:
        for options in ({}, {"api_key": "given"}, {"api_key": "token", "dialect": Gemini(platform="vertex")}):
            async with client_of(server, **options) as client:
                await client.chat(model=MODEL, messages=[QUESTION])
        base_url = f"{server.origin}/v1/projects/p/locations/l"
        async with LLMClient(base_url=base_url, api_key="token", dialect=Gemini(platform="vertex")) as client:
            await client.chat(model=MODEL, messages=[QUESTION])
    keys = [(each.headers.get("x-goog-api-key"), each.headers.get("authorization")) for each in server.requests]
    assert keys == [("key-of-the-environment", None), ("given", None), (None, "Bearer token"), (None, "Bearer token")]
    path = f"/models/{MODEL}:streamGenerateContent"
    assert server.requests[0].path == f"/v1beta{path}"
    assert server.requests[3].path == f"/v1/projects/p/locations/l/publishers/google{path}"
    assert {request.query for request in server.requests} == {"alt=sse"}
    assert all("key-of" not in request.body.decode() for request in server.requests)


ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
BEGUN = framed(*events(text("a"), text("b")))


@pytest.mark.parametrize(
    ("sent", "kind", "came"),
    [
        (
            script.status(400, {"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}),
            APIStatusError,
            "",
        ),
        (script.Answer([BEGUN, framed(ERROR)]), APIStreamError, "ab"),
        (script.Answer([BEGUN, json.dumps(ERROR, indent=2).encode()]), APIStreamError, "ab"),
        (script.Answer([BEGUN, f"{json.dumps(ERROR, indent=2)}\n".encode()]), APIStreamError, "ab"),
        (
            script.Answer([json.dumps([ERROR], indent=2).encode()], content_type="application/json"),
            APIResponseError,
            "",
        ),
        (script.Answer([framed(*events(text("a"))[:1])]), TruncatedStreamError, "a"),
        (script.Answer([BEGUN, script.cut()]), StreamInterruptedError, "ab"),
        (script.Answer([b"<html>busy</html>"], content_type="text/html"), APIResponseError, ""),
        (script.Answer([b'data: {"choices":[]}\n\n']), DecodeError, ""),
    ],
)
async def test_errors(sent: script.Answer, kind: type[Exception], came: str) -> None:
    async with ScriptedServer(sent, dialect="gemini") as server, client_of(server) as client:
        with pytest.raises(kind) as caught:
            await client.chat(model=MODEL, messages=[QUESTION])
    partial = getattr(caught.value, "partial", None)
    assert ("" if partial is None else partial.content) == came


async def test_a_server_that_sends_an_array_where_events_were_asked_for() -> None:
    """As Google's does without ``alt=sse``."""
    said = events(text("a"), text("b"))
    bodies = [json.dumps(said), json.dumps(said, indent=2), json.dumps(said[-2] | said[-1], indent=1)]
    bodies[2] = json.dumps(
        {**events(text("ab"))[0], "candidates": [{"content": {"parts": [text("ab")]}, "finishReason": "STOP"}]}
    )
    answers = [script.Answer([body.encode()], content_type="application/json") for body in bodies]
    async with ScriptedServer(*answers, dialect="gemini") as server, client_of(server) as client:
        read: list[ChatCompletion] = [await client.chat(model=MODEL, messages=[QUESTION]) for _ in answers]
    assert [each.content for each in read] == ["ab"] * 3
    assert [[repair.kind for repair in each.repairs] for each in read] == [["answer-not-streamed"]] * 3


async def test_an_array_that_is_cut_is_no_whole_answer() -> None:
    body = json.dumps(events(text("a"), text("b")), indent=2).encode()
    answers = [script.Answer([body[:end]], content_type="application/json") for end in (-1, -40, -200)]
    async with ScriptedServer(*answers, dialect="gemini") as server, client_of(server) as client:
        for _ in answers:
            with pytest.raises(TruncatedStreamError) as caught:
                await client.chat(model=MODEL, messages=[QUESTION])
            assert caught.value.partial is not None
            assert caught.value.partial.content in {"a", "ab"}


async def test_an_overload_is_tried_again() -> None:
    busy = script.Answer([framed(ERROR)])
    async with (
        ScriptedServer(busy, ROUNDS[2], dialect="gemini") as server,
        LLMClient(base_url=server.base_url, dialect="gemini", retries=1) as client,
    ):
        completion = await client.chat(model=MODEL, messages=[QUESTION])
    assert completion.content == "Take a coat."
    assert len(server.requests) == 2


async def test_a_stream_is_read_to_the_end_of_its_body() -> None:
    """Though each event says why the answer ended."""
    each = [
        {**event, "candidates": [{**event["candidates"][0], "finishReason": "STOP"}]}
        for event in events(text("a"), CODE, RAN, text("b"))
    ]
    async with (
        ScriptedServer(script.Answer([framed(event) for event in each]), dialect="gemini") as server,
        client_of(server) as client,
    ):
        completion = await client.chat(model=MODEL, messages=[QUESTION])
    assert completion.content == "ab"
    assert [str(part.kind) for part in completion.message.parts] == ["text", "server_tool", "server_result", "text"]


async def test_what_cannot_be_said_is_not_sent() -> None:
    async with ScriptedServer(ROUNDS[2], dialect="gemini") as server, client_of(server) as client:
        with pytest.raises(UnsupportedRequestError, match="verbosity"):
            await client.chat(model=MODEL, messages=[QUESTION], verbosity="low")
    assert server.requests == []
