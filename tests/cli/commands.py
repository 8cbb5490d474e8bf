"""Runs commands of ``rxllm`` in this process, in a thread as they have no loop, with streams of their own."""

from __future__ import annotations

import asyncio
import io
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from rxllm.cli import main


@dataclass
class Outcome:
    """What a command came to."""

    status: int
    stdout: str
    stderr: str


class NobodyReads(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


class Commands:
    """Runs commands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    async def __call__(self, *arguments: object, stdin: bytes = b"", streams: dict[str, Any] | None = None) -> Outcome:
        """Run a command.

        Args:
            *arguments: Its arguments.
            stdin: What another program gives it.
            streams: Other files for ``stdin``, ``stdout`` and ``stderr``.
        """
        files: dict[str, Any] = {
            "stdin": io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"),
            "stdout": io.StringIO(),
            "stderr": io.StringIO(),
            **(streams or {}),
        }
        with self._monkeypatch.context() as patch:
            for name, file in files.items():
                patch.setattr(sys, name, file)
            status = await asyncio.to_thread(main, [str(argument) for argument in arguments])
        return Outcome(status, *(_text(files[name]) for name in ("stdout", "stderr")))


def _text(file: Any) -> str:
    return file.getvalue() if isinstance(file, io.StringIO) else ""
