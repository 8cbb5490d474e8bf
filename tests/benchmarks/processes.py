"""Processes that are measured, and the one that answers them.

Each contender runs in a process of its own that stays for all of its runs, so that contenders can take turns and
none pays for another's memory.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Self

__all__ = ["Worker", "listening", "serving"]


class Worker:
    """A process that runs coroutine functions of this package, one at a time: the other end is ``worker.py``."""

    def __init__(self) -> None:
        self._process = _start(_command("tests.benchmarks.worker"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._process)

    def run(self, function: str, **arguments: Any) -> Any:
        """Run ``module.function`` there and return what it returned.

        Raises:
            RuntimeError: It failed; what it said is on standard error.
        """
        self.begin(function, **arguments)
        return self.result()

    def begin(self, function: str, **arguments: Any) -> None:
        """Begin to run ``module.function`` there."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([function, arguments]) + "\n")
        self._process.stdin.flush()

    def result(self) -> Any:
        """What the function returned that was begun.

        Raises:
            RuntimeError: It failed; what it said is on standard error.
        """
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("what was begun in another process has failed")
        return json.loads(answer)


@contextlib.contextmanager
def serving(module: str = "tests.benchmarks.server") -> Generator[str]:
    """A server in a process of its own; gives its origin."""
    with listening(_command(module)) as origin:
        yield origin


@contextlib.contextmanager
def listening(command: Sequence[str], folder: Path | None = None) -> Generator[str]:
    """A program that writes the port on which it listens, and ends with its standard input; gives its origin.

    Args:
        command: Its command line.
        folder: Where it runs.
    """
    process = _start(command, folder)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        _end(process)


def _command(module: str) -> Sequence[str]:
    return [sys.executable, "-m", module]


def _start(command: Sequence[str], folder: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", cwd=folder)


def _end(process: subprocess.Popen[str]) -> None:
    """Close its standard input, which ends it, and wait for that."""
    with process:
        pass
