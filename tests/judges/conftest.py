"""Clients of others read what we serve: scripts that the environment variable ``RXLLM_JUDGES`` leads to.

The folder has what the scripts need beside them (``npm ci``). Without the variable these tests skip.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeAlias

import pytest

HERE = Path(__file__).parent
SECONDS = 120
"""A judge that has not ended by then is ended."""

Judge: TypeAlias = Callable[..., Awaitable[dict[str, Any]]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def judges() -> Path:
    """The folder of the judges."""
    if (folder := os.environ.get("RXLLM_JUDGES")) is None:
        pytest.skip("RXLLM_JUDGES does not lead to the folder of the judges")
    return Path(folder)


@pytest.fixture
def judge(judges: Path) -> Judge:
    """Runs a script: ``await judge("ag-ui.mjs", url, "--expect", "Hi")`` gives what it printed, and ``stderr``."""

    async def run(script: str, *arguments: str, **environment: str) -> dict[str, Any]:
        program = sys.executable if script.endswith(".py") else shutil.which("node")
        assert program is not None, "there is no node"
        # A file: what Node prints into a pipe may be cut, if it is more than the pipe holds and the script exits then.
        with TemporaryFile() as printed:
            process = await asyncio.create_subprocess_exec(
                program,
                str(judges / script),
                *arguments,
                cwd=judges,
                env=os.environ | environment,
                stdout=printed,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(SECONDS):
                    _, errors = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            printed.seek(0)
            said = printed.read()
        stderr = errors.decode(errors="replace")
        assert said, f"{script} printed nothing: {stderr[-2000:]}"
        report: dict[str, Any] = json.loads(said)
        return report | {"stderr": stderr}

    return run
