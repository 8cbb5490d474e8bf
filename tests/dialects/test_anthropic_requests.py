"""What is sent to the Messages API, and what cannot be."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from rxllm.dialects import Anthropic, Endpoint, RateLimits, WireRequest, rate_limits_of
from rxllm.models import Audio, ChatRequest, File, Image, Message, MessagePart, Origin, ToolCall
from tests.dialects.refusals import field_refused

HERE = Endpoint(base_url="https://api.anthropic.com", key=SecretStr("sk-ant-secret"))
ORIGIN = {"dialect": "anthropic", "host": "api.anthropic.com", "model": "claude-sonnet-4-5-20250929"}
QUESTION = {"role": "user", "content": "q"}
ASKED = {"role": "user", "content": [{"type": "text", "text": "q"}]}
OLD, NEW = "claude-sonnet-4-5", "claude-opus-4-7"
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"properties": {"a": {}}}},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "object", "properties": {}}},
    "required": ["a"],
}


def wire(*messages: Any, dialect: Anthropic | None = None, endpoint: Endpoint = HERE, **fields: Any) -> WireRequest:
    said = messages or (QUESTION,)
    request = ChatRequest.model_validate({"model": OLD, "messages": list(said), **fields})
    return (dialect or Anthropic()).http_request(request, endpoint)


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    made = dict(wire(*messages, **fields).body)
    json.dumps(made)
    return made


def sent(*messages: Any, **fields: Any) -> list[Any]:
    return list(body(*messages, **fields)["messages"])


def refused(*messages: Any, **fields: Any) -> str:
    """The field that cannot be said."""
    return field_refused("anthropic", lambda: wire(*messages, **fields))


# The request itself


def test_a_plain_request() -> None:
    request = wire()

    assert request.url == "https://api.anthropic.com/v1/messages"
    assert dict(request.headers) == {"anthropic-version": "2023-06-01", "x-api-key": "sk-ant-secret"}
    assert request.body == {"model": OLD, "max_tokens": 8192, "messages": [ASKED], "stream": True}
    assert (request.method, request.end_marker, request.repairs) == ("POST", None, ())
    assert "secret" not in repr(request)


@pytest.mark.parametrize("base", ["https://h", "https://h/", "https://h/v1", "https://h/v1/messages"])
def test_addresses(base: str) -> None:
    assert wire(endpoint=Endpoint(base_url=base)).url == "https://h/v1/messages"


def test_options() -> None:
    dialect = Anthropic(version="2027-01-01", betas=["a", "b"], max_tokens=5, auth="bearer")
    request = wire(dialect=dialect)

    assert dict(request.headers) == {
        "anthropic-version": "2027-01-01",
        "anthropic-beta": "a,b",
        "Authorization": "Bearer sk-ant-secret",
    }
    assert request.body["max_tokens"] == 5


def test_without_a_key() -> None:
    assert dict(wire(endpoint=Endpoint(base_url="http://h")).headers) == {"anthropic-version": "2023-06-01"}


def test_on_vertex() -> None:
    place = Endpoint(base_url="https://g.example/v1/projects/p/locations/l", key=SecretStr("token"))
    dialect = Anthropic(platform="vertex", betas=["a"])
    request = wire(model="claude-sonnet-4-5@20250929", dialect=dialect, endpoint=place)

    assert request.url == (
        "https://g.example/v1/projects/p/locations/l/publishers/anthropic/models"
        "/claude-sonnet-4-5@20250929:streamRawPredict"
    )
    assert dict(request.headers) == {"Authorization": "Bearer token", "anthropic-beta": "a"}
    assert request.body == {
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 8192,
        "messages": [ASKED],
        "stream": True,
    }
    assert dialect.home.key_variable is None


def test_on_foundry() -> None:
    place = Endpoint(base_url="https://r.services.ai.azure.com/anthropic", key=SecretStr("k"))
    dialect = Anthropic(platform="foundry")
    request = wire(dialect=dialect, endpoint=place)

    assert request.url == "https://r.services.ai.azure.com/anthropic/v1/messages"
    assert dict(request.headers) == {"anthropic-version": "2023-06-01", "x-api-key": "k", "api-key": "k"}
    assert dialect.home.key_variable == "ANTHROPIC_FOUNDRY_API_KEY"
    assert (
        wire(dialect=Anthropic(platform="foundry", auth="bearer"), endpoint=place).headers["Authorization"]
        == "Bearer k"
    )


def test_its_home() -> None:
    home = Anthropic().home

    assert (home.base_url, home.base_url_variable, home.key_variable) == (
        "https://api.anthropic.com",
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_API_KEY",
    )
    assert Anthropic(platform="vertex", home=Anthropic(platform="foundry").home).home.base_url is None


def test_it_is_a_value() -> None:
    assert {Anthropic(betas=["a"]), Anthropic(betas=("a",))} == {Anthropic(betas=["a"])}


@pytest.mark.parametrize("options", [{"max_tokens": 0}, {"platform": "moon"}, {"auth": "cookie"}, {"betas": "a"}])
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Anthropic(**options)


def test_fields_that_are_translated() -> None:
    made = body(
        max_tokens=1,
        max_completion_tokens=2,
        stop="x",
        temperature=0,
        top_p=1,
        user="u",
        service_tier="default",
        stream_options={"include_usage": False},
        n=1,
        logprobs=False,
        store=False,
        presence_penalty=0,
        modalities=("text",),
        response_format={"type": "text"},
    )

    assert made == {
        "model": OLD,
        "max_tokens": 2,
        "stop_sequences": ["x"],
        "temperature": 0,
        "top_p": 1,
        "metadata": {"user_id": "u"},
        "service_tier": "standard_only",
        "messages": [ASKED],
        "stream": True,
    }
    assert body(max_tokens=3, stop=["a", "b"])["stop_sequences"] == ["a", "b"]
    assert body(max_tokens=3)["max_tokens"] == 3
    assert body(metadata={"user_id": "u"}, user="u")["metadata"] == {"user_id": "u"}


def test_other_fields_go_as_they_are() -> None:
    given: dict[str, Any] = {
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "top_k": 5,
        "mcp_servers": [{}],
        "container": "c",
    }

    assert {name: value for name, value in body(**given).items() if name in given} == given


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("seed", 1),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -1),
        ("logit_bias", {"1": 2}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("verbosity", "low"),
        ("store", True),
        ("prediction", {"type": "content"}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x"}),
        ("temperature", 1.1),
        ("top_p", -0.1),
        ("metadata", {"a": "b"}),
        ("service_tier", "flex"),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema"}),
        ("tool_choice", "sometimes"),
        ("tool_choice", {"type": "allowed_tools"}),
        ("tool_choice", {"type": "custom", "custom": {"name": "x"}}),
        ("tools", [{"type": "custom", "custom": {"name": "x"}}]),
        ("tools", [{"type": "function", "function": {"name": "x", "parameters": {"type": "string"}}}]),
    ],
)
def test_what_cannot_be_said(field: str, value: object) -> None:
    assert refused(**{field: value}) == field


def test_two_different_users() -> None:
    assert refused(user="a", metadata={"user_id": "b"}) == "user"


@pytest.mark.parametrize("field", ["temperature", "top_p"])
def test_the_version_without_sampling(field: str) -> None:
    assert refused(**{field: 1}, dialect=Anthropic(version="2026-10-21")) == field
    assert wire(dialect=Anthropic(version="2026-10-21")).body


# Tools


def test_tools() -> None:
    web = {"type": "web_search_20250305", "name": "web_search"}
    bare = {"type": "function", "function": {"name": "g", "strict": True}, "cache_control": {"type": "ephemeral"}}

    assert body(tools=[TOOL, web, bare])["tools"] == [
        {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {}}}},
        web,
        {
            "name": "g",
            "input_schema": {"type": "object", "properties": {}},
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
    ]


@pytest.mark.parametrize(
    ("given", "parallel", "choice"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", None, {"type": "auto"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        ({"type": "function", "function": {"name": "f"}}, None, {"type": "tool", "name": "f"}),
        ({"type": "tool", "name": "f"}, False, {"type": "tool", "name": "f", "disable_parallel_tool_use": True}),
    ],
)
def test_the_choice_of_a_tool(given: Any, parallel: Any, choice: Any) -> None:
    made = body(tools=[TOOL], tool_choice=given, parallel_tool_calls=parallel)

    assert made.get("tool_choice") == choice


def test_a_choice_without_tools() -> None:
    assert "tool_choice" not in body(tool_choice="auto", parallel_tool_calls=False)
    assert "tool_choice" not in body(tool_choice="none")
    assert body(tool_choice="required")["tool_choice"] == {"type": "any"}


# The form of the answer


def test_a_schema_says_that_its_objects_are_closed() -> None:
    form: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    closed: dict[str, Any] = {
        **SCHEMA,
        "properties": {"a": {"type": "object", "properties": {}, "additionalProperties": False}},
    }

    assert body(response_format=form)["output_config"] == {
        "format": {"type": "json_schema", "schema": {**closed, "additionalProperties": False}}
    }


def test_a_schema_of_pydantic() -> None:
    class City(BaseModel):
        names: list[str]
        more: dict[str, int] | None = None

    form: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "n", "schema": City.model_json_schema()}}
    schema = body(response_format=form, output_config={"effort": "low"})["output_config"]["format"]["schema"]

    assert schema["additionalProperties"] is False
    assert schema["properties"]["more"]["anyOf"][0]["additionalProperties"] == {"type": "integer"}


# Thinking


@pytest.mark.parametrize(
    ("model", "fields", "thinking", "effort", "limit"),
    [
        (OLD, {}, None, None, 8192),
        (OLD, {"reasoning_effort": "none"}, {"type": "disabled"}, None, 8192),
        (OLD, {"reasoning_effort": "low"}, {"type": "enabled", "budget_tokens": 2048}, None, 8192 + 2048),
        (
            *(OLD, {"reasoning_effort": "high", "max_tokens": 4000}),
            *({"type": "enabled", "budget_tokens": 2000}, None, 4000),
        ),
        (
            *("claude-3-7-sonnet-latest", {"reasoning_effort": "minimal", "max_tokens": 1025}),
            *({"type": "enabled", "budget_tokens": 1024}, None, 1025),
        ),
        (NEW, {"reasoning_effort": "minimal"}, {"type": "adaptive", "display": "summarized"}, "low", 8192),
        (NEW, {"reasoning_effort": "max"}, {"type": "adaptive", "display": "summarized"}, "max", 8192),
        ("my-model", {"reasoning_effort": "high"}, {"type": "adaptive", "display": "summarized"}, "high", 8192),
        (NEW, {"reasoning_effort": "low", "thinking": {"type": "disabled"}}, {"type": "disabled"}, "low", 8192),
        (
            *(OLD, {"thinking": {"type": "enabled", "budget_tokens": 20_000}}),
            *({"type": "enabled", "budget_tokens": 20_000}, None, 8192 + 20_000),
        ),
        (
            *(OLD, {"thinking": {"type": "enabled", "budget_tokens": 20_000}, "max_tokens": 30_000}),
            *({"type": "enabled", "budget_tokens": 20_000}, None, 30_000),
        ),
    ],
)
def test_how_long_a_model_may_think(model: str, fields: Any, thinking: Any, effort: Any, limit: int) -> None:
    made = body(model=model, **fields)

    assert made.get("thinking") == thinking
    assert made.get("output_config", {}).get("effort") == effort
    assert made["max_tokens"] == limit


def test_effort_and_form_are_together() -> None:
    form: dict[str, Any] = {"type": "json_schema", "json_schema": {"schema": {}}}
    made = body(model=NEW, response_format=form, reasoning_effort="high", output_config={"effort": "low", "x": 1})

    assert made["output_config"] == {"format": {"type": "json_schema", "schema": {}}, "effort": "low", "x": 1}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reasoning_effort": "high", "max_tokens": 1024}, "reasoning_effort"),
        ({"reasoning_effort": "much"}, "reasoning_effort"),
        ({"reasoning_effort": "low", "thinking": {"type": "enabled"}}, "reasoning_effort"),
        ({"reasoning_effort": "low", "tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
        ({"model": NEW, "reasoning_effort": "low", "tool_choice": {"type": "tool", "name": "f"}}, "tool_choice"),
        ({"thinking": {"type": "enabled"}, "tool_choice": "required"}, "tool_choice"),
        ({"reasoning_effort": "low", "temperature": 0.5}, "temperature"),
    ],
)
def test_thinking_that_cannot_be(fields: dict[str, Any], field: str) -> None:
    assert refused(**fields) == field


def test_thinking_that_can_be() -> None:
    assert body(reasoning_effort="low", temperature=1)["temperature"] == 1
    assert body(reasoning_effort="none", tools=[TOOL], tool_choice="required")["tool_choice"] == {"type": "any"}


# Messages


def test_what_the_system_says() -> None:
    cached = {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}

    assert body(Message.system("a"), QUESTION)["system"] == "a"
    assert body({"role": "developer", "content": "a"}, QUESTION, Message.system("b"))["system"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert body({"role": "system", "content": [cached]}, QUESTION)["system"] == [cached]
    assert body(Message.system("b"), QUESTION, system="a")["system"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert body(Message.system("b"), QUESTION, system=[cached])["system"] == [cached, {"type": "text", "text": "b"}]
    assert body(QUESTION, system="a")["system"] == "a"
    assert "system" not in body(Message.system(" "), QUESTION)


def call(id: str, arguments: str = '{"a": 1}') -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}}


def used(id: str, input: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "f", "input": input}


def result(id: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **more}


def test_results_of_a_turn_are_in_one_message_and_first() -> None:
    calls = {"role": "assistant", "content": "I look.", "tool_calls": [call("c1"), call("c2", "nonsense")]}
    failed = Message(role="tool", tool_call_id="c2", content="broken", is_error=True)

    assert sent(
        QUESTION, calls, Message.tool("r1", tool_call_id="c1"), {"role": "user", "content": "and?"}, failed
    ) == [
        ASKED,
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look."},
                used("c1", {"a": 1}),
                used("c2", {"INVALID_JSON": "nonsense"}),
            ],
        },
        {"role": "user", "content": [result("c1", "r1"), result("c2", "broken", is_error=True)]},
        {"role": "user", "content": [{"type": "text", "text": "and?"}]},
    ]


def test_results_in_parts_and_without_content() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://h/i.png"}}
    calls = {"role": "assistant", "tool_calls": [call("c1"), call("c2")]}
    parts = {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}, image]}
    empty = Message.tool("", tool_call_id="c2")

    assert sent(QUESTION, calls, parts, empty)[-1]["content"] == [
        result(
            "c1",
            [{"type": "text", "text": "r"}, {"type": "image", "source": {"type": "url", "url": "https://h/i.png"}}],
        ),
        {"type": "tool_result", "tool_use_id": "c2"},
    ]


def test_the_same_role_twice_and_empty_messages() -> None:
    again = {"role": "assistant", "content": "b"}

    assert sent(QUESTION, QUESTION, Message.user(" \n"), Message.assistant(""), again) == [
        ASKED,
        ASKED,
        {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
    ]


def test_a_refusal_goes_as_a_text() -> None:
    parts = [{"type": "refusal", "refusal": "No."}, {"type": "text", "text": ""}, {"type": "text"}]

    assert sent(QUESTION, Message(refusal="No."))[1]["content"] == [{"type": "text", "text": "No."}]
    assert sent(QUESTION, Message(content=parts))[1]["content"] == [{"type": "text", "text": "No."}]


def test_blocks_of_anthropics_own_go_as_they_are() -> None:
    thinking = {"type": "thinking", "thinking": "t", "signature": "s"}
    search: dict[str, Any] = {"type": "search_result", "source": "s", "title": "t", "content": []}
    answer = {"role": "assistant", "content": [thinking, used("c", {})]}
    back = {"role": "user", "content": [result("c", "r")]}

    assert sent({"role": "user", "content": [search]}, answer, back) == [
        {"role": "user", "content": [search]},
        answer,
        back,
    ]


def test_a_dictionary_that_is_no_message_goes_as_it_is() -> None:
    odd = {"role": "user", "content": 5}

    assert sent(QUESTION, odd) == [ASKED, odd]


def test_attachments() -> None:
    png = Image.from_bytes(b"\x89PNG\r\n\x1a\n")
    pdf = File.from_bytes(b"%PDF-1.7", "a.pdf")
    text = File.from_bytes("é".encode(), "a.txt")
    picture = File.from_bytes(b"\x89PNG\r\n\x1a\n", "a.png")
    data = {name: base64.b64encode(raw).decode() for name, raw in (("png", b"\x89PNG\r\n\x1a\n"), ("pdf", b"%PDF-1.7"))}
    cached = {"type": "image_url", "image_url": {"url": "https://h/i"}, "cache_control": {"type": "ephemeral"}}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data["png"]}}

    assert sent(Message.user("?", png, pdf, text, picture, File.from_id("file_1"), cached))[0]["content"] == [
        {"type": "text", "text": "?"},
        image,
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": data["pdf"]},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}, "title": "a.txt"},
        image,
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {
            "cache_control": {"type": "ephemeral"},
            "type": "image",
            "source": {"type": "url", "url": "https://h/i"},
        },
    ]
    assert sent({"role": "user", "content": [{"type": "image_url", "image_url": "https://h/i"}]})[0]["content"] == [
        {"type": "image", "source": {"type": "url", "url": "https://h/i"}}
    ]
    nameless = {"type": "file", "file": {"file_data": "https://h/a.pdf"}}
    assert sent({"role": "user", "content": [nameless]})[0]["content"] == [
        {"type": "document", "source": {"type": "url", "url": "https://h/a.pdf"}}
    ]


def test_how_closely_to_look_is_lost() -> None:
    request = wire(Message.user("?", Image.from_url("https://h/i", detail="low")))

    assert [(repair.kind, repair.before) for repair in request.repairs] == [("lost-in-conversion", ["detail"])]
    assert wire(Message.user("?", Image.from_url("https://h/i", detail="auto"))).repairs == ()


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (Audio.from_bytes(b"RIFF....WAVE").part(), "input_audio"),
        ({"type": "video_url", "video_url": {"url": "https://h"}}, "video_url"),
        ({"type": "image_url", "image_url": {}}, "image_url"),
        ({"type": "image_url", "image_url": {"url": "ftp://h"}}, "image_url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,x"}}, "image_url"),
        ({"type": "file", "file": {}}, "file"),
        (File.from_bytes(b"PK", "a.zip").part(), "file"),
        ({"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}}, "file"),
        ({"type": "file", "file": {"file_data": "data:text/plain;base64,%"}}, "file"),
    ],
)
def test_attachments_that_cannot_be_said(part: dict[str, Any], field: str) -> None:
    assert refused({"role": "user", "content": [part]}) == field


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "function", "content": "x"}, "role"),
        ({"role": "tool", "content": "x"}, "messages"),
        ({"role": "assistant", "function_call": {"name": "f"}}, "function_call"),
        ({"role": "assistant", "audio": {"id": "a"}}, "audio"),
    ],
)
def test_messages_that_cannot_be_said(message: dict[str, Any], field: str) -> None:
    assert refused(QUESTION, message) == field


# Answers on their way back


BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "t", "signature": "s"},
    {"type": "redacted_thinking", "data": "d"},
    {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": 1}},
    {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
    {"type": "text", "text": "So.", "citations": [{"type": "web_search_result_location", "url": "u"}]},
    {"type": "moon", "phase": 1},
    used("toolu_1", {"a": 1}),
]
KINDS = ("reasoning", "reasoning", "server_tool", "server_result", "text", "other", "tool_call")


def answered(*blocks: dict[str, Any], final: bool = True, **fields: Any) -> Message:
    """An answer with these blocks, as a stream gives it."""
    kinds = dict(zip((block["type"] for block in BLOCKS), KINDS, strict=True))
    parts = [
        MessagePart(
            index=index,
            kind=kinds.get(block["type"], "other"),
            id=block.get("id"),
            name=block.get("name"),
            text='{"a": 1}' if block["type"] == "tool_use" else block.get("text", ""),
            block=block,
            final=final,
        )
        for index, block in enumerate(blocks or BLOCKS)
    ]
    calls = [ToolCall.model_validate(call("toolu_1"))] if "toolu_1" in {part.id for part in parts} else []
    text = "".join(part.text for part in parts if part.kind == "text")
    made = {"content": text, "tool_calls": calls, "parts": parts, "origin": Origin.model_validate(ORIGIN), **fields}
    return Message.model_validate(made)


@pytest.mark.parametrize("model", [OLD, "claude-sonnet-4.5", "anthropic/claude-sonnet-4-5@20250929", "my-deployment"])
def test_an_answer_goes_back_unchanged(model: str) -> None:
    request = wire(QUESTION, answered(), Message.tool("r", tool_call_id="toolu_1"), model=model)

    assert request.body["messages"] == [
        ASKED,
        {"role": "assistant", "content": BLOCKS},
        {"role": "user", "content": [result("toolu_1", "r")]},
    ]
    assert request.repairs == ()


def test_to_another_model_reasoning_does_not_go_back() -> None:
    request = wire(QUESTION, answered(), model="claude-haiku-4-5-20251001")

    assert request.body["messages"][1]["content"] == BLOCKS[2:]
    assert [(repair.kind, repair.position, repair.before) for repair in request.repairs] == [
        ("lost-in-conversion", 1, ["reasoning"])
    ]


def test_without_reasoning_nothing_is_lost() -> None:
    request = wire(answered(BLOCKS[4]), model="claude-haiku-4-5")

    assert (request.body["messages"][0]["content"], request.repairs) == ([BLOCKS[4]], ())


def test_a_model_that_began_or_ended_an_answer_gets_it_back() -> None:
    names = {"from": {"model": "claude-opus-4-1"}, "to": {"model": "claude-opus-4-0"}}
    blocks: tuple[dict[str, Any], ...] = (BLOCKS[0], {"type": "fallback", **names}, {"type": "text", "text": "."})
    origin = {**ORIGIN, "model": "claude-opus-4-20250514"}

    for model in ("claude-opus-4-1-20250805", "claude-opus-4-latest"):
        assert wire(answered(*blocks, origin=origin), model=model).body["messages"][0]["content"] == [*blocks]
    assert wire(answered(*blocks, origin=origin), model=OLD).body["messages"][0]["content"] == [*blocks[1:]]


def test_to_another_host_nothing_of_it_goes() -> None:
    elsewhere = Endpoint(base_url="https://other.example")
    request = wire(QUESTION, answered(), Message.tool("r", tool_call_id="toolu_1"), endpoint=elsewhere)

    assert request.body["messages"][1:] == [
        {"role": "assistant", "content": [{"type": "text", "text": "So."}, used("call00001", {"a": 1})]},
        {"role": "user", "content": [result("call00001", "r")]},
    ]
    assert request.repairs[0].before == ["other", "reasoning", "server_result", "server_tool"]


def test_an_answer_that_was_edited_is_converted() -> None:
    request = wire(QUESTION, answered(content="Otherwise."))

    assert request.body["messages"][1]["content"] == [{"type": "text", "text": "Otherwise."}, used("toolu_1", {"a": 1})]
    assert request.repairs[0].kind == "lost-in-conversion"


def test_what_was_cut_does_not_go_back_but_for_its_text() -> None:
    message = answered(*BLOCKS[:1], {"type": "text", "text": "Hel"}, final=False, tool_calls=[])

    assert sent(QUESTION, message)[1]["content"] == [{"type": "text", "text": "Hel"}]
    assert sent(QUESTION, answered(BLOCKS[0], final=False)) == [ASKED]


def test_empty_texts_do_not_go_back() -> None:
    assert sent(answered({"type": "text", "text": ""}, BLOCKS[4]))[0]["content"] == [BLOCKS[4]]


@pytest.mark.parametrize("arguments", ['{"a": -Infinity}', '{"a": [1e999]}'])
def test_numbers_that_json_has_no_word_for(arguments: str) -> None:
    messages = sent(QUESTION, {"role": "assistant", "tool_calls": [call("c1", arguments)]})

    assert messages[1]["content"] == [used("c1", {"INVALID_JSON": arguments})]


def test_a_name_is_lost() -> None:
    request = wire(Message.user("Hi", name="Ada"))

    assert [(each.kind, each.position, each.before) for each in request.repairs] == [
        ("lost-in-conversion", 0, ["name"])
    ]


@pytest.mark.parametrize("arguments", ["", " "])
def test_a_call_without_arguments(arguments: str) -> None:
    messages = sent(QUESTION, {"role": "assistant", "tool_calls": [call("c1", arguments)]})

    assert messages[1]["content"] == [used("c1", {})]


def test_reasoning_that_nobody_signed_is_lost() -> None:
    request = wire(QUESTION, Message(content="a", reasoning_content="t"))

    assert request.body["messages"][1] == {"role": "assistant", "content": [{"type": "text", "text": "a"}]}
    assert [repair.before for repair in request.repairs] == [["reasoning"]]


@pytest.mark.parametrize(
    ("own", "sent_along"),
    [(None, "c_2"), ("mine", "mine"), ({"skills": []}, {"skills": [], "id": "c_2"}), ({"id": "x"}, {"id": "x"})],
)
def test_a_container_goes_back(own: Any, sent_along: Any) -> None:
    first = answered(BLOCKS[4], container={"id": "c_1"})
    last = answered(BLOCKS[4], container={"id": "c_2"})
    odd = answered(BLOCKS[4], container="c_3")
    fields = {} if own is None else {"container": own}

    assert body(first, QUESTION, last, QUESTION, odd, **fields)["container"] == sent_along


def test_a_container_of_another_host_does_not() -> None:
    message = answered(BLOCKS[4], container={"id": "c_1"}, origin={**ORIGIN, "host": "other"})

    assert "container" not in body(message)


# Rate limits


def test_rate_limits() -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=100)).isoformat().replace("+00:00", "Z")
    limits = Anthropic().rate_limits(
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": soon,
            "anthropic-ratelimit-tokens-remaining": "1000",
            "anthropic-ratelimit-tokens-reset": "2020-01-01T00:00:00",
        }
    )

    assert limits.requests is not None
    assert limits.requests.amount == 49
    assert 0 < limits.requests.seconds <= 100
    assert limits.tokens == (1000, 0)


def test_rate_limits_of_input_tokens() -> None:
    headers = {
        "anthropic-ratelimit-input-tokens-remaining": "7",
        "anthropic-ratelimit-input-tokens-reset": "2020-01-01T00:00:00Z",
    }

    assert Anthropic().rate_limits(headers).tokens == (7, 0)
    assert rate_limits_of(headers) == RateLimits()


@pytest.mark.parametrize(
    ("remaining", "reset"),
    [("many", "2020-01-01T00:00:00Z"), ("inf", "2020-01-01T00:00:00Z"), ("-1", "2020-01-01T00:00:00Z"), ("1", "soon")],
)
def test_rate_limits_that_are_none(remaining: str, reset: str) -> None:
    names = ("remaining", "reset")
    headers = dict(zip((f"anthropic-ratelimit-requests-{name}" for name in names), (remaining, reset), strict=True))

    assert Anthropic().rate_limits(headers) == RateLimits()
