"""The loop that a careful engineer writes without any library but aiohttp and pydantic, and the model it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import aiohttp
from pydantic import BaseModel

__all__ = ["Chunk", "hand_written", "read"]


class _Function(BaseModel):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(BaseModel):
    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: _Function | None = None


class _Delta(BaseModel):
    role: Literal["developer", "system", "user", "assistant", "tool"] | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _TopLogprob(BaseModel):
    token: str
    bytes: list[int] | None = None
    logprob: float


class _TokenLogprob(_TopLogprob):
    top_logprobs: list[_TopLogprob]


class _Logprobs(BaseModel):
    content: list[_TokenLogprob] | None = None
    refusal: list[_TokenLogprob] | None = None


class _Choice(BaseModel):
    index: int
    delta: _Delta
    logprobs: _Logprobs | None = None
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"] | None = None


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None


class Chunk(BaseModel):
    """A chat completion chunk as OpenAI's API reference has it."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[_Choice]
    usage: _Usage | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority"] | None = None
    system_fingerprint: str | None = None


async def hand_written(url: str, note: Callable[[Chunk], None] | None = None) -> str:
    """The text of an answer, or the arguments of its call; ``note`` is called with each chunk."""
    pieces: list[str] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await read(session, url, pieces, note)
    return "".join(pieces)


async def read(
    session: aiohttp.ClientSession, url: str, pieces: list[str], note: Callable[[Chunk], None] | None = None
) -> None:
    """Append the text of an answer, piece by piece."""
    async with session.post(url, json={}) as response:
        buffer = b""
        async for block in response.content.iter_any():
            *events, buffer = (buffer + block).split(b"\n\n")
            for event in events:
                data = event.removeprefix(b"data: ")
                if data == b"[DONE]":
                    break
                chunk = Chunk.model_validate_json(data)
                if note is not None:
                    note(chunk)
                for choice in chunk.choices:
                    if choice.delta.content:
                        pieces.append(choice.delta.content)
                    for call in choice.delta.tool_calls or ():
                        if call.function is not None and call.function.arguments:
                            pieces.append(call.function.arguments)  # noqa: PERF401 - for a single call it is faster
