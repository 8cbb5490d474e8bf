"""What is sent to Cohere's Chat API, and what cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from rxllm.dialects import Cohere, Endpoint, WireRequest
from rxllm.models import ChatRequest, Message
from tests.dialects.refusals import field_refused

HOST = "api.cohere.com"
HERE = Endpoint(base_url=f"https://{HOST}", key=SecretStr("secret"))
ORIGIN = {"dialect": "cohere", "host": HOST}
QUESTION = {"role": "user", "content": "q"}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CITATION = {"start": 0, "end": 1, "text": "x", "sources": [{"type": "document", "id": "d"}], "type": "TEXT_CONTENT"}


def wire(*messages: Any, dialect: Cohere | None = None, endpoint: Endpoint = HERE, **fields: Any) -> WireRequest:
    said = messages or (QUESTION,)
    request = ChatRequest.model_validate({"model": "m", "messages": list(said), **fields})
    return (dialect or Cohere()).http_request(request, endpoint)


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    made = dict(wire(*messages, **fields).body)
    json.dumps(made, allow_nan=False)
    return made


def sent(*messages: Any, **fields: Any) -> list[Any]:
    return list(body(*messages, **fields)["messages"])


def lost(*messages: Any, **fields: Any) -> list[tuple[str, int, Any]]:
    return [(repair.kind, repair.position, repair.before) for repair in wire(*messages, **fields).repairs]


def refused(*messages: Any, **fields: Any) -> str:
    """The field that cannot be said."""
    return field_refused("cohere", lambda: wire(*messages, **fields))


def call(id: str = "c1", arguments: str = "{}", name: str = "f", **fields: Any) -> dict[str, Any]:
    said = {"name": name, "arguments": arguments}
    return {"id": id, "type": "function", "function": said, **fields}


def answer(*blocks: dict[str, Any], **fields: Any) -> Message:
    """An answer as accumulating a stream makes it."""
    parts: list[dict[str, Any]] = []
    for block in blocks:
        if "function" in block:
            said = {"kind": "tool_call", "id": block["id"], "name": block["function"]["name"]}
            said["text"] = block["function"]["arguments"]
        else:
            kind = "text" if "text" in block else "reasoning"
            said = {"kind": kind, "text": block.get("text") or block.get("thinking") or block.get("tool_plan")}
        parts.append({"index": len(parts), "final": True, "block": block, **said})
    content = "".join(part["text"] for part in parts if part["kind"] == "text")
    reasoning = "".join(part["text"] for part in parts if part["kind"] == "reasoning")
    calls = [block for block in blocks if "function" in block]
    told = {"content": content, "reasoning_content": reasoning or None, "tool_calls": calls}
    return Message.model_validate({"role": "assistant", "parts": parts, "origin": ORIGIN, **told, **fields})


def text(said: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **fields}


def thinking(said: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": said}


# The request itself


@pytest.mark.parametrize(
    "base_url",
    ["https://api.cohere.com", "https://api.cohere.com/", "https://api.cohere.com/v2", f"https://{HOST}/v2/"],
)
def test_where_it_goes(base_url: str) -> None:
    request = wire(endpoint=Endpoint(base_url=base_url, key=SecretStr("secret")))
    assert (request.url, request.method, request.framing) == ("https://api.cohere.com/v2/chat", "POST", "sse")
    assert (request.end_marker, request.headers) == (None, {"Authorization": "Bearer secret"})


def test_where_it_goes_unless_told_otherwise() -> None:
    home = Cohere().home
    assert (home.base_url, home.base_url_variable, home.key_variable) == (f"https://{HOST}", "CO_API_URL", "CO_API_KEY")


def test_who_asks_is_said_if_it_is_told() -> None:
    named = wire(dialect=Cohere(client_name="my-app"))
    assert named.headers == {"Authorization": "Bearer secret", "X-Client-Name": "my-app"}
    assert named.public_headers == ("X-Client-Name",)
    assert wire(endpoint=Endpoint(base_url="http://localhost:1")).headers == {}


def test_it_is_streamed_and_nothing_is_sent_that_was_not_asked_for() -> None:
    assert body() == {"model": "m", "messages": [QUESTION], "stream": True}


def test_fields_that_have_another_name() -> None:
    fields = {"temperature": 0.5, "seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.2, "logprobs": True}
    made = body(**fields, top_p=0.9, max_tokens=9, stop="x")
    assert {name: made[name] for name in fields} == fields
    assert (made["p"], made["max_tokens"], made["stop_sequences"]) == (0.9, 9, ["x"])
    assert "stop" not in made
    assert "top_p" not in made
    made = body(max_tokens=9, max_completion_tokens=8, stop=["x", "y"])
    assert (made["max_tokens"], made["stop_sequences"]) == (8, ["x", "y"])
    assert "max_completion_tokens" not in made


def test_what_nobody_declared_goes_as_it_is_and_counts_first() -> None:
    documents = [{"id": "1", "data": {"text": "x"}}]
    made = body(
        documents=documents, k=3, citation_options={"mode": "FAST"}, thinking={"type": "x"}, reasoning_effort="low"
    )
    assert (made["documents"], made["k"], made["citation_options"]) == (documents, 3, {"mode": "FAST"})
    assert made["thinking"] == {"type": "x"}
    assert body(stream=False)["stream"] is True


@pytest.mark.parametrize(
    ("effort", "expected"),
    [
        ("none", {"type": "disabled"}),
        ("minimal", {"type": "enabled", "token_budget": 512}),
        ("low", {"type": "enabled", "token_budget": 1024}),
        ("medium", {"type": "enabled", "token_budget": 8192}),
        ("high", {"type": "enabled"}),
        ("max", {"type": "enabled"}),
    ],
)
def test_how_long_it_may_think(effort: str, expected: dict[str, Any]) -> None:
    assert body(reasoning_effort=effort)["thinking"] == expected


def test_structured_output() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    asked = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    assert body(response_format=asked)["response_format"] == {"type": "json_object", "json_schema": schema}
    own = {"type": "json_object", "json_schema": schema}
    assert body(response_format=own)["response_format"] == own
    assert body(response_format={"type": "json_object"})["response_format"] == {"type": "json_object"}
    assert "response_format" not in body(response_format={"type": "text"})


def test_tools() -> None:
    strict = {"type": "function", "function": {**TOOL["function"], "strict": True}}
    loose = {"type": "function", "function": {**TOOL["function"], "strict": False}}
    assert body(tools=[TOOL, loose])["tools"] == [TOOL, TOOL]
    assert "strict_tools" not in body(tools=[TOOL, loose])
    made = body(tools=[strict, strict])
    assert (made["tools"], made["strict_tools"]) == ([TOOL, TOOL], True)
    assert refused(tools=[strict, TOOL]) == "tools"
    assert body(tools=[strict, TOOL], strict_tools=False)["strict_tools"] is False
    assert "tools" not in body(tools=[])
    assert refused(tools=[{"type": "web_search"}]) == "tools"


@pytest.mark.parametrize(
    ("choice", "expected"), [("auto", None), ("required", "REQUIRED"), ("any", "REQUIRED"), ("none", "NONE")]
)
def test_which_tool(choice: str, expected: str | None) -> None:
    assert body(tools=[TOOL], tool_choice=choice).get("tool_choice") == expected


@pytest.mark.parametrize("choice", [{"type": "function", "function": {"name": "f"}}, "f"])
def test_no_tool_of_a_name_can_be_asked_for(choice: Any) -> None:
    assert refused(tools=[TOOL], tool_choice=choice) == "tool_choice"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logit_bias", {"1": 2}),
        ("top_logprobs", 3),
        ("verbosity", "low"),
        ("user", "u"),
        ("metadata", {"a": "b"}),
        ("store", True),
        ("service_tier", "flex"),
        ("prediction", {"type": "content", "content": "x"}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x", "format": "wav"}),
        ("parallel_tool_calls", False),
        ("reasoning_effort", "extreme"),
        ("response_format", {"type": "grammar"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x"}}),
    ],
)
def test_what_cannot_be_said_is_refused(field: str, value: Any) -> None:
    assert refused(**{field: value}) == field


def test_what_changes_nothing_is_left_out() -> None:
    nothing: dict[str, Any] = {"n": 1, "logit_bias": {}, "top_logprobs": 0, "metadata": {}, "store": False}
    more: dict[str, Any] = {"service_tier": "auto", "modalities": ["text"], "parallel_tool_calls": True}
    assert body(**nothing, **more).keys() == {"model", "messages", "stream"}


# Messages


def test_roles_and_what_they_may_say() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1n", "detail": "low"}}
    document = {"type": "document", "document": {"id": "1", "data": {"text": "x"}}}
    given = [
        Message.system("s"),
        {"role": "developer", "content": "d"},
        {"role": "user", "content": [text("t"), image]},
        {"role": "assistant", "content": [text("a")]},
        {"role": "assistant", "tool_calls": [call()]},
        {"role": "tool", "tool_call_id": "c1", "content": [text("r"), document]},
        {"role": "user", "content": None},
        {"anything": "else"},
    ]
    assert sent(*given) == [
        {"role": "system", "content": "s"},
        {"role": "system", "content": "d"},
        {"role": "user", "content": [text("t"), image]},
        {"role": "assistant", "content": [text("a")]},
        {"role": "assistant", "tool_calls": [call()]},
        {"role": "tool", "tool_call_id": "c1", "content": [text("r"), document]},
        {"role": "user", "content": ""},
        {"anything": "else"},
    ]
    assert lost(*given) == []


UNSAID: list[tuple[dict[str, Any], str]] = [
    ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "input_audio"),
    ({"role": "tool", "tool_call_id": "c", "content": [{"type": "image_url", "image_url": {}}]}, "image_url"),
    ({"role": "assistant", "content": [{"type": "image_url", "image_url": {}}]}, "image_url"),
    ({"role": "tool", "content": "x"}, "messages"),
    ({"role": "function", "name": "f", "content": "x"}, "role"),
    ({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
    ({"role": "assistant", "audio": {"id": "a"}}, "audio"),
    ({"role": "assistant", "tool_calls": [call(type="custom", custom={"name": "f"})]}, "tool_calls"),
]


@pytest.mark.parametrize(("message", "field"), UNSAID)
def test_messages_that_cannot_be_said(message: dict[str, Any], field: str) -> None:
    assert refused(message) == field


def test_names_are_lost() -> None:
    assert lost(QUESTION, {**QUESTION, "name": "Ann"}) == [("lost-in-conversion", 1, ["name"])]
    assert sent({**QUESTION, "name": "Ann"}) == [QUESTION]


def test_a_text_beside_calls_is_said_as_a_plan() -> None:
    made = {"role": "assistant", "content": "I look.", "tool_calls": [call()]}
    assert sent(made) == [{"role": "assistant", "tool_calls": [call()], "tool_plan": "I look."}]
    assert sent({**made, "content": [text("I "), text("look.")]})[0]["tool_plan"] == "I look."
    mute = Cohere(send_tool_plan=False)
    assert sent(made, dialect=mute) == [{"role": "assistant", "tool_calls": [call()]}]
    assert lost(made, dialect=mute) == [("lost-in-conversion", 0, ["text"])]
    assert lost(made) == []


def test_a_refusal_is_a_text() -> None:
    assert sent({"role": "assistant", "content": "a", "refusal": "no"})[0]["content"] == "a\nno"
    assert sent({"role": "assistant", "content": None, "refusal": "no"})[0]["content"] == "no"


# Answers


def test_an_answer_goes_back_by_its_parts() -> None:
    said = answer(thinking("t"), text("x", citations=[CITATION]), text("y"))
    assert sent(said) == [
        {"role": "assistant", "content": [thinking("t"), text("x"), text("y")], "citations": [CITATION]}
    ]
    assert lost(said) == []
    assert sent(answer()) == [{"role": "assistant", "content": ""}]


def test_calls_go_back_with_what_was_planned() -> None:
    said = answer({"tool_plan": "p", "citations": [CITATION]}, call(), call("c2", '{"a":1}'))
    assert sent(said) == [
        {
            "role": "assistant",
            "tool_calls": [call(), call("c2", '{"a":1}')],
            "tool_plan": "p",
            "citations": [CITATION],
        }
    ]
    assert lost(said) == []
    mute = Cohere(send_tool_plan=False)
    assert sent(said, dialect=mute) == [{"role": "assistant", "tool_calls": [call(), call("c2", '{"a":1}')]}]
    assert lost(said, dialect=mute) == [("lost-in-conversion", 0, ["reasoning"])]


def test_calls_go_back_with_what_was_thought_and_then_nothing_else_fits() -> None:
    said = answer(thinking("t"), text("x", citations=[CITATION]), {"tool_plan": "p"}, call())
    assert sent(said) == [{"role": "assistant", "tool_calls": [call()], "content": [thinking("t")]}]
    assert lost(said) == [("lost-in-conversion", 0, ["text", "reasoning"])]
    assert lost(answer(text("x"), call())) == [("lost-in-conversion", 0, ["text"])]


def test_a_plan_without_calls_is_lost() -> None:
    said = answer({"tool_plan": "p"}, text("x"))
    assert sent(said) == [{"role": "assistant", "content": [text("x")]}]
    assert lost(said) == [("lost-in-conversion", 0, ["reasoning"])]


def test_what_never_ended_does_not_go_back() -> None:
    said = answer(thinking("t"), text("x"))
    parts = [part.model_copy(update={"final": part.kind == "text"}) for part in said.parts]
    assert sent(said.model_copy(update={"parts": parts})) == [{"role": "assistant", "content": [text("x")]}]


@pytest.mark.parametrize("endpoint", [HERE, Endpoint(base_url="https://other.example")])
def test_an_answer_that_was_changed_or_is_of_another_server_is_converted(endpoint: Endpoint) -> None:
    said = answer(thinking("t"), text("x", citations=[CITATION]), call(), later=1)
    changed = said.model_copy(update={"content": "new"}) if endpoint is HERE else said
    result = {"role": "tool", "tool_call_id": "c1", "content": "r"}
    (made, told) = sent(changed, result, endpoint=endpoint)
    (made_call,) = made.pop("tool_calls")
    assert made == {"role": "assistant", "tool_plan": changed.content}
    assert told["tool_call_id"] == made_call["id"] == ("c1" if endpoint is HERE else "call00001")
    assert "reasoning" in lost(changed, result, endpoint=endpoint)[0][2]
