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
    """The texts that stand for items.

    Returns:
        The texts, how many bytes they have, and how many the largest has.

    Raises:
        LimitExceededError: An item, or all together, have more bytes than the most that may be.
    """
    texts: list[bytes] = []
    total = largest = 0
    for item in items:
        text = _encoded_item(item)
        size = len(text)
        total, largest = total + size, max(largest, size)
        if total > most:
            what = f"item {item.position} has {size} bytes" if size > most else f"a batch has more than {most} bytes"
            message = f"{where}: {what}; {most} are the most that the log takes"
            raise LimitExceededError(message, limit="max_item_bytes", maximum=most)
        texts.append(text)
    return texts, total, largest


def _encoded_item(item: ItemRecord) -> bytes:
    # The value may be a text of JSON already, and is most of it.
    slots = b"" if item.slots is None else b',"slots":%b' % dumps(item.slots)
    seconds = written_seconds(item.seconds)
    return b'{"kind":%b,"seconds":%a,"value":%b%b}' % (dumps(item.kind), seconds, dumps(item.value), slots)


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
    for entry_id, (field, text) in entries:
        position = position_of(entry_id)
        try:
            fields = loads(text)
            if field == b"end":
                return checked(EndRecord, fields)
            items.append(checked(ItemRecord, {**fields, "position": position.number, "epoch": position.epoch}))
        except (TypeError, ValueError) as error:
            if items:
                break  # what is good comes first
            message = f"{where}: item {position.number} is damaged: {harmless(str(error))}"
            raise RecordingError(message) from None
    return items
