"""The events of Cohere's Chat API, version 2.

Rules:

1. An event is what its ``type`` says; its name counts only if it has none. The compiled decoder takes what nearly all
   events are, a piece of a text or of arguments; everything else is read in full.
2. A message is whole with ``message-end``, and not before. What follows it is ignored, unless it is an error.
3. Each event gives at least one chunk, and the first one has the event as it came. What is not known gives a chunk that
   says nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rxllm.dialects._dialect import WireItem
from rxllm.dialects._foreign import COHERE, protocol_of, protocol_of_body
from rxllm.dialects._large_event import reading_large
from rxllm.dialects._misfit import Misfit
from rxllm.dialects._named import read_in_full
from rxllm.dialects._stream_error import error_from, has_words_of_error, is_error, is_failure, is_name_of_error
from rxllm.dialects._whole_body import tell_of_body, value_of_body
from rxllm.dialects.cohere._cohere_errors import NAME
from rxllm.dialects.cohere._cohere_message import LAST, CohereMessage
from rxllm.exceptions import (
    EmptyStreamError,
    LimitExceededError,
    TruncatedStreamError,
    items_then,
)
from rxllm.harmless import EXCERPT_LENGTH
from rxllm.models import (
    StreamChoice,
    StreamChunk,
    is_object,
    make,
    put_event,
)
from rxllm.wire import LARGE_JSON, ServerSentEvent

_NOTHING: tuple[StreamChunk, ...] = ()
_MISFIT = Misfit(NAME, COHERE, "ask the server's address for it (…/v2/chat)")
_DONE = "[DONE]"
_REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)


class _Content(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: str | None = None
    thinking: str | None = None
    type: str = ""


class _ContentMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: _Content


class _ContentDelta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    message: _ContentMessage


class _ContentPiece(msgspec.Struct, tag="content-delta", gc=False):
    """A piece of a text: what nearly all events are. What else it may have is in its event."""

    index: int
    delta: _ContentDelta
    logprobs: None = None


class _Function(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    arguments: str


class _Call(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    function: _Function


class _CallMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    tool_calls: _Call


class _CallDelta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    message: _CallMessage


class _CallPiece(msgspec.Struct, tag="tool-call-delta", gc=False):
    """A piece of the arguments of a call."""

    index: int
    delta: _CallDelta
    logprobs: None = None


_decode = msgspec.json.Decoder(_ContentPiece | _CallPiece).decode


@dataclass(slots=True, eq=False)
class CohereDecoder:
    """The decoder of one stream of Cohere's Chat API.

    Attributes:
        done: Whether the answer came as a whole, and was not a stream. No event says that nothing follows.
    """

    done: bool = False
    _position: int = -1
    _message: CohereMessage = field(default_factory=CohereMessage)
    # Before a message begins: the first object that is nothing known, with its place.
    _doubtful: tuple[int, str] | None = None

    def decode(self, event: WireItem) -> Iterable[StreamChunk]:
        """Turn an event into chunks: see ``StreamDecoder.decode``."""
        self._position += 1
        data = event.data if type(event) is ServerSentEvent else event
        message = self._message
        if type(data) is str and len(data) <= LARGE_JSON and not message.ended:
            try:
                found = _decode(data)
            except _REFUSED:
                return self._decode_in_full(event)
            piece: str | None = None
            if type(found) is _ContentPiece:
                part = message.contents.get(found.index)
                content = found.delta.message.content
                if content.text is None or content.thinking is None:
                    piece = content.text if part is not None and part.key == "text" else content.thinking
            else:
                part = message.calls.get(found.index)
                piece = found.delta.message.tool_calls.function.arguments
            if part is not None and piece is not None and not part.ended:
                # Nearly all events: more of a part that has begun, and nothing else.
                message.kept.add(len(piece))
                choice = make(StreamChoice, delta=part.grow(piece))
                return (make(StreamChunk, id=message.id, choices=(choice,), event_text=data),)
        return self._decode_in_full(event)

    @property
    def finished(self) -> bool:
        """Whether the answer is whole: see ``StreamDecoder.finished``."""
        return self._message.ended

    def close(self) -> Iterable[StreamChunk]:
        """Take note that the transport ended in good order: see ``StreamDecoder.close``."""
        if self._message.ended:
            return _NOTHING
        events = self._position + 1
        began = f"the stream ended after {events} events without {LAST}"
        if not self._message.has_begun:
            if self._doubtful is not None:
                self._position, text = self._doubtful
                raise _MISFIT.malformed(self._position, text, "it has nothing of a message")
            raise EmptyStreamError(f"{began}, and no message had begun")
        raise TruncatedStreamError(began, unfinished=(0,), events=events)

    def decode_body(self, body: str) -> Iterable[StreamChunk]:
        """Read an answer that came as a whole: see ``BodyDecoder``."""
        self._position = 0
        with reading_large(body, "the body"):
            fields = value_of_body(body)
            said = fields.get("message") if is_object(fields) else None
            if not is_object(fields) or not is_object(said) or not isinstance(fields.get("finish_reason"), str):
                if (protocol := protocol_of_body(body)) not in {None, COHERE}:
                    raise _MISFIT.of_another(self._position, protocol, body)
                return _NOTHING
            try:
                chunks = self._message.take_whole(fields)
            except LimitExceededError:
                raise
            except ValueError as problem:
                raise _MISFIT.error(self._position, f"the body cannot be taken: {problem}", body) from problem
        tell_of_body(chunks, body)
        self.done = True
        return self._unless_it_failed("message", chunks)

    def _decode_in_full(self, event: WireItem) -> Iterable[StreamChunk]:
        return read_in_full(event, f"event {self._position}", self._decode_text)

    def _decode_text(self, name: str, text: str) -> Iterable[StreamChunk]:
        said = text.strip()
        if not said or said == _DONE:
            return _NOTHING
        chunks = self._decode_object(name, _MISFIT.object_in(text, self._position, name), text)
        put_event(chunks[0], text)
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
        except ValueError as problem:
            raise _MISFIT.error(
                self._position, f"event {self._position} ({kind}) cannot be taken: {problem}", text
            ) from problem
        return self._unless_it_failed(name, chunks)

    def _unless_it_failed(self, name: str, chunks: list[StreamChunk]) -> list[StreamChunk]:
        """The chunks, and then what the server said went wrong, if it gave up."""
        failure, self._message.failure = self._message.failure, None
        if failure is None:
            return chunks
        error = error_from(failure, self._position, name)
        # It is about this answer, and not about what was asked: that is refused before.
        error.retryable = True
        return items_then(chunks, error)

    def _refuse(self, name: str, fields: Mapping[str, Any], text: str, *, is_typed: bool) -> None:
        """Raise what an object that is nothing of a message says, if it says something."""
        fails = is_error(fields) or is_name_of_error(name) if is_typed else is_failure(name, fields)
        if fails or has_words_of_error(name, fields):
            raise error_from(fields, self._position, name)
        protocol = None if self._message.has_begun else protocol_of(name, fields)
        if protocol not in {None, COHERE}:
            raise _MISFIT.of_another(self._position, protocol, text)
        if not self._message.has_begun and self._doubtful is None:
            self._doubtful = self._position, text[:EXCERPT_LENGTH]
