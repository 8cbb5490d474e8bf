"""``frames``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from reactivex import Observable

from rxllm.flow import FanOut, Operation, Stream, check_kind, operate, stopping
from rxllm.serving._protocol import Asked, ServingProtocol
from rxllm.serving._registry import protocol_named
from rxllm.serving._telling import Telling
from rxllm.sources import LogStream


class _Frames(Operation[Any, bytes]):
    called = "frames"

    def __init__(self, out: FanOut[bytes], protocol: ServingProtocol) -> None:
        super().__init__(out)
        self._telling = Telling(protocol.writer(Asked()))

    def on_item(self, item: Any, /) -> Iterable[bytes]:
        begun = self._telling.begin()
        try:
            told = self._telling.item(item)
        except Exception as error:
            told = self._telling.failed(error)
        return self._given(begun + told)

    def on_end(self) -> Iterable[bytes]:
        return self._given(self._telling.completed(stopped=stopping()))

    def on_error(self, error: Exception) -> None:
        if not self.out.ended:
            self.out.end(None, self._given(self._telling.failed(error)))

    def _given(self, told: bytes) -> Sequence[bytes]:
        if self._telling.over:
            self.finish()
        return [told] if told else []


def frames(pipeline: Observable[Any], *, protocol: str | ServingProtocol = "events") -> Stream[bytes]:
    """Turn a pipeline into what a client reads, in frames of an event stream.

    For hosts that are none of ``aiohttp_response`` and ``StreamingResponse``. An error of the pipeline becomes a frame,
    as the protocol says it; the stream of frames itself ends in good order.
    """
    check_kind("pipeline", pipeline, Observable)
    chosen = protocol_named(protocol)
    if isinstance(pipeline, LogStream) and chosen.resumes:
        pipeline = pipeline.with_positions()
    return pipeline.pipe(operate(_Frames, chosen))
