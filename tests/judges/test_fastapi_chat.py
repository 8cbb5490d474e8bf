"""The AI SDK's own client asks ``examples/fastapi_chat.py``, and comes back to it in the middle of an answer."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import pytest

from rxllm.testing import ScriptedServer, script
from tests.judges.chat_page import ROOT
from tests.judges.chromium import PATIENCE
from tests.judges.conftest import Judge

WORDS = " ".join(f"w{number}" for number in range(120))


@pytest.fixture
async def back_end() -> AsyncIterator[str]:
    async with ScriptedServer(script.answer(script.words(WORDS)), repeat=True, delay_per_chunk=0.01) as model:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", str(ROOT / "examples" / "fastapi_chat.py"), "--serve", "--port", "0"),
            env=os.environ | {"OPENAI_BASE_URL": model.base_url},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                url = await process.stdout.readline()
            yield url.decode().strip()
        finally:
            process.terminate()
            await process.wait()


@pytest.mark.parametrize("options", [(), ("--resume", "--cut", "1500")])
async def test_use_chat_gets_all_of_an_answer(judge: Judge, back_end: str, options: tuple[str, ...]) -> None:
    report = await judge("ui-message-stream.mjs", back_end, "--expect", WORDS, *options)

    assert report["ok"], report
