"""The SDK of Cohere as a second opinion on recorded streams."""

from __future__ import annotations

from typing import Any

from rxllm import LLMClient
from rxllm.testing import ScriptedServer
from rxllm.testing.script import Answer
from tests.live.needed import sdk_of
from tests.recorded import each_of, streams

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def joined(events: list[Any], kind: str, *path: str) -> str:
    """The texts of all events of a kind."""
    texts: list[str] = []
    for event in events:
        value: Any = event.delta.message if event.type == kind else None
        for name in path:
            value = getattr(value, name, None)
        texts.append(value or "")
    return "".join(texts)


@each_of(streams("cohere"), "wire")
async def test_the_sdk_makes_the_same_of_recorded_streams(wire: bytes) -> None:
    sdk = sdk_of("cohere")
    answer = Answer([wire], fragment=1000)
    async with ScriptedServer(answer, answer) as server:
        async with sdk.AsyncClientV2(api_key="none", base_url=server.origin) as client:
            events = [event async for event in client.chat_stream(**REQUEST)]
        ours = await LLMClient(base_url=server.origin, api_key="none", dialect="cohere").chat(REQUEST)
    message, usage = ours.message, ours.usage
    last = next(event for event in events if event.type == "message-end").delta

    assert ours.id == next(event for event in events if event.type == "message-start").id
    assert message.text == joined(events, "content-delta", "content", "text")
    thoughts = joined(events, "content-delta", "content", "thinking")
    assert (message.reasoning_text or "") == joined(events, "tool-plan-delta", "tool_plan") + thoughts
    begun = [event.delta.message.tool_calls for event in events if event.type == "tool-call-start"]
    assert [(call.id, call.function.name) for call in message.tool_calls] == [
        (call.id, call.function.name) for call in begun
    ]
    arguments = "".join(call.function.arguments for call in message.tool_calls)
    # The SDK leaves a call without arguments as it is.
    assert arguments.replace("{}", "") == joined(events, "tool-call-delta", "tool_calls", "function", "arguments")
    assert getattr(ours.choices[0], "native_finish_reason", None) == last.finish_reason
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        last.usage.tokens.input_tokens,
        last.usage.tokens.output_tokens,
    )
