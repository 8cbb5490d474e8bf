"""A scripted server that speaks other dialects than chat completions: the same scripts, in the provider's events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from rxllm.testing import ScriptedServer, script
from rxllm.testing.script import Answer, Framing, ScriptDialect, StepLike, renderer_of
from rxllm.wire import SSEDecoder

OTHERS: list[ScriptDialect] = ["anthropic", "openai-responses", "cohere"]
WHOLE = script.answer(
    script.reasoning("Hm."),
    "It is",
    " late.",
    script.tool_call("get_weather", {"city": "Paris"}, id="call_7", piece_length=9),
)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def fetch(session: aiohttp.ClientSession, server: ScriptedServer) -> bytes:
    async with session.post(server.url, json={}) as response:
        return await response.read()


async def sent(session: aiohttp.ClientSession, dialect: ScriptDialect, *steps: StepLike) -> list[dict[str, Any]]:
    """The data of the events that a script becomes."""
    async with ScriptedServer(steps, dialect=dialect) as server:
        return payloads(await fetch(session, server))


def payloads(body: bytes) -> list[dict[str, Any]]:
    """The data of each event, which is named by its type."""
    events = list(SSEDecoder().feed(body))
    read = [json.loads(event.data) for event in events]
    assert [event.event for event in events] == [payload["type"] for payload in read]
    return read


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


# Anthropic


async def test_an_answer_in_the_words_of_anthropic(session: aiohttp.ClientSession) -> None:
    start, *content, delta, stop = await sent(session, "anthropic", *WHOLE)

    assert start == {
        "type": "message_start",
        "message": {
            "id": "msg_0",
            "type": "message",
            "role": "assistant",
            "model": "scripted",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": 7,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 1,
            },
        },
    }
    assert [{name: value for name, value in each.items() if name != "type"} for each in content] == [
        {"index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
        {},
        {"index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"index": 0, "delta": {"type": "signature_delta", "signature": "signature_0_0"}},
        {"index": 0},
        {"index": 1, "content_block": {"type": "text", "text": ""}},
        {"index": 1, "delta": {"type": "text_delta", "text": "It is"}},
        {"index": 1, "delta": {"type": "text_delta", "text": " late."}},
        {"index": 1},
        {"index": 2, "content_block": {"type": "tool_use", "id": "call_7", "name": "get_weather", "input": {}}},
        {"index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
        {"index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"city": '}},
        {"index": 2, "delta": {"type": "input_json_delta", "partial_json": '"Paris"}'}},
        {"index": 2},
    ]
    steps = ["content_block_start", *["content_block_delta"] * 2, "content_block_stop"]
    assert kinds(content) == [steps[0], "ping", *steps[1:], *steps, *steps[:2], *steps[1:]]
    assert delta == {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {
            "input_tokens": 7,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 6,
        },
    }
    assert stop == {"type": "message_stop"}


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "end_turn"),
        ("tool_calls", "tool_use"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("pause_turn", "pause_turn"),
    ],
)
async def test_why_an_answer_of_anthropic_ended(session: aiohttp.ClientSession, reason: str, word: str) -> None:
    *_, delta = await sent(session, "anthropic", "a", script.finish(reason))
    assert delta["delta"]["stop_reason"] == word


async def test_tokens_of_the_cache_stand_beside_the_others(session: aiohttp.ClientSession) -> None:
    counted = script.usage(30, 9, cached_tokens=20, reasoning_tokens=4)
    start, *_, delta = await sent(session, "anthropic", counted, "a", script.finish())
    assert start["message"]["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 20,
        "output_tokens": 1,
    }
    assert delta["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 20,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }


async def test_what_a_thought_that_is_cut_lacks_is_its_signature(session: aiohttp.ClientSession) -> None:
    events = await sent(session, "anthropic", script.reasoning("Hm"), script.finish("length"))
    assert [event["delta"]["type"] for event in events if "delta" in event and "index" in event] == ["thinking_delta"]


async def test_blocks_of_anthropic(session: aiohttp.ClientSession) -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "thinking", "thinking": "", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "time"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "text", "text": "late", "citations": [{"type": "char_location", "cited_text": "l"}]},
        {"type": "text", "text": "now"},
    ]
    events = await sent(session, "anthropic", "It is ", *map(script.block, blocks), script.finish())

    assert folded(events) == [{"type": "text", "text": "It is "}, *blocks]
    starts = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    assert starts[3:6] == [blocks[2], {**blocks[3], "input": {}}, blocks[4]]
    assert events[-1]["usage"]["output_tokens"] == 8


def folded(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content that the events come to, by the rules of the documentation."""
    blocks: list[dict[str, Any]] = []
    inputs: dict[int, str] = {}
    for event in events:
        match event:
            case {"type": "content_block_start", "index": index, "content_block": block}:
                assert index == len(blocks)
                blocks.append(dict(block))
            case {"type": "content_block_delta", "index": index, "delta": {"type": kind}}:
                ((name, value),) = ((name, value) for name, value in event["delta"].items() if name != "type")
                if kind == "input_json_delta":
                    inputs[index] = inputs.get(index, "") + value
                    continue
                if kind == "citations_delta":
                    cited: list[Any] = blocks[int(index)].setdefault("citations", [])
                    cited.append(value)
                else:
                    blocks[index][name] += value
            case _:
                pass
    for index, text in inputs.items():
        blocks[index]["input"] = json.loads(text)
    return blocks


async def test_an_error_in_a_stream_of_anthropic(session: aiohttp.ClientSession) -> None:
    assert await sent(session, "anthropic", script.error("boom")) == [
        {"type": "error", "error": {"type": "api_error", "message": "boom"}, "request_id": "req-0"}
    ]
    *_, event = await sent(session, "anthropic", "a", script.error("full", type="overloaded_error"))
    assert event["error"] == {"type": "overloaded_error", "message": "full"}


async def test_the_end_alone(session: aiohttp.ClientSession) -> None:
    assert kinds(await sent(session, "anthropic", "a", script.done()))[-2:] == ["content_block_stop", "message_stop"]
    assert kinds(await sent(session, "anthropic", script.done())) == ["message_stop"]


# Responses


async def test_an_answer_in_the_words_of_responses(session: aiohttp.ClientSession) -> None:
    events = await sent(session, "openai-responses", *WHOLE)
    created, progressing, *content, completed = events

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert created["response"] == progressing["response"]
    assert (
        created["response"].items()
        >= {
            "id": "resp_0",
            "object": "response",
            "created_at": 1_750_000_000,
            "status": "in_progress",
            "model": "scripted",
            "output": [],
            "usage": None,
        }.items()
    )
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        *["function_call_arguments.delta"] * 3,
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    items: list[dict[str, Any]] = [
        {
            "id": "rs_0_0",
            "type": "reasoning",
            "encrypted_content": "encrypted_0_0",
            "summary": [{"type": "summary_text", "text": "Hm."}],
        },
        {
            "id": "msg_0_1",
            "type": "message",
            "status": "completed",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "It is late."}],
            "role": "assistant",
        },
        {
            "id": "fc_0_2",
            "type": "function_call",
            "status": "completed",
            "arguments": '{"city": "Paris"}',
            "call_id": "call_7",
            "name": "get_weather",
        },
    ]
    assert [event["item"] for event in content if event["type"] == "response.output_item.done"] == items
    assert [event["item"] for event in content if event["type"] == "response.output_item.added"] == [
        {**items[0], "summary": []},
        {**items[1], "status": "in_progress", "content": []},
        {**items[2], "status": "in_progress", "arguments": ""},
    ]
    assert [event["output_index"] for event in content] == [*[0] * 6, *[1] * 7, *[2] * 6]
    assert {event["item_id"] for event in content if "item_id" in event} == {"rs_0_0", "msg_0_1", "fc_0_2"}
    final = completed["response"]
    assert (final["id"], final["status"], final["output"]) == ("resp_0", "completed", items)
    assert final["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 13,
    }


async def test_a_refusal_in_words(session: aiohttp.ClientSession) -> None:
    refusal = script.delta({"refusal": "No."})
    events = await sent(session, "openai-responses", refusal, script.finish(), script.usage(30, 9, cached_tokens=20))
    assert kinds(events)[2:-1] == [
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
    ]
    assert events[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]
    assert events[-1]["response"]["usage"]["input_tokens_details"] == {"cached_tokens": 20}


@pytest.mark.parametrize(
    ("reason", "name", "details"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        ("error", "failed", None),
        ("cancelled", "cancelled", None),
    ],
)
async def test_why_an_answer_of_responses_ended(
    session: aiohttp.ClientSession, reason: str, name: str, details: dict[str, str] | None
) -> None:
    *_, last = await sent(session, "openai-responses", "a", script.finish(reason), script.done())
    assert (last["type"], last["response"]["status"]) == (f"response.{name}", name)
    assert last["response"]["incomplete_details"] == details
    assert (last["response"]["error"] is not None) == (name == "failed")


async def test_a_call_that_is_cut_is_incomplete(session: aiohttp.ClientSession) -> None:
    call = script.tool_call("get_weather", '{"ci', id="call_7")
    *_, done, last = await sent(session, "openai-responses", *call, script.finish("length"))
    assert (done["item"]["status"], done["item"]["arguments"]) == ("incomplete", '{"ci')
    assert last["type"] == "response.incomplete"


async def test_items_of_responses(session: aiohttp.ClientSession) -> None:
    citation = {"type": "url_citation", "url": "https://clock.test", "title": "c", "start_index": 0, "end_index": 2}
    items: list[dict[str, Any]] = [
        {
            "id": "rs_a",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Hm."}, {"type": "summary_text", "text": "Well."}],
            "content": [{"type": "reasoning_text", "text": "What?"}],
        },
        {"id": "ws_a", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
        {
            "id": "msg_a",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "It is", "annotations": [citation], "logprobs": []},
                {"type": "refusal", "refusal": "No."},
            ],
        },
        {"id": "fc_a", "type": "function_call", "status": "completed", "arguments": "", "call_id": "c", "name": "f"},
        {"id": "ct_a", "type": "custom_tool_call", "input": "x", "call_id": "d", "name": "g"},
    ]
    events = await sent(session, "openai-responses", *map(script.block, items), script.finish("tool_calls"))

    assert events[-1]["response"]["output"] == items
    by_item = {item["id"]: [event for event in events if event.get("item_id") == item["id"]] for item in items}
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    assert added == [
        {**items[0], "summary": [], "content": []},
        {**items[1], "status": "in_progress"},
        {**items[2], "status": "in_progress", "content": []},
        {**items[3], "status": "in_progress"},
        {**items[4], "input": ""},
    ]
    deltas = {name: [each["delta"] for each in events if "delta" in each] for name, events in by_item.items()}
    assert deltas == {
        "rs_a": ["Hm.", "Well.", "What?"],
        "ws_a": [],
        "msg_a": ["It is", "No."],
        "fc_a": [],
        "ct_a": ["x"],
    }
    assert [event["summary_index"] for event in by_item["rs_a"] if "summary_index" in event] == [0] * 4 + [1] * 4
    (annotated,) = [event for event in by_item["msg_a"] if "annotation" in event]
    assert (annotated["type"], annotated["annotation"]) == ("response.output_text.annotation.added", citation)


async def test_an_error_in_a_stream_of_responses(session: aiohttp.ClientSession) -> None:
    *_, error, failed = await sent(session, "openai-responses", "a", script.error("boom", code=7))
    assert error.items() >= {"type": "error", "code": "7", "message": "boom", "param": None}.items()
    assert failed["response"].items() >= {"status": "failed", "usage": None}.items()
    assert failed["response"]["error"] == {"code": "7", "message": "boom"}
    first, _ = await sent(session, "openai-responses", script.error("full", type="rate_limit_exceeded"))
    assert first["code"] == "rate_limit_exceeded"


# Both


@pytest.mark.parametrize(
    ("dialect", "path", "base", "header"),
    [
        ("openai-chat", "/v1/chat/completions", "/v1", "X-Request-Id"),
        ("anthropic", "/v1/messages", "", "Request-Id"),
        ("openai-responses", "/v1/responses", "/v1", "X-Request-Id"),
    ],
)
async def test_addresses_and_identifiers(
    session: aiohttp.ClientSession, dialect: ScriptDialect, path: str, base: str, header: str
) -> None:
    async with ScriptedServer("a", Answer(["a"], headers={header: "mine"}), dialect=dialect) as server:
        assert server.url == f"{server.origin}{path}"
        assert server.ws_url == f"ws{server.origin.removeprefix('http')}{path}"
        assert server.base_url == f"{server.origin}{base}"
        for identifier in ("req-0", "mine"):
            async with session.post(server.url, json={"model": "m"}, headers={"x-api-key": "k"}) as response:
                assert response.headers[header] == identifier
                assert ("X-Request-Id" in response.headers) == (header == "X-Request-Id")
    assert (server.requests[0].path, server.requests[0].json) == (path, {"model": "m"})
    assert server.requests[0].headers["x-api-key"] == "k"


@pytest.mark.parametrize(
    ("dialect", "status", "fields", "body"),
    [
        ("openai-chat", 400, {}, {"type": "invalid_request_error", "param": None, "code": None}),
        ("openai-chat", 429, {}, {"type": "requests", "param": None, "code": "rate_limit_exceeded"}),
        ("openai-responses", 503, {}, {"type": "server_error", "param": None, "code": None}),
        (
            "openai-responses",
            429,
            {"type": "insufficient_quota"},
            {"type": "insufficient_quota", "param": None, "code": "insufficient_quota"},
        ),
        ("openai-chat", 401, {"code": "invalid_api_key"}, {"type": "invalid_request_error", "code": "invalid_api_key"}),
        ("anthropic", 429, {}, {"type": "rate_limit_error"}),
        ("anthropic", 529, {}, {"type": "overloaded_error"}),
        ("anthropic", 500, {}, {"type": "api_error"}),
        ("anthropic", 400, {"type": "billing_error"}, {"type": "billing_error"}),
    ],
)
async def test_a_refusal_has_the_form_of_the_dialect(
    session: aiohttp.ClientSession, dialect: ScriptDialect, status: int, fields: dict[str, str], body: dict[str, Any]
) -> None:
    refusal = script.api_error(status, "slow down", headers={"Retry-After": "3"}, **fields)
    async with ScriptedServer(refusal, dialect=dialect) as server, session.post(server.url, json={}) as response:
        assert (response.status, response.content_type) == (status, "application/json")
        assert response.headers["Retry-After"] == "3"
        told = await response.json()
    assert told["error"].items() >= {"message": "slow down", **body}.items()
    assert told.keys() - {"error"} == ({"type", "request_id"} if dialect == "anthropic" else set())


@pytest.mark.parametrize("dialect", [*OTHERS, "ollama"])
async def test_a_request_too_many_is_refused_in_the_dialect(
    session: aiohttp.ClientSession, dialect: ScriptDialect
) -> None:
    with pytest.raises(AssertionError, match="no script is left"):
        async with ScriptedServer(dialect=dialect) as server, session.post(server.url, json={}) as response:
            assert response.status == 400
            told = await response.json()
            if dialect in {"cohere", "ollama"}:
                assert "no script is left" in told["message" if dialect == "cohere" else "error"]
            else:
                assert told["error"]["type"] == "no_script"


@pytest.mark.parametrize("dialect", OTHERS)
async def test_a_call_may_begin_without_arguments(session: aiohttp.ClientSession, dialect: ScriptDialect) -> None:
    begun = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f"}}
    more = {"index": 0, "function": {"arguments": '{"a":1}'}}
    pieces = [script.delta({"tool_calls": [each]}) for each in (begun, more)]
    told = [event for event in await sent(session, dialect, *pieces, script.finish("tool_calls")) if "delta" in event]
    texts = [arguments_in(event["delta"]) for event in told]

    assert [text for text in texts if text] == ['{"a":1}']


def arguments_in(delta: Any) -> str:
    """The piece of arguments in an event's delta, wherever the dialect has it."""
    match delta:
        case str() as text:
            return text
        case {"message": {"tool_calls": {"function": {"arguments": text}}}}:
            return str(text)
        case _:
            return str(delta.get("partial_json", ""))


@pytest.mark.parametrize("dialect", OTHERS)
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
async def test_steps_that_say_nothing_go_through(
    session: aiohttp.ClientSession, dialect: ScriptDialect, framing: Framing
) -> None:
    own = script.Event('{"type":"note"}', event="note")
    odd = [script.Event("no JSON"), script.Event('{"error":"text"}'), script.Event("[DONE]", event="x")]
    steps: list[StepLike] = [b"abc\n\n", script.comment("x"), own, *odd, script.delay(0)]
    async with ScriptedServer(steps, dialect=dialect, framing=framing) as server:
        assert await fetch(session, server) == (
            b'abc\n\n: x\n\nevent: note\ndata: {"type":"note"}\n\ndata: no JSON\n\ndata: {"error":"text"}\n\n'
            b"event: x\ndata: [DONE]\n\n"
        )


@pytest.mark.parametrize("dialect", OTHERS)
async def test_a_script_comes_as_it_is_played(session: aiohttp.ClientSession, dialect: ScriptDialect) -> None:
    more = asyncio.Event()
    steps: list[StepLike] = ["Hel", script.wait_for(more), "lo", script.finish(), script.cut()]
    async with ScriptedServer(steps, dialect=dialect) as server, session.post(server.url, json={}) as response:
        body = bytearray()
        while b"Hel" not in body:
            body += await response.content.readany()
        assert b'"lo"' not in body
        more.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            while True:
                body += await response.content.readany()
    # The finish was said before the cut, and nothing of the end.
    last = kinds(payloads(bytes(body)))[-1]
    assert last == {"anthropic": "message_delta", "openai-responses": "completed", "cohere": "message-end"}[dialect]


@pytest.mark.parametrize("dialect", OTHERS)
async def test_a_cut_within_a_part_ends_no_part(session: aiohttp.ClientSession, dialect: ScriptDialect) -> None:
    async with ScriptedServer(["Hel", script.cut()], dialect=dialect) as server:
        async with session.post(server.url, json={}) as response:
            body = bytearray()
            with pytest.raises(aiohttp.ClientPayloadError):
                while True:
                    body += await response.content.readany()
        assert kinds(payloads(bytes(body)))[-1].endswith("delta")
        assert server.requests[0].chunks_written == len(payloads(bytes(body)))


@pytest.mark.parametrize("dialect", OTHERS)
@pytest.mark.parametrize("fragment", [None, 1])
async def test_a_burst_is_the_same_in_one_write(
    session: aiohttp.ClientSession, dialect: ScriptDialect, fragment: int | None
) -> None:
    nothing = script.burst(script.usage(7, 6))
    async with ScriptedServer(
        WHOLE, [nothing, script.burst(WHOLE)], dialect=dialect, fragment=fragment, line_end="\r\n"
    ) as server:
        one, other = [await fetch(session, server) for _ in range(2)]
    assert one.replace(b"_0", b"_1") == other.replace(b"_0", b"_1")


@pytest.mark.parametrize("dialect", OTHERS)
async def test_a_generator_a_flood_and_chunks_of_ones_own(
    session: aiohttp.ClientSession, dialect: ScriptDialect
) -> None:
    def steps() -> Iterator[StepLike]:
        yield from script.flood(200, size=20)

    own = {
        "id": "x",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": "own", "refusal": None}}],
    }
    scripts: list[Any] = [steps(), script.flood(200, size=20), [own, {"choices": [{"delta": None}]}, script.finish()]]
    async with ScriptedServer(*scripts, dialect=dialect) as server:
        bodies = [(await fetch(session, server)).decode() for _ in scripts]
    assert bodies[0].count("delta") == bodies[1].count("delta") > 20
    assert f"{9:010}" in bodies[0]
    assert '"own"' in bodies[2]


async def test_keep_alives_of_anthropic_are_pings(session: aiohttp.ClientSession) -> None:
    steps: list[StepLike] = ["a", script.keep_alive(), script.stall(keep_alive=0.001)]
    async with ScriptedServer(steps, dialect="anthropic") as server, session.post(server.url, json={}) as response:
        body = b""
        while body.count(b"ping") < 2 * 4:
            body += await response.content.readany()
    assert b"OPENROUTER" not in body


async def test_keep_alives_of_responses_are_comments(session: aiohttp.ClientSession) -> None:
    steps: list[StepLike] = ["a", script.keep_alive(), script.stall(keep_alive=0.001)]
    server = ScriptedServer(steps, dialect="openai-responses")
    async with server, session.post(server.url, json={}) as response:
        body = b""
        while body.count(b": OPENROUTER PROCESSING") < 3:
            body += await response.content.readany()


async def test_over_a_websocket_each_event_is_a_frame(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer(WHOLE, dialect="openai-responses") as server, session.ws_connect(server.ws_url) as socket:
        await socket.send_json({"type": "response.create", "input": "x"})
        frames = [json.loads(message.data) async for message in socket]
    assert kinds(frames)[-1] == "completed"
    assert server.requests[0].json["type"] == "response.create"


@pytest.mark.parametrize(
    ("dialect", "names"),
    [("anthropic", ("msg_1", "signature_1_0")), ("openai-responses", ("resp_1", "rs_1_0", "msg_1_1"))],
)
async def test_each_answer_has_its_own_identifiers(
    session: aiohttp.ClientSession, dialect: ScriptDialect, names: tuple[str, ...]
) -> None:
    async with ScriptedServer(WHOLE, repeat=True, dialect=dialect) as server:
        bodies = [(await fetch(session, server)).decode() for _ in range(2)]
    assert all(f'"{name}"' in bodies[1] and f'"{name}"' not in bodies[0] for name in names)


def delta(**fields: Any) -> script.Chunk:
    return script.delta(fields)


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (script.text("a", choice=1), "choice 1"),
        (script.chunk({"choices": [], "error": {}}), "'error' of a chunk"),
        (script.chunk({"choices": [{"logprobs": {}}]}), "'logprobs' of a choice"),
        (delta(mood="calm"), "'mood' of a delta"),
        (delta(content=["a"]), "'content' that is a list"),
        (delta(tool_calls=[{"index": 0, "extra": 1}]), "'extra' of a tool call"),
        (delta(tool_calls=[{"function": {"strict": True}}]), "'strict' of a function"),
        (delta(tool_calls=[{"function": {"arguments": {}}}]), "arguments that are a dict"),
        (script.tool_call_delta("{}"), "a piece of call 0 that neither begins it"),
        (script.role("user"), "an answer of the role 'user'"),
        (script.chunk({"usage": {"cost": 1}}), "'cost' of usage"),
        (script.chunk({"usage": {"prompt_tokens_details": {"audio_tokens": 1}}}), "'audio_tokens' of prompt_tokens_d"),
        (script.chunk({"usage": {"completion_tokens_details": {"x": 1}}}), "'x' of completion_tokens_details"),
    ],
)
@pytest.mark.parametrize("dialect", OTHERS)
def test_what_a_dialect_cannot_say_is_an_error(dialect: str, step: StepLike, what: str) -> None:
    with pytest.raises(ValueError, match=f"^{dialect} cannot send {what}"):
        list(renderer_of(dialect)(0).steps([step]))


@pytest.mark.parametrize(
    ("dialect", "answer", "what"),
    [
        ("anthropic", Answer([delta(refusal="No.")]), "a refusal's text"),
        ("anthropic", Answer([script.error("x", code=5)]), "the code 5 of an error"),
        ("anthropic", script.api_error(400, "x", code="y"), "the code 'y' of an error"),
        ("openai-responses", Answer([script.finish("tired")]), "the finish reason 'tired'"),
        ("cohere", Answer([delta(refusal="No.")]), "a refusal's text"),
        ("cohere", script.api_error(400, "x", code="y"), "type or code of an error"),
        ("cohere", script.api_error(400, "x", type="y"), "type or code of an error"),
    ],
)
def test_what_one_dialect_cannot_say(dialect: str, answer: Answer, what: str) -> None:
    with pytest.raises(ValueError, match=f"^{dialect} cannot send {what}"):
        list(renderer_of(dialect)(0).rendered(answer).steps)


def test_a_call_that_is_over_cannot_go_on() -> None:
    pieces = [*script.tool_call("f", "{}", index=0, id="a"), *script.tool_call("g", "{}", index=1, id="b")]
    with pytest.raises(ValueError, match="a piece of call 0 that neither begins it"):
        list(renderer_of("anthropic")(0).steps([*pieces, script.tool_call_delta("{}", index=0)]))


async def test_what_cannot_be_said_ends_the_answer_and_is_raised(session: aiohttp.ClientSession) -> None:
    with pytest.raises(ValueError, match="anthropic cannot send choice 1"):
        async with ScriptedServer(["a", script.text("b", choice=1)], dialect="anthropic") as server:
            with pytest.raises(aiohttp.ClientError):
                await fetch(session, server)


@pytest.mark.parametrize("over", ["http", "websocket"])
async def test_chat_completions_have_no_blocks(session: aiohttp.ClientSession, over: str) -> None:
    with pytest.raises(ValueError, match="openai-chat cannot send a block"):
        async with ScriptedServer([script.block({"type": "text"})]) as server:
            if over == "http":
                with pytest.raises(aiohttp.ClientError):
                    await fetch(session, server)
            else:
                async with session.ws_connect(server.ws_url) as socket:
                    await socket.send_json({})
                    await socket.receive()


def test_a_dialect_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="no script can be said in 'klingon'; dialects are: openai-chat, anthropic"):
        ScriptedServer(dialect="klingon")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


# Gemini


async def gemini_sent(session: aiohttp.ClientSession, *steps: StepLike) -> list[dict[str, Any]]:
    async with ScriptedServer(steps, dialect="gemini") as server:
        return [json.loads(event.data) for event in SSEDecoder().feed(await fetch(session, server))]


async def test_an_answer_in_the_words_of_gemini(session: aiohttp.ClientSession) -> None:
    events = await gemini_sent(
        session, *WHOLE[:-2], script.usage(30, 9, cached_tokens=20, reasoning_tokens=4), script.done()
    )

    call = {"id": "call_7", "name": "get_weather", "args": {"city": "Paris"}}
    parts = [{"text": "Hm.", "thought": True}, {"text": "It is"}, {"text": " late."}, {"functionCall": call}]
    assert [event["candidates"] for event in events] == [
        *([{"content": {"parts": [part], "role": "model"}, "index": 0}] for part in parts),
        [{"finishReason": "STOP", "index": 0}],
    ]
    assert {(event["modelVersion"], event["responseId"]) for event in events} == {("scripted", "response_0")}
    assert [event["usageMetadata"]["totalTokenCount"] for event in events] == [8, 9, 10, 13, 39]
    assert events[-1]["usageMetadata"] == {
        "promptTokenCount": 30,
        "candidatesTokenCount": 5,
        "totalTokenCount": 39,
        "thoughtsTokenCount": 4,
        "cachedContentTokenCount": 20,
    }


async def test_reasons_and_blocks_of_gemini(session: aiohttp.ClientSession) -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    for reason, word in (("stop", "STOP"), ("length", "MAX_TOKENS"), ("content_filter", "SAFETY"), ("SPII", "SPII")):
        block, end = await gemini_sent(session, script.block(code), script.finish(reason))
        assert block["candidates"][0]["content"]["parts"] == [code]
        assert end["candidates"][0]["finishReason"] == word


async def test_a_call_of_gemini_that_is_cut_is_never_sent(session: aiohttp.ClientSession) -> None:
    call = script.tool_call("f", {"city": "Paris"}, id="c", piece_length=3)
    (end,) = await gemini_sent(session, *call[:3], script.finish("length"))
    assert end["candidates"] == [{"finishReason": "MAX_TOKENS", "index": 0}]
    assert await gemini_sent(session, *call[:3]) == []


async def test_errors_of_gemini_have_a_status_in_words(session: aiohttp.ClientSession) -> None:
    for step, error in (
        (script.error("boom"), {"code": 500, "message": "boom", "status": "INTERNAL"}),
        (script.error("busy", type="UNAVAILABLE"), {"code": 503, "message": "busy", "status": "UNAVAILABLE"}),
        (script.error("odd", type="ODD", code=418), {"code": 418, "message": "odd", "status": "ODD"}),
    ):
        assert await gemini_sent(session, step) == [{"error": error}]
    for answer, status, word in (
        (script.api_error(429, "slow"), 429, "RESOURCE_EXHAUSTED"),
        (script.api_error(418, "tea"), 418, "UNKNOWN"),
        (script.api_error(400, "bad", type="FAILED_PRECONDITION"), 400, "FAILED_PRECONDITION"),
    ):
        async with ScriptedServer(answer, dialect="gemini") as server, session.post(server.url, json={}) as response:
            said = (await response.json())["error"]
            assert (response.status, said["code"], said["status"]) == (status, status, word)


async def test_gemini_has_no_refusals(session: aiohttp.ClientSession) -> None:
    with pytest.raises(ValueError, match=r"^gemini cannot send a refusal's text"):
        async with ScriptedServer([script.delta({"refusal": "no"})], dialect="gemini") as server:
            with pytest.raises(aiohttp.ClientError):
                await fetch(session, server)


# Ollama


async def lines_sent(session: aiohttp.ClientSession, *steps: StepLike) -> list[dict[str, Any]]:
    async with ScriptedServer(steps, dialect="ollama") as server, session.post(server.url, json={}) as response:
        assert response.content_type == "application/x-ndjson"
        return [json.loads(line) for line in (await response.text()).splitlines()]


async def test_an_answer_in_the_words_of_ollama(session: aiohttp.ClientSession) -> None:
    *content, end = await lines_sent(session, *WHOLE)

    head = {"model": "scripted", "created_at": "2026-01-01T00:00:00.000000000Z"}
    function = {"index": 0, "name": "get_weather", "arguments": {"city": "Paris"}}
    assert content == [
        {**head, "message": {"role": "assistant", "content": "", **said}, "done": False}
        for said in (
            {"thinking": "Hm."},
            {"content": "It is"},
            {"content": " late."},
            {"tool_calls": [{"id": "call_7", "function": function}]},
        )
    ]
    assert end == {
        **head,
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "total_duration": 3_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": 7,
        "prompt_eval_duration": 1_000_000,
        "eval_count": 6,
        "eval_duration": 1_000_000,
    }


async def test_bursts_blocks_and_a_finish_without_an_end_are_lines(session: aiohttp.ClientSession) -> None:
    steps = [script.burst("a", "b"), script.block({"images": ["aW1n"]}), script.keep_alive(), script.finish("length")]
    async with ScriptedServer(steps, dialect="ollama") as server:
        body = await fetch(session, server)

    *content, blank, end = body.decode().removesuffix("\n").split("\n")
    assert [json.loads(each)["message"]["content"] for each in content] == ["a", "b", ""]
    assert json.loads(content[2])["message"]["images"] == ["aW1n"]
    assert (blank, json.loads(end)["done_reason"]) == ("", "length")


async def test_a_call_of_ollama_that_is_cut_is_never_sent(session: aiohttp.ClientSession) -> None:
    call = script.tool_call("f", {"city": "Paris"}, id="c", piece_length=3)
    assert [each["done"] for each in await lines_sent(session, *call[:3], script.finish("length"))] == [True]
    assert await lines_sent(session, *call[:3]) == []


async def test_errors_of_ollama_are_a_text(session: aiohttp.ClientSession) -> None:
    assert await lines_sent(session, script.error("boom", type="overloaded_error")) == [{"error": "boom"}]
    async with (
        ScriptedServer(script.api_error(503, "busy"), dialect="ollama") as server,
        session.post(server.url, json={}) as response,
    ):
        assert (response.status, await response.json()) == (503, {"error": "busy"})


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (script.comment("x"), "a comment"),
        (script.delta({"refusal": "no"}), "a refusal's text"),
        (script.error("x", code=5), "the code 5 of an error"),
    ],
)
async def test_what_ollama_cannot_say(session: aiohttp.ClientSession, step: StepLike, what: str) -> None:
    with pytest.raises(ValueError, match=f"^ollama cannot send {what}"):
        async with ScriptedServer([step], dialect="ollama") as server:
            with pytest.raises(aiohttp.ClientError):
                await fetch(session, server)


async def test_a_refusal_of_ollama_has_no_type(session: aiohttp.ClientSession) -> None:
    with pytest.raises(ValueError, match="type or code of an error"):
        async with ScriptedServer(script.api_error(400, "x", type="y"), dialect="ollama") as server:
            with pytest.raises(aiohttp.ClientError):
                await fetch(session, server)


# Cohere


async def test_an_answer_in_the_words_of_cohere(session: aiohttp.ClientSession) -> None:
    start, *content, end = await sent(session, "cohere", script.block({"tool_plan": "I look."}), *WHOLE)

    message: dict[str, Any] = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    assert start == {"id": "message_0", "type": "message-start", "delta": {"message": message}}
    call = {"id": "call_7", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
    assert content == [
        {"type": kind, **({} if index is None else {"index": index}), **({"delta": {"message": said}} if said else {})}
        for kind, index, said in (
            ("tool-plan-delta", None, {"tool_plan": "I look."}),
            ("content-start", 0, {"content": {"type": "thinking", "thinking": ""}}),
            ("content-delta", 0, {"content": {"thinking": "Hm."}}),
            ("content-end", 0, None),
            ("content-start", 1, {"content": {"type": "text", "text": ""}}),
            ("content-delta", 1, {"content": {"text": "It is"}}),
            ("content-delta", 1, {"content": {"text": " late."}}),
            ("content-end", 1, None),
            ("tool-call-start", 0, {"tool_calls": call}),
            ("tool-call-delta", 0, {"tool_calls": {"function": {"arguments": '{"city": '}}}),
            ("tool-call-delta", 0, {"tool_calls": {"function": {"arguments": '"Paris"}'}}}),
            ("tool-call-end", 0, None),
        )
    ]
    tokens = {"input_tokens": 7, "output_tokens": 6}
    usage = {"billed_units": tokens, "tokens": tokens, "cached_tokens": 0}
    assert end == {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": usage}}


async def test_blocks_of_cohere_are_contents_and_citations(session: aiohttp.ClientSession) -> None:
    citation: dict[str, Any] = {"start": 0, "end": 1, "text": "x", "sources": []}
    blocks = [script.block({"type": "text", "text": "x"}), script.block(citation)]
    events = await sent(session, "cohere", *blocks, script.finish("WHATEVER"), script.done())

    assert kinds(events) == [
        *("message-start", "content-start", "content-end", "citation-start", "citation-end", "message-end"),
    ]
    assert events[3]["delta"]["message"]["citations"] == citation
    assert events[-1]["delta"]["finish_reason"] == "WHATEVER"


async def test_a_call_of_cohere_that_is_cut_has_no_end(session: aiohttp.ClientSession) -> None:
    call = script.tool_call("f", {"city": "Paris"}, id="c", piece_length=3)
    events = await sent(session, "cohere", *call[:3], script.finish("length"))
    assert [*dict.fromkeys(kinds(events))] == ["message-start", "tool-call-start", "tool-call-delta", "message-end"]


async def test_errors_of_cohere_are_a_text(session: aiohttp.ClientSession) -> None:
    (end,) = await sent(session, "cohere", script.error("boom", type="overloaded_error"))
    assert end == {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "boom"}}
    async with (
        ScriptedServer(script.api_error(503, "busy"), dialect="cohere") as server,
        session.post(server.url, json={}) as response,
    ):
        body = await response.json()
        assert (response.status, body) == (503, {"id": response.headers["x-debug-trace-id"], "message": "busy"})
