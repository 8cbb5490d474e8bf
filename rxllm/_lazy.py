"""Packages whose names are imported when they are first asked for (PEP 562).

An application pays for what it uses: that of ``JSONLinesSink`` imports no SQLite, and a test run whose plugin imports
the library but whose tests use nothing of it imports neither aiohttp nor pydantic.

Rules:

1. A package lists its exports in ``__all__``, for type checkers in a block of imports under ``TYPE_CHECKING``, and,
   unless a module is named after its only one, by module for ``lazy_exports``. A test compares them.
2. ``__getattr__`` stands where type checkers do not look: seen by them, any misspelled name would be one.
3. A name is looked up once. Then it is an attribute of the package like any other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TypeAlias

Exports: TypeAlias = tuple[Callable[[str], object], Callable[[], list[str]]]
"""The ``__getattr__`` and ``__dir__`` of a package."""


def lazy_exports(
    package: str,
    names: Iterable[str] = (),
    exports: Mapping[str, Iterable[str]] = MappingProxyType({}),
    modules: Container[str] = (),
) -> Exports:
    """Make the ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: The name of the package.
        names: The exports that are alone in a module of their name: ``parse`` in ``_parse``.
        exports: The other ones by the module that they are in: ``"._base": ("Role", "FinishReason")``.
        modules: The modules of the package that are attributes of it without having been imported.

    Returns:
        The two functions. The first raises an ``AttributeError``, as it must, for a name that is none of these.
    """
    places = {name: f"._{name}" for name in names}
    places |= {name: module for module, several in exports.items() for name in several}

    def find(name: str) -> object:
        if name in modules:
            return import_module(f".{name}", package)
        return getattr(import_module(places[name], package), name) if name in places else None

    return _exports(package, find, places)


def lazy_packages(package: str, *packages: str) -> Exports:
    """Make those of a package that exports names of packages within, and these themselves.

    Args:
        package: The name of the package.
        *packages: The packages within, in the order in which a name is looked for. To import one costs little, for
            they are lazy, too, or small.
    """

    def find(name: str) -> object:
        if name in packages:
            return import_module(f".{name}", package)
        if name not in vars(sys.modules[package])["__all__"]:
            return None
        modules = (import_module(f".{each}", package) for each in packages)
        return next(getattr(module, name) for module in modules if name in vars(module)["__all__"])

    return _exports(package, find, packages)


def _exports(package: str, find: Callable[[str], object], names: Iterable[str]) -> Exports:
    def getattr_(name: str) -> object:
        value = find(name)
        if value is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        setattr(sys.modules[package], name, value)
        return value

    def dir_() -> list[str]:
        module = vars(sys.modules[package])
        return sorted({*module, *module["__all__"], *names})

    return getattr_, dir_
