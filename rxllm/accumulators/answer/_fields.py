"""The fields of one object, as they grow.

Rules:

1. Some fields grow as texts, in fragments, and some as lists, put end to end: whoever adds to them says which. Of all
   others the last value that is not null counts. Numbers are never added up.
2. A state names everything by how far it had grown, so it copies neither texts nor lists.
3. All that is kept is counted, and an object has so many fields at most.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, cast

from rxllm.accumulators._size import check_fields, size_of
from rxllm.accumulators._text import Text
from rxllm.models import WireStruct


class Prefix(NamedTuple):
    """A growing text or list as it was at one time."""

    whole: Text | list[Any]
    length: int

    def read(self) -> Any:
        """The text, or a list."""
        return self.whole.read(self.length) if isinstance(self.whole, Text) else self.whole[: self.length]


class FieldsFold:
    """Fields of one object: some grow as texts, some as lists, of the others the last value counts.

    Each method that adds something returns how many characters it adds.
    """

    __slots__ = ("lists", "plain", "texts")

    def __init__(self) -> None:
        self.texts: defaultdict[str, Text] = defaultdict(Text)
        self.lists: dict[str, list[Any]] = {}
        self.plain: dict[str, Any] = {}

    def add_text(self, name: str, fragment: str) -> int:
        """Append to a text."""
        self.texts[name].fragments.append(fragment)
        return len(fragment)

    def add_list(self, name: str, elements: Sequence[Any]) -> int:
        """Put a list to the end of another."""
        self.lists.setdefault(name, []).extend(elements)
        return size_of(elements)

    def add(self, fields: Mapping[str, Any], *, texts: Container[str] = (), lists: Container[str] = ()) -> int:
        """Extend the texts and lists among the fields that are named, and keep the last of the others.

        Raises:
            LimitExceededError: There are too many fields.
        """
        size = 0
        for name, value in fields.items():
            if name in texts and isinstance(value, str):
                size += self.add_text(name, value)
            elif name in lists and isinstance(value, list | tuple):
                size += self.add_list(name, cast("list[Any]", value))
            else:
                size += keep_last(self.plain, name, value)
        check_fields(len(self.plain) + len(self.lists))
        return size

    def state(self) -> FieldsState:
        """The fields as they are now."""
        grown: dict[str, Text | list[Any]] = {**self.texts, **self.lists}
        return FieldsState({name: Prefix(whole, len(whole)) for name, whole in grown.items()}, self.plain.copy())


class FieldsState(NamedTuple):
    """The fields of an object as they were at one time."""

    grown: dict[str, Prefix]
    plain: dict[str, Any]

    def read(self) -> dict[str, Any]:
        """The fields by name."""
        return {**self.plain, **{name: prefix.read() for name, prefix in self.grown.items()}}


def keep_last(kept: dict[str, Any], name: str, value: Any) -> int:
    """Keep the last value that is not null; returns how many characters more that are."""
    before = kept.get(name)
    if value is None or value == before:
        kept.setdefault(name, value)
        return 0
    kept[name] = value
    return size_of(value) + (len(name) if before is None else -size_of(before))


def rest_getter(
    struct: type[WireStruct], *, but: Container[str] = (), extra: bool = False
) -> tuple[Callable[[WireStruct], tuple[Any, ...]], tuple[None, ...]]:
    """A compiled getter of what only some servers send, and what it gives where there is none of that.

    Args:
        struct: Of what.
        but: Which of these fields are not meant.
        extra: Whether ``extra`` is.
    """
    names = [name for name in sorted(struct.loose) if name not in but] + ["extra"] * extra
    return attrgetter(*names), (None,) * len(names)
