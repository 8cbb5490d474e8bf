"""The marble diagram of each operator is what happens."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rxllm import ToolRegistry, operators
from rxllm.testing import check_marbles
from rxllm.typing import Ending


class Collector:
    """A sink, and the one stream that it takes."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.ending: Ending | None = None

    async def open(self) -> Collector:
        return self

    async def write(self, items: Sequence[Any], /) -> None:
        self.items.extend(items)

    async def close(self, ending: Ending, /) -> None:
        self.ending = ending


async def upper(text: str) -> str:
    return text.upper()


NAMES: dict[str, Callable[[], dict[str, Any]]] = {
    "map_async": lambda: {"upper": upper},
    "run_tools": lambda: {"registry": ToolRegistry([upper])},
    "tee_to": lambda: {"sink": Collector()},
    "tee_to_display": lambda: {"file": io.StringIO()},
}
"""What the diagrams of some operators are about, and cannot say themselves."""


@pytest.mark.parametrize("name", operators.__all__)
def test_diagram(name: str) -> None:
    check_marbles(getattr(operators, name), **NAMES.get(name, dict)())
