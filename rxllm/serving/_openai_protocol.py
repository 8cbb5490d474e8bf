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
from typing import Any
from uuid import uuid4

from rxllm.accumulators import StreamAccumulator
from rxllm.exceptions import RxllmError
from rxllm.models import CompletionChoice, Restarted, RoundCompleted, StreamChunk, is_chat_event, is_object
from rxllm.serving._event_stream import encode, frame
from rxllm.serving._openai_answer import OpenAIAnswer, Piece, unplaced
from rxllm.serving._protocol import Asked, FrameWriter, ServedEnd, WholeWriter
from rxllm.serving._public_error import PublicError, public_error

_DONE = frame(b"[DONE]")
_LONGEST_NAME = 1000
_LAST_SECOND = 2**53
_OURS = {"parts", "origin", "is_error"}
_TYPES = {429: "rate_limit_error", 404: "invalid_request_error", 400: "invalid_request_error"}


@dataclass(frozen=True)
class OpenAIChat:
    """The protocol ``openai-chat``.

    Attributes:
        model: The name of the model for clients; by default the provider's name for it, or else the name in the
            request.
        include_usage: Whether the last chunk has the usage; by default if the body of the request asks for it.
    """

    model: str | None = None
    include_usage: bool | None = None

    @property
    def name(self) -> str:
        """``"openai-chat"``."""
        return "openai-chat"

    @property
    def headers(self) -> Mapping[str, str]:
        """No headers besides those of every event stream."""
        return {}

    @property
    def resumes(self) -> bool:
        """False: the SDKs do not come back."""
        return False

    def writer(self, asked: Asked, /) -> FrameWriter:
        """A writer for one answer."""
        options = asked.body.get("stream_options")
        asks = is_object(options) and options.get("include_usage") is True
        includes = asks if self.include_usage is None else self.include_usage
        return OpenAIChatWriter(_Head(self.model, asked), includes_usage=includes)

    def whole(self, asked: Asked, /) -> WholeWriter | None:
        """A writer of one object, for a client that does not ask for a stream."""
        if not asked.body or asked.body.get("stream") is True:
            return None
        return OpenAICompletionWriter(_Head(self.model, asked))

    def refusal(self, error: PublicError, /) -> bytes:
        """The body of an answer whose status is not 200."""
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
        created = 0.0
        if first is not None:
            told, created = first.id, first.created or 0.0
            model = first.model or (first.stream and first.stream.model)
        return {
            "id": told or f"chatcmpl-{uuid4().hex}",
            "object": kind,
            "created": int(created if 0 < created < _LAST_SECOND else time.time()),
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
        # What stands beside the choices of the last chunk.
        self._more: Mapping[str, Any] = {}
        self._written = b""

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
            if piece.more is not self._more:
                self._more = piece.more
                self._written = b"," + encode(piece.more)[1:-1] if piece.more else b""
            told += frame(b'%b%b,"choices":%b}' % (self._start, self._written, encode(piece.choices)))
        return told


class OpenAICompletionWriter:
    """Writes one answer as one object."""

    def __init__(self, head: _Head) -> None:
        self._head = head
        # The events of a round that is not whole yet.
        self._round: list[object] = []
        self._begin_anew()

    def add(self, items: Sequence[Any], /) -> None:
        """Take items. Nothing was told, so an answer may begin anew."""
        for item in items:
            inner, restarts = unplaced(item)
            if restarts or (isinstance(inner, StreamChunk) and inner.restarts):
                self._begin_anew()
            if not is_chat_event(inner):
                self._fold(self._answer.add(inner))
            elif isinstance(inner, Restarted):
                self._round.clear()
            else:
                self._round.append(inner)
                if isinstance(inner, RoundCompleted):
                    self._fold_round()

    def end(self, end: ServedEnd, /) -> bytes:
        """The object."""
        self._fold_round()
        answer = self._answer
        self._fold(answer.end(stopped=end.kind == "stopped"))
        completion = self._accumulator.completion(ended=True)
        told = self._head.fields("chat.completion", answer.first)
        fields = completion.model_dump(mode="json", exclude_none=True, exclude={*told, "choices", "complete", "ending"})
        if (usage := answer.usage) is not None:
            fields["usage"] = usage.model_dump(mode="json", exclude_none=True)
        return encode({**told, **fields, "choices": [*map(_whole_choice, completion.choices)]})

    def _begin_anew(self) -> None:
        self._answer, self._accumulator = OpenAIAnswer(), StreamAccumulator()
        self._round.clear()

    def _fold_round(self) -> None:
        for event in self._round:
            self._fold(self._answer.add(event))
        self._round.clear()

    def _fold(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            self._accumulator.add(StreamChunk.model_validate({**piece.more, "choices": piece.choices}))


def _whole_choice(choice: CompletionChoice) -> dict[str, Any]:
    message = choice.message.model_dump(mode="json", exclude=_OURS, exclude_none=True)
    if not message["tool_calls"]:
        del message["tool_calls"]
    for call in message.get("tool_calls", ()):
        if "custom" in call:
            del call["function"]
    rest = choice.model_dump(mode="json", exclude={"message", "incomplete_tool_calls"})
    return {**rest, "message": {"content": None, "refusal": None, **message}}


def _error_frame(error: PublicError) -> bytes:
    return frame(encode({"error": _error(error)}))


def _error(error: PublicError) -> dict[str, Any]:
    kind = _TYPES.get(error.status, "server_error")
    return {"message": error.message, "type": kind, "param": None, "code": error.code}
