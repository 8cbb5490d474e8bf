"""``new_tuple``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T", bound=tuple[Any, ...])

if TYPE_CHECKING:

    def new_tuple(kind: type[T], fields: tuple[Any, ...], /) -> T:
        """Make a named tuple of all its fields.

        The constructor of a ``NamedTuple`` is a Python function around this one and takes twice as long, which is a
        good part of what a snapshot or a change costs: see ``tests/benchmarks``.
        """
        ...

else:
    new_tuple = vars(tuple)["__new__"]
