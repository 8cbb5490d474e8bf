"""``openai-chat``: what OpenAI's chat completions are over HTTP, so that any SDK of OpenAI is a client.

Rules:

1. All chunks have one ``id``, ``created`` and ``model``. Usage is in the last chunk, alone, and only for who asked.
2. ``data: [DONE]`` ends an answer that is whole or was stopped. An error is a frame in its place; the SDKs raise it.
3. There is no ``id:`` and no empty block: OpenAI's own SDK takes those for events.
4. Who asks for no stream gets one object.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard
from uuid import uuid4

from rxllm.accumulators import StreamAccumulator
from rxllm.exceptions import RxllmError
from rxllm.models import CompletionChoice, Restarted, RoundCompleted, StreamChunk, is_object
from rxllm.serving._event_stream import encode, frame
from rxllm.serving._openai_answer import OpenAIAnswer, Piece
from rxllm.serving._protocol import Asked, FrameWriter, ServedEnd, WholeWriter
from rxllm.serving._public_error import PublicError, public_error
from rxllm.sources import LogItem

_DONE = frame(b"[DONE]")
_LONGEST_NAME = 1000
_OURS = {"parts", "origin", "is_error"}
_TYPES = {429: "rate_limit_error", 404: "invalid_request_error", 400: "invalid_request_error"}


@dataclass(frozen=True)
class OpenAIChat:
    """The protocol ``openai-chat``.

    Attributes:
        model: What the model is called for clients; by default as the provider calls it, else as the client did.
        include_usage: Whether the last chunk tells the usage; by default if the body of the request asks for it.
    """

    model: str | None = None
    include_usage: bool | None = None

    @property
    def name(self) -> str:
        """``"openai-chat"``."""
        return "openai-chat"

    @property
    def headers(self) -> Mapping[str, str]:
        """None but those of every event stream."""
        return {}

    @property
    def resumes(self) -> bool:
        """No: the SDKs do not come back."""
        return False

    def writer(self, asked: Asked, /) -> FrameWriter:
        """A writer for one answer."""
        options = asked.body.get("stream_options")
        asks = is_object(options) and options.get("include_usage") is True
        includes = asks if self.include_usage is None else self.include_usage
        return OpenAIChatWriter(_Head(self.model, asked), includes_usage=includes)

    def whole(self, asked: Asked, /) -> WholeWriter | None:
        """A writer of one object, for a client that asks, but not for a stream."""
        if not asked.body or asked.body.get("stream") is True:
            return None
        return OpenAICompletionWriter(_Head(self.model, asked))

    def refusal(self, error: PublicError, /) -> bytes:
        """The body of an answer with another status than 200."""
        return encode({"error": _error(error)})


class _Head:
    """What all chunks of one answer have.

    Args:
        model: What the model is called, if that was said.
        asked: What the client asked for.
    """

    def __init__(self, model: str | None, asked: Asked) -> None:
        self._model = model
        self._asked = asked

    def fields(self, kind: str, first: StreamChunk | None) -> dict[str, Any]:
        """The fields.

        Args:
            kind: The kind of object.
            first: The first chunk, if chunks came.
        """
        told = model = None
        created: float | None = None
        if first is not None:
            told, created = first.id, first.created
            model = first.model or (first.stream and first.stream.model)
        return {
            "id": told or f"chatcmpl-{uuid4().hex}",
            "object": kind,
            "created": int(created or time.time()),
            "model": self._model or model or self._asked_model,
        }

    @property
    def _asked_model(self) -> str:
        model = self._asked.body.get("model")
        return model[:_LONGEST_NAME] if isinstance(model, str) else "unknown"


class OpenAIChatWriter:
    """Writes one answer as a stream.

    Attributes:
        over: Whether the end is told.
    """

    def __init__(self, head: _Head, *, includes_usage: bool) -> None:
        self.over: bool = False
        self._answer = OpenAIAnswer()
        self._head = head
        self._includes_usage = includes_usage
        self._start = b""

    def begin(self) -> bytes:
        """Nothing: the first piece of the answer is the first frame."""
        return b""

    def write(self, items: Sequence[Any], /) -> bytes:
        """A frame for each item that says something."""
        return b"".join([self._frames(self._answer.add(item)) for item in items])

    def end(self, end: ServedEnd, /) -> bytes:
        """Why the choices ended, the usage and ``[DONE]``; or the error."""
        self.over = True
        if end.error is not None:
            return _error_frame(end.error)
        told = b""
        try:
            for piece in self._answer.end(stopped=end.kind == "stopped"):
                told += self._frames([piece])
        except RxllmError as error:
            return told + _error_frame(public_error(error))
        usage = self._answer.usage
        if self._includes_usage and usage is not None:
            told += self._frames([Piece([], {"usage": usage.model_dump(mode="json", exclude_none=True)})])
        return told + _DONE

    def _frames(self, pieces: Iterable[Piece]) -> bytes:
        told = b""
        for piece in pieces:
            if not self._start:
                head = self._head.fields("chat.completion.chunk", self._answer.first)
                self._start = encode(head)[:-1]
            more = b"," + encode(piece.more)[1:-1] if piece.more else b""
            told += frame(b'%b%b,"choices":%b}' % (self._start, more, encode(piece.choices)))
        return told


class OpenAICompletionWriter:
    """Writes one answer as one object."""

    def __init__(self, head: _Head) -> None:
        self._head = head
        self._items: list[object] = []
        self._begin = 0

    def add(self, items: Sequence[Any], /) -> None:
        """Take items. Nothing was told, so an answer may begin anew."""
        for item in items:
            if _is_anew(item):
                self._items.clear()
                self._begin = 0
            inner = item.item if isinstance(item, LogItem) else item
            if isinstance(inner, Restarted):
                del self._items[self._begin :]
                continue
            self._items.append(inner)
            if isinstance(inner, RoundCompleted):
                self._begin = len(self._items)

    def end(self, end: ServedEnd, /) -> bytes:
        """The object."""
        answer, accumulator = OpenAIAnswer(), StreamAccumulator()
        for item in self._items:
            _add_to(accumulator, answer.add(item))
        _add_to(accumulator, answer.end(stopped=end.kind == "stopped"))
        completion = accumulator.completion(ended=True)
        told = self._head.fields("chat.completion", answer.first)
        fields = completion.model_dump(mode="json", exclude_none=True, exclude={*told, "choices", "complete", "ending"})
        if (usage := answer.usage) is not None:
            fields["usage"] = usage.model_dump(mode="json", exclude_none=True)
        return encode({**told, **fields, "choices": [*map(_whole_choice, completion.choices)]})


def _whole_choice(choice: CompletionChoice) -> dict[str, Any]:
    message = choice.message.model_dump(mode="json", exclude=_OURS, exclude_none=True)
    if not message["tool_calls"]:
        del message["tool_calls"]
    for call in message.get("tool_calls", ()):
        if "custom" in call:
            del call["function"]
    rest = choice.model_dump(mode="json", exclude={"message", "incomplete_tool_calls"})
    return {**rest, "message": {"content": None, "refusal": None, **message}}


def _is_anew(item: object) -> TypeGuard[StreamChunk | LogItem[Any]]:
    if isinstance(item, LogItem) and item.restarts:
        return True
    inner = item.item if isinstance(item, LogItem) else item
    return isinstance(inner, StreamChunk) and inner.restarts


def _add_to(accumulator: StreamAccumulator, pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        accumulator.add(StreamChunk.model_validate({**piece.more, "choices": piece.choices}))


def _error_frame(error: PublicError) -> bytes:
    return frame(encode({"error": _error(error)}))


def _error(error: PublicError) -> dict[str, Any]:
    kind = _TYPES.get(error.status, "server_error")
    return {"message": error.message, "type": kind, "param": None, "code": error.code}
