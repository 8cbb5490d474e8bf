"""What items of all transports have: a name, and data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rxllm.dialects._dialect import WireItem
from rxllm.dialects._large_event import reading_large
from rxllm.wire import LARGE_JSON, AWSFrame, ServerSentEvent

T = TypeVar("T")

_NO_NAME = "message"


def named(item: WireItem) -> tuple[str, str | bytes]:
    """The name of an item, ``"message"`` if it has none, and its data."""
    if isinstance(item, ServerSentEvent):
        return item.event, item.data
    if isinstance(item, AWSFrame):
        names = (item.headers.get(f":{kind}-type") for kind in ("event", "exception", "message"))
        return next((name for name in names if isinstance(name, str)), _NO_NAME), item.payload
    return _NO_NAME, item


def read_in_full(item: WireItem, what: str, read: Callable[[str, str], T]) -> T:
    """Read the name and the text of an item, however large it is.

    Args:
        item: The item.
        what: What it is, for the error about too much in it.
        read: Reads a name and a text.

    Raises:
        LimitExceededError: There is too much in it.
    """
    name, data = named(item)
    text = data if isinstance(data, str) else data.decode(errors="replace")
    if len(text) <= LARGE_JSON:
        return read(name, text)
    with reading_large(text, what):
        return read(name, text)
