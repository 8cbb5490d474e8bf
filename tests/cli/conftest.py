"""The commands, and an environment in which nobody has set anything."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Commands


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("ANTHROPIC_", "OPENAI_", "RXLLM_", "GROQ_")) or name in {"NO_COLOR", "FORCE_COLOR"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("RXLLM_MODEL", "m")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def rxllm(monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(monkeypatch)
