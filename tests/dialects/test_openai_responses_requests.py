"""What is sent to the Responses API: the body, the headers, and the conversation as items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

import rxllm
from rxllm import ChatRequest, FunctionCall, Message, ToolCall
from rxllm.dialects import Endpoint, OpenAIResponses, WireRequest
from rxllm.exceptions import UnsupportedRequestError
from rxllm.models import MessagePart, Origin
from tests.dialects.responses_streams import (
    call,
    completion_of,
    custom_call,
    events_of,
    message,
    reasoning,
    response,
    web_search,
)

ENDPOINT = Endpoint(base_url="https://host.example/v1", key=SecretStr("sk-1"))
HELLO = Message.user("Hello")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def request_of(
    *messages: Any, dialect: OpenAIResponses | None = None, model: str = "gpt-5", **fields: Any
) -> WireRequest:
    request = ChatRequest(model=model, messages=[*(messages or (HELLO,))], **fields)
    return (dialect or OpenAIResponses()).http_request(request, ENDPOINT)


def body_of(**fields: Any) -> dict[str, Any]:
    """The body, without what is in each."""
    body = dict(request_of(**fields).body)
    assert body.pop("input") == [{"type": "message", "role": "user", "content": "Hello"}]
    assert body.pop("stream") is True
    assert body.pop("model") == "gpt-5"
    return body


def items_of(*messages: Any, **options: Any) -> Any:
    return request_of(*messages, **options).body["input"]


def answer(*items: Any, host: str = "host.example", **fields: Any) -> Message:
    """An answer that came from the endpoint."""
    came = completion_of(events_of(items, **fields)).message
    return came.model_copy(update={"origin": Origin(dialect="openai-responses", host=host, model="gpt-5-2025-08-07")})


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({}, {}),
        ({"temperature": 0.5, "top_p": 0.9, "top_logprobs": 2}, {"temperature": 0.5, "top_p": 0.9, "top_logprobs": 2}),
        ({"max_tokens": 5}, {"max_output_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_output_tokens": 6}),
        ({"max_tokens": 5, "max_output_tokens": 7}, {"max_output_tokens": 7}),
        ({"user": "me"}, {"safety_identifier": "me"}),
        ({"user": "me", "safety_identifier": "other"}, {"safety_identifier": "other"}),
        ({"metadata": {"a": "b"}, "store": True, "service_tier": "flex"},) * 2,
        ({"parallel_tool_calls": False},) * 2,
        ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        (
            {"reasoning_effort": "low", "reasoning": {"summary": "auto"}},
            {"reasoning": {"summary": "auto", "effort": "low"}},
        ),
        ({"verbosity": "low", "text": {"x": 1}}, {"text": {"x": 1, "verbosity": "low"}}),
        ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA, "strict": True}}},
            {"text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}}},
        ),
        ({"logprobs": True}, {"include": ["message.output_text.logprobs"]}),
        ({"logprobs": True, "include": ["x"]}, {"include": ["x", "message.output_text.logprobs"]}),
        ({"logprobs": False}, {}),
        ({"stream_options": {"include_usage": True}}, {}),
        ({"stream_options": {"include_obfuscation": False}},) * 2,
        ({"background": False, "truncation": "auto", "instructions": "Be brief."},) * 2,
        ({"n": 1, "stop": [], "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}}, {}),
        ({"modalities": ("text",), "seed": None}, {}),
    ],
)
def test_fields(fields: dict[str, Any], body: dict[str, Any]) -> None:
    assert body_of(**fields) == body


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("stop", "x"), ("stop", ["x"]), ("n", 2), ("seed", 0), ("presence_penalty", 0.1), ("frequency_penalty", -1)),
        *(("logit_bias", {"1": 2}), ("prediction", {"type": "content"}), ("modalities", ["text", "audio"])),
        ("audio", {"voice": "x"}),
    ],
)
def test_what_cannot_be_said(field: str, value: Any) -> None:
    with pytest.raises(UnsupportedRequestError, match=field) as caught:
        request_of(**{field: value})
    assert (caught.value.dialect, caught.value.field) == ("openai-responses", field)


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        (
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}},
            {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": False},
        ),
        (
            {"type": "function", "function": {"name": "f", "strict": True, "description": None}},
            {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": True},
        ),
        (
            {"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}},
            {"type": "custom", "name": "g", "format": {"type": "text"}},
        ),
        (
            {"type": "custom", "custom": {"name": "g", "format": {"type": "grammar", "grammar": {"syntax": "lark"}}}},
            {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "lark"}},
        ),
        ({"type": "web_search", "web_search": 5},) * 2,
        ({"type": "mcp", "server_label": "x"},) * 2,
        ({"type": "function", "name": "f", "parameters": SCHEMA},) * 2,
    ],
)
def test_tools(said: dict[str, Any], sent: dict[str, Any]) -> None:
    assert body_of(tools=[said]) == {"tools": [sent]}


FUNCTION: dict[str, Any] = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        *(("auto", "auto"), ("none", "none"), ("required", "required")),
        (FUNCTION, {"type": "function", "name": "f"}),
        ({"type": "custom", "custom": {"name": "g"}}, {"type": "custom", "name": "g"}),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [FUNCTION, {"type": "mcp"}]}},
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}, {"type": "mcp"}]},
        ),
        ({"type": "mcp", "server_label": "x"},) * 2,
    ],
)
def test_the_choice_of_a_tool(said: Any, sent: Any) -> None:
    assert body_of(tool_choice=said) == {"tool_choice": sent}


@pytest.mark.parametrize(
    ("fields", "store", "include"),
    [
        ({}, False, ["reasoning.encrypted_content"]),
        ({"include": ["x"]}, False, ["x", "reasoning.encrypted_content"]),
        ({"include": ["reasoning.encrypted_content"]}, False, ["reasoning.encrypted_content"]),
        ({"store": True}, True, None),
        ({"store": False}, False, None),
        ({"previous_response_id": "resp_1"}, None, None),
    ],
)
def test_stateless(fields: dict[str, Any], store: bool | None, include: Any) -> None:
    body = request_of(dialect=OpenAIResponses(stateless=True), **fields).body

    assert body.get("store") is store
    assert body.get("include") == include
    assert "store" not in request_of().body


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://h/v1", "https://h/v1/responses"),
        ("https://h/v1/responses", "https://h/v1/responses"),
        ("https://r.openai.azure.com/openai/v1?api-version=preview", None),
        ("https://h/backend-api/codex", "https://h/backend-api/codex/responses"),
    ],
)
def test_where_it_goes(base_url: str, url: str | None) -> None:
    request = ChatRequest(model="m", messages=[HELLO])
    wire = OpenAIResponses().http_request(request, Endpoint(base_url=base_url))

    assert wire.url == (url or "https://r.openai.azure.com/openai/v1/responses?api-version=preview")
    assert wire.headers == {}


def test_headers() -> None:
    dialect = OpenAIResponses(organization="o", project="p")
    assert request_of(dialect=dialect).headers == {
        "Authorization": "Bearer sk-1",
        "OpenAI-Organization": "o",
        "OpenAI-Project": "p",
    }
    assert request_of(dialect=OpenAIResponses(azure=True)).headers == {"api-key": "sk-1"}
    assert (
        OpenAIResponses(azure=True)
        .http_request(ChatRequest(model="m", messages=[HELLO]), Endpoint(base_url="https://h"))
        .headers
        == {}
    )


def test_homes() -> None:
    home = rxllm.dialects.Home(base_url="https://mine")

    assert OpenAIResponses().home.base_url == "https://api.openai.com/v1"
    assert OpenAIResponses(azure=True).home.base_url is None
    assert OpenAIResponses(azure=True, home=home).home is home


# Messages.


def test_messages_of_people() -> None:
    image = rxllm.Image.from_url("https://a.example/cat.png", detail="low")
    file = rxllm.File(name="a.pdf", data="data:application/pdf;base64,AA==")
    messages = [
        Message.system("Be brief."),
        {"role": "developer", "content": "Be kind."},
        Message.user("What?", image, {"type": "image_url", "image_url": "https://b.example"}, file),
        Message.user(rxllm.File.from_id("file_1"), {"type": "input_text", "text": "x"}, {"type": "text"}),
    ]

    assert items_of(*messages) == [
        {"type": "message", "role": "system", "content": "Be brief."},
        {"type": "message", "role": "developer", "content": "Be kind."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What?"},
                {"type": "input_image", "image_url": "https://a.example/cat.png", "detail": "low"},
                {"type": "input_image", "image_url": "https://b.example", "detail": "auto"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
            ],
        },
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_file", "file_id": "file_1"},
                {"type": "input_text", "text": "x"},
                {"type": "input_text", "text": ""},
            ],
        },
    ]


@pytest.mark.parametrize(
    "said",
    [
        Message.user(rxllm.Audio("AA==", "wav")),
        Message(role="user", content=[{"text": "x"}]),
        Message(role="critic", content="x"),
        Message(role="function", name="f", content="x"),
        Message(function_call=FunctionCall(name="f")),
    ],
)
def test_messages_that_cannot_be_sent(said: Message) -> None:
    with pytest.raises(UnsupportedRequestError) as caught:
        items_of(said)
    assert caught.value.field == "messages"


def test_a_name_is_lost() -> None:
    wire = request_of(Message.user("Hi", name="Ada"))

    assert [(each.kind, each.position, each.before) for each in wire.repairs] == [("lost-in-conversion", 0, ["name"])]


def test_items_go_as_they_are() -> None:
    items = [
        {"type": "item_reference", "id": "msg_1"},
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}, "name": "x"},
    ]

    assert items_of(*items) == items
    odd = {"role": "user", "content": 5}
    assert items_of(odd) == [odd]


def test_answers_made_by_hand() -> None:
    custom = ToolCall(id="c2", type="custom", function=FunctionCall(name="g", arguments="free"))
    calls = [ToolCall(id="c1", function=FunctionCall(name="f", arguments="{}")), custom]
    results = [Message.tool("1", tool_call_id="c1"), Message.tool("2", tool_call_id="c2")]
    pictures = Message(role="tool", tool_call_id="c1", content=[{"type": "image_url", "image_url": {"url": "u"}}])

    assert items_of(Message.assistant("Hi", tool_calls=calls), *results, pictures) == [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "free"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "2"},
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [{"type": "input_image", "image_url": "u", "detail": "auto"}],
        },
    ]
    assert items_of(Message(refusal="No."), Message(), Message(audio={"id": "a", "transcript": "Hey"})) == [
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hey"}]},
    ]


def test_an_answer_made_by_hand_in_parts() -> None:
    said: dict[str, Any] = {"type": "output_text", "text": "b", "annotations": []}
    parts: list[dict[str, Any]] = [
        *({"type": "text", "text": "a", "cache_control": {}}, {"type": "refusal", "refusal": "No."}),
        *({"type": "text", "text": ""}, {"type": "output_text"}, {"type": "refusal"}, said),
    ]

    (item,) = items_of(Message(content=parts))
    assert item["content"] == [
        *({"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "No."}, said),
    ]


def test_an_answer_made_by_hand_has_no_pictures() -> None:
    with pytest.raises(UnsupportedRequestError) as caught:
        items_of(Message(content=[{"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}]))
    assert caught.value.field == "messages"


def test_reasoning_that_nobody_knows_is_lost() -> None:
    wire = request_of(Message(content="a", reasoning_content="t"))

    assert [(each.kind, each.before) for each in wire.repairs] == [("lost-in-conversion", ["reasoning"])]
    assert "t" not in [each.get("text") for each in wire.body["input"][0]["content"]]


CONVERTED = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}


def test_a_refusal_goes_back_as_it_came() -> None:
    refused = message("", content=[{"type": "refusal", "refusal": "I will not."}])

    assert items_of(answer(refused)) == [refused]


def test_reasoning_that_led_to_nothing_stays_here() -> None:
    wire = request_of(answer(reasoning("a"), message("Hello"), reasoning("b", id="rs_2")))

    assert wire.body["input"] == [reasoning("a"), message("Hello")]
    assert [(each.kind, each.before) for each in wire.repairs] == [("lost-in-conversion", ["reasoning"])]


def test_reasoning_goes_directly_before_what_it_led_to() -> None:
    items = [reasoning("a"), reasoning("b", id="rs_2"), web_search("x"), reasoning(id="rs_3"), message("Hello")]

    assert items_of(answer(*items)) == items


def test_an_item_that_was_cut_does_not_go_back_and_neither_does_its_reasoning() -> None:
    cut = {**web_search("x"), "status": "incomplete"}

    assert items_of(answer(reasoning("a"), cut, reasoning("b", id="rs_2"), message("Hello"))) == [
        reasoning("b", id="rs_2"),
        message("Hello"),
    ]


def test_a_text_that_was_cut_goes_back_as_what_it_says() -> None:
    came = answer(reasoning("a"), message("Hello", status="incomplete"), status="incomplete")
    wire = request_of(came)

    assert wire.body["input"] == [CONVERTED]
    assert [each.before for each in wire.repairs] == [["reasoning"]]


def test_a_call_that_was_cut_does_not_go_back() -> None:
    came = answer(message("Hello"), call("f", '{"a', status="incomplete"), status="incomplete")

    assert items_of(came) == [message("Hello")]


def test_what_the_server_does_not_take_back_is_left_out() -> None:
    assert "status" not in items_of(answer(custom_call("g", "x")))[0]
    assert items_of(answer(call("f", "{}"))) == [call("f", "{}")]


@pytest.mark.parametrize(
    ("item", "goes"),
    [
        (reasoning("a"), True),
        ({**reasoning("a"), "encrypted_content": None, "content": [{"type": "reasoning_text", "text": "a"}]}, True),
        ({**reasoning("a"), "encrypted_content": None}, False),
    ],
)
def test_reasoning_that_is_not_stored_has_to_say_something(item: dict[str, Any], goes: bool) -> None:
    came = answer(item, message("Hello"))

    assert items_of(came, store=False) == [*([item] if goes else []), message("Hello")]
    assert items_of(came) == [item, message("Hello")]


@pytest.mark.parametrize(
    ("model", "is_same"),
    [
        *(("gpt-5-mini", True), ("openai/gpt-5.1", True), ("GPT-5", True), ("gpt-4o", False), ("o3", False)),
        *(("", True), ("my-deployment", True)),
    ],
)
def test_reasoning_of_another_family_of_models_is_not_for_this_one(model: str, is_same: bool) -> None:
    items = [reasoning("a"), message("Hello")]

    assert items_of(answer(*items), model=model) == (items if is_same else [CONVERTED])
    assert items_of(answer(message("Hello")), model=model) == [message("Hello")]


def test_an_answer_of_another_host_is_converted() -> None:
    wire = request_of(answer(reasoning("a"), message("Hello"), host="other.example"))

    assert wire.body["input"] == [CONVERTED]
    assert [each.before for each in wire.repairs] == [["reasoning"]]


def test_an_answer_whose_parts_are_gone_is_converted() -> None:
    parts = [MessagePart(kind="text", text="Hello")]
    came = answer(message("Hello")).model_copy(update={"parts": parts})

    assert items_of(came) == [CONVERTED]


def test_only_what_is_behind_a_stored_answer_is_sent() -> None:
    stored = answer(message("Hello"))
    assert stored.origin is not None
    stored = stored.model_copy(update={"origin": stored.origin.model_copy(update={"id": "resp_1"})})
    messages = [HELLO, stored, Message.user("More")]

    assert items_of(*messages, previous_response_id="resp_1") == items_of(messages[2])
    assert len(items_of(*messages, previous_response_id="resp_9")) == 3
    assert len(items_of(HELLO, {"role": "user", "content": "x"}, previous_response_id="resp_9")) == 2
    assert response()["id"] == "resp_1"


CUSTOM = ToolCall(id="c2", type="custom", function=FunctionCall(name="g", arguments="free"))


def as_message(message: Message) -> Any:
    return message


def as_fields(message: Message) -> Any:
    return message.model_dump(mode="json")


@pytest.mark.parametrize("form", [as_message, as_fields])
def test_the_result_of_a_call_that_the_server_has_is_one_of_its_kind(form: Callable[[Message], Any]) -> None:
    function = ToolCall(id="c1", function=FunctionCall(name="f", arguments="{}"))
    origin = Origin(dialect="openai-responses", host="host.example", id="resp_1")
    stored = Message(tool_calls=[function, CUSTOM], origin=origin)
    results = [Message.tool("1", tool_call_id="c1"), Message.tool("2", tool_call_id="c2")]

    sent = items_of(HELLO, form(stored), *results, previous_response_id="resp_1")

    assert [item["type"] for item in sent] == ["function_call_output", "custom_tool_call_output"]


@pytest.mark.parametrize("read", [dict, Message.model_validate])
def test_the_result_of_an_item_is_one_of_its_kind(read: Callable[[Any], Any]) -> None:
    item = {"type": "custom_tool_call", "call_id": "c2"}
    outcome = Message.tool("2", tool_call_id="c2")

    sent = items_of(read(item), outcome)
    assert sent[0] == item
    assert sent[-1]["type"] == "custom_tool_call_output"


def test_the_last_call_with_an_identifier_has_the_result() -> None:
    outcome = Message.tool("1", tool_call_id="c2")
    again = ToolCall(id="c2", function=FunctionCall(name="f", arguments="{}"))

    sent = items_of(Message(tool_calls=[CUSTOM]), outcome, Message(tool_calls=[again]), outcome)
    assert [item["type"] for item in sent][1::2] == ["custom_tool_call_output", "function_call_output"]


def test_what_the_server_has_is_not_lost_and_no_identifier_of_it_is_given_again() -> None:
    call_of = ToolCall(id="toolu_1", function=FunctionCall(name="f", arguments="{}"))
    other = Message(
        content="a", reasoning_content="t", tool_calls=[call_of], origin=Origin(dialect="anthropic", host="h")
    )
    outcome = Message.tool("1", tool_call_id="toolu_1")
    stored = Message(content="b", origin=Origin(dialect="openai-responses", host="host.example", id="resp_1"))

    wire = request_of(other, outcome, stored, other, outcome, previous_response_id="resp_1")

    assert [item.get("call_id") for item in wire.body["input"]] == [None, "call00002", "call00002"]
    assert [repair.position for repair in wire.repairs] == [3]
