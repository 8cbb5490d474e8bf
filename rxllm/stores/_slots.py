"""What a chunk has that is not part of its JSON, as it is written beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from rxllm.models import Attempt, Repair, Slots, StreamChunk, StreamInfo, put_event, put_slots
from rxllm.stores._plain import plain
from rxllm.stores._records import checked

__all__ = ["SlotsDecoder", "SlotsEncoder"]


@dataclass(frozen=True)
class _SlotsFields:
    """The slots of a chunk, but for the request behind it."""

    begins: bool = False
    restarts: bool = False
    repairs: tuple[Repair, ...] = ()
    replaces_usage: bool = False
    attempts: tuple[Attempt, ...] = ()


_MARKS = ("begins", "restarts", "replaces_usage")


class SlotsEncoder:
    """Makes JSON values of what the chunks of one stream have that is not part of their JSON.

    The request behind them is told with the first chunk, as it is known then, and again when it is another.
    """

    def __init__(self) -> None:
        self._stream: StreamInfo | None = None

    def encode(self, item: object, *, again: bool = False) -> dict[str, Any] | None:
        """What to write beside an item; ``None`` if it is nothing, or nothing new.

        Args:
            item: The item.
            again: Whether to tell the request behind it once more, for those who read from here on.
        """
        if not isinstance(item, StreamChunk):
            return None
        slots = item.slots
        event = {} if item.event is None else {"event": item.event}
        if slots is None:
            before, self._stream = self._stream, None
            return plain(event if before is None else {**event, "stream": None}) or None
        fields: dict[str, Any] = {name: True for name in _MARKS if getattr(slots, name)}
        fields |= event
        if slots.repairs:
            fields["repairs"] = [repair._asdict() for repair in slots.repairs]
        if slots.attempts:
            fields["attempts"] = [attempt.model_dump(mode="json", exclude_none=True) for attempt in slots.attempts]
        if slots.stream is not self._stream:
            self._stream = slots.stream
            fields["stream"] = msgspec.to_builtins(slots.stream)
        elif again and slots.stream is not None:
            fields["same_stream"] = msgspec.to_builtins(slots.stream)
        return plain(fields) or None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("event: not a text")  # noqa: TRY004 - the recording is wrong, no caller
    return value


class SlotsDecoder:
    """The way back."""

    def __init__(self) -> None:
        self._plain: Slots | None = None

    def restore(self, item: object, fields: Mapping[str, Any] | None) -> None:
        """Give a chunk what it had besides its JSON.

        Raises:
            ValueError: That is something else.
        """
        if not isinstance(item, StreamChunk):
            return
        if not fields:  # nearly always
            put_slots(item, self._plain)
            return
        own = dict(fields)
        if (event := own.pop("event", None)) is not None:
            put_event(item, _text(event))
        if "stream" in own:
            stream = own.pop("stream")
            self._plain = None if stream is None else Slots(StreamInfo.model_validate(stream))
        if (stream := own.pop("same_stream", None)) is not None and self._plain is None:
            self._plain = Slots(StreamInfo.model_validate(stream))
        put_slots(item, (self._plain or Slots()).with_(**vars(checked(_SlotsFields, own))) if own else self._plain)
