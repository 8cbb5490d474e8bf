"""What is sent to the Gemini API, and what cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from rxllm.dialects import Endpoint, Gemini, WireRequest
from rxllm.models import ChatRequest, Message
from tests.dialects.refusals import field_refused

HOST = "generativelanguage.googleapis.com"
HERE = Endpoint(base_url=f"https://{HOST}")
OLD, NEW = "gemini-2.5-flash", "gemini-3-pro"
QUESTION = {"role": "user", "content": "q"}
ASKED = {"role": "user", "parts": [{"text": "q"}]}
PNG = "data:image/png;base64,aW1n"
UNCHECKED = "skip_thought_signature_validator"


def wire(*messages: Any, dialect: Gemini | None = None, endpoint: Endpoint = HERE, **fields: Any) -> WireRequest:
    said = {"model": OLD, "messages": list(messages or (QUESTION,)), **fields}
    return (dialect or Gemini()).http_request(ChatRequest.model_validate(said), endpoint)


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    made = dict(wire(*messages, **fields).body)
    json.dumps(made, allow_nan=False)
    return made


def config(**fields: Any) -> Any:
    return body(**fields).get("generationConfig")


def sent(*messages: Any, **fields: Any) -> list[Any]:
    return list(body(*messages, **fields)["contents"])


def lost(*messages: Any, **fields: Any) -> list[tuple[str, Any, Any]]:
    return [(repair.kind, repair.position, repair.before) for repair in wire(*messages, **fields).repairs]


def refused(*messages: Any, **fields: Any) -> str:
    """The field that cannot be said."""
    return field_refused("gemini", lambda: wire(*messages, **fields))


def call(id: str = "c1", arguments: str = "{}", name: str = "f") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(id: str | None = "c1", content: Any = "r", **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content, **fields}


# Where it goes


@pytest.mark.parametrize("base", ["", "/", "/v1beta", "/v1beta/"])
@pytest.mark.parametrize("model", ["gemini-x", "models/gemini-x"])
def test_where_it_goes(base: str, model: str) -> None:
    request = wire(model=model, endpoint=Endpoint(base_url=f"https://{HOST}{base}", key=SecretStr("k")))
    assert request.url == f"https://{HOST}/v1beta/models/gemini-x:streamGenerateContent?alt=sse"
    assert (request.method, request.framing, request.end_marker) == ("POST", "sse", None)
    assert request.headers == {"x-goog-api-key": "k"}
    assert body(model=model) == {"contents": [ASKED]}


def test_other_versions_and_models() -> None:
    place = Endpoint(base_url=f"https://{HOST}?key=1")
    request = wire(dialect=Gemini(version="v1"), endpoint=place, model="tunedModels/a b:c")
    assert request.url == f"https://{HOST}/v1/tunedModels/a%20b%3Ac:streamGenerateContent?key=1&alt=sse"
    assert request.headers == {}


def test_on_vertex() -> None:
    base = "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1"
    place = Endpoint(base_url=base, key=SecretStr("token"))
    request = wire(dialect=Gemini(platform="vertex"), endpoint=place)
    assert request.url == f"{base}/publishers/google/models/{OLD}:streamGenerateContent?alt=sse"
    assert request.headers == {"Authorization": "Bearer token"}
    other = wire(dialect=Gemini(platform="vertex"), endpoint=place, model="publishers/meta/models/llama@1")
    assert other.url == f"{base}/publishers/meta/models/llama@1:streamGenerateContent?alt=sse"


def test_its_home() -> None:
    home = Gemini().home
    assert (home.base_url, home.base_url_variable, home.key_variable) == (
        f"https://{HOST}",
        "GOOGLE_GEMINI_BASE_URL",
        "GEMINI_API_KEY",
    )
    vertex = Gemini(platform="vertex").home
    assert (vertex.base_url, vertex.base_url_variable, vertex.key_variable) == (None, "GOOGLE_VERTEX_BASE_URL", None)
    assert Gemini(home=vertex).home is vertex
    assert {Gemini(), Gemini(version="v1beta")} == {Gemini()}
    with pytest.raises(ValueError, match="platform"):
        Gemini(platform="moon")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Fields


def test_fields_that_are_translated() -> None:
    assert config(
        temperature=0,
        top_p=0.5,
        n=2,
        seed=7,
        presence_penalty=1,
        frequency_penalty=-1,
        logprobs=True,
        top_logprobs=3,
        max_tokens=9,
        max_completion_tokens=8,
        stop="x",
        modalities=["text", "image"],
    ) == {
        "temperature": 0,
        "topP": 0.5,
        "candidateCount": 2,
        "seed": 7,
        "presencePenalty": 1,
        "frequencyPenalty": -1,
        "responseLogprobs": True,
        "logprobs": 3,
        "maxOutputTokens": 8,
        "stopSequences": ["x"],
        "responseModalities": ["TEXT", "IMAGE"],
    }
    assert config(max_tokens=9, stop=["x", "y"]) == {"maxOutputTokens": 9, "stopSequences": ["x", "y"]}


def test_what_asks_for_nothing_is_left_out() -> None:
    fields: dict[str, Any] = {
        "logit_bias": {},
        "metadata": {},
        "store": False,
        "service_tier": "auto",
        "parallel_tool_calls": True,
        "stream_options": {"include_usage": True},
        "response_format": {"type": "text"},
        "tools": [],
        "stop": [],
    }
    assert body(**fields) == {"contents": [ASKED]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logit_bias", {"1": 1}),
        ("verbosity", "low"),
        ("user", "u"),
        ("metadata", {"a": "b"}),
        ("store", True),
        ("service_tier", "flex"),
        ("prediction", {}),
        ("parallel_tool_calls", False),
        ("reasoning_effort", "vast"),
        ("response_format", {"type": "grammar"}),
        ("response_format", {"type": "json_schema"}),
        ("response_format", {"type": "json_schema", "json_schema": {"schema": 5}}),
        ("tool_choice", "some"),
        ("tool_choice", {"type": "custom"}),
        ("tool_choice", {"type": "function", "function": 5}),
        ("tools", [{"type": "custom", "custom": {"name": "f"}}]),
        ("audio", {"voice": "Kore", "format": "mp3"}),
        ("contents", []),
    ],
)
def test_what_cannot_be_said_is_refused_before_anything_is_sent(field: str, value: Any) -> None:
    assert refused(**{field: value}) == field


def test_what_nobody_declared_goes_as_it_is_and_counts_first() -> None:
    fields = {"safetySettings": [{"category": "c"}], "cachedContent": "cachedContents/1", "labels": {"a": "b"}}
    assert body(**fields) == {"contents": [ASKED], **fields}
    own: Any = {"temperature": 1, "topK": 5, "thinkingConfig": {"thinkingBudget": -1}}
    assert config(temperature=0, seed=1, reasoning_effort="low", generationConfig=own) == {**own, "seed": 1}
    assert body(generationConfig=5)["generationConfig"] == 5
    calling = {"retrievalConfig": {"languageCode": "no"}}
    assert body(tool_choice="auto", toolConfig=calling)["toolConfig"] == {
        "functionCallingConfig": {"mode": "AUTO"},
        **calling,
    }


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        (OLD, "none", {"includeThoughts": False, "thinkingBudget": 0}),
        (OLD, "low", {"includeThoughts": True, "thinkingBudget": 1024}),
        ("models/gemini-flash-latest", "high", {"includeThoughts": True, "thinkingBudget": 24576}),
        (NEW, "minimal", {"includeThoughts": True, "thinkingLevel": "minimal"}),
        ("publishers/google/models/gemini-3.1-pro", "xhigh", {"includeThoughts": True, "thinkingLevel": "high"}),
    ],
)
def test_how_long_a_model_may_think(model: str, effort: str, thinking: Any) -> None:
    assert config(model=model, reasoning_effort=effort) == {"thinkingConfig": thinking}


def test_the_newer_models_cannot_do_without_thinking() -> None:
    assert refused(model=NEW, reasoning_effort="none") == "reasoning_effort"


def test_the_form_of_the_answer() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    assert config(response_format=form) == {"responseMimeType": "application/json", "responseJsonSchema": schema}
    assert config(response_format={"type": "json_object"}) == {"responseMimeType": "application/json"}


def test_a_spoken_answer() -> None:
    voice = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}
    for audio in ({"voice": "Kore"}, {"voice": "Kore", "format": "pcm16"}):
        assert config(audio=audio, modalities=["audio"]) == {"responseModalities": ["AUDIO"], "speechConfig": voice}


def test_tools() -> None:
    parameters = {"type": "object", "properties": {"a": {"type": "string"}}}
    ours: Any = {
        "type": "function",
        "function": {"name": "f", "description": "d", "strict": True, "parameters": parameters},
    }
    bare: Any = {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}}
    nothing: Any = {"type": "function", "function": {"name": "h"}}
    own: Any = {"functionDeclarations": [{"name": "i"}], "codeExecution": {}}
    more: Any = [{"functionDeclarations": [{"name": "j"}]}, {"googleSearch": {}}]
    assert body(tools=[ours, bare, nothing, own, *more])["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": parameters},
                *({"name": name} for name in "ghij"),
            ]
        },
        {"codeExecution": {}},
        {"googleSearch": {}},
    ]
    assert body(tools=[{"urlContext": {}}])["tools"] == [{"urlContext": {}}]


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ("none", {"mode": "NONE"}),
        ({"type": "function", "function": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ({"mode": "VALIDATED"}, {"mode": "VALIDATED"}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"function": {"name": "f"}}, 5]}},
            {"mode": "VALIDATED", "allowedFunctionNames": ["f"]},
        ),
    ],
)
def test_the_choice_of_a_tool(given: Any, made: Any) -> None:
    assert body(tool_choice=given)["toolConfig"] == {"functionCallingConfig": made}


# Messages


def test_what_the_system_says() -> None:
    made = body(
        {"role": "system", "content": "a"}, QUESTION, {"role": "developer", "content": [{"type": "text", "text": "b"}]}
    )
    assert made["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert made["contents"] == [ASKED]
    own: Any = {"parts": [{"text": "mine"}]}
    assert body(systemInstruction=own)["systemInstruction"] == own
    assert refused({"role": "system", "content": "a"}, systemInstruction=own) == "systemInstruction"


def test_content_parts() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "a"},
        {"type": "text", "text": ""},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": "https://host/a.png?x=1"},
        {"type": "video_url", "video_url": {"url": "gs://bucket/v.mp4"}},
        {"type": "audio_url", "audio_url": {"url": "https://host/sound"}},
        {"type": "input_audio", "input_audio": {"data": "c291", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "c291", "format": "odd"}},
        {"type": "file", "file": {"file_id": "https://host/v1beta/files/1"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,cGRm"}},
        {"inlineData": {"mimeType": "x/y", "data": "eA=="}, "mediaResolution": {}},
    ]
    (content,) = sent({"role": "user", "content": parts})
    assert content["parts"] == [
        {"text": "a"},
        {"inlineData": {"mimeType": "image/png", "data": "aW1n"}},
        {"fileData": {"fileUri": "https://host/a.png?x=1", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "gs://bucket/v.mp4", "mimeType": "video/mp4"}},
        {"fileData": {"fileUri": "https://host/sound"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "c291"}},
        {"inlineData": {"mimeType": "application/octet-stream", "data": "c291"}},
        {"fileData": {"fileUri": "https://host/v1beta/files/1"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "cGRm"}},
        parts[-1],
    ]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "image_url", "image_url": {}}, "image_url"),
        ({"type": "image_url", "image_url": {"url": "ftp://host/a"}}, "image_url"),
        ({"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg/>"}}, "image_url"),
        ({"type": "file", "file": {}}, "file"),
        ({"type": "hologram", "hologram": {}}, "hologram"),
        ({"type": "input_audio"}, "input_audio"),
    ],
)
def test_parts_that_cannot_be_said(part: Any, field: str) -> None:
    assert refused({"role": "user", "content": [part]}) == field


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "narrator", "content": "x"}, "role"),
        ({"role": "tool", "content": "x"}, "messages"),
        ({"role": "tool", "content": "x", "tool_call_id": "none"}, "messages"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
        ({"role": "assistant", "audio": {"id": "a"}}, "audio"),
    ],
)
def test_messages_that_cannot_be_said(message: Any, field: str) -> None:
    assert refused(message) == field


def test_a_dictionary_that_is_no_message_and_messages_without_content() -> None:
    for own in ({"parts": [{"text": "x"}]}, {"role": "model", "parts": [{"text": "x"}]}, {"kind": 1}):
        assert sent(own, {"role": "user", "content": ""}, {"role": "assistant", "content": None}, QUESTION) == [
            own,
            ASKED,
        ]
    stored = answer().model_dump(mode="json")
    assert sent(stored, model=NEW) == sent(answer(), model=NEW) == [{"role": "model", "parts": BLOCKS}]


def test_a_name_and_reasoning_that_nobody_signed_are_lost() -> None:
    said = {"role": "assistant", "content": "a", "reasoning_content": "t"}
    assert sent(said) == [{"role": "model", "parts": [{"text": "a"}]}]
    assert lost({**QUESTION, "name": "me"}, said, {"role": "assistant", "content": "b", "name": "it"}) == [
        ("lost-in-conversion", 0, ["name"]),
        ("lost-in-conversion", 1, ["reasoning"]),
        ("lost-in-conversion", 2, ["name"]),
    ]


def test_a_refusal_goes_as_a_text() -> None:
    assert sent({"role": "assistant", "content": "a", "refusal": "no"})[0]["parts"] == [{"text": "a"}, {"text": "no"}]


def test_results_have_the_name_of_their_tool_and_are_together() -> None:
    calls = {"role": "assistant", "tool_calls": [call("c1"), call("c2", name="g"), call("c3", name="h")]}
    contents = sent(
        calls,
        result("c1", '{"a": 1}'),
        result("c2", "[1]"),
        result("c3", "not {json"),
        {"role": "assistant", "tool_calls": [call("c1", name="again")]},
        result("c1", "boom", is_error=True),
        result(None, "", name="by-hand"),
        QUESTION,
    )
    assert [content["role"] for content in contents] == ["model", "user", "model", "user", "user"]
    assert [
        part["functionResponse"] for content in contents for part in content["parts"] if "functionResponse" in part
    ] == [
        {"name": "f", "response": {"a": 1}},
        {"name": "g", "response": {"result": [1]}},
        {"name": "h", "response": {"result": "not {json"}},
        {"name": "again", "response": {"error": "boom"}},
        {"name": "by-hand", "response": {"result": ""}},
    ]


def test_a_result_may_have_images() -> None:
    seen = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": PNG}}]
    (_, said) = sent({"role": "assistant", "tool_calls": [call()]}, result(content=seen))
    image = {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}
    assert said["parts"] == [{"functionResponse": {"name": "f", "response": {"result": "see"}, "parts": [image]}}]


@pytest.mark.parametrize(
    ("arguments", "args"),
    [('{"a": 1}', {"a": 1}), ("", {}), ("{", {"INVALID_JSON": "{"}), ("[1]", {"INVALID_JSON": "[1]"})],
)
def test_arguments(arguments: str, args: Any) -> None:
    (content,) = sent({"role": "assistant", "tool_calls": [call(arguments=arguments)]})
    assert content["parts"] == [{"functionCall": {"name": "f", "args": args}}]


@pytest.mark.parametrize(
    ("model", "is_signed"), [(OLD, False), (NEW, True), ("models/gemini-4", True), ("gemma", False)]
)
def test_calls_from_elsewhere_have_a_signature_that_is_not_checked(model: str, *, is_signed: bool) -> None:
    calls = {"role": "assistant", "content": "a", "tool_calls": [call("c1"), call("c2")]}
    (content,) = sent(calls, model=model)
    bare: Any = {"functionCall": {"name": "f", "args": {}}}
    first: Any = {**bare, "thoughtSignature": UNCHECKED} if is_signed else bare
    assert content == {"role": "model", "parts": [{"text": "a"}, first, bare]}


# Answers that go back


BLOCKS: list[dict[str, Any]] = [
    {"text": "Let me see.", "thought": True},
    {"text": "", "thoughtSignature": "s0"},
    {"text": "I look."},
    {"executableCode": {"language": "PYTHON", "code": "1"}},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
    {"functionCall": {"name": "f", "args": {"a": 1}, "id": "own"}, "thoughtSignature": "s1"},
    {"functionCall": {"name": "g", "args": {}}},
]
KINDS = ("reasoning", "text", "text", "server_tool", "server_result", "tool_call", "tool_call")
TEXTS = ("Let me see.", "", "I look.", "1", "", '{"a": 1}', "{}")
IDS = (None, None, None, None, None, "own", "call_made_up")


def answer(model: str | None = NEW, host: str = HOST, **fields: Any) -> Message:
    """An answer as accumulating a stream makes it."""
    parts = [
        {
            "index": index,
            "kind": kind,
            "text": text,
            "id": id_,
            "name": block.get("functionCall", {}).get("name"),
            "block": block,
            "final": True,
        }
        for index, (kind, text, id_, block) in enumerate(zip(KINDS, TEXTS, IDS, BLOCKS, strict=True))
    ]
    said = {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [call("own", '{"a": 1}'), call("call_made_up", name="g")],
        "parts": parts,
        "origin": {"dialect": "gemini", "host": host, "model": model},
    }
    return Message.model_validate({**said, **fields})


RESULTS = (result("own"), result("call_made_up"))


@pytest.mark.parametrize(("model", "asked"), [(NEW, NEW), (NEW, "gemini-3-flash"), (None, OLD), (NEW, "gemma-3")])
def test_an_answer_goes_back_unchanged(model: str | None, asked: str) -> None:
    request = wire(QUESTION, answer(model), *RESULTS, model=asked)
    _, said, results = request.body["contents"]
    assert said == {"role": "model", "parts": BLOCKS}
    assert [part["functionResponse"] for part in results["parts"]] == [
        {"id": "own", "name": "f", "response": {"result": "r"}},
        {"name": "g", "response": {"result": "r"}},
    ]
    assert request.repairs == ()


def test_another_generation_of_models_cannot_read_signatures() -> None:
    bare: Any = [{name: block[name] for name in block if name != "thoughtSignature"} for block in BLOCKS[2:]]
    (said, _) = sent(answer(NEW), *RESULTS, model=OLD)
    assert said["parts"] == bare
    assert lost(answer(NEW), model=OLD) == [("lost-in-conversion", 0, ["reasoning"])]
    (said, _) = sent(answer(OLD), *RESULTS, model=NEW)
    assert said["parts"] == [*bare[:3], {**bare[3], "thoughtSignature": UNCHECKED}, bare[4]]


def test_without_thoughts_nothing_is_lost() -> None:
    part = {"index": 0, "kind": "text", "text": "a", "block": {"text": "a"}, "final": True}
    said = answer(OLD, content="a", tool_calls=[], parts=[part])
    assert sent(said, model=NEW) == [{"role": "model", "parts": [{"text": "a"}]}]
    assert lost(said, model=NEW) == []


@pytest.mark.parametrize("changed", [{"host": "elsewhere"}, {"content": "I looked."}])
def test_to_another_host_and_edited_text_and_calls_go(changed: Any) -> None:
    request = wire(QUESTION, answer(**changed), result("own"), result("call_made_up"), model=NEW)
    _, said, results = request.body["contents"]
    assert said["parts"] == [
        {"text": changed.get("content", "I look.")},
        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": UNCHECKED},
        {"functionCall": {"name": "g", "args": {}}},
    ]
    assert [part["functionResponse"]["name"] for part in results["parts"]] == ["f", "g"]
    assert "s1" not in json.dumps(request.body)
    assert '"own"' not in json.dumps(request.body)
    assert [repair.kind for repair in request.repairs] == ["lost-in-conversion"]
