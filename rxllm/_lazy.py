"""Packages whose names are imported when they are first asked for (PEP 562).

An application pays for what it uses: that of ``JSONLinesSink`` imports no SQLite, and a test run whose plugin imports
the library but whose tests use nothing of it imports neither aiohttp nor pydantic.

Rules:

1. A package lists its exports three times: in ``__all__``, for type checkers in a block of imports under
   ``TYPE_CHECKING``, and by module for ``lazy_exports``. A test compares the three.
2. ``__getattr__`` stands where type checkers do not look: seen by them, any misspelled name would be one.
3. A name is looked up once. Then it is an attribute of the package like any other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module

__all__ = ["lazy_exports"]


def lazy_exports(
    package: str, exports: Mapping[str, Iterable[str]], modules: Iterable[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: The name of the package.
        exports: The names that it exports by the module that they are in, relative to the package: ``"._parse"``.
        modules: The modules of the package that are attributes of it without having been imported.

    Returns:
        The two functions. The first raises an ``AttributeError``, as it must, for a name that is none of these.
    """
    places = {name: module for module, names in exports.items() for name in names}
    names = frozenset(modules)

    def getattr_(name: str) -> object:
        if name in names:
            # Importing a module makes it an attribute of its package.
            return import_module(f".{name}", package)
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        value = getattr(import_module(places[name], package), name)
        setattr(sys.modules[package], name, value)
        return value

    def dir_() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places, *names})

    return getattr_, dir_
