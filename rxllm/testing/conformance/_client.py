"""rxllm's own client, as the suite runs it."""

from __future__ import annotations

from rxllm import operators as ops
from rxllm.client import LLMClient
from rxllm.flow import Stream
from rxllm.models import ChatCompletion, ChatRequest, Message, Role, StreamChunk
from rxllm.sources import fallback

__all__ = ["CHUNK_TIMEOUT", "rxllm_client", "rxllm_fallback", "rxllm_retrying"]

CHUNK_TIMEOUT = 2.0
"""For how many seconds ``rxllm_client`` lets a server be silent: longer than a source waits behind the finish."""

PATH = "/chat/completions"


async def rxllm_client(url: str) -> ChatCompletion:
    """What ``rxllm`` makes of an answer: ``LLMClient`` without other tries, ``timeout_per_chunk`` and ``accumulate``.

    Args:
        url: The address of chat completions.
    """
    async with LLMClient(base_url=url.removesuffix(PATH), api_key="none", retries=0) as client:
        return await _chunks(client).pipe(ops.accumulate())


async def rxllm_retrying(url: str) -> ChatCompletion:
    """The same, and ``LLMClient`` tries again as it does by default.

    Args:
        url: The address of chat completions.
    """
    async with LLMClient(base_url=url.removesuffix(PATH), api_key="none") as client:
        return await _chunks(client).pipe(ops.accumulate())


async def rxllm_fallback(url: str, other: str) -> ChatCompletion:
    """The same, and ``rxllm.fallback`` asks another server when one fails.

    Args:
        url: The address of chat completions.
        other: That of the other server.
    """
    async with (
        LLMClient(base_url=url.removesuffix(PATH), api_key="none") as first,
        LLMClient(base_url=other.removesuffix(PATH), api_key="none") as second,
    ):
        return await fallback(_chunks(first), _chunks(second)).pipe(ops.accumulate())


def _chunks(client: LLMClient) -> Stream[StreamChunk]:
    request = ChatRequest(model="scripted", messages=[Message(role=Role.USER, content="What time is it?")])
    return client.chat_stream(request).pipe(ops.timeout_per_chunk(CHUNK_TIMEOUT))
