"""The events of OpenAI's Responses API, and of what is compatible with it.

Rules:

1. An event goes by its ``type``, not by the name that the transport has for it, which some servers leave out.
2. The text of an answer is what its pieces say. What says all of a text gives what is missing in them. A block is the
   provider's own word: the last one of an item counts.
3. One of four events ends an answer: completed, incomplete, failed, cancelled. Without any it was cut; ``[DONE]`` is
   no end. What follows is ignored.
4. An error is not raised before the answer that failed has come, or the end: that says more, and what it cost.
5. An event of a type that nobody knows is passed over, and is there as the event of a chunk without anything else.
6. What is known for an event of another protocol fails the stream, unless the answer has begun.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from rxllm.dialects._dialect import WireItem
from rxllm.dialects._foreign import RESPONSES, protocol_of, protocol_of_body
from rxllm.dialects._large_event import reading_large
from rxllm.dialects._misfit import Misfit
from rxllm.dialects._named import named
from rxllm.dialects._stream_error import has_words_of_error, is_failure, is_name_of_error
from rxllm.dialects._surrogates import may_hold_half
from rxllm.dialects._whole_body import value_of_body
from rxllm.dialects.openai_responses._growing_response import GrowingResponse, Where
from rxllm.dialects.openai_responses._response_ends import STATUSES, error_of
from rxllm.dialects.openai_responses._response_events import TEXT_OF_PIECE, MalformedEventError, Piece, decode_piece
from rxllm.dialects.openai_responses._taken_events import Chunks, Fields, taker_of
from rxllm.exceptions import (
    APIStreamError,
    DecodeError,
    EmptyStreamError,
    ItemsThenError,
    LimitExceededError,
    TruncatedStreamError,
    excerpt,
)
from rxllm.harmless import EXCERPT_LENGTH
from rxllm.models import Repair, StreamChunk, is_object, loads, loads_unscrubbed, marked, put_event, scrub
from rxllm.wire import LARGE_JSON, AWSFrame, ServerSentEvent

_NAME = "openai-responses"
_DONE = "[DONE]"
_LAST = "response.completed"
_NOTHING: tuple[StreamChunk, ...] = ()
_MISFIT = Misfit(_NAME, RESPONSES, "ask the server's address for responses (…/responses)")
_IDLE = frozenset({"", "ping", "keepalive", "keep-alive", "heartbeat", "null", "ok"})
_ENDS = MappingProxyType({f"response.{status}": status for status in STATUSES})


@dataclass(slots=True, eq=False)
class OpenAIResponsesDecoder:
    """The decoder of one stream of the Responses API.

    Attributes:
        done: Whether nothing can follow: ``[DONE]`` came behind the end of the answer, or it was not a stream.
    """

    done: bool = False
    _position: int = -1
    _answer: GrowingResponse = field(default_factory=GrowingResponse)
    # What an event of an error said, while there may be more to say of it.
    _failure: Fields | None = None
    _failed_at: int = 0
    # The answer that failed, until its error is raised.
    _failed: Fields | None = None
    # What was put right in events that gave no chunk: the next one has it.
    _pending: tuple[Repair, ...] = ()
    _passed_over: bool = False
    # The first object that was nothing of an answer: which event, and its start.
    _doubtful: tuple[int, str] | None = None

    @property
    def finished(self) -> bool:
        """Whether the answer has ended, or failed: see ``StreamDecoder.finished``."""
        return bool(self._answer.end) or self._failure is not None

    def decode(self, event: WireItem) -> Chunks:
        """Turn an event into chunks: see ``StreamDecoder.decode``."""
        self._position += 1
        data = event.data if isinstance(event, ServerSentEvent) else event
        if isinstance(data, AWSFrame):
            data = data.payload
        if len(data) > LARGE_JSON:
            with reading_large(data, f"event {self._position}"):
                return self._decode_in_full(event, data)
        answer = self._answer
        if type(data) is not str or answer.end:
            return self._decode_in_full(event, data)
        try:
            piece = decode_piece(data)
        except (msgspec.MsgspecError, ValueError):
            return self._decode_in_full(event, data)
        expected = answer.expected
        if expected is not None:
            event_class, place, sub, text, template = expected
            if type(piece) is event_class and piece.output_index == place and piece.sub == sub:
                # Nearly all events: the next piece of the text that grows.
                delta = piece.delta
                if delta:
                    text.length += len(delta)
                    text.last = delta
                    if text.pieces is not None:
                        text.pieces.append(delta)
                return (template.with_piece(delta, data),)
        return self._given(data, self._take_piece(piece, data))

    def _take_piece(self, piece: Piece, text: str) -> Chunks:
        kind = type(piece)
        where = Where(piece.output_index, piece.item_id, piece.sub)
        try:
            return (self._answer.take_piece(TEXT_OF_PIECE[kind], kind, where, piece.delta),)
        except MalformedEventError as problem:
            raise self._malformed(TEXT_OF_PIECE[kind].name, problem, text) from None

    def _decode_in_full(self, event: WireItem, data: str | bytes) -> Chunks:
        """Decode an event of whatever kind."""
        if self.done:
            return _NOTHING
        text = data if isinstance(data, str) else data.decode(errors="replace")
        name = named(event)[0]
        if (word := text.strip()) == _DONE:
            self.done = bool(self._answer.end)
            return _NOTHING
        if self._answer.end:
            return _NOTHING
        try:
            value = _scrubbed_but_delta(text) if may_hold_half(text) else loads(text)
        except LimitExceededError:
            raise
        except ValueError:
            value = None
        if is_object(value):
            return self._given(text, self._decode_object(name, value, text))
        if is_name_of_error(name):
            return self._hold({"message": word})
        return self._decode_word(name, word)

    def _decode_word(self, name: str, text: str) -> Chunks:
        """Decode what is not an object: a heartbeat, what a gateway has put in, or bad input."""
        if text.strip("[]<>\"'").lower() in _IDLE:
            return _NOTHING
        if name == "message":
            raise _MISFIT.error(
                self._position, f"event {self._position} is not an event of {_NAME}, it is not a JSON object", text
            )
        return self._pass_over(text)

    def _decode_object(self, name: str, fields: Fields, text: str) -> Chunks:
        status = _ENDS.get(str(fields.get("type")))
        take = taker_of(fields)
        if status is None and take is None:
            return self._decode_other(name, fields, text)
        # Another text may come at the place of the one that grew.
        self._answer.expected = None
        try:
            if take is not None:
                return take(self._answer, fields)
            said = fields.get("response")
            response: Fields = said if is_object(said) else {}
            return self._finish(_worse(status or "", response), response)
        except MalformedEventError as problem:
            raise self._malformed(fields["type"], problem, text) from None

    def _decode_other(self, name: str, fields: Fields, text: str) -> Chunks:
        """Decode an object that is not an event of the Responses API, or is an error."""
        protocol = protocol_of(name, fields)
        if protocol not in (None, RESPONSES) and not self._answer.has_begun:
            raise _MISFIT.of_another(self._position, protocol, text)
        kind = fields.get("type")
        if isinstance(kind, str) and kind.startswith("response.") and not is_name_of_error(kind):
            return _NOTHING
        if is_failure(name, fields) or (kind is None and has_words_of_error(name, fields)):
            return self._hold(fields)
        if (status := _status_of_whole(fields)) is not None:
            return self._finish(status, fields)
        return _NOTHING if kind and protocol is None else self._pass_over(text)

    def _finish(self, status: str, response: Fields) -> Chunks:
        """Take the end of the answer; one that failed, or for which an error came, is an error behind its chunks."""
        if status == "failed" or self._failure is not None:
            self._failed = response
        return self._answer.finish(status, response)

    def _hold(self, failure: Fields) -> Chunks:
        """Keep what an error says, until the answer that failed comes, or the end."""
        if self._failure is None:
            self._failure, self._failed_at = failure, self._position
        return _NOTHING

    def _given(self, text: str, chunks: Chunks) -> list[StreamChunk]:
        """The chunks of an event, the first of which has it and what was put right before."""
        given = [*chunks] or [self._answer.nothing()]
        if self._pending:
            given[0] = marked(given[0], repairs=self._pending)
            self._pending = ()
        put_event(given[0], text)
        if self._failed is None:
            return given
        return ItemsThenError(given, self._error_of_server())

    def _error_of_server(self) -> APIStreamError:
        failure, response = self._failure, self._failed
        self._failure = self._failed = None
        return error_of(failure, response, self._position if failure is None else self._failed_at)

    def close(self) -> Chunks:
        """Take note that the transport ended in good order: see ``StreamDecoder.close``."""
        answer, events = self._answer, self._position + 1
        if self._failure is not None:
            raise self._error_of_server()
        if answer.end == "cancelled":
            raise TruncatedStreamError(
                "the server gave up on the answer: it was cancelled", unfinished=(0,), events=events
            )
        if self.done or answer.end:
            return (marked(answer.nothing(), repairs=self._pending),) if self._pending else _NOTHING
        began = f"the stream ended after {events} events without {_LAST}, and"
        if answer.has_begun:
            raise TruncatedStreamError(f"{began} the answer had not ended", unfinished=(0,), events=events)
        if self._doubtful is not None:
            self._position, text = self._doubtful
            raise _MISFIT.error(
                self._position, f"event {self._position} is not an event of {_NAME}, it has nothing of one", text
            )
        raise EmptyStreamError(f"{began} no answer had begun")

    def decode_body(self, body: str) -> Chunks:
        """Read an answer that came as a whole: see ``BodyDecoder``."""
        self._position = 0
        with reading_large(body, "the body"):
            fields = value_of_body(body)
            if is_object(fields) and (status := _status_of_whole(fields)) is not None:
                self.done = True
                self._pending = (Repair("answer-not-streamed", 0, excerpt(body), None),)
                return self._given(body, self._finish(status, fields))
        protocol = protocol_of_body(body)
        if protocol not in (None, RESPONSES):
            raise _MISFIT.of_another(self._position, protocol, body)
        return _NOTHING

    def _pass_over(self, text: str) -> Chunks:
        """Pass over what is nothing of an answer, and note it, once."""
        self._doubtful = self._doubtful or (self._position, text[:EXCERPT_LENGTH])
        if not self._passed_over:
            self._passed_over = True
            self._pending = (*self._pending, Repair("event-passed-over", self._position, excerpt(text), None))
        return _NOTHING

    def _malformed(self, kind: str, problem: MalformedEventError, text: str) -> DecodeError:
        return _MISFIT.error(self._position, f"event {self._position} is not a {kind}, {problem}", text)


def _status_of_whole(fields: Fields) -> str | None:
    """How an answer ended that is there as a whole; ``None`` if it is none, or goes on."""
    status = str(fields.get("status"))
    return status if fields.get("object") == "response" and status in STATUSES else None


def _worse(status: str, response: Fields) -> str:
    """How an answer ended: what the answer itself says counts, if its event says that all of it came."""
    own = response.get("status")
    return own if status == "completed" and isinstance(own, str) and own in STATUSES else status


def _scrubbed_but_delta(text: str) -> Any:
    """Read an event in which there may be half a character: it stays at the end of a delta, to be put together."""
    value = loads_unscrubbed(text)
    delta = value.get("delta") if is_object(value) else None
    scrubbed = scrub(value)
    return {**scrubbed, "delta": delta} if isinstance(delta, str) else scrubbed
