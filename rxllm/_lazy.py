"""Packages whose names are imported when they are first asked for (PEP 562).

An application pays for what it uses: that of ``LLMClient`` imports no SQLite, and a test run whose plugin imports
the library but whose tests use nothing of it imports neither aiohttp nor pydantic.

Rules:

1. A package lists its exports in ``__all__``, and for type checkers in a block of imports under ``TYPE_CHECKING``. A
   test compares them.
2. ``__getattr__`` stands where type checkers do not look: seen by them, any misspelled name would be one.
3. A name is looked up once. Then it is an attribute of the package like any other.
4. It is looked for in modules in the order given, which are imported on the way. So those come first that others import
   anyway, or that import little.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import TypeAlias

Exports: TypeAlias = tuple[Callable[[str], object], Callable[[], list[str]]]
"""The ``__getattr__`` and ``__dir__`` of a package."""


def lazy_exports(package: str, *modules: str, **places: str) -> Exports:
    """Make the ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: The name of the package.
        *modules: The modules within that its exports are in. Those without an underscore are attributes of the package,
            too. If there are none, each export is in a module of its name: ``parse`` in ``_parse``.
        **places: The modules of the exports for which no other one is to be imported.

    Returns:
        The two functions. The first raises an ``AttributeError``, as it must, for a name that is none of these.
    """

    def find(name: str) -> object:
        if name in modules:
            return import_module(f".{name}", package)
        if name not in vars(sys.modules[package])["__all__"] and name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        candidates = (places[name],) if name in places else modules or (f"_{name}",)
        found = (import_module(f".{each}", package) for each in candidates)
        return next(getattr(module, name) for module in found if hasattr(module, name))

    def getattr_(name: str) -> object:
        value = find(name)
        setattr(sys.modules[package], name, value)
        return value

    def dir_() -> list[str]:
        module = vars(sys.modules[package])
        return sorted({*module, *module["__all__"], *(name for name in modules if not name.startswith("_"))})

    return getattr_, dir_
