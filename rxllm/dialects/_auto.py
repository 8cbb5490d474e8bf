"""The dialect of a stream, told by its first events.

Rules:

1. Events that tell nothing (pings, comments, an error in their place) wait. The first one that does decides, and the
   decoder of that dialect gets all of them.
2. If none does, it is the dialect of OpenAI's chat completions that says what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rxllm.dialects._dialect import BodyDecoder, Reader, StreamDecoder, WireItem
from rxllm.dialects._foreign import CHAT, MESSAGES, RESPONSES, protocol_of, protocol_of_body
from rxllm.models import StreamChunk, is_object, loads
from rxllm.wire import ServerSentEvent

_NAMES = {CHAT: "openai-chat", MESSAGES: "anthropic", RESPONSES: "openai-responses"}
_USUAL = "openai-chat"
_MOST_WAITING = 64


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
        found = _NAMES.get(_protocol_of(event) or "", _USUAL if _protocol_of(event) else "")
        if not found and len(self._waiting) < _MOST_WAITING:
            return ()
        return self._decode_waiting(self._choose(found or _USUAL))

    def close(self) -> Iterator[StreamChunk]:
        """Take note of the end: see ``StreamDecoder.close``."""
        decoder = self._decoder or self._choose(_USUAL)
        yield from self._decode_waiting(decoder)
        yield from decoder.close()

    def decode_body(self, body: str) -> Iterable[StreamChunk]:
        """Read an answer that came as a whole: see ``BodyDecoder``."""
        decoder = self._choose(_NAMES.get(protocol_of_body(body) or "", _USUAL))
        return decoder.decode_body(body) if isinstance(decoder, BodyDecoder) else ()

    def _choose(self, name: str) -> StreamDecoder:
        self.dialect = name if name in self.readers else _USUAL
        self._decoder = self.readers[self.dialect].decoder()
        return self._decoder

    def _decode_waiting(self, decoder: StreamDecoder) -> Iterator[StreamChunk]:
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            yield from decoder.decode(event)


def _protocol_of(event: WireItem) -> str | None:
    """The protocol that an event is of, as far as it tells."""
    name, data = (event.event, event.data) if isinstance(event, ServerSentEvent) else ("message", event)
    try:
        fields = loads(data)
    except ValueError:
        return None
    return protocol_of(name, fields) if is_object(fields) else None
