"""A process that is measured: runs the coroutine functions it is told on standard input, each in a new event loop."""

from __future__ import annotations

import asyncio
import importlib
import json
import resource
import sys

__all__ = ["main"]


def main() -> None:
    """Read ``["module.function", {arguments}]``, a line each, and answer with what it returns."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for line in sys.stdin:
        name, arguments = json.loads(line)
        module, _, function = name.rpartition(".")
        coroutine = getattr(importlib.import_module(f"tests.benchmarks.{module}"), function)(**arguments)
        sys.stdout.write(json.dumps(asyncio.run(coroutine)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
