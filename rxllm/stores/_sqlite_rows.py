"""Items as rows of a database, and values in its columns."""

from __future__ import annotations

from typing import Any

from rxllm.stores._lossless_json import dumps, loads
from rxllm.stores._records import MAX_SECONDS, ItemRecord, checked, item_value, written_seconds

__all__ = ["dumped", "item_of", "loaded", "row_of", "size_of"]

# The columns of an item without slots: position, seconds, kind, value, slots and epoch.
_PLAIN = (int, float, str, str, type(None), int)


def row_of(item: ItemRecord) -> tuple[Any, ...]:
    """Position, seconds, kind, value and slots of an item."""
    text = dumps(item.value).decode()
    return item.position, written_seconds(item.seconds), item.kind, text, dumped(item.slots)


def size_of(row: tuple[Any, ...]) -> int:
    """How many bytes the texts of an item have."""
    return sum(len(text) if text.isascii() else len(text.encode()) for text in row[-2:] if text is not None)


def item_of(row: tuple[Any, ...]) -> ItemRecord:
    """A row as an item.

    Raises:
        ValueError: It is damaged.
    """
    number, seconds, kind, text, slots, epoch = row
    value = item_value(kind, _text(text))
    # Nearly all are like this, and ``checked`` takes a while.
    if (*map(type, row),) == _PLAIN and number >= 0 <= epoch and 0 <= seconds <= MAX_SECONDS:
        return ItemRecord(number, seconds, kind, value, None, epoch)
    fields = {"position": number, "seconds": seconds, "kind": kind, "value": value, "epoch": epoch}
    return checked(ItemRecord, {**fields, "slots": loaded(slots)})


def dumped(value: object) -> str | None:
    """A value for a column that may be empty."""
    return None if value is None else dumps(value).decode()


def loaded(value: object) -> Any:
    """The value in such a column."""
    return None if value is None else loads(_text(value))


def _text(value: object) -> str:
    """A value of a column of texts; SQLite itself takes anything there."""
    if not isinstance(value, str):
        raise ValueError(f"a text was expected, not {type(value).__name__}")  # noqa: TRY004 - the file is wrong, no caller
    return value
