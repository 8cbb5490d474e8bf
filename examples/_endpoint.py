"""Where the examples send their requests: to a scripted server in the same process, or to yours.

With ``OPENAI_BASE_URL`` or ``OPENAI_API_KEY`` set they talk to that, with the model that ``RXLLM_MODEL`` names.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rxllm import LLMClient
from rxllm.testing import Script, ScriptedServer

MODEL = os.environ.get("RXLLM_MODEL", "gpt-4o-mini")


@asynccontextmanager
async def connect(*scripts: Script, delay_per_chunk: float = 0.03) -> AsyncGenerator[LLMClient]:
    """A client of your server, or of one that answers with these scripts, the first request with the first."""
    if os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_KEY"):
        async with LLMClient() as client:
            yield client
    else:
        async with (
            ScriptedServer(*scripts, delay_per_chunk=delay_per_chunk) as server,
            LLMClient(base_url=server.base_url) as client,
        ):
            yield client
