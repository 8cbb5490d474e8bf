"""Bedrock's Converse API through the client: keys, signatures, round trips, and botocore's client as second opinion."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import rxllm
from rxllm import LLMClient, Message, ToolRegistry
from rxllm import operators as ops
from rxllm.dialects import BedrockConverse
from rxllm.exceptions import APIConnectionError, APIStatusError, APIStreamError, StreamInterruptedError
from rxllm.models import ChatCompletion
from rxllm.testing import ReceivedRequest, ScriptedServer, script
from rxllm.testing.script import Frame, StepLike
from rxllm.wire import UnsignedRequest
from tests.aws import botocore, plain, signature_of, signer
from tests.dialects.bedrock_streams import STREAMS, Event, frames

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
QUESTION = Message.user("Do I need an umbrella?")
KEY = "bedrock-api-key-0123456789"
ACCESS, SECRET, TOKEN = "AKIAEXAMPLE123456789", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "session-token-0123456789"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_BEARER_TOKEN_BEDROCK", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"):
        monkeypatch.delenv(name, raising=False)


def client_of(server: ScriptedServer, dialect: BedrockConverse | str = "bedrock-converse", **options: Any) -> LLMClient:
    options.setdefault("api_key", KEY)
    return LLMClient(base_url=server.base_url, dialect=dialect, **options)


def streamed(events: list[Event]) -> list[Frame]:
    return [Frame(*each) for each in frames(events)]


# Keys and signatures


async def test_the_key_goes_as_a_bearer_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", KEY)
    async with ScriptedServer("Hello", dialect="bedrock-converse") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.origin)
        completion = await LLMClient(dialect="bedrock-converse").chat(model=MODEL, messages=[QUESTION])

    (request,) = server.requests
    assert completion.content == "Hello"
    assert (completion.model, completion.message.origin and completion.message.origin.model) == (MODEL, MODEL)
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept"] == "application/vnd.amazon.eventstream"
    assert request.path == f"/model/{MODEL}/converse-stream"


async def test_an_arn_is_one_part_of_the_path() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude"
    async with ScriptedServer("Hello", dialect="bedrock-converse") as server:
        await client_of(server).chat(model=arn, messages=[QUESTION])
    assert server.requests[0].path == f"/model/{arn.replace('/', '%2F')}/converse-stream"


def test_it_is_at_home_in_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"AWS_ENDPOINT_URL_BEDROCK_RUNTIME, or give BedrockConverse\(region=…\)"):
        LLMClient(dialect="bedrock-converse")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    shown = [repr(LLMClient(dialect=each)) for each in ("bedrock-converse", BedrockConverse(region="us-west-2"))]
    assert shown == [
        "LLMClient(base_url='https://bedrock-runtime.eu-central-1.amazonaws.com/', dialect='bedrock-converse')",
        "LLMClient(base_url='https://bedrock-runtime.us-west-2.amazonaws.com/', dialect='bedrock-converse')",
    ]


async def test_the_key_of_the_environment_goes_to_its_region_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", KEY)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    async with ScriptedServer("Hello", dialect="bedrock-converse", repeat=True) as proxy:
        for host in ("bedrock-runtime.us-east-1.amazonaws.com", "bedrock-runtime.eu-central-1.amazonaws.com"):
            client = LLMClient(base_url=f"http://{host}", dialect="bedrock-converse", proxy=proxy.origin)
            await client.chat(model=MODEL, messages=[QUESTION])
    assert [KEY in str(request.headers) for request in proxy.requests] == [False, False]


async def test_what_has_no_key_says_how_to_give_one() -> None:
    refusal = script.api_error(403, "no")
    async with ScriptedServer(refusal, refusal, dialect="bedrock-converse") as server:
        with pytest.raises(APIStatusError, match="the client sent no key: give it as api_key=, or set AWS_BEARER"):
            await client_of(server, api_key=None).chat(model=MODEL, messages=[QUESTION])
        signed = BedrockConverse(sign=signer(ACCESS, SECRET, "us-east-1"))
        with pytest.raises(APIStatusError) as caught:
            await client_of(server, signed, api_key=None).chat(model=MODEL, messages=[QUESTION])
    assert "sent no key" not in str(caught.value)


@pytest.mark.parametrize("model", [MODEL, "arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y-v1:0", "ü?#%"])
async def test_a_signature_is_of_what_was_sent(model: str) -> None:
    signed = BedrockConverse(sign=signer(ACCESS, SECRET, "us-east-1", TOKEN))
    async with ScriptedServer("Hello", dialect="bedrock-converse") as server:
        await client_of(server, signed).chat(model=model, messages=[Message.user("Über ✨")])

    (request,) = server.requests
    assert f"Signature={signature_of(request, SECRET)}" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == TOKEN
    assert SECRET not in str(request.headers)
    assert KEY not in str(request.headers)


async def test_each_try_is_signed_anew_and_signing_may_take_time() -> None:
    seen: list[UnsignedRequest] = []

    async def sign(request: UnsignedRequest) -> Mapping[str, str]:
        seen.append(request)
        return {"Authorization": f"AWS4-HMAC-SHA256 Signature={len(seen):064d}"}

    busy = script.api_error(429, "slow down", headers={"retry-after": "0"})
    async with ScriptedServer(busy, "Hello", dialect="bedrock-converse") as server:
        await client_of(server, BedrockConverse(sign=sign), retries=1).chat(model=MODEL, messages=[QUESTION])

    signatures = [request.headers["authorization"][-1] for request in server.requests]
    assert signatures == ["1", "2"]
    assert [(each.url, each.body) for each in seen] == [
        (f"{server.origin}{request.path}", request.body) for request in server.requests
    ]


async def test_a_redirect_to_another_server_takes_no_signature_along() -> None:
    signed = BedrockConverse(sign=signer(ACCESS, SECRET, "us-east-1", TOKEN))
    async with ScriptedServer("Hello", dialect="bedrock-converse") as other, ScriptedServer() as server:
        server.add(script.redirect(f"{other.origin}/x"))
        await client_of(server, signed).chat(model=MODEL, messages=[QUESTION])
    assert "authorization" in server.requests[0].headers
    assert not [name for name in other.requests[0].headers if name.startswith(("authorization", "x-amz"))]


async def test_neither_key_nor_signature_is_shown() -> None:
    sign = signer(ACCESS, SECRET, "us-east-1", TOKEN)
    secrets = (KEY, SECRET, TOKEN)

    def echo(request: ReceivedRequest) -> Any:
        said = json.dumps({"message": f"not {request.headers}"})
        if request.number % 2 == 0:
            return script.status(403, said, content_type="application/json")
        return [Frame({":message-type": "exception", ":exception-type": "validationException"}, said.encode())]

    async with ScriptedServer(echo, dialect="bedrock-converse") as server:
        for dialect in (BedrockConverse(), BedrockConverse(sign=sign)):
            client = client_of(server, dialect, retries=0)
            assert not any(secret in f"{client!r} {dialect!r}" for secret in secrets)
            for kind in (APIStatusError, APIStreamError):
                with pytest.raises(kind) as caught:
                    await client.chat(model=MODEL, messages=[QUESTION])
                shown = f"{caught.value} {caught.value!r} {vars(caught.value)}"
                signature = re.findall(r"Signature=(\w+)", str(server.requests[-1].headers))
                assert not [each for each in (*secrets, *signature) if each in shown]


@pytest.mark.parametrize("awaits", [False, True])
async def test_what_cannot_be_signed_is_not_sent(awaits: bool) -> None:
    async def later(_: UnsignedRequest) -> dict[str, str]:
        raise LookupError("no credentials")

    def at_once(_: UnsignedRequest) -> dict[str, str]:
        raise LookupError("no credentials")

    async with ScriptedServer("Hello", dialect="bedrock-converse") as server:
        dialect = BedrockConverse(sign=later if awaits else at_once)
        with pytest.raises(LookupError, match="no credentials"):
            await client_of(server, dialect).chat(model=MODEL, messages=[QUESTION])
        odd = BedrockConverse(sign=lambda _: {"Authorization": "a\nb"})
        with pytest.raises(APIConnectionError, match="has a line break in it"):
            await client_of(server, odd).chat(model=MODEL, messages=[QUESTION])
    assert server.requests == []


# Answers


async def test_an_exception_is_tried_again_or_not() -> None:
    busy = [script.error("slow down", type="throttlingException")]
    wrong = [script.error("no such model", type="validationException")]
    async with ScriptedServer(busy, "Hello", wrong, dialect="bedrock-converse") as server:
        client = client_of(server, retries=1)
        completion = await client.chat(model=MODEL, messages=[QUESTION])
        with pytest.raises(APIStreamError, match="no such model"):
            await client.chat(model=MODEL, messages=[QUESTION])
    assert [type(attempt.error) for attempt in completion.attempts] == [APIStreamError]
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (403, False), (404, False), (408, True), (429, True), (500, True), (503, True)],
)
async def test_refusals(status: int, *, retryable: bool) -> None:
    async with ScriptedServer(script.api_error(status, "no"), dialect="bedrock-converse") as server:
        with pytest.raises(APIStatusError) as caught:
            await client_of(server, retries=0).chat(model=MODEL, messages=[QUESTION])
    assert (caught.value.status, caught.value.retryable, caught.value.request_id) == (status, retryable, "req-0")
    assert json.loads(caught.value.body) == {"message": "no"}


async def test_a_cut_is_a_cut_and_one_behind_the_end_is_none() -> None:
    events = streamed(STREAMS["text"])
    for count in range(1, len(events) - 2):
        async with ScriptedServer([*events[:count], script.reset()], dialect="bedrock-converse") as server:
            with pytest.raises(StreamInterruptedError):
                await client_of(server, retries=0).chat(model=MODEL, messages=[QUESTION])
    for count in (len(events) - 1, len(events)):
        async with ScriptedServer([*events[:count], script.cut()], dialect="bedrock-converse") as server:
            completion = await client_of(server).chat(model=MODEL, messages=[QUESTION])
        assert (completion.content, completion.complete) == ("Hello ✨", True)
        assert [repair.kind for repair in completion.repairs] == ["cut-after-finish"]


async def test_an_answer_that_was_not_streamed() -> None:
    message = {"role": "assistant", "content": [{"text": "Hi"}]}
    body = {"output": {"message": message}, "stopReason": "end_turn", "usage": {"inputTokens": 1, "outputTokens": 2}}
    async with ScriptedServer(script.status(200, body)) as server:
        completion = await client_of(server).chat(model=MODEL, messages=[QUESTION])
    assert (completion.content, completion.complete) == ("Hi", True)
    assert [repair.kind for repair in completion.repairs] == ["answer-not-streamed"]


async def test_connections_are_used_again() -> None:
    async with ScriptedServer("Hi", repeat=True, dialect="bedrock-converse") as server, client_of(server) as client:
        for _ in range(3):
            await client.chat(model=MODEL, messages=[QUESTION])
    assert [request.connection for request in server.requests] == [0, 0, 0]


# Round trips


ROUNDS: list[list[dict[str, Any]]] = [
    [
        {"reasoningContent": {"reasoningText": {"text": "Where?", "signature": "c2lnMQ=="}}},
        {"toolUse": {"toolUseId": "srv1", "name": "search", "type": "server_tool_use", "input": {"q": "x"}}},
        {"toolResult": {"toolUseId": "srv1", "type": "search", "content": [{"text": "Paris"}]}},
        {"reasoningContent": {"redactedContent": "AAEC"}},
        {"text": "I look."},
        {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Paris"}}},
        {"toolUse": {"toolUseId": "t2", "name": "weather", "input": {"city": "Tokyo"}}},
    ],
    [
        {"reasoningContent": {"reasoningText": {"text": "And Rome?", "signature": "c2lnMg=="}}},
        {"toolUse": {"toolUseId": "t3", "name": "weather", "input": {"city": "Rome"}}},
    ],
    [
        {"citationsContent": {"content": [{"text": "Take one."}], "citations": [{"title": "T", "source": "s"}]}},
        {"text": "Really."},
    ],
]


def said(blocks: list[dict[str, Any]], reason: str) -> list[Any]:
    return [script.role(), *map(script.block, blocks), script.finish(reason), script.usage(), script.done()]


async def test_three_rounds_go_back_block_by_block() -> None:
    registry = ToolRegistry()

    @registry.tool
    def weather(city: str) -> str:
        """The weather."""
        return f"rain in {city}"

    answers = [said(ROUNDS[0], "tool_calls"), said(ROUNDS[1], "tool_calls"), said(ROUNDS[2], "stop"), "Bye."]
    async with ScriptedServer(*answers, dialect="bedrock-converse") as server, client_of(server) as client:
        completed = await client.chat_with_tools(model=MODEL, messages=[QUESTION], registry=registry)
        assert isinstance(completed, rxllm.ChatCompleted)
        stored = [Message.model_validate_json(each.model_dump_json()) for each in completed.messages]
        await client.chat(model=MODEL, messages=[QUESTION, *stored, Message.user("Thanks")])

    messages = server.requests[3].json["messages"]
    assert [each["content"] for each in messages if each["role"] == "assistant"] == ROUNDS
    assert [each["role"] for each in messages] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    results = [block["toolResult"] for each in messages for block in each["content"] if "toolResult" in block]
    assert [(each["toolUseId"], each["content"]) for each in results if each["toolUseId"] != "srv1"] == [
        ("t1", [{"text": "rain in Paris"}]),
        ("t2", [{"text": "rain in Tokyo"}]),
        ("t3", [{"text": "rain in Rome"}]),
    ]
    assert [each["content"] for each in server.requests[2].json["messages"] if each["role"] == "assistant"] == ROUNDS[
        :2
    ]


# botocore's client, on the same server


@pytest.fixture
def botocore_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    opened: list[Any] = []

    def client(server: ScriptedServer) -> Any:
        session = botocore("session").get_session()
        config = botocore("config").Config(retries={"max_attempts": 0}, user_agent="x", proxies={})
        made = session.create_client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=server.origin,
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            config=config,
        )
        opened.append(made)
        return made

    yield client
    for each in opened:
        each.close()


def read_by_botocore(client: Any, **request: Any) -> list[Event]:
    answer = client.converse_stream(**request)
    try:
        return [(name, fields) for event in answer["stream"] for name, fields in event.items()]
    finally:
        answer["stream"].close()


@pytest.mark.parametrize("name", STREAMS)
def test_botocore_reads_what_we_read(name: str, botocore_client: Any) -> None:
    with ScriptedServer(streamed(STREAMS[name]), streamed(STREAMS[name]), dialect="bedrock-converse") as server:
        theirs = read_by_botocore(
            botocore_client(server), modelId=MODEL, messages=[{"role": "user", "content": [{"text": "Hi"}]}]
        )
        ours = rxllm.run(
            client_of(server).chat_stream(model=MODEL, messages=[Message.user("Hi")]).pipe(ops.accumulate())
        )

    assert [(kind, plain(fields)) for kind, fields in STREAMS[name]] == theirs
    texts = [
        fields["delta"]["text"] for kind, fields in theirs if kind == "contentBlockDelta" and "text" in fields["delta"]
    ]
    assert ours.content == "".join(texts)
    assert [blocks_of_botocore(theirs)[part.index] for part in ours.message.parts] == [
        plain(part.block) for part in ours.message.parts
    ]
    botocores, own = server.requests
    assert botocores.json == own.json
    assert (botocores.path.replace("%3A", ":"), botocores.method) == (own.path, own.method)


def blocks_of_botocore(events: list[Event]) -> dict[int, Any]:
    """The blocks of a message, put together in a plain way."""
    starts: dict[int, Any] = {}
    deltas: dict[int, list[Any]] = {}
    for kind, fields in events:
        if kind == "contentBlockStart":
            starts[fields["contentBlockIndex"]] = fields["start"]
        elif kind == "contentBlockDelta":
            deltas.setdefault(fields["contentBlockIndex"], []).append(fields["delta"])
    return {index: block_of(starts.get(index, {}), deltas.get(index, [])) for index in {*starts, *deltas}}


def block_of(start: Any, deltas: list[Any]) -> Any:
    if "toolUse" in start:
        written = "".join(each["toolUse"]["input"] for each in deltas)
        return {"toolUse": {**start["toolUse"], "input": json.loads(written or "{}")}}
    if "toolResult" in start:
        content: list[Any] = []
        for each in (piece for delta in deltas for piece in delta["toolResult"]):
            if "text" in each and content and "text" in content[-1]:
                content[-1] = {"text": content[-1]["text"] + each["text"]}
            else:
                content.append(each)
        return {"toolResult": {**start["toolResult"], "content": content}}
    reasoning = [each["reasoningContent"] for each in deltas if "reasoningContent" in each]
    if reasoning and "redactedContent" in reasoning[0]:
        return {"reasoningContent": {"redactedContent": b"".join(each["redactedContent"] for each in reasoning)}}
    if reasoning:
        said = {name: "".join(each.get(name, "") for each in reasoning) for name in ("text", "signature")}
        return {"reasoningContent": {"reasoningText": said}}
    text = "".join(each.get("text", "") for each in deltas)
    cited = [each["citation"] for each in deltas if "citation" in each]
    return {"citationsContent": {"content": [{"text": text}], "citations": cited}} if cited else {"text": text}


def test_botocore_sends_what_we_send_of_a_conversation(botocore_client: Any) -> None:
    answer = ChatCompletion()
    request: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 100,
        "stop": ["X"],
        "tool_choice": "required",
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    }
    with ScriptedServer(streamed(STREAMS["thinking"]), "Hi", "Hi", dialect="bedrock-converse") as server:
        client = client_of(server)
        answer = rxllm.run(client.chat_stream(model=MODEL, messages=[QUESTION]).pipe(ops.accumulate()))
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
        messages = [Message.system("Be brief."), QUESTION, answer.message, Message(role="user", content=[picture])]
        rxllm.run(client.chat_stream(messages=messages, **request).pipe(ops.accumulate()))
        body = server.requests[1].json
        read_by_botocore(botocore_client(server), modelId=MODEL, **plain(body))

    _, ours, theirs = server.requests
    assert theirs.json == ours.json
    assert b'"signature":"c2ln"' in ours.body


def test_botocore_takes_an_exception_of_ours_for_one(botocore_client: Any) -> None:
    steps: list[StepLike] = [script.role(), "Hi", script.error("slow down", type="throttlingException")]
    with ScriptedServer(steps, script.api_error(429, "slow down"), dialect="bedrock-converse") as server:
        client = botocore_client(server)
        asked = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
        with pytest.raises(botocore("exceptions").EventStreamError, match=r"throttlingException.*slow down"):
            read_by_botocore(client, **asked)
        with pytest.raises(client.exceptions.ThrottlingException, match="slow down"):
            read_by_botocore(client, **asked)
