"""Anthropic's Messages API through ``LLMClient``, against a server on a loopback port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from reactivex import operators as rx_ops

import rxllm
from rxllm import (
    ChatCompleted,
    ChatCompletion,
    ChatEvent,
    LLMClient,
    Message,
    RoundCompleted,
    ToolCallEvent,
    ToolRegistry,
    ToolResultEvent,
)
from rxllm import operators as ops
from rxllm.dialects import Anthropic
from rxllm.exceptions import (
    APIStatusError,
    APIStreamError,
    LimitExceededError,
    StreamInterruptedError,
    UnsupportedRequestError,
)
from rxllm.models import StreamChunk
from rxllm.sinks import JSONLinesSink, SQLiteSink, StoreSink
from rxllm.sources import from_recording
from rxllm.testing import ScriptedServer, script

Block = dict[str, Any]

MODEL = "claude-sonnet-4-5"
KEY = "sk-ant-long-and-secret"
QUESTION = Message.user("q")
ASKED = {"role": "user", "content": [{"type": "text", "text": "q"}]}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


def events_of(*blocks: Block, reason: str = "end_turn", **message: Any) -> list[dict[str, Any]]:
    """The events that give an answer with these blocks, each in several pieces."""
    usage = {"input_tokens": 5, "output_tokens": 1}
    head: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{MODEL}-20250929",
        "content": [],
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**head, "stop_reason": None, "usage": usage}},
        {"type": "ping"},
    ]
    for index, block in enumerate(blocks):
        events += block_events(index, block)
    delta = {"stop_reason": reason, "stop_sequence": None, **message}
    return [*events, {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}}, {"type": "message_stop"}]


def block_events(index: int, block: Block) -> list[dict[str, Any]]:
    kind = block["type"]
    start, deltas = dict(block), list[dict[str, Any]]()
    if kind == "text":
        deltas += [{"type": "citations_delta", "citation": each} for each in start.pop("citations", ())]
        deltas += [{"type": "text_delta", "text": piece} for piece in halves(start["text"])]
        start["text"] = ""
    elif kind == "thinking":
        deltas += [{"type": "thinking_delta", "thinking": piece} for piece in halves(start["thinking"])]
        deltas += [{"type": "signature_delta", "signature": start["signature"]}]
        start |= {"thinking": "", "signature": ""}
    elif kind.endswith("tool_use"):
        written = json.dumps(start["input"]) if start["input"] else ""
        deltas += [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *halves(written))]
        start["input"] = {}
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def sse(events: list[dict[str, Any]]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def said(*blocks: Block, reason: str = "end_turn", **message: Any) -> bytes:
    return sse(events_of(*blocks, reason=reason, **message))


def text(words: str) -> Block:
    return {"type": "text", "text": words}


def thought(words: str, signature: str) -> Block:
    return {"type": "thinking", "thinking": words, "signature": signature}


def call(id: str, **input: Any) -> Block:
    return {"type": "tool_use", "id": id, "name": "get_weather", "input": input, "caller": {"type": "direct"}}


def server_call(id: str, name: str = "web_search", **input: Any) -> Block:
    return {"type": "server_tool_use", "id": id, "name": name, "input": input}


def result(id: str, content: str, **more: Any) -> Block:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **more}


FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [{"type": "web_search_result", "url": "https://a.example", "encrypted_content": "ZQ=="}],
}
CITED = {
    **text("It rains in Oslo."),
    "citations": [{"type": "web_search_result_location", "url": "https://a.example", "encrypted_index": "aQ=="}],
}
ROUNDS: tuple[tuple[Block, ...], ...] = (
    (
        thought("I search.", "c2lnMQ=="),
        {"type": "redacted_thinking", "data": "cmVk"},
        server_call("srvtoolu_1", q="weather"),
        FOUND,
        thought("I ask.", "c2lnMg=="),
        text("I look."),
        call("toolu_1", city="Oslo"),
        call("toolu_2", city="Atlantis"),
    ),
    (thought("Again.", "c2lnMw=="), CITED, call("toolu_3")),
    (thought("Done.", "c2lnNA=="), {"type": "moon", "phase": 1}, CITED, text("Take a coat.")),
)


def client_of(server: ScriptedServer, **options: Any) -> LLMClient:
    return LLMClient(base_url=server.base_url, api_key=KEY, dialect=options.pop("dialect", "anthropic"), **options)


@pytest.fixture
def asked() -> list[str]:
    """The cities that the tool was asked about."""
    return []


@pytest.fixture
def registry(asked: list[str]) -> ToolRegistry:
    async def get_weather(city: str = "Bergen") -> str:
        """The weather in a city."""
        asked.append(city)
        if city == "Atlantis":
            raise LookupError("no such city")
        return f"rain in {city}"

    return ToolRegistry([get_weather])


async def converse(server: ScriptedServer, registry: ToolRegistry, **fields: Any) -> list[ChatEvent]:
    async with client_of(server) as client:
        request = {"model": MODEL, "messages": [QUESTION], **fields}
        async with rxllm.iterate(client.chat_with_tools(request, registry)) as arriving:
            return [event async for event in arriving]


# A conversation


async def test_three_rounds_go_back_block_by_block(registry: ToolRegistry, asked: list[str]) -> None:
    scripts = [said(*blocks, reason="tool_use") for blocks in ROUNDS[:2]]
    async with ScriptedServer(*scripts, said(*ROUNDS[2])) as server:
        events = await converse(server, registry)

    first, second, third = (request.json for request in server.requests)
    turns: list[Any] = [
        ASKED,
        {"role": "assistant", "content": [*ROUNDS[0]]},
        {
            "role": "user",
            "content": [
                result("toolu_1", "rain in Oslo"),
                result("toolu_2", third["messages"][2]["content"][1]["content"], is_error=True),
            ],
        },
        {"role": "assistant", "content": [*ROUNDS[1]]},
        {"role": "user", "content": [result("toolu_3", "rain in Bergen")]},
    ]
    assert [first["messages"], second["messages"], third["messages"]] == [turns[:1], turns[:3], turns]
    assert "no such city" in turns[2]["content"][1]["content"]
    assert sorted(asked) == ["Atlantis", "Bergen", "Oslo"]
    completed = events[-1]
    assert isinstance(completed, ChatCompleted)
    assert [part.block for part in completed.completion.message.parts] == [*ROUNDS[2]]
    assert completed.completion.repairs == ()
    assert {request.connection for request in server.requests} == {0}
    assert first["tools"] == [
        {
            "name": "get_weather",
            "description": "The weather in a city.",
            "input_schema": first["tools"][0]["input_schema"],
        }
    ]


async def test_the_input_of_a_tool_of_the_server_never_reaches_ours(registry: ToolRegistry, asked: list[str]) -> None:
    mixed = said(
        server_call("srvtoolu_1", "get_weather", city="Oslo"), FOUND, call("toolu_1", city="Rome"), reason="tool_use"
    )
    async with ScriptedServer(mixed, said(text("."))) as server:
        events = await converse(server, registry)

    assert asked == ["Rome"]
    assert [event.call.id for event in events if isinstance(event, ToolCallEvent)] == ["toolu_1"]
    assert [event.result.content for event in events if isinstance(event, ToolResultEvent)] == ["rain in Rome"]


async def test_tools_of_the_server_beside_ours(registry: ToolRegistry) -> None:
    web = {"type": "web_search_20250305", "name": "web_search"}
    async with ScriptedServer(said(text("."))) as server:
        await converse(server, registry, tools=[web])

    assert [tool["name"] for tool in server.requests[0].json["tools"]] == ["web_search", "get_weather"]
    assert server.requests[0].json["tools"][0] == web


async def test_a_model_that_paused_goes_on_without_a_turn_of_the_user(registry: ToolRegistry) -> None:
    paused = (thought("Hm.", "c2ln"), server_call("srvtoolu_1", q="x"), FOUND)
    container = {"id": "container_1", "expires_at": "2027-01-01T00:00:00Z"}
    async with ScriptedServer(said(*paused, reason="pause_turn", container=container), said(CITED)) as server:
        events = await converse(server, registry)

    second = server.requests[1].json
    assert second["messages"] == [ASKED, {"role": "assistant", "content": [*paused]}]
    assert second["container"] == "container_1"
    rounds = [event.completion for event in events if isinstance(event, RoundCompleted)]
    assert [(each.ending, each.complete) for each in rounds] == [("paused", False), ("completed", True)]
    assert rounds[1].text == "It rains in Oslo."


async def test_a_model_that_pauses_for_ever(registry: ToolRegistry) -> None:
    async with ScriptedServer(said(text("."), reason="pause_turn"), repeat=True) as server:
        with pytest.raises(LimitExceededError, match="the last one allowed"):
            await converse(server, registry)


async def test_a_forced_tool_is_forced_in_the_first_round_only(registry: ToolRegistry) -> None:
    async with ScriptedServer(said(call("toolu_1"), reason="tool_use"), said(text("."))) as server:
        await converse(server, registry, tool_choice="required", parallel_tool_calls=False)

    assert [request.json["tool_choice"] for request in server.requests] == [
        {"type": "any", "disable_parallel_tool_use": True},
        {"type": "auto", "disable_parallel_tool_use": True},
    ]


async def test_a_call_that_was_cut_is_not_run(registry: ToolRegistry, asked: list[str]) -> None:
    events = events_of(call("toolu_1", city="Oslo"), reason="max_tokens")
    cut = sse([event for event in events if "sl" not in json.dumps(event)])
    async with ScriptedServer(cut) as server:
        with pytest.raises(rxllm.TruncatedStreamError) as caught:
            await converse(server, registry)

    assert asked == []
    assert caught.value.partial is not None
    assert caught.value.partial.ending == "length"


# Stored and replayed

STORES: dict[str, Callable[[Path], StoreSink]] = {"lines": JSONLinesSink, "SQLite": SQLiteSink}


@pytest.mark.parametrize("store", STORES.values(), ids=list(STORES))
async def test_an_answer_that_was_stored_goes_back_block_by_block(
    store: Callable[[Path], StoreSink], tmp_path: Path
) -> None:
    path = tmp_path / "stored"
    scripts = said(*ROUNDS[0], reason="tool_use"), said(text("."))
    async with ScriptedServer(*scripts) as server, client_of(server) as client:
        request = {"model": MODEL, "messages": [QUESTION]}
        direct = await client.chat_stream(request).pipe(ops.tee_to(store(path)), ops.accumulate())
        replayed: ChatCompletion = await from_recording(path).pipe(ops.accumulate())
        dumped = Message.model_validate_json(replayed.message.model_dump_json())
        await client.chat(model=MODEL, messages=[QUESTION, dumped])

    assert replayed.model_dump() == direct.model_dump()
    assert server.requests[1].json["messages"][1] == {"role": "assistant", "content": [*ROUNDS[0]]}


async def test_of_an_answer_nothing_but_text_and_calls_goes_to_another_dialect() -> None:
    async with ScriptedServer(said(*ROUNDS[0], reason="tool_use")) as server, ScriptedServer("Fine.") as other:
        answer = (await client_of(server).chat(model=MODEL, messages=[QUESTION])).message
        results = [Message.tool("rain", tool_call_id=call.id) for call in answer.tool_calls]
        await LLMClient(base_url=other.base_url).chat(model="m", messages=[QUESTION, answer, *results])

    _, assistant, *tools = other.requests[0].json["messages"]
    assert assistant.keys() == {"role", "content", "tool_calls"}
    assert [each["tool_call_id"] for each in tools] == [each["id"] for each in assistant["tool_calls"]]
    body = other.requests[0].body.decode()
    assert not any(word in body for word in ("toolu", "c2ln", "cmVk", "web_search", "I search", "caller", "parts"))


async def test_an_answer_of_another_dialect_comes_here() -> None:
    calling = script.answer("I look.", script.tool_call("get_weather", {"city": "Oslo"}, id="call_x"))
    async with ScriptedServer(calling) as other, ScriptedServer(said(text("."))) as server:
        answer = (await LLMClient(base_url=other.base_url).chat(model="m", messages=[QUESTION])).message
        back = [QUESTION, answer, Message.tool("rain", tool_call_id="call_x")]
        await client_of(server).chat(model=MODEL, messages=back)

    _, assistant, results = server.requests[0].json["messages"]
    assert assistant["content"] == [
        text("I look."),
        {"type": "tool_use", "id": "call00001", "name": "get_weather", "input": {"city": "Oslo"}},
    ]
    assert results["content"] == [result("call00001", "rain")]


# Operators


class City(BaseModel):
    name: str
    people: int = 0


FORM = {"type": "json_schema", "json_schema": {"name": "city", "schema": City.model_json_schema()}}


async def test_parse_structured_with_the_schema_of_the_provider() -> None:
    async with ScriptedServer(said(thought("Hm.", "s"), text('{"name": "Oslo", "people": 7}'))) as server:
        request = {"model": MODEL, "messages": [QUESTION], "response_format": FORM}
        city = await client_of(server).chat_stream(request).pipe(ops.parse_structured(City))

    assert city == City(name="Oslo", people=7)
    sent = server.requests[0].json["output_config"]["format"]
    assert sent["type"] == "json_schema"
    assert sent["schema"]["additionalProperties"] is False


async def test_stop_when_leaves_the_server() -> None:
    events = events_of(text("Hello there, and so on"))
    stop = asyncio.Event()
    async with ScriptedServer([sse(events[:4]), script.stall()]) as server:
        chunks = client_of(server).chat_stream(model=MODEL, messages=[QUESTION])
        heard = chunks.pipe(rx_ops.do_action(lambda chunk: stop.set() if chunk.text else None))
        completion = await heard.pipe(ops.stop_when(stop), ops.accumulate())
        await server.requests[0].peer_left.wait()

    assert (completion.text, completion.ending, completion.complete) == ("Hello there", "stopped", False)


async def test_progress_of_calls_and_paths_in_their_arguments() -> None:
    body = said(call("toolu_1", city="Oslo", day="Monday"), reason="tool_use")
    async with ScriptedServer(body, body) as server:
        chunks = client_of(server).chat_stream(model=MODEL, messages=[QUESTION])
        calls = await chunks.pipe(ops.accumulate_tool_calls())
        last = await chunks.pipe(ops.tool_call_progress())

    assert calls.function.parsed == {"city": "Oslo", "day": "Monday"}
    assert last.id == "toolu_1"


async def test_snapshots_grow_to_the_completion() -> None:
    async with ScriptedServer(said(*ROUNDS[0], reason="tool_use"), repeat=True) as server:
        chunks = client_of(server).chat_stream(model=MODEL, messages=[QUESTION])
        snapshot = await chunks.pipe(ops.accumulate_snapshots())
        completion = await chunks.pipe(ops.accumulate())

    assert snapshot.message.parts == completion.message.parts
    assert snapshot.text == completion.text == "I look."


# Errors and tries


async def test_an_overload_is_tried_again() -> None:
    busy = script.status(529, OVERLOADED, headers={"retry-after": "0"})
    first = events_of(text("x"))[:1]
    async with ScriptedServer(busy, sse([OVERLOADED]), said(text("Hi"))) as server:
        completion = await client_of(server).chat(model=MODEL, messages=[QUESTION])
    assert completion.text == "Hi"
    assert [type(attempt.error) for attempt in completion.attempts] == [APIStatusError, APIStreamError]

    async with ScriptedServer(sse([*first, OVERLOADED]), said(text("Hi"))) as server:
        completion = await client_of(server).chat(model=MODEL, messages=[QUESTION])
    assert completion.text == "Hi"
    assert completion.attempts[0].usage is not None
    assert completion.attempts[0].usage.prompt_tokens == 5


async def test_an_overload_behind_a_word_is_not() -> None:
    events = events_of(text("Hello"))[:4]
    async with ScriptedServer(sse([*events, OVERLOADED])) as server:
        with pytest.raises(APIStreamError, match="Overloaded") as caught:
            await client_of(server).chat(model=MODEL, messages=[QUESTION])

    assert caught.value.partial is not None
    assert caught.value.partial.text == "He"
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "said_so"), [(500, "maybe"), (400, "true")])
async def test_the_server_says_to_try_again(status: int, said_so: str) -> None:
    refusal = script.status(status, OVERLOADED, headers={"X-Should-Retry": said_so, "retry-after": "0"})
    async with ScriptedServer(refusal, said(text("Hi"))) as server:
        completion = await client_of(server).chat(model=MODEL, messages=[QUESTION])

    assert completion.text == "Hi"


async def test_the_server_says_not_to_try_again() -> None:
    async with ScriptedServer(script.status(529, OVERLOADED, headers={"x-should-retry": "false"})) as server:
        with pytest.raises(APIStatusError) as caught:
            await client_of(server).chat(model=MODEL, messages=[QUESTION])

    assert caught.value.retryable is False
    assert len(server.requests) == 1


async def test_a_cut_is_a_cut_and_one_behind_the_end_is_none() -> None:
    events = events_of(text("Hello"))
    for count in range(2, len(events) - 2):
        async with ScriptedServer([sse(events[:count]), script.reset()]) as server:
            with pytest.raises(StreamInterruptedError):
                await client_of(server, retries=0).chat(model=MODEL, messages=[QUESTION])
    for count in (len(events) - 1, len(events)):
        async with ScriptedServer([sse(events[:count]), script.cut()]) as server:
            completion = await client_of(server).chat(model=MODEL, messages=[QUESTION])
        assert (completion.text, completion.complete) == ("Hello", True)
        assert [repair.kind for repair in completion.repairs] == ["cut-after-finish"]


async def test_an_answer_that_was_not_streamed() -> None:
    message = {
        **events_of()[0]["message"],
        "content": [*ROUNDS[0]],
        "stop_reason": "tool_use",
    }
    async with ScriptedServer(script.status(200, message)) as server:
        completion = await client_of(server).chat(model=MODEL, messages=[QUESTION])

    assert [part.block for part in completion.message.parts] == [*ROUNDS[0]]
    assert [repair.kind for repair in completion.repairs] == ["answer-not-streamed"]
    assert (completion.ending, len(completion.message.tool_calls)) == ("completed", 2)


async def test_a_stream_of_another_dialect_is_named() -> None:
    async with ScriptedServer("Hello", said(text("Hi"))) as server:
        with pytest.raises(rxllm.DecodeError, match="the chat completions of OpenAI"):
            await client_of(server).chat(model=MODEL, messages=[QUESTION])
        with pytest.raises(rxllm.DecodeError, match="the Messages API of Anthropic"):
            await LLMClient(base_url=server.base_url).chat(model=MODEL, messages=[QUESTION])


async def test_what_cannot_be_said_is_not_sent() -> None:
    async with ScriptedServer() as server:
        with pytest.raises(UnsupportedRequestError, match="seed"):
            await client_of(server).chat(model=MODEL, messages=[QUESTION], seed=1)

    assert server.requests == []


# Keys and connections


async def test_the_key_is_in_its_header_and_in_nothing_else() -> None:
    echo = script.status(401, {"type": "error", "error": {"type": "authentication_error", "message": f"not {KEY}"}})
    stream = sse([{"type": "error", "error": {"type": "authentication_error", "message": f"not {KEY}"}}])
    odd = sse([{"type": "message_start", "message": KEY}])
    async with ScriptedServer(echo, stream, odd) as server:
        for _ in range(3):
            with pytest.raises(rxllm.RxllmError) as caught:
                await client_of(server).chat(model=MODEL, messages=[QUESTION])
            assert KEY not in f"{caught.value} {caught.value!r} {vars(caught.value)}"

    for request in server.requests:
        assert [name for name, value in request.headers.items() if KEY in value] == ["x-api-key"]
        assert KEY.encode() not in request.body
        assert KEY not in request.path + request.query
        assert (request.path, request.headers["anthropic-version"]) == ("/v1/messages", "2023-06-01")


async def test_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    async with ScriptedServer(said(text("."))) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.origin)
        await LLMClient(dialect=Anthropic(betas=["b-1"])).chat(model=MODEL, messages=[QUESTION])

    headers = server.requests[0].headers
    assert (headers["x-api-key"], headers["anthropic-beta"]) == (KEY, "b-1")
    assert "authorization" not in headers
    assert "somebody" not in str(headers)


@pytest.mark.parametrize(
    "base_url", ["http://api.elsewhere", "http://api.openai.com/v1", "http://api.anthropic.com", "http://10.0.0.1/v1"]
)
async def test_the_key_of_the_environment_does_not_go_elsewhere(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    async with ScriptedServer(said(text(".")), said(text(".")), said(text("."))) as proxy:
        for dialect in (Anthropic(), Anthropic(platform="foundry"), Anthropic(platform="vertex")):
            client = LLMClient(base_url=base_url, proxy=proxy.origin, dialect=dialect)
            await client.chat(model=MODEL, messages=[QUESTION])

    for request in proxy.requests:
        assert not {"x-api-key", "api-key", "authorization"} & request.headers.keys()


@pytest.mark.parametrize(
    ("dialect", "names"),
    [
        (Anthropic(platform="foundry"), ["api-key", "x-api-key"]),
        (Anthropic(platform="vertex"), ["authorization"]),
        (Anthropic(auth="bearer"), ["authorization"]),
    ],
)
async def test_other_headers_with_a_key(dialect: Anthropic, names: list[str]) -> None:
    echo = script.status(401, {"type": "error", "error": {"type": "authentication_error", "message": f"not {KEY}"}})
    async with ScriptedServer(said(text("Hi")), echo) as server:
        assert (await client_of(server, dialect=dialect).chat(model=MODEL, messages=[QUESTION])).text == "Hi"
        with pytest.raises(APIStatusError) as caught:
            await client_of(server, dialect=dialect).chat(model=MODEL, messages=[QUESTION])

    assert KEY not in f"{caught.value} {caught.value!r} {vars(caught.value)}"
    headers = server.requests[0].headers
    assert sorted(name for name, value in headers.items() if KEY in value) == names


async def test_connections_are_used_again() -> None:
    async with ScriptedServer(said(text("Hi")), repeat=True) as server, client_of(server) as client:
        for _ in range(4):
            completion = await client.chat(model=MODEL, messages=[QUESTION])
            assert completion.complete

    assert [request.connection for request in server.requests] == [0] * 4


async def test_one_dialect_serves_many_streams() -> None:
    async with ScriptedServer(said(*ROUNDS[0], reason="tool_use"), repeat=True) as server, client_of(server) as client:
        chunks: list[StreamChunk] = await client.chat_stream(model=MODEL, messages=[QUESTION]).pipe(rx_ops.to_list())
        assert {chunk.stream and chunk.stream.dialect for chunk in chunks} == {"anthropic"}
        assert chunks[-1].stream is not None
        assert chunks[-1].stream.model == f"{MODEL}-20250929"
