"""A scripted server that speaks Bedrock's Converse API: the same scripts, in frames of AWS."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from rxllm.testing import ScriptedServer, script
from rxllm.testing.script import Answer, Event, Frame, ScriptDialect, StepLike, renderer_of
from rxllm.wire import AWS_FRAMES, AWSFrame, AWSFrameDecoder, encode_aws_frame

NAME: ScriptDialect = "bedrock-converse"
WHOLE = script.answer(
    script.reasoning("Hm."),
    "It is",
    " late.",
    script.tool_call("get_weather", {"city": "Paris"}, id="call_7", piece_length=9),
)
Said = tuple[str, dict[str, Any]]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def fetch(session: aiohttp.ClientSession, server: ScriptedServer) -> bytes:
    async with session.post(server.url, json={}) as response:
        assert response.headers["content-type"] == AWS_FRAMES
        assert response.headers["x-amzn-requestid"] == "req-0"
        return await response.read()


async def sent(session: aiohttp.ClientSession, *steps: StepLike) -> list[Said]:
    """What the frames say that a script becomes."""
    async with ScriptedServer(steps, dialect=NAME) as server:
        return [said(frame) for frame in AWSFrameDecoder().feed(await fetch(session, server))]


def said(frame: AWSFrame) -> Said:
    kind = str(frame.headers[":message-type"])
    return str(frame.headers[f":{kind}-type"]), json.loads(frame.payload)


def delta(index: int, **fields: Any) -> Said:
    return "contentBlockDelta", {"delta": fields, "contentBlockIndex": index}


def stop(index: int) -> Said:
    return "contentBlockStop", {"contentBlockIndex": index}


async def test_an_answer(session: aiohttp.ClientSession) -> None:
    call = {"toolUseId": "call_7", "name": "get_weather"}
    assert await sent(session, *WHOLE) == [
        ("messageStart", {"role": "assistant"}),
        delta(0, reasoningContent={"text": "Hm."}),
        delta(0, reasoningContent={"signature": "signature_0_0"}),
        stop(0),
        delta(1, text="It is"),
        delta(1, text=" late."),
        stop(1),
        ("contentBlockStart", {"start": {"toolUse": call}, "contentBlockIndex": 2}),
        delta(2, toolUse={"input": ""}),
        delta(2, toolUse={"input": '{"city": '}),
        delta(2, toolUse={"input": '"Paris"}'}),
        stop(2),
        ("messageStop", {"stopReason": "tool_use"}),
        (
            "metadata",
            {"usage": {"inputTokens": 7, "outputTokens": 6, "totalTokens": 13}, "metrics": {"latencyMs": 1}},
        ),
    ]


@pytest.mark.parametrize(
    ("reason", "word"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "content_filtered"), ("moonrise", "moonrise")],
)
async def test_why_it_ended(session: aiohttp.ClientSession, reason: str, word: str) -> None:
    events = await sent(session, "a", script.finish(reason), script.usage(10, 2, cached_tokens=8))
    assert events[-2:] == [
        ("messageStop", {"stopReason": word}),
        (
            "metadata",
            {
                "usage": {
                    "inputTokens": 2,
                    "outputTokens": 2,
                    "totalTokens": 12,
                    "cacheReadInputTokens": 8,
                    "cacheWriteInputTokens": 0,
                },
                "metrics": {"latencyMs": 1},
            },
        ),
    ]


async def test_reasoning_that_is_cut_has_no_signature(session: aiohttp.ClientSession) -> None:
    events = await sent(session, script.reasoning("Hm"), script.finish("length"))
    assert events[1:3] == [delta(0, reasoningContent={"text": "Hm"}), stop(0)]


async def test_blocks(session: aiohttp.ClientSession) -> None:
    blocks: list[dict[str, Any]] = [
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "s"}}},
        {"reasoningContent": {"reasoningText": {"text": "t"}}},
        {"reasoningContent": {"redactedContent": "AAEC"}},
        {"text": "x"},
        {"citationsContent": {"content": [{"text": "y"}], "citations": [{"title": "T"}]}},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}},
        {"toolResult": {"toolUseId": "t", "content": [{"text": "z"}]}},
        {"image": {"format": "png", "source": {"bytes": "AAEC"}}},
    ]
    events = await sent(session, *map(script.block, blocks))
    assert events[1:] == [
        delta(0, reasoningContent={"signature": "s"}),
        stop(0),
        delta(1, reasoningContent={"text": "t"}),
        stop(1),
        delta(2, reasoningContent={"redactedContent": "AAEC"}),
        stop(2),
        delta(3, text="x"),
        stop(3),
        delta(4, text="y"),
        delta(4, citation={"title": "T"}),
        stop(4),
        ("contentBlockStart", {"start": {"toolUse": {"toolUseId": "t", "name": "f"}}, "contentBlockIndex": 5}),
        delta(5, toolUse={"input": "{"}),
        delta(5, toolUse={"input": "}"}),
        stop(5),
        ("contentBlockStart", {"start": {"toolResult": {"toolUseId": "t"}}, "contentBlockIndex": 6}),
        delta(6, toolResult=[{"text": "z"}]),
        stop(6),
        ("contentBlockStart", {"start": {"image": {"format": "png"}}, "contentBlockIndex": 7}),
        delta(7, image={"source": {"bytes": "AAEC"}}),
        stop(7),
    ]


async def test_frames_events_and_keep_alives(session: aiohttp.ClientSession) -> None:
    own = Frame({":event-type": "own", ":message-type": "event"}, b"{}")
    steps = [
        own,
        Event('{"a": 1}', "x"),
        script.burst("a", own),
        script.keep_alive(),
        script.raw(encode_aws_frame(*FRAME)),
    ]
    events = await sent(session, *steps)
    assert [name for name, _ in events] == ["own", "x", "messageStart", "contentBlockDelta", "own", "ping", "raw"]


FRAME = AWSFrame({":event-type": "raw", ":message-type": "event"}, b"{}")


async def test_keep_alives_while_it_stalls(session: aiohttp.ClientSession) -> None:
    decoder = AWSFrameDecoder()
    frames: list[AWSFrame] = []
    stalled = [script.stall(keep_alive=0.001)]
    async with ScriptedServer(stalled, dialect=NAME) as server, session.post(server.url) as response:
        while len(frames) < 2:
            frames += decoder.feed(await response.content.readany())
    assert said(frames[1]) == ("ping", {})


@pytest.mark.parametrize(
    ("type", "name"),
    [
        ("server_error", "internalServerException"),
        ("overloaded_error", "serviceUnavailableException"),
        ("rate_limit_error", "throttlingException"),
        ("modelStreamErrorException", "modelStreamErrorException"),
    ],
)
async def test_an_error_in_the_stream(session: aiohttp.ClientSession, type: str, name: str) -> None:
    assert await sent(session, script.error("lost", type=type)) == [(name, {"message": "lost"})]


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "ValidationException"), (429, "ThrottlingException"), (502, "InternalServerException")]
)
async def test_a_refusal(session: aiohttp.ClientSession, status: int, kind: str) -> None:
    own = script.api_error(status, "no", type="OwnException")
    async with ScriptedServer(script.api_error(status, "no"), own, dialect=NAME) as server:
        for expected in (kind, "OwnException"):
            async with session.post(server.url) as response:
                assert (response.status, await response.json()) == (status, {"message": "no"})
                assert response.headers["x-amzn-errortype"] == expected


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (script.delta({"refusal": "No."}), "a refusal's text"),
        (script.comment("hm"), "a comment"),
        (script.error("lost", type="odd_error"), "the type 'odd_error' of an error"),
        (script.error("lost", type="throttlingException", code="7"), "the code '7' of an error"),
        (script.block({"hologram": {}}), "a block of hologram"),
        (Event("{}"), "an event without a name"),
        (Event("{}", "x", id="1"), "an event without a name, or with an id or retry"),
    ],
)
def test_what_it_cannot_say(step: StepLike, what: str) -> None:
    with pytest.raises(ValueError, match=f"^bedrock-converse cannot send {what}"):
        list(renderer_of(NAME)(0).steps([step]))


def test_a_refusal_with_a_code() -> None:
    with pytest.raises(ValueError, match="the code 'x' of an error"):
        renderer_of(NAME)(0).rendered(script.api_error(400, "no", code="x"))


async def test_other_media_types_stay(session: aiohttp.ClientSession) -> None:
    plain = Answer((b"{}",), content_type="application/json")
    async with ScriptedServer(plain, dialect=NAME) as server, session.post(server.url) as response:
        assert response.headers["content-type"] == "application/json"


async def test_over_a_websocket_a_frame_is_a_binary_frame(session: aiohttp.ClientSession) -> None:
    async with ScriptedServer([Frame(*FRAME)]) as server, session.ws_connect(server.ws_url) as socket:
        await socket.send_str("{}")
        message = await socket.receive()
        assert message.data == encode_aws_frame(*FRAME)
