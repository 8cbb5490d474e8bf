"""rxllm's own client, as the suite runs it."""

from __future__ import annotations

from rxllm import operators as ops
from rxllm.client import LLMClient
from rxllm.models import ChatCompletion, ChatRequest, Message, Role

__all__ = ["CHUNK_TIMEOUT", "rxllm_client"]

CHUNK_TIMEOUT = 2.0
"""For how many seconds ``rxllm_client`` lets a server be silent: longer than a source waits behind the finish."""

PATH = "/chat/completions"


async def rxllm_client(url: str) -> ChatCompletion:
    """What ``rxllm`` makes of an answer: ``LLMClient``, ``timeout_per_chunk`` and ``accumulate``.

    Args:
        url: The address of chat completions.
    """
    request = ChatRequest(model="scripted", messages=[Message(role=Role.USER, content="What time is it?")])
    async with LLMClient(base_url=url.removesuffix(PATH), api_key="none", retries=0) as client:
        return await client.chat_stream(request).pipe(ops.timeout_per_chunk(CHUNK_TIMEOUT), ops.accumulate())
