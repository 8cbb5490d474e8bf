"""Items and endings as they stand in a log in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rxllm.exceptions import LimitExceededError, RecordingError
from rxllm.harmless import harmless
from rxllm.models import LogPosition
from rxllm.stores._lossless_json import dumps, loads
from rxllm.stores._records import EndRecord, ItemRecord, checked, written_seconds

__all__ = ["decoded", "encoded_end", "encoded_items", "position_of"]


def encoded_items(items: Sequence[ItemRecord], most: int, where: str) -> tuple[list[bytes], int, int]:
    """The arguments that stand for items: kind, seconds, value and slots of each.

    Returns:
        The arguments, how many bytes the items have, and how many the largest has.

    Raises:
        LimitExceededError: An item, or all together, have more bytes than the most that may be.
    """
    arguments: list[bytes] = []
    total = largest = 0
    for item in items:
        value = dumps(item.value)
        slots = b"" if item.slots is None else dumps(item.slots)
        size = len(value) + len(slots)
        total, largest = total + size, max(largest, size)
        if total > most:
            what = f"item {item.position} has {size} bytes" if size > most else f"a batch has more than {most} bytes"
            message = f"{where}: {what}; {most} are the most that the log takes"
            raise LimitExceededError(message, limit="max_item_bytes", maximum=most)
        arguments += item.kind.encode(), repr(written_seconds(item.seconds)).encode(), value, slots
    return arguments, total, largest


def encoded_end(end: EndRecord) -> bytes:
    """What stands for an ending."""
    return dumps({**asdict(end), "seconds": written_seconds(end.seconds)})


def position_of(entry_id: bytes) -> LogPosition:
    """The position that an ID stands for."""
    epoch, _, number = entry_id.partition(b"-")
    return LogPosition(int(epoch), int(number))


def decoded(entries: Sequence[Any], where: str) -> list[ItemRecord] | EndRecord:
    """The items that entries stand for, as far as they are good; or the ending, if it is the only entry.

    Raises:
        RecordingError: The first one is none of ours, or damaged.
    """
    items: list[ItemRecord] = []
    for entry_id, texts in entries:
        position = position_of(entry_id)
        fields: dict[bytes, bytes] = dict(zip(texts[::2], texts[1::2], strict=True))
        try:
            if b"end" in fields:
                return checked(EndRecord, loads(fields[b"end"]))
            items.append(_item(position, fields))
        except (KeyError, ValueError) as error:
            if items:
                break  # what is good comes first
            message = f"{where}: item {position.number} is damaged: {harmless(str(error))}"
            raise RecordingError(message) from None
    return items


def _item(position: LogPosition, fields: dict[bytes, bytes]) -> ItemRecord:
    """An entry as an item.

    Raises:
        KeyError: A field is missing.
        ValueError: One is of another type.
    """
    slots = fields.get(b"slots")
    values = {
        "position": position.number,
        "seconds": float(fields[b"seconds"]),
        "kind": fields[b"kind"].decode(),
        "value": loads(fields[b"value"]),
        "slots": None if slots is None else loads(slots),
        "epoch": position.epoch,
    }
    return checked(ItemRecord, values)
