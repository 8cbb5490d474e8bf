"""The events of Anthropic's Messages API.

Rules:

1. An event is what its ``type`` says; its name counts only if it has none. The compiled decoder takes what nearly all
   events are, a piece of a text; everything else is read in full.
2. Each event but a ping gives at least one chunk, and the first one has the event. What is not known gives a chunk that
   says nothing else.
3. A message ends with ``message_stop``. Without that it is whole if it has a reason for its end and no block is open.
   What follows is ignored, unless it is an error.
4. A block that is begun twice is two parts, if something of it came in between. A delta without its block begins one,
   if it can. ``message_stop`` ends the blocks that are open still.
5. The beginning of another message in the midst of one is an error, and so is anything of a message that never began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rxllm import exceptions
from rxllm.dialects._dialect import WireItem
from rxllm.dialects._foreign import MESSAGES, protocol_of, protocol_of_body
from rxllm.dialects._large_event import reading_large
from rxllm.dialects._misfit import Misfit
from rxllm.dialects._named import read_in_full
from rxllm.dialects._stream_error import error_from, has_words_of_error, is_error, is_failure, is_name_of_error
from rxllm.dialects._surrogates import may_hold_half
from rxllm.dialects._whole_body import tell_of_body, value_of_body
from rxllm.dialects.anthropic._anthropic_blocks import TEXT_FIELDS, BlockPiece
from rxllm.dialects.anthropic._anthropic_errors import NAME
from rxllm.dialects.anthropic._anthropic_message import GrowingMessage, MisplacedError
from rxllm.exceptions import EmptyStreamError, LimitExceededError, TruncatedStreamError
from rxllm.harmless import EXCERPT_LENGTH
from rxllm.models import (
    StreamChoice,
    StreamChunk,
    is_list,
    is_object,
    loads,
    loads_unscrubbed,
    make,
    put_event,
    scrub,
)
from rxllm.wire import LARGE_JSON, ServerSentEvent

_NOTHING: tuple[StreamChunk, ...] = ()
_MISFIT = Misfit(NAME, MESSAGES, "ask the server's address for messages (…/v1/messages)")
_DONE = "[DONE]"
_LAST = "message_stop"
_KEEP_ALIVES = frozenset({"ping", "keepalive", "keep-alive", "heartbeat"})
_REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)

_decode = msgspec.json.Decoder(BlockPiece).decode


@dataclass(slots=True, eq=False)
class AnthropicDecoder:
    """The decoder of one stream of the Messages API.

    Attributes:
        done: Whether the answer came as a whole, and was not a stream. No event says that nothing follows.
    """

    done: bool = False
    _position: int = -1
    _message: GrowingMessage = field(default_factory=GrowingMessage)
    # Before a message begins: the first object that is nothing known, with its place.
    _doubtful: tuple[int, str] | None = None

    def decode(self, event: WireItem) -> Iterable[StreamChunk]:
        """Turn an event into chunks: see ``StreamDecoder.decode``."""
        self._position += 1
        data = event.data if type(event) is ServerSentEvent else event
        if type(data) is str and len(data) <= LARGE_JSON:
            try:
                found = _decode(data)
            except _REFUSED:
                pass
            else:
                # Nearly all events: a piece of a block that has begun, of its usual kind.
                message = self._message
                block = message.open.get(found.index)
                delta = found.delta
                if block is not None and type(delta) is block.plain:
                    piece = delta.piece
                    block.pieces.append(piece)
                    message.kept.add(len(piece))
                    choice = make(StreamChoice, delta=block.delta(piece))
                    head = message.head
                    return (make(StreamChunk, id=head[0], model=head[1], choices=(choice,), event_text=data),)
        return self._decode_in_full(event)

    def _decode_in_full(self, event: WireItem) -> Iterable[StreamChunk]:
        return read_in_full(event, f"event {self._position}", self._decode_text)

    def _decode_text(self, name: str, text: str) -> Iterable[StreamChunk]:
        said = text.strip()
        if not said or said == _DONE or name in _KEEP_ALIVES:
            return _NOTHING
        fields = _MISFIT.object_in(text, self._position, name, _with_halves if may_hold_half(said) else loads)
        chunks = self._decode_object(name, fields, text)
        if chunks:
            put_event(chunks[0], text)
        return chunks

    def _decode_object(self, name: str, fields: Mapping[str, Any], text: str) -> list[StreamChunk]:
        type_ = fields.get("type")
        kind = type_ if isinstance(type_, str) and type_ else name
        message = self._message
        if kind in _KEEP_ALIVES:
            return []
        if message.knows(kind):
            try:
                return message.take(kind, fields)
            except MisplacedError as problem:
                raise _MISFIT.error(
                    self._position, f"event {self._position} ({kind}) is out of place: {problem}", text
                ) from None
            except LimitExceededError:
                raise
            except (ValueError, TypeError) as problem:
                raise _MISFIT.malformed(self._position, text, f"{kind} is malformed") from problem
        protocol = None if message.has_begun else protocol_of(name, fields)
        if protocol not in {None, MESSAGES}:
            raise _MISFIT.of_another(self._position, protocol, text)
        if _is_error(name, fields, is_typed=type_ is not None):
            raise error_from(fields, self._position, name)
        if not message.has_begun and kind == "message" and self._doubtful is None:
            self._doubtful = self._position, text[:EXCERPT_LENGTH]
        return [message.chunk()]

    @property
    def finished(self) -> bool:
        """Whether the answer is whole: see ``StreamDecoder.finished``."""
        return self._message.finished

    def close(self) -> Iterable[StreamChunk]:
        """Take note that the transport ended in good order: see ``StreamDecoder.close``."""
        if self.done:
            return _NOTHING
        message = self._message
        events = self._position + 1
        began = f"the stream ended after {events} events without {_LAST}, and"
        if not message.has_begun:
            if self._doubtful is not None:
                self._position, text = self._doubtful
                raise _MISFIT.malformed(self._position, text, "it has nothing of a message")
            raise EmptyStreamError(f"{began} no message had begun")
        if lacking := message.lacking:
            raise TruncatedStreamError(f"{began} {lacking}", unfinished=(0,), events=events)
        if message.given_up:
            raise TruncatedStreamError(
                f"the server gave up on the answer: it ended with {exceptions.excerpt(message.reason)}",
                unfinished=(0,),
                events=events,
            )
        return message.last_chunks()

    def decode_body(self, body: str) -> Iterable[StreamChunk]:
        """Read an answer that came as a whole: see ``BodyDecoder``."""
        self._position = 0
        with reading_large(body, "the body"):
            fields = value_of_body(body)
            if not is_object(fields) or fields.get("type") != "message" or not is_list(fields.get("content")):
                if (protocol := protocol_of_body(body)) not in {None, MESSAGES}:
                    raise _MISFIT.of_another(self._position, protocol, body)
                return _NOTHING
            chunks = self._decode_object(_LAST, {"type": "message_start", "message": fields}, body)
            chunks += self._message.take(_LAST, {})
        tell_of_body(chunks, body)
        self.done = True
        return chunks


def _with_halves(text: str) -> Any:
    """An event with whole characters, but for those of a piece of a block, which may be cut in two."""
    value = loads_unscrubbed(text)
    whole = scrub(value)
    delta = whole.get("delta")
    name = TEXT_FIELDS.get(str(delta.get("type"))) if is_object(delta) else None
    if name is None or name not in delta:
        return whole
    return {**whole, "delta": {**delta, name: value["delta"][name]}}


def _is_error(name: str, fields: Mapping[str, Any], *, is_typed: bool) -> bool:
    """Whether what is not an event of a message is an error. What names its type is one only if that says so."""
    if is_typed:
        return is_error(fields) or is_name_of_error(name) or has_words_of_error(name, fields)
    return is_failure(name, fields) or has_words_of_error(name, fields)
