"""What these tests need of others, and what happens where it is missing."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any, NoReturn

import pytest

__all__ = ["missing", "sdk_of"]

_PACKAGES = {"google.genai": "google-genai"}


def missing(reason: str) -> NoReturn:
    """Skip with the reason; with ``CI`` in the environment, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def sdk_of(module: str) -> Any:
    """The SDK of a vendor, which is a second opinion: nothing here needs its types."""
    # Looked for part by part: the package of a vendor may be missing, too.
    parts = module.split(".")
    if any(importlib.util.find_spec(".".join(parts[:count])) is None for count in range(1, len(parts) + 1)):
        package = _PACKAGES.get(module, module)
        missing(f"{package} is not installed: pip install 'rxllm[live]'")
    return importlib.import_module(module)
