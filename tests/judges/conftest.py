"""Clients of others read what we serve: scripts that the environment variable ``RXLLM_JUDGES`` leads to.

The folder has what the scripts need beside them (``npm ci``). Without the variable these tests skip.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.scripts import printed_by

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
        command = (program, str(judges / script), *arguments)
        said, stderr = await printed_by(command, judges, seconds=SECONDS, environment=environment)
        assert said, f"{script} printed nothing: {stderr[-2000:]}"
        report: dict[str, Any] = json.loads(said)
        return report | {"stderr": stderr}

    return run
