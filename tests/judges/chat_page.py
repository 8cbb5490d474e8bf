"""The chat of ``examples/browser_chat.py`` in a process of its own, for tests with a browser."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from rxllm.testing import ScriptedServer, script
from tests.judges.chromium import PATIENCE, Tab

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "browser_chat.py"
ANSWER = "[...document.querySelectorAll('[data-role=assistant]')].at(-1)?.textContent ?? ''"
IDLE = "document.body.dataset.state === 'idle'"
NUMBERS = [f"w{number}" for number in range(200)]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@asynccontextmanager
async def process_of(*arguments: str, **environment: str) -> AsyncGenerator[tuple[str, asyncio.subprocess.Process]]:
    """A process that serves the chat, and its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(EXAMPLE), "--serve", "--port", str(port), "--alone", *arguments),
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            assert b"http" in await process.stdout.readline()
        yield f"http://127.0.0.1:{port}/", process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@asynccontextmanager
async def chat(*scripts: Any, repeat: bool = False) -> AsyncGenerator[tuple[str, ScriptedServer]]:
    """The address of a chat with a model that answers like this."""
    async with (
        ScriptedServer(*scripts, repeat=repeat) as model,
        process_of(OPENAI_BASE_URL=model.base_url) as (url, _),
    ):
        yield url, model


async def ask(tab: Tab, question: str) -> None:
    await tab.until(IDLE)
    await tab.js("document.querySelector('textarea').focus()")
    await tab.type(question)
    await tab.press("Enter")
    await tab.until("document.body.dataset.state === 'answering' || document.querySelector('section')")


def numbers(text: str) -> list[str]:
    return re.findall(r"w\d+", text)


def held(*, first: int, gate: asyncio.Event) -> list[Any]:
    """Numbered words, which stop for a while in the middle."""
    words = script.words(" ".join(NUMBERS))
    return [*script.answer(words[:first])[:-3], script.wait_for(gate), *script.answer(words[first:])[1:]]
