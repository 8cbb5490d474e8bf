"""What is sent to the Converse API, and what cannot be. A second opinion is the service's model in botocore."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from rxllm.dialects import BedrockConverse, Endpoint, WireRequest, get_dialect
from rxllm.models import Audio, ChatRequest, File, Image, Message, MessagePart, Origin, ToolCall
from rxllm.wire import UnsignedRequest
from tests.aws import faults_of
from tests.dialects.refusals import field_refused

HERE = Endpoint(base_url="https://bedrock-runtime.eu-central-1.amazonaws.com", key=SecretStr("a-key-of-bedrock"))
MODEL = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
ORIGIN = {"dialect": "bedrock-converse", "host": HERE.host, "model": MODEL}
QUESTION = {"role": "user", "content": "q"}
ASKED = {"role": "user", "content": [{"text": "q"}]}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"properties": {"a": {}}}},
}
SPEC: dict[str, Any] = {
    "toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object", "properties": {"a": {}}}}}
}


def wire(
    *messages: Any, dialect: BedrockConverse | None = None, endpoint: Endpoint = HERE, **fields: Any
) -> WireRequest:
    said = messages or (QUESTION,)
    request = ChatRequest.model_validate({"model": MODEL, "messages": list(said), **fields})
    return (dialect or BedrockConverse()).http_request(request, endpoint)


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    made = dict(wire(*messages, **fields).body)
    json.dumps(made)
    assert faults_of(made) == ""
    return made


def sent(*messages: Any, **fields: Any) -> list[Any]:
    return list(body(*messages, **fields)["messages"])


def refused(*messages: Any, **fields: Any) -> str:
    """The field that cannot be said."""
    return field_refused("bedrock-converse", lambda: wire(*messages, **fields))


def call(id: str = "c1", arguments: str = '{"a": 1}', name: str = "f") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def used(id: str = "c1", value: Any = None, name: str = "f") -> dict[str, Any]:
    return {"toolUse": {"toolUseId": id, "name": name, "input": {"a": 1} if value is None else value}}


def result(id: str, *texts: str, **more: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": id, "content": [{"text": text} for text in texts], **more}}


# The request itself


def test_a_plain_request() -> None:
    request = wire()

    assert request.url == f"{HERE.base_url}/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream"
    assert request.headers == {"Authorization": "Bearer a-key-of-bedrock"}
    assert request.body == {"messages": [ASKED]}
    assert (request.method, request.framing, request.end_marker) == ("POST", "aws-event-stream", None)
    assert request.reader == BedrockConverse(model=MODEL)
    assert "a-key" not in repr(request)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x.y",
        ),
        ("a?b#c d/../e%2F", "a%3Fb%23c%20d%2F..%2Fe%252F"),
    ],
)
def test_the_model_is_a_part_of_the_path(model: str, path: str) -> None:
    assert wire(model=model).url == f"{HERE.base_url}/model/{path}/converse-stream"
    assert "model" not in wire(model=model).body


def test_without_a_key() -> None:
    assert wire(endpoint=Endpoint(base_url="http://localhost:1/")).headers == {}


def test_what_is_signed_has_no_key() -> None:
    def sign(_: UnsignedRequest) -> dict[str, str]:
        return {}

    request = wire(dialect=BedrockConverse(sign=sign))
    assert (request.headers, request.sign) == ({}, sign)


def test_it_is_a_value() -> None:
    assert BedrockConverse() == BedrockConverse() == get_dialect("bedrock-converse")
    assert hash(BedrockConverse(region="us-east-1")) == hash(BedrockConverse(region="us-east-1"))
    assert BedrockConverse(model="x").decoder().model == "x"
    assert wire(dialect=BedrockConverse(model="x")).reader == BedrockConverse(model="x")


# Where it goes


@pytest.fixture(autouse=True)
def no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)


@pytest.mark.parametrize(
    ("region", "variables", "host"),
    [
        ("eu-central-1", {"AWS_REGION": "us-east-1"}, "eu-central-1.amazonaws.com"),
        (None, {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-west-2"}, "us-east-1.amazonaws.com"),
        (None, {"AWS_DEFAULT_REGION": "us-gov-west-1"}, "us-gov-west-1.amazonaws.com"),
        (None, {"AWS_REGION": "cn-north-1"}, "cn-north-1.amazonaws.com.cn"),
        (None, {"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2.amazonaws.com"),
    ],
)
def test_its_home_is_in_the_region(
    region: str | None, variables: dict[str, str], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert BedrockConverse(region=region).home.base_url == f"https://bedrock-runtime.{host}"


@pytest.mark.parametrize("value", ["", "evil.example/", "x@evil.example", "us-east-1.evil", "us east 1", "US-EAST-1"])
def test_what_is_no_region_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", value)
    assert BedrockConverse().home.base_url is None
    with pytest.raises(ValueError, match="region must be the name of a region"):
        BedrockConverse(region=value)


# Fields


def test_fields_that_are_translated() -> None:
    made = body(
        max_tokens=5,
        temperature=0.5,
        top_p=1,
        stop="X",
        user="ada",
        metadata={"a": "b"},
        service_tier="flex",
        reasoning_effort="high",
        n=1,
        store=False,
        modalities=["text"],
        parallel_tool_calls=True,
    )
    assert made == {
        "messages": [ASKED],
        "inferenceConfig": {"maxTokens": 5, "temperature": 0.5, "topP": 1, "stopSequences": ["X"]},
        "requestMetadata": {"a": "b", "user": "ada"},
        "outputConfig": {"effort": "high"},
        "serviceTier": {"type": "flex"},
    }
    assert body(max_tokens=5, max_completion_tokens=6, stop=["a", "b"], service_tier="auto") == {
        "messages": [ASKED],
        "inferenceConfig": {"maxTokens": 6, "stopSequences": ["a", "b"]},
    }


def test_a_schema() -> None:
    schema = {"type": "object", "properties": {"ü": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": schema, "strict": True}}
    made = body(response_format=form, reasoning_effort="low")["outputConfig"]

    inner = made["textFormat"]["structure"]["jsonSchema"]
    assert (made["effort"], made["textFormat"]["type"]) == ("low", "json_schema")
    assert (inner["name"], inner["description"], json.loads(inner["schema"])) == ("n", "d", schema)
    assert body(response_format={"type": "text"}) == {"messages": [ASKED]}


def test_other_fields_go_as_they_are_and_count_first() -> None:
    made = body(
        max_tokens=5,
        additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": 1024}},
        guardrailConfig={"guardrailIdentifier": "g", "guardrailVersion": "1"},
        additionalModelResponseFieldPaths=["/stop_sequence"],
        performanceConfig={"latency": "optimized"},
        inferenceConfig={"topP": 0.5},
        toolConfig={"tools": [{"cachePoint": {"type": "default"}}]},
        outputConfig={"effort": "max"},
        requestMetadata={"x": "y"},
    )
    assert made == {
        "messages": [ASKED],
        "inferenceConfig": {"maxTokens": 5, "topP": 0.5},
        "toolConfig": {"tools": [{"cachePoint": {"type": "default"}}]},
        "outputConfig": {"effort": "max"},
        "requestMetadata": {"x": "y"},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "performanceConfig": {"latency": "optimized"},
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("seed", 1),
        ("presence_penalty", 0.1),
        ("frequency_penalty", 0.1),
        ("logit_bias", {"1": 1}),
        ("logprobs", True),
        ("top_logprobs", 2),
        ("verbosity", "low"),
        ("store", True),
        ("prediction", {"type": "content"}),
        ("modalities", ["audio"]),
        ("audio", {"voice": "x"}),
        ("temperature", 1.5),
        ("top_p", -0.1),
        ("reasoning_effort", "none"),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema"}),
        ("parallel_tool_calls", False),
        ("service_tier", "scale"),
        ("tools", [{"type": "custom", "custom": {"name": "x"}}]),
        ("tools", [{"type": "function", "function": {"name": "x", "parameters": {"type": "array"}}}]),
    ],
)
def test_what_cannot_be_said(field: str, value: object) -> None:
    assert refused(**{field: value}) == field


def test_two_different_users() -> None:
    assert refused(user="a", metadata={"user": "b"}) == "user"


def test_tools() -> None:
    strict = {"type": "function", "function": {"name": "g", "strict": True}}
    own = [{"systemTool": {"name": "nova_grounding"}}, {"cachePoint": {"type": "default"}}]
    assert body(tools=[TOOL, strict, *own]) == {
        "messages": [ASKED],
        "toolConfig": {
            "tools": [
                SPEC,
                {
                    "toolSpec": {
                        "name": "g",
                        "inputSchema": {"json": {"type": "object", "properties": {}}},
                        "strict": True,
                    }
                },
                *own,
            ]
        },
    }


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        (None, None),
        ("auto", None),
        ("required", {"any": {}}),
        ("any", {"any": {}}),
        ({"type": "function", "function": {"name": "f"}}, {"tool": {"name": "f"}}),
        ({"tool": {"name": "f"}}, {"tool": {"name": "f"}}),
    ],
)
def test_the_choice_of_a_tool(given: Any, choice: Any) -> None:
    config = body(tools=[TOOL], tool_choice=given)["toolConfig"]
    assert config == ({"tools": [SPEC]} if choice is None else {"tools": [SPEC], "toolChoice": choice})


@pytest.mark.parametrize("given", ["sometimes", {"type": "allowed_tools"}])
def test_choices_that_are_none(given: Any) -> None:
    assert refused(tools=[TOOL], tool_choice=given) == "tool_choice"


def test_no_tool_is_to_be_called() -> None:
    """Only by leaving them out, which a conversation with calls forbids."""
    history = [
        QUESTION,
        {"role": "assistant", "tool_calls": [call()]},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
    ]
    assert "toolConfig" not in body(tools=[TOOL], tool_choice="none")
    assert refused(*history, tools=[TOOL], tool_choice="none") == "tool_choice"


def test_a_conversation_with_calls_has_tools() -> None:
    calls = [call("c1", name="g"), call("c2"), call("c3")]
    results = [{"role": "tool", "tool_call_id": each["id"], "content": "r"} for each in calls]
    history = [QUESTION, {"role": "assistant", "tool_calls": calls}, *results]
    empty: dict[str, Any] = {"json": {"type": "object", "properties": {}}}

    assert body(*history)["toolConfig"] == {
        "tools": [{"toolSpec": {"name": name, "inputSchema": empty}} for name in ("f", "g")]
    }
    assert body(*history, tools=[TOOL])["toolConfig"] == {"tools": [SPEC]}


# The conversation


def test_what_the_system_says() -> None:
    messages = [
        {"role": "system", "content": "A"},
        {"role": "developer", "content": [{"type": "text", "text": "B"}, {"cachePoint": {"type": "default"}}]},
        QUESTION,
    ]
    said = [{"text": "A"}, {"text": "B"}, {"cachePoint": {"type": "default"}}]
    assert body(*messages) == {"messages": [ASKED], "system": said}
    assert body(*messages, system="Z")["system"] == [{"text": "Z"}, *said]
    assert body(*messages, system=[{"text": "Z"}])["system"] == [{"text": "Z"}, *said]


def test_user_and_assistant_take_turns() -> None:
    answer = {"role": "assistant", "content": "a"}
    assert sent(QUESTION, QUESTION, answer, answer, {"role": "user", "content": " "}, QUESTION) == [
        {"role": "user", "content": [{"text": "q"}, {"text": "q"}]},
        {"role": "assistant", "content": [{"text": "a"}, {"text": "a"}]},
        ASKED,
    ]


def test_results_of_a_turn_are_in_one_message_and_first() -> None:
    messages = sent(
        QUESTION,
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call("c1"), call("c2", "")]},
        {"role": "tool", "tool_call_id": "c1", "content": "r1"},
        {"role": "user", "content": "hurry"},
        Message(role="tool", tool_call_id="c2", content=[{"type": "text", "text": "r2"}], is_error=True),
    )
    assert messages[1:] == [
        {"role": "assistant", "content": [{"text": "Let me see."}, used("c1"), used("c2", {})]},
        {"role": "user", "content": [result("c1", "r1"), result("c2", "r2", status="error"), {"text": "hurry"}]},
    ]


def test_a_result_without_content_has_an_empty_list() -> None:
    history = [QUESTION, {"role": "assistant", "tool_calls": [call()]}, Message.tool("", tool_call_id="c1")]
    assert sent(*history)[-1] == {"role": "user", "content": [result("c1")]}


def test_arguments_that_are_no_object() -> None:
    messages = sent(QUESTION, {"role": "assistant", "tool_calls": [call("c1", '{"a": 1'), call("c2", '{"a": NaN}')]})
    assert messages[1]["content"] == [
        used("c1", {"INVALID_JSON": '{"a": 1'}),
        used("c2", {"INVALID_JSON": '{"a": NaN}'}),
    ]


def test_a_refusal_goes_as_a_text_and_names_are_lost() -> None:
    request = wire(Message.user("Hi", name="Ada"), Message(role="assistant", refusal="No."))
    assert request.body["messages"][1]["content"] == [{"text": "No."}]
    assert [(each.kind, each.position, each.before) for each in request.repairs] == [
        ("lost-in-conversion", 0, ["name"])
    ]


def test_a_dictionary_that_is_no_message_goes_as_it_is() -> None:
    own = {"content": [used("c9", {})], "who": "me"}
    request = wire(QUESTION, own, {"content": "x"})
    assert request.body["messages"] == [ASKED, own, {"content": "x"}]
    assert request.body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "f"


def test_attachments() -> None:
    content = sent(
        Message.user(
            "Look:",
            Image.from_bytes(b"png", media_type="image/png"),
            Image.from_bytes(b"jpg", media_type="image/jpeg"),
            Audio.from_bytes(b"wav", format="wav"),
            File.from_bytes(b"pdf", "Q3/report (final)_v2.pdf", media_type="application/pdf"),
        ),
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": "s3://bucket/a.JPG"},
                {"type": "file", "file": {"file_data": "data:text/plain;base64,aGk="}},
                {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,aGk="}},
                {"type": "video_url", "video_url": "s3://bucket/a.mov"},
                {"type": "refusal", "refusal": "No."},
                {"type": "text", "text": ""},
                {"type": "text"},
                {"guardContent": {"text": {"text": "guarded"}}},
            ],
        },
    )[0]["content"]
    assert content == [
        {"text": "Look:"},
        {"image": {"format": "png", "source": {"bytes": "cG5n"}}},
        {"image": {"format": "jpeg", "source": {"bytes": "anBn"}}},
        {"audio": {"format": "wav", "source": {"bytes": "d2F2"}}},
        {"document": {"name": "Q3 report (final) v2", "format": "pdf", "source": {"bytes": "cGRm"}}},
        {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.JPG"}}}},
        {"document": {"name": "document", "format": "txt", "source": {"bytes": "aGk="}}},
        {"video": {"format": "mp4", "source": {"bytes": "aGk="}}},
        {"video": {"format": "mov", "source": {"s3Location": {"uri": "s3://bucket/a.mov"}}}},
        {"text": "No."},
        {"guardContent": {"text": {"text": "guarded"}}},
    ]


def test_what_is_lost_of_attachments() -> None:
    image = {"url": "data:image/png;base64,aGk=", "detail": "high"}
    request = wire(
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": image}, {"type": "text", "text": "x", "cache": 1}],
        }
    )
    assert [repair.before for repair in request.repairs] == [["detail"], ["cache"]]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}, "image_url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,raw"}}, "image_url"),
        ({"type": "image_url", "image_url": {}}, "image_url"),
        ({"type": "file", "file": {"file_id": "f"}}, "file"),
        ({"type": "file", "file": "f"}, "file"),
        ({"type": "hologram"}, "hologram"),
    ],
)
def test_attachments_that_cannot_be_said(part: dict[str, Any], field: str) -> None:
    assert refused({"role": "user", "content": [part]}) == field


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "tool", "content": "r"}, "messages"),
        ({"role": "moderator", "content": "x"}, "role"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
        ({"role": "assistant", "audio": {"id": "a"}}, "audio"),
    ],
)
def test_messages_that_cannot_be_said(message: dict[str, Any], field: str) -> None:
    assert refused(QUESTION, message) == field


# Answers on their way back


BLOCKS: list[dict[str, Any]] = [
    {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
    {"reasoningContent": {"redactedContent": "AAEC"}},
    {"toolUse": {"toolUseId": "s1", "name": "search", "type": "server_tool_use", "input": {}}},
    {"toolResult": {"toolUseId": "s1", "content": [{"text": "x"}]}},
    {"citationsContent": {"content": [{"text": "So."}], "citations": [{"title": "T"}]}},
    used("tooluse_1"),
]
KINDS = ("reasoning", "reasoning", "server_tool", "server_result", "text", "tool_call")
TEXTS = ("t", "", "{}", "x", "So.", '{"a": 1}')


def answered(*places: int, final: bool = True, **fields: Any) -> Message:
    """An answer with these blocks, as a stream gives it."""
    parts = [
        MessagePart(
            index=place,
            kind=KINDS[place],
            id=BLOCKS[place].get("toolUse", {}).get("toolUseId"),
            name=BLOCKS[place].get("toolUse", {}).get("name"),
            text=TEXTS[place],
            block=BLOCKS[place],
            final=final,
        )
        for place in places or range(len(BLOCKS))
    ]
    calls = [ToolCall.model_validate(call("tooluse_1"))] if 5 in (places or (5,)) else []
    text = "So." if 4 in (places or (4,)) else None
    made = {"content": text, "tool_calls": calls, "parts": parts, "origin": Origin.model_validate(ORIGIN), **fields}
    return Message.model_validate(made)


SAME = [
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "anthropic.claude-sonnet-4-5",
    "arn:aws:bedrock:x:1:application-inference-profile/abc",
]


@pytest.mark.parametrize("model", [MODEL, f"arn:aws:bedrock:eu-central-1:1:inference-profile/{MODEL}", *SAME])
def test_an_answer_goes_back_unchanged(model: str) -> None:
    request = wire(QUESTION, answered(), Message.tool("r", tool_call_id="tooluse_1"), model=model)

    assert request.body["messages"] == [
        ASKED,
        {"role": "assistant", "content": BLOCKS},
        {"role": "user", "content": [result("tooluse_1", "r")]},
    ]
    assert request.repairs == ()
    assert faults_of(request.body) == ""


def test_an_answer_of_a_model_that_nobody_knows_goes_back_unchanged() -> None:
    for model in (None, "my-model"):
        answer = answered(origin={**ORIGIN, "model": model})
        assert sent(QUESTION, answer, Message.tool("r", tool_call_id="tooluse_1"))[1]["content"] == BLOCKS


@pytest.mark.parametrize("model", ["anthropic.claude-haiku-4-5-20251001-v1:0", "us.deepseek.r1-v1:0"])
def test_to_another_model_reasoning_does_not_go_back(model: str) -> None:
    request = wire(QUESTION, answered(), model=model)

    assert request.body["messages"][1]["content"] == BLOCKS[2:]
    assert [(repair.kind, repair.position, repair.before) for repair in request.repairs] == [
        ("lost-in-conversion", 1, ["reasoning"])
    ]
    assert wire(answered(4), model=model).repairs == ()


def test_to_another_host_nothing_of_it_goes() -> None:
    elsewhere = Endpoint(base_url="https://bedrock-runtime.us-east-1.amazonaws.com")
    request = wire(QUESTION, answered(), Message.tool("r", tool_call_id="tooluse_1"), endpoint=elsewhere)

    assert request.body["messages"][1:] == [
        {"role": "assistant", "content": [{"text": "So."}, used("call00001")]},
        {"role": "user", "content": [result("call00001", "r")]},
    ]
    assert request.repairs[0].before == ["reasoning", "server_result", "server_tool"]


def test_an_answer_that_was_edited_is_converted() -> None:
    request = wire(QUESTION, answered(content="Otherwise."))
    assert request.body["messages"][1]["content"] == [{"text": "Otherwise."}, used("tooluse_1")]
    assert request.repairs[0].kind == "lost-in-conversion"


def test_what_was_cut_does_not_go_back_but_for_its_text() -> None:
    cut = answered(0, 4, final=False)
    assert sent(QUESTION, cut)[1]["content"] == [{"text": "So."}]
    assert sent(QUESTION, answered(0, final=False)) == [ASKED]


def test_empty_texts_do_not_go_back() -> None:
    parts = [
        MessagePart(index=0, kind="text", text=" ", block={"text": " "}, final=True),
        MessagePart(index=1, kind="text", text="a", block={"text": "a"}, final=True),
        MessagePart(index=2, kind="reasoning", text="cut"),
    ]
    message = Message.model_validate({"content": " a", "parts": parts, "origin": ORIGIN})
    assert sent(QUESTION, message)[1]["content"] == [{"text": "a"}]


def test_reasoning_that_nobody_signed_is_lost() -> None:
    request = wire(QUESTION, {"role": "assistant", "content": "a", "reasoning_content": "t"})
    assert request.body["messages"][1]["content"] == [{"text": "a"}]
    assert request.repairs[0].before == ["reasoning"]
