"""What the README says holds: its code runs, and the tests and files that it names exist."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

import rxllm
from rxllm.testing import ScriptedServer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ANSWER = "Rivers carry salt to the sea. There it stays."

# What each python block prints, in order; a later block finds the files of the earlier ones.
PRINTED = [
    f"{ANSWER}\n{ANSWER} prompt_tokens=7 completion_tokens=9 total_tokens=16\n",
    f"{ANSWER}\n",
    "Rivers carry salt to the sea.",
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def links() -> list[tuple[str, str]]:
    """Text and target of each link into this repository."""
    return [link for link in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", README) if "://" not in link[1]]


async def run_python(code: str, folder: Path, base_url: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", code),
        cwd=folder,
        env={**environment, "OPENAI_BASE_URL": base_url, "PYTHONIOENCODING": "utf-8"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    return output.replace("\r\n", "\n")


async def test_the_code_runs(tmp_path: Path) -> None:
    async with ScriptedServer(ANSWER, repeat=True) as server:
        printed = [await run_python(code, tmp_path, server.base_url) for code in blocks("python")]

    assert printed == PRINTED


def test_there_are_two_commands_of_one_line() -> None:
    install, test = (block.splitlines() for block in blocks("sh"))
    assert [line.rpartition(" && ")[2] for line in install] == ["python examples/display_and_persist.py"]
    assert [line.rpartition(" && ")[2] for line in test] == ["python -m pytest"]


@pytest.mark.parametrize(("text", "target"), links(), ids=lambda part: Path(part).name)
def test_links_lead_somewhere(text: str, target: str) -> None:
    path = ROOT / target
    assert path.exists()
    if text.startswith("test_"):
        assert re.search(rf"^(async )?def {text}\(", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_each_claim_names_a_test() -> None:
    section = README.partition("## What it does that others don't")[2].partition("\n## ")[0]
    claims = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert claims
    assert [claim for claim in claims if "[test_" not in claim] == []


def test_each_example_is_listed() -> None:
    listed = {target for _, target in links() if target.startswith("examples/")}
    assert listed == {f"examples/{path.name}" for path in (ROOT / "examples").glob("[!_]*.py")}


def test_each_error_is_one_of_ours() -> None:
    named = set(re.findall(r"\b[A-Z]\w+Error\b", README)) - {"TimeoutError"}
    assert named <= set(rxllm.__all__)
