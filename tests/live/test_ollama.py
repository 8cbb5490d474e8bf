"""The SDK of Ollama as a second opinion on recorded streams."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from rxllm import LLMClient
from rxllm.testing import ScriptedServer
from rxllm.testing.script import Answer
from tests.live.needed import sdk_of

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
COUNTS = ("prompt_eval_count", "eval_count", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def corpus() -> list[Any]:
    folder = os.environ.get("RXLLM_CORPUS")
    if folder is None:
        return [pytest.param(b"", marks=pytest.mark.skip(reason="RXLLM_CORPUS names no folder"))]
    cases = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in sorted(Path(folder).glob("*.json"))]
    # Its other endpoint, which was for texts, has another answer there.
    chats = [
        path for path, case in cases if case["dialect"] == "ollama" and "generate-endpoint" not in case["features"]
    ]
    return [pytest.param(path.with_suffix(".ndjson").read_bytes(), id=path.stem) for path in chats]


@pytest.mark.parametrize("wire", corpus())
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
