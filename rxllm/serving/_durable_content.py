"""What the items of a log are to a reader of Durable Streams.

Rules:

1. In ``application/json`` each item is one message, a JSON value: a chunk or an event as an object, a text as a string,
   bytes in base64. A batch is an array.
2. In all other types a text is its bytes in UTF-8, bytes are themselves, and anything else is a line of JSON. A batch
   is all of them behind one another.
3. What came before does not count any more: in JSON a message says so, of the same form as in ``events``.
4. An ending that is not in good order is a last message in JSON, of the same form as in ``events``; the tools' and the
   provider's own words are in neither.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from rxllm.exceptions import RecordingError, StreamCancelledError, as_cause
from rxllm.serving._events_protocol import RESTARTED
from rxllm.serving._for_clients import item_for_clients
from rxllm.serving._public_error import public_error
from rxllm.stores import EndRecord, ItemRecord, decode_error, decode_item

__all__ = ["ENDINGS", "Content"]

ENDINGS = {"completed": "completed", "failed": "failed", "stopped": "stopped", "cancelled": "stopped"}
"""How a stream ended, for a client."""

_PLAIN = frozenset({"text", "bytes", "json", "sse"})
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:\s*;[\x20-\x7e]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Content:
    """How items are told, by the content type of a stream.

    Attributes:
        type: The content type.

    Raises:
        ValueError: It is none.
    """

    type: str

    def __post_init__(self) -> None:
        if _TYPE.fullmatch(self.type) is None:
            raise ValueError(f"{self.type!r} is not a content type")

    @property
    def is_json(self) -> bool:
        """Whether each item is a message of its own."""
        return self._bare == "application/json"

    @property
    def is_text(self) -> bool:
        """Whether it can stand in an event stream as it is."""
        return self.is_json or self._bare.startswith("text/")

    @property
    def _bare(self) -> str:
        return self.type.partition(";")[0].strip().lower()

    def messages(self, record: ItemRecord) -> Iterator[bytes]:
        """What an item is.

        Raises:
            RecordingError: It is damaged.
        """
        if not self.is_json:
            yield self._raw(record)
            return
        if record.slots and record.slots.get("restarts") and record.kind != "Restarted":
            yield RESTARTED
        yield _told(record)

    def ending(self, end: EndRecord) -> bytes | None:
        """The last message; ``None`` if nothing is to be said."""
        kind = ENDINGS[end.kind]
        if not self.is_json or kind == "completed":
            return None
        said: dict[str, Any] = {"type": "end", "ending": kind}
        if end.error is not None:
            error = decode_error(end.error)
            if isinstance(error, StreamCancelledError):
                said |= {"reason": error.reason} if error.reason else {}
            else:
                public = public_error(error)
                said["error"] = {"code": public.code, "message": public.message}
        return _encode(said)

    def body(self, messages: Sequence[bytes]) -> bytes:
        """A batch."""
        return b"[%b]" % b",".join(messages) if self.is_json else b"".join(messages)

    def event(self, messages: Sequence[bytes]) -> bytes:
        """A batch as an event ``data`` of an event stream."""
        body = self.body(messages)
        if self.is_json:
            return b"event: data\ndata:%b\n\n" % body
        if not self.is_text:
            return b"event: data\ndata:%b\n\n" % base64.b64encode(body)
        # One space behind the colon is none of the text, and clients leave it out.
        lines = [
            f"data:{' ' * line.startswith(' ')}{line}\n" for line in _LINE_ENDS.split(body.decode(errors="replace"))
        ]
        return b"event: data\n%b\n" % "".join(lines).encode()

    def _raw(self, record: ItemRecord) -> bytes:
        if record.kind in {"text", "bytes"}:
            item: str | bytes = _decoded(record)
            return item.encode(errors="replace") if isinstance(item, str) else item
        return _told(record) + b"\n"


def _told(record: ItemRecord) -> bytes:
    """An item as JSON; a model as ``model_dump_json`` gives it, with what says of it what it is."""
    if record.kind in _PLAIN:
        return _encode(record.value)
    item = item_for_clients(_decoded(record))
    try:
        text: str = item.model_dump_json()
    except PydanticSerializationError:
        return _encode(item.model_dump())
    return text.encode()


def _decoded(record: ItemRecord) -> Any:
    try:
        return decode_item(record.kind, record.value)
    except ValueError as error:
        raise RecordingError(f"item {record.position} is not of kind {record.kind}: {error}") from as_cause(error)


def _encode(value: Any) -> bytes:
    """JSON that every client reads: what is not a number is null, and half of a pair of surrogates is escaped."""
    try:
        return to_json(value, inf_nan_mode="null")
    except PydanticSerializationError:
        without_nan = json.loads(json.dumps(to_jsonable_python(value)), parse_constant=lambda _: None)
        return json.dumps(without_nan, separators=(",", ":")).encode()
