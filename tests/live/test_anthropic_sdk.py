"""The vendor's own SDK as a second opinion: what it makes of each recorded stream, over loopback, beside ours."""

from __future__ import annotations

import json
from typing import Any

import rxllm
from rxllm import LLMClient
from rxllm.models import is_list, is_object
from rxllm.testing import ScriptedServer
from rxllm.wire import SSEDecoder
from tests.live.needed import sdk_of
from tests.recorded import each_of, streams

REQUEST: dict[str, Any] = {"model": "claude-x", "messages": [{"role": "user", "content": "Hi"}]}

OURS = {"prompt_tokens_details", "completion_tokens_details"}

UNREADABLE = {
    "anthropic-005-streaming-gateway-message-delta-metadata": "it fails on [DONE]",
    "anthropic-153-should-stream-reasoning-deltas": "it sees no event without its name",
    "anthropic-154-should-stream-redacted-reasoning": "it sees no event without its name",
}
"""Streams that the SDK cannot read as they are, and why: it gets them with names, and without that end."""


async def of_the_sdk(wire: bytes) -> dict[str, Any]:
    """The message that the SDK makes of a stream, or its error."""
    sdk = sdk_of("anthropic")
    async with (
        ScriptedServer(wire) as server,
        sdk.AsyncAnthropic(base_url=server.origin, api_key="none", max_retries=0) as client,
    ):
        try:
            async with client.beta.messages.stream(max_tokens=1, **REQUEST) as stream:
                message = await stream.get_final_message()
        except Exception as error:  # noqa: BLE001 - that it fails is what it says
            return {"error": f"{type(error).__name__}: {error}"}
    made: dict[str, Any] = message.to_dict(mode="json")
    return made


async def of_ours(wire: bytes) -> dict[str, Any]:
    """The message that we make of it, in the words of the provider, or our error."""
    async with ScriptedServer(wire) as server:
        client = LLMClient(base_url=server.base_url, api_key="none", dialect="anthropic", retries=0)
        try:
            completion = await client.chat(REQUEST)
        except rxllm.RxllmError as error:
            return {"error": f"{type(error).__name__}: {error}"}
    (choice,) = completion.choices
    assert completion.usage is not None
    extra, usage = choice.model_extra or {}, completion.usage.model_extra or {}
    made: dict[str, Any] = {
        "id": completion.id,
        "model": completion.model,
        "role": str(choice.message.role),
        "stop_reason": extra["native_finish_reason"],
        "content": [part.block for part in choice.message.parts],
        "usage": {name: value for name, value in usage.items() if name not in OURS},
    }
    for name in ("stop_sequence", "stop_details", "context_management"):
        if name in extra:
            made[name] = extra[name]
    if container := (choice.message.model_extra or {}).get("container"):
        made["container"] = container
    return made


def plain(value: Any) -> Any:
    """A value without nulls, which the SDK puts where it knows of a field."""
    if is_object(value):
        return {name: plain(each) for name, each in value.items() if each is not None}
    return [plain(each) for each in value] if is_list(value) else value


def readable(wire: bytes) -> bytes:
    """A stream whose events have names, and that ends with the message."""
    texts = [event.data for event in SSEDecoder().feed(wire) if event.data != "[DONE]"]
    return b"".join(f"event: {json.loads(text)['type']}\ndata: {text}\n\n".encode() for text in texts)


@each_of(streams("anthropic"), "name", "wire")
async def test_the_sdk_makes_the_same_of_a_stream(name: str, wire: bytes) -> None:
    theirs, ours = await of_the_sdk(wire), await of_ours(wire)
    if name in UNREADABLE:
        assert "error" in theirs
        theirs = await of_the_sdk(readable(wire))

    assert ("error" in ours) == ("error" in theirs)
    if "error" in ours:
        return
    # Of the usage at the end the SDK keeps the fields that it knows.
    ours["usage"] = {field: value for field, value in ours["usage"].items() if field in plain(theirs["usage"])}
    for field in sorted(ours.keys() & theirs.keys()):
        assert plain(ours[field]) == plain(theirs[field]), field
