"""The events of the Gemini API, each a whole response with what is new.

Rules:

1. The compiled decoder takes what nearly all events are, more of a text; everything else is read in full.
2. An answer is whole at the end of the body in good order, if each candidate has said why it ended. No event says that
   nothing follows, so an answer is never finished before.
3. Usage is the whole so far, and may fall. Each event says it. To read it costs more than all the rest of an event, so
   it is read at first, at the end, and every sixteenth time in between.
4. An error may come as an event, or as lines that are no event. A gateway may put a response into another object, and a
   server that was not asked for events sends an array of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rxllm.dialects._dialect import WireItem
from rxllm.dialects._foreign import GEMINI, protocol_of, protocol_of_body
from rxllm.dialects._large_event import reading_large
from rxllm.dialects._stream_error import error_from, has_words_of_error, is_failure, is_name_of_error
from rxllm.dialects.gemini._gemini_candidate import Candidate
from rxllm.dialects.gemini._gemini_errors import NAME
from rxllm.dialects.gemini._gemini_usage import usage_of_metadata
from rxllm.exceptions import DecodeError, EmptyStreamError, LimitExceededError, TruncatedStreamError, excerpt
from rxllm.harmless import EXCERPT_LENGTH
from rxllm.models import (
    Delta,
    EventText,
    Repair,
    Slots,
    StreamChoice,
    StreamChunk,
    Usage,
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
_MAX_CANDIDATES = 128
_MAX_KEPT = 256 * 1024 * 1024
_OF_ANSWERS = ("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId")
_REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)
_USED = Slots(replaces_usage=True)
_BLOCKED = "content_filter"
_USAGE_EVERY = 16


class _Text(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: str
    thought: bool = False


class _Content(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    parts: tuple[_Text]
    role: str | None = None


class _Candidate(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: _Content
    index: int = 0


class _TextEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """More of a text: what nearly all events are."""

    candidates: tuple[_Candidate]
    usage: msgspec.Raw = msgspec.field(name="usageMetadata", default=msgspec.Raw(b""))
    model: str | None = msgspec.field(name="modelVersion", default=None)
    id: str | None = msgspec.field(name="responseId", default=None)
    created: str | None = msgspec.field(name="createTime", default=None)


_decode = msgspec.json.Decoder(_TextEvent).decode
_decode_usage = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(slots=True, eq=False)
class GeminiDecoder:
    """The decoder of one stream of the Gemini API.

    Attributes:
        done: Whether the answer came as a whole, and was no stream.
        finished: ``False``: only the end of the body says that nothing follows.
    """

    done: bool = False
    finished: bool = False
    _position: int = -1
    _head: tuple[str | None, str | None] = (None, None)
    _candidates: dict[int, Candidate] = field(default_factory=dict[int, Candidate])
    _blocked: str = ""
    # What the last events said of the usage, as it came, and how many they are.
    _unread_usage: msgspec.Raw | None = None
    _unread: int = 0
    _kept: int = 0

    def decode(self, event: WireItem) -> Iterable[StreamChunk]:
        """Turn an event into chunks: see ``StreamDecoder.decode``."""
        self._position += 1
        data = event.data if type(event) is ServerSentEvent else event
        if type(data) is str and len(data) <= LARGE_JSON:
            try:
                found = _decode(data)
            except _REFUSED:
                return self._decode_in_full(event)
            (said,) = found.candidates
            candidate = self._candidates.get(said.index)
            (part,) = said.content.parts
            # Nearly all events: more of the text that goes on.
            text = None if candidate is None else candidate.text
            if (
                text is not None
                and part.text
                and text.thought == part.thought
                and self._head == (found.id, found.model)
            ):
                self._keep(part.text)
                choice: StreamChoice = make(StreamChoice, index=said.index, delta=text.delta(part.text))
                usage = self._usage_in(found.usage)
                chunk: StreamChunk = make(
                    StreamChunk,
                    id=found.id,
                    model=found.model,
                    choices=(choice,),
                    usage=usage,
                    slots=None if usage is None else _USED,
                    event_text=EventText(data),
                )
                return (chunk,)
        return self._decode_in_full(event)

    def close(self) -> Iterable[StreamChunk]:
        """Take note that the transport ended in good order: see ``StreamDecoder.close``."""
        if self.done:
            return _NOTHING
        events = self._position + 1
        if not self._candidates and not self._blocked:
            raise EmptyStreamError(f"the stream ended after {events} events, and no candidate had come")
        unfinished = tuple(sorted(each.index for each in self._candidates.values() if not each.reason))
        if unfinished and not self._blocked:
            raise TruncatedStreamError(
                f"the stream ended after {events} events, and candidates {unfinished} had no finishReason",
                unfinished=unfinished,
                events=events,
            )
        return self._last_chunks()

    def decode_body(self, body: str) -> Iterable[StreamChunk]:
        """Read an answer that came as a whole, or as an array of events: see ``BodyDecoder``."""
        self._position = 0
        with reading_large(body, "the body"):
            try:
                value = loads(body)
            except ValueError:
                value = None
            found = [each for each in (value if is_list(value) else [value]) if is_object(each)]
            if not found or not any(_is_answer(_unwrapped(each)) for each in found):
                if (protocol := protocol_of_body(body)) not in {None, GEMINI}:
                    raise self._of_another(protocol, body)
                return _NOTHING
            chunks = [chunk for each in found for chunk in self._decode_object("message", each, body)]
        chunks += self.close()
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
        if not said or said == _DONE:
            return _NOTHING
        value: Any = None
        if said[0] in "[{":
            try:
                value = loads(said)
            except LimitExceededError:
                raise
            except ValueError as problem:
                raise self._malformed(text, "it is malformed") from problem
        objects = value if is_list(value) else [value]
        if not objects or not all(is_object(each) for each in objects):
            if is_name_of_error(name):
                raise error_from(said, self._position, name)
            raise self._malformed(text, "it is no JSON object")
        chunks = [chunk for each in objects for chunk in self._decode_object(name, each, text)]
        if chunks:
            put_event(chunks[0], EventText(text))
        return chunks

    def _decode_object(self, name: str, said: Mapping[str, Any], text: str) -> list[StreamChunk]:
        fields = _unwrapped(said)
        if is_object(fields.get("error")) or not _is_answer(fields):
            self._refuse(name, fields, text)
            return [self._chunk()]
        self._head = tuple(  # type: ignore[assignment]  # there are two
            value if isinstance(value := fields.get(key), str) else before
            for key, before in zip(("responseId", "modelVersion"), self._head, strict=True)
        )
        feedback = fields.get("promptFeedback")
        if is_object(feedback) and isinstance(reason := feedback.get("blockReason"), str):
            self._blocked = reason
        try:
            choices = [*self._choices_in(fields.get("candidates"))]
        except LimitExceededError:
            raise
        except (ValueError, TypeError) as problem:
            raise self._malformed(text, f"it is malformed: {problem}") from problem
        chunks = [self._chunk(choices=(choice,)) for choice in choices]
        metadata = fields.get("usageMetadata")
        usage = usage_of_metadata(metadata) if is_object(metadata) else None
        if usage is not None:
            self._unread_usage = None
            last = chunks.pop() if chunks else self._chunk()
            chunks.append(last.model_copy(update={"usage": usage, "slots": _USED}))
        return chunks or [self._chunk()]

    def _refuse(self, name: str, fields: Mapping[str, Any], text: str) -> None:
        """Raise what an object that is no answer says, if it says something."""
        if is_failure(name, fields) or has_words_of_error(name, fields):
            raise error_from(fields, self._position, name)
        protocol = None if self._candidates else protocol_of(name, fields)
        if protocol not in {None, GEMINI}:
            raise self._of_another(protocol, text)

    def _choices_in(self, candidates: object) -> Iterable[StreamChoice]:
        for place, said in enumerate(candidates if is_list(candidates) else ()):
            if not is_object(said):
                raise ValueError("a candidate is no object")
            index = said.get("index", 0 if len(candidates) == 1 else place)  # type: ignore[arg-type]  # it is a list
            if not isinstance(index, int) or index < 0:
                raise ValueError("index is no index")
            candidate = self._candidates.get(index) or self._begin(index)
            for delta in candidate.take(said, self._head[0] or ""):
                self._keep(delta.content or delta.reasoning_content or "")
                yield StreamChoice(index=index, delta=delta)

    def _begin(self, index: int) -> Candidate:
        if len(self._candidates) >= _MAX_CANDIDATES:
            raise LimitExceededError(
                f"the answer has more than {_MAX_CANDIDATES} candidates", limit="max_choices", maximum=_MAX_CANDIDATES
            )
        candidate = self._candidates[index] = Candidate(index)
        return candidate

    def _last_chunks(self) -> list[StreamChunk]:
        if not self._candidates:
            choice = StreamChoice(
                delta=Delta(role="assistant", content=""),
                finish_reason=_BLOCKED,
                native_finish_reason=self._blocked,
            )
            return [self._chunk(choices=(choice,))]
        for each in self._candidates.values():
            each.reason = each.reason or self._blocked
        answer_id = self._head[0] or ""
        found = [choice for _, each in sorted(self._candidates.items()) for choice in each.close(answer_id)]
        chunks = [self._chunk(choices=(choice,)) for choice in found]
        if (usage := self._read_usage()) is not None:
            chunks[-1] = chunks[-1].model_copy(update={"usage": usage, "slots": _USED})
        return chunks

    def _chunk(self, **fields: Any) -> StreamChunk:
        return StreamChunk(id=self._head[0], model=self._head[1], **fields)

    def _usage_in(self, said: msgspec.Raw) -> Usage | None:
        """What an event says of the usage, each time that it is read."""
        self._unread += 1
        self._unread_usage = said
        return self._read_usage() if self._unread >= _USAGE_EVERY else None

    def _read_usage(self) -> Usage | None:
        said, self._unread_usage, self._unread = self._unread_usage, None, 0
        return usage_of_metadata(_decode_usage(said)) if said else None

    def _keep(self, text: str) -> None:
        self._kept += len(text)
        if self._kept > _MAX_KEPT:
            raise LimitExceededError(
                f"the answer has more than {_MAX_KEPT} characters", limit="max_characters", maximum=_MAX_KEPT
            )

    def _malformed(self, text: str, reason: str) -> DecodeError:
        return self._error(f"event {self._position} is no event of {NAME}, {reason}", text)

    def _of_another(self, protocol: str | None, text: str) -> DecodeError:
        where = f"event {self._position} looks like {protocol}; it is no stream of {GEMINI}"
        return self._error(f"{where}: ask for …:streamGenerateContent, or use a dialect that reads it", text)

    def _error(self, message: str, text: str) -> DecodeError:
        shown = f"{message}: {excerpt(text)}"
        return DecodeError(shown, dialect=NAME, position=self._position, text=text[:EXCERPT_LENGTH])


def _unwrapped(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The response that a gateway put into another object."""
    inner = fields.get("response")
    return inner if is_object(inner) and not _is_answer(fields) else fields


def _is_answer(fields: Mapping[str, Any]) -> bool:
    return any(name in fields for name in _OF_ANSWERS)
