"""``frames``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from reactivex import Observable

from rxllm.flow import FanOut, Operation, Stream, check_kind, operate, stopping
from rxllm.serving._protocol import Asked, ServingProtocol
from rxllm.serving._protocols import protocol_named
from rxllm.serving._telling import Telling
from rxllm.sources import LogStream


class _Frames(Operation[Any, bytes]):
    called = "frames"

    def __init__(self, out: FanOut[bytes], protocol: ServingProtocol, asked: Asked) -> None:
        super().__init__(out)
        self._telling = Telling(protocol.writer(asked))

    def on_item(self, item: Any, /) -> Iterable[bytes]:
        begun = self._telling.begin()
        try:
            told = self._telling.item(item)
        except Exception as error:  # noqa: BLE001 - told to the client
            told = self._telling.failed(error)
        return self._given(begun + told)

    def on_end(self) -> Iterable[bytes]:
        return self._given(self._telling.completed(stopped=stopping()))

    def on_error(self, error: Exception) -> None:
        self.out.end(None, self._given(self._telling.failed(error)))

    def _given(self, told: bytes) -> Sequence[bytes]:
        if self._telling.over:
            self.finish()
        return [told] if told else []


def frames(pipeline: Observable[Any], *, protocol: str | ServingProtocol = "events") -> Stream[bytes]:
    r"""Turn a pipeline into the bytes that a client reads, for servers that are neither ``aiohttp.web`` nor ASGI.

    ::

        pipeline  --a---b----|
                  frames(pipeline)
        result    --x---y----(z|)

        a="Hel" b="lo"     chunks, events of a conversation, or texts
        x, y               what the protocol makes of them: whole frames
        z                  how the protocol says that it has ended

    Time: a frame comes when its item does. Buffering: none; a consumer that pauses pauses the pipeline. On error: the
    last frame reports the error in the form of the protocol, without text of the provider, and the result completes.
    The same happens if an item cannot be served. On dispose: the pipeline is left. No comments are sent while no items
    come: your server has to send one (``": \n"``) from time to time.

    Args:
        pipeline: The observable that ``chat_stream``, ``chat_with_tools`` or ``from_log`` returns, with or without
            operators after it. If it is a stream of a log and the protocol is ``"events"``, each frame has its
            position.
        protocol: The protocol of the answer: a name, or a protocol with options.

    Returns:
        The frames, in UTF-8. Each item gives one ``bytes``, or none if it has nothing to send.

    Raises:
        TypeError: At once: the pipeline is not an observable.
        ValueError: At once: there is no such protocol.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import serving
        >>> rxllm.run(serving.frames(reactivex.of("Hello")))
        b'id: end\nevent: end\ndata: {"type":"end","ending":"completed"}\n\n'

    See also:
        ``aiohttp_response``, ``StreamingResponse``
    """
    check_kind("pipeline", pipeline, Observable)
    chosen = protocol_named(protocol)
    resumes = isinstance(pipeline, LogStream) and chosen.resumes
    if isinstance(pipeline, LogStream):
        # Only so do items say that what came before them does not count.
        pipeline = pipeline.with_positions()
    return pipeline.pipe(operate(_Frames, chosen, Asked(resumes=resumes)))
