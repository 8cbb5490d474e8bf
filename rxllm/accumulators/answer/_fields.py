"""The fields of one object, as they grow.

Rules:

1. Some fields grow as texts, in fragments, and some as lists, put end to end: whoever adds to them says which. Of all
   others the last value that is not null counts. Numbers are never added up.
2. A state names everything by how far it had grown, so it copies neither texts nor lists.
3. All that is kept is counted, and an object has so many fields at most.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, cast

from rxllm.accumulators._size import check_fields, size_of
from rxllm.accumulators._text import Text
from rxllm.models import WireStruct


class _ListState(NamedTuple):
    """A growing list as it was at one time."""

    elements: list[Any]
    length: int

    def read(self) -> list[Any]:
        return self.elements[: self.length]


class TextState(NamedTuple):
    """A growing text as it was at one time."""

    text: Text
    length: int

    def read(self) -> str:
        return self.text.read(self.length)


def extend_sized(whole: list[Any], elements: Sequence[Any]) -> int:
    """Put a list to the end of another; returns how much that is."""
    whole.extend(elements)
    return size_of(elements)


class FieldsFold:
    """Fields of one object: some grow as texts, some as lists, of the others the last value counts."""

    __slots__ = ("lists", "plain", "texts")

    def __init__(self) -> None:
        self.texts: dict[str, Text] = {}
        self.lists: dict[str, list[Any]] = {}
        self.plain: dict[str, Any] = {}

    def add_text(self, name: str, fragment: str) -> int:
        """Append to a text; returns how many characters that were."""
        text = self.texts.get(name)
        if text is None:
            text = self.texts[name] = Text()
        text.fragments.append(fragment)
        return len(fragment)

    def add_list(self, name: str, elements: Sequence[Any]) -> int:
        """Put a list to the end of another; returns how much that is."""
        return extend_sized(self.lists.setdefault(name, []), elements)

    def state(self) -> FieldsState:
        return FieldsState(
            {name: TextState(text, len(text)) for name, text in self.texts.items()},
            {name: _ListState(elements, len(elements)) for name, elements in self.lists.items()},
            dict(self.plain),
        )


class FieldsState(NamedTuple):
    texts: dict[str, TextState]
    lists: dict[str, _ListState]
    plain: dict[str, Any]

    def read(self) -> dict[str, Any]:
        texts = {name: state.read() for name, state in self.texts.items()}
        lists = {name: state.read() for name, state in self.lists.items()}
        return {**self.plain, **texts, **lists}


NO_FIELDS = FieldsState({}, {}, {})
"""The state of an object of which nothing has come."""


def keep_last(kept: dict[str, Any], name: str, value: Any) -> int:
    """Keep the last value that is not null; returns how many characters more that are."""
    before = kept.get(name)
    if value is None or value == before:
        kept.setdefault(name, value)
        return 0
    kept[name] = value
    return size_of(value) + (len(name) if before is None else -size_of(before))


def put_end_to_end(grown: FieldsFold, fields: Mapping[str, Any], lists: Container[str]) -> int:
    """Extend the lists among the fields that are named, and keep the last of the others.

    Returns:
        How many characters that adds.

    Raises:
        LimitExceededError: There are too many fields.
    """
    size = 0
    for name, value in fields.items():
        if isinstance(value, list | tuple) and name in lists:
            size += grown.add_list(name, cast("list[Any]", value))
        else:
            size += keep_last(grown.plain, name, value)
    check_fields(len(grown.plain) + len(grown.lists))
    return size


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
