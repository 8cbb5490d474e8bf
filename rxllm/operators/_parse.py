"""``parse``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from rxllm.dialects import AnyDecoder, BehindError, BodyDecoder, Reader, RetryJudge, WireItem, get_reader
from rxllm.exceptions import (
    APIResponseError,
    APIStatusError,
    APIStreamError,
    StreamInterruptedError,
    UnreadBody,
    excerpt,
)
from rxllm.flow import FanOut, FlowControl, Operation, Secrets, operate, stopping
from rxllm.models import Repair, Slots, StreamChunk, StreamInfo, marked, put_slots
from rxllm.typing import OperatorFunction
from rxllm.wire import AWSFrame, ServerSentEvent


def parse(dialect: str | Reader = "openai-chat") -> OperatorFunction[WireItem, StreamChunk]:
    r"""Turn a provider's events into chunks, and tell the end of an answer from a cut.

    ::

        source  --a-b-c---d-|
                parse()
        result  --x-y-z---|

        a='{"choices":[{"index":0,"delta":{"content":"Hel"}}]}' b='{"choices":[{"index":0,"delta":{"content":"lo"}}]}'
        c='{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}' d="[DONE]"
        x=text_chunk("Hel") y=text_chunk("lo") z=finish_chunk("stop")

    Completes as soon as the dialect says that nothing follows (``[DONE]``), or with the source, if every choice has its
    ``finish_reason`` and the arguments of every call are closed. From then on the answer is whole: if the connection is
    lost after that, it is a repair and no error. Events that are not chunks, such as mangled comments, are skipped. If
    the server sent the answer as one JSON object instead of a stream, the answer becomes one chunk. The first chunk has
    ``begins``. Each chunk says in ``stream`` what is known of its request.

    Args:
        dialect: The name of a dialect, or a dialect with options: see ``rxllm.dialects``. ``"auto"`` recognizes it by
            the first events of each stream.

    Returns:
        An operator from ``ServerSentEvent``, lines, or frames, to ``StreamChunk``.

    Raises:
        TruncatedStreamError: As ``on_error``: the source ended before the answer did, or the server gave up on the
            answer.
        EmptyStreamError: As ``on_error``: the source ended, or ``[DONE]`` came, before an answer began.
        APIStreamError: As ``on_error``: an error object came in the stream.
        DecodeError: As ``on_error``: an event is not a chunk of this dialect, or the stream comes from another API; the
            error names that API.
        LimitExceededError: As ``on_error``: a chunk is nested too deeply, or an event has too much in it.
        ValueError: At once: there is no dialect with that name.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> frames = '{"choices":[{"index":0,"delta":{"content":"Hello"}}]}', "[DONE]"
        >>> rxllm.run(reactivex.of(*frames).pipe(ops.parse())).choices[0].delta.content
        'Hello'

    See also:
        ``accumulate``, ``decode_sse``
    """
    return parse_answer(get_reader(dialect))


def parse_answer(dialect: Reader, repairs: Sequence[Repair] = ()) -> OperatorFunction[WireItem, StreamChunk]:
    """``parse``, for the answer to a request.

    Args:
        dialect: The dialect.
        repairs: What was put right in the request; the first chunk has it.

    Returns:
        An operator as ``parse``.
    """
    return operate(_Parser, dialect, tuple(repairs))


class _Parser(Operation[WireItem, StreamChunk]):
    called = "parse"
    takes = (ServerSentEvent, AWSFrame, str, bytes)

    def __init__(self, out: FanOut[StreamChunk], dialect: Reader, repairs: tuple[Repair, ...]) -> None:
        super().__init__(out)
        self._dialect = dialect
        self._repairs = repairs
        self._decoder = dialect.decoder()
        # What is said of all chunks of the answer but a few.
        self._slots: Slots | None = None
        self._stream = StreamInfo()
        self._is_of_no_model = True
        self._lost: StreamInterruptedError | None = None
        # What reads on behind an error, and that error, which waits for the usage.
        self._behind: BehindError | None = None
        self._failure: APIStreamError | None = None
        self._secrets: Secrets | None = None
        self._flow: FlowControl | None = None

    @property
    def takes_texts(self) -> bool:
        return True

    def on_item(self, item: WireItem, /) -> Iterable[StreamChunk]:
        return self._decode((item,))

    def on_batch(self, items: Sequence[WireItem]) -> int:
        self.emit_together(self._decode(items), items)
        return len(items)

    def _decode(self, items: Sequence[WireItem]) -> Sequence[StreamChunk]:
        if self._behind is not None:
            return self._mark(self._decode_behind(self._behind, items))
        decoder = self._decoder
        decode = decoder.decode
        chunks: list[StreamChunk] = []
        events = iter(items)
        try:
            for event in events:
                chunks += decode(event)
                if decoder.done:
                    self.finish()
                    break
        except APIStreamError as error:
            return [*self._of_error(self._mark(chunks)), *self._mark(self._fail(error, events))]
        except Exception as error:
            self.finish(self.explained(error, items))
            return self._of_error(self._mark(chunks))
        return self._mark(chunks)

    def _fail(self, error: APIStreamError, events: Iterator[WireItem]) -> Sequence[StreamChunk]:
        """End with an error of the server, behind the usage that comes with it, if the source waits for that."""
        flow = FlowControl.current()
        if flow is None or not flow.lingers:
            # Also of what came in the same read, or it would depend on that what an answer is.
            self.finish(error)
            return ()
        behind = BehindError(self._decoder)
        chunks = behind.decode(events)
        if behind.done:
            self.finish(error)
        else:
            self._behind = flow.decoder = behind
            flow.failed = True
            # Without the traceback, which holds this.
            self._failure = error.with_traceback(None)
        return chunks

    def _decode_behind(self, behind: BehindError, items: Iterable[WireItem]) -> Sequence[StreamChunk]:
        chunks = behind.decode(items)
        if behind.done:
            self.finish(self._failure)
            self._failure = None
        return chunks

    def on_end(self) -> Iterable[StreamChunk]:
        if stopping():
            return ()
        if self._failure is not None:
            error, self._failure = self._failure, None
            try:
                raise error
            finally:
                del error  # whose traceback holds this frame
        chunks: list[StreamChunk] = []
        try:
            chunks += self._decoder.close()
        except Exception as error:
            self._tell_strays(error)
            if chunks:
                self.out.emit(self._mark(chunks))
            raise
        if self._lost is not None:
            chunks.append(_repaired(self._lost))
            self._lost = None
        return self._mark(chunks)

    def on_error(self, error: Exception) -> None:
        if self._failure is not None:
            # Whatever became of the connection: this is why there is no answer.
            error, self._failure = self._failure, None
            super().on_error(error)
            return
        if isinstance(error, APIStatusError) and isinstance(self._dialect, RetryJudge):
            error.retryable = self._dialect.is_retryable(error)
        decoder = self._decoder
        if isinstance(error, StreamInterruptedError) and decoder.finished:
            # Nothing of the answer is missing: it ends as if the connection had been closed properly.
            self._lost = error
            self.on_completed()
            return
        if isinstance(error, APIResponseError) and self._slots is None and isinstance(decoder, BodyDecoder):
            unread, error.unread = getattr(error, "unread", None), None
            if unread is not None:
                self._read_body(error, decoder, unread)
                return
        if isinstance(error, StreamInterruptedError):
            self._tell_strays(error)
        super().on_error(error)

    def _tell_strays(self, error: Exception) -> None:
        """Note what came beside the events of an answer that is not whole: it may say why, in half a sentence."""
        if self._flow is not None and self._flow.strays:
            error.add_note(f"besides events, the stream had: {excerpt(self._flow.strays)}")

    def _read_body(self, error: APIResponseError, decoder: BodyDecoder, unread: UnreadBody) -> None:
        """End with the answer that a body is which is not an event stream; with the error about it if it is none."""
        self._stream = unread.stream
        self._secrets = unread.secrets
        chunks: list[StreamChunk] = []
        failure: Exception | None = None
        try:
            chunks += decoder.decode_body(unread.text)
        except Exception as found:
            # That error is about the first one.
            found.__cause__ = error
            failure = found if self._secrets is None else self._secrets.scrub_error(found)
        self.out.end(failure if chunks or failure else error, self._mark(chunks) if chunks else ())
        del error, failure  # whose tracebacks may keep this frame: a circle for the garbage collector

    def _mark(self, chunks: Sequence[StreamChunk]) -> Sequence[StreamChunk]:
        """Say of chunks that nobody else has yet which answer they are of: the first one begins it."""
        if not chunks:
            return chunks
        slots = self._slots
        is_first = slots is None
        if slots is None:
            slots = self._slots = self._begin()
        if self._is_of_no_model and (model := next((chunk.model for chunk in chunks if chunk.model), None)):
            # The first chunks may be of the request: Azure's tell what its filters found.
            self._stream.model = model
            self._is_of_no_model = False
        for chunk in chunks:
            own = chunk.slots
            if own is None:
                put_slots(chunk, slots)
            elif own.stream is None:
                # What the dialect said of it by itself.
                put_slots(chunk, own.with_(stream=slots.stream, repairs=self._without_secrets(own.repairs)))
        if is_first and (first := chunks[0].slots) is not None:
            put_slots(chunks[0], first.with_(begins=True, repairs=(*self._repairs, *first.repairs)))
        return chunks

    def _without_secrets(self, repairs: tuple[Repair, ...]) -> tuple[Repair, ...]:
        """Repairs that show what was sent, but nothing of what a server has echoed there."""
        if self._secrets is None or not repairs:
            return repairs
        scrub = self._secrets.scrub_value
        return tuple(each._replace(before=scrub(each.before), after=scrub(each.after)) for each in repairs)

    def _of_error(self, chunks: Sequence[StreamChunk]) -> Sequence[StreamChunk]:
        """The chunks before an error; the last one may have come in its event, with what it says in a field."""
        if self._secrets is None or not chunks or not (extra := chunks[-1].model_extra):
            return chunks
        return [*chunks[:-1], chunks[-1].model_copy(update={"extra": self._secrets.scrub_value(extra)})]

    def _begin(self) -> Slots:
        flow = FlowControl.current()
        if flow is not None:
            self._flow = flow
            self._stream = flow.stream or self._stream
            self._secrets = flow.secrets
            flow.decoder = self._behind or self._decoder
        self._stream.dialect = (
            decoder.dialect if isinstance(decoder := self._decoder, AnyDecoder) else self._dialect.name
        )
        if self._stream.requested_at is None and self._stream.nonce is None:
            self._stream.nonce = os.urandom(8).hex()
        return Slots(self._stream)


def _repaired(lost: StreamInterruptedError) -> StreamChunk:
    """A chunk that says nothing but that a loss was put right."""
    return marked(StreamChunk(), repairs=(Repair("cut-after-finish", lost.events, str(lost), None),))
