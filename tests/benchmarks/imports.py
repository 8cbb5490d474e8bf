"""What an import costs, in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

__all__ = ["DEPENDENCIES", "milliseconds"]

DEPENDENCIES = ("aiohttp", "loguru", "pydantic", "reactivex")

_SCRIPT = """\
import time
began = time.process_time()
import {}
print((time.process_time() - began) * 1000)
"""


def milliseconds(modules: str) -> float:
    """Milliseconds of CPU that ``import modules`` takes."""
    answer = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(modules)], check=True, capture_output=True, encoding="utf-8"
    )
    return float(answer.stdout)
