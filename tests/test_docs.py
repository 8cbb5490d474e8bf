"""What the documentation says holds: its code runs and prints what it says, and what it names exists."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rxllm import exceptions
from rxllm.testing import ScriptedServer
from tests.pages import PAGES, ROOT, Program, programs_of
from tests.programs import Programs

ANSWER = "Rivers carry salt to the sea."

# Fences by language. What is none of these is neither run nor rendered by anything, and is a slip.
LANGUAGES = {"python", "sh", "text", "{eval-rst}", "{include}", "{marbles}", "{toctree}"}

TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


PROGRAMS = [program for page in PAGES for program in programs_of(page)]


def identify(value: object) -> str:
    return value.stem if isinstance(value, Path) else ""


@pytest.fixture(scope="module")
def programs() -> Iterator[Programs]:
    with Programs() as programs:
        yield programs


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.page.stem)
async def test_the_code_prints_what_it_says(program: Program, tmp_path: Path, programs: Programs) -> None:
    program.write_neighbours(tmp_path)
    async with ScriptedServer(ANSWER, repeat=True) as server:
        environment = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": ""}
        output, status = await asyncio.to_thread(programs.run, program.code, tmp_path, environment)

    assert output.replace("\r\n", "\n") == program.printed, program.page
    assert status == 0


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_every_block_has_a_language_that_is_checked(page: Path) -> None:
    fences = re.findall(r"^ *```(\S*).*$", page.read_text("utf-8"), re.MULTILINE)

    assert len(fences) % 2 == 0
    assert set(fences[::2]) <= LANGUAGES
    assert set(fences[1::2]) <= {""}


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_tests_that_are_named_exist(page: Path) -> None:
    for file, test in TEST.findall(page.read_text("utf-8")):
        code = (ROOT / file).read_text("utf-8")
        assert not test or re.search(rf"^(async )?def {test}\(", code, re.MULTILINE), (file, test)


def test_every_block_of_python_is_run() -> None:
    blocks = sum(page.read_text("utf-8").count("```python\n") for page in PAGES)

    assert blocks
    assert len(PROGRAMS) == blocks


def test_every_error_is_in_the_table_of_errors() -> None:
    page = (ROOT / "docs" / "guides" / "errors.md").read_text("utf-8")
    table = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    named = set(re.findall(r"`(\w+Error)`", table)) - {"CancelledError"}
    errors = {name for name in exceptions.__all__ if name.endswith("Error")}

    # The two that are only there to be caught.
    assert named == errors - {"RxllmError", "APIError"}
