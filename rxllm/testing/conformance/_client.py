"""rxllm's own client, as the suite runs it."""

from __future__ import annotations

from typing import Any

from rxllm import operators as ops
from rxllm.client import LLMClient
from rxllm.flow import Stream
from rxllm.models import ChatCompletion, ChatRequest, Message, Role, StreamChunk
from rxllm.sources import fallback

__all__ = ["CHUNK_TIMEOUT", "rxllm_client", "rxllm_fallback", "rxllm_retrying"]

CHUNK_TIMEOUT = 2.0
"""For how many seconds ``rxllm_client`` lets a server be silent: longer than a source waits behind the finish."""

# Which dialect is due, by how the address ends.
DIALECTS = {
    "/chat/completions": "openai-chat",
    "/messages": "anthropic",
    "/responses": "openai-responses",
    ":streamGenerateContent?alt=sse": "gemini",
    "/v2/chat": "cohere",
    "/api/chat": "ollama",
    "/converse-stream": "bedrock-converse",
}


async def rxllm_client(url: str) -> ChatCompletion:
    """The client of ``rxllm`` for the cases: ``LLMClient`` without retries, ``timeout_per_chunk`` and ``accumulate``.

    Args:
        url: The address of chat completions, or of what another dialect has instead.
    """
    async with _client(url, retries=0) as client:
        return await _chunks(client).pipe(ops.accumulate())


async def rxllm_retrying(url: str) -> ChatCompletion:
    """The same with the default retries of ``LLMClient``.

    Args:
        url: The address of chat completions, or of what another dialect has instead.
    """
    async with _client(url) as client:
        return await _chunks(client).pipe(ops.accumulate())


async def rxllm_fallback(url: str, other: str) -> ChatCompletion:
    """The same with ``rxllm.fallback``, which asks another server if one fails.

    Args:
        url: The address of chat completions, or of what another dialect has instead.
        other: The URL of the other server.
    """
    async with (
        _client(url) as first,
        _client(other) as second,
    ):
        return await fallback(_chunks(first), _chunks(second)).pipe(ops.accumulate())


def _client(url: str, **options: Any) -> LLMClient:
    (dialect,) = (name for path, name in DIALECTS.items() if url.endswith(path))
    return LLMClient(base_url=url, api_key="none", dialect=dialect, **options)


def _chunks(client: LLMClient) -> Stream[StreamChunk]:
    request = ChatRequest(model="scripted", messages=[Message(role=Role.USER, content="What time is it?")])
    return client.chat_stream(request).pipe(ops.timeout_per_chunk(CHUNK_TIMEOUT))
