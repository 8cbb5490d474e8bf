"""The events of the Gemini API, each a whole response with what is new.

Rules:

1. The compiled decoder takes what nearly all events are, more of a text; everything else is read in full.
2. An answer is whole at the end of the body in good order, if each candidate has said why it ended. No event says that
   nothing follows, so an answer is never finished before.
3. An error may come as an event, or as lines that are no event. A gateway may put a response into another object, and a
   server that was not asked for events sends an array of them.
4. What came before an error, in the same event, too, is given first, and so is the usage that was not read yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rxllm.dialects._chunk_template import ChunkTemplate
from rxllm.dialects._dialect import WireItem
from rxllm.dialects._foreign import GEMINI, protocol_of, protocol_of_body
from rxllm.dialects._kept import Kept
from rxllm.dialects._large_event import reading_large
from rxllm.dialects._misfit import Misfit
from rxllm.dialects._named import read_in_full
from rxllm.dialects._stream_error import error_from, has_words_of_error, is_error, is_failure, is_name_of_error
from rxllm.dialects._whole_body import tell_of_body
from rxllm.dialects.gemini._gemini_candidate import BLOCKED, Candidate, OpenText
from rxllm.dialects.gemini._gemini_errors import NAME
from rxllm.dialects.gemini._gemini_event import (
    REFUSED,
    decode_text,
    events_in_body,
    is_answer,
    unwrapped,
    with_kind,
)
from rxllm.dialects.gemini._gemini_usage import UsageSoFar, with_usage
from rxllm.exceptions import (
    EmptyStreamError,
    LimitExceededError,
    RxllmError,
    TruncatedStreamError,
    items_then,
)
from rxllm.models import (
    Delta,
    StreamChoice,
    StreamChunk,
    Usage,
    is_list,
    is_object,
    loads,
    make,
    put_event,
)
from rxllm.wire import LARGE_JSON, ServerSentEvent

_NOTHING: tuple[StreamChunk, ...] = ()
_MISFIT = Misfit(NAME, GEMINI, "ask for …:streamGenerateContent")
_DONE = "[DONE]"
_MAX_CANDIDATES = 128


@dataclass(slots=True, eq=False)
class GeminiDecoder:
    """The decoder of one stream of the Gemini API.

    Attributes:
        done: Whether the answer came as a whole, and was not a stream.
        finished: ``False``: only the end of the body says that nothing follows.
    """

    done: bool = False
    finished: bool = False
    _position: int = -1
    _head: tuple[str | None, str | None] = (None, None)
    _created: int | None = None
    _candidates: dict[int, Candidate] = field(default_factory=dict[int, Candidate])
    _blocked: str = ""
    _usage: UsageSoFar = field(default_factory=UsageSoFar)
    _kept: Kept = field(default_factory=lambda: Kept("the answer has"))

    def decode(self, event: WireItem) -> Iterable[StreamChunk]:
        """Turn an event into chunks: see ``StreamDecoder.decode``."""
        self._position += 1
        data = event.data if type(event) is ServerSentEvent else event
        if type(data) is str and len(data) <= LARGE_JSON:
            try:
                found = decode_text(data)
            except REFUSED:
                pass
            else:
                (said,) = found.candidates
                (part,) = said.content.parts
                candidate = self._candidates.get(said.index)
                # Nearly all events: more of the text that goes on.
                text = None if candidate is None else candidate.text
                piece = part.text
                if (
                    text is not None
                    and piece
                    and text.thought == part.thought
                    and self._head == (found.id, found.model)
                ):
                    return (self._more(text, piece, data, said.index, self._usage.take(found.usage)),)
        return self._decode_in_full(event)

    def close(self) -> Iterable[StreamChunk]:
        """Take note that the transport ended in good order: see ``StreamDecoder.close``."""
        if self.done:
            return _NOTHING
        events = self._position + 1
        if not self._candidates and not self._blocked:
            raise EmptyStreamError(f"the stream ended after {events} events, and no candidate had come")
        unfinished = tuple(sorted(each.index for each in self._candidates.values() if not each.has_ended))
        if unfinished and not self._blocked:
            error = TruncatedStreamError(
                f"the stream ended after {events} events, and candidates {unfinished} had not ended",
                unfinished=unfinished,
                events=events,
            )
            return items_then(self._unread_usage(), error)
        return self._last_chunks()

    def decode_body(self, body: str) -> Iterable[StreamChunk]:
        """Read an answer that came as a whole, or as an array of events: see ``BodyDecoder``."""
        self._position = 0
        with reading_large(body, "the body"):
            found, is_cut = events_in_body(body)
            if not any(is_answer(unwrapped(each)) for each in found):
                if (protocol := protocol_of_body(body)) not in {None, GEMINI}:
                    raise _MISFIT.of_another(self._position, protocol, body)
                return _NOTHING
            chunks = self._gathered(self._of_body(found, body, is_cut=is_cut))
        self.done = True
        tell_of_body(chunks, body)
        return chunks

    def _decode_in_full(self, event: WireItem) -> Iterable[StreamChunk]:
        return read_in_full(event, f"event {self._position}", self._decode_text)

    def _decode_text(self, name: str, text: str) -> Iterable[StreamChunk]:
        said = text.strip()
        if not said or said == _DONE:
            return _NOTHING
        chunks = self._gathered(self._chunks_of(name, said))
        put_event(chunks[0], text)
        return chunks

    def _chunks_of(self, name: str, text: str) -> Iterator[StreamChunk]:
        value: Any = None
        if text[0] in "[{":
            try:
                value = loads(text)
            except LimitExceededError:
                raise
            except ValueError:
                raise _MISFIT.malformed(self._position, text, "it is malformed") from None
        objects = value if is_list(value) else [value]
        if not objects or not all(is_object(each) for each in objects):
            if is_name_of_error(name):
                raise error_from(text, self._position, name)
            raise _MISFIT.malformed(self._position, text, "it is not a JSON object")
        self._kept.add(len(text))
        for each in objects:
            yield from self._decode_object(name, each, text)

    def _of_body(self, found: Iterable[Mapping[str, Any]], body: str, *, is_cut: bool) -> Iterator[StreamChunk]:
        for each in found:
            yield from self._decode_object("message", each, body)
        if is_cut:
            raise TruncatedStreamError("the body is an array of events, and ends in the middle", unfinished=(0,))
        yield from self.close()

    def _gathered(self, chunks: Iterable[StreamChunk]) -> list[StreamChunk]:
        """The chunks; if there is an error among them, those before it, with the usage, and then the error."""
        found: list[StreamChunk] = []
        try:
            found.extend(chunks)
        except RxllmError as error:
            # What it was raised instead of has a traceback, too, and from 3.13 on a generator's frame knows this one.
            error.__context__ = None
            return items_then([*found, *self._unread_usage()], error.with_traceback(None))
        return found

    def _decode_object(self, name: str, said: Mapping[str, Any], text: str) -> Iterator[StreamChunk]:
        fields = unwrapped(said)
        if is_error(fields) or not is_answer(fields):
            self._refuse(name, fields, text)
            yield self._chunk()
            return
        self._begin_event(fields)
        usage = self._usage.replace(fields.get("usageMetadata"))
        first = self._chunk() if usage is None else with_usage(self._chunk(), usage)
        is_first = True
        for choice in self._choices_in(fields.get("candidates"), text):
            yield first.model_copy(update={"choices": (choice,)}) if is_first else self._chunk(choices=(choice,))
            is_first = False
        if is_first:
            yield first

    def _begin_event(self, fields: Mapping[str, Any]) -> None:
        """Take what an event says of the whole answer."""
        id_, model = (_text(fields.get(name)) for name in ("responseId", "modelVersion"))
        head = (id_ or self._head[0], model or self._head[1])
        created = self._created or _time(fields.get("createTime"))
        if (head, created) != (self._head, self._created):
            self._head, self._created = head, created
            for text in (each.text for each in self._candidates.values() if each.text is not None):
                text.template = None
        feedback = fields.get("promptFeedback")
        if is_object(feedback) and (reason := _text(feedback.get("blockReason"))):
            self._blocked = reason

    def _refuse(self, name: str, fields: Mapping[str, Any], text: str) -> None:
        """Raise what an object that is not an answer says, if it says something."""
        if is_failure(name, fields) or has_words_of_error(name, fields):
            raise error_from(with_kind(fields), self._position, name)
        protocol = None if self._candidates else protocol_of(name, fields)
        if protocol not in {None, GEMINI}:
            raise _MISFIT.of_another(self._position, protocol, text)

    def _choices_in(self, candidates: object, text: str) -> Iterator[StreamChoice]:
        listed = candidates if is_list(candidates) else []
        for place, said in enumerate(listed):
            index = said.get("index", place) if is_object(said) else None
            if not is_object(said) or type(index) is not int or index < 0:
                raise _MISFIT.malformed(self._position, text, "a candidate is not an object with an index")
            candidate = self._candidates.get(index) or self._begin(index)
            try:
                deltas = candidate.take(said, self._head[0] or "")
            except LimitExceededError:
                raise
            except ValueError as problem:
                raise _MISFIT.malformed(self._position, text, f"it is malformed: {problem}") from None
            for delta in deltas:
                yield StreamChoice(index=index, delta=delta)

    def _begin(self, index: int) -> Candidate:
        if len(self._candidates) >= _MAX_CANDIDATES:
            raise LimitExceededError(
                f"the answer has more than {_MAX_CANDIDATES} candidates", limit="max_choices", maximum=_MAX_CANDIDATES
            )
        candidate = self._candidates[index] = Candidate(index)
        return candidate

    def _last_chunks(self) -> list[StreamChunk]:
        choices = [choice for _, each in sorted(self._candidates.items()) for choice in each.close(self._blocked)]
        if not choices:
            delta = Delta(role="assistant", content="")
            choices = [StreamChoice(delta=delta, finish_reason=BLOCKED, native_finish_reason=self._blocked)]
        return [*(self._chunk(choices=(choice,)) for choice in choices), *self._unread_usage()]

    def _chunk(self, **fields: Any) -> StreamChunk:
        return StreamChunk(id=self._head[0], model=self._head[1], created=self._created, **fields)

    def _more(self, text: OpenText, piece: str, data: str, index: int, usage: Usage | None) -> StreamChunk:
        """What a piece of an open text gives."""
        self._kept.add(len(piece))
        template = text.template
        if template is None:
            template = text.template = self._template(index, text)
        text.pieces.append(piece)
        chunk = template.with_piece(piece, data)
        return chunk if usage is None else with_usage(chunk, usage)

    def _template(self, index: int, text: OpenText) -> ChunkTemplate:
        delta = make(Delta, part=text.part, **{text.field: ""})
        return ChunkTemplate(self._chunk(choices=(make(StreamChoice, index=index, delta=delta),)), text.field)

    def _unread_usage(self) -> list[StreamChunk]:
        usage = self._usage.read()
        return [] if usage is None else [with_usage(self._chunk(), usage)]


def _time(value: object) -> int | None:
    try:
        return int(datetime.fromisoformat(_text(value) or "").timestamp())
    except (ValueError, OverflowError):
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
