"""The event of an event stream."""

from __future__ import annotations

from typing import NamedTuple


class ServerSentEvent(NamedTuple):
    """One dispatched event (WHATWG HTML, section 9.2.6 "Interpreting an event stream").

    Attributes:
        data: The ``data`` lines, joined by line feeds.
        event: The event type; ``"message"`` if the stream names none.
        id: The last event ID at the time of dispatch; ``""`` if there was none.
        retry: The reconnection time in milliseconds, if a ``retry`` field came with this event.
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None
