"""The house: a room is a top-level package or module of ``rxllm``, and what has an underscore stays within it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import rxllm

ROOT = Path(rxllm.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

EXCEPTIONS = {
    "rxllm._lazy.lazy_exports": "every room's __init__ is made with it, so it can be in none of them",
}
"""Names with an underscore that other rooms may import, and why."""


def imports(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_room_imports_what_has_an_underscore_in_another() -> None:
    private = {
        name
        for module in MODULES
        for name in imports(module)
        if name.startswith("rxllm.") and "._" in name
        if name.split(".")[1] != module.relative_to(ROOT).with_suffix("").parts[0]
    }

    assert len(EXCEPTIONS) <= 10
    assert private == EXCEPTIONS.keys()


def test_no_file_name_stands_twice() -> None:
    names = Counter(module.name for module in MODULES)

    assert not {name for name, times in names.items() if times > 1} - {"__init__.py", "__main__.py"}
