"""OpenAI's chat completions, and what is compatible with them.

Rules:

1. An event is one JSON object. The compiled decoder gets its text as it is; nothing else is looked at before
   that but the first character. Only what is no chunk, or says that it is an error, is looked at twice.
2. ``[DONE]`` ends the stream. Whatever follows is ignored.
3. A stream that ends without it is whole if it has ``finished``: every choice that was seen has a ``finish_reason``,
   at least one was seen, and no arguments are open. Otherwise it is truncated. A reason that says that the server gave
   up makes it truncated in any case, at the end: an error may follow that says more.
4. An error together with choices, or in one of them, is both: first the chunk, then the error.
5. Events that carry nothing (empty data, pings, comments that a proxy turned into data) give no chunk.
6. A whole message in the place of a delta is one, unless deltas of the choice said it already: then it is an extra.
7. What says that a chunk is out of the ordinary (``error``, ``type``, ``message``) is no field that a chunk declares:
   what the compiled decoder takes need not be looked at for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from loguru import logger

from rxllm import exceptions, models
from rxllm.dialects._choice_numbers import numbered
from rxllm.dialects._dialect import WireItem
from rxllm.dialects._seen_choices import SeenChoices
from rxllm.dialects._stream_error import error_from, has_words_of_error, is_error
from rxllm.dialects._surrogates import SurrogateHalves, may_hold_half
from rxllm.exceptions import APIStreamError, DecodeError, ItemsThenError, LimitExceededError
from rxllm.models import ChatRequest, Delta, Repair, StreamChoice, StreamChunk, Usage, is_object, loads, marked
from rxllm.wire import ServerSentEvent

_NAME = "openai-chat"
_DONE = "[DONE]"
_KEEP_ALIVES = frozenset({"ping", "keepalive", "keep-alive", "heartbeat"})
_OBJECT_START = ("{", b"{")
_TELLING = frozenset({"error", "type", "x_groq"})
_CHUNK_FIELDS = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
_TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")
_SAYING = (*_TEXT_FIELDS, "tool_calls", "function_call")
_NOTHING: tuple[StreamChunk, ...] = ()
_FIELD_NAMES = re.compile(r"(?:data:\s*+)++")
# After so many refusals in a row the compiled decoder is asked only now and then.
_PATIENCE = 4
_ASKED_AGAIN = 64

_decode = models.decoder_of(StreamChunk)


@dataclass(frozen=True, kw_only=True)
class OpenAIChat:
    """The dialect ``"openai-chat"``.

    Args:
        cumulative_text: Whether each delta repeats the text from its beginning (``"He"``, ``"Hello"``), as some
            servers do; then only what is new is passed on.
        skip_malformed: Whether to go on after an event that is no chunk. It is reported to ``on_malformed`` and
            logged, without its text.
        on_malformed: Called with the error of each event that was skipped.
        on_repair: Called with each thing that was put right.
    """

    cumulative_text: bool = False
    skip_malformed: bool = False
    on_malformed: Callable[[DecodeError], None] | None = None
    on_repair: Callable[[Repair], None] | None = None

    @property
    def name(self) -> str:
        """``"openai-chat"``."""
        return _NAME

    @property
    def path(self) -> str:
        """Where chat requests go, below the base URL."""
        return "/chat/completions"

    def decoder(self) -> OpenAIChatDecoder:
        """A decoder for one stream."""
        return OpenAIChatDecoder(self)

    def payload(self, request: ChatRequest) -> dict[str, Any]:
        """The request, streamed and with usage; ``stream_options`` of the request's own are left as they are."""
        payload = request.to_wire()
        payload["stream"] = True
        if "stream_options" not in request.model_fields_set:
            payload["stream_options"] = {"include_usage": True}
        return payload


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
    _texts: dict[tuple[int, str], str] = field(default_factory=dict[tuple[int, str], str])
    # Made when there is an event that concerns them, as few are.
    _halves: SurrogateHalves | None = None
    # What was put right in events that gave no chunk: the next one has it.
    _pending: tuple[Repair, ...] = ()
    # How often the compiled decoder has refused, one chunk after the other.
    _refused: int = 0
    # Whether nothing waits, so that a chunk of text changes nothing here.
    _is_plain: bool = False

    def __post_init__(self) -> None:
        self._look_whether_plain()

    def decode(self, event: WireItem) -> Iterable[StreamChunk]:
        """Turn an event into chunks: see ``StreamDecoder.decode``."""
        self._position += 1
        if self._is_plain and type(event) is str:
            # Nearly all events: chunks that change nothing here.
            chunk = self._decode_strictly(event)
            if chunk is not None:
                choices = chunk.choices
                if len(choices) == 1 and not (only := choices[0]).finish_reason and only.index in self._begun:
                    if only.delta.tool_calls is not None:
                        self._choices.calls.add(only.index, only.delta.tool_calls)
                    return (chunk,)
                return self._accept(event, chunk)
        if self.done:
            return _NOTHING
        name, data = (event.event, event.data) if isinstance(event, ServerSentEvent) else ("message", event)
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

    def _take(self, data: str | bytes, chunk: StreamChunk) -> Iterable[StreamChunk]:
        """Take a chunk that was put right. Nearly all of them change nothing here, either."""
        choices = chunk.choices
        if (
            len(choices) == 1
            and not (only := choices[0]).finish_reason
            and only.index in self._begun
            and only.extra is None
            and (chunk.extra is None or _TELLING.isdisjoint(chunk.extra))
            and not (chunk.slots or self._pending or self._dialect.cumulative_text)
        ):
            if only.delta.tool_calls is not None:
                self._choices.calls.add(only.index, only.delta.tool_calls)
            return (chunk,)
        return self._accept(data, chunk)

    def _accept(self, data: str | bytes, chunk: StreamChunk) -> Iterable[StreamChunk]:
        """Take a chunk, all of whose fields are optional, so that it may still be none."""
        choices = chunk.choices
        if chunk.extra or not choices:
            extra = chunk.model_extra
            if is_error(extra):
                return self._fail(data, chunk)
            if not choices and not _is_chunk(data, chunk):
                return self._decode_no_chunk(data, chunk, extra)
            if chunk.usage is None and "x_groq" in extra:
                chunk = _with_usage(chunk, extra["x_groq"])
        return self._accept_choices(data, chunk)

    def _accept_choices(self, data: str | bytes, chunk: StreamChunk) -> Iterable[StreamChunk]:
        error: APIStreamError | None = None
        try:
            if len(chunk.choices) > 1:
                chunk = numbered(data, chunk)
            for choice in chunk.choices:
                if choice.extra:
                    chunk, error_of_choice = self._take_from_extras(chunk, choice)
                    error = error_of_choice or error
                if choice.index not in self._begun and _says_something(choice.delta):
                    self._begun[choice.index] = True
        except ValueError as problem:
            return self._refuse(data, "it is malformed", problem)
        for choice in chunk.choices:
            if choice.finish_reason and not models.is_reason(choice.finish_reason):
                chunk = self._without_reason(chunk, choice)
            self._choices.take(choice)
        if self._dialect.cumulative_text:
            chunk = chunk.model_copy(update={"choices": [self._keep_what_is_new(each) for each in chunk.choices]})
        chunk = self._with_repairs(chunk)
        return (chunk,) if error is None else ItemsThenError((chunk,), error)

    def _take_from_extras(self, chunk: StreamChunk, choice: StreamChoice) -> tuple[StreamChunk, APIStreamError | None]:
        """Read what some servers put into a choice: the usage, an error, or a whole message instead of a delta.

        Returns:
            The chunk with that in its place, and the error, if there is one.

        Raises:
            ValueError: The message is none.
        """
        extra = choice.model_extra
        if chunk.usage is None and "usage" in extra:
            chunk = _with_usage(chunk, extra)
        message = extra.get("message")
        if is_object(message) and choice.delta == Delta() and choice.index not in self._begun:
            delta = Delta.model_validate(message)
            self._report("message-as-delta", message, None)
            moved = choice.model_copy(update={"delta": delta, "message": None})
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

    def _decode_leniently(self, data: str | bytes) -> Iterable[StreamChunk]:
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
        return self._take(data, chunk)

    def _decode_other(self, name: str, data: str) -> Iterable[StreamChunk]:
        """Decode what is no object at first sight, or comes under a name of its own."""
        text = data.strip()
        if name == "error":
            raise error_from(_value_of(text), self._position)
        if not text or name in _KEEP_ALIVES:
            return self._decode_keep_alive(text)
        if text == _DONE:
            self.done = True
            self._is_plain = False
            return self._end(self._choices.nothing(self._position, _DONE))
        if text[0] == "{":
            return self._decode_leniently(text)
        if text[0] == ":":
            self._report("comment-as-data", exceptions.excerpt(text), None)
            return _NOTHING
        if field_names := _FIELD_NAMES.match(text):
            # All of them at once, so that this calls itself but once.
            inner = text[field_names.end() :]
            self._report("field-name-in-data", exceptions.excerpt(text), exceptions.excerpt(inner))
            return self._decode_other(name, inner)
        return self._refuse(text, "it is no JSON object")

    def _decode_keep_alive(self, text: str) -> Iterable[StreamChunk]:
        """Decode the data of an event that is named like a ping: nothing, unless something of an answer is in it."""
        try:
            chunk = StreamChunk.from_wire(text)
        except ValueError:
            return _NOTHING
        return self._accept(text, chunk) if chunk.choices or chunk.usage else _NOTHING

    def _decode_no_chunk(
        self, data: str | bytes, chunk: StreamChunk, extra: Mapping[str, Any]
    ) -> Iterable[StreamChunk]:
        """Decode an object that has nothing of a chunk: a ping, an error in words of its own, or neither."""
        kind = extra.get("type")
        if isinstance(kind, str) and kind in _KEEP_ALIVES:
            return _NOTHING
        if chunk.object == "error" or has_words_of_error(extra):
            return self._fail(data, None)
        return self._refuse(data, "it has nothing of a chunk")

    def _fail(self, data: str | bytes, chunk: StreamChunk | None) -> Iterable[StreamChunk]:
        if chunk is None or not (chunk.choices or chunk.usage):
            raise error_from(loads(data), self._position)
        return ItemsThenError((chunk,), error_from(loads(data), self._position))

    def _refuse(self, data: str | bytes, reason: str, cause: Exception | None = None) -> Iterable[StreamChunk]:
        if not self._dialect.skip_malformed:
            raise self._malformed(data, reason) from cause
        logger.warning("skipped event {} of a stream: {}", self._position, reason)
        if self._dialect.on_malformed is not None:
            self._dialect.on_malformed(self._malformed(data, reason))
        return _NOTHING

    def _malformed(self, data: str | bytes, reason: str) -> DecodeError:
        return self._error(f"event {self._position} is no chunk of {_NAME}, {reason}", _text_of(data))

    def _error(self, message: str, text: str) -> DecodeError:
        shown = f"{message}: {exceptions.excerpt(text)}"
        return DecodeError(shown, dialect=_NAME, position=self._position, text=text[: exceptions.EXCERPT_LENGTH])

    def _report(self, kind: str, before: object, after: object) -> None:
        repair = Repair(kind, self._position, before, after)
        if len(self.repairs) < models.MAX_REPAIRS:
            self.repairs.append(repair)
            self._pending = (*self._pending, repair)
            self._is_plain = False
        if self._dialect.on_repair is not None:
            self._dialect.on_repair(repair)

    def _keep_what_is_new(self, choice: StreamChoice) -> StreamChoice:
        """The choice without what earlier deltas of it had already, in each text."""
        new: dict[str, str] = {}
        for name in _TEXT_FIELDS:
            text: str | None = getattr(choice.delta, name)
            if not text:
                continue
            before = self._texts.get((choice.index, name), "")
            if not text.startswith(before):
                raise self._error(f"the {name} of event {self._position} does not go on from the one before", text)
            self._texts[choice.index, name] = text
            new[name] = text[len(before) :]
        return choice.model_copy(update={"delta": choice.delta.model_copy(update=new)}) if new else choice


def _is_chunk(data: str | bytes, chunk: StreamChunk) -> bool:
    """Whether an object without choices is a chunk nonetheless: of usage, of filter results, a placeholder."""
    if chunk.object == "error" or chunk.usage is not None:
        return chunk.object != "error"
    # Whether there are none, or they are not mentioned, the chunk does not tell.
    fields = loads(data)
    has_fields = any(name in fields for name in _CHUNK_FIELDS)
    return "choices" in fields or (has_fields and not has_words_of_error(chunk.model_extra))


def _says_something(delta: Delta) -> bool:
    """Whether a delta has text or calls."""
    return any(getattr(delta, name) for name in _SAYING)


def _with_usage(chunk: StreamChunk, fields: Any) -> StreamChunk:
    """The chunk with the usage that stands in an object within it, if it does."""
    if not isinstance(fields, dict) or not cast("dict[str, Any]", fields).get("usage"):
        return chunk
    usage: Usage | None = StreamChunk.from_wire({"usage": fields["usage"]}).usage
    return chunk.model_copy(update={"usage": usage})


def _text_of(data: str | bytes) -> str:
    return data if isinstance(data, str) else data.decode(errors="replace")


def _value_of(text: str) -> Any:
    try:
        return loads(text)
    except ValueError:
        return text
