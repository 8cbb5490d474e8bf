"""The reference is complete: every public name has its place in it, and every operator its page."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_origin

import pytest

import rxllm
from rxllm import operators
from rxllm.testing import check_marbles

DOCS = Path(__file__).parents[1] / "docs"
REFERENCE = DOCS / "reference"
PAGES = [page.read_text("utf-8") for page in sorted(REFERENCE.rglob("*.md"))]
DIAGRAMS = [
    diagram
    for page in sorted(DOCS.rglob("*.md"))
    for diagram in re.findall(r"^```{marbles}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
]
AUTO = re.compile(r"^\.\. auto(\w+):: ([\w.]+)\n((?: +:.*\n)*)", re.MULTILINE)


def exports(module: str) -> list[str]:
    return list(importlib.import_module(module).__all__)


def public_names() -> list[tuple[str, str]]:
    modules = [module.name for module in pkgutil.walk_packages(rxllm.__path__, "rxllm.")]
    return [(module, name) for module in ["rxllm", *modules] if "._" not in module for name in exports(module)]


def documents_itself(value: Any) -> bool:
    """Whether a thing can have a docstring: an alias or a constant has that of its type at most."""
    return inspect.isclass(value) or (get_origin(value) is None and value.__doc__ != type(value).__doc__)


def documented() -> Iterator[str]:
    """What the directives on the pages document; Sphinx itself checks that when it builds them."""
    for page in PAGES:
        for kind, name, options in AUTO.findall(page):
            yield name
            if kind == "module" and ":members:" in options:
                for export in exports(name):
                    value = pkgutil.resolve_name(f"{name}.{export}")
                    defined_here = not documents_itself(value) or getattr(value, "__module__", name) == name
                    if ":imported-members:" in options or defined_here:
                        yield f"{name}.{export}"


def texts() -> set[str]:
    """The aliases and constants that have a text below them."""
    found: set[str] = set()
    for name, module in sorted(sys.modules.items()):
        if name.startswith("rxllm"):
            for statement, text in pairwise(ast.parse(inspect.getsource(module)).body):
                targets = [statement.target] if isinstance(statement, ast.AnnAssign) else []
                targets += [each for each in getattr(statement, "targets", []) if isinstance(each, ast.Name)]
                if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                    found |= {ast.unparse(target) for target in targets}
    return found


@pytest.fixture(scope="module")
def objects() -> dict[str, list[Any]]:
    """What is documented, by its name without the module."""
    found: dict[str, list[Any]] = {}
    for name in documented():
        found.setdefault(name.rpartition(".")[2], []).append(pkgutil.resolve_name(name))
    return found


def test_every_public_name_is_in_the_reference(objects: dict[str, list[Any]]) -> None:
    missing = [
        f"{module}.{name}"
        for module, name in public_names()
        if not any(each is pkgutil.resolve_name(f"{module}.{name}") for each in objects.get(name, []))
    ]

    assert not missing


def test_every_public_alias_and_constant_has_a_text() -> None:
    names = public_names()
    known = texts()
    missing = [
        f"{module}.{name}"
        for module, name in names
        if not documents_itself(pkgutil.resolve_name(f"{module}.{name}")) and name not in known
    ]

    assert not missing


def test_every_operator_has_a_page_and_a_place_in_the_index() -> None:
    pages = {page.stem: page.read_text("utf-8") for page in (REFERENCE / "operators").glob("*.md")}
    index = (REFERENCE / "operators.md").read_text("utf-8")
    listed = re.findall(r"^   (\w+)$", index, re.MULTILINE)

    assert pages.keys() == set(operators.__all__)
    assert sorted(listed) == sorted(operators.__all__)
    for name, page in pages.items():
        assert page == f"# {name}\n\n```{{eval-rst}}\n.. autofunction:: rxllm.operators.{name}\n```\n"


@pytest.mark.parametrize("diagram", DIAGRAMS)
def test_every_diagram_on_a_page_is_true(diagram: str) -> None:
    def example() -> None:
        """Has the docstring of an operator."""

    example.__doc__ = "Do.\n\n    ::\n\n" + "".join(f"        {line}" for line in diagram.splitlines(keepends=True))
    check_marbles(example)
