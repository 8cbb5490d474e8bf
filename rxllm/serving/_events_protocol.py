"""``events``: our own protocol, the events of a conversation as they are.

Rules:

1. An item of a log is one frame, with the position as its ``id``. So a client that comes back with ``Last-Event-ID``
   misses nothing and gets nothing twice.
2. The data of a frame is one event, as JSON: a ``ChatEvent``, or what ``_plain`` adds to them for chunks. Where an item
   comes to several, it is ``{"type": "several", "events": […]}``; where an item of a log comes to none, there are none
   in it.
3. The last frame is of the type ``end`` and says how it ended. A client that comes back with its ``id`` gets 204, which
   tells an ``EventSource`` that there is nothing more. If only this server stops, and the client can go on elsewhere,
   there is no last frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from rxllm.accumulators import ChatDeltas
from rxllm.models import StreamChunk, TextDelta, is_chat_event, is_reason
from rxllm.serving._event_stream import encode, frame
from rxllm.serving._for_clients import for_clients
from rxllm.serving._protocol import Asked, FrameWriter, ServedEnd
from rxllm.serving._public_error import PublicError
from rxllm.serving._text_alone import text_alone
from rxllm.sources import LogItem

END_ID = "end"
"""The identifier of the last frame."""

RESTARTED = b'{"round":1,"type":"restarted","attempt":null}'
"""The event that says that what came before does not count, where it is not known why."""

_TEXT = b'{"round":%d,"type":"text","text":%b}'


@dataclass(frozen=True)
class Events:
    """The protocol ``events``."""

    @property
    def name(self) -> str:
        """``"events"``."""
        return "events"

    @property
    def headers(self) -> Mapping[str, str]:
        """No headers besides those of every event stream."""
        return {}

    @property
    def resumes(self) -> bool:
        """True: each item of a log has its position."""
        return True

    def writer(self, asked: Asked, /) -> FrameWriter:
        """A writer for one answer."""
        return EventsWriter(asked)

    def refusal(self, error: PublicError, /) -> bytes:
        """The body of an answer whose status is not 200."""
        return encode({"type": "end", "ending": "failed", "error": _error(error)})


class EventsWriter:
    """Writes one answer.

    Args:
        asked: What the client asked for.

    Attributes:
        over: Whether the end is told.
    """

    def __init__(self, asked: Asked) -> None:
        self.over: bool = False
        self._deltas = ChatDeltas(1)
        self._resumes = asked.resumes

    def begin(self) -> bytes:
        """Nothing: the first item is the first frame."""
        return b""

    def write(self, items: Sequence[Any], /) -> bytes:
        """A frame for each item."""
        return b"".join([self._frame(item) for item in items])

    def end(self, end: ServedEnd, /) -> bytes:
        """The frame ``end``; none if the server stops and the client can come back and go on."""
        self.over = True
        if end.kind == "closing" and self._resumes:
            return b""
        said: dict[str, Any] = {"type": "end", "ending": end.kind}
        if end.error is not None:
            said["error"] = _error(end.error)
        if end.reason:
            said["reason"] = end.reason
        return frame(encode(said), event=b"end", id=END_ID.encode())

    def _frame(self, item: object) -> bytes:
        if isinstance(item, LogItem):
            placed = cast("LogItem[object]", item)
            return frame(self._data(placed.item, restarts=placed.restarts), id=str(placed.position).encode())
        if (text := _text_of(item)) is not None:
            return b"data: %b\n\n" % text
        events = [*self._of(item)]
        return frame(_together(events)) if events else b""

    def _data(self, item: object, *, restarts: bool) -> bytes:
        events = [*self._of(item)]
        if restarts and not (events and b'"restarted"' in events[0]):
            events.insert(0, RESTARTED)
        return _together(events)

    def _of(self, item: object) -> Iterator[bytes]:
        if (text := _text_of(item)) is not None:
            yield text
        elif isinstance(item, StreamChunk):
            for event in self._deltas.add(item):
                yield event.__pydantic_serializer__.to_json(event)
            yield from map(encode, _plain(item))
        elif is_chat_event(item):
            shown = for_clients(item)
            yield shown.__pydantic_serializer__.to_json(shown)
        else:
            raise TypeError(f"chunks, events of a conversation and texts can be served, not {type(item).__name__}")


def _text_of(item: object) -> bytes | None:
    """The event of an item that is a piece of text and nothing else, as nearly all are."""
    if (text := text_alone(item)) is not None:
        return _TEXT % (1, encode(text))
    if isinstance(item, str):
        return _TEXT % (1, encode(item))
    return _TEXT % (item.round, encode(item.text)) if isinstance(item, TextDelta) else None


def _together(events: Sequence[bytes]) -> bytes:
    return events[0] if len(events) == 1 else b'{"type":"several","events":[%b]}' % b",".join(events)


def _plain(chunk: StreamChunk) -> Iterator[dict[str, Any]]:
    """What else a chunk says: what in a conversation is part of ``round``."""
    for choice in chunk.choices:
        if choice.index == 0:
            if choice.delta.refusal:
                yield {"round": 1, "type": "refusal", "text": choice.delta.refusal}
            if choice.finish_reason and is_reason(choice.finish_reason):
                yield {"round": 1, "type": "finish", "finish_reason": str(choice.finish_reason)}
    if chunk.usage is not None:
        yield {"round": 1, "type": "usage", "usage": chunk.usage.model_dump(exclude_none=True)}


def _error(error: PublicError) -> dict[str, str]:
    return {"code": error.code, "message": error.message}
