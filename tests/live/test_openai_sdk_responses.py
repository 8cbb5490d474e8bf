"""A second opinion on streams of the Responses API: what OpenAI's own SDK makes of them, over a loopback port.

The last answer of ``client.responses.stream()`` has the items that our message has as parts. Where they differ, or the
SDK has none, the reason is said here.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from rxllm import ChatCompletion, ChatRequest, LLMClient, Message
from rxllm.exceptions import RxllmError
from rxllm.models import is_list, is_object
from rxllm.testing import ScriptedServer
from tests.recorded import each_of, streams

openai: Any = pytest.importorskip("openai")

ENDS = ("response.completed", "response.incomplete")
DIFFERENCES = {
    "huggingface-009-should-handle-non-message-item-types": "the SDK wants response.created first",
    "openai-128-openairesponseclienttests-cs-i22": "it fails, and the SDK has no answer then",
    "openai-137-reasoning-stream-completed-empty": "output is [] at the end, which the SDK takes for the answer",
    "openai-224-should-stream-text-deltas": "the identifiers change on the way, which the SDK refuses",
    "openai-232-should-expose-raw-finish-reason-from-late-response-failed-in": "it fails, and the SDK stops there",
    "openai-236-should-handle-encrypted-content-with-empty-summary": "the SDK wants output_index in each event",
}
"""Streams of which the SDK says something else, or nothing, and why."""


async def ours(server: ScriptedServer) -> ChatCompletion | None:
    client = LLMClient(base_url=server.base_url, api_key="k", dialect="openai-responses", retries=0)
    try:
        return await client.chat(ChatRequest(model="gpt-5", messages=[Message.user("Hello")]))
    except RxllmError as error:
        return getattr(error, "partial", None)


async def theirs(server: ScriptedServer) -> list[dict[str, Any]] | Exception:
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        try:
            async with client.responses.stream(model="gpt-5", input="Hello") as stream:
                # What it calls the final answer is that of response.completed only.
                ends = [event.response async for event in stream if event.type in ENDS]
            dumped = json.loads(ends[-1].model_dump_json(exclude_unset=True, warnings=False))
            return [*dumped["output"]]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the SDK's answer
            return error


def plain(value: Any) -> Any:
    """A value without what the SDK adds, and without nulls."""
    if is_object(value):
        added = ("parsed", "parsed_arguments")
        return {name: plain(each) for name, each in value.items() if each is not None and name not in added}
    return [plain(each) for each in value] if is_list(value) else value


@each_of(streams("openai-responses"), "name", "wire")
async def test_both_have_the_same_items(name: str, wire: bytes) -> None:
    async with ScriptedServer(wire, wire) as server:
        completion, items = await ours(server), await theirs(server)
    blocks = [part.block for part in completion.message.parts] if completion is not None else []
    is_same = plain(items) == plain(blocks)
    print(f"{name}: {'the same' if is_same else DIFFERENCES.get(name)}")  # noqa: T201 - pytest -s shows it
    assert is_same == (name not in DIFFERENCES), items
