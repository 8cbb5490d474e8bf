"""The SDK of Google as a second opinion on recorded streams of the Gemini API."""

from __future__ import annotations

from typing import Any

import pytest

import rxllm
from rxllm import LLMClient
from rxllm.models import is_object
from rxllm.testing import ScriptedServer
from rxllm.testing.script import Answer
from tests.live.needed import sdk_of
from tests.recorded import each_of, streams

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
COUNTS = (
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "totalTokenCount",
    "cachedContentTokenCount",
)
OF_PIECES = {"partialArgs", "willContinue"}
BASE64 = {"thoughtSignature", "data"}
SPELLINGS = str.maketrans("-_", "+/", "=\r\n")


def joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts that the SDK gave, those of one text put together; a call in pieces is what it begins with."""
    found: list[dict[str, Any]] = []
    goes_on = False
    for part in parts:
        call = part.get("functionCall", {})
        if not part or part == {"text": ""} or ("functionCall" in part and not call.get("name")):
            continue
        is_text = set(part) <= {"text", "thought"}
        if is_text and goes_on and found[-1].get("thought") == part.get("thought"):
            found[-1] = {**found[-1], "text": found[-1]["text"] + part["text"]}
        else:
            found.append(part)
            goes_on = is_text
    return found


def plain(value: Any) -> Any:
    """A part without what the SDK leaves out, nulls and pieces of arguments, and base64 in one of its spellings."""
    if not is_object(value):
        return value
    kept = {name: plain(each) for name, each in value.items() if each is not None and name not in OF_PIECES}
    return {name: str(each).translate(SPELLINGS) if name in BASE64 else each for name, each in kept.items()}


# The SDK inherits from what aiohttp does not want to be inherited from.
@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning", "ignore:.* is not a valid:UserWarning")
@each_of(streams("gemini"), "wire")
async def test_the_sdk_makes_the_same_of_recorded_streams(wire: bytes) -> None:
    sdk = sdk_of("google.genai")
    answer = Answer([wire], fragment=1000)
    chunks: list[Any] = []
    failure: Exception | None = None
    async with ScriptedServer(answer, answer, dialect="gemini") as server:
        async with sdk.Client(api_key="none", http_options={"base_url": server.origin}).aio as client:
            try:
                stream = await client.models.generate_content_stream(model="m", contents="Hi")
                while (chunk := await anext(stream, None)) is not None:
                    chunks.append(chunk)
            except sdk.errors.APIError as error:
                failure = error
        request = LLMClient(base_url=server.origin, api_key="none", dialect="gemini", retries=0).chat(REQUEST)
        if failure is not None:
            with pytest.raises(rxllm.APIStreamError) as caught:
                await request
            ours = caught.value.partial
        else:
            ours = await request
    assert ours is not None
    said = [chunk.model_dump(mode="json", by_alias=True, exclude_none=True) for chunk in chunks]
    theirs = [
        part
        for each in said
        for candidate in each.get("candidates", ())
        for part in candidate.get("content", {}).get("parts", ())
    ]
    blocks = [part.block or {"text": part.text} for part in ours.message.parts]
    if any(OF_PIECES & part.get("functionCall", {}).keys() for part in theirs):
        blocks = [
            {**each, "functionCall": {"name": each["functionCall"]["name"]}} if "functionCall" in each else each
            for each in blocks
        ]
    assert [plain(each) for each in blocks] == [plain(each) for each in joined(theirs)]
    counts: dict[str, Any] = {}
    for each in said:
        counts = each.get("usageMetadata", counts)
    usage: dict[str, Any] = (ours.usage and ours.usage.model_extra) or {}
    assert [usage.get(name) for name in COUNTS] == [counts.get(name) for name in COUNTS]
