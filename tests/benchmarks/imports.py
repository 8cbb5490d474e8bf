"""What an import costs, in a fresh interpreter.

All modules are compiled beforehand, ours as those of the dependencies: an installed package has its bytecode beside it,
a checkout that may write none (``PYTHONDONTWRITEBYTECODE``) would compile the library each time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from types import MappingProxyType

__all__ = ["CASES", "EVERYTHING", "FIRST_ANSWER", "FOUR", "IMPORT", "PIPELINE", "USED", "milliseconds"]

FOUR, USED = "the four dependencies", "the four dependencies, in use"
IMPORT, PIPELINE, FIRST_ANSWER, EVERYTHING = (
    "rxllm",
    "rxllm, the names of a pipeline",
    "rxllm, a pipeline and its first answer",
    "rxllm, every name",
)

_FOUR = "import aiohttp, loguru, pydantic, reactivex"
_PIPELINE = """\
import rxllm
from rxllm import operators as ops
rxllm.from_sse, rxllm.run
operators = ops.parse, ops.timeout_per_chunk, ops.tee_to, ops.buffer_with_backpressure, ops.accumulate
"""
_FIRST_ANSWER = """
import reactivex
class Discard:
    async def open(self): return self
    async def write(self, items): pass
    async def close(self, ending): pass
parse, timeout_per_chunk, tee_to, buffer_with_backpressure, accumulate = operators
frames = '{"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":"Hello"}}]}', "[DONE]"
completion = rxllm.run(reactivex.of(*frames).pipe(
    parse(), timeout_per_chunk(10), tee_to(Discard()), buffer_with_backpressure(256), accumulate()
))
assert completion.message.content == "Hello"
"""

CASES = MappingProxyType(
    {
        FOUR: _FOUR,
        # pydantic imports itself when a name of it is asked for, and the rest with the first model. Nobody who uses it
        # can do without either.
        USED: f"{_FOUR}\nfrom pydantic import BaseModel\nclass Model(BaseModel): name: str",
        **{name: f"import {name}" for name in ("aiohttp", "loguru", "pydantic", "reactivex")},
        IMPORT: "import rxllm",
        PIPELINE: _PIPELINE,
        FIRST_ANSWER: _PIPELINE + _FIRST_ANSWER,
        EVERYTHING: "from rxllm import *\nfrom rxllm.operators import *\nfrom rxllm.sinks import *",
    }
)
"""What is measured: Python statements by name."""

_SCRIPT = """\
import time
began = time.process_time()
{}
print((time.process_time() - began) * 1000)
"""


def milliseconds(statements: str, bytecode: str) -> float:
    """Milliseconds of CPU that statements take, as the first that an interpreter executes.

    Args:
        statements: The statements.
        bytecode: The directory in which compiled modules are kept; the first time fills it.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    answer = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(statements)],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env={**environment, "PYTHONPYCACHEPREFIX": bytecode},
    )
    return float(answer.stdout)
