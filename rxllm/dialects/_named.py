"""What items of all transports have: a name, and data."""

from __future__ import annotations

from rxllm.dialects._dialect import WireItem
from rxllm.wire import AWSFrame, ServerSentEvent

_NO_NAME = "message"


def named(item: WireItem) -> tuple[str, str | bytes]:
    """The name of an item, ``"message"`` if it has none, and its data."""
    if isinstance(item, ServerSentEvent):
        return item.event, item.data
    if isinstance(item, AWSFrame):
        names = (item.headers.get(f":{kind}-type") for kind in ("event", "exception", "message"))
        return next((name for name in names if isinstance(name, str)), _NO_NAME), item.payload
    return _NO_NAME, item
