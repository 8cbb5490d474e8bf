"""The lines of Ollama's API.

Rules:

1. A line is a JSON object. The compiled decoder takes what nearly all of them are, a piece of the text or of the
   thinking; everything else is read in full.
2. Each line gives at least one chunk, and the first one has the line as its event. What is not known gives a chunk that
   says nothing else.
3. An answer is whole with a line that is ``done``, and not before. What follows is ignored, unless it is an error.
4. An error is a line with ``error``, whatever came before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rxllm.dialects._dialect import WireItem
from rxllm.dialects._foreign import OLLAMA, protocol_of, protocol_of_body
from rxllm.dialects._large_event import reading_large
from rxllm.dialects._misfit import Misfit
from rxllm.dialects._named import read_in_full
from rxllm.dialects._stream_error import error_from, has_words_of_error, is_error, is_failure
from rxllm.dialects._whole_body import tell_of_body, value_of_body
from rxllm.dialects.ollama._ollama_answer import OllamaAnswer
from rxllm.dialects.ollama._ollama_errors import NAME
from rxllm.exceptions import EmptyStreamError, LimitExceededError, TruncatedStreamError
from rxllm.harmless import EXCERPT_LENGTH
from rxllm.models import (
    Delta,
    StreamChoice,
    StreamChunk,
    is_list,
    is_object,
    make,
    put_event,
)
from rxllm.wire import LARGE_JSON

_NOTHING: tuple[StreamChunk, ...] = ()
_MISFIT = Misfit(NAME, OLLAMA, "ask the server's address for chats (…/api/chat)", "line")
_DONE = "[DONE]"
_REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)


class _Said(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    content: str = ""
    thinking: str = ""
    role: str = ""


class _Line(msgspec.Struct, gc=False):
    """A line that nothing is told in but more of a text. What else a line may have is in its event."""

    message: _Said
    done: bool = False
    error: None = None
    logprobs: None = None


_decode = msgspec.json.Decoder(_Line).decode


@dataclass(slots=True, eq=False)
class OllamaDecoder:
    """The decoder of one stream of Ollama's API.

    Attributes:
        done: Whether the answer came as a whole, and was not a stream. No line says that nothing follows.
    """

    done: bool = False
    _position: int = -1
    _answer: OllamaAnswer = field(default_factory=OllamaAnswer)
    # Before an answer begins: the first object that is nothing known, with its place.
    _doubtful: tuple[int, str] | None = None

    def decode(self, event: WireItem) -> Iterable[StreamChunk]:
        """Turn a line into chunks: see ``StreamDecoder.decode``."""
        self._position += 1
        answer = self._answer
        if type(event) is str and len(event) <= LARGE_JSON and answer.part is not None:
            try:
                line = _decode(event)
            except _REFUSED:
                pass
            else:
                # Nearly all lines: more of the part that is open.
                said = line.message
                content, thinking = said.content, said.thinking
                delta: Delta | None = None
                if line.done:
                    pass
                elif answer.speaks == "text":
                    if content and not thinking:
                        delta = make(Delta, content=content, part=answer.part)
                elif thinking and not content:
                    content = thinking
                    delta = make(Delta, reasoning_content=thinking, part=answer.part)
                if delta is not None:
                    answer.pieces.append(content)
                    answer.kept.add(len(content))
                    choice = make(StreamChoice, delta=delta)
                    return (
                        make(
                            StreamChunk,
                            created=answer.created,
                            model=answer.model,
                            choices=(choice,),
                            event_text=event,
                        ),
                    )
        return self._decode_in_full(event)

    def _decode_in_full(self, event: WireItem) -> Iterable[StreamChunk]:
        return read_in_full(event, f"line {self._position}", self._decode_text)

    def _decode_text(self, name: str, text: str) -> Iterable[StreamChunk]:
        said = text.strip()
        if not said or said == _DONE:
            return _NOTHING
        chunks = self._decode_object(name, _MISFIT.object_in(text, self._position, name), text)
        put_event(chunks[0], text)
        return chunks

    def _decode_object(self, name: str, fields: Mapping[str, Any], text: str) -> list[StreamChunk]:
        answer = self._answer
        protocol = None if answer.has_begun else protocol_of(name, fields)
        if protocol not in {None, OLLAMA}:
            raise _MISFIT.of_another(self._position, protocol, text)
        if is_error(fields):
            raise error_from(fields, self._position, name)
        if is_object(fields.get("message")) or isinstance(fields.get("done"), bool):
            try:
                return answer.take(fields)
            except LimitExceededError:
                raise
            except (ValueError, TypeError) as problem:
                raise _MISFIT.malformed(self._position, text, "it is malformed") from problem
        if is_failure(name, fields) or has_words_of_error(name, fields):
            raise error_from(fields, self._position, name)
        if not answer.has_begun and self._doubtful is None:
            self._doubtful = self._position, text[:EXCERPT_LENGTH]
        return [answer.chunk()]

    @property
    def finished(self) -> bool:
        """Whether the answer is whole: see ``StreamDecoder.finished``."""
        return self._answer.is_done

    def close(self) -> Iterable[StreamChunk]:
        """Take note that the transport ended in good order: see ``StreamDecoder.close``."""
        if self.done or self._answer.is_done:
            return _NOTHING
        lines = self._position + 1
        began = f"the stream ended after {lines} lines without one that is done, and"
        if not self._answer.has_begun:
            if self._doubtful is not None:
                self._position, text = self._doubtful
                raise _MISFIT.malformed(self._position, text, "it has nothing of an answer")
            raise EmptyStreamError(f"{began} no answer had begun")
        raise TruncatedStreamError(f"{began} the answer had begun", unfinished=(0,), events=lines)

    def decode_body(self, body: str) -> Iterable[StreamChunk]:
        """Read an answer that came as a whole: see ``BodyDecoder``."""
        self._position = 0
        with reading_large(body, "the body"):
            value = value_of_body(body)
            lines = value if is_list(value) else [value]
            last = lines[-1] if lines else None
            if not is_object(last) or last.get("done") is not True or protocol_of("message", last) != OLLAMA:
                self._refuse_body(body)
                return _NOTHING
            chunks = [chunk for line in lines for chunk in self._decode_object("message", _object(line), body)]
        tell_of_body(chunks, body)
        self.done = True
        return chunks

    def _refuse_body(self, body: str) -> None:
        """Say which protocol a body is of, if it is of one."""
        protocol = protocol_of_body(body)
        if protocol == OLLAMA:
            said = f"the body is of {OLLAMA} and no whole answer: framing='ndjson' reads its lines"
            raise _MISFIT.error(self._position, said, body)
        if protocol is not None:
            raise _MISFIT.of_another(self._position, protocol, body)


def _object(value: object) -> Mapping[str, Any]:
    return value if is_object(value) else {}
