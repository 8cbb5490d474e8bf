"""Where the examples send their requests: to a scripted server in the same process, or to yours.

``--dialect anthropic`` makes them speak another dialect; the scripted server says the same in it. With a base URL or a
key for that dialect in the environment (``OPENAI_BASE_URL``, ``ANTHROPIC_API_KEY`` …) they talk to that, with the model
that ``RXLLM_MODEL`` names.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from _running import introduce

from rxllm import LLMClient
from rxllm.dialects import get_dialect
from rxllm.testing import Script, ScriptedServer
from rxllm.testing.script import ScriptDialect

MODELS: dict[ScriptDialect, str] = {
    "openai-chat": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5",
    "openai-responses": "gpt-4o-mini",
    "gemini": "gemini-2.5-flash",
    "cohere": "command-a-03-2025",
    "ollama": "llama3.2",
    "bedrock-converse": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
}


@dataclass(frozen=True)
class Endpoint:
    """What is asked.

    Attributes:
        dialect: What it speaks.
        takes_time: Whether the scripted server waits between two chunks, as a model does.
    """

    dialect: ScriptDialect = "openai-chat"
    takes_time: bool = True

    @property
    def model(self) -> str:
        """The model to ask for."""
        return os.environ.get("RXLLM_MODEL", MODELS[self.dialect])

    @asynccontextmanager
    async def connect(self, *scripts: Script, delay_per_chunk: float = 0.03) -> AsyncGenerator[LLMClient]:
        """A client of your server, or of one that answers with these scripts, the first request with the first."""
        home = get_dialect(self.dialect).home
        if any(os.environ.get(name) for name in (home.base_url_variable, home.key_variable) if name):
            async with LLMClient(dialect=self.dialect) as client:
                yield client
        else:
            delay = delay_per_chunk if self.takes_time else 0
            async with (
                ScriptedServer(*scripts, dialect=self.dialect, delay_per_chunk=delay) as server,
                LLMClient(base_url=server.base_url, dialect=self.dialect) as client,
            ):
                yield client


def endpoint(*, only: str = "") -> Endpoint:
    """What the command line asks for, behind a line that says what is to be seen.

    Args:
        only: Why this example knows no dialect but the usual one; empty if it knows all.
    """
    main = sys.modules["__main__"]
    parser = argparse.ArgumentParser(description=main.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", choices=list(MODELS), default=Endpoint.dialect, help="what the server speaks")
    chosen: ScriptDialect = parser.parse_args().dialect
    if only and chosen != Endpoint.dialect:
        parser.error(f"argument --dialect: this example knows only {Endpoint.dialect}: {only}")
    introduce()
    return Endpoint(chosen)
