"""The tools in a module that the command line names.

Rules:

1. Of a module with a ``ToolRegistry`` its tools are offered. Of one without, its own functions without an underscore
   are. What it imported from elsewhere is never offered unless it is named.
2. ``MODULE:NAME`` is one registry or one function of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from rxllm.cli._outcome import UsageError
from rxllm.tools import ToolRegistry


def tools_of(place: str) -> ToolRegistry:
    """The tools in a module.

    Args:
        place: A file as ``tools.py``, or a module as ``package.tools``; behind it perhaps ``:NAME``.

    Raises:
        UsageError: There is no such module, it cannot be imported, or there are no tools in it.
    """
    where, name = _split(place)
    module = _module(where)
    try:
        tools = _named(module, where, name) if name else _all(module, where)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {error}") from error
    if not tools:
        raise UsageError(f"{where} has no tools: write functions with annotations, or a rxllm.ToolRegistry")
    return tools


def _split(place: str) -> tuple[str, str]:
    where, colon, name = place.rpartition(":")
    # The colon of a drive is none of ours.
    return (where, name) if colon and name.isidentifier() else (place, "")


def _module(where: str) -> ModuleType:
    # A program that was installed does not look in the folder that it was started in.
    if os.getcwd() not in sys.path:  # noqa: PTH109 - as the path of modules has it
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - the same
    try:
        return _of_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except Exception as error:
        raise UsageError(f"the tools in {where} cannot be imported: {type(error).__name__}: {error}") from error


def _of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError("there is no such file")
    # A name of its own: a file may be called as a module of Python is.
    spec = importlib.util.spec_from_file_location(f"rxllm_tools_{path.stem}", path)
    assert spec is not None  # noqa: S101 - the name ends with .py
    assert spec.loader is not None  # noqa: S101 - the same
    module = importlib.util.module_from_spec(spec)
    # Where annotations of a class are text, they are read with the names of the module that is found here.
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(path.parent.resolve()))
    spec.loader.exec_module(module)
    return module


def _named(module: ModuleType, where: str, name: str) -> ToolRegistry:
    value = getattr(module, name, None)
    if isinstance(value, ToolRegistry):
        return value
    if not inspect.isroutine(value):
        raise UsageError(f"{where} has no function and no ToolRegistry named {name!r}")
    return ToolRegistry([value])


def _all(module: ModuleType, where: str) -> ToolRegistry:
    registries = {name: value for name, value in vars(module).items() if isinstance(value, ToolRegistry)}
    if len({id(registry) for registry in registries.values()}) > 1:
        raise UsageError(f"{where} has several registries of tools: name one, as {where}:{next(iter(registries))}")
    return next(iter(registries.values()), None) or ToolRegistry(_functions(module))


def _functions(module: ModuleType) -> Iterator[Callable[..., Any]]:
    for name, value in vars(module).items():
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_"):
            yield value
