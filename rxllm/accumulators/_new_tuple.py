"""``new_tuple``."""

from __future__ import annotations

from typing import Any

new_tuple = tuple[Any, ...].__new__
"""Make a named tuple of all its fields: ``new_tuple(Point, (x, y))``.

The constructor of a ``NamedTuple`` is a Python function around this one and takes twice as long. That is a good part
of what a snapshot or a change costs.
"""
