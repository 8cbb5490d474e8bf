"""Conversations with the Responses API over real connections: what goes back is what came, item by item."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from reactivex import operators as rx

import rxllm
from rxllm import (
    ChatCompletion,
    ChatRequest,
    LLMClient,
    Message,
    RoundCompleted,
    StreamChunk,
    ToolRegistry,
    ToolResultEvent,
)
from rxllm import operators as ops
from rxllm.dialects import OpenAIResponses
from rxllm.exceptions import APIStatusError, APIStreamError, TruncatedStreamError, UnsupportedRequestError
from rxllm.testing import ReceivedRequest, ScriptedServer, script
from tests.dialects import responses_streams as streams

KEY = "sk-of-responses-and-long-enough"
SEARCH: dict[str, Any] = {"type": "web_search", "search_context_size": "low"}

ROUND_1 = [
    streams.reasoning("First I search.", id="rs_1"),
    streams.web_search("weather", id="ws_1"),
    streams.reasoning("Then I ask.", "Twice.", id="rs_2"),
    streams.message("Let me ask.", id="msg_1", phase="commentary", annotations=[streams.cited(0, 3)]),
    streams.call("get_weather", '{"city": "Paris"}', id="fc_1", call_id="call_1"),
    streams.call("get_weather", '{"city": "Atlantis"}', id="fc_2", call_id="call_2"),
]
ROUND_2 = [
    streams.reasoning(id="rs_3"),
    streams.code("3 + 4", id="ci_1"),
    streams.reasoning("One more.", id="rs_4"),
    streams.custom_call("shout", "HEY\nthere", id="ctc_1", call_id="call_3"),
]
ROUND_3 = [
    streams.reasoning("Done.", id="rs_5"),
    streams.message("It is 18 degrees.", id="msg_2", phase="final_answer", annotations=[streams.cited(0, 5)]),
]


def as_sent(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items as they go back: without what the server does not take."""
    return [
        {name: value for name, value in item.items() if (item["type"], name) != ("custom_tool_call", "status")}
        for item in items
    ]


def result(call_id: str, text: str, kind: str = "function_call_output") -> dict[str, Any]:
    return {"type": kind, "call_id": call_id, "output": text}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


@pytest.fixture
def registry() -> ToolRegistry:
    async def get_weather(city: str) -> str:
        """The weather in a city."""
        if city == "Atlantis":
            raise LookupError("no such city")
        return f"18 degrees in {city}"

    return ToolRegistry([get_weather])


def client_of(server: ScriptedServer, **options: Any) -> LLMClient:
    return LLMClient(base_url=server.base_url, api_key=KEY, dialect=OpenAIResponses(**options))


def sent(request: ReceivedRequest) -> dict[str, Any]:
    body: dict[str, Any] = request.json
    return body


def ask(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(model="gpt-5-mini", messages=[*(messages or (Message.user("Hello"),))], **fields)


async def test_three_rounds_come_back_as_they_came(server: ScriptedServer) -> None:
    server.add(*(streams.wire(streams.events_of(each)) for each in (ROUND_1, ROUND_2, ROUND_3)))
    client = client_of(server, stateless=True)
    messages = [Message.user("Weather?")]
    answers: list[ChatCompletion] = []
    for results in (
        [Message.tool("18", tool_call_id="call_1"), Message.tool("none", tool_call_id="call_2")],
        [Message.tool("ok", tool_call_id="call_3")],
        [Message.user("Thanks")],
    ):
        answers.append(await client.chat(ask(*messages)))
        messages += [answers[-1].message, *results]
    server.add(streams.wire(streams.events_of([streams.message("Bye")])))
    await client.chat(ask(*messages))

    assert [answer.repairs for answer in answers] == [(), (), ()]
    *_, last = server.requests
    assert sent(last)["input"] == [
        {"type": "message", "role": "user", "content": "Weather?"},
        *ROUND_1,
        result("call_1", "18"),
        result("call_2", "none"),
        *as_sent(ROUND_2),
        result("call_3", "ok", "custom_tool_call_output"),
        *ROUND_3,
        {"type": "message", "role": "user", "content": "Thanks"},
    ]
    assert sent(last)["store"] is False
    assert sent(last)["include"] == ["reasoning.encrypted_content"]


async def test_also_when_it_was_dumped_and_loaded(server: ScriptedServer) -> None:
    server.add(streams.wire(streams.events_of(ROUND_1)), streams.wire(streams.events_of(ROUND_3)))
    client = client_of(server)
    answer = await client.chat(ask())
    loaded = Message.model_validate_json(answer.message.model_dump_json())
    await client.chat(ask(loaded, Message.tool("x", tool_call_id="call_1")))

    assert sent(server.requests[1])["input"] == [*ROUND_1, result("call_1", "x")]


async def test_also_when_it_was_recorded_and_replayed(server: ScriptedServer, tmp_path: Path) -> None:
    server.add(streams.wire(streams.events_of(ROUND_1)), streams.wire(streams.events_of(ROUND_3)))
    client = client_of(server)
    path = tmp_path / "answers.sqlite"
    answer = await client.chat_stream(ask()).pipe(ops.tee_to(rxllm.sinks.SQLiteSink(path)), ops.accumulate())
    replayed = await rxllm.from_recording(path).pipe(ops.accumulate())
    await client.chat(ask(replayed.message))

    assert replayed.message == answer.message
    assert sent(server.requests[1])["input"] == ROUND_1


async def test_what_was_edited_is_converted(server: ScriptedServer) -> None:
    server.add(streams.wire(streams.events_of(ROUND_1)), streams.wire(streams.events_of(ROUND_3)))
    client = client_of(server)
    edited = (await client.chat(ask())).message.model_copy(update={"content": "I ask."})
    answer = await client.chat(ask(edited, Message.tool("x", tool_call_id="call_1")))

    assert sent(server.requests[1])["input"] == [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I ask."}]},
        *(
            {"type": "function_call", "call_id": each["call_id"], "name": each["name"], "arguments": each["arguments"]}
            for each in ROUND_1[4:]
        ),
        result("call_1", "x"),
    ]
    assert [repair.kind for repair in answer.repairs] == ["lost-in-conversion"]


async def test_to_another_provider_nothing_leaks(server: ScriptedServer) -> None:
    async with ScriptedServer() as other:
        server.add(streams.wire(streams.events_of(ROUND_1)))
        other.add("Hello", streams.wire(streams.events_of(ROUND_3)))
        message = (await client_of(server).chat(ask())).message
        results = [Message.tool("18", tool_call_id="call_1"), Message.tool("none", tool_call_id="call_2")]
        await LLMClient(base_url=other.base_url, api_key="k").chat(ask(message, *results))
        elsewhere = LLMClient(base_url=other.base_url, api_key="k", dialect="openai-responses")
        await elsewhere.chat(ask(message, *results))

    secrets = ("rs_", "ws_1", "msg_1", "fc_1", "call_1", "call_2", "gAAAA", "First I search", "a.example", KEY)
    for request in other.requests:
        text = str(request.headers) + request.body.decode()
        assert [secret for secret in secrets if secret in text] == []
        assert text.count("call00001") == text.count("call00002") == 2
        assert "Let me ask." in text


async def test_the_loop_with_tools(server: ScriptedServer, registry: ToolRegistry) -> None:
    server.add(*(streams.wire(streams.events_of(each)) for each in (ROUND_1, ROUND_3)))
    request = ask(tools=[*registry.schemas(), SEARCH])
    events = await client_of(server).chat_with_tools(request, registry).pipe(rx.to_list())

    results = [event.result for event in events if isinstance(event, ToolResultEvent)]
    assert [(each.call.id, each.error is None) for each in results] == [("call_1", True), ("call_2", False)]
    completed = [event.completion for event in events if isinstance(event, RoundCompleted)]
    assert [each.choices[0].finish_reason for each in completed] == ["tool_calls", "stop"]
    assert [each.repairs for each in completed] == [(), ()]
    second = sent(server.requests[1])
    assert second["input"][1:-2] == ROUND_1
    assert second["input"][-2] == result("call_1", "18 degrees in Paris")
    assert "no such city" in second["input"][-1]["output"]
    (ours,) = registry.schemas()
    assert second["tools"] == [{"type": "function", "strict": False, **ours["function"]}, SEARCH]


async def test_a_custom_tool_is_run_with_its_text(server: ScriptedServer) -> None:
    server.add(streams.wire(streams.events_of(ROUND_2)))
    answer = await client_of(server).chat(ask())
    (call,) = answer.message.tool_calls

    assert (call.id, call.type, call.function.name) == ("call_3", "custom", "shout")
    assert call.function.arguments == "HEY\nthere"
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_structured_output_with_the_schema(server: ScriptedServer) -> None:
    class Joke(BaseModel):
        setup: str

    server.add(streams.wire(streams.events_of([streams.message('{"setup": "Why?"}')])))
    schema = {"name": "joke", "schema": Joke.model_json_schema(), "strict": True}
    request = ask(response_format={"type": "json_schema", "json_schema": schema})
    joke = await client_of(server).chat_stream(request).pipe(ops.parse_structured(Joke))

    assert joke == Joke(setup="Why?")
    assert sent(server.requests[0])["text"] == {"format": {"type": "json_schema", **schema}}


async def test_stopped_where_it_is_told_to(server: ScriptedServer) -> None:
    button = asyncio.Event()
    events = streams.events_of([streams.message("one two three four")])
    server.add([script.raw(streams.wire(events[:5])), script.stall()])

    def press(chunk: StreamChunk) -> None:
        if chunk.text:
            button.set()

    chunks = client_of(server).chat_stream(ask()).pipe(rx.do_action(press), ops.stop_when(button), ops.accumulate())
    answer = await chunks
    assert (answer.ending, answer.text) == ("stopped", "one t")
    (part,) = answer.message.parts
    assert not part.final


async def test_a_refused_request_is_tried_again(server: ScriptedServer) -> None:
    limited: list[streams.Event] = [
        {"type": "response.created", "response": streams.response(status="in_progress")},
        {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down", "param": None},
        {
            "type": "response.failed",
            "response": streams.response(
                status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down"}
            ),
        },
    ]
    busy = script.status(429, {"error": {"message": "slow"}}, headers={"retry-after": "0"})
    server.add(busy, streams.wire(limited), streams.wire(streams.events_of([streams.message("Hi")])))
    client = LLMClient(base_url=server.base_url, api_key=KEY, dialect="openai-responses", retries=2)

    answer = await client.chat(ask())
    assert answer.text == "Hi"
    assert len(answer.attempts) == 2
    assert len(server.requests) == 3
    server.add(busy)
    with pytest.raises(APIStatusError):
        await LLMClient(base_url=server.base_url, dialect="openai-responses", api_key=KEY, retries=0).chat(ask())


async def test_connections_are_used_again_and_the_key_is_in_its_header_only(server: ScriptedServer) -> None:
    done = streams.wire(streams.events_of([streams.message("Hi")])) + b"data: [DONE]\n\n"
    server.add(*[streams.wire(streams.events_of([streams.message("Hi")])), done] * 3)
    async with client_of(server) as client:
        for _ in range(6):
            await client.chat(ask())

    assert server.connections == 1
    for request in server.requests:
        assert request.path == "/v1/responses"
        assert [name for name, value in request.headers.items() if KEY in value] == ["authorization"]
        assert KEY not in request.body.decode()


async def test_azure_has_the_key_in_a_header_of_its_own(server: ScriptedServer) -> None:
    server.add(streams.wire(streams.events_of([streams.message("Hi")])))
    await client_of(server, azure=True, organization="org-1", project="proj-1").chat(ask())

    headers = server.requests[0].headers
    assert [name for name, value in headers.items() if KEY in value] == ["api-key"]
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")


@pytest.mark.parametrize("dialect", [OpenAIResponses(azure=True)])
def test_a_key_of_openai_does_not_go_to_azure(monkeypatch: pytest.MonkeyPatch, dialect: OpenAIResponses) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "of-azure")

    assert dialect.home.key_variable == "AZURE_OPENAI_API_KEY"
    assert dialect.home.base_url is None


async def test_only_what_is_new_goes_behind_a_stored_answer(server: ScriptedServer) -> None:
    stored = streams.events_of(ROUND_1, id="resp_0")
    stored[0]["response"] = stored[1]["response"] = streams.response(status="in_progress", id="resp_0")
    server.add(streams.wire(stored), *[streams.wire(streams.events_of(ROUND_3))] * 2)
    client = client_of(server, stateless=True)
    first = await client.chat(ask())
    new = Message.tool("18", tool_call_id="call_1")
    await client.chat(ask(Message.user("Hello"), first.message, new, previous_response_id="resp_0"))
    dumped = first.message.model_dump(mode="json")
    await client.chat(model="gpt-5", messages=[dumped, new], previous_response_id="resp_other")

    assert sent(server.requests[1])["input"] == [result("call_1", "18")]
    assert sent(server.requests[1])["previous_response_id"] == "resp_0"
    assert "store" not in sent(server.requests[1])
    assert sent(server.requests[2])["input"] == [*ROUND_1, result("call_1", "18")]


async def test_an_error_is_raised_once_with_all_that_is_said_of_it(server: ScriptedServer) -> None:
    failed = streams.response(
        [streams.message("Hel", status="incomplete")],
        status="failed",
        error={"code": "server_error", "message": "The model failed (req_7)"},
        usage=streams.USAGE,
    )
    events = [
        *streams.events_of([streams.message("Hello")])[:5],
        {"type": "error", "error": {"type": "server_error", "code": None, "message": "The model failed"}},
        {"type": "response.failed", "response": failed},
    ]
    server.add(streams.wire(events))

    with pytest.raises(APIStreamError, match=r"The model failed \(req_7\)") as caught:
        await client_of(server).chat(ask())
    assert (caught.value.type, caught.value.code, caught.value.retryable) == ("server_error", "server_error", True)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hello"[:5]
    assert caught.value.partial.usage is not None
    assert caught.value.partial.usage.prompt_tokens == 20


@pytest.mark.parametrize("end", [script.cut(), script.reset(), script.raw(b"")])
async def test_an_error_is_not_lost_with_the_connection(server: ScriptedServer, end: Any) -> None:
    events = [*streams.events_of([streams.message("Hello")])[:5], {"type": "error", "code": "x", "message": "Broken"}]
    server.add([script.raw(streams.wire(events)), end])

    with pytest.raises(APIStreamError, match="Broken") as caught:
        await client_of(server).chat(ask())
    assert not caught.value.retryable


async def test_an_answer_that_is_cut(server: ScriptedServer) -> None:
    server.add(streams.wire(streams.events_of(ROUND_1)[:-1]), streams.wire(streams.events_of(ROUND_1))[:-40])
    for _ in range(2):
        with pytest.raises(TruncatedStreamError) as caught:
            await client_of(server).chat(ask())
        assert caught.value.partial is not None
        assert caught.value.partial.text == "Let me ask."


async def test_an_answer_that_is_not_streamed(server: ScriptedServer) -> None:
    server.add(script.status(200, streams.response(ROUND_1)))
    answer = await client_of(server).chat(ask())

    assert [part.block for part in answer.message.parts] == ROUND_1
    assert answer.text == "Let me ask."
    assert [repair.kind for repair in answer.repairs] == ["answer-not-streamed"]


async def test_it_is_not_spoken_over_websockets(server: ScriptedServer) -> None:
    with pytest.raises(UnsupportedRequestError, match="not spoken over WebSockets"):
        client_of(server).websocket_stream(ask())
