"""What is sent to Ollama's API, and what cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from rxllm.dialects import Endpoint, Ollama, WireRequest
from rxllm.models import ChatRequest, Image, Message, ToolCall
from tests.dialects.refusals import field_refused

HERE = Endpoint(base_url="http://localhost:11434")
ORIGIN = {"dialect": "ollama", "host": "localhost:11434", "model": "m"}
QUESTION = {"role": "user", "content": "q"}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PNG = "data:image/png;base64,aW1n"


def wire(*messages: Any, endpoint: Endpoint = HERE, **fields: Any) -> WireRequest:
    said = messages or (QUESTION,)
    request = ChatRequest.model_validate({"model": "m", "messages": list(said), **fields})
    return Ollama().http_request(request, endpoint)


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    made = dict(wire(*messages, **fields).body)
    json.dumps(made, allow_nan=False)
    return made


def sent(*messages: Any, **fields: Any) -> list[Any]:
    return list(body(*messages, **fields)["messages"])


def refused(*messages: Any, **fields: Any) -> str:
    """The field that cannot be said."""
    return field_refused("ollama", lambda: wire(*messages, **fields))


def call(id: str = "c1", arguments: str = "{}", name: str = "f") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(*parts: dict[str, Any], **fields: Any) -> Message:
    """An answer as accumulating a stream makes it."""
    numbered = [{"index": index, "final": True, **part} for index, part in enumerate(parts)]
    return Message.model_validate({"role": "assistant", "parts": numbered, "origin": ORIGIN, **fields})


# The request itself


@pytest.mark.parametrize(
    "base_url",
    [
        "http://localhost:11434",
        "http://localhost:11434/",
        "http://localhost:11434/api",
        "http://localhost:11434/api/chat",
    ],
)
def test_where_it_goes(base_url: str) -> None:
    request = wire(endpoint=Endpoint(base_url=base_url))
    assert (request.url, request.method, request.framing) == ("http://localhost:11434/api/chat", "POST", "ndjson")
    assert (request.end_marker, request.headers) == (None, {})


def test_the_cloud_has_a_key() -> None:
    cloud = Ollama(cloud=True)
    assert (cloud.home.base_url, cloud.home.key_variable) == ("https://ollama.com", "OLLAMA_API_KEY")
    assert (Ollama().home.base_url, Ollama().home.key_variable) == ("http://localhost:11434", None)
    assert Ollama(cloud=True, home=Ollama(cloud=True).home) == cloud
    endpoint = Endpoint(base_url="https://ollama.com", key=SecretStr("secret"))
    request = cloud.http_request(ChatRequest(model="m", messages=[QUESTION]), endpoint)
    assert (request.url, request.headers) == ("https://ollama.com/api/chat", {"Authorization": "Bearer secret"})


def test_it_is_streamed_and_nothing_is_sent_that_was_not_asked_for() -> None:
    assert body() == {"model": "m", "messages": [QUESTION], "stream": True}


def test_what_the_sampler_is_told_is_among_the_options() -> None:
    fields: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "presence_penalty": 1,
        "frequency_penalty": -1,
    }
    assert body(**fields, max_tokens=9, stop="x")["options"] == {**fields, "num_predict": 9, "stop": ["x"]}
    assert body(max_tokens=9, max_completion_tokens=8, stop=["x", "y"])["options"] == {
        "num_predict": 8,
        "stop": ["x", "y"],
    }


def test_options_of_ones_own_count_one_by_one() -> None:
    made = body(temperature=0.5, seed=7, options={"seed": 8, "num_ctx": 4096})
    assert made["options"] == {"temperature": 0.5, "seed": 8, "num_ctx": 4096}
    assert refused(options=[1]) == "options"


def test_what_nobody_declared_goes_as_it_is() -> None:
    made = body(keep_alive="10m", think="high", reasoning_effort="low", format="json", raw=True)
    assert (made["keep_alive"], made["think"], made["format"], made["raw"]) == ("10m", "high", "json", True)


@pytest.mark.parametrize(
    ("effort", "think"),
    [("none", False), ("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("max", "max")],
)
def test_how_long_it_may_think(effort: str, think: bool | str) -> None:
    assert body(reasoning_effort=effort)["think"] == think


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}, SCHEMA),
    ],
)
def test_the_form_of_the_answer(form: Any, expected: Any) -> None:
    assert body(response_format=form).get("format") == expected


def test_tools_go_as_they_are_unless_none_may_be_called() -> None:
    assert body(tools=[TOOL])["tools"] == [TOOL]
    assert body(tools=[TOOL], tool_choice="auto", parallel_tool_calls=True)["tools"] == [TOOL]
    assert "tools" not in body(tools=[TOOL], tool_choice="none")


def test_what_asks_for_nothing_is_left_out() -> None:
    plain = body()
    said: dict[str, Any] = {
        "n": 1,
        "logit_bias": {},
        "metadata": {},
        "store": False,
        "service_tier": "auto",
        "modalities": ["text"],
    }
    assert body(**said, stream_options={"include_usage": True}) == plain


def test_log_probabilities_are_asked_for() -> None:
    made = body(logprobs=True, top_logprobs=3)
    assert (made["logprobs"], made["top_logprobs"]) == (True, 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logit_bias", {"1": 2.0}),
        ("parallel_tool_calls", False),
        ("verbosity", "low"),
        ("user", "u"),
        ("metadata", {"a": "b"}),
        ("store", True),
        ("service_tier", "flex"),
        ("prediction", {"type": "content"}),
        ("modalities", ["audio"]),
        ("audio", {"voice": "x"}),
        ("reasoning_effort", "xhigh"),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}),
        ("tools", [{"type": "custom", "custom": {"name": "f"}}]),
        ("response_format", {"type": "grammar"}),
        ("response_format", {"type": "json_schema", "json_schema": {}}),
    ],
)
def test_what_cannot_be_said_is_refused_before_anything_is_sent(field: str, value: Any) -> None:
    assert refused(**{field: value}) == field


# Messages


def test_roles() -> None:
    said = [{"role": role, "content": "x"} for role in ("system", "developer", "user", "assistant")]
    assert [each["role"] for each in sent(*said)] == ["system", "system", "user", "assistant"]
    assert refused({"role": "narrator", "content": "x"}) == "role"
    assert sent({"odd": 1}) == [{"odd": 1}]


def test_a_name_is_lost_and_that_is_told() -> None:
    request = wire(Message.user("q", name="Ann"))
    assert request.body["messages"] == [QUESTION]
    assert [(repair.kind, repair.before) for repair in request.repairs] == [("lost-in-conversion", ["name"])]


def test_images_are_base64_beside_the_text() -> None:
    message = Message.user("What is", Image("data:image/jpeg;charset=x;base64,QUJD"), "this?")
    assert sent(message) == [{"role": "user", "content": "What is\nthis?", "images": ["QUJD"]}]
    file = {"role": "user", "content": [{"type": "file", "file": {"file_data": PNG}}]}
    assert sent(file) == [{"role": "user", "content": "", "images": ["aW1n"]}]
    odd = {"role": "user", "content": [{"type": "image_url", "image_url": PNG}]}
    assert sent(odd)[0]["images"] == ["aW1n"]
    detailed = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "high"}}]}
    assert [repair.before for repair in wire(detailed).repairs] == [["detail"]]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "image_url", "image_url": {"url": "https://host/a.png"}}, "image_url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,abc"}}, "image_url"),
        ({"type": "image_url", "image_url": {}}, "image_url"),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}}, "file"),
        ({"type": "input_audio", "input_audio": {"data": "QUJD"}}, "input_audio"),
        ({"text": "x"}, "None"),
        ({"type": "text"}, "text"),
    ],
)
def test_other_parts_are_refused(part: Any, field: str) -> None:
    assert refused({"role": "user", "content": [part]}) == field


def test_a_result_has_the_name_of_its_tool() -> None:
    asked = {"role": "assistant", "content": None, "tool_calls": [call("c1", '{"a":1}', "f"), call("c2", "", "g")]}
    results = [{"role": "tool", "tool_call_id": each, "content": each} for each in ("c2", "c1")]
    first, *others = sent(asked, *results)
    functions: list[dict[str, Any]] = [{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}]
    assert first == {"role": "assistant", "content": "", "tool_calls": [{"function": each} for each in functions]}
    assert others == [
        {"role": "tool", "content": "c2", "tool_name": "g"},
        {"role": "tool", "content": "c1", "tool_name": "f"},
    ]
    assert sent({"role": "tool", "name": "h", "content": "x"}) == [{"role": "tool", "content": "x", "tool_name": "h"}]
    assert refused({"role": "tool", "tool_call_id": "nobody", "content": "x"}) == "messages"


def test_the_same_identifier_in_two_rounds_is_of_the_last_call_before() -> None:
    rounds: list[Any] = []
    for name in ("f", "g"):
        rounds.append({"role": "assistant", "tool_calls": [call("c1", name=name)]})
        rounds.append({"role": "tool", "tool_call_id": "c1", "content": "x"})
    assert [each["tool_name"] for each in sent(*rounds) if each["role"] == "tool"] == ["f", "g"]


@pytest.mark.parametrize("arguments", ["{", "[1]", '{"a": NaN}'])
def test_arguments_that_are_no_object_are_shown_to_the_model(arguments: str) -> None:
    (message,) = sent({"role": "assistant", "tool_calls": [call(arguments=arguments)]})
    assert message["tool_calls"][0]["function"]["arguments"] == {"INVALID_JSON": arguments}


def test_thinking_made_by_hand_goes_along() -> None:
    said = Message.model_validate({"role": "assistant", "content": "a", "reasoning_content": "t", "refusal": "r"})
    assert sent(said) == [{"role": "assistant", "content": "a\nr", "thinking": "t"}]
    assert refused({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}) == "function_call"
    assert refused({"role": "assistant", "audio": {"id": "x"}}) == "audio"


# An answer of this server


BLOCK = {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": 1.0}}, "later": [1]}
OWN = (
    {"kind": "reasoning", "text": "t", "block": {"thinking": "t"}},
    {"kind": "text", "text": "a", "block": {"content": "a"}},
    {"kind": "tool_call", "id": "c1", "name": "f", "text": '{"a": 1.0}', "block": BLOCK},
    {"kind": "text", "text": "b", "block": {"content": "b"}},
)
SAID = {"content": "ab", "reasoning_content": "t", "tool_calls": [call("c1", '{"a": 1.0}')]}
RESULT = Message.tool("r", tool_call_id="c1")


def test_an_answer_goes_back_by_its_parts() -> None:
    request = wire(QUESTION, answer(*OWN, **SAID), RESULT)
    assert request.body["messages"] == [
        QUESTION,
        {"role": "assistant", "content": "ab", "thinking": "t", "tool_calls": [BLOCK]},
        {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "c1"},
    ]
    assert request.repairs == ()


def test_an_identifier_that_was_made_up_does_not_go_back() -> None:
    block: dict[str, Any] = {"function": {"name": "f", "arguments": {}}}
    part: dict[str, Any] = {"kind": "tool_call", "id": "call_abc", "name": "f", "text": "{}", "block": block}
    message = answer(part, content="", tool_calls=[call("call_abc")])
    said, result = sent(message, Message.tool("r", tool_call_id="call_abc"))
    assert said == {"role": "assistant", "content": "", "tool_calls": [block]}
    assert result == {"role": "tool", "content": "r", "tool_name": "f"}


def test_an_answer_whose_text_was_changed_keeps_its_thinking() -> None:
    request = wire(answer(*OWN, **{**SAID, "content": "new"}), RESULT)
    function = {"name": "f", "arguments": {"a": 1.0}}
    assert request.body["messages"][0] == {
        "role": "assistant",
        "content": "new",
        "thinking": "t",
        "tool_calls": [{"function": function}],
    }
    assert request.repairs == ()


@pytest.mark.parametrize("origin", [{**ORIGIN, "host": "ollama.com"}, {**ORIGIN, "dialect": "openai-chat"}])
def test_of_an_answer_from_elsewhere_text_and_calls_go_along(origin: Any) -> None:
    message = answer(*OWN, **SAID).model_copy(update={"origin": Message.model_validate({"origin": origin}).origin})
    request = wire(message, RESULT)
    said, result = request.body["messages"]
    assert said == {
        "role": "assistant",
        "content": "ab",
        "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1.0}}}],
    }
    assert result == {"role": "tool", "content": "r", "tool_name": "f"}
    assert [repair.before for repair in request.repairs] == [["reasoning"]]
    assert "c1" not in json.dumps(dict(request.body))


def test_what_was_cut_does_not_go_back() -> None:
    cut = {"kind": "reasoning", "text": "half", "final": False}
    assert sent(answer(*OWN[1:2], cut, content="a")) == [{"role": "assistant", "content": "a"}]


def test_a_call_can_be_added_to_an_answer() -> None:
    more = ToolCall.model_validate(call("mine", name="h"))
    message = answer(*OWN, **SAID)
    message = message.model_copy(update={"tool_calls": [*message.tool_calls, more]})
    said, result = sent(message, Message.tool("r", tool_call_id="mine"))
    assert [each["function"]["name"] for each in said["tool_calls"]] == ["f", "h"]
    assert result["tool_name"] == "h"
