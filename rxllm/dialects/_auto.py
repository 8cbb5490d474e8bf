"""The dialect of a stream, told by its first events.

Rules:

1. Events that are part of no answer wait: pings, comments, what a gateway has put in. The first other one decides, and
   the decoder of its dialect gets all of them.
2. What is of no dialect that is known here, an error in the place of an answer or no JSON at all, goes to the decoder
   of OpenAI's chat completions, which says what it is. So it is said at once.
3. What waits is bounded: so many events, and none that is large.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from rxllm.dialects._dialect import BodyDecoder, Reader, StreamDecoder, WireItem
from rxllm.dialects._foreign import (
    CHAT,
    COHERE,
    CONVERSE,
    GEMINI,
    MESSAGES,
    OLLAMA,
    RESPONSES,
    protocol_of,
    protocol_of_body,
)
from rxllm.dialects._large_event import reading_large
from rxllm.dialects._named import named
from rxllm.dialects._stream_error import has_words_of_error, is_failure, is_name_of_error
from rxllm.dialects.openai_chat._no_chunk import KEEP_ALIVES, is_idle
from rxllm.models import StreamChunk, is_object, loads
from rxllm.wire import LARGE_JSON

_NAMES = {
    CHAT: "openai-chat",
    MESSAGES: "anthropic",
    RESPONSES: "openai-responses",
    GEMINI: "gemini",
    CONVERSE: "bedrock-converse",
    COHERE: "cohere",
    OLLAMA: "ollama",
}
_USUAL = "openai-chat"
_MOST_WAITING = 256
_DONE = "[DONE]"


@dataclass(slots=True, eq=False)
class AnyDecoder:
    """A decoder that finds out which dialect it reads.

    Args:
        readers: The dialects by name.

    Attributes:
        dialect: The name of the one that it is; ``"auto"`` until that is known.
    """

    readers: Mapping[str, Reader]
    dialect: str = "auto"
    _decoder: StreamDecoder | None = None
    _waiting: list[WireItem] = field(default_factory=list[WireItem])

    @property
    def done(self) -> bool:
        """Whether the stream has said that it is over."""
        return self._decoder is not None and self._decoder.done

    @property
    def finished(self) -> bool:
        """Whether the answer is whole."""
        return self._decoder is not None and self._decoder.finished

    def decode(self, event: WireItem) -> Iterable[StreamChunk]:
        """Turn an event into chunks: see ``StreamDecoder.decode``."""
        if self._decoder is not None:
            return self._decoder.decode(event)
        self._waiting.append(event)
        found = _dialect_of(event, len(self._waiting) - 1)
        if not found and len(self._waiting) < _MOST_WAITING:
            return ()
        return self._decode_waiting(self._choose(found or _USUAL))

    def close(self) -> Iterator[StreamChunk]:
        """Take note of the end: see ``StreamDecoder.close``."""
        decoder = self._choose(_USUAL) if self._decoder is None else self._decoder
        yield from self._decode_waiting(decoder)
        yield from decoder.close()

    def decode_body(self, body: str) -> Iterable[StreamChunk]:
        """Read an answer that came as a whole: see ``BodyDecoder``."""
        with reading_large(body, "the body"):
            name = _NAMES.get(protocol_of_body(body) or "", _USUAL)
        decoder = self._choose(name)
        return decoder.decode_body(body) if isinstance(decoder, BodyDecoder) else ()

    def _choose(self, name: str) -> StreamDecoder:
        self.dialect = name if name in self.readers else _USUAL
        self._decoder = self.readers[self.dialect].decoder()
        return self._decoder

    def _decode_waiting(self, decoder: StreamDecoder) -> Iterator[StreamChunk]:
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            yield from decoder.decode(event)


def _dialect_of(event: WireItem, position: int) -> str:
    """The name of the dialect that an event is of; ``""`` if it is part of no answer, so that it tells nothing."""
    name, data = named(event)
    fields = _object_in(data, position)
    if fields is None:
        return "" if _is_idle(name, data) else _USUAL
    protocol = protocol_of(name, fields)
    if protocol is not None:
        return _NAMES.get(protocol, _USUAL)
    tells = len(data) > LARGE_JSON or is_failure(name, fields) or has_words_of_error(name, fields)
    return _USUAL if tells else ""


def _object_in(data: str | bytes, position: int) -> Mapping[str, Any] | None:
    """The JSON object that an event has for data; ``None`` if it has something else, or too much."""
    is_large = len(data) > LARGE_JSON
    try:
        with reading_large(data, f"event {position}") if is_large else nullcontext():
            fields = loads(data)
    except ValueError:
        return None
    return fields if is_object(fields) else None


def _is_idle(name: str, data: str | bytes) -> bool:
    """Whether what is not an object says nothing: a ping, a comment in the place of data, a word."""
    text = (data if isinstance(data, str) else data.decode(errors="replace")).strip()
    if text == _DONE or is_name_of_error(name):
        return False
    return not text or text[0] == ":" or name in KEEP_ALIVES or is_idle(text)
