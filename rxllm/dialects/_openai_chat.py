"""OpenAI's chat completions, and what is compatible with them.

Rules:

1. An event is one JSON object. The compiled validator gets its text as it is; nothing else is looked at before
   that but the first character. Only what is no chunk, or says that it is an error, is looked at twice.
2. ``[DONE]`` ends the stream. Whatever follows is ignored.
3. A stream that ends without it is whole if every choice that was seen has a ``finish_reason``, and at least one
   was seen. Otherwise it is truncated.
4. An error together with choices, or in one of them, is both: first the chunk, then the error.
5. Events that carry nothing (empty data, pings, comments that a proxy turned into data) give no chunk.
6. A whole message in the place of a delta is one, unless deltas of the choice said it already: then it is an extra.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import Any, cast

from loguru import logger

from rxllm.dialects._base import WireItem
from rxllm.dialects._stream_error import error_from, has_words_of_error, is_error
from rxllm.dialects._surrogates import SurrogateHalves
from rxllm.dialects._template import REVIEW, Templates
from rxllm.exceptions import (
    EXCERPT_LENGTH,
    APIStreamError,
    DecodeError,
    LimitExceededError,
    TruncatedStreamError,
    excerpt,
)
from rxllm.models import ChatRequest, Delta, Repair, StreamChoice, StreamChunk, Usage
from rxllm.models._json import loads
from rxllm.wire._event import ServerSentEvent

__all__ = ["OpenAIChat"]

_NAME = "openai-chat"
_DONE = "[DONE]"
_KEEP_ALIVES = frozenset({"ping", "keepalive", "keep-alive", "heartbeat"})
_OBJECT_START = ("{", b"{")
_TELLING = frozenset({"error", "type"})
_TELLING_FIELDS = frozenset({*_TELLING, "x_groq", "usage", "message"})
_CHUNK_FIELDS = frozenset({"id", "object", "created", "model", "service_tier", "system_fingerprint"})
_NO_FIELDS: Mapping[str, Any] = MappingProxyType({})
_TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")
_NOTHING: tuple[StreamChunk, ...] = ()
_MAX_REPAIRS = 1000
_FIELD_NAMES = re.compile(r"(?:data:\s*+)++")

_validate = StreamChunk.__pydantic_validator__.validate_json


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


class OpenAIChatDecoder:
    """The decoder of one stream of chat completion chunks.

    Attributes:
        done: Whether ``[DONE]`` has come.
        repairs: What was put right in the framing, the first thousand.
    """

    __slots__ = (
        "_begun",
        "_dialect",
        "_finished",
        "_halves",
        "_position",
        "_seen",
        "_templates",
        "_texts",
        "done",
        "repairs",
    )

    def __init__(self, dialect: OpenAIChat) -> None:
        self.done = False
        self.repairs: list[Repair] = []
        self._dialect = dialect
        self._position = -1
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        # The choices that a delta of the server's own has said something of.
        self._begun: set[int] = set()
        self._texts: dict[tuple[int, str], str] = {}
        self._halves = SurrogateHalves()
        self._templates = Templates()

    def decode(self, event: WireItem) -> Iterable[StreamChunk]:
        """Turn an event into chunks: see ``StreamDecoder.decode``."""
        if self.done:
            return _NOTHING
        self._position += 1
        name = "message"
        data: str | bytes
        if isinstance(event, ServerSentEvent):
            data, name, _, _ = event
        else:
            data = event
        # Nearly all chunks of an answer: the sooner it is tried, the less they cost.
        if name == "message" and not self._halves.waiting and isinstance(data, str):
            chunk = self._templates.fill(data)
            if chunk is not None:
                if not self._position % REVIEW:
                    self._templates.review(self._position)
                return (chunk,)
        return self._decode_in_full(name, data)

    def _decode_in_full(self, name: str, data: str | bytes) -> Iterable[StreamChunk]:
        # The first character tells a chunk from nearly all that is none: whatever is rare comes after.
        if name != "message" or data[:1] not in _OBJECT_START:
            return self._decode_other(name, data if isinstance(data, str) else data.decode(errors="replace"))
        if self._halves.waiting:
            return self._decode_leniently(data)
        try:
            chunk = _validate(data)
        except ValueError:
            return self._decode_leniently(data)
        if self._says_only_text(chunk):
            if self._position >= self._templates.begin and isinstance(data, str):
                self._templates.learn(data, self._position, _validate)
            return (chunk,)
        return self._accept(data, chunk)

    def close(self) -> None:
        """Take note that the transport ended in good order: see ``StreamDecoder.close``."""
        if self.done or (self._seen and self._seen == self._finished):
            return
        unfinished = tuple(sorted(self._seen - self._finished))
        reason = f"choices {unfinished} had no finish_reason" if unfinished else "no choice had begun"
        raise TruncatedStreamError(
            f"the stream ended after {self._position + 1} events without {_DONE}, and {reason}",
            unfinished=unfinished,
            events=self._position + 1,
        )

    def _accept(self, data: str | bytes, chunk: StreamChunk) -> Iterable[StreamChunk]:
        """Take a chunk that the validator took: all of its fields are optional, so it may still be none."""
        choices = chunk.choices
        if chunk.__pydantic_extra__ or not choices:
            extra = chunk.__pydantic_extra__ or _NO_FIELDS
            if not _TELLING.isdisjoint(extra) and is_error(extra):
                return self._fail(data, chunk)
            if not choices and not _is_chunk(chunk, extra):
                return self._decode_no_chunk(data, chunk, extra)
            if chunk.usage is None and "x_groq" in extra:
                chunk.usage = _usage_in(extra["x_groq"])
        return self._accept_choices(data, chunk, choices)

    def _says_only_text(self, chunk: StreamChunk) -> bool:
        """Whether taking a chunk like this, whatever its text, changes nothing here: nearly always.

        To see that takes 0.3 µs. What is asked of other chunks takes 0.4 more.
        """
        choices = chunk.choices
        if len(choices) != 1 or self._dialect.cumulative_text:
            return False
        choice = choices[0]
        if choice.finish_reason or choice.index not in self._begun or choice.index not in self._seen:
            return False
        extra, of_choice = chunk.__pydantic_extra__, choice.__pydantic_extra__
        return not (extra or of_choice) or (
            _TELLING_FIELDS.isdisjoint(extra or _NO_FIELDS) and _TELLING_FIELDS.isdisjoint(of_choice or _NO_FIELDS)
        )

    def _accept_choices(
        self, data: str | bytes, chunk: StreamChunk, choices: Sequence[StreamChoice]
    ) -> Iterable[StreamChunk]:
        if len(choices) > 1:
            _number(choices)
        error: APIStreamError | None = None
        try:
            for choice in choices:
                if choice.index not in self._begun and _says_something(choice.delta):
                    self._begun.add(choice.index)
                if choice.__pydantic_extra__:
                    error = self._take_from_extras(chunk, choice, choice.__pydantic_extra__) or error
        except ValueError as problem:
            return self._refuse(data, "it is malformed", problem)
        for choice in choices:
            self._seen.add(choice.index)
            if choice.finish_reason:
                self._finished.add(choice.index)
            if self._dialect.cumulative_text:
                self._keep_what_is_new(choice)
        return (chunk,) if error is None else _then_raise(chunk, error)

    def _take_from_extras(
        self, chunk: StreamChunk, choice: StreamChoice, extra: dict[str, Any]
    ) -> APIStreamError | None:
        """Read what some servers put into a choice: the usage, an error, or a whole message instead of a delta.

        Returns:
            The error, if there is one.

        Raises:
            ValueError: The message is none.
        """
        if chunk.usage is None and "usage" in extra:
            chunk.usage = _usage_in(extra)
        if (
            isinstance(extra.get("message"), dict)
            and "delta" not in choice.model_fields_set
            and choice.index not in self._begun
        ):
            whole = StreamChunk.from_wire({"choices": [{"delta": extra["message"]}]})
            del extra["message"]
            choice.delta = whole.choices[0].delta
        return error_from({"error": extra["error"]}, self._position) if extra.get("error") else None

    def _decode_leniently(self, data: str | bytes) -> Iterable[StreamChunk]:
        text = data if isinstance(data, str) else data.decode(errors="replace")
        try:
            chunk = StreamChunk.from_wire(self._halves.loads(text) if self._halves.concern(text) else data)
        except LimitExceededError:
            raise
        except ValueError as error:
            return self._refuse(data, "it is malformed", error)
        return self._accept(data, chunk)

    def _decode_other(self, name: str, data: str) -> Iterable[StreamChunk]:
        """Decode what is no object at first sight, or comes under a name of its own."""
        text = data.strip()
        if name == "error":
            raise error_from(_value_of(text), self._position)
        if not text or name in _KEEP_ALIVES:
            return self._decode_keep_alive(text)
        if text == _DONE:
            self.done = True
            return _NOTHING
        if text[0] == "{":
            return self._decode_leniently(text)
        if text[0] == ":":
            self._report("comment-as-data", text, None)
            return _NOTHING
        if field_names := _FIELD_NAMES.match(text):
            # All of them at once, so that this calls itself but once.
            inner = text[field_names.end() :]
            self._report("field-name-in-data", text, inner)
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
        return _then_raise(chunk, error_from(loads(data), self._position))

    def _refuse(self, data: str | bytes, reason: str, cause: Exception | None = None) -> Iterable[StreamChunk]:
        if not self._dialect.skip_malformed:
            raise self._malformed(data, reason) from cause
        logger.warning("skipped event {} of a stream: {}", self._position, reason)
        if self._dialect.on_malformed is not None:
            self._dialect.on_malformed(self._malformed(data, reason))
        return _NOTHING

    def _malformed(self, data: str | bytes, reason: str) -> DecodeError:
        text = data if isinstance(data, str) else data.decode(errors="replace")
        return DecodeError(
            f"event {self._position} is no chunk of {_NAME}, {reason}: {excerpt(text)}",
            dialect=_NAME,
            position=self._position,
            text=text[:EXCERPT_LENGTH],
        )

    def _report(self, kind: str, before: str, after: str | None) -> None:
        repair = Repair(kind, self._position, excerpt(before), None if after is None else excerpt(after))
        if len(self.repairs) < _MAX_REPAIRS:
            self.repairs.append(repair)
        if self._dialect.on_repair is not None:
            self._dialect.on_repair(repair)

    def _keep_what_is_new(self, choice: StreamChoice) -> None:
        """Cut from each text of a delta what earlier deltas of the choice had already."""
        for name in _TEXT_FIELDS:
            text: str | None = getattr(choice.delta, name)
            if not text:
                continue
            before = self._texts.get((choice.index, name), "")
            if not text.startswith(before):
                raise DecodeError(
                    f"the {name} of event {self._position} does not go on from the one before: {excerpt(text)}",
                    dialect=_NAME,
                    position=self._position,
                    text=text[:EXCERPT_LENGTH],
                )
            self._texts[choice.index, name] = text
            setattr(choice.delta, name, text[len(before) :])


def _is_chunk(chunk: StreamChunk, extra: Mapping[str, Any]) -> bool:
    """Whether an object without choices is a chunk nonetheless: of usage, of filter results, a placeholder."""
    if "choices" in chunk.model_fields_set or chunk.usage is not None:
        return chunk.object != "error"
    if chunk.object == "error" or has_words_of_error(extra):
        return False
    return not _CHUNK_FIELDS.isdisjoint(chunk.model_fields_set)


def _number(choices: Sequence[StreamChoice]) -> None:
    """Give choices without an index the one of their place, or the first that is free if another choice has that."""
    taken = {choice.index for choice in choices if "index" in choice.model_fields_set}
    free = (index for index in count() if index not in taken)
    for place, choice in enumerate(choices):
        if "index" not in choice.model_fields_set:
            choice.index = next(free) if place in taken else place
            taken.add(choice.index)


def _says_something(delta: Delta) -> bool:
    """Whether a delta has text or calls."""
    return bool(
        delta.content
        or delta.tool_calls
        or delta.reasoning_content
        or delta.reasoning
        or delta.refusal
        or delta.function_call
    )


def _usage_in(fields: Any) -> Usage | None:
    if not isinstance(fields, dict) or not cast("dict[str, Any]", fields).get("usage"):
        return None
    return StreamChunk.from_wire({"usage": fields["usage"]}).usage


def _value_of(text: str) -> Any:
    try:
        return loads(text)
    except ValueError:
        return text


def _then_raise(chunk: StreamChunk, error: APIStreamError) -> Iterator[StreamChunk]:
    yield chunk
    try:
        raise error
    finally:
        del error  # which keeps this frame in its traceback
