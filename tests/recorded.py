"""Streams that servers really sent.

They stay where they are: the environment variable ``RXLLM_CORPUS`` names the folder. Without it their tests skip.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

__all__ = ["DIALECTS", "Stream", "each_of", "streams"]

DIALECTS = ("openai-chat", "anthropic", "openai-responses", "gemini", "ollama", "cohere")
"""The dialects of which there are some."""


@dataclass(frozen=True)
class Stream:
    """A stream: its name, what is known of it, and the bytes of its body."""

    name: str
    case: dict[str, Any]
    wire: bytes

    @property
    def dialect(self) -> str:
        """The dialect that it is in."""
        return str(self.case["dialect"])


@cache
def _all() -> tuple[Stream, ...]:
    folder = os.environ.get("RXLLM_CORPUS")
    if folder is None:
        return ()
    cases = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in sorted(Path(folder).glob("*.json"))]
    return tuple(Stream(path.stem, case, (path.parent / case["file"]).read_bytes()) for path, case in cases)


def streams(*dialects: str) -> list[Stream]:
    """The streams in these dialects, in the order of their names; none without the folder."""
    return [stream for stream in _all() if stream.dialect in dialects]


def each_of(chosen: Iterable[Stream], *names: str) -> pytest.MarkDecorator:
    """Have a test run with each of these streams: it takes the attributes with these names."""
    if "RXLLM_CORPUS" in os.environ:
        sets = [pytest.param(*(getattr(each, name) for name in names), id=each.name) for each in chosen]
    else:
        skip = pytest.mark.skip(reason="RXLLM_CORPUS names no folder")
        sets = [pytest.param(*(None for _ in names), marks=skip)]
    return pytest.mark.parametrize(names, sets)
