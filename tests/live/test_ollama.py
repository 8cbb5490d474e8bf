"""The SDK of Ollama as a second opinion on recorded streams."""

from __future__ import annotations

from typing import Any

from rxllm import LLMClient
from rxllm.testing import ScriptedServer
from rxllm.testing.script import Answer
from tests.live.needed import sdk_of
from tests.recorded import each_of, streams

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
COUNTS = ("prompt_eval_count", "eval_count", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


# Its other endpoint, which was for texts, has another answer there.
CHATS = [stream for stream in streams("ollama") if "generate-endpoint" not in stream.case["features"]]


@each_of(CHATS, "wire")
async def test_the_sdk_makes_the_same_of_recorded_streams(wire: bytes) -> None:
    sdk = sdk_of("ollama")
    answer = Answer([wire], content_type="application/x-ndjson", fragment=1000)
    async with ScriptedServer(answer, answer) as server:
        async with sdk.AsyncClient(host=server.origin) as client:
            parts = [part async for part in await client.chat(**REQUEST, stream=True)]
        ours = await LLMClient(base_url=server.origin, dialect="ollama").chat(REQUEST)
    last = parts[-1]
    message, usage = ours.message, ours.usage

    assert message.text == "".join(part.message.content or "" for part in parts)
    assert (message.reasoning_text or "") == "".join(part.message.thinking or "" for part in parts)
    calls = [call.function for part in parts for call in part.message.tool_calls or ()]
    assert [(call.function.name, call.function.parsed) for call in message.tool_calls] == [
        (call.name, dict(call.arguments)) for call in calls
    ]
    assert (ours.model, getattr(ours.choices[0], "native_finish_reason", None)) == (last.model, last.done_reason)
    assert usage is not None
    assert [(usage.model_extra or {}).get(name) for name in COUNTS] == [getattr(last, name) for name in COUNTS]
