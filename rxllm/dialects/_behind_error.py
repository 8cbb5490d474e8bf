"""What comes behind an error in a stream: of that, the usage counts, for it says what the answer cost."""

from __future__ import annotations

from collections.abc import Iterable

from rxllm.dialects._dialect import StreamDecoder, WireItem
from rxllm.models import StreamChunk


class BehindError:
    """The decoder of what comes behind an error.

    Args:
        decoder: The decoder that found it.

    Attributes:
        done: Whether nothing more is to come: the end marker came, or a second error.
        finished: Whether only usage is waited for. That is so.
    """

    finished: bool = True

    def __init__(self, decoder: StreamDecoder) -> None:
        self._decoder = decoder
        self.done: bool = False

    def decode(self, events: Iterable[WireItem]) -> list[StreamChunk]:
        """The usage in events, in chunks that have nothing else of the answer."""
        found: list[StreamChunk] = []
        try:
            for event in events:
                chunks = list(self._decoder.decode(event))
                found += [chunk.model_copy(update={"choices": ()}) for chunk in chunks if chunk.usage is not None]
                if self._decoder.done:
                    self.done = True
                    break
        except Exception:  # noqa: BLE001 - the first error is what there is to say
            self.done = True
        return found
