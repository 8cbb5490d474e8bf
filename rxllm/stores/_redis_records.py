"""Items and endings as they stand in a log in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import msgspec

from rxllm.exceptions import LimitExceededError, RecordingError
from rxllm.harmless import harmless
from rxllm.models import LogPosition
from rxllm.stores._lossless_json import dumps, loads
from rxllm.stores._records import MAX_SECONDS, EndRecord, ItemRecord, checked, item_value, written_seconds

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
            message = f"{where}: {what}; the log takes at most {most}"
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
    epoch, epoch_text = 0, b"0"
    for entry_id, (field, text) in entries:
        before = epoch_text
        epoch_text, _, number = entry_id.partition(b"-")
        if epoch_text != before:
            epoch = int(epoch_text)
        try:
            if field == b"end":
                return checked(EndRecord, loads(text))
            items.append(_decoded_item(epoch, int(number), text))
        except (TypeError, ValueError) as error:
            if items:
                break  # what is good comes first
            message = f"{where}: item {int(number)} is damaged: {harmless(str(error))}"
            raise RecordingError(message) from None
    return items


class _Stored(msgspec.Struct):
    """An item as it stands there, if it is as a writer of this library has left it."""

    kind: str
    seconds: Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)]
    value: msgspec.Raw
    slots: dict[str, Any] | None = None


_stored = msgspec.json.Decoder(_Stored).decode


def _decoded_item(epoch: int, number: int, text: bytes) -> ItemRecord:
    try:
        stored = _stored(text)
    except msgspec.MsgspecError:
        # What only Python's own JSON has, among others.
        return checked(ItemRecord, {**loads(text), "position": number, "epoch": epoch})
    kind = stored.kind
    return ItemRecord(number, stored.seconds, kind, item_value(kind, bytes(stored.value)), stored.slots, epoch)
