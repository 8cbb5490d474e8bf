"""Runs short programs, each in a process of its own, without each of them importing the library anew.

That is most of the time which they take. So one process imports it, waits, and forks for each program. That the library
works where nothing was imported before is seen elsewhere: ``test_api.py``, ``test_examples.py``, ``test_readme.py``.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Self

ARGUMENTS = (sys.executable, "-W", "error")
ENVIRONMENT = {"PYTHONIOENCODING": "utf-8"}


class Programs:
    """Runs programs one after the other; a context manager."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*ARGUMENTS, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, **ENVIRONMENT},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, code: str, folder: Path, environment: Mapping[str, str]) -> tuple[str, int]:
        """Run a program in a folder; gives what it printed, also to stderr, and its exit status."""
        if not hasattr(os, "fork"):
            return run_without_fork(code, folder, environment)
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([code, str(folder), dict(environment)]) + "\n")
        self._process.stdin.flush()
        printed, status = json.loads(self._process.stdout.readline())
        return printed, status


def run_without_fork(code: str, folder: Path, environment: Mapping[str, str]) -> tuple[str, int]:
    process = subprocess.run(
        [*ARGUMENTS, "-c", code],
        check=False,
        cwd=folder,
        env={**os.environ, **ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    return process.stdout, process.returncode


def serve() -> None:
    """Fork for each line that comes; returns in the process that has run a program, and at the end."""
    for line in sys.stdin:
        code, folder, environment = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            for descriptor in (reading, writing):
                os.close(descriptor)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.chdir(folder)
            os.environ.update(environment)
            sys.path[0] = ""
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(code, "<string>", "exec", dont_inherit=True), main.__dict__)  # noqa: S102 - what it is for
            return
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as output:
            printed = output.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(json.dumps([printed, status]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    import hypothesis

    from rxllm import *  # noqa: F403
    from rxllm import testing
    from rxllm.operators import *  # noqa: F403
    from rxllm.sinks import *  # noqa: F403

    _ = testing.ScriptedServer, testing.script
    # As for the tests: a machine that is slow for a moment is no failure.
    hypothesis.settings.register_profile("programs", deadline=None)
    hypothesis.settings.load_profile("programs")
    gc.freeze()
    serve()
