"""``parse``."""

from __future__ import annotations

from collections.abc import Sequence
from operator import length_hint

from reactivex import Observable, abc

from rxllm.dialects import Dialect, StreamDecoder, WireItem, get_dialect
from rxllm.flow import FlowControl
from rxllm.models import StreamChunk, StreamInfo
from rxllm.models._chunk import Slots, put_slots
from rxllm.operators._emission import FanOut
from rxllm.operators._stage import Receiver, Stage
from rxllm.typing import OperatorFunction
from rxllm.wire import ServerSentEvent

__all__ = ["parse"]


def parse(dialect: str | Dialect = "openai-chat") -> OperatorFunction[ServerSentEvent | str | bytes, StreamChunk]:
    r"""Turn a provider's events into chunks, and tell the end of an answer from a cut.

    ::

        source  --a-b-c---d-|
                parse()
        result  --x-y-z---|

        a='{"choices":[{"index":0,"delta":{"content":"Hel"}}]}' b='{"choices":[{"index":0,"delta":{"content":"lo"}}]}'
        c='{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}' d="[DONE]"
        x=text_chunk("Hel") y=text_chunk("lo") z=finish_chunk("stop")

    Completes as soon as the dialect says that nothing follows (``[DONE]``), or with the source if every choice
    has its ``finish_reason``. Events that are no chunks, such as mangled comments, are skipped. The first chunk
    ``begins`` the answer, and all have what is known of the request as ``stream``.

    Args:
        dialect: The name of a dialect, or a dialect with options: see ``rxllm.dialects``.

    Returns:
        An operator from ``ServerSentEvent``, or text frames, to ``StreamChunk``.

    Raises:
        TruncatedStreamError: As ``on_error``, like all of these: the source ended, but the answer did not.
        APIStreamError: An error object came in the stream.
        DecodeError: An event is no chunk of this dialect.
        LimitExceededError: A chunk is nested too deeply.
        ValueError: At once: there is no dialect of that name.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> frames = '{"choices":[{"index":0,"delta":{"content":"Hello"}}]}', "[DONE]"
        >>> rxllm.run(reactivex.of(*frames).pipe(ops.parse())).choices[0].delta.content
        'Hello'

    See also:
        ``accumulate``, ``decode_sse``
    """
    chosen = get_dialect(dialect)

    def parse_(source: Observable[ServerSentEvent | str | bytes]) -> Observable[StreamChunk]:
        def subscribe(
            observer: abc.ObserverBase[StreamChunk], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            return _Parser(chosen, FanOut(observer)).follow(source, scheduler)

        return Stage(subscribe)

    return parse_


class _Parser(Receiver[WireItem]):
    def __init__(self, dialect: Dialect, chunks: FanOut[StreamChunk]) -> None:
        self._chunks = chunks
        self._decoder = dialect.decoder()
        self._mark = Marks(dialect.name).mark
        # What a batch ended with, while that waits behind a pause.
        self._ended = False
        self._error: Exception | None = None

    @property
    def takes_texts(self) -> bool:
        return True

    def on_next(self, value: WireItem) -> None:
        if self._ended:
            self._end()
            return
        chunks, error = decode_all(self._decoder, value)
        if chunks:
            self._chunks.emit(self._mark(chunks))
        if self._decoder.done or error is not None:
            self._chunks.end(error)

    def on_batch(self, items: Sequence[WireItem]) -> int:
        if self._ended:
            self._end()
            return len(items)
        chunks: list[StreamChunk] = []
        rest = iter(items)
        try:
            decoder = self._decoder
            decode = decoder.decode
            for event in rest:
                chunks += decode(event)
                if decoder.done:
                    break
        except Exception as failure:
            self._error = failure
        if chunks:
            self._chunks.emit(self._mark(chunks))
        if not self._decoder.done and self._error is None:
            return len(items)
        self._ended = True
        flow = FlowControl.current()
        if flow is not None and flow.paused:
            # The end waits behind the pause, as it would if it had come singly: it is taken when it comes again.
            return len(items) - length_hint(rest) - 1
        self._end()
        return len(items)

    def on_error(self, error: Exception) -> None:
        self._chunks.end(error)

    def on_completed(self) -> None:
        try:
            self._decoder.close()
        except Exception as failure:
            self._error = failure
        self._end()

    def _end(self) -> None:
        # Forgotten here, for its traceback keeps this: a circle for the garbage collector.
        error, self._error = self._error, None
        self._chunks.end(error)

    def dispose(self) -> None:
        super().dispose()
        self._chunks.dispose()


class Marks:
    """What is said of the chunks of one answer besides their fields.

    Args:
        dialect: The name of the dialect.
    """

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        # Those of all chunks but a few.
        self._slots: Slots | None = None

    def mark(self, chunks: Sequence[StreamChunk]) -> Sequence[StreamChunk]:
        """Mark chunks that nobody else has yet: the first one begins the answer."""
        slots = self._slots
        if slots is None:
            return self._begin(chunks)
        for chunk in chunks:
            if chunk.slots is None:
                put_slots(chunk, slots)
            else:
                self._take_over(chunk, chunk.slots)
        return chunks

    def _begin(self, chunks: Sequence[StreamChunk]) -> Sequence[StreamChunk]:
        flow = FlowControl.current()
        stream = StreamInfo() if flow is None or flow.stream is None else flow.stream
        stream.dialect = self._dialect
        stream.model = next((chunk.model for chunk in chunks if chunk.model), None)
        self._slots = Slots(stream)
        self.mark(chunks)
        first = chunks[0].slots
        if first is not None:
            put_slots(chunks[0], first.with_(begins=True))
        return chunks

    def _take_over(self, chunk: StreamChunk, own: Slots) -> None:
        """Keep what the dialect said of a chunk by itself."""
        if own.stream is None and self._slots is not None:
            put_slots(chunk, own.with_(stream=self._slots.stream))


def decode_all(decoder: StreamDecoder, event: WireItem) -> tuple[Sequence[StreamChunk], Exception | None]:
    """The chunks of an event, and the error that comes behind them."""
    collected: list[StreamChunk] = []
    try:
        chunks = decoder.decode(event)
        if isinstance(chunks, tuple):  # is whole and fails no more: nearly always
            return chunks, None
        collected.extend(chunks)
    except Exception as error:
        return collected, error
    return collected, None
