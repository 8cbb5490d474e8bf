"""The events of OpenAI's chat completions, and of what is compatible with them.

Rules:

1. An event is one JSON object. The compiled decoder gets its text as it is; nothing else is looked at before
   that but the first character. Only what is not a chunk, or says that it is an error, is looked at twice.
2. ``[DONE]`` ends the stream. Whatever follows is ignored.
3. A stream that ends without it is whole if it has ``finished``: every choice that was seen has a ``finish_reason``,
   at least one was seen, and no arguments are open. Otherwise it is truncated. A reason that says that the server gave
   up makes it truncated in any case, at the end: an error may follow that says more.
4. An error together with choices, or in one of them, is both: first the chunk, then the error.
5. Events that carry nothing (empty data, pings, comments that a proxy turned into data) give no chunk. What a gateway
   has put between the chunks is passed over, with a repair; if nothing else comes, the first of it is an error.
6. A whole message in the place of a delta is one, unless deltas of the choice said it already: then it is an extra.
7. What says that a chunk is out of the ordinary (``error``, ``type``, ``message``) is no field that a chunk declares:
   what the compiled decoder takes need not be looked at for it.
8. What is known for an event of another protocol fails the stream, unless a choice has come before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from rxllm import exceptions, models
from rxllm.dialects._dialect import WireItem
from rxllm.dialects._foreign import CHAT, protocol_of, protocol_of_body
from rxllm.dialects._large_event import check_pieces, reading_large
from rxllm.dialects._named import named
from rxllm.dialects._stream_error import error_from, is_error, is_name_of_error
from rxllm.dialects._surrogates import SurrogateHalves, may_hold_half
from rxllm.dialects.openai_chat._cumulative_text import CumulativeTexts, UnrelatedTextError
from rxllm.dialects.openai_chat._no_chunk import KEEP_ALIVES, is_idle, judged
from rxllm.dialects.openai_chat._odd_choices import numbered, spoken_in, usage_of_failure, with_usage
from rxllm.dialects.openai_chat._seen_choices import SeenChoices
from rxllm.dialects.openai_chat._whole_answer import as_chunk
from rxllm.exceptions import APIStreamError, DecodeError, ItemsThenError, LimitExceededError
from rxllm.flow import FlowControl, Secrets
from rxllm.harmless import EXCERPT_LENGTH
from rxllm.logs import logger
from rxllm.models import Delta, Repair, StreamChoice, StreamChunk, is_object, loads, marked
from rxllm.wire import LARGE_JSON

if TYPE_CHECKING:
    from rxllm.dialects.openai_chat._openai_chat import OpenAIChat

_DONE = "[DONE]"
_OBJECT_START = ("{", b"{")
_TELLING = frozenset({"error", "type", "x_groq"})
_PASSED_OVER = "event-passed-over"
_NOTHING: tuple[StreamChunk, ...] = ()
_FIELD_NAMES = re.compile(r"(?:data:\s*+)++")
# After so many refusals in a row the compiled decoder is asked only now and then.
_PATIENCE = 4
_ASKED_AGAIN = 64

_decode = models.decoder_of(StreamChunk)


@dataclass(slots=True, eq=False)
class OpenAIChatDecoder:
    """The decoder of one stream of chat completion chunks.

    Attributes:
        done: Whether ``[DONE]`` has come.
        repairs: What was put right, the first thousand.
    """

    _dialect: OpenAIChat
    done: bool = False
    repairs: list[Repair] = field(default_factory=list[Repair])
    _position: int = -1
    _choices: SeenChoices = field(default_factory=SeenChoices)
    # The choices that a delta of the server's own has said something of. A dictionary of such values, unlike a set, is
    # nothing to the garbage collector.
    _begun: dict[int, bool] = field(default_factory=dict[int, bool])
    # Made when there is an event that concerns them, as few are, like the halves of characters.
    _texts: CumulativeTexts | None = None
    _halves: SurrogateHalves | None = None
    # What was put right in events that gave no chunk: the next one has it.
    _pending: tuple[Repair, ...] = ()
    # If no choice comes: the error about the first event that was more than a heartbeat.
    _doubtful: list[DecodeError] | tuple[()] = ()
    # How often the compiled decoder has refused, one chunk after the other.
    _refused: int = 0
    # Whether nothing waits, so that a chunk of text changes nothing here.
    _is_plain: bool = False

    def __post_init__(self) -> None:
        self._look_whether_plain()

    def decode(self, event: WireItem) -> Iterable[StreamChunk]:
        """Turn an event into chunks: see ``StreamDecoder.decode``."""
        self._position += 1
        if self._is_plain and type(event) is str and len(event) <= LARGE_JSON:
            # Nearly all events: chunks that change nothing here.
            chunk = self._decode_strictly(event)
            if chunk is not None:
                choices = chunk.choices
                if len(choices) == 1 and not (only := choices[0]).finish_reason and only.index in self._begun:
                    if only.delta.tool_calls is not None:
                        self._choices.calls.add(only)
                    return (chunk,)
                return self._accept(event, chunk)
        if self.done:
            return _NOTHING
        name, data = named(event)
        if len(data) <= LARGE_JSON:
            return self._decode_in_full(name, data)
        with reading_large(data, f"event {self._position}"):
            return self._decode_in_full(name, data)

    def _decode_in_full(self, name: str, data: str | bytes) -> Iterable[StreamChunk]:
        # The first character tells a chunk from nearly all that is none.
        if name != "message" or data[:1] not in _OBJECT_START:
            return self._decode_other(name, _text_of(data))
        chunk = None if self._is_half_waiting or self._is_hopeless else self._decode_strictly(data)
        return self._decode_leniently(data) if chunk is None else self._accept(data, chunk)

    @property
    def _is_hopeless(self) -> bool:
        """Whether the compiled decoder has refused so often that it is asked only now and then."""
        return self._refused > _PATIENCE and bool(self._position % _ASKED_AGAIN)

    def _decode_strictly(self, data: str | bytes) -> StreamChunk | None:
        """The chunk, if the compiled decoder takes it."""
        try:
            chunk: StreamChunk = _decode(data)
        except (msgspec.MsgspecError, ValueError):
            self._refused += 1
            self._look_whether_plain()
            return None
        if self._refused:
            self._refused = 0
            self._look_whether_plain()
        return chunk

    @property
    def _is_half_waiting(self) -> bool:
        """Whether a character that the server cut in two waits for its other half."""
        return self._halves is not None and bool(self._halves.waiting)

    def _loads(self, text: str) -> Any:
        """Read an event that may hold half a character."""
        if self._halves is None:
            self._halves = SurrogateHalves()
        return self._halves.loads(text)

    def _look_whether_plain(self) -> None:
        """Look whether nothing waits and nothing is over, so that a chunk of text changes nothing here."""
        self._is_plain = not (
            self.done
            or self._dialect.cumulative_text
            or self._is_half_waiting
            or self._pending
            or self._refused > _PATIENCE
        )

    @property
    def finished(self) -> bool:
        """Whether every choice has ended, and no arguments are open: see ``StreamDecoder.finished``."""
        # Asked at each read of a source.
        choices = self._choices
        return choices.ended and choices.finished

    def close(self) -> Iterable[StreamChunk]:
        """Take note that the transport ended in good order: see ``StreamDecoder.close``."""
        if self.done:
            return _NOTHING
        if not self._choices.seen:
            self._refuse_what_is_no_answer()
        return self._end(self._choices.cut(self._position + 1, _DONE))

    def _end(self, error: Exception | None = None) -> Iterable[StreamChunk]:
        """End with what still waits: half a character, and what was put right since the last chunk."""
        error = error or self._choices.given_up(self._position + 1)
        rest = _NOTHING
        if self._is_half_waiting and self._halves is not None:
            rest = (self._with_repairs(StreamChunk.from_wire(self._halves.rest())),)
        elif self._pending and self._choices.seen:
            rest = (self._with_repairs(StreamChunk()),)
        if error is None or rest:
            return rest if error is None else ItemsThenError(rest, error)
        try:
            raise error
        finally:
            del error  # whose traceback holds this frame

    def _take(self, data: str | bytes, chunk: StreamChunk, name: str) -> Iterable[StreamChunk]:
        """Take a chunk that was put right. Nearly all of them change nothing here, either."""
        choices = chunk.choices
        if (
            len(data) <= LARGE_JSON
            and len(choices) == 1
            and not (only := choices[0]).finish_reason
            and only.index in self._begun
            and only.extra is None
            and (chunk.extra is None or _TELLING.isdisjoint(chunk.extra))
            and not (chunk.slots or self._pending or self._dialect.cumulative_text)
        ):
            if only.delta.tool_calls is not None:
                self._choices.calls.add(only)
            return (chunk,)
        return self._accept(data, chunk, name)

    def _accept(self, data: str | bytes, chunk: StreamChunk, name: str = "message") -> Iterable[StreamChunk]:
        """Take a chunk, all of whose fields are optional, so that it may still be none."""
        choices = chunk.choices
        if chunk.extra or not choices:
            extra = chunk.model_extra
            if is_error(extra):
                return self._fail(data, chunk, name)
            if not choices and (found := self._decode_no_chunk(data, chunk, name)) is not None:
                return found
            if chunk.usage is None and "x_groq" in extra:
                chunk = with_usage(chunk, extra["x_groq"])
        return self._accept_choices(data, chunk)

    def _accept_choices(self, data: str | bytes, chunk: StreamChunk) -> Iterable[StreamChunk]:
        error: APIStreamError | None = None
        if len(data) > LARGE_JSON:
            check_pieces(chunk)
        try:
            if len(chunk.choices) > 1:
                chunk = numbered(data, chunk)
            for choice in chunk.choices:
                if choice.extra:
                    chunk, error_of_choice = self._take_from_extras(chunk, choice)
                    error = error_of_choice or error
                if choice.index not in self._begun and not choice.delta.is_empty:
                    self._begun[choice.index] = True
        except ValueError as problem:
            return self._refuse(data, "it is malformed", problem)
        if self._dialect.cumulative_text:
            chunk = self._keep_what_is_new(chunk)
        for choice in chunk.choices:
            if choice.finish_reason and not models.is_reason(choice.finish_reason):
                chunk = self._without_reason(chunk, choice)
            self._choices.take(choice)
        chunk = self._with_repairs(chunk)
        return (chunk,) if error is None else ItemsThenError((chunk,), error)

    def _take_from_extras(self, chunk: StreamChunk, choice: StreamChoice) -> tuple[StreamChunk, APIStreamError | None]:
        """Read what some servers put into a choice: the usage, an error, or a whole message or a text, no delta.

        Returns:
            The chunk with that in its place, and the error, if there is one.

        Raises:
            ValueError: The message is none.
        """
        extra = choice.model_extra
        if chunk.usage is None and "usage" in extra:
            chunk = with_usage(chunk, extra)
        if choice.delta == Delta() and choice.index not in self._begun and (found := spoken_in(extra)) is not None:
            name, kind, delta = found
            if kind == "message-as-delta" or not self._has_reported(kind):
                self._report(kind, extra[name], None)
            moved = choice.model_copy(update={"delta": delta, name: None})
            others = [moved if each is choice else each for each in chunk.choices]
            chunk = chunk.model_copy(update={"choices": others})
        error = error_from({"error": extra["error"]}, self._position) if extra.get("error") else None
        return chunk, error

    def _without_reason(self, chunk: StreamChunk, choice: StreamChoice) -> StreamChunk:
        """The chunk without a reason that is none. It comes with each chunk, so one is reported for all."""
        if choice.index not in self._choices.seen:
            self._report("finish-reason-blank", choice.finish_reason, None)
        others = [
            each.model_copy(update={"finish_reason": None}) if each.index == choice.index else each
            for each in chunk.choices
        ]
        return chunk.model_copy(update={"choices": others})

    def _with_repairs(self, chunk: StreamChunk) -> StreamChunk:
        """The chunk with all that was put right since the one before, each in its place in the stream."""
        for repair in chunk.repairs:
            self._report(repair.kind, repair.before, repair.after)
        if not self._pending:
            return chunk
        pending, self._pending = self._pending, ()
        self._look_whether_plain()
        return marked(chunk, repairs=pending)

    def _decode_leniently(self, data: str | bytes, name: str = "message") -> Iterable[StreamChunk]:
        text = _text_of(data)
        try:
            if self._is_half_waiting or may_hold_half(text):
                chunk = models.read_json(StreamChunk, self._loads(text))
            else:
                chunk = models.read_refused(StreamChunk, data)
        except LimitExceededError:
            raise
        except ValueError as error:
            return self._refuse(data, "it is malformed", error)
        self._look_whether_plain()
        return self._take(data, chunk, name)

    def _decode_other(self, name: str, data: str) -> Iterable[StreamChunk]:
        """Decode what is not an object at first sight, or comes under a name of its own."""
        text = data.strip()
        if name == "error" or (name != "message" and is_name_of_error(name) and text[:1] != "{"):
            value = _value_of(text)
            return ItemsThenError(usage_of_failure(value), error_from(value, self._position, name))
        if not text or name in KEEP_ALIVES:
            return self._decode_keep_alive(text)
        if text == _DONE:
            self._refuse_what_is_no_answer()
            self.done = True
            self._is_plain = False
            return self._end(self._choices.nothing(self._position, _DONE))
        if text[0] == "{":
            return self._decode_leniently(text, name)
        return self._decode_words(name, text)

    def _decode_words(self, name: str, text: str) -> Iterable[StreamChunk]:
        """Decode what is not an object: a comment, a field's name in its data, or a word."""
        if text[0] == ":":
            self._report("comment-as-data", exceptions.excerpt(text), None)
            return _NOTHING
        if field_names := _FIELD_NAMES.match(text):
            # All of them at once, so that this calls itself but once.
            inner = text[field_names.end() :]
            self._report("field-name-in-data", exceptions.excerpt(text), exceptions.excerpt(inner))
            return self._decode_other(name, inner)
        if name == "message" and not is_idle(text):
            return self._refuse(text, "it is not a JSON object")
        return self._pass_over(name, text, exceptions.excerpt(text))

    def _decode_keep_alive(self, text: str) -> Iterable[StreamChunk]:
        """Decode the data of an event that is named like a ping: nothing, unless something of an answer is in it."""
        try:
            chunk = StreamChunk.from_wire(text)
        except ValueError:
            return _NOTHING
        return self._accept(text, chunk) if chunk.choices or chunk.usage else _NOTHING

    def _decode_no_chunk(self, data: str | bytes, chunk: StreamChunk, name: str) -> Iterable[StreamChunk] | None:
        """Decode an object without choices: a ping, an error, what a gateway has put in, or of another protocol.

        Returns:
            What it gives; ``None`` if it is a chunk nonetheless: of usage, of filter results, a placeholder.
        """
        # Whether there are no choices, or they are not mentioned, the chunk does not tell.
        fields = loads(data)
        protocol = protocol_of(name, fields)
        if protocol == CHAT:
            protocol = None
        if protocol is not None and not self._choices.seen:
            raise self._of_another(protocol, _text_of(data))
        verdict = judged(name, fields, chunk)
        if verdict == "error":
            return self._fail(data, chunk, name)
        if verdict == "placeholder" and chunk.extra:
            self._doubt(data)
        if verdict in {"chunk", "placeholder"} and protocol is None:
            return None
        return _NOTHING if verdict == "ping" else self._pass_over(name, data, fields)

    def _pass_over(self, name: str, data: str | bytes, value: object) -> Iterable[StreamChunk]:
        """Pass over what is not a chunk, and note it."""
        if value and is_object(value):
            self._doubt(data)
        before = value if name == "message" else {"event": name, "data": value}
        if not self._has_reported(_PASSED_OVER, before):
            self._report(_PASSED_OVER, before, None)
        return _NOTHING

    def _doubt(self, data: str | bytes) -> None:
        self._doubtful = self._doubtful or [self._malformed(data, "it has nothing of a chunk")]

    def _refuse_what_is_no_answer(self) -> None:
        """Refuse a stream that had no choice, and of which not all were heartbeats.

        Raises:
            DecodeError: It is one.
        """
        if self._doubtful and not self._choices.seen:
            # Nothing here keeps it, for its traceback will keep this: a circle for the garbage collector.
            raise self._doubtful.pop()

    def decode_body(self, body: str) -> Iterable[StreamChunk]:
        """Read an answer that came as a whole: see ``BodyDecoder``."""
        self._position = 0
        with reading_large(body, "the body"):
            return self._decode_body(body)

    def _decode_body(self, body: str) -> Iterable[StreamChunk]:
        chunk = as_chunk(body)
        if chunk is None:
            protocol = protocol_of_body(body)
            if protocol is not None and protocol != CHAT:
                raise self._of_another(protocol, body)
            return _NOTHING
        self.done = True
        self._report("answer-not-streamed", exceptions.excerpt(body), None)
        chunks = self._accept_choices(body, chunk)
        error = self._choices.given_up(1)
        return chunks if error is None else ItemsThenError(chunks, error)

    def _fail(self, data: str | bytes, chunk: StreamChunk, name: str) -> Iterable[StreamChunk]:
        value = loads(data)
        chunks = (chunk,) if chunk.choices or chunk.usage else usage_of_failure(value)
        return ItemsThenError(chunks, error_from(value, self._position, name))

    def _refuse(self, data: str | bytes, reason: str, cause: Exception | None = None) -> Iterable[StreamChunk]:
        if not self._dialect.skip_malformed:
            raise self._malformed(data, reason) from cause
        logger.warning("skipped event {} of a stream: {}", self._position, reason)
        if self._dialect.on_malformed is not None:
            error = self._malformed(data, reason)
            self._dialect.on_malformed(error if (secrets := _secrets()) is None else secrets.scrub_error(error))
        return _NOTHING

    def _malformed(self, data: str | bytes, reason: str) -> DecodeError:
        return self._error(f"event {self._position} is not a chunk of {self._dialect.name}, {reason}", _text_of(data))

    def _of_another(self, protocol: str, text: str) -> DecodeError:
        where = f"event {self._position} looks like {protocol}; it is not a chat completions stream"
        advice = "ask the server's address for chat completions (…/chat/completions), or use a dialect that reads it"
        return self._error(f"{where}: {advice}", text)

    def _error(self, message: str, text: str) -> DecodeError:
        shown = f"{message}: {exceptions.excerpt(text)}"
        return DecodeError(shown, dialect=self._dialect.name, position=self._position, text=text[:EXCERPT_LENGTH])

    def _keep_what_is_new(self, chunk: StreamChunk) -> StreamChunk:
        """The chunk without what earlier deltas had already."""
        self._texts = self._texts or CumulativeTexts()
        try:
            return chunk.model_copy(update={"choices": [self._texts.new_in(each) for each in chunk.choices]})
        except UnrelatedTextError as problem:
            message = f"event {self._position} does not continue the {problem.name} before it"
            raise self._error(message, problem.text) from None

    def _has_reported(self, kind: str, *before: object) -> bool:
        """Whether such a repair is noted already, or one of that kind."""
        return any(each.kind == kind and each.before in (before or (each.before,)) for each in self.repairs)

    def _report(self, kind: str, before: object, after: object) -> None:
        repair = Repair(kind, self._position, before, after)
        if len(self.repairs) < models.MAX_REPAIRS:
            self.repairs.append(repair)
            self._pending = (*self._pending, repair)
            self._is_plain = False
        if self._dialect.on_repair is not None:
            if (secrets := _secrets()) is not None:
                repair = repair._replace(before=secrets.scrub_value(before), after=secrets.scrub_value(after))
            self._dialect.on_repair(repair)


def _secrets() -> Secrets | None:
    """What the source has sent, and whoever is told of an event is not to see."""
    flow = FlowControl.current()
    return None if flow is None else flow.secrets


def _text_of(data: str | bytes) -> str:
    return data if isinstance(data, str) else data.decode(errors="replace")


def _value_of(text: str) -> Any:
    try:
        return loads(text)
    except ValueError:
        return text
