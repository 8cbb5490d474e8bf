"""The dialects and hosts that there are, for tests which hold for each: what is added is tested without more."""

from __future__ import annotations

from rxllm.dialects import HOSTS, Dialect, get_dialect


def dialect_names() -> list[str]:
    """The names of the dialects."""
    try:
        get_dialect("none of them")
    except ValueError as error:
        return str(error).rpartition(": ")[2].split(", ")
    raise AssertionError("there is a dialect of any name")


def providers() -> dict[str, Dialect]:
    """Each dialect at its own home, and each host, by name."""
    return {**{name: get_dialect(name) for name in dialect_names()}, **HOSTS}
