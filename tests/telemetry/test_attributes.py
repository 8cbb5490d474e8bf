"""What spans say, by which names, and what they do not say."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest
import reactivex
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.semconv.attributes import error_attributes, exception_attributes, server_attributes
from opentelemetry.trace import SpanKind
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatRequest, LLMClient, Message, StreamInfo
from rxllm import operators as ops
from rxllm.dialects import provider_of
from rxllm.exceptions import APIStatusError, APIStreamError, DecodeError, MixedAnswersError
from rxllm.models import marked
from rxllm.sinks import SQLiteSink
from rxllm.telemetry import OpenTelemetry
from rxllm.telemetry._names import ATTRIBUTES, LATEST, METRICS, OPT_IN_VARIABLE
from rxllm.testing import ScriptedServer, finish_chunk, script, text_chunk
from tests.providers import dialect_names
from tests.telemetry.told import REQUEST, Told, facts, telling

_INCUBATING = "opentelemetry.semconv._incubating"
gen_ai_attributes: Any = import_module(f"{_INCUBATING}.attributes.gen_ai_attributes")
openai_attributes: Any = import_module(f"{_INCUBATING}.attributes.openai_attributes")
gen_ai_metrics: Any = import_module(f"{_INCUBATING}.metrics.gen_ai_metrics")

CANARY = "canary-5f1c"
FULL = ChatRequest.model_validate(
    {
        "model": "m",
        "messages": [Message.user("Hi")],
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 40,
        "max_tokens": 9,
        "stop": "END",
        "n": 2,
        "seed": 7,
        "presence_penalty": 0.25,
        "frequency_penalty": -0.25,
        "response_format": {"type": "json_object"},
        "service_tier": "flex",
        "conversation": {"id": "conv_1"},
    }
)


# The table


def registry() -> set[str]:
    modules = (gen_ai_attributes, openai_attributes, server_attributes, error_attributes, exception_attributes)
    return {value for module in modules for name, value in vars(module).items() if name.isupper()}


def test_each_name_is_one_of_the_registry() -> None:
    names = {name for names in ATTRIBUTES.values() for name in names}
    assert {name for name in names - registry() if not name.startswith("rxllm.")} == set()


def test_each_histogram_is_one_of_the_registry() -> None:
    made: list[dict[str, Any]] = []

    class Meter:
        def create_histogram(self, **fields: Any) -> None:
            made.append(fields)

    names = [name for name in dir(gen_ai_metrics) if name.startswith("create_gen_ai_client")]
    makers: list[Callable[[Any], object]] = [getattr(gen_ai_metrics, name) for name in names]
    for make in makers:
        make(Meter())
    ours = [{"name": each.name, "unit": each.unit, "description": each.description} for each in METRICS.values()]
    assert sorted(ours, key=str) == sorted(made, key=str)


def test_the_buckets_are_those_that_are_advised(told: Told) -> None:
    rxllm.run(
        reactivex.of(text_chunk("a"), finish_chunk().model_copy(update={"usage": rxllm.Usage(prompt_tokens=1)})).pipe(
            ops.trace(told.telemetry)
        )
    )
    bounds = {metric.name: told.histogram(metric.name)[0].explicit_bounds for metric in METRICS.values()}
    seconds = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
    assert bounds.pop("gen_ai.client.token.usage") == tuple(4**power for power in range(14))
    assert set(bounds.values()) == {seconds}


@pytest.mark.parametrize(
    ("asked", "latest"),
    [("", False), ("http", False), (LATEST, True), (f" http , {LATEST}", True), ("http/dup", False)],
)
def test_the_environment_says_which_names(asked: str, latest: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPT_IN_VARIABLE, asked)
    with telling() as told:
        rxllm.run(reactivex.of(text_chunk("a")).pipe(ops.trace(told.telemetry, provider="x_ai")))
        found = facts(told.chat)
        (point,) = told.histogram("gen_ai.client.operation.duration")
    for attributes in (found, dict(point.attributes or {})):
        assert attributes["gen_ai.provider.name"] == "x_ai"
        assert attributes.get("gen_ai.system") == (None if latest else "xai")


# The request and the answer


async def test_of_a_request_and_its_answer(told: Told) -> None:
    usage = script.usage(7, 5, cached_tokens=3, reasoning_tokens=2)
    head = {"service_tier": "flex", "system_fingerprint": "fp_1"}
    answer = [
        script.chunk({**head, "id": "1", "model": "m-2", "choices": [{"delta": {"content": "a"}}]}),
        script.finish(),
        usage,
        script.done(),
    ]
    async with ScriptedServer(answer) as server:
        await LLMClient(base_url=server.base_url, telemetry=told.telemetry, retries=0).chat(FULL)
        port = int(server.base_url.rpartition(":")[2].partition("/")[0])
    span = told.chat
    assert (span.name, span.kind) == ("chat m", SpanKind.CLIENT)
    found = dict(facts(span))
    first = found.pop("gen_ai.response.time_to_first_chunk")
    assert isinstance(first, float)
    assert found.pop("rxllm.paused") == 0
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.seed": 7,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.top_k": 40.0,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.presence_penalty": 0.25,
        "gen_ai.request.frequency_penalty": -0.25,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.output.type": "json",
        "gen_ai.conversation.id": "conv_1",
        "openai.api.type": "chat_completions",
        "openai.request.service_tier": "flex",
        "gen_ai.openai.request.service_tier": "flex",
        "openai.response.service_tier": "flex",
        "gen_ai.openai.response.service_tier": "flex",
        "openai.response.system_fingerprint": "fp_1",
        "gen_ai.openai.response.system_fingerprint": "fp_1",
        "server.address": "127.0.0.1",
        "server.port": port,
        "gen_ai.response.id": "1",
        "gen_ai.response.model": found["gen_ai.response.model"],
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "rxllm.chunks": 3,
        "rxllm.ending": "whole",
    }


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"max_completion_tokens": 5, "max_tokens": 9}, "gen_ai.request.max_tokens", 5),
        ({"stop": ["a", "b"]}, "gen_ai.request.stop_sequences", ("a", "b")),
        ({"response_format": {"type": "text"}}, "gen_ai.output.type", "text"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "gen_ai.output.type", "json"),
        ({"modalities": ["text", "audio"]}, "gen_ai.output.type", "speech"),
        ({"conversation": "conv_2"}, "gen_ai.conversation.id", "conv_2"),
        ({"conversation": 5}, "gen_ai.conversation.id", None),
        ({"top_k": "many"}, "gen_ai.request.top_k", None),
        ({"n": 1}, "gen_ai.request.choice.count", None),
        ({"service_tier": "flex"}, "openai.request.service_tier", None),
    ],
)
def test_of_a_request(fields: dict[str, Any], name: str, value: Any, told: Told) -> None:
    request = ChatRequest.model_validate({"model": "m", "messages": [], **fields})
    rxllm.run(reactivex.of(1).pipe(ops.trace(told.telemetry, request=request)))
    assert facts(told.chat).get(name) == value
    assert facts(told.chat)["rxllm.chunks"] == 1


@pytest.mark.parametrize("dialect", dialect_names())
async def test_each_dialect_has_its_provider(dialect: Any, told: Told) -> None:
    answer = [script.text("Hello"), script.usage(7, 5), script.finish(), script.done()]
    async with ScriptedServer(answer, dialect=dialect) as server:
        client = LLMClient(base_url=server.base_url, dialect=dialect, api_key="key", telemetry=told.telemetry)
        await client.chat(REQUEST)
    found = facts(told.chat)
    known = {each.value for each in gen_ai_attributes.GenAiProviderNameValues}
    assert found["gen_ai.provider.name"] in known | {"ollama"}
    assert found["gen_ai.provider.name"] == provider_of(dialect, None)
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (7, 5)
    assert len(found["gen_ai.response.finish_reasons"]) == 1


@pytest.mark.parametrize(
    ("dialect", "host", "provider"),
    [
        ("openai-chat", None, "openai"),
        ("openai-chat", "api.groq.com", "groq"),
        ("openai-chat", "api.mistral.ai", "mistral_ai"),
        ("openai-chat", "API.X.AI.", "x_ai"),
        ("openai-chat", "api.deepseek.com", "deepseek"),
        ("openai-chat", "api.perplexity.ai", "perplexity"),
        ("openai-chat", "openrouter.ai", "openrouter"),
        ("openai-chat", "mine.openai.azure.com", "azure.ai.openai"),
        ("openai-chat", "bedrock-runtime.us-east-1.amazonaws.com", "aws.bedrock"),
        ("openai-chat", "mine.elb.amazonaws.com", "openai"),
        ("gemini", "europe-west4-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("gemini", "aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("openai-chat", "generativelanguage.googleapis.com", "gcp.gemini"),
        ("ollama", "ollama.com", "ollama"),
        ("mine", "10.1.2.3", "mine"),
        (None, "localhost", None),
    ],
)
def test_who_answers(dialect: str | None, host: str | None, provider: str | None) -> None:
    assert provider_of(dialect, host) == provider


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [("api.groq.com", "api.groq.com", None), ("[::1]:8080", "::1", 8080), ("localhost:81", "localhost", 81)],
)
def test_of_a_stream_that_is_known_by_its_chunks(host: str, address: str, port: int | None, told: Told) -> None:
    stream = StreamInfo(host=host, dialect="openai-chat")
    chunks = [marked(text_chunk("a"), stream=stream), marked(finish_chunk(), stream=stream)]
    rxllm.run(reactivex.of(*chunks).pipe(ops.trace(told.telemetry)))
    found = facts(told.chat)
    assert (found.get("server.address"), found.get("server.port")) == (address, port)
    assert found["gen_ai.provider.name"] == ("groq" if port is None else "openai")
    assert told.chat.name == "chat"


async def test_a_recording(told: Told, tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    async with ScriptedServer("Hello") as server:
        await LLMClient(base_url=server.base_url).chat_stream(REQUEST).pipe(ops.tee_to(SQLiteSink(path)))
    await rxllm.from_recording(path).pipe(ops.trace(told.telemetry))
    found = facts(told.chat)
    assert (found["gen_ai.provider.name"], found["rxllm.ending"]) == ("openai", "whole")
    # When chunks come out of a file tells nothing of the provider.
    assert "gen_ai.response.time_to_first_chunk" not in found
    assert not told.histogram("gen_ai.client.operation.time_per_output_chunk")


def test_an_answer_that_begins_anew(told: Told) -> None:
    first = finish_chunk("length").model_copy(update={"id": "1", "usage": rxllm.Usage(prompt_tokens=5)})
    second = marked(text_chunk("b").model_copy(update={"id": "2"}), begins=True, restarts=True)
    rxllm.run(reactivex.of(text_chunk("a"), first, second).pipe(ops.trace(told.telemetry)))
    found = facts(told.chat)
    assert found["gen_ai.response.id"] == "2"
    assert not {"gen_ai.response.finish_reasons", "gen_ai.usage.input_tokens"} & found.keys()


def test_what_a_cache_was_given(told: Told) -> None:
    usage = rxllm.Usage.model_validate(
        {"prompt_tokens": 9, "cache_creation_input_tokens": 4, "prompt_tokens_details": 5}
    )
    rxllm.run(reactivex.of(finish_chunk().model_copy(update={"usage": usage})).pipe(ops.trace(told.telemetry)))
    assert facts(told.chat)["gen_ai.usage.cache_creation.input_tokens"] == 4


# What was said


SAID = ChatRequest.model_validate(
    {
        "model": "m",
        "messages": [
            Message.system("Be kind."),
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": f"{CANARY} \ud800"},
                    {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    "no part",
                ],
            },
            Message.assistant(
                "Well", tool_calls=[rxllm.ToolCall(id="1", function=rxllm.FunctionCall(name="f", arguments='{"a": 1}'))]
            ),
            {
                "role": "assistant",
                "reasoning": "Hm",
                "refusal": "No",
                "content": None,
                "tool_calls": [
                    {"id": "2", "function": {"name": "g", "arguments": "{no"}},
                    {"id": "3", "function": {"name": "h", "arguments": {"a": 2}}},
                    5,
                ],
            },
            Message.tool("rain", tool_call_id="1"),
            {"content": 5},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}, {"name": "g"}],
    }
)


async def test_what_was_said_if_it_is_asked_for() -> None:
    answer = [
        script.reasoning("Hm"),
        script.text(CANARY),
        *script.tool_call("weather", '{"city": "Oslo"}', id="c"),
        script.finish("tool_calls"),
        script.done(),
    ]
    with telling(capture_content=True) as told:
        async with ScriptedServer(answer) as server:
            await LLMClient(base_url=server.base_url, telemetry=told.telemetry).chat(SAID)
        found = facts(told.chat)
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]},
        {
            "role": "user",
            "name": "ann",
            "parts": [
                {"type": "text", "content": f"{CANARY} ?"},
                {"type": "uri", "modality": "image", "uri": "https://example.org/cat.png"},
                {"type": "image_url"},
            ],
        },
        {
            "role": "assistant",
            "parts": [
                {"type": "text", "content": "Well"},
                {"type": "tool_call", "id": "1", "name": "f", "arguments": {"a": 1}},
            ],
        },
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm"},
                {"type": "refusal", "content": "No"},
                {"type": "tool_call", "id": "2", "name": "g", "arguments": "{no"},
                {"type": "tool_call", "id": "3", "name": "h", "arguments": {"a": 2}},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "rain"}]},
        {"role": "user", "parts": []},
    ]
    assert json.loads(found["gen_ai.tool.definitions"]) == [
        {"type": "function", "name": "f"},
        {"type": "function", "name": "g"},
    ]
    assert json.loads(found["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "finish_reason": "tool_calls",
            "parts": [
                {"type": "reasoning", "content": "Hm"},
                {"type": "text", "content": CANARY},
                {"type": "tool_call", "id": "c", "name": "weather", "arguments": {"city": "Oslo"}},
            ],
        },
    ]


def test_what_was_said_of_an_answer_that_was_left() -> None:
    call = script.tool_call("weather", '{"city": "Oslo"}', id="c")
    chunks = [rxllm.StreamChunk.from_wire(msgspec.json.decode(msgspec.json.encode(each.payload))) for each in call]
    with telling(capture_content=True) as told:
        rxllm.run(
            reactivex.of(*chunks[:2], *chunks).pipe(
                ops.trace(told.telemetry), ops.accumulate_snapshots(), rx_ops.take(2)
            )
        )
        (message,) = json.loads(facts(told.chat)["gen_ai.output.messages"])
    assert message["finish_reason"] == "error"
    assert [part["type"] for part in message["parts"]] == ["tool_call"]


def test_long_texts_are_cut() -> None:
    arguments = json.dumps({"a": "x" * 40_000})
    call = rxllm.ToolCall(id="1", function=rxllm.FunctionCall(name="f", arguments=arguments))
    request = ChatRequest(
        model="m", messages=[Message.user("x" * 40_000)] * 1_200 + [Message.assistant(tool_calls=[call])]
    )
    with telling(capture_content=True) as told:
        rxllm.run(reactivex.of(text_chunk("a")).pipe(ops.trace(told.telemetry, request=request)))
        messages = json.loads(facts(told.chat)["gen_ai.input.messages"])
    assert len(messages) == 1_000
    assert messages[0]["parts"][0]["content"].endswith("x… (7232 more)")
    assert messages[-1]["parts"][0]["arguments"].endswith(" more)")


def test_two_answers_in_one_stream_have_no_content() -> None:
    chunks = [marked(text_chunk("a"), begins=True), marked(text_chunk("b"), begins=True)]
    with telling(capture_content=True) as told:
        rxllm.run(reactivex.of(*chunks).pipe(ops.trace(told.telemetry)))
        assert "gen_ai.output.messages" not in facts(told.chat)


@pytest.mark.parametrize("captures", [False, True])
async def test_nothing_of_it_is_told_else_and_a_key_never(captures: bool) -> None:
    key = "sk-0123456789abcdef"
    call = script.tool_call("weather", json.dumps({"city": CANARY}), id="c")
    answers: list[Any] = [
        script.status(503, {"error": {"message": f"busy: {CANARY} {key}"}}, headers={"retry-after": "0"}),
        [script.text(CANARY), *call, script.finish("tool_calls"), script.done()],
        [script.text(CANARY), script.error(f"{CANARY} {key}")],
    ]

    def weather(city: str) -> str:
        raise ValueError(city)

    with telling(capture_content=captures) as told:
        async with ScriptedServer(*answers) as server:
            client = LLMClient(
                base_url=f"{server.base_url}?key={key}",
                api_key=key,
                telemetry=told.telemetry,
            )
            events = client.chat_with_tools(
                {"model": "m", "messages": [Message.user(CANARY)], "user": CANARY},
                registry=rxllm.ToolRegistry([weather]),
            )
            with pytest.raises(APIStreamError):
                await events
        text = told.everything()
    assert key not in text
    assert (CANARY in text) == captures


async def test_a_decoding_error_quotes_nothing(told: Told) -> None:
    async with ScriptedServer([f"data: {{{CANARY}\n\n".encode()]) as server:
        with pytest.raises(DecodeError, match=CANARY):
            await LLMClient(base_url=server.base_url, telemetry=told.telemetry).chat(REQUEST)
    assert CANARY not in told.everything()


def test_a_message_of_an_error_is_made_harmless() -> None:
    with telling(capture_content=True) as told:
        with pytest.raises(OSError, match="red"):
            rxllm.run(reactivex.throw(OSError("\x1b[31mred")).pipe(ops.trace(told.telemetry)))
        (event,) = told.chat.events
    assert dict(event.attributes or {}) == {"exception.type": "OSError", "exception.message": "␛[31mred"}


def test_an_error_of_somebody_else_has_its_module(told: Told) -> None:
    with pytest.raises(json.JSONDecodeError):
        rxllm.run(reactivex.throw(json.JSONDecodeError("x", "", 0)).pipe(ops.trace(told.telemetry)))
    assert facts(told.chat)["error.type"] == "json.decoder.JSONDecodeError"


def test_mixed_answers_below_are_no_concern_of_the_span(told: Told) -> None:
    chunks = [marked(text_chunk("a"), begins=True), marked(text_chunk("b"), begins=True)]
    with pytest.raises(MixedAnswersError):
        rxllm.run(reactivex.of(*chunks).pipe(ops.trace(told.telemetry), ops.accumulate()))
    assert facts(told.chat)["rxllm.ending"] == "left_unfinished"


# Whatever a server says


def test_names_are_bounded_and_such_that_an_exporter_can_write_them(told: Told) -> None:
    long, half = "m" * 5_000, "m\ud800"
    choices = [{"index": 0, "delta": {"content": "a"}, "finish_reason": long}]
    wire = {"id": long, "model": long, "system_fingerprint": long, "choices": choices}
    chunk = rxllm.StreamChunk.from_wire(wire)
    rxllm.run(reactivex.of(chunk).pipe(ops.trace(told.telemetry, model=half, provider="openai")))
    assert told.chat.name == "chat m\ufffd"
    found = facts(told.chat)
    assert found["gen_ai.request.model"] == "m\ufffd"
    for name in ("gen_ai.response.id", "gen_ai.response.model", "openai.response.system_fingerprint"):
        assert found[name] == "m" * 1_000
    assert found["gen_ai.response.finish_reasons"] == ("m" * 1_000,)


def test_of_very_many_choices_some_reasons_are_told(told: Told) -> None:
    choices: list[dict[str, Any]] = [{"index": index, "delta": {}, "finish_reason": "stop"} for index in range(1_000)]
    rxllm.run(reactivex.of(rxllm.StreamChunk.from_wire({"choices": choices})).pipe(ops.trace(told.telemetry)))
    assert facts(told.chat)["gen_ai.response.finish_reasons"] == ("stop",) * 100


@pytest.mark.parametrize("tokens", [-1, 2**63, 10**400], ids=["negative", "large", "huge"])
def test_a_number_of_tokens_that_cannot_be_exported_is_none(tokens: int, told: Told) -> None:
    usage = rxllm.Usage(prompt_tokens=tokens, completion_tokens=3)
    rxllm.run(reactivex.of(finish_chunk().model_copy(update={"usage": usage})).pipe(ops.trace(told.telemetry)))
    found = facts(told.chat)
    assert "gen_ai.usage.input_tokens" not in found
    assert found["gen_ai.usage.output_tokens"] == 3
    (point,) = told.histogram("gen_ai.client.token.usage")
    assert (point.count, point.sum) == (1, 3)


def test_what_is_openais_is_told_where_the_chunks_say_that_it_is(told: Told) -> None:
    wire = {"service_tier": "flex", "choices": [{"delta": {"content": "a"}}]}
    chunk = marked(rxllm.StreamChunk.from_wire(wire), stream=StreamInfo(dialect="openai-chat"))
    rxllm.run(reactivex.of(chunk).pipe(ops.trace(told.telemetry)))
    assert facts(told.chat)["openai.response.service_tier"] == "flex"
    assert facts(told.chat)["openai.api.type"] == "chat_completions"


async def test_which_interface_of_openai_it_is_is_known_before_an_answer_and_auto_is_no_tier(told: Told) -> None:
    request = REQUEST.model_copy(update={"service_tier": "auto"})
    async with ScriptedServer(script.status(400, {"error": {}}), dialect="openai-responses") as server:
        client = LLMClient(base_url=server.base_url, dialect="openai-responses", telemetry=told.telemetry, retries=0)
        with pytest.raises(APIStatusError):
            await client.chat(request)
    found = facts(told.chat)
    assert found["openai.api.type"] == "responses"
    assert "openai.request.service_tier" not in found


# Spans that nobody sees


def test_of_an_answer_that_is_not_sampled_nothing_that_was_said_is_put_together() -> None:
    asked: list[str] = []

    class Looked(dict[str, Any]):
        def get(self, *arguments: Any) -> Any:
            asked.append(str(arguments))
            return super().get(*arguments)

    request = SAID.model_copy(update={"messages": [Looked(role="user", content="Hi")]})
    for sampler, looks in ((ALWAYS_OFF, False), (ALWAYS_ON, True)):
        telemetry = OpenTelemetry(tracer_provider=TracerProvider(sampler=sampler), capture_content=True)
        asked.clear()
        rxllm.run(reactivex.of(text_chunk("a")).pipe(ops.trace(telemetry, request=request)))
        assert bool(asked) is looks


def test_spans_say_which_version_made_them(told: Told) -> None:
    rxllm.run(reactivex.of(text_chunk("a")).pipe(ops.trace(told.telemetry)))
    scope = told.chat.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.version) == ("rxllm", version("rxllm"))
