"""The events of Amazon Bedrock's Converse API (ConverseStream).

Rules:

1. An event is a frame whose header says what it is, or an object with one member of that name, as gateways pass it on.
   As text all are the latter. The compiled decoder takes what nearly all are, a piece of a text; everything else is
   read in full.
2. Each event gives at least one chunk, and the first one has the event. What is not known gives a chunk that says
   nothing else.
3. A message is whole with ``messageStop`` and not before; what it costs follows in ``metadata``. Blocks that are open
   then end.
4. A frame that is an exception or an error is an error, wherever it comes.
5. The beginning of another message in the midst of one is an error, and so is anything of a message that never began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rxllm import exceptions
from rxllm.dialects._dialect import WireItem
from rxllm.dialects._foreign import CONVERSE, protocol_of, protocol_of_body
from rxllm.dialects._large_event import reading_large
from rxllm.dialects._misfit import Misfit
from rxllm.dialects._named import named
from rxllm.dialects._stream_error import error_from, has_words_of_error, is_failure, is_name_of_error
from rxllm.dialects._surrogates import may_hold_half
from rxllm.dialects._whole_body import tell_of_body, value_of_body
from rxllm.dialects.bedrock_converse._converse_answer import events_of_answer
from rxllm.dialects.bedrock_converse._converse_errors import NAME
from rxllm.dialects.bedrock_converse._converse_message import (
    BLOCK_DELTA,
    EVENTS,
    STOP,
    GrowingMessage,
    MisplacedError,
)
from rxllm.dialects.bedrock_converse._converse_pieces import PIECES, decode_piece
from rxllm.exceptions import APIStreamError, DecodeError, EmptyStreamError, LimitExceededError, TruncatedStreamError
from rxllm.harmless import EXCERPT_LENGTH
from rxllm.models import StreamChunk, is_object, loads, loads_unscrubbed, put_event, scrub
from rxllm.wire import LARGE_JSON, AWSFrame

_NOTHING: tuple[StreamChunk, ...] = ()
_MISFIT = Misfit(NAME, CONVERSE, "ask the server's address for it (…/model/…/converse-stream)")
_EVENT_TYPE = ":event-type"
_REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)
# The frame that other operations begin with, and that of models whose events are wrapped.
_CHUNK = "chunk"


@dataclass(slots=True, eq=False)
class BedrockConverseDecoder:
    """The decoder of one stream of the Converse API.

    Args:
        model: The model that is asked: the stream does not say.

    Attributes:
        done: Whether the answer came as a whole, and was not a stream. No event says that nothing follows.
    """

    model: str | None = None
    done: bool = False
    _position: int = -1
    _message: GrowingMessage = field(init=False)
    # Before a message begins: the first object that is nothing known, with its place.
    _doubtful: tuple[int, str] | None = None

    def __post_init__(self) -> None:
        self._message = GrowingMessage(self.model)

    def decode(self, event: WireItem) -> Iterable[StreamChunk]:
        """Turn an event into chunks: see ``StreamDecoder.decode``."""
        self._position += 1
        if type(event) is AWSFrame:
            headers, payload = event
            if headers.get(_EVENT_TYPE) == BLOCK_DELTA and len(payload) <= LARGE_JSON:
                try:
                    found = decode_piece(payload)
                except _REFUSED:
                    pass
                else:
                    # Nearly all events: a piece of a block that has begun, of its usual kind.
                    message = self._message
                    block = message.open.get(found.index)
                    if block is not None and block.template is not None:
                        piece = found.delta.piece_of(block.plain)
                        if piece is not None:
                            block.pieces.append(piece)
                            message.kept.add(len(piece))
                            return (block.template.with_piece(piece, f'{{"{BLOCK_DELTA}":{payload.decode()}}}'),)
        name, data = named(event)
        if len(data) <= LARGE_JSON:
            return self._decode_in_full(event, name, data)
        with reading_large(data, f"event {self._position}"):
            return self._decode_in_full(event, name, data)

    def _decode_in_full(self, event: WireItem, name: str, data: str | bytes) -> Iterable[StreamChunk]:
        text = (data if isinstance(data, str) else data.decode(errors="replace")).strip()
        if isinstance(event, AWSFrame):
            if event.headers.get(":message-type") == "error":
                raise _error_of_headers(event, self._position)
            text = text or "{}"
        elif not text or text == "[DONE]":
            return _NOTHING
        fields = self._object_in(name, text)
        if isinstance(event, AWSFrame):
            shown = f"{{{msgspec.json.encode(name).decode()}:{text}}}"
        else:
            name, fields, shown = *_member_of(name, fields), text
        if may_hold_half(text):
            fields = _whole_but_pieces(fields)
        chunks = self._decode_object(name, fields, text)
        put_event(chunks[0], shown)
        return chunks

    def _object_in(self, name: str, text: str) -> Mapping[str, Any]:
        try:
            fields = loads_unscrubbed(text) if may_hold_half(text) else loads(text)
        except LimitExceededError:
            raise
        except ValueError as problem:
            if is_name_of_error(name):
                raise error_from(text, self._position, name) from None
            raise _MISFIT.malformed(self._position, text, "it is malformed") from problem
        if not is_object(fields):
            if is_name_of_error(name):
                raise error_from(fields, self._position, name)
            raise _MISFIT.malformed(self._position, text, "it is not a JSON object")
        return fields

    def _decode_object(self, kind: str, fields: Mapping[str, Any], text: str) -> list[StreamChunk]:
        message = self._message
        if kind in EVENTS:
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
        if is_name_of_error(kind):
            raise error_from(fields, self._position, kind)
        protocol = None if message.has_begun else protocol_of(kind, fields)
        if protocol not in {None, CONVERSE} or kind == _CHUNK:
            raise self._of_another(protocol or CONVERSE, text)
        if is_failure(kind, fields) or has_words_of_error(kind, fields):
            raise error_from(fields, self._position, kind)
        if not message.has_begun and self._doubtful is None:
            self._doubtful = self._position, text[:EXCERPT_LENGTH]
        return [message.chunk()]

    @property
    def finished(self) -> bool:
        """Whether the answer is whole: see ``StreamDecoder.finished``."""
        return self._message.stopped

    def close(self) -> Iterator[StreamChunk]:
        """Take note that the transport ended in good order: see ``StreamDecoder.close``."""
        message, events = self._message, self._position + 1
        began = f"the stream ended after {events} events without {STOP}, and"
        if self.done:
            pass
        elif not message.has_begun:
            if self._doubtful is not None:
                self._position, text = self._doubtful
                raise _MISFIT.malformed(self._position, text, "it has nothing of a message")
            raise EmptyStreamError(f"{began} no message had begun")
        elif not message.stopped:
            raise TruncatedStreamError(f"{began} the message had not ended", unfinished=(0,), events=events)
        elif message.given_up:
            raise TruncatedStreamError(
                f"the server gave up on the answer: it ended with {exceptions.excerpt(message.reason)}",
                unfinished=(0,),
                events=events,
            )
        return iter(_NOTHING)

    def decode_body(self, body: str) -> Iterable[StreamChunk]:
        """Read an answer that came as a whole: see ``BodyDecoder``."""
        self._position = 0
        with reading_large(body, "the body"):
            fields = value_of_body(body)
            events = events_of_answer(fields)
            if not events:
                if (protocol := protocol_of_body(body)) not in {None, CONVERSE}:
                    raise self._of_another(protocol or CONVERSE, body)
                return _NOTHING
            chunks = [chunk for kind, said in events for chunk in self._decode_object(kind, said, body)]
        tell_of_body(chunks, body)
        self.done = True
        return chunks

    def _of_another(self, protocol: str, text: str) -> DecodeError:
        where = f"event {self._position} looks like {protocol}; it is not a stream of its operation ConverseStream"
        if protocol != CONVERSE:
            where = f"event {self._position} looks like {protocol}; it is not a stream of {CONVERSE}"
        advice = "ask the server's address for it (…/model/…/converse-stream), or use a dialect that reads it"
        return _MISFIT.error(self._position, f"{where}: {advice}", text)


def _member_of(name: str, fields: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Which event an object is that is in no frame, and what is in it."""
    for member, said in fields.items():
        if (member in EVENTS or is_name_of_error(member)) and is_object(said):
            return member, said
    return name, fields


def _error_of_headers(frame: AWSFrame, position: int) -> APIStreamError:
    """The error that a frame is which has it in its headers."""
    code, message = (frame.headers.get(f":error-{name}") for name in ("code", "message"))
    said = {"type": code, "message": message or frame.payload.decode(errors="replace") or code}
    return error_from(said, position)


def _whole_but_pieces(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """An event with whole characters, but for those of a piece of a block, which may be cut in two."""
    whole: Mapping[str, Any] = scrub(fields)
    delta = fields.get("delta")
    return {**whole, "delta": delta} if is_object(delta) and delta.keys() <= PIECES else whole
