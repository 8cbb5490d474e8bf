"""The events of Cohere's Chat API, version 2.

Rules:

1. An event is what its ``type`` says; its name counts only if it has none. The compiled decoder takes what nearly all
   events are, a piece of a text; everything else is read in full.
2. A message is whole with ``message-end``. What follows it is ignored.
3. What the model plans before it calls tools is reasoning, and a part by itself.
4. A delta without its beginning begins a part. ``message-end`` ends those that are open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rxllm.dialects._dialect import WireItem
from rxllm.dialects._foreign import COHERE, protocol_of, protocol_of_body
from rxllm.dialects._large_event import reading_large
from rxllm.dialects._stream_error import error_from, has_words_of_error, is_error, is_failure, is_name_of_error
from rxllm.dialects.cohere._cohere_errors import NAME
from rxllm.dialects.cohere._cohere_message import CohereMessage
from rxllm.exceptions import DecodeError, EmptyStreamError, LimitExceededError, TruncatedStreamError, excerpt
from rxllm.harmless import EXCERPT_LENGTH
from rxllm.models import (
    EventText,
    Repair,
    StreamChoice,
    StreamChunk,
    is_list,
    is_object,
    loads,
    make,
    marked,
    put_event,
)
from rxllm.wire import LARGE_JSON, ServerSentEvent

_NOTHING: tuple[StreamChunk, ...] = ()
_DONE = "[DONE]"
_LAST = "message-end"
_REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)


class _Content(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: str


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: _Content


class _Delta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    message: _Message


class _TextEvent(msgspec.Struct, tag="content-delta", gc=False):
    """A piece of a text: what nearly all events are."""

    index: int
    delta: _Delta


_decode = msgspec.json.Decoder(_TextEvent).decode


@dataclass(slots=True, eq=False)
class CohereDecoder:
    """The decoder of one stream of Cohere's Chat API.

    Attributes:
        done: Whether the answer came as a whole, and was no stream. No event says that nothing follows.
    """

    done: bool = False
    _position: int = -1
    _message: CohereMessage = field(default_factory=CohereMessage)

    def decode(self, event: WireItem) -> Iterable[StreamChunk]:
        """Turn an event into chunks: see ``StreamDecoder.decode``."""
        self._position += 1
        data = event.data if type(event) is ServerSentEvent else event
        if type(data) is str and len(data) <= LARGE_JSON:
            try:
                found = _decode(data)
            except _REFUSED:
                return self._decode_in_full(event)
            text = self._message.text_at(found.index)
            if text is not None:
                delta = self._message.grow(text, found.delta.message.content.text)
                choice: StreamChoice = make(StreamChoice, delta=delta)
                chunk: StreamChunk = make(
                    StreamChunk, id=self._message.id, choices=(choice,), event_text=EventText(data)
                )
                return (chunk,)
        return self._decode_in_full(event)

    @property
    def finished(self) -> bool:
        """Whether the answer is whole: see ``StreamDecoder.finished``."""
        return self._message.ended

    def close(self) -> Iterable[StreamChunk]:
        """Take note that the transport ended in good order: see ``StreamDecoder.close``."""
        if self.done or self._message.ended:
            return _NOTHING
        events = self._position + 1
        began = f"the stream ended after {events} events without {_LAST}"
        if not self._message.has_begun:
            raise EmptyStreamError(f"{began}, and no message had begun")
        raise TruncatedStreamError(began, unfinished=(0,), events=events)

    def decode_body(self, body: str) -> Iterable[StreamChunk]:
        """Read an answer that came as a whole: see ``BodyDecoder``."""
        self._position = 0
        with reading_large(body, "the body"):
            try:
                fields = loads(body)
            except ValueError:
                fields = None
            said = fields.get("message") if is_object(fields) else None
            if not is_object(fields) or not is_object(said) or not is_list(said.get("content") or []):
                if (protocol := protocol_of_body(body)) not in {None, COHERE}:
                    raise self._of_another(protocol, body)
                return _NOTHING
            chunks = self._message.take_whole(fields)
        put_event(chunks[0], EventText(body))
        chunks[0] = marked(chunks[0], repairs=(Repair("answer-not-streamed", 0, excerpt(body), None),))
        self.done = True
        return chunks

    def _decode_in_full(self, event: WireItem) -> Iterable[StreamChunk]:
        name, data = (event.event, event.data) if isinstance(event, ServerSentEvent) else ("message", event)
        text = data if isinstance(data, str) else data.decode(errors="replace")
        if len(text) <= LARGE_JSON:
            return self._decode_text(name, text)
        with reading_large(text, f"event {self._position}"):
            return self._decode_text(name, text)

    def _decode_text(self, name: str, text: str) -> Iterable[StreamChunk]:
        said = text.strip()
        if not said or said == _DONE or self._message.ended:
            return _NOTHING
        value: Any = None
        if said[0] == "{":
            try:
                value = loads(said)
            except LimitExceededError:
                raise
            except ValueError as problem:
                raise self._malformed(text, "it is malformed") from problem
        if not is_object(value):
            if is_name_of_error(name):
                raise error_from(said, self._position, name)
            raise self._malformed(text, "it is no JSON object")
        chunks = self._decode_object(name, value, text)
        if chunks:
            put_event(chunks[0], EventText(text))
        return chunks

    def _decode_object(self, name: str, fields: Mapping[str, Any], text: str) -> list[StreamChunk]:
        type_ = fields.get("type")
        kind = type_ if isinstance(type_, str) and type_ else name
        message = self._message
        if not message.knows(kind):
            self._refuse(name, fields, text, is_typed=type_ is not None)
            return [message.chunk()]
        try:
            chunks = message.take(kind, fields)
        except LimitExceededError:
            raise
        except (ValueError, TypeError) as problem:
            raise self._malformed(text, f"{kind} is malformed: {problem}") from problem
        if message.failure is not None:
            raise error_from(message.failure, self._position, name)
        return chunks

    def _refuse(self, name: str, fields: Mapping[str, Any], text: str, *, is_typed: bool) -> None:
        """Raise what an object that is nothing of a message says, if it says something."""
        fails = is_error(fields) or is_name_of_error(name) if is_typed else is_failure(name, fields)
        if fails or has_words_of_error(name, fields):
            raise error_from(fields, self._position, name)
        protocol = None if self._message.has_begun else protocol_of(name, fields)
        if protocol not in {None, COHERE}:
            raise self._of_another(protocol, text)

    def _malformed(self, text: str, reason: str) -> DecodeError:
        return self._error(f"event {self._position} is no event of {NAME}, {reason}", text)

    def _of_another(self, protocol: str | None, text: str) -> DecodeError:
        where = f"event {self._position} looks like {protocol}; it is no stream of {COHERE}"
        return self._error(
            f"{where}: ask the server's address for it (…/v2/chat), or use a dialect that reads it", text
        )

    def _error(self, message: str, text: str) -> DecodeError:
        shown = f"{message}: {excerpt(text)}"
        return DecodeError(shown, dialect=NAME, position=self._position, text=text[:EXCERPT_LENGTH])
