"""Packages whose names are imported when they are first asked for (PEP 562).

An application pays for what it uses: that of ``LLMClient`` imports no SQLite, and a test run whose plugin imports
the library but whose tests use nothing of it imports neither aiohttp nor pydantic.

Rules:

1. A package lists its public names in ``__all__``. Names that are there for other packages of this library only are
   listed with the module that they are in.
2. For type checkers a block under ``TYPE_CHECKING`` imports its modules. Where it imports all of a module, they see
   names that nobody listed, too; an import of such a name fails when it is run. A test compares what is listed.
3. ``__getattr__`` stands where type checkers do not look: seen by them, any misspelled name would be one.
4. A name is looked up once. Then it is an attribute of the package like any other.
5. It is looked for in modules in the order given, which are imported on the way. So those come first that others import
   anyway, or that import little.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import TypeAlias

Exports: TypeAlias = tuple[Callable[[str], object], Callable[[], list[str]]]
"""The ``__getattr__`` and ``__dir__`` of a package."""


def lazy_exports(package: str, *modules: str, shown: str = "", **places: str) -> Exports:
    """Make the ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: The name of the package.
        *modules: The modules within that its exports are in. Those without an underscore are attributes of the package,
            too. If there are none, each export is in a module of its name: ``parse`` in ``_parse``.
        shown: Of a package of packages, the modules that users import from, separated by spaces. The others are
            attributes, too, but ``dir`` does not show them.
        **places: Modules, each with the names, separated by spaces, for which no other module is imported. A name that
            is not in ``__all__`` is there for other packages of this library.

    Returns:
        The two functions. The second gives what users write: no module that is imported here, and nothing that is
        there for other packages. The first raises an ``AttributeError``, as it must, for a name that is none of these.
    """
    rooms = shown.split()
    place_of = {name: place for place, names in places.items() for name in names.split()}

    def find(name: str) -> object:
        if name in modules or name in rooms:
            return import_module(f".{name}", package)
        if name not in place_of and name not in vars(sys.modules[package])["__all__"]:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        candidates = (place_of[name],) if name in place_of else modules or (f"_{name}",)
        found = (import_module(f".{each}", package) for each in candidates)
        return next(getattr(module, name) for module in found if hasattr(module, name))

    def getattr_(name: str) -> object:
        value = find(name)
        setattr(sys.modules[package], name, value)
        return value

    def dir_() -> list[str]:
        module = vars(sys.modules[package])
        special = (name for name in module if name.startswith("__"))
        public = (name for name in rooms or modules if "._" not in f".{name}")
        return sorted({*special, *module["__all__"], *public})

    return getattr_, dir_
