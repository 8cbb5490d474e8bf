"""``events``: our own protocol, the events of a conversation as they are.

Rules:

1. One item is one frame. Of a log each has the position as its ``id``, so a client that comes back with
   ``Last-Event-ID`` misses nothing and gets nothing twice.
2. The data of a frame is one event, as JSON: a ``ChatEvent``, or what ``_plain`` adds to them for chunks. Where an item
   comes to none or to several, it is ``{"type": "several", "events": […]}``.
3. The last frame is of the type ``end`` and says how it ended. A client that comes back with its ``id`` gets 204, which
   tells an ``EventSource`` that there is nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from rxllm.accumulators import ChatDeltas
from rxllm.models import StreamChunk, ToolResult, ToolResultEvent, is_chat_event, is_reason
from rxllm.serving._event_stream import encode, frame
from rxllm.serving._protocol import Asked, FrameWriter, ServedEnd
from rxllm.serving._public_error import PublicError
from rxllm.sources import LogItem

END_ID = "end"
"""The identifier of the last frame."""

_TOOL_FAILED = "The tool failed."


@dataclass(frozen=True)
class Events:
    """The protocol ``events``."""

    @property
    def name(self) -> str:
        """``"events"``."""
        return "events"

    @property
    def headers(self) -> Mapping[str, str]:
        """None but those of every event stream."""
        return {}

    @property
    def resumes(self) -> bool:
        """Yes: each item of a log has its position."""
        return True

    def writer(self, _: Asked, /) -> FrameWriter:
        """A writer for one answer."""
        return EventsWriter()

    def refusal(self, error: PublicError, /) -> bytes:
        """The body of an answer with another status than 200."""
        return encode({"type": "end", "ending": "failed", "error": _error(error)})


class EventsWriter:
    """Writes one answer.

    Attributes:
        over: Whether the end is told.
    """

    def __init__(self) -> None:
        self.over: bool = False
        self._deltas = ChatDeltas(1)
        self._has_positions = False

    def begin(self) -> bytes:
        """Nothing: the first item is the first frame."""
        return b""

    def write(self, items: Sequence[Any], /) -> bytes:
        """A frame for each item."""
        return b"".join([self._frame(item) for item in items])

    def end(self, end: ServedEnd, /) -> bytes:
        """The frame ``end``; none if the server stops and the client can come back and go on."""
        self.over = True
        if end.kind == "closing" and self._has_positions:
            return b""
        said: dict[str, Any] = {"type": "end", "ending": end.kind}
        if end.error is not None:
            said["error"] = _error(end.error)
        if end.reason:
            said["reason"] = end.reason
        return frame(encode(said), event=b"end", id=END_ID.encode())

    def _frame(self, item: object) -> bytes:
        if not isinstance(item, LogItem):
            return frame(self._data(item, restarts=False))
        self._has_positions = True
        placed = cast("LogItem[object]", item)
        return frame(self._data(placed.item, restarts=placed.restarts), id=str(placed.position).encode())

    def _data(self, item: object, *, restarts: bool) -> bytes:
        events = [*self._of(item)]
        if restarts and not (events and b'"restarted"' in events[0]):
            events.insert(0, b'{"round":1,"type":"restarted","attempt":null}')
        return events[0] if len(events) == 1 else b'{"type":"several","events":[%b]}' % b",".join(events)

    def _of(self, item: object) -> Iterator[bytes]:
        if isinstance(item, StreamChunk):
            for event in self._deltas.add(item):
                yield event.__pydantic_serializer__.to_json(event)
            yield from map(encode, _plain(item))
        elif isinstance(item, str):
            yield encode({"round": 1, "type": "text", "text": item})
        elif is_chat_event(item):
            shown = _without_failure(item) if isinstance(item, ToolResultEvent) else item
            yield shown.__pydantic_serializer__.to_json(shown)
        else:
            raise TypeError(f"chunks, events of a conversation and texts can be served, not {type(item).__name__}")


def _plain(chunk: StreamChunk) -> Iterator[dict[str, Any]]:
    """What a chunk says at the end of its answer, which in a conversation is part of ``round``."""
    for choice in chunk.choices:
        if choice.index == 0 and choice.finish_reason and is_reason(choice.finish_reason):
            yield {"round": 1, "type": "finish", "finish_reason": str(choice.finish_reason)}
    if chunk.usage is not None:
        yield {"round": 1, "type": "usage", "usage": chunk.usage.model_dump(exclude_none=True)}


def _without_failure(event: ToolResultEvent) -> ToolResultEvent:
    """What the tool raised is not for the client."""
    result = event.result
    if result.error is None:
        return event
    return event.model_copy(update={"result": ToolResult(call=result.call, content=_TOOL_FAILED, error=result.error)})


def _error(error: PublicError) -> dict[str, str]:
    return {"code": error.code, "message": error.message}
