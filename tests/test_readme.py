"""What the README says holds: its code runs, and the tests and files that it names exist."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

import rxllm
from rxllm.testing import Script, ScriptedServer, script
from rxllm.testing.script import ScriptDialect

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ANSWER = "Rivers carry salt to the sea. There it stays."

# What each python block prints, in order; a later block finds the files of the earlier ones. The last one serves.
PRINTED = [
    f"{ANSWER}\n{ANSWER} prompt_tokens=7 completion_tokens=9 total_tokens=16\n",
    f"{ANSWER}\n",
    f"gpt-4o-mini: {ANSWER}\nclaude-haiku-4-5: {ANSWER}\ngemini-2.5-flash: {ANSWER}\n",
    "Rivers carry salt to the sea. stopped\n",
    f"{ANSWER} (2 attempts)\n",
]
PROVIDERS: dict[ScriptDialect, str] = {
    "openai-chat": "OPENAI_BASE_URL",
    "anthropic": "ANTHROPIC_BASE_URL",
    "gemini": "GOOGLE_GEMINI_BASE_URL",
}
STALLS = [*script.words("Rivers carry salt to the sea."), script.stall()]
BREAKS_OFF = [*script.words("Rivers carry"), script.cut()]
# What the server of the first dialect sends instead of the answer.
SENT: dict[int, list[Script]] = {3: [STALLS], 4: [BREAKS_OFF, ANSWER]}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def links() -> list[str]:
    """The target of each link into this repository."""
    return [target for target in re.findall(r"\[[^\]]+\]\(([^)]+)\)", README) if "://" not in target]


@asynccontextmanager
async def servers(*scripts: Script) -> AsyncGenerator[dict[str, str]]:
    """The environment in which code finds a server of each dialect.

    Args:
        *scripts: What that of the first one sends; each time the answer if that is not said.
    """
    names = {*PROVIDERS.values(), "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"}
    environment = {name: value for name, value in os.environ.items() if name not in names}
    async with AsyncExitStack() as stack:
        for place, (dialect, variable) in enumerate(PROVIDERS.items()):
            sent = scripts if scripts and not place else [ANSWER]
            server = await stack.enter_async_context(ScriptedServer(*sent, repeat=sent == [ANSWER], dialect=dialect))
            environment[variable] = server.base_url
        yield {**environment, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1", "PORT": "0"}


async def start(code: str, folder: Path, environment: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", code),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def test_the_code_runs(tmp_path: Path) -> None:
    printed: list[str] = []
    for place, code in enumerate(blocks("python")[:-1]):
        async with servers(*SENT.get(place, [])) as environment:
            process = await start(code, tmp_path, environment)
            output = (await process.communicate())[0].decode()
        assert process.returncode == 0, output
        printed.append(output.replace("\r\n", "\n"))

    assert printed == PRINTED


async def test_the_last_program_serves(tmp_path: Path) -> None:
    async with servers() as environment:
        process = await start(blocks("python")[-1], tmp_path, environment)
        try:
            assert process.stdout is not None
            line = (await process.stdout.readline()).decode()
            url = re.findall(r"http://[\d.:]+", line)[0]
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{url}/chat", json={"question": "Why is the sea salty?"}) as response,
            ):
                assert response.content_type == "text/event-stream"
                assert "salt" in await response.text()
        finally:
            process.terminate()
            output = (await process.communicate())[0].decode()

    assert "Traceback" not in output
    assert "Warning" not in output


def test_there_are_two_commands_of_one_line() -> None:
    install, test = (block.splitlines() for block in blocks("sh"))
    assert [line.rpartition(" && ")[2] for line in install] == ["python examples/display_and_persist.py"]
    assert [line.rpartition(" && ")[2] for line in test] == ["python -m pytest"]


@pytest.mark.parametrize("target", links())
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_each_claim_names_a_test() -> None:
    page = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    claims = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert claims
    assert [claim for claim in claims if ".py::test_" not in claim] == []


def test_each_example_is_listed() -> None:
    listed = {target for target in links() if target.startswith("examples/")}
    assert listed == {f"examples/{path.name}" for path in (ROOT / "examples").glob("[!_]*.py")}


def test_each_error_is_one_of_ours() -> None:
    named = set(re.findall(r"\b[A-Z]\w+Error\b", README)) - {"TimeoutError"}
    assert named <= set(rxllm.__all__)
